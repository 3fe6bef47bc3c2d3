"""Values beyond their expectation: of one customer at a time, of a new one, as columns, and as random futures."""

from __future__ import annotations

from functools import lru_cache
from math import inf
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import narwhals as nw
import numpy as np

from custanalytics import _engines, _frames
from custanalytics._columns import (
    CUSTOMER_ID,
    EXPECTED_PURCHASES,
    EXPECTED_SPEND,
    FIRST_SEEN,
    FREQUENCY,
    LIFETIME_VALUE,
    MONETARY_VALUE,
    P_ALIVE,
    RECENCY,
    T,
)
from custanalytics._output import FrameTransformer
from custanalytics._params import NOT_NEGATIVE, REAL, Rule, check_params, check_value, integer
from custanalytics._units import warn_of_unit
from custanalytics.clv._base import SUMMARY_HINT
from custanalytics.clv._discounting import FADED, discounting, force_of_discount
from custanalytics.clv._futures import Futures
from custanalytics.clv._gamma_gamma import GammaGammaModel
from custanalytics.clv._given_alive import Spend
from custanalytics.clv._purchases import PurchaseModel
from custanalytics.clv._walks import CalendarModel


class ValueScore(NamedTuple):
    """What `LifetimeValue.score_one` says of a customer."""

    p_alive: float
    expected_purchases: float
    expected_spend: float
    lifetime_value: float


