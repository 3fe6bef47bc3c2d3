"""What the BG/CNBD-k and the MBG/CNBD-k share: Erlang-k times between purchases, and the choice of k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from custanalytics import _engines, _frames, _jit
from custanalytics._columns import FREQUENCY, RECENCY
from custanalytics._params import NONE, Rule, check_params, check_value, integer, warn
from custanalytics.clv import _fit, _kernels_cnbd, _kernels_cnbd_purchases
from custanalytics.clv._base import refuse
from custanalytics.clv._discounting import discounting
from custanalytics.clv._dropout_covariates import BetaDropoutModel
from custanalytics.clv._given_alive import GivenAlive
from custanalytics.clv._given_phases import GivenPhases
from custanalytics.clv._limits import DROPOUT, PURCHASES, Limits
from custanalytics.clv._modified_beta_geo import family_starts
from custanalytics.clv._purchases import check_horizons
from custanalytics.exceptions import DataQualityWarning, FitWarning, MissingColumnError

LITT = "litt"  # sum of the natural logarithms of the times between purchases
MOST_K = 1000
ANOTHER_UNIT = 1.0  # of the logarithm of a time; days and weeks differ by 1.9
FADED_FAR = 36.0  # exp(-36): what comes later counts for nothing; a far horizon is costly here


class CNBDModel(BetaDropoutModel):
    """Purchases with Erlang-k times between them, and dropout after purchases."""

    _names: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")
    _limits: ClassVar[Limits] = (PURCHASES, DROPOUT)
    _unit_powers: ClassVar[Mapping[str, int]] = {"alpha": 1}
    _second_derivatives: ClassVar[bool] = True
    _learned: ClassVar[tuple[str, ...]] = (*BetaDropoutModel._learned, "k_")
    _chances: ClassVar[int]  # tosses before the first repeat purchase
    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "k": (integer(1, MOST_K), NONE),
        "max_k": (integer(1, MOST_K),),
        **BetaDropoutModel._rules,
    }

    def __init__(
        self,
        *,
        k: int | None = None,
        max_k: int = 12,
        rate_covariates: Sequence[str] = (),
        dropout_covariates: Sequence[str] = (),
        equal_covariates: Sequence[str] = (),
        dropout_effect: str = "a",
        covariate_penalty: float = 0.0,
        penalty: float | Mapping[str, tuple[float, float]] = 0.0,
        max_iter: int = 200,
        tol: float = 1e-9,
    ) -> None:
        super().__init__(
            rate_covariates=rate_covariates,
            dropout_covariates=dropout_covariates,
            equal_covariates=equal_covariates,
            dropout_effect=dropout_effect,
            covariate_penalty=covariate_penalty,
            penalty=penalty,
            max_iter=max_iter,
            tol=tol,
        )
        self.k = k
        self.max_k = max_k

    k_: int

    @classmethod
    def from_params(cls, **params: Any) -> Self:
        """A fitted model at known parameters.

        Parameters
        ----------
        **params : float
            `k`, a whole number, and `r`, `alpha` (in the unit of the tables that the model will score), `a`, `b`,
            positive; also `coefficients`, as of the other models.

        Returns
        -------
        model
            Ready to predict. It has `params_` but none of the attributes that describe a fit.

        Raises
        ------
        ValueError
            If a parameter is missing, unknown or not positive.
        """
        k = params.pop("k", None)
        if k is None:
            raise ValueError(f"{cls.__name__}.from_params takes exactly {['k', *cls._names]}; got {list(params)}.")
        if isinstance(k, float) and k.is_integer():
            k = int(k)
        check_value("k", k, (integer(1, MOST_K),), f"{cls.__name__}.from_params")
        model = super().from_params(**params)
        model.k_ = int(k)
        model.params_ = {"k": float(k), **model.params_}
        return model

    def fit(self, table: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Estimate the parameters by maximum likelihood, and k where it is not given.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `recency` and `T`; to choose k also with `litt`, the sum of the
            natural logarithms of the times between a customer's purchases, 0 where there is no repeat purchase. Times
            of 0 have no logarithm: merge purchases of one period first.
        y : None
            Ignored; here for scikit-learn.
        sample_weight : array-like of shape (n_customers,) or str, optional
            Weight of each customer, or the column of the table that holds it.

        Returns
        -------
        self

        Raises
        ------
        MissingColumnError
            If k is to be chosen and there is no `litt`.
        InvalidDataError
            If rows cannot be what the columns mean, or none is left.

        Warns
        -----
        FitWarning
            If the solver stops short of `tol`, or some parameters are not determined by the data.
        DataQualityWarning
            If no times between purchases that add up to `recency` have such a `litt`.
        """
        self._check_covariates()
        check_params(self, self._rules)
        sample = self._sample(table, sample_weight)
        unit = sample.size(self._columns.index(self._unit_columns[-1]))
        litt = self._sum_of_litt(table, sample_weight, doubt=True)
        if litt is None and self.k is None:
            raise MissingColumnError(
                f"{type(self).__name__} needs the column {LITT!r} to choose k: the sum of the logarithms of the times "
                f"between a customer's purchases. Without it, give k, for example {type(self).__name__}(k=2)."
            )
        best: tuple[float, int, _fit.Optimum] | None = None
        for k in range(1, int(self.max_k) + 1) if self.k is None else (int(self.k),):
            self.k_ = k
            optimum = self._maximise(sample, unit)
            height = self._constant(sample, litt) - optimum.value
            if best is None or height > best[0]:
                best = height, k, optimum
            elif k > best[1] + 1:  # lower twice: over k there is one maximum
                break
        assert best is not None  # there is always a k
        self.k_ = best[1]
        self.n_customers_ = float(sample.weight.sum())
        self._learn(best[2], unit)
        loop, theta = self._likelihood()
        self.log_likelihood_ = float(_fit.total(loop, sample, theta)[0] + self._constant(sample, litt))
        if self.k is None and self.k_ == int(self.max_k) > 1:
            warn(
                f"{type(self).__name__}: k = {self.k_} is the largest that was tried, and the best. Purchases are very "
                "regular; pass a larger max_k.",
                FitWarning,
            )
        return self

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
            Without the column `litt`, a constant is missing that depends on k alone.
        """
        loop, theta = self._likelihood()
        sample = self._sample(table, sample_weight)
        constant = self._constant(sample, self._sum_of_litt(table, sample_weight))
        return float(_fit.total(loop, sample, theta)[0] + constant) / float(sample.weight.sum())

    def expected_purchases_new_customer(self, horizon: ArrayLike) -> Any:
        """Expected repeat purchases of a new customer, from the first purchase on.

        Parameters
        ----------
        horizon : float or array-like
            How long after the first purchase, in `time_unit`.

        Returns
        -------
        float or ndarray of the shape of `horizon`
            E[X(horizon)].
        """
        theta = self._theta()
        times = check_horizons(horizon, "expected_purchases_new_customer")
        new = tuple(np.zeros(1) for _ in self._columns)
        stays = theta[3] / (theta[2] + theta[3]) if self._chances else 1.0
        one = np.ones(1)
        result = np.array([self._if_alive(new, theta, time * one, one)[0] * stays for time in times.ravel()])
        return result.reshape(times.shape) if times.ndim else float(result[0])

    # The likelihood and the predictions are those of one k, which is known only after the class is made.
    @property
    def _loglik_loop(self) -> Any:  # type: ignore[override]
        return partial(_kernels_cnbd.log_likelihood_loop, float(self.k_), float(self._chances))

    @property
    def _grouped_loop(self) -> Any:  # type: ignore[override]
        return partial(_kernels_cnbd.grouped_loop, float(self.k_), float(self._chances))

    @property
    def _alive_loop(self) -> Any:  # type: ignore[override]
        return partial(_kernels_cnbd.alive_loop, float(self.k_), float(self._chances))

    def _weighted_purchases(self, table: Any, horizons: np.ndarray, weights: np.ndarray) -> np.ndarray:
        theta = self._theta()
        columns = self._read(table)
        grouped = _fit.distinct(columns, most=0.5)
        if grouped is None:
            result = self._if_alive(columns, theta, horizons, weights)
        else:
            codes, rows = grouped
            result = self._if_alive(tuple(column[rows] for column in columns), theta, horizons, weights)[codes]
        return result * self._alive(columns, theta)

    def _if_alive(
        self, columns: tuple[np.ndarray, ...], theta: np.ndarray, horizons: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        x, t_x, age = columns
        result = np.empty(x.size)
        loop = partial(_kernels_cnbd_purchases.purchases_loop, float(self.k_), float(self._chances))
        _jit.run(loop, x.size, x, age - t_x, age, theta, horizons, weights, out=(result,), size=64)
        return result

    def _discounted(self, table: Any, horizon: float, rate: float) -> np.ndarray:
        r, alpha, a, b = self._theta()
        memory = alpha / max(1.0, a, r * a / (a + b))
        return self._weighted_purchases(table, *finely(*discounting(horizon, rate, memory), rate, memory))

    def _given_alive(self, columns: tuple[np.ndarray, ...], theta: np.ndarray) -> GivenPhases:
        (x, t_x, age), (r, alpha, a, b) = columns, theta
        scale, tosses = alpha + age, x + self._chances
        share = (age - t_x) / scale
        given = GivenAlive.of(x.size, shape=r + self.k_ * x, scale=scale, a=a, c=b + tosses, share=share)
        return self._given(given.table)

    def _given(self, table: np.ndarray) -> GivenPhases:
        return GivenPhases(table, self.k_)

    def _keep(self, theta: np.ndarray) -> None:
        super()._keep(theta)
        if hasattr(self, "k_"):
            self.params_ = {"k": float(self.k_), **self.params_}

    def _constant(self, sample: _fit.Sample, litt: float | None) -> float:
        """What the log-likelihood has of the times between purchases, which no parameter but k changes."""
        purchases = float(sample.weight @ sample.columns[0])
        return (self.k_ - 1) * (litt or 0.0) - float(special.gammaln(self.k_)) * purchases

    def _sum_of_litt(self, table: Any, sample_weight: Any, doubt: bool = False) -> float | None:
        owner = type(self).__name__
        if _engines.is_lazy(table):
            return None
        frame = _frames.read(table, self._columns, owner)
        if LITT not in frame.columns:
            return None
        litt, x = _frames.floats(frame, LITT), _frames.floats(frame, FREQUENCY)
        litt = np.where(x > 0, litt, 0.0)
        refuse(
            frame,
            ~np.isfinite(litt),
            f"have a missing or infinite {LITT}",
            "A time of 0 between purchases has no logarithm: merge purchases of one period.",
        )
        if doubt:
            warn_of_litt(litt, x, _frames.floats(frame, RECENCY), owner)
        if sample_weight is None:
            return float(litt.sum())
        weight = _frames.floats(frame, sample_weight) if isinstance(sample_weight, str) else np.asarray(sample_weight)
        return float(litt @ weight)

    def _starts(self, sample: _fit.Sample) -> np.ndarray:
        return family_starts(sample, self.k_)


def warn_of_litt(litt: np.ndarray, x: np.ndarray, t_x: np.ndarray, owner: str) -> None:
    """Warn where no times that add up to recency have such a sum of logarithms: that of equal ones is the largest."""
    some = (x > 0) & (t_x > 0)
    x, above = x[some], litt[some] / x[some] - np.log(t_x[some] / x[some])
    wrong = (above > ANOTHER_UNIT) | ((x == 1) & (above < -ANOTHER_UNIT))
    if wrong.any():
        warn(
            f"{owner}: {np.count_nonzero(wrong):,} of {x.size:,} repeat buyers have a {LITT} that no times "
            f"between purchases have which add up to their {RECENCY}. Are both in the same unit?",
            DataQualityWarning,
        )


def finely(times: np.ndarray, weights: np.ndarray, rate: float, memory: float) -> tuple[np.ndarray, np.ndarray]:
    """Discounting at more times: expectations of regular buyers are steps, which fade after a few purchases."""
    if times.size == 1:
        return times, weights
    end = min(times[-1], FADED_FAR / rate)
    scale = min(memory, end) * 1e-2
    bounds = np.linspace(0.0, np.log1p(end / scale), 33)
    nodes, shares = np.polynomial.legendre.leggauss(10)
    at = (bounds[:-1, None] + np.diff(bounds)[:, None] * 0.5 * (nodes + 1.0)).ravel()
    spread = (np.diff(bounds)[:, None] * 0.5 * shares).ravel()
    finer = scale * np.expm1(at)
    factors = rate * spread * (finer + scale) * np.exp(-rate * finer)
    return np.append(finer, end), np.append(factors, np.exp(-rate * end))
