"""What every model of this domain inherits: reading, fitting, reporting, predicting.

A model is a kernel (log-likelihood and gradient per customer), the names of its parameters, their units and start
values. Everything else is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from custanalytics import _engine_checks, _engines, _frames
from custanalytics._columns import CUSTOMER_ID
from custanalytics._params import (
    NOT_NEGATIVE,
    POSITIVE,
    InstanceOf,
    Rule,
    check_params,
    check_value,
    integer,
    offenders,
    warn,
)
from custanalytics.clv import _fit
from custanalytics.clv._inference import Inference
from custanalytics.clv._limits import Limits, told
from custanalytics.clv._posterior_sampling import Posterior
from custanalytics.clv._weights import WEIGHT_CHECK, check_weight, weight_column
from custanalytics.exceptions import FitWarning, InvalidDataError

SUMMARY_HINT = "RFMSummary makes such a table from a transaction log."


class LikelihoodModel(Posterior, Inference):
    """Maximum likelihood over independent customers, on their distinct observations.

    A model sets the five class variables and `_starts`.
    """

    _nobody: ClassVar[str] = ""  # what to do where there is nobody to learn from
    _names: ClassVar[tuple[str, ...]]  # of the parameters, in the order of theta
    _signed: ClassVar[int] = 0  # how many of them, the last ones, may be negative
    _columns: ClassVar[tuple[str, ...]]  # of the table, in the order of the kernel
    _unit_columns: ClassVar[tuple[str, ...]]  # those in time_unit (or in currency): scaled alike before the fit
    _unit_powers: ClassVar[Mapping[str, int]]  # parameter → power of that unit it carries
    _loglik_loop: ClassVar[Callable[..., None]]  # loop(start, stop, *columns, weight, theta, out)
    _second_derivatives: ClassVar[bool] = False  # whether that loop gives them where `out` has room
    _enough: ClassVar[int] = _fit.ENOUGH  # how many distinct rows tell how skewed the likelihood is
    _limits: ClassVar[Limits] = ()  # what it means where parameters run to the boundary
    _checks: ClassVar[tuple[_engine_checks.Check, ...]] = ()  # what `_read` refuses, for tables in an engine

    _learned: ClassVar[tuple[str, ...]] = (
        *("params_", "log_likelihood_", "standard_errors_", "covariance_", "_skewness", "converged_", "n_iter_"),
        *("undetermined_", "n_customers_", "feature_names_in_", "n_features_in_"),
    )
    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "penalty": (NOT_NEGATIVE, InstanceOf((Mapping,))),
        "max_iter": (integer(1),),
        "tol": (POSITIVE,),
    }

    def __init__(
        self, *, penalty: float | Mapping[str, tuple[float, float]] = 0.0, max_iter: int = 200, tol: float = 1e-9
    ) -> None:
        self.penalty = penalty
        self.max_iter = max_iter
        self.tol = tol

    @classmethod
    def from_params(cls, **params: float) -> Self:
        """A fitted model at known parameters.

        Parameters
        ----------
        **params : float
            Every parameter of the model by name, positive; those that carry a unit are in the unit of the tables
            that the model will score.

        Returns
        -------
        model
            Ready to predict. It has `params_` but none of the attributes that describe a fit.

        Raises
        ------
        ValueError
            If a parameter is missing, unknown or not positive.
        """
        if set(params) != set(cls._names):
            raise ValueError(f"{cls.__name__}.from_params takes exactly {list(cls._names)}; got {list(params)}.")
        for name, value in params.items():
            check_value(name, value, (POSITIVE,), f"{cls.__name__}.from_params")
        model = cls()
        model._keep(np.array([float(params[name]) for name in cls._names]))
        return model

    def fit(self, table: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Estimate the parameters by maximum likelihood.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with the columns that the model is about. Of a table in an engine (Polars lazy,
            DuckDB, Dask, Spark, Ibis) only the distinct rows are collected, with their counts.
        y : None
            Ignored; here for scikit-learn.
        sample_weight : array-like of shape (n_customers,) or str, optional
            Weight of each customer, or the column of the table that holds it; 2 is the same as the row given twice,
            0 as the row left out.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            If rows cannot be what the columns mean, or none is left.

        Warns
        -----
        FitWarning
            If the solver stops short of `tol`, or some parameters are not determined by the data.
        """
        check_params(self, self._rules)
        sample = self._sample(table, sample_weight)
        unit = sample.size(self._columns.index(self._unit_columns[-1])) if self._unit_columns else 1.0
        optimum = self._maximise(sample, unit)
        self.n_customers_ = float(sample.weight.sum())
        self._learn(optimum, unit)
        self.log_likelihood_ = self._penalty(unit).value(optimum.logs) - float(optimum.value)
        return self

    def _maximise(self, sample: _fit.Sample, unit: float) -> _fit.Optimum:
        """The solver's result on the sample, for logarithms of the parameters in multiples of `unit`."""
        scaled = sample.scaled(tuple(unit if name in self._unit_columns else 1.0 for name in self._columns))
        return _fit.fit_sample(
            self._loglik_loop,
            sample,
            np.log(self._starts(scaled)),
            penalty=self._penalty(unit),
            max_iter=int(self.max_iter),
            tol=float(self.tol),
            exact=self._second_derivatives,
            units=self._units(unit),
            enough=self._enough,
        )

    def _units(self, unit: float) -> np.ndarray:
        return unit ** np.array([float(self._unit_powers.get(name, 0)) for name in self._names])

    def _penalty(self, unit: float) -> _fit.Penalty:
        """The penalty on logarithms of the parameters in multiples of `unit`."""
        if not isinstance(self.penalty, Mapping):
            return _fit.Penalty(float(self.penalty))
        weight, centre = np.zeros((2, len(self._names)))
        for name, prior in self.penalty.items():
            if name not in self._names:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r} to penalise; it has {self._names}.")
            if not isinstance(prior, tuple | list) or len(prior) != 2:
                raise ValueError(f"penalty[{name!r}] must be a pair, (median, spread of the logarithm). Got {prior!r}.")
            for what, value in zip(("median", "spread"), prior, strict=True):
                check_value(f"penalty[{name!r}] ({what})", value, (POSITIVE,), type(self).__name__)
            at = self._names.index(name)
            weight[at] = 0.5 / prior[1] ** 2
            centre[at] = np.log(prior[0] / self._units(unit)[at])
        return _fit.Penalty(weight, centre)

    def _learn(self, optimum: _fit.Optimum, unit: float) -> None:
        """Set what a fit learns but for `log_likelihood_`, and warn where the optimum is in doubt."""
        theta = np.exp(optimum.logs) * self._units(unit)
        self._keep(theta)
        self._keep_shape(optimum, _fit.shape(optimum), theta)
        self._report(optimum)

    def _keep_shape(self, optimum: _fit.Optimum, shape: _fit.Shape, slopes: np.ndarray) -> None:
        """Set what the shape of the likelihood says of the estimates: `slopes` are their derivatives by its own."""
        self.n_iter_, self.converged_ = optimum.n_iter, optimum.converged
        self.covariance_ = _fit.of_natural(shape.covariance, slopes)
        names = tuple(self._estimates())
        self.standard_errors_ = dict(zip(names, _fit.errors(shape.covariance, slopes).tolist(), strict=True))
        self._skewness = dict(zip(names, shape.skewness.tolist(), strict=True))
        self.undetermined_ = tuple(name for name, flat in zip(names, shape.undetermined, strict=True) if flat)

    def score(self, table: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log-likelihood per customer, for cross-validation: larger is better.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `fit`.
        y : None
            Ignored; here for scikit-learn.
        sample_weight : array-like of shape (n_customers,) or str, optional
            Weight of each customer, or the column of the table that holds it.

        Returns
        -------
        float
        """
        loop, theta = self._likelihood()
        sample = self._sample(table, sample_weight)
        return float(_fit.total(loop, sample, theta)[0]) / float(sample.weight.sum())

    def _likelihood(self) -> tuple[Callable[..., None], np.ndarray]:
        """The loop of the likelihood, and the point at which the fit left it."""
        return self._loglik_loop, self._theta()

    def _read(self, table: Any) -> tuple[np.ndarray, ...]:
        """The columns of the table, checked, in the order of the kernel: each of shape (n_customers,)."""
        raise NotImplementedError

    def _starts(self, sample: _fit.Sample) -> np.ndarray:
        """Parameters to start from, in scaled units, one set a row: shape (n_starts, n_params)."""
        raise NotImplementedError

    def _used(self, columns: tuple[np.ndarray, ...]) -> np.ndarray | None:
        """Which customers the likelihood is about, as a mask; None for all."""
        return None

    def _sample(self, table: Any, sample_weight: Any) -> _fit.Sample:
        if _engines.is_lazy(table):
            table, sample_weight = self._counted(table, sample_weight)
        elif isinstance(sample_weight, str):
            owner = type(self).__name__
            sample_weight = _frames.floats(_frames.read(table, (sample_weight,), owner), sample_weight)
        columns = self._read(table)
        weight = None if sample_weight is None else check_weight(sample_weight, columns[0].size)
        used = self._used(columns)
        if weight is not None and not weight.all():
            used = weight > 0 if used is None else used & (weight > 0)
        if used is not None and not used.all():
            columns = tuple(column[used] for column in columns)
            weight = None if weight is None else weight[used]
        if columns[0].size == 0:
            raise InvalidDataError(
                f"{type(self).__name__} needs at least one customer to learn from; found none{self._nobody}."
            )
        return self._compress(columns, weight)

    def _compress(self, columns: tuple[np.ndarray, ...], weight: np.ndarray | None) -> _fit.Sample:
        """The distinct observations, in the order that suits the loop."""
        return _fit.compress(columns, weight)

    def _counted(self, table: Any, sample_weight: str | None) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The distinct rows of a table in an engine, checked, and the number (or the weight) of each."""
        by = (*self._columns, *weight_column(sample_weight))
        lazy = _engines.read_table(table, by, type(self).__name__, SUMMARY_HINT)
        values = _engine_checks.numbers(lazy, by)
        found, counts = _engines.counts(lazy.select(*values), by)
        try:
            self._read(found)
        except InvalidDataError:  # the engine knows how many customers are concerned, and who
            _engine_checks.refuse(lazy, self._checks, *values[: len(self._columns)])
            raise
        if sample_weight is None:
            return found, counts
        weight = found[sample_weight]
        if not (np.isfinite(weight) & (weight >= 0)).all():
            _engine_checks.refuse(lazy, [WEIGHT_CHECK], values[-1])
        return found, weight * counts

    def _added(self, table: Any, column: str, method: str, *args: float) -> Any:
        """A table in an engine, checked at once, with the predictions of a method added where the rows are."""
        lazy = _engines.read_table(table, self._columns, type(self).__name__, SUMMARY_HINT)
        _engine_checks.refuse(lazy, self._checks, *_engine_checks.numbers(lazy, self._columns))
        predict = partial(_predicted, copy(self), method, args, column)  # a later fit does not change it
        return _engines.native(_engines.map_columns(lazy, self._columns, predict, {column: float}))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "params_")

    def _keep(self, theta: np.ndarray) -> None:
        self.params_ = {name: float(value) for name, value in zip(self._names, theta, strict=True)}
        self.feature_names_in_ = np.array(self._columns, dtype=object)
        self.n_features_in_ = len(self._columns)

    def _theta(self) -> np.ndarray:
        if not hasattr(self, "params_"):
            check_is_fitted(self)
        return np.array([self.params_[name] for name in self._names])

    def _estimates(self) -> dict[str, float]:
        """Everything that was estimated, in the order of `covariance_`."""
        return {name: self.params_[name] for name in self._names}

    def _report(self, optimum: _fit.Optimum) -> None:
        owner = type(self).__name__
        if not optimum.converged:
            warn(
                f"{owner} stopped after {optimum.n_iter} iterations, before the log-likelihood was within "
                f"tol={self.tol:g} of its maximum (expected gain of the next step: {optimum.gain:.3g}). "
                f"Raise max_iter (now {self.max_iter}), or pass penalty=0.1 to steady the fit.",
                FitWarning,
            )
        elif self.undetermined_:
            scaled = dict(zip(self._names, np.exp(np.minimum(optimum.logs, _fit.BOX)).tolist(), strict=False))
            hidden = max(optimum.gain, _fit.ROUNDING * max(scaled.values()) * self.n_customers_**0.5)
            values = ", ".join(f"{name} = {self._estimates()[name]:.3g}" for name in self.undetermined_)
            warn(
                f"{owner}: these data do not determine {', '.join(self.undetermined_)}: the log-likelihood is flat, "
                f"or largest at the boundary ({values}). {told(self._limits, scaled, self.undetermined_, hidden)}"
                "Predictions stand; standard_errors_ are infinite there, and those of the others hold these as they are"
                ". For finite estimates pass penalty=0.1, or fit to more customers.",
                FitWarning,
            )


def _predicted(
    model: LikelihoodModel, method: str, args: tuple[float, ...], column: str, values: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    return {column: getattr(model, method)(values, *args)}


def refuse(table: Any, bad: np.ndarray, verb_phrase: str, remedy: str) -> None:
    """Raise an InvalidDataError that counts and names the customers concerned, if there are any."""
    if bad.any():
        frame = _frames.read(table)
        named = CUSTOMER_ID in frame.columns
        ids = frame[CUSTOMER_ID].to_list() if named else range(len(frame))
        raise InvalidDataError(f"{offenders(bad, ids, verb_phrase, 'customers' if named else 'rows')}. {remedy}")
