"""What every model of this domain inherits: reading, fitting, reporting, predicting.

A model is a kernel (log-likelihood and gradient per customer), the names of its parameters, their units and start
values. Everything else is here.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames, _jit
from custanalytics._columns import CUSTOMER_ID, FREQUENCY, RECENCY, T
from custanalytics._params import Number, Rule, check_params, check_value, integer, offenders
from custanalytics.clv import _fit
from custanalytics.clv._discounting import discounting
from custanalytics.clv._kernels import count_impossible
from custanalytics.exceptions import FitWarning, InvalidDataError

POSITIVE = Number(0, closed="neither")
SUMMARY_HINT = "RFMSummary makes such a table from a transaction log."


class LikelihoodModel(BaseEstimator):
    """Maximum likelihood over independent customers, on their distinct observations.

    A model sets the five class variables and `_starts`.
    """

    _names: ClassVar[tuple[str, ...]]  # of the parameters, in the order of theta
    _columns: ClassVar[tuple[str, ...]]  # of the table, in the order of the kernel
    _unit_columns: ClassVar[tuple[str, ...]]  # those in time_unit (or in currency): scaled alike before the fit
    _unit_powers: ClassVar[Mapping[str, int]]  # parameter → power of that unit it carries
    _loglik_loop: ClassVar[Callable[..., None]]  # loop(start, stop, *columns, weight, theta, out)
    _second_derivatives: ClassVar[bool] = False  # whether that loop gives them where `out` has room

    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "penalty": (Number(0, closed="left"),),
        "max_iter": (integer(1),),
        "tol": (POSITIVE,),
    }

    def __init__(self, *, penalty: float = 0.0, max_iter: int = 200, tol: float = 1e-9) -> None:
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
            One row per customer, with the columns that the model is about.
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
            If rows cannot be what the columns mean, or none is left.

        Warns
        -----
        FitWarning
            If the solver stops short of `tol`, or some parameters are not determined by the data.
        """
        check_params(self, self._rules)
        sample = self._sample(table, sample_weight)
        unit = sample.mean(self._columns.index(self._unit_columns[-1]))
        scaled = sample.scaled(tuple(unit if name in self._unit_columns else 1.0 for name in self._columns))
        starts = np.log(self._starts(scaled))
        optimum = _fit.fit_sample(
            self._loglik_loop,
            scaled,
            starts,
            penalty=float(self.penalty),
            max_iter=int(self.max_iter),
            tol=float(self.tol),
            exact=self._second_derivatives,
        )
        powers = np.array([self._unit_powers.get(name, 0) for name in self._names])
        theta = np.exp(optimum.logs) * unit**powers
        self._keep(theta)
        self.n_iter_ = optimum.n_iter
        self.converged_ = optimum.converged
        self.log_likelihood_ = float(_fit.total(self._loglik_loop, sample, theta)[0])
        self.covariance_ = _fit.covariance(optimum, theta)
        deviations = np.sqrt(np.diag(self.covariance_))
        self.standard_errors_ = {name: float(se) for name, se in zip(self._names, deviations, strict=True)}
        open_ended = _fit.undetermined(optimum)
        self.undetermined_ = tuple(name for name, flat in zip(self._names, open_ended, strict=True) if flat)
        self._report(optimum)
        return self

    def score(self, table: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log-likelihood per customer, for cross-validation: larger is better.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `fit`.
        y : None
            Ignored; here for scikit-learn.
        sample_weight : array-like of shape (n_customers,), optional
            Weight of each customer.

        Returns
        -------
        float
        """
        theta = self._theta()
        sample = self._sample(table, sample_weight)
        return float(_fit.total(self._loglik_loop, sample, theta)[0]) / float(sample.weight.sum())

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
        columns = self._read(table)
        weight = None if sample_weight is None else check_weight(sample_weight, columns[0].size)
        used = self._used(columns)
        if weight is not None and not weight.all():
            used = weight > 0 if used is None else used & (weight > 0)
        if used is not None and not used.all():
            columns = tuple(column[used] for column in columns)
            weight = None if weight is None else weight[used]
        if columns[0].size == 0:
            raise InvalidDataError(f"{type(self).__name__} needs at least one customer to learn from; found none.")
        return _fit.compress(columns, weight)

    def _keep(self, theta: np.ndarray) -> None:
        self.params_ = {name: float(value) for name, value in zip(self._names, theta, strict=True)}
        self.feature_names_in_ = np.array(self._columns, dtype=object)
        self.n_features_in_ = len(self._columns)

    def _theta(self) -> np.ndarray:
        check_is_fitted(self, "params_")
        return np.array([self.params_[name] for name in self._names])

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
            values = ", ".join(f"{name} = {self.params_[name]:.3g}" for name in self.undetermined_)
            warn(
                f"{owner}: these data do not determine {', '.join(self.undetermined_)}: the likelihood is flat, or "
                f"largest at the boundary ({values}). Predictions stand; standard_errors_ are infinite there. "
                "For finite estimates pass penalty=0.1, or fit to more customers.",
                FitWarning,
            )


class PurchaseModel(LikelihoodModel):
    """A model of purchases while alive, from `frequency`, `recency` and `T`.

    Beyond `LikelihoodModel`, a model sets the two loops of its predictions.
    """

    _columns: ClassVar[tuple[str, ...]] = (FREQUENCY, RECENCY, T)
    _unit_columns: ClassVar[tuple[str, ...]] = (RECENCY, T)
    _alive_loop: ClassVar[Callable[..., None]]  # loop(start, stop, x, t_x, T, theta, out)
    # Sum over k of weights[k] * E[purchases in (T, T + horizons[k]] | alive at T]:
    _purchases_loop: ClassVar[Callable[..., None]]  # loop(start, stop, x, T, theta, horizons, weights, out)

    def predict_alive(self, table: Any) -> np.ndarray:
        """Probability that each customer is still active at the end of the observation.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `recency` and `T`.

        Returns
        -------
        ndarray of shape (n_customers,)
            P(alive at `T`).
        """
        theta = self._theta()
        return self._alive(self._read(table), theta)

    def predict_purchases(self, table: Any, horizon: float) -> np.ndarray:
        """Expected number of purchases of each customer in the `horizon` after the observation.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `recency` and `T`.
        horizon : float
            Length of the time ahead, (T, T + horizon], in `time_unit`; may be infinite.

        Returns
        -------
        ndarray of shape (n_customers,)
            Expected purchases; P(alive) is included.
        """
        check_value("horizon", horizon, (Number(0),), f"{type(self).__name__}.predict_purchases")
        return self._weighted_purchases(table, np.array([float(horizon)]), np.ones(1))

    def predict_discounted_purchases(self, table: Any, horizon: float, rate: float) -> np.ndarray:
        """Expected purchases in the `horizon` ahead, each discounted to the end of the observation.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `recency` and `T`.
        horizon : float
            Length of the time ahead in `time_unit`; may be infinite.
        rate : float
            Continuous rate of discount per `time_unit`: a purchase after t counts exp(-rate * t).

        Returns
        -------
        ndarray of shape (n_customers,)
            Discounted expected purchases.
        """
        for name, value in (("horizon", horizon), ("rate", rate)):
            check_value(name, value, (Number(0),), f"{type(self).__name__}.predict_discounted_purchases")
        check_is_fitted(self, "params_")
        times = [value for name, value in self.params_.items() if self._unit_powers.get(name) == 1]
        return self._weighted_purchases(table, *discounting(float(horizon), float(rate), min(times)))

    def _weighted_purchases(self, table: Any, horizons: np.ndarray, weights: np.ndarray) -> np.ndarray:
        theta = self._theta()
        columns = self._read(table)
        x, _, age = columns
        # Given alive, a customer is (frequency, T): few distinct pairs, so that the costly part is done on them.
        grouped = _fit.distinct((x, age), most=0.5)
        if grouped is not None:
            codes, rows = grouped
            x, age = x[rows], age[rows]
        result = np.empty(x.size)
        _jit.run(self._purchases_loop, x.size, x, age, theta, horizons, weights, out=(result,), size=512)
        if grouped is not None:
            result = result[codes]
        result *= self._alive(columns, theta)
        return result

    def _alive(self, columns: tuple[np.ndarray, ...], theta: np.ndarray) -> np.ndarray:
        result = np.empty(columns[0].size)
        _jit.run(self._alive_loop, result.size, *columns, theta, out=(result,))
        return result

    def _read(self, table: Any) -> tuple[np.ndarray, ...]:
        owner = type(self).__name__
        frame = _frames.read(table, self._columns, owner, SUMMARY_HINT)
        x, t_x, age = (_frames.floats(frame, name) for name in self._columns)
        if not sum(_jit.run(count_impossible, x.size, x, t_x, age)):
            return x, t_x, age
        for name, values in zip(self._columns, (x, t_x, age), strict=True):
            refuse(frame, ~np.isfinite(values), f"have a missing or infinite {name}", "Drop or repair them.")
            refuse(frame, values < 0, f"have a negative {name}", "Summarise the log anew.")
        refuse(frame, x != np.rint(x), f"have a {FREQUENCY} that is no whole number", "It counts repeat periods.")
        refuse(frame, t_x > age, f"have {RECENCY} > {T}", "Was `as_of` earlier than the last event?")
        refuse(
            frame,
            (x == 0) & (t_x > 0),
            f"have {RECENCY} > 0 without a repeat purchase",
            f"{RECENCY} runs from the first to the last purchase; T - {RECENCY} is the time since the last one.",
        )
        return x, t_x, age


def check_weight(sample_weight: Any, n: int) -> np.ndarray:
    """Weights as float64 of shape (n,): finite, not negative."""
    weight = np.ascontiguousarray(sample_weight, dtype=np.float64)
    if weight.shape != (n,):
        raise ValueError(f"sample_weight must have one number per customer, shape ({n},); got {weight.shape}.")
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        message = offenders(bad, range(n), "have a negative or missing sample_weight")
        raise ValueError(f"{message}. Weights are counts of customers: 0 or more.")
    return weight


def refuse(frame: Any, bad: np.ndarray, verb_phrase: str, remedy: str) -> None:
    """Raise an InvalidDataError that counts and names the customers concerned, if there are any."""
    if bad.any():
        named = CUSTOMER_ID in frame.columns
        ids = frame[CUSTOMER_ID].to_list() if named else range(len(frame))
        raise InvalidDataError(f"{offenders(bad, ids, verb_phrase, 'customers' if named else 'rows')}. {remedy}")


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line outside this package that led here."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("custanalytics"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
