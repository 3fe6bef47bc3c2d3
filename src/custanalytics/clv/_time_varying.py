"""What models with covariates that change with time share: reading, fitting, and expectations over a calendar."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from custanalytics._columns import (
    CUSTOMER_ID,
    DAYS_PER_UNIT,
)
from custanalytics._params import NONE, NOT_NEGATIVE, InstanceOf, Number, OneOf, Rule, check_params, check_value
from custanalytics.clv import _fit
from custanalytics.clv._calendar import Calendar, Pieces, unit_length
from custanalytics.clv._covariates import DROPOUT, RATE
from custanalytics.clv._design import FARTHEST, group_codes
from custanalytics.clv._discounting import FADED
from custanalytics.clv._walks import PERIODS, CalendarModel
from custanalytics.clv._windows import Objective, Watched, Window, discounted_sums
from custanalytics.exceptions import FitWarning


class TimeVaryingModel(CalendarModel):
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
            If a parameter is missing, unknown or not positive, or there is no such process.
        """
        settings = {name: params.pop(name) for name in ("time_unit", "period") if name in params}
        model = super().from_params(**params).set_params(intervals=intervals, **settings)
        given = coefficients or {}
        if not set(given) <= set(model._processes()):
            raise ValueError(f"{cls.__name__} has the processes {list(model._processes())}; got {list(given)}.")
        model.set_params(**{f"{process}_covariates": tuple(each) for process, each in given.items()})
        pairs = [(process, name) for process, names in model._processes().items() for name in names]
        for process, name in pairs:
            value = given[process][name]
            check_value(f"coefficients[{process!r}][{name!r}]", value, (Number(closed="neither"),), cls.__name__)
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
        check_params(self, self._rules)
        for names in self._processes().values():
            if len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
                raise ValueError(f"Covariates of {type(self).__name__} are distinct names of columns; got {names}.")
        calendar = self._calendar()
        watched = self._watch(calendar, table, sample_weight)
        k, n = len(self._names), sum(map(len, self._processes().values()))
        ones = np.ones(calendar.start.size)
        ages = watched.before.exposure(ones) + watched.after.exposure(ones)
        unit = _fit.Sample((ages,), watched.weight).mean(0)
        objective = Objective(self, calendar, watched, self._penalty(unit), self._units(unit))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # of a fit that is only where this one begins
            still = self._static(penalty=self.penalty).fit(table, sample_weight=sample_weight)
        guess = np.array([still.params_[name] for name in self._names])
        start = np.append(np.log(guess / self._units(unit)), np.zeros(n))
        optimum = _fit.minimise(objective, start, int(self.max_iter), float(self.tol))
        theta = np.exp(optimum.logs[:k]) * self._units(unit)
        slopes = np.append(theta, np.ones(n))
        flat = _fit.undetermined(optimum)
        covariance = _fit.covariance(optimum, slopes)
        self._keep_point(theta, optimum.logs[k:])
        self.n_iter_, self.converged_, self.covariance_ = optimum.n_iter, optimum.converged, covariance
        names = tuple(self._estimates())
        self.standard_errors_ = dict(zip(names, np.sqrt(np.diag(covariance)).tolist(), strict=True))
        self.undetermined_ = tuple(name for name, each in zip(names, flat, strict=True) if each)
        self.n_customers_ = float(watched.weight.sum())
        self.log_likelihood_ = objective.penalty.value(optimum.logs) - float(optimum.value)
        self._report(optimum)
        return self

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
        coefficients = self._coefficients()
        value = self._likelihoods(watched, *self._weights(calendar, coefficients), self._theta())[0]
        return float(value + coefficients[: watched.bought.size] @ watched.bought) / float(watched.weight.sum())

    def predict_alive(self, table: Any) -> np.ndarray:
        """Probability that each customer is still active at the end of the observation.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `customer_id`, `first_seen`, `frequency`, `recency` and `T`.

        Returns
        -------
        ndarray of shape (n_customers,)
            P(alive at `T`).
        """
        theta, calendar = self._theta(), self._calendar()
        frame, x, *times = self._read(table)
        before, after = self._pieces(calendar, frame, *times)
        return self._alive(x, before, after, theta, *self._weights(calendar, self._coefficients()))

    def predict_purchases(self, table: Any, horizon: float) -> np.ndarray:
        """Expected number of purchases of each customer in the `horizon` after the observation.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `customer_id`, `first_seen`, `frequency`, `recency` and `T`. A new customer has
            0 for the last three.
        horizon : float
            Length of the time ahead, (T, T + horizon], in `time_unit`; `intervals` must cover it.

        Returns
        -------
        ndarray of shape (n_customers,)
            Expected purchases; P(alive) is included.

        Raises
        ------
        InvalidDataError
            If the intervals end before the horizon.
        """
        return self._ahead(table, horizon, 0.0, "predict_purchases")

    def predict_discounted_purchases(self, table: Any, horizon: float, rate: float) -> np.ndarray:
        """Expected purchases in the `horizon` ahead, each discounted to the end of the observation.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `predict_purchases`.
        horizon : float
            Length of the time ahead in `time_unit`; `intervals` must cover it.
        rate : float
            Continuous rate of discount per `time_unit`: a purchase after t counts exp(-rate * t).

        Returns
        -------
        ndarray of shape (n_customers,)
            Discounted expected purchases.

        Raises
        ------
        InvalidDataError
            If the intervals end before the horizon.
        """
        check_value("rate", rate, (NOT_NEGATIVE,), f"{type(self).__name__}.predict_discounted_purchases")
        return self._ahead(table, horizon, float(rate), "predict_discounted_purchases")

    def _ahead(self, table: Any, horizon: float, discount: float, method: str) -> np.ndarray:
        check_value("horizon", horizon, (Number(0),), f"{type(self).__name__}.{method}")
        theta, calendar = self._theta(), self._calendar()
        frame, x, first, t_x, age = self._read(table)
        before, after = self._pieces(calendar, frame, first, t_x, age)
        rates, hazards = self._weights(calendar, self._coefficients())
        bought, aged = ((before.exposure(each) + after.exposure(each)) for each in (rates, hazards))
        result = self._alive(x, before, after, theta, rates, hazards)
        length = unit_length(self.time_unit)
        rows = calendar.rows_of(frame[CUSTOMER_ID].to_list(), type(self).__name__)
        now = first + age * length
        end = min(float(horizon), FADED / discount) if discount > 0 else float(horizon)
        calendar.cover(rows, now, now + end * length, frame[CUSTOMER_ID].to_list(), f"up to {horizon:g} ahead")
        codes, found = group_codes((now, rows.astype(np.float64)))
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes, np.arange(found + 1), sorter=order)
        leaders = order[bounds[:-1]]
        pieces = calendar.pieces(rows[leaders], now[leaders], now[leaders] + end * length, length)
        memory = self._static.from_params(**self.params_)._memory() / max(1.0, rates.max(), hazards.max())
        for group, (low, high) in enumerate(pairwise(bounds)):
            own = slice(pieces.bounds[group], pieces.bounds[group + 1])
            at = order[low:high]
            window = Window(pieces.length[own], rates[pieces.interval[own]], hazards[pieces.interval[own]])
            sums = discounted_sums(window.edges(), discount, memory)
            result[at] *= self._if_alive(x[at], bought[at], aged[at], window, *sums, theta)
        return result

    def _likelihoods(
        self, watched: Watched, rates: np.ndarray, hazards: np.ndarray, theta: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Log-likelihood, and its derivatives by theta and by the logarithms of each interval's rate and hazard."""
        raise NotImplementedError

    def _alive(
        self, x: np.ndarray, before: Pieces, after: Pieces, theta: np.ndarray, rates: np.ndarray, hazards: np.ndarray
    ) -> np.ndarray:
        """P(alive at T)."""
        raise NotImplementedError

    def _if_alive(
        self,
        x: np.ndarray,
        bought: np.ndarray,
        aged: np.ndarray,
        window: Window,
        times: np.ndarray,
        weights: np.ndarray,
        theta: np.ndarray,
    ) -> np.ndarray:
        """Weighted sum of the purchases expected within each of some times, of customers who are alive.

        `bought` and `aged` are how much time counted so far, for purchases and for dropout.
        """
        raise NotImplementedError

    def _weights(self, calendar: Calendar, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How fast purchases and dropout run in each interval: shapes (n_intervals,)."""
        names, at, result = self._covariates(), 0, []
        for columns in (self._processes().get(process, ()) for process in (RATE, DROPOUT)):
            values = calendar.values[:, [names.index(name) for name in columns]]
            exponents = values @ coefficients[at : at + len(columns)]
            result.append(np.exp(np.clip(exponents, -FARTHEST, FARTHEST)))
            at += len(columns)
        return result[0], result[1]

    def _coefficients(self) -> np.ndarray:
        pairs = ((process, name) for process, names in self._processes().items() for name in names)
        return np.array([self.coefficients_[process][name] for process, name in pairs])

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
