"""Lifetime value with its uncertainty: that of the parameters of both models, and that of each customer."""

from __future__ import annotations

from copy import copy
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from custanalytics import _engines
from custanalytics._columns import FREQUENCY, MONETARY_VALUE
from custanalytics._params import LEVEL, check_params, check_value
from custanalytics.clv import _count_intervals
from custanalytics.clv._posterior import ParameterPosterior
from custanalytics.clv._posterior_predictions import (
    COVERAGE,
    NO_ENGINE,
    distinct,
    expected_by_draws,
    parts_of,
    shares,
)
from custanalytics.clv._posterior_sampling import Posterior

WHY = "LifetimeValue.posterior needs a model of purchases of this library that draws futures, and a Gamma-Gamma model "


class ValueInterval(NamedTuple):
    """Posterior mean and interval of the expected value, and an interval of the value itself."""

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    value_lower: np.ndarray
    value_upper: np.ndarray


class ValuePosterior:
    """Posterior of a lifetime value: of the parameters of purchases and of spend, and what customers will be worth.

    `LifetimeValue.posterior(table)` makes it. It holds draws of the parameters, but no customers.

    Attributes
    ----------
    purchases : ParameterPosterior
        Of the model of purchases.
    spend : ParameterPosterior or float
        Of the model of spend, or the value given for every purchase.

    See Also
    --------
    ParameterPosterior : Posterior of one model.
    LifetimeValue : What it is about.

    Examples
    --------
    >>> import numpy as np
    >>> from custanalytics.clv import LifetimeValue, NBDModel
    >>> table = {"frequency": [0, 1, 2, 3, 5, 8], "recency": [0.0, 9.0, 9.0, 9.0, 9.0, 9.0], "T": [10.0] * 6}
    >>> customers = [60, 25, 15, 10, 6, 4]
    >>> model = LifetimeValue(purchases=NBDModel(), spend=30.0, horizon=26).fit(table, sample_weight=customers)
    >>> posterior = model.posterior(table, sample_weight=customers, rng=0)
    >>> value = posterior.predict(table)
    >>> bool(np.all((value.lower < value.mean) & (value.mean < value.upper)))
    True
    >>> bool(np.all(value.value_upper > value.upper))  # chance comes on top
    True
    """

    def __init__(self, model: Any, purchases: ParameterPosterior, spend: ParameterPosterior | float) -> None:
        self.model = model
        self.purchases = purchases
        self.spend = spend

    def __repr__(self) -> str:
        return f"ValuePosterior of\n{self.purchases!r}\nand\n{self.spend!r}"

    def predict(
        self, table: Any, level: float = 0.9, *, n_draws: int = 200, coverage: str = "average"
    ) -> ValueInterval:
        """Discounted value of each customer over the horizon: expected, and the value itself.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `predict` of the model.
        level : float, default=0.9
            Probability within the intervals.
        n_draws : int, default=200
            How many draws of the parameters are used: evenly spaced ones of equal weight.
        coverage : {"average", "each"}, default="average"
            What `level` means for the value itself: the share of the customers of this table who are within their
            intervals, or for every customer the least probability to be within.

        Returns
        -------
        ValueInterval
            A named tuple of arrays of shape (n_customers,), in the currency of the log: `mean`, `lower` and `upper`
            of the expected value, whose interval is about the parameters alone, and `value_lower` and `value_upper`,
            between which the value will be: parameters, purchases and amounts together. The latter is the shortest
            interval; it begins at 0 for customers who may well be gone.
        """
        owner = "ValuePosterior.predict"
        check_value("level", level, (LEVEL,), owner)
        check_value("coverage", coverage, (COVERAGE,), owner)
        if _engines.is_lazy(table):
            raise TypeError(NO_ENGINE)
        columns, keys = self._described_customers(table)
        codes, rows = distinct(keys)
        models = self._models(n_draws)
        parts = [*parts_of(columns, rows)]
        mean, lower, upper = expected_by_draws(models, "predict", parts, (), float(level))[:, codes]
        each = _count_intervals.futures_each(len(models), rows.size)
        draws = (
            np.hstack([model.sample(part, each, seed) for seed, model in enumerate(models)]) + 0.0 for part in parts
        )
        share = shares(codes, rows, mean)
        low, high = _count_intervals.shortest(draws, share, float(level), coverage == "average")
        return ValueInterval(mean, lower, upper, low[codes], high[codes])

    def _models(self, n_draws: int) -> list[Any]:
        counted = self.purchases._models(n_draws)
        spend = self.spend
        worth = spend._models(n_draws, seed=1) if isinstance(spend, ParameterPosterior) else [spend] * len(counted)
        models = []
        for purchases, each in zip(counted, worth, strict=True):
            twin = copy(self.model)
            twin.purchases_, twin.spend_ = purchases, each
            models.append(twin)
        return models

    def _described_customers(self, table: Any) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, ...]]:
        """Columns that make a table of any of the customers, and numbers that are the same where customers are."""
        columns, keys = self.purchases.model._described_customers(table)
        if not isinstance(self.spend, ParameterPosterior):
            return columns, keys
        spend, _ = self.spend.model._described_customers(table)
        more = {name: column for name, column in spend.items() if name not in columns}
        more[MONETARY_VALUE] = np.where(columns[FREQUENCY] > 0, more[MONETARY_VALUE], 0.0)
        return {**columns, **more}, (*keys, *more.values())


class ValueUncertainty:
    """The method `posterior` of `LifetimeValue`."""

    def posterior(
        self: Any,
        table: Any,
        *,
        n_draws: int = 4000,
        rng: Any = None,
        method: str = "laplace",
        sample_weight: Any = None,
    ) -> ValuePosterior:
        """Posterior distributions of the parameters of both models, given the customers of a table.

        Parameters
        ----------
        table : frame or mapping of arrays
            The customers that the models were fitted to.
        n_draws : int, default=4000
            How many draws of the parameters of each model.
        rng : int or numpy.random.Generator, optional
            Seed, or source of randomness.
        method : {"laplace", "nuts"}, default="laplace"
            As for `posterior` of the models.
        sample_weight : array-like of shape (n_customers,) or str, optional
            Weights of the customers: counts of them.

        Returns
        -------
        ValuePosterior

        Raises
        ------
        TypeError
            If one of the models is of another library and has no posterior.
        """
        check_params(self, self._rules)
        purchases, spend = self._models()
        if not isinstance(purchases, Posterior) or not hasattr(purchases, "sample"):
            raise TypeError(f"{WHY}or a number for the spend; {purchases!r} is no such model of purchases.")
        if not isinstance(spend, Real | Posterior):
            raise TypeError(f"{WHY}or a number for the spend; {spend!r} is neither.")
        source = np.random.default_rng(rng)
        given: dict[str, Any] = {"n_draws": n_draws, "method": method, "sample_weight": sample_weight}
        counted = purchases.posterior(table, rng=source, **given)
        if isinstance(spend, Real):
            return ValuePosterior(copy(self), counted, float(spend))
        return ValuePosterior(copy(self), counted, spend.posterior(table, rng=source, **given))
