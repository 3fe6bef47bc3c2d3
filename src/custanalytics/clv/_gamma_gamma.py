"""The Gamma-Gamma model of spend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np

from custanalytics import _engine_checks, _engines, _frames, _jit
from custanalytics._columns import EXPECTED_SPEND, FREQUENCY, MONETARY_VALUE
from custanalytics._engine_checks import Check, absent
from custanalytics._params import check_params, warn
from custanalytics.clv import _fit, _kernels_gamma_gamma, _spend_sums
from custanalytics.clv._base import SUMMARY_HINT, LikelihoodModel, refuse
from custanalytics.clv._given_alive import Spend
from custanalytics.clv._limits import AMOUNTS, CUSTOMERS_SPEND, Limits
from custanalytics.clv._weights import WEIGHT_CHECK, weight_column
from custanalytics.exceptions import DataQualityWarning, FitWarning, InvalidDataError

Q_BELOW_ONE = "q <= 1, so that the mean spend over all customers is infinite"
FEW = 20_000  # repeat buyers of a table in an engine up to whom their distinct amounts are collected

# A check is a function of frequency and monetary_value, arrays or expressions alike.
CHECKS = (
    Check(f"have a missing or infinite {FREQUENCY}", "Drop or repair them.", lambda x, m: absent(x)),
    Check(f"have a negative {FREQUENCY}", "Summarise the log anew.", lambda x, m: x < 0),
    Check(
        f"have repeat purchases but a missing or infinite {MONETARY_VALUE}",
        "Drop or repair them.",
        lambda x, m: absent(m) & (x > 0),
    ),
)


class GammaGammaModel(LikelihoodModel):
    """Gamma-Gamma model of how much a customer spends per purchase.

    Every purchase of a customer is gamma distributed about that customer's own mean, and the means differ between
    customers. Customers with few repeat purchases are drawn towards the population, those with many keep their
    own average. It applies where spend varies around a stable mean and has nothing to do with how often somebody
    buys (`spend_independence_test` says); where heavy buyers spend systematically more or less per purchase,
    `CorrelatedGammaGammaModel` does. It does not apply where prices are subscriptions.

    `monetary_value` is what a purchase brought, before or after returns, but the same for all: net of returns, somebody
    who sent everything back has 0 or less, says nothing about the value of what is kept, and is left out of the fit.

    Parameters
    ----------
    penalty : float or mapping, default=0.0
        Weight of the squared log-parameters (`v` in units of the mean spend) that is taken off the log-likelihood:
        a normal prior of variance 1 / (2 * penalty) on each of them.
        A mapping from parameters to pairs (median, spread) gives those a log-normal prior each, in the currency of the
        log where they carry it; the spread is the standard deviation of the logarithm.
    max_iter : int, default=200
        Most iterations of the solver.
    tol : float, default=1e-9
        The solver stops when its next step would gain no more log-likelihood than this.

    Attributes
    ----------
    params_ : dict of str to float
        `p` and `q` without a unit, `v` in the currency of the log.
    log_likelihood_ : float
        Of the repeat buyers, at `params_`.
    n_customers_ : float
        Sum of the weights of the repeat buyers learned from: their number where no weights are given.
    aic_, bic_ : float
        Akaike's and Schwarz's criteria, of fits to the same customers: smaller is better.
    standard_errors_ : dict of str to float
        From the observed information; infinite for `undetermined_` parameters.
    covariance_ : ndarray of shape (3, 3)
        Of `p`, `q`, `v`.
    converged_ : bool
        Whether the solver reached `tol`.
    n_iter_ : int
        Iterations of the solver.
    undetermined_ : tuple of str
        Parameters that the data leave open: flat likelihood, or a maximum at the boundary.
    n_features_in_ : int
        How many columns are used: 2.
    feature_names_in_ : ndarray of shape (2,)
        The columns used.

    See Also
    --------
    BetaGeoModel : How often customers buy.
    LifetimeValue : Purchases times spend, discounted.

    Notes
    -----
    Given x purchases of mean m, the expected value of a purchase is

    .. math:: E(M \\mid x, m) = \\frac{p (v + m x)}{p x + q - 1},

    an average of the population mean :math:`p v / (q - 1)` and m with weights q - 1 and p x. One-time buyers (x = 0)
    get the population mean. For q <= 1 that mean is infinite: fitting and predicting warn, and `predict_spend` gives
    infinity, never a negative number, for the customers with p x + q <= 1. All others stay finite.

    The log-likelihood is accurate to about 1e-15 of the largest of its terms per customer, whatever the size of the
    parameters.

    References
    ----------
    .. [1] P. S. Fader and B. G. S. Hardie (2013), "The Gamma-Gamma Model of Monetary Value", technical note 025,
       equations 1 (likelihood) and 5 (conditional expectation), http://www.brucehardie.com/notes/025/.
    .. [2] P. S. Fader, B. G. S. Hardie and K. L. Lee (2005), "RFM and CLV: Using Iso-Value Curves for Customer Base
       Analysis", Journal of Marketing Research 42(4), https://doi.org/10.1509/jmkr.2005.42.4.415.

    Examples
    --------
    >>> from custanalytics.clv import GammaGammaModel
    >>> model = GammaGammaModel.from_params(p=6.25, q=3.74, v=15.4)
    >>> model.predict_spend({"frequency": [0, 1, 10], "monetary_value": [0.0, 80.0, 80.0]}).round(2)
    array([35.13, 66.32, 78.12])
    """

    _nobody: ClassVar[str] = (
        " who has bought again for a positive monetary_value. LifetimeValue(spend=20.0) takes one value per purchase "
        "for everybody"
    )
    _names: ClassVar[tuple[str, ...]] = ("p", "q", "v")
    _limits: ClassVar[Limits] = (AMOUNTS, CUSTOMERS_SPEND)
    _columns: ClassVar[tuple[str, ...]] = (FREQUENCY, MONETARY_VALUE)
    _unit_columns: ClassVar[tuple[str, ...]] = (MONETARY_VALUE,)
    _unit_powers: ClassVar[Mapping[str, int]] = {"v": 1}
    _loglik_loop = staticmethod(_kernels_gamma_gamma.log_likelihood_loop)
    _checks: ClassVar[tuple[Check, ...]] = CHECKS

    def fit(self, table: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Estimate the parameters from the repeat buyers by maximum likelihood.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency` and `monetary_value` in the currency of the log. One-time buyers
            are passed over; repeat buyers whose `monetary_value` is not positive are left out with a warning. Of a
            table in an engine (Polars lazy, DuckDB, Dask, Spark, Ibis) only sums for each `frequency` are collected.
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

        Warns
        -----
        DataQualityWarning
            If repeat buyers are left out.
        FitWarning
            If the solver stops short of `tol`, some parameters are not determined, or q <= 1.
        """
        if _engines.is_lazy(table):
            check_params(self, self._rules)
            self._fit_in_engine(*self._repeaters(table, sample_weight))
        else:
            super().fit(table, y, sample_weight)
        if self.params_["q"] <= 1:
            warn(
                f"{type(self).__name__}: {Q_BELOW_ONE} (q = {self.params_['q']:.3g}). "
                "Look for a few extreme amounts, or pass penalty=0.1.",
                FitWarning,
            )
        return self

    def score(self, table: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log-likelihood per repeat buyer, for cross-validation: larger is better.

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
        if not _engines.is_lazy(table):
            return super().score(table, y, sample_weight)
        logs = np.log(self._theta())
        sums = self._repeaters(table, sample_weight)[0].sums(float(logs[2]))
        return sums.likelihood(logs)[0] / float(sums.weight.sum())

    def predict_spend(self, table: Any) -> Any:
        """Expected value of each customer's next purchases.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency` and `monetary_value`.

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
        theta = self._theta()
        if _engines.is_lazy(table):
            lazy = self._checked(table)
            kept = [name for name in lazy.collect_schema().names() if name != EXPECTED_SPEND]
            return _engines.native(lazy.select(*kept, self._spend_expression(lazy).alias(EXPECTED_SPEND)))
        x, m = self._read(table)
        result = np.empty(x.size)
        _jit.run(_kernels_gamma_gamma.spend_loop, x.size, x, np.maximum(m, 0.0), theta, out=(result,))
        self._warn_of_endless(int(np.count_nonzero(np.isinf(result))), result.size)
        return result

    def _spend_one(self, frequency: float, monetary_value: float) -> float:
        """`predict_spend` of one customer, in the operations of `spend_loop`."""
        p, q, v = (self.params_[name] for name in self._names)
        spent = frequency * max(monetary_value, 0.0) if frequency > 0 else 0.0
        weight = p * frequency + (q - 1.0)
        return p * (v + spent) / weight if weight > 0 else np.inf

    def _spend_given(self, table: Any) -> Spend:
        """How the next purchases of each customer are distributed."""
        p, q, v = self._theta()
        x, m = self._read(table)
        return Spend(float(p), q + p * x, v + np.where(x > 0, x * np.maximum(m, 0.0), 0.0))

    def _warn_of_endless(self, endless: int, n: int) -> None:
        if endless:
            warn(
                f"{type(self).__name__}: {Q_BELOW_ONE}: {endless:,} of {n:,} customers, with p * frequency + q "
                "<= 1, are given an infinite expectation. Replace theirs by the median of the others, or fit "
                "with penalty=0.1.",
                FitWarning,
            )

    def _checked(self, table: Any) -> nw.LazyFrame[Any]:
        """A table in an engine whose rows can be scored, with a warning for those of infinite expectation."""
        lazy = _engines.read_table(table, self._columns, type(self).__name__, SUMMARY_HINT)
        values = _engine_checks.numbers(lazy, self._columns)
        endless = values[0] * self.params_["p"] + (self.params_["q"] - 1.0) <= 0
        found = _engine_checks.refuse(lazy, self._checks, *values, counting={"endless": endless})
        self._warn_of_endless(found["endless"], found["n_rows"])
        return lazy

    def _spend_expression(self, lazy: nw.LazyFrame[Any]) -> nw.Expr:
        """`spend_loop` as an expression, which an engine evaluates where the rows are."""
        x, m = _engine_checks.numbers(lazy, self._columns)
        p, q, v = (self.params_[name] for name in self._names)
        spent = nw.when((x > 0) & (m > 0)).then(x * m).otherwise(nw.lit(0.0))
        weight = x * p + (q - 1.0)
        divisor = nw.when(weight > 0).then(weight).otherwise(nw.lit(1.0))
        return nw.when(weight > 0).then((spent + v) * p / divisor).otherwise(nw.lit(np.inf))

    def _repeaters(self, table: Any, sample_weight: Any) -> tuple[_spend_sums.Repeaters, int]:
        """The repeat buyers of a table in an engine, checked, and how many they are."""
        by = (*self._columns, *weight_column(sample_weight))
        lazy = _engines.read_table(table, by, type(self).__name__, SUMMARY_HINT)
        x, m, *weight = _engine_checks.numbers(lazy, by)
        if weight:
            _engine_checks.refuse(lazy, [WEIGHT_CHECK], *weight)
        repeats = (x > 0) & (weight[0] > 0) if weight else x > 0
        used = repeats & (m > 0)
        masks = {"repeats": x > 0, "worthless": (x > 0) & (m <= 0), "used": used}
        found = _engine_checks.refuse(lazy, self._checks, x, m, counting=masks)
        self._warn_of_worthless(found["worthless"], found["repeats"])
        if not found["used"]:
            raise InvalidDataError(
                f"{type(self).__name__} needs at least one customer to learn from; found none{self._nobody}."
            )
        one = x * 0.0 + 1.0  # a literal would be an exact decimal to PostgreSQL
        mine = (weight[0] if weight else one).alias(_spend_sums.WEIGHT)
        named = (x.alias(_spend_sums.X), m.alias(_spend_sums.M), mine)
        return _spend_sums.Repeaters(lazy.filter(used).select(*named), bool(weight)), found["used"]

    def _fit_in_engine(self, repeaters: _spend_sums.Repeaters, n: int) -> None:
        if n <= FEW:
            columns, weight = repeaters.pairs()
            super().fit(dict(zip(self._columns, columns, strict=True)), sample_weight=weight)
            return
        coarse = repeaters.binned()
        unit = coarse.size(1)
        self.n_customers_ = float(coarse.weight.sum())
        start = self._maximise(coarse, unit)
        settings = self._penalty(unit), int(self.max_iter), float(self.tol)
        optimum, log_likelihood = _spend_sums.maximise(repeaters, start, unit, *settings)
        self._learn(optimum, unit)
        self.log_likelihood_ = log_likelihood

    def _read(self, table: Any) -> tuple[np.ndarray, ...]:
        x, m = _frames.numbers(table, self._columns, self._columns, type(self).__name__, SUMMARY_HINT)
        for check in self._checks:
            refuse(table, check.broken(x, m), check.phrase, check.remedy)
        return x, m

    def _used(self, columns: tuple[np.ndarray, ...]) -> np.ndarray:
        x, m = columns
        worthless = (x > 0) & (m <= 0)
        self._warn_of_worthless(int(np.count_nonzero(worthless)), int(np.count_nonzero(x > 0)))
        return (x > 0) & ~worthless

    def _warn_of_worthless(self, worthless: int, repeats: int) -> None:
        if worthless:
            warn(
                f"{type(self).__name__} leaves out {worthless:,} of {repeats:,} repeat buyers, whose "
                f"{MONETARY_VALUE} is not positive: the model is about purchases that cost something.",
                DataQualityWarning,
            )

    def _starts(self, sample: _fit.Sample) -> np.ndarray:
        # v is such that the mean over customers is that of the sample, 1 in scaled units
        one = 1.0 / sample.mean(0)  # the p of amounts that vary as if all purchases of a customer were one
        shapes = ((2.0, 3.0), (6.0, 4.0), (30.0, 4.0), (5.0, 40.0), (0.5, 1.5), (1.0, 100.0), (100.0, 2.0))
        starts = [(p, q, (q - 1.0) / p) for p, q in (*shapes, (0.05 * one, 100.0))]
        # amounts of many orders of magnitude: no mean to speak of, and a scale as small as the smallest of them, or
        # in their middle
        middle = np.exp(np.average(np.log(sample.columns[-1]), weights=sample.weight))
        return np.array([*starts, (2.0, 0.1, 1e-6), (0.5 * one, 0.5, middle)])
