"""What models with covariates that change with time share: parameters, fitting, and the score of a fit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from custanalytics._columns import DAYS_PER_UNIT
from custanalytics._params import NONE, NOT_NEGATIVE, InstanceOf, OneOf, Rule, check_params
from custanalytics.clv import _fit
from custanalytics.clv._calendar import Calendar
from custanalytics.clv._calendar_futures import CalendarFutures
from custanalytics.clv._covariates import ALIKE, DROPOUT, EQUAL, RATE
from custanalytics.clv._design import Design, check_coefficients
from custanalytics.clv._grouped_loop import given_terms
from custanalytics.clv._walks import PERIODS, CalendarModel
from custanalytics.clv._windows import Objective, Watched
from custanalytics.exceptions import FitWarning

SMALL = 4096  # pieces of customers' time up to which all starts are tried
# time that runs faster is as if these were smaller
EFFECTS = {RATE: {"alpha": -1}, DROPOUT: {"beta": -1}, EQUAL: {"alpha": -1, "beta": -1}}


class TimeVaryingModel(CalendarFutures):
    """A model whose processes run faster or slower by covariates that change with time."""

    _learned: ClassVar[tuple[str, ...]] = (*CalendarModel._learned, "coefficients_")
    _unsaved: ClassVar[tuple[str, ...]] = ("intervals", "log")  # give the intervals anew after from_json
    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "rate_covariates": (InstanceOf((tuple, list)),),
        "columns": (InstanceOf((Mapping,)), NONE),
        "time_unit": (OneOf(tuple(DAYS_PER_UNIT)),),
        "period": (OneOf(tuple(PERIODS)),),
        "covariate_penalty": (NOT_NEGATIVE,),
        **CalendarModel._rules,
    }

    @classmethod
    def from_params(  # type: ignore[override]
        cls, *, coefficients: Mapping[str, Mapping[str, float]] | None = None, intervals: Any = None, **params: Any
    ) -> Self:
        """A fitted model at known parameters.

        Parameters
        ----------
        coefficients : mapping of str to mapping of str to float, optional
            The coefficients of the covariates by process and column, as `coefficients_` has them.
        intervals : frame
            The covariates over time.
        **params : float
            Every parameter of the model by name, positive; and settings such as `time_unit`.

        Returns
        -------
        model
            Ready to predict. It has `params_` but none of the attributes that describe a fit.

        Raises
        ------
        ValueError
            If a parameter is missing, unknown or not positive, a setting or coefficient is none that can be, or
            there is no such process.
        """
        settings = {name: params.pop(name) for name in ("time_unit", "period") if name in params}
        model = super().from_params(**params).set_params(intervals=intervals, **settings)
        check_coefficients(coefficients, cls.__name__)
        given = coefficients or {}
        if not set(given) <= set(model._processes()):
            raise ValueError(f"{cls.__name__} has the processes {list(model._processes())}; got {list(given)}.")
        model.set_params(**{f"{process}_covariates": tuple(each) for process, each in given.items()})
        model._check_settings()
        pairs = [(process, name) for process, names in model._processes().items() for name in names]
        model._keep_point(model._theta(), [given[process][name] for process, name in pairs])
        return model

    def fit(self, table: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Estimate the parameters and the coefficients by maximum likelihood.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `customer_id`, `first_seen`, `frequency`, `recency` and `T`.
        y : None
            Ignored; here for scikit-learn.
        sample_weight : array-like of shape (n_customers,), optional
            Weight of each customer; 2 is the same as the row given twice, 0 as the row left out.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            If rows cannot be what the columns mean, the intervals do not cover a customer's time, or the log has
            other purchases than the table.

        Warns
        -----
        FitWarning
            If the solver stops short of `tol`, or some parameters are not determined by the data.
        """
        self._check_settings()
        objective = self._objective(table, sample_weight)
        k, n, units = len(self._names), objective.coefficients, objective.units
        design = Design.of(self._processes(), EFFECTS, self._names)
        standard, basis, spreads, far = objective.standard(design)
        solved = self._solve(table, sample_weight, standard)
        solved = replace(solved, logs=np.where(standard.moves(), solved.logs, 0.0), objectives=(standard,))
        optimum = given_terms(solved, basis, np.arange(k + n), k + n, spreads)
        theta = np.exp(optimum.logs[:k]) * units
        self._keep_point(theta, optimum.logs[k:])
        self._keep_shape(optimum, optimum.shape, np.append(theta, np.ones(n)))
        self.n_customers_ = float(objective.watched.weight.sum())
        self.log_likelihood_ = objective.penalty.value(optimum.logs) - float(optimum.value)
        self._report(solved)
        design.report_bounded(solved.logs[k:], far, type(self).__name__)
        return self

    def _solve(self, table: Any, sample_weight: Any, objective: Objective) -> _fit.Optimum:
        """Climb from the fit without covariates; in small samples without one clear maximum, from all around."""
        still, settings = self._static(penalty=self.penalty), (int(self.max_iter), float(self.tol))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # of a fit that is only where this one begins
            still.fit(table, sample_weight=sample_weight)
        k, n = len(self._names), objective.coefficients
        first = np.append(np.log([still.params_[name] for name in self._names] / objective.units), np.zeros(n))
        best = _fit.minimise(objective, first, *settings)
        determined = best.converged and not _fit.undetermined(best)[objective.moves()].any()
        if determined or objective.watched.n_pieces > SMALL:
            return best
        sample = still._sample(table, sample_weight)
        unit = sample.size(2)
        others = np.log(still._starts(sample.scaled((1.0, unit, unit))) * still._units(unit) / objective.units)
        others = np.vstack((others, others[0] + np.repeat(np.eye(2), 2, axis=1) * ALIKE))  # all buy, or leave, alike
        away = np.eye(k + n)[k:][objective.moves()[k:]] * _fit.AWAY
        starts = (np.hstack((others, np.zeros((len(others), n)))), first + away, first - away)
        return _fit.climb(objective, np.vstack(starts), *settings, best)

    def score(self, table: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log-likelihood per customer, for cross-validation: larger is better.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `fit`; `log` must hold their purchases.
        y : None
            Ignored; here for scikit-learn.
        sample_weight : array-like of shape (n_customers,), optional
            Weight of each customer.

        Returns
        -------
        float
        """
        check_is_fitted(self, "params_")
        calendar = self._calendar()
        watched = self._watch(calendar, table, sample_weight)
        value = self._log_likelihood(calendar, watched, self._theta(), self._coefficients())
        return value / float(watched.weight.sum())

    def _check_settings(self) -> None:
        check_params(self, self._rules)
        for names in self._processes().values():
            if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
                raise ValueError(f"Covariates of {type(self).__name__} are distinct names of columns; got {names}.")

    def _objective(self, table: Any, sample_weight: Any) -> Objective:
        """What a fit minimises, given the customers of a table."""
        calendar = self._calendar()
        watched = self._watch(calendar, table, sample_weight)
        ones = np.ones(calendar.start.size)
        ages = watched.before.exposure(ones) + watched.after.exposure(ones)
        unit = _fit.Sample((ages,), watched.weight).mean(0)
        return Objective(self, calendar, watched, self._penalty(unit), self._units(unit))

    def _log_posterior(self, table: Any, sample_weight: Any) -> tuple[Objective, np.ndarray]:
        theta = self._theta()
        objective = self._objective(table, sample_weight)
        return objective, np.append(np.log(theta / objective.units), self._coefficients())

    def _without_data(self) -> Self:
        return copy(self).set_params(log=None)

    def _log_likelihood(
        self, calendar: Calendar, watched: Watched, theta: np.ndarray, coefficients: np.ndarray
    ) -> float:
        rates, hazards = self._weights(calendar, coefficients)
        value = self._value(watched, rates, hazards, theta)
        return value + float(watched.bought @ np.log(rates))

    def _value(self, watched: Watched, rates: np.ndarray, hazards: np.ndarray, theta: np.ndarray) -> float:
        """Log-likelihood at the speeds of each interval, but for those at the purchases."""
        raise NotImplementedError

    def _likelihoods(
        self, watched: Watched, rates: np.ndarray, hazards: np.ndarray, theta: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Log-likelihood, and its derivatives by theta and by the logarithms of each interval's rate and hazard."""
        raise NotImplementedError

    def _penalty(self, unit: float) -> _fit.Penalty:
        penalty, k = super()._penalty(unit), len(self._names)
        n = sum(map(len, self._processes().values()))
        weight = np.append(np.broadcast_to(penalty.weight, k), np.full(n, float(self.covariate_penalty)))
        return _fit.Penalty(weight, np.append(np.broadcast_to(penalty.centre, k), np.zeros(n)))

    def _keep_point(self, theta: np.ndarray, coefficients: Any) -> None:
        given = iter(coefficients)
        self.coefficients_ = {
            process: {name: float(next(given)) for name in names}
            for process, names in self._processes().items()
            if names
        }
        self._keep(theta)

    def _estimates(self) -> dict[str, float]:
        found = {
            f"{process}:{name}": value for process, each in self.coefficients_.items() for name, value in each.items()
        }
        return {**super()._estimates(), **found}