class CustomerValues(FrameTransformer):
    """What a lifetime value can say besides `predict`."""

    _rules: ClassVar[dict[str, tuple[Rule, ...]]]
    horizon: float
    discount_rate: float
    time_unit: str
    margin: float

    def transform(self, table: Any) -> Any:
        """Add what is expected of each customer to the table.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `predict`.

        Returns
        -------
        frame
            The table with the columns `p_alive` (where the model of purchases tells), `expected_purchases` over the
            horizon, `expected_spend` per purchase and `lifetime_value`, as the same kind of frame.

        Examples
        --------
        >>> import pandas as pd
        >>> from custanalytics.clv import BetaGeoModel, GammaGammaModel, LifetimeValue
        >>> value = LifetimeValue(
        ...     purchases=BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426),
        ...     spend=GammaGammaModel.from_params(p=6.25, q=3.74, v=15.4),
        ... )
        >>> table = pd.DataFrame({"frequency": [2], "recency": [30.43], "T": [38.86], "monetary_value": [25.0]})
        >>> value.transform(table)[["p_alive", "expected_purchases", "expected_spend", "lifetime_value"]].round(2)
           p_alive  expected_purchases  expected_spend  lifetime_value
        0     0.73                1.56           26.82           40.02
        """
        check_params(self, self._rules)
        purchases, spend = self._models()
        alive = hasattr(purchases, "predict_alive")
        if _engines.is_lazy(table):
            table = purchases.predict_alive(table) if alive else table
            table = purchases.predict_purchases(table, float(self.horizon))
            if isinstance(spend, Real):
                lazy = _engines.read_table(table, (), type(self).__name__, SUMMARY_HINT)
                table = _engines.native(lazy.with_columns(nw.lit(float(spend)).alias(EXPECTED_SPEND)))
            else:
                table = spend.predict_spend(table)
            return self.predict(table)
        frame = _frames.read(table, (), type(self).__name__, SUMMARY_HINT)
        warn_of_unit(table, self.time_unit, type(self).__name__)
        columns: dict[str, np.ndarray] = {P_ALIVE: purchases.predict_alive(table)} if alive else {}
        columns[EXPECTED_PURCHASES] = np.asarray(purchases.predict_purchases(table, float(self.horizon)))
        worth = np.full(len(frame), float(spend)) if isinstance(spend, Real) else np.asarray(spend.predict_spend(table))
        columns[EXPECTED_SPEND] = worth
        columns[LIFETIME_VALUE] = self._value(np.asarray(self._discounted(purchases, table)), worth)
        return self._give(_frames.extend(frame, columns))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns that `transform` adds.

        Parameters
        ----------
        input_features : None
            Ignored; here for scikit-learn.

        Returns
        -------
        ndarray of str
        """
        purchases, _ = self._models()
        alive = (P_ALIVE,) if hasattr(purchases, "predict_alive") else ()
        return np.array([*alive, EXPECTED_PURCHASES, EXPECTED_SPEND, LIFETIME_VALUE], dtype=object)

    def score_one(self, frequency: float, recency: float, T: float, monetary_value: float = 0.0) -> ValueScore:
        """Score a single customer in microseconds, for programs that look at one at a time.

        Any number of threads may call it at once.

        Parameters
        ----------
        frequency : int
            Repeat purchase periods.
        recency, T : float
            From the first purchase to the last one and to the end of the observation, in `time_unit`.
        monetary_value : float, default=0.0
            Mean value of the repeat periods, in the currency of the log.

        Returns
        -------
        ValueScore
            A named tuple of `p_alive`, `expected_purchases` over the horizon, `expected_spend` per purchase and
            `lifetime_value`: the same numbers as those of `transform`.

        Raises
        ------
        TypeError
            If the model of purchases is on a calendar, and asks when the customer came.
        ValueError
            If the numbers cannot be those of a customer.

        Examples
        --------
        >>> from custanalytics.clv import BetaGeoModel, GammaGammaModel, LifetimeValue
        >>> value = LifetimeValue(
        ...     purchases=BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426),
        ...     spend=GammaGammaModel.from_params(p=6.25, q=3.74, v=15.4),
        ... )
        >>> value.score_one(frequency=2, recency=30.43, T=38.86, monetary_value=25.0).lifetime_value
        40.02
        """
        purchases, spend = self._models()
        _refuse_calendar(purchases, f"{type(self).__name__}.score_one", "of that customer")
        horizon = float(self.horizon)
        row = {FREQUENCY: [frequency], RECENCY: [recency], "T": [T], MONETARY_VALUE: [monetary_value]}
        if not REAL.accepts(monetary_value):
            raise ValueError(f"monetary_value must be a finite number. Got {monetary_value!r} instead.")
        if isinstance(purchases, PurchaseModel) and purchases._scores_alone():
            alive, ahead = purchases.score_one(frequency, recency, T, horizon)
            count = alive * _discounted_alone(purchases, frequency, T, horizon, self._force())
        else:
            alive = float(purchases.predict_alive(row)[0]) if hasattr(purchases, "predict_alive") else np.nan
            ahead = float(purchases.predict_purchases(row, horizon)[0])
            count = float(self._discounted(purchases, row)[0])
        worth = float(spend) if isinstance(spend, Real) else _spend_alone(spend, frequency, monetary_value, row)
        nothing = count == 0 or worth == 0 or self.margin == 0
        return ValueScore(alive, ahead, worth, 0.0 if nothing else count * worth * float(self.margin))

    def predict_new_customer(self, acquisition_cost: float = 0.0) -> float:
        """Value of a new customer over the horizon, from the first purchase on and including it, less a cost.

        The most that may be paid for a customer is where it is 0.

        Parameters
        ----------
        acquisition_cost : float, default=0.0
            What it costs to win a customer, in the currency of the log, due at the first purchase.

        Returns
        -------
        float
            `margin` times expected spend times (1 + discounted repeat purchases), less `acquisition_cost`. The first
            purchase is taken to be worth what later ones are.

        Raises
        ------
        TypeError
            If the model of purchases is on a calendar, and asks when the customer comes.
        sklearn.exceptions.NotFittedError
            If neither this estimator nor the models it was given are fitted.

        Examples
        --------
        >>> from custanalytics.clv import BetaGeoModel, GammaGammaModel, LifetimeValue
        >>> value = LifetimeValue(
        ...     purchases=BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426),
        ...     spend=GammaGammaModel.from_params(p=6.25, q=3.74, v=15.4),
        ...     margin=0.3,
        ... )
        >>> round(value.predict_new_customer(acquisition_cost=20.0), 2)
        5.2
        """
        check_params(self, self._rules)
        owner = f"{type(self).__name__}.predict_new_customer"
        check_value("acquisition_cost", acquisition_cost, (NOT_NEGATIVE,), owner)
        purchases, spend = self._models()
        _refuse_calendar(purchases, owner, "of a new customer, with 0 for the rest,")
        new = {name: [0.0] for name in (FREQUENCY, RECENCY, T, MONETARY_VALUE)}
        repeats = np.asarray(self._discounted(purchases, new))
        worth = float(spend) if isinstance(spend, Real) else np.asarray(spend.predict_spend(new))
        return float(self._value(1.0 + repeats, worth)[0]) - float(acquisition_cost)

    def sample(self, table: Any, n_draws: int, rng: Any = None) -> np.ndarray:
        """Random futures: what each customer turns out to be worth over the horizon, discounted.

        Each draw takes whether the customer is active, a rate of purchase, a dropout probability (or a lifetime) and
        a level of spend from their distribution given what was observed; from those the purchases, their times and
        their amounts. Their mean is what `predict` gives; their spread is that of one customer, given the parameters.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `predict`.
        n_draws : int
            How many futures for each customer.
        rng : int or numpy.random.Generator, optional
            Seed. The draws of a customer depend on the seed and on the row of the table, not on the other rows or on
            the number of threads. A generator gives a seed.

        Returns
        -------
        ndarray of shape (n_customers, n_draws)
            In the currency of the log. It costs as much as there are purchases to draw.

        Raises
        ------
        TypeError
            If the model of purchases draws no futures, or the table is in an engine.
        ValueError
            If neither the horizon is finite nor there is a discount.

        Examples
        --------
        >>> from custanalytics.clv import BetaGeoModel, GammaGammaModel, LifetimeValue
        >>> value = LifetimeValue(
        ...     purchases=BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426),
        ...     spend=GammaGammaModel.from_params(p=6.25, q=3.74, v=15.4),
        ... )
        >>> table = {"frequency": [2], "recency": [30.43], "T": [38.86], "monetary_value": [25.0]}
        >>> import numpy as np
        >>> np.quantile(value.sample(table, n_draws=2_000, rng=0), [0.25, 0.5, 0.95]).round(-1)
        array([  0.,  20., 140.])
        """
        check_params(self, self._rules)
        owner = f"{type(self).__name__}.sample"
        check_value("n_draws", n_draws, (integer(1),), owner)
        purchases, spend = self._models()
        if not isinstance(purchases, Futures):
            raise TypeError(f"{owner} needs a model of purchases that draws futures; {purchases!r} does not.")
        rate = self._force()
        horizon = min(float(self.horizon), FADED / rate if rate > 0 else inf)
        if horizon == inf:
            raise ValueError(f"{owner} needs a finite horizon where discount_rate is 0.")
        n = purchases._read(table)[-1].size
        level, worth = _spend_of(spend, table, n)
        _, values = purchases._sample_value(table, int(n_draws), horizon, rate, rng, level, owner)
        return self._value(values, worth)

    def _value(self, count: np.ndarray, worth: Any) -> np.ndarray:
        """Discounted purchases times their worth: nothing is worth nothing, even where the other factor is infinite."""
        with np.errstate(invalid="ignore"):
            value: np.ndarray = count * worth
            value *= float(self.margin)
        if np.isnan(value).any():
            nothing = (count == 0) | (worth == 0) | (self.margin == 0)
            value = np.where(nothing, 0.0, value)
        return value

    def _models(self) -> tuple[Any, Any]:
        """The fitted models of purchases and of spend."""
        raise NotImplementedError

    def _discounted(self, purchases: Any, table: Any) -> np.ndarray:
        """Discounted purchases of each customer."""
        raise NotImplementedError

    def _force(self) -> float:
        return force_of_discount(float(self.discount_rate), self.time_unit)


def _refuse_calendar(purchases: Any, owner: str, whom: str) -> None:
    """Raise a TypeError where what is expected of a customer depends on the date."""
    if isinstance(purchases, CalendarModel):
        raise TypeError(
            f"{owner} knows no dates, and what {type(purchases).__name__} expects depends on them. Call predict or "
            f"transform with a table {whom} that has {CUSTOMER_ID} and {FIRST_SEEN}, and intervals that cover the time."
        )


@lru_cache(maxsize=64)
def _nodes(horizon: float, rate: float, memory: float, bends: float) -> tuple[np.ndarray, np.ndarray]:
    return discounting(horizon, rate, memory, bends)


def _discounted_alone(purchases: PurchaseModel, frequency: float, age: float, horizon: float, rate: float) -> float:
    """Discounted purchases of a customer who is alive, by the loop that `predict` runs."""
    times, weights = _nodes(horizon, rate, purchases._memory(), purchases._bends(horizon))
    columns = tuple(np.array([[frequency], [0.0], [age]], np.float64))
    return float(purchases._if_alive(columns, purchases._theta(), times, weights)[0])


def _spend_alone(spend: Any, frequency: float, monetary_value: float, row: dict[str, list[float]]) -> float:
    if type(spend) is GammaGammaModel:  # others may look at more columns
        return float(spend._spend_one(float(frequency), float(monetary_value)))
    return float(spend.predict_spend(row)[0])


def _spend_of(spend: Any, table: Any, n: int) -> tuple[Spend, Any]:
    """How amounts are drawn, and what the draws are to be multiplied by."""
    if hasattr(spend, "_spend_given"):
        return spend._spend_given(table), 1.0
    worth = float(spend) if isinstance(spend, Real) else np.asarray(spend.predict_spend(table))[:, None]
    return Spend(0.0, np.ones(n), np.ones(n)), worth
