"""Lifetime value: expected purchases times expected spend, discounted."""

from __future__ import annotations

from copy import copy
from functools import partial
from numbers import Real
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from custanalytics import _engine_checks, _engines
from custanalytics._columns import DAYS_PER_UNIT, FREQUENCY, LIFETIME_VALUE, MONETARY_VALUE, RECENCY, UNIT_NAMES, T
from custanalytics._params import NONE, REAL, Having, Number, OneOf, Rule, check_params
from custanalytics._units import warn_of_unit
from custanalytics.clv._base import SUMMARY_HINT
from custanalytics.clv._beta_geo import BetaGeoModel
from custanalytics.clv._customer_values import CustomerValues
from custanalytics.clv._discounting import discounting
from custanalytics.clv._gamma_gamma import GammaGammaModel
from custanalytics.clv._posterior_value import ValueUncertainty
from custanalytics.clv._saved import Saved
from custanalytics.clv._walks import CalendarModel


class LifetimeValue(ValueUncertainty, CustomerValues, Saved):
    """What each customer is expected to be worth over a horizon.

    Expected purchases from one model times expected spend per purchase from another, times the margin, each purchase
    discounted to the end of the observation. It applies where both models do: customers come and go without notice,
    and spend per purchase is unrelated to how often somebody buys. With a model of
    contracts for purchases, a renewal is a purchase, and what it costs can be given as `spend`.

    Parameters
    ----------
    purchases : estimator, optional
        Model with `predict_purchases(table, horizon)`; by default `BetaGeoModel()`.
    spend : estimator or float, optional
        Model with `predict_spend(table)`, or one value per purchase for everybody, in the currency of the log; by
        default `GammaGammaModel()`.
    horizon : float, default=52
        How far ahead to look, in `time_unit`.
    discount_rate : float, default=0.1
        Per year, whatever the unit of the table: 0.1 makes 110 a year ahead worth 100 now.
    time_unit : {"h", "D", "W", "M", "Y"}, default="W"
        Unit of `recency`, `T` and `horizon`; a year has 365.25 days.
    margin : float, default=1.0
        Share of spend that counts as value.

    Attributes
    ----------
    purchases_ : estimator
        The fitted model of purchases.
    spend_ : estimator or float
        The fitted model of spend, or the value given.
    n_features_in_ : int
        How many columns the models use.
    feature_names_in_ : ndarray of str
        The columns that the models use.

    See Also
    --------
    BetaGeoModel : The default for purchases.
    ParetoNBDModel : Another model of purchases.
    GammaGammaModel : The default for spend.

    Notes
    -----
    With delta = log(1 + `discount_rate`) / (units per year), X(t) the purchases in (T, T + t] and H the horizon,

    .. math:: V = \\text{margin} \\cdot E(M) \\int_0^H e^{-\\delta t} \\, dE[X(t)]
                = \\text{margin} \\cdot E(M) \\Big( e^{-\\delta H} E[X(H)]
                  + \\delta \\int_0^H e^{-\\delta t} E[X(t)] \\, dt \\Big),

    the integral by Gauss-Legendre quadrature in log(1 + t / scale) with a relative error of about 1e-10.

    `fit` fits copies and leaves the given models as they are. Without `fit`, `predict` works as soon as the given
    models are fitted, for example made by `from_params`; after `fit` it uses the copies.

    References
    ----------
    .. [1] P. S. Fader, B. G. S. Hardie and K. L. Lee (2005), "RFM and CLV: Using Iso-Value Curves for Customer Base
       Analysis", Journal of Marketing Research 42(4), equation 1, https://doi.org/10.1509/jmkr.2005.42.4.415.

    Examples
    --------
    >>> from custanalytics.clv import BetaGeoModel, GammaGammaModel, LifetimeValue
    >>> value = LifetimeValue(
    ...     purchases=BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426),
    ...     spend=GammaGammaModel.from_params(p=6.25, q=3.74, v=15.4),
    ... )
    >>> table = {"frequency": [0, 2], "recency": [0.0, 30.43], "T": [38.86, 38.86], "monetary_value": [0.0, 25.0]}
    >>> value.predict(table).round(2)
    array([ 8.47, 40.02])
    """

    _learned: ClassVar[tuple[str, ...]] = ("purchases_", "spend_", "feature_names_in_", "n_features_in_")
    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "purchases": (Having(("fit", "predict_purchases")), NONE),
        "spend": (Having(("fit", "predict_spend")), Number(0, closed="left"), NONE),
        "horizon": (Number(0),),
        "discount_rate": (Number(0, closed="left"),),
        "time_unit": (OneOf(tuple(DAYS_PER_UNIT)),),
        "margin": (REAL,),
    }

    def __init__(
        self,
        *,
        purchases: Any = None,
        spend: Any = None,
        horizon: float = 52,
        discount_rate: float = 0.1,
        time_unit: str = "W",
        margin: float = 1.0,
    ) -> None:
        self.purchases = purchases
        self.spend = spend
        self.horizon = horizon
        self.discount_rate = discount_rate
        self.time_unit = time_unit
        self.margin = margin

    def fit(self, table: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit a copy of each model to the table.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `recency`, `T` and `monetary_value`. Of a table in an engine
            (Polars lazy, DuckDB, Dask, Spark, Ibis) the models collect only counts and sums.
        y : None
            Ignored; here for scikit-learn.
        sample_weight : array-like of shape (n_customers,) or str, optional
            Weight of each customer, or the column of the table that holds it.

        Returns
        -------
        self

        Raises
        ------
        InvalidDataError
            If the table breaks a rule of one of the models.
        ValueError
            If the model of purchases has another `time_unit`.

        Warns
        -----
        DataQualityWarning
            If `recency` cannot be in `time_unit`, by the table's `first_seen` and `last_seen`.
        """
        check_params(self, self._rules)
        if not _engines.is_lazy(table):
            warn_of_unit(table, self.time_unit, type(self).__name__)
        self._check_unit(self.purchases)
        purchases = BetaGeoModel() if self.purchases is None else clone(self.purchases)
        self.purchases_ = purchases.fit(table, sample_weight=sample_weight)
        if isinstance(self.spend, Real):
            self.spend_: Any = float(self.spend)
        else:
            spend = GammaGammaModel() if self.spend is None else clone(self.spend)
            self.spend_ = spend.fit(table, sample_weight=sample_weight)
        names = [name for model in (self.purchases_, self.spend_) for name in getattr(model, "feature_names_in_", ())]
        self.feature_names_in_ = np.array(list(dict.fromkeys(names)), dtype=object)
        self.n_features_in_ = self.feature_names_in_.size
        return self

    def predict(self, table: Any) -> Any:
        """Expected discounted value of each customer over the horizon.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `recency`, `T` and, unless `spend` is a number, `monetary_value`.

        Returns
        -------
        ndarray of shape (n_customers,)
            In the currency of the log, at its value at the end of the observation. For a table in an engine (Polars
            lazy, DuckDB, Dask, Spark, Ibis) the table itself, with the column `lifetime_value` added.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If neither this estimator nor the models it was given are fitted.
        """
        check_params(self, self._rules)
        purchases, spend = self._models()
        if _engines.is_lazy(table):
            return _engines.native(self._added(table, purchases, spend))
        warn_of_unit(table, self.time_unit, type(self).__name__)
        worth = float(spend) if isinstance(spend, Real) else spend.predict_spend(table)
        return self._value(self._discounted(purchases, table), worth)

    def _models(self) -> tuple[Any, Any]:
        if hasattr(self, "purchases_"):
            self._check_unit(self.purchases_)
            return self.purchases_, self.spend_
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                "This LifetimeValue is not fitted yet. Call fit(table), or pass fitted models as purchases= and spend=."
            )
        self._check_unit(self.purchases)
        return self.purchases, self.spend

    def _check_unit(self, purchases: Any) -> None:
        unit = getattr(purchases, "time_unit", self.time_unit)
        if unit != self.time_unit:
            raise ValueError(
                f"{type(self).__name__} counts time in {UNIT_NAMES[self.time_unit]}, and its model of purchases, "
                f"{type(purchases).__name__}, in {UNIT_NAMES.get(unit, unit)}: give both the time_unit of the table."
            )

    def _added(self, table: Any, purchases: Any, spend: Any) -> nw.LazyFrame[Any]:
        """A table in an engine, checked at once, with the values added where the rows are."""
        count_columns = tuple(getattr(purchases, "feature_names_in_", (FREQUENCY, RECENCY, T)))
        spend_columns = tuple(getattr(spend, "feature_names_in_", () if isinstance(spend, Real) else _SPEND))
        needed = tuple(dict.fromkeys((*count_columns, *spend_columns)))
        lazy = _engines.read_table(table, needed, type(self).__name__, SUMMARY_HINT)
        checks = getattr(purchases, "_checks", ())
        if checks:
            _engine_checks.refuse(lazy, checks, *_engine_checks.numbers(lazy, count_columns))
        if type(spend) is GammaGammaModel:
            worth = spend._spend_expression(spend._checked(table))
        elif isinstance(spend, Real):
            worth = nw.lit(float(spend))
        else:  # another estimator's spend is computed together with the value
            whole = partial(_values, copy(self))
            return _engines.map_columns(lazy, needed, whole, {LIFETIME_VALUE: float})
        # Only what depends on few distinct numbers leaves the engine; the amounts are multiplied where they are.
        if isinstance(purchases, CalendarModel):
            method = "predict_discounted_purchases"
            lazy = _engines.wrap(purchases._added(table, LIFETIME_VALUE, method, float(self.horizon), self._force()))
        else:
            counted = partial(_counts, copy(self), copy(purchases))
            lazy = _engines.map_columns(lazy, count_columns, counted, {LIFETIME_VALUE: float})
        count, margin = nw.col(LIFETIME_VALUE), float(self.margin)
        nothing = (count == 0) | (worth == 0) | (nw.lit(margin) == 0)
        value = nw.when(nothing).then(nw.lit(0.0)).otherwise(count * worth * margin)
        return lazy.with_columns(value.alias(LIFETIME_VALUE))

    def _discounted(self, purchases: Any, table: Any) -> np.ndarray:
        horizon, rate = float(self.horizon), self._force()
        if hasattr(purchases, "predict_discounted_purchases"):
            return purchases.predict_discounted_purchases(table, horizon, rate)
        times, weights = discounting(horizon, rate, memory=np.inf)
        pairs = zip(times, weights, strict=True)
        return sum(weight * purchases.predict_purchases(table, time) for time, weight in pairs)

    def __sklearn_is_fitted__(self) -> bool:
        given = [model for model in (self.purchases, self.spend) if not isinstance(model, Real)]
        return hasattr(self, "purchases_") or all(hasattr(model, "params_") for model in given)


_SPEND = (FREQUENCY, MONETARY_VALUE)


def _values(model: LifetimeValue, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {LIFETIME_VALUE: model.predict(columns)}


def _counts(model: LifetimeValue, purchases: Any, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {LIFETIME_VALUE: model._discounted(purchases, columns)}
