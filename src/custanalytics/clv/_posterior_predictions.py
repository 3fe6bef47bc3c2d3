"""Predictions of customers with intervals, over the posterior draws of a model's parameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from custanalytics import _engines
from custanalytics._params import LEVEL, NOT_NEGATIVE, OneOf, check_value, integer
from custanalytics.clv import _count_intervals, _fit, _psis
from custanalytics.exceptions import FitWarning

if TYPE_CHECKING:
    from custanalytics.clv._base import LikelihoodModel

CHUNK = 1 << 13  # distinct customers whose predictions by all draws are held at once
COVERAGE = OneOf(("average", "each"))
NO_ENGINE = "Intervals are made in this process: collect the table first, or give them a part of it at a time."


class Interval(NamedTuple):
    """Posterior mean and interval of an expected value, an array each, one entry per customer."""

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


class PurchaseInterval(NamedTuple):
    """Posterior mean and interval of expected purchases, and an interval of their number itself."""

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    count_lower: np.ndarray
    count_upper: np.ndarray


class Part(dict[str, np.ndarray]):
    """A table of customers that is asked by many draws: what does not depend on these is kept with it."""

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        super().__init__(columns)
        self._kept: dict[Any, Any] = {}

    def kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """What was made for the key at first."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


class PosteriorPredictions:
    """Predictions that allow for the uncertainty of the parameters."""

    model: LikelihoodModel
    draws: np.ndarray
    weights: np.ndarray

    def predict_alive(self, table: Any, level: float = 0.9, *, n_draws: int = 200) -> Interval:
        """Probability that each customer is still active, with a credible interval.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `predict_alive` of the model.
        level : float, default=0.9
            Probability within the interval.
        n_draws : int, default=200
            How many draws of the parameters are used: evenly spaced ones of equal weight.

        Returns
        -------
        Interval
            A named tuple of `mean`, `lower` and `upper`, each of shape (n_customers,). The interval is about the
            parameters: whether somebody is active remains a matter of chance, with the probability `mean`.
        """
        return self._expected("predict_alive", table, (), level, n_draws)

    def predict_purchases(
        self, table: Any, horizon: float, level: float = 0.9, *, n_draws: int = 200, coverage: str = "average"
    ) -> PurchaseInterval:
        """Purchases of each customer in the `horizon` after the observation: expected, and the number itself.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `predict_purchases` of the model.
        horizon : float
            Length of the time ahead, in `time_unit`; finite.
        level : float, default=0.9
            Probability within the intervals.
        n_draws : int, default=200
            How many draws of the parameters are used: evenly spaced ones of equal weight.
        coverage : {"average", "each"}, default="average"
            What `level` means for the number of purchases: the share of the customers of this table who are within
            their intervals, or for every customer the least probability to be within.

        Returns
        -------
        PurchaseInterval
            A named tuple of arrays of shape (n_customers,): `mean`, `lower` and `upper` of the expected purchases,
            whose interval is about the parameters alone, and `count_lower` and `count_upper`, whole numbers between
            which, both included, the purchases will be: parameters and chance together.

        Notes
        -----
        The predictive distribution of a customer's purchases is the mean of those of the draws. Its interval is the
        shortest one of a given probability: [0, 2], not [0, 3], for most customers, whose likeliest number is 0.
        Numbers are whole, so that intervals of at least 90 % for each customer contain more, often 95 % on the
        average: somebody who buys nothing with 97 % has [0, 0]. With ``coverage="average"`` the least probability of
        an interval is lowered, for all customers of the table alike, until the mean of the probabilities is as near
        `level` as it gets; it is above only where most customers are that certain.
        """
        owner = f"{type(self).__name__}.predict_purchases"
        check_value("horizon", horizon, (NOT_NEGATIVE,), owner)
        check_value("coverage", coverage, (COVERAGE,), owner)
        expected = self._expected("predict_purchases", table, (float(horizon),), level, n_draws)
        codes, rows, parts = self._distinct(table)
        models = self._models(n_draws)
        each = _count_intervals.futures_each(len(models), rows.size)
        draws = (_count_intervals.drawn_counts(models, part, float(horizon), each) for part in parts)
        share = shares(codes, rows, expected.mean)
        lower, upper = _count_intervals.shortest(draws, share, float(level), coverage == "average")
        return PurchaseInterval(*expected, lower[codes].astype(np.int64), upper[codes].astype(np.int64))

    def predict_spend(self, table: Any, level: float = 0.9, *, n_draws: int = 200) -> Interval:
        """Expected value of each customer's next purchases, with a credible interval; for models of spend.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `predict_spend` of the model.
        level : float, default=0.9
            Probability within the interval.
        n_draws : int, default=200
            How many draws of the parameters are used: evenly spaced ones of equal weight.

        Returns
        -------
        Interval
            A named tuple of `mean`, `lower` and `upper`, each of shape (n_customers,), in the currency of the log.
        """
        return self._expected("predict_spend", table, (), level, n_draws)

    def _expected(self, method: str, table: Any, args: tuple[float, ...], level: float, n_draws: int) -> Interval:
        owner = f"{type(self).__name__}.{method}"
        check_value("level", level, (LEVEL,), owner)
        if not hasattr(self.model, method):
            raise ValueError(f"{type(self.model).__name__} has no {method}: this posterior is of its parameters.")
        codes, _, parts = self._distinct(table)
        return Interval(*expected_by_draws(self._models(n_draws), method, parts, args, float(level))[:, codes])

    def _models(self, n_draws: int, seed: int = 0) -> list[Any]:
        """The model at draws of equal weight."""
        check_value("n_draws", n_draws, (integer(10),), type(self).__name__)
        picks = _psis.resampled(self.weights, int(n_draws), np.random.default_rng(seed))
        return [model_at(self.model, theta) for theta in self.draws[picks]]

    def _distinct(self, table: Any) -> tuple[np.ndarray, np.ndarray, list[Part]]:
        """The number of the distinct customer in each row, a row of each of those, and tables of them."""
        if _engines.is_lazy(table):
            raise TypeError(NO_ENGINE)
        columns, keys = self.model._described_customers(table)
        codes, rows = distinct(keys)
        return codes, rows, [*parts_of(columns, rows)]


