"""Spend that is related to how often somebody buys: a test of it, and a Gamma-Gamma model that allows for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy import stats

from custanalytics import _engines, _frames
from custanalytics._columns import EXPECTED_SPEND, FREQUENCY, MONETARY_VALUE, RECENCY, T
from custanalytics._engine_checks import Check, absent
from custanalytics._params import REAL, OneOf, check_params, check_value
from custanalytics.clv import _fit, _kernels_correlated_spend
from custanalytics.clv._base import SUMMARY_HINT, refuse
from custanalytics.clv._gamma_gamma import CHECKS, GammaGammaModel
from custanalytics.clv._given_alive import Spend
from custanalytics.clv._limits import AMOUNTS, CUSTOMERS_SPEND, Limits
from custanalytics.clv._nbd import NBDModel
from custanalytics.exceptions import InvalidDataError

REMEDY = "It is the time from the first purchase to the end of the observation."
OWN_CHECKS = (
    *(Check(each.phrase, each.remedy, lambda x, age, m, own=each: own.broken(x, m)) for each in CHECKS),
    Check(f"have a missing or infinite {T}", REMEDY, lambda x, age, m: absent(age)),
    Check(f"have a negative {T}", REMEDY, lambda x, age, m: age < 0),
)


class SpendIndependence(NamedTuple):
    """Result of `spend_independence_test`."""

    statistic: float
    p_value: float
    n_customers: int


def spend_independence_test(table: Any, *, method: str = "pearson") -> SpendIndependence:
    """Test whether what repeat buyers spend per purchase has to do with how often they buy.

    `GammaGammaModel` assumes that it has not. Where the correlation is small, say within 0.1 of 0, that does little
    harm even if a large sample makes it significant; else see `CorrelatedGammaGammaModel`.

    Parameters
    ----------
    table : frame or mapping of arrays
        One row per customer, with `frequency` and `monetary_value`. Only repeat buyers with a positive
        `monetary_value` are looked at.
    method : {"pearson", "spearman"}, default="pearson"
        Correlation of the numbers, or of their ranks, which a few extreme amounts do not change. Amounts are skewed,
        and the mean of few has a lower median than that of many: ranks correlate a little even under independence.

    Returns
    -------
    SpendIndependence
        A named tuple of `statistic`, the correlation, `p_value`, how likely one so far from 0 is if there is none, and
        `n_customers`.

    Raises
    ------
    InvalidDataError
        If fewer than three customers are left, or all of them buy as often, or spend as much.

    See Also
    --------
    CorrelatedGammaGammaModel : Spend that depends on the rate of purchase.

    References
    ----------
    .. [1] P. S. Fader, B. G. S. Hardie and K. L. Lee (2005), "RFM and CLV: Using Iso-Value Curves for Customer Base
       Analysis", Journal of Marketing Research 42(4), https://doi.org/10.1509/jmkr.2005.42.4.415; the check that
       precedes their model of spend.

    Examples
    --------
    >>> from custanalytics.clv import spend_independence_test
    >>> table = {"frequency": [0, 1, 1, 2, 3, 5, 8], "monetary_value": [0, 20, 35, 30, 25, 40, 28]}
    >>> spend_independence_test(table)
    SpendIndependence(statistic=0.212, p_value=0.687, n_customers=6)
    """
    owner = "spend_independence_test"
    check_value("method", method, (OneOf(("pearson", "spearman")),), owner)
    if _engines.is_lazy(table):
        raise TypeError(f"{owner} takes no table in an engine: collect the repeat buyers, or a sample of them, first.")
    frame = _frames.read(table, (FREQUENCY, MONETARY_VALUE), owner, SUMMARY_HINT)
    x, m = _frames.floats(frame, FREQUENCY), _frames.floats(frame, MONETARY_VALUE)
    for check in CHECKS:
        refuse(frame, check.broken(x, m), check.phrase, check.remedy)
    used = (x > 0) & (m > 0)
    x, m = x[used], m[used]
    if x.size < 3 or np.ptp(x) == 0 or np.ptp(m) == 0:
        raise InvalidDataError(
            f"{owner} needs at least three repeat buyers who differ in {FREQUENCY} and in {MONETARY_VALUE}; found "
            f"{x.size:,} with a positive {MONETARY_VALUE}."
        )
    if method == "spearman":
        x, m = stats.rankdata(x), stats.rankdata(m)
    found = stats.pearsonr(x, m)
    return SpendIndependence(float(found.statistic), float(found.pvalue), int(x.size))


class CorrelatedGammaGammaModel(GammaGammaModel):
    """Gamma-Gamma model of spend per purchase that may rise or fall with the rate of purchase.

    As in `GammaGammaModel`, but the mean spend of customers is proportional to (rate of purchase) ** c. It applies
    where heavy buyers spend systematically more (c > 0) or less (c < 0) per purchase; at c = 0 the two models are one,
    and `likelihood_ratio_test` of the two fits says whether the data need it. It does not apply where customers leave
    soon after they come, so that `frequency` over `T` says little about how often they bought while they did.

    Parameters
    ----------
    penalty : float or mapping, default=0.0
        As for `GammaGammaModel`; a number also penalises c squared, towards independence.
    max_iter : int, default=200
        Most iterations of the solver.
    tol : float, default=1e-9
        The solver stops when its next step would gain no more log-likelihood than this.

    Attributes
    ----------
    params_ : dict of str to float
        `p` and `q` without a unit, `v` in the currency of the log, and `c`.
    rate_params_ : dict of str to float
        `r` and `alpha` (in `time_unit`) of the NBD of all customers that gives the rates of purchase.
    log_likelihood_ : float
        Of the repeat buyers, at `params_`; comparable with that of `GammaGammaModel`.
    standard_errors_ : dict of str to float
        From the observed information; infinite for `undetermined_` parameters.
    covariance_ : ndarray of shape (4, 4)
        Of `p`, `q`, `v`, `c`.
    converged_ : bool
        Whether the solver reached `tol`.
    n_iter_ : int
        Iterations of the solver.
    undetermined_ : tuple of str
        Parameters that the data leave open.
    n_features_in_ : int
        How many columns are used: 3.
    feature_names_in_ : ndarray of shape (3,)
        The columns used: `frequency`, `T` and `monetary_value`.

    See Also
    --------
    GammaGammaModel : Spend that has nothing to do with the rate of purchase.
    spend_independence_test : Whether it has.

    Notes
    -----
    With g the logarithm of the expected rate of purchase, :math:`(r + x) / (\\alpha + T)` in an NBD fitted to the same
    customers, relative to its mean :math:`r / \\alpha`, the density is that of `GammaGammaModel` with
    :math:`v_i = v e^{c g_i}`, and

    .. math:: E(M \\mid x, m, T) = \\frac{p (v e^{c g} + m x)}{p x + q - 1}.

    References
    ----------
    .. [1] P. S. Fader and B. G. S. Hardie (2013), "The Gamma-Gamma Model of Monetary Value", technical note 025,
       http://www.brucehardie.com/notes/025/; the model at c = 0.

    Examples
    --------
    >>> from custanalytics.clv import CorrelatedGammaGammaModel
    >>> model = CorrelatedGammaGammaModel.from_params(p=6.25, q=3.74, v=15.4, c=0.3, r=0.385, alpha=12.07)
    >>> table = {"frequency": [0, 10], "T": [38.9, 38.9], "monetary_value": [0.0, 80.0]}
    >>> model.predict_spend(table).round(2)
    array([22.8 , 79.21])
    """

    _names: ClassVar[tuple[str, ...]] = ("p", "q", "v", "c")
    _limits: ClassVar[Limits] = (AMOUNTS, CUSTOMERS_SPEND)
    _signed: ClassVar[int] = 1
    _columns: ClassVar[tuple[str, ...]] = (FREQUENCY, T, MONETARY_VALUE)
    _learned: ClassVar[tuple[str, ...]] = (*GammaGammaModel._learned, "rate_params_")
    _checks: ClassVar[tuple[Check, ...]] = OWN_CHECKS
    _loglik_loop = staticmethod(_kernels_correlated_spend.log_likelihood_loop)

    rate_params_: dict[str, float]

    @classmethod
    def from_params(cls, **params: float) -> Self:
        """A fitted model at known parameters.

        Parameters
        ----------
        **params : float
            `p`, `q`, `v`, positive; `c`; and `r` and `alpha` of the NBD that gives the rates of purchase, positive, in
            the unit of the tables that the model will score.

        Returns
        -------
        model
            Ready to predict. It has `params_` but none of the attributes that describe a fit.

        Raises
        ------
        ValueError
            If a parameter is missing, unknown, not positive or, `c`, not finite.
        """
        names = (*cls._names, "r", "alpha")
        if set(params) != set(names):
            raise ValueError(f"{cls.__name__}.from_params takes exactly {list(names)}; got {list(params)}.")
        check_value("c", params["c"], (REAL,), f"{cls.__name__}.from_params")
        GammaGammaModel.from_params(**{name: params[name] for name in ("p", "q", "v")})
        model = cls()
        model.rate_params_ = NBDModel.from_params(r=params["r"], alpha=params["alpha"]).params_
        model._keep(np.array([float(params[name]) for name in cls._names]))
        return model

    def fit(self, table: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Estimate the rates of purchase from all customers, then the parameters of spend from the repeat buyers.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `T` and `monetary_value` in the currency of the log. Repeat buyers
            whose `monetary_value` is not positive are left out with a warning.
        y : None
            Ignored; here for scikit-learn.
        sample_weight : array-like of shape (n_customers,) or str, optional
            Weight of each customer, or the column of the table that holds it; 2 is the same as the row given twice.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            If no repeat buyer is left, or rows cannot be what the columns mean.
        TypeError
            If the table is in an engine.

        Warns
        -----
        DataQualityWarning
            If repeat buyers are left out.
        FitWarning
            If the solver stops short of `tol`, some parameters are not determined, or q <= 1.
        """
        check_params(self, self._rules)
        if _engines.is_lazy(table):
            raise TypeError(f"{type(self).__name__} is fitted in memory: collect the customers, or a sample, first.")
        if isinstance(sample_weight, str):
            sample_weight = _frames.floats(_frames.read(table, (sample_weight,), type(self).__name__), sample_weight)
        x, age, _ = self._checked_columns(table)
        self.rate_params_ = _rates(x, age, sample_weight, int(self.max_iter))
        return super().fit(table, y, sample_weight)

    def predict_spend(self, table: Any) -> Any:
        """Expected value of each customer's next purchases.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `T` and `monetary_value`.

        Returns
        -------
        ndarray of shape (n_customers,)
            Mean value per purchase in the currency of the log. A negative `monetary_value` counts as 0. For a table
            in an engine (Polars lazy, DuckDB, Dask, Spark, Ibis) the table itself, with the column `expected_spend`
            added.

        Warns
        -----
        FitWarning
            If q <= 1 makes the expectation of some customers infinite.
        """
        self._theta()
        if _engines.is_lazy(table):
            return self._added(table, EXPECTED_SPEND, "predict_spend")
        given = self._spend_given(table)
        with np.errstate(divide="ignore"):
            result = np.where(given.q > 1.0, given.p * given.v / np.maximum(given.q - 1.0, 0.0), np.inf)
        self._warn_of_endless(int(np.count_nonzero(np.isinf(result))), result.size)
        return result

    def _spend_given(self, table: Any) -> Spend:
        p, q, v, c = self._theta()
        x, g, m = self._read(table)
        return Spend(float(p), q + p * x, v * np.exp(c * g) + np.where(x > 0, x * np.maximum(m, 0.0), 0.0))

    def _checked_columns(self, table: Any) -> tuple[np.ndarray, ...]:
        frame = _frames.read(table, self._columns, type(self).__name__, SUMMARY_HINT)
        columns = tuple(_frames.floats(frame, name) for name in self._columns)
        for check in self._checks:
            refuse(frame, check.broken(*columns), check.phrase, check.remedy)
        return columns

    def _read(self, table: Any) -> tuple[np.ndarray, ...]:
        """`frequency`, the logarithm of the rate of purchase relative to the mean of all, `monetary_value`."""
        x, age, m = self._checked_columns(table)
        r, alpha = self.rate_params_["r"], self.rate_params_["alpha"]
        return x, np.log1p(x / r) - np.log1p(age / alpha), m

    def _used(self, columns: tuple[np.ndarray, ...]) -> np.ndarray:
        return super()._used((columns[0], columns[2]))

    def _maximise(self, sample: _fit.Sample, unit: float) -> _fit.Optimum:
        scaled = sample.scaled((1.0, 1.0, unit))
        starts = np.log(self._starts(scaled))
        return _fit.fit_sample(
            self._loglik_loop,
            sample,
            np.column_stack([starts, np.zeros(len(starts))]),
            penalty=self._penalty(unit),
            max_iter=int(self.max_iter),
            tol=float(self.tol),
            units=self._units(unit),
            coefficients=1,
        )

    def _penalty(self, unit: float) -> _fit.Penalty:
        if isinstance(self.penalty, Mapping) and "c" in self.penalty:
            raise ValueError("penalty gives log-normal priors to p, q and v; c may be negative: use a number for it.")
        return super()._penalty(unit)

    def _learn(self, optimum: _fit.Optimum, unit: float) -> None:
        theta = np.append(np.exp(optimum.logs[:3]) * self._units(unit)[:3], optimum.logs[3])
        self._keep(theta)
        self._keep_shape(optimum, _fit.shape(optimum), np.append(theta[:3], 1.0))
        self._report(optimum)


def _rates(x: np.ndarray, age: np.ndarray, weight: Any, max_iter: int) -> dict[str, float]:
    """Parameters of the NBD of all customers, who are taken to stay."""
    model = NBDModel(max_iter=max_iter)
    sample = model._sample({FREQUENCY: x, RECENCY: np.where(x > 0, age, 0.0), T: age}, weight)
    unit = sample.size(2)
    theta = np.exp(model._maximise(sample, unit).logs) * model._units(unit)
    return dict(zip(model._names, theta.tolist(), strict=True))