def distinct(columns: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The number of the distinct customer in each row, and a row of each of those, in ascending order."""
    n = columns[0].size
    if n == 0:
        return np.arange(0), np.arange(0)
    codes, rows = np.zeros(n, np.int64), np.zeros(1, np.int64)
    for start in range(0, len(columns), 2):
        found = _fit.distinct((codes.astype(np.float64), *columns[start : start + 2]))
        assert found is not None  # most=1 never gives up
        codes, rows = found
    order = np.lexsort([column[rows] for column in columns])
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    return place[codes], rows[order]


def parts_of(columns: dict[str, np.ndarray], rows: np.ndarray) -> Iterator[Part]:
    """The distinct customers, some at a time, as tables."""
    for start in range(0, rows.size, CHUNK):
        some = rows[start : start + CHUNK]
        yield Part({name: column[some] for name, column in columns.items()})


def shares(codes: np.ndarray, rows: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The share of each distinct customer in the table; who is known to have left is no part of it."""
    counts = np.bincount(codes, weights=(expected > 0).astype(np.float64), minlength=rows.size)
    return counts / max(float(counts.sum()), 1.0)


def expected_by_draws(
    models: list[Any], method: str, parts: list[Part], args: tuple[float, ...], level: float
) -> np.ndarray:
    """Mean and interval over the models of what they predict: shape (3, n_customers)."""
    result = [np.empty((3, 0))]
    for part in parts:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # an infinite mean of one draw is seen in the result
            values = np.array([getattr(model, method)(part, *args) for model in models])
        result.append(mean_and_interval(values, level))
    return np.hstack(result)


def model_at(model: LikelihoodModel, theta: np.ndarray) -> Any:
    """A copy of the model with other parameters, which reads the same table as other copies once for them all."""
    twin: Any = copy(model)
    k = len(model._names)
    twin._keep_point(theta[:k], theta[k:])
    twin._read = partial(_read_once, model)
    return twin


def _read_once(model: LikelihoodModel, table: Any) -> tuple[np.ndarray, ...]:
    return table.kept(model._read, lambda: model._read(table)) if isinstance(table, Part) else model._read(table)


def mean_and_interval(values: np.ndarray, level: float) -> np.ndarray:
    """Mean and central interval over the rows, which have equal weight: shape (3, n_columns)."""
    edges = [0.5 * (1.0 - level), 0.5 * (1.0 + level)]
    with np.errstate(invalid="ignore"):
        bounds = np.quantile(values, edges, axis=0)
    if not np.isfinite(bounds).all():  # between infinite values there is nothing to interpolate
        bounds = np.where(np.isnan(bounds), np.quantile(values, edges, axis=0, method="inverted_cdf"), bounds)
    return np.vstack([values.mean(axis=0)[None], bounds])
