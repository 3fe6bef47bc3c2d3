"""What customers may do: distributions of future purchases, and random futures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from custanalytics import _engines
from custanalytics._params import InstanceOf, Number, check_value, check_values, integer
from custanalytics.clv._base import LikelihoodModel
from custanalytics.clv._compression import distinct
from custanalytics.clv._counts import check_counts
from custanalytics.clv._given_alive import GivenAlive, GivenThere, Spend
from custanalytics.clv._given_renewals import GivenRenewals
from custanalytics.clv._kernels_draws import MOST_COUNTED

CHUNK = 1 << 17  # customers at once
MOST_CELLS = 1 << 20  # of customers times counts at once
FINITE = Number(0, np.inf, closed="left")
Given = GivenAlive | GivenThere | GivenRenewals


class Futures(LikelihoodModel):
    """Distributions and draws of what is ahead, for models that describe customers who are alive."""

    _horizons: ClassVar[Number] = Number(0)  # within which chances of counts are known

    def predict_count_probabilities(self, table: Any, n: ArrayLike, horizon: float) -> np.ndarray:
        """Probability that each customer makes exactly `n` purchases in the `horizon` after the observation.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `predict_purchases`.
        n : int or array-like of int of shape (n_counts,)
            Numbers of purchases, 0 or more.
        horizon : float
            Length of the time ahead, (T, T + horizon], in `time_unit`; may be infinite, but for the BG/BB.

        Returns
        -------
        ndarray of shape (n_customers, n_counts), or (n_customers,) for a single `n`
            P(X = n). Over all n they sum to 1, and their mean is what `predict_purchases` gives.

        Raises
        ------
        InvalidDataError
            If rows cannot be what the columns mean.

        Examples
        --------
        >>> from custanalytics.clv import ParetoNBDModel
        >>> model = ParetoNBDModel.from_params(r=0.553, alpha=10.58, s=0.606, beta=11.656)
        >>> table = {"frequency": [26, 0], "recency": [30.86, 0.0], "T": [31.0, 39.0]}
        >>> model.predict_count_probabilities(table, n=[0, 1, 2], horizon=4).round(3)
        array([[0.104, 0.207, 0.242],
               [0.988, 0.011, 0.001]])
        """
        owner = f"{type(self).__name__}.predict_count_probabilities"
        counts = check_counts(n)
        check_value("horizon", horizon, (self._horizons,), owner)
        flat = np.ascontiguousarray(counts.reshape(1, -1))
        result: list[np.ndarray] = []
        for alive, given in self._chunks(table, owner, float(horizon), MOST_CELLS // max(flat.size, 1)):
            grouped = given.distinct()
            chance = (given if grouped is None else grouped[1]).exactly(flat, float(horizon))
            chance = (chance if grouped is None else chance[grouped[0]]) * alive[:, None]
            chance[:, flat[0] == 0] += (1.0 - alive)[:, None]
            result.append(chance)
        whole = np.concatenate(result) if result else np.empty((0, flat.size))
        return whole if counts.ndim else whole[:, 0]

    def predict_count_quantiles(self, table: Any, q: ArrayLike, horizon: float) -> np.ndarray:
        """Quantiles of the number of purchases of each customer in the `horizon` after the observation.

        Given the parameters: how far their own uncertainty matters is not included.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `predict_purchases`.
        q : float or array-like of float of shape (n_quantiles,)
            From 0 on and below 1.
        horizon : float
            Length of the time ahead, (T, T + horizon], in `time_unit`; finite.

        Returns
        -------
        ndarray of int of shape (n_customers, n_quantiles), or (n_customers,) for a single `q`
            The smallest n with P(X <= n) >= q.

        Raises
        ------
        InvalidDataError
            If rows cannot be what the columns mean.

        Examples
        --------
        >>> from custanalytics.clv import BetaGeoModel
        >>> model = BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426)
        >>> table = {"frequency": [26, 2], "recency": [30.86, 30.43], "T": [31.0, 38.86]}
        >>> model.predict_count_quantiles(table, q=[0.05, 0.5, 0.95], horizon=26)
        array([[ 1, 16, 27],
               [ 0,  0,  3]])
        """
        owner = f"{type(self).__name__}.predict_count_quantiles"
        levels = check_values("q", q, (Number(0, 1, closed="left"),), owner)
        check_value("horizon", horizon, (FINITE,), owner)
        result: list[np.ndarray] = []
        for alive, given in self._chunks(table, owner, float(horizon)):
            grouped = given.distinct()
            codes = np.arange(alive.size) if grouped is None else grouped[0]
            alike = distinct((codes.astype(np.float64), alive))
            assert alike is not None  # never gives up
            part = given.pick(alike[1])
            columns = [_quantile(part, alive[alike[1]], 1.0 - level, float(horizon)) for level in levels.ravel()]
            _refuse_uncountable(any((column >= MOST_COUNTED).any() for column in columns), horizon, owner)
            result.append(
                np.column_stack(columns)[alike[0]].astype(np.int64) if columns else np.empty((alive.size, 0), np.int64)
            )
        whole = np.concatenate(result) if result else np.empty((0, levels.size), np.int64)
        return whole if levels.ndim else whole[:, 0]

    def sample(self, table: Any, n_draws: int, horizon: float, rng: Any = None) -> np.ndarray:
        """Random futures: how many purchases each customer makes in the `horizon` after the observation.

        Each draw takes whether the customer is active, a rate of purchase and a dropout probability (or a lifetime)
        from their distribution given what was observed, and from those the purchases.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, as for `predict_purchases`.
        n_draws : int
            How many futures for each customer.
        horizon : float
            Length of the time ahead, (T, T + horizon], in `time_unit`; finite.
        rng : int or numpy.random.Generator, optional
            Seed. The draws of a customer depend on the seed and on the row of the table, not on the other rows or on
            the number of threads. A generator gives a seed.

        Returns
        -------
        ndarray of int of shape (n_customers, n_draws)
            Numbers of purchases.

        Raises
        ------
        InvalidDataError
            If rows cannot be what the columns mean.

        Examples
        --------
        >>> from custanalytics.clv import BetaGeoModel
        >>> model = BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426)
        >>> table = {"frequency": [26, 2], "recency": [30.86, 30.43], "T": [31.0, 38.86]}
        >>> futures = model.sample(table, n_draws=10_000, horizon=26, rng=0)
        >>> futures.mean(axis=1).round(1), model.predict_purchases(table, horizon=26).round(1)
        (array([15. ,  0.9]), array([15. ,  0.9]))
        """
        owner = f"{type(self).__name__}.sample"
        check_value("n_draws", n_draws, (integer(1),), owner)
        check_value("horizon", horizon, (FINITE,), owner)
        result: list[np.ndarray] = []
        seed, row = seed_of(rng, owner), 0
        for alive, given in self._chunks(table, owner, float(horizon)):
            counts = np.empty((alive.size, int(n_draws)), np.int64)
            given.draw(alive, row, float(horizon), seed, counts, np.empty((alive.size, 0)))
            _refuse_uncountable((counts < 0).any(), horizon, owner)
            row += alive.size
            result.append(counts)
        return np.concatenate(result) if result else np.empty((0, int(n_draws)), np.int64)

    def _sample_value(
        self, table: Any, n_draws: int, horizon: float, rate: float, rng: Any, spend: Spend, owner: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws of purchases and of their discounted value; the spend has an entry per customer."""
        counts = np.empty((spend.v.size, n_draws), np.int64)
        values = np.empty(counts.shape)
        seed, row = seed_of(rng, owner), 0
        for alive, given in self._chunks(table, owner, horizon):
            rows = slice(row, row + alive.size)
            part = Spend(spend.p, spend.q[rows], spend.v[rows])
            given.draw(alive, row, horizon, seed, counts[rows], values[rows], rate, part)
            row += alive.size
        return counts, values

    def _chunks(self, table: Any, owner: str, horizon: float, size: int = CHUNK) -> Iterator[tuple[np.ndarray, Given]]:
        """Chunks of the customers: P(alive), and what they are like if they are, as far ahead as the horizon."""
        check_is_fitted(self, "params_")
        if _engines.is_lazy(table):
            raise TypeError(
                f"{owner} gives many numbers a customer and takes no table in an engine: collect the customers that "
                "it is about first."
            )
        return self._customers(table, horizon, max(1, min(size, CHUNK)))

    def _customers(self, table: Any, horizon: float, size: int) -> Iterator[tuple[np.ndarray, Given]]:
        """The same, of a table in memory."""
        raise NotImplementedError


def seed_of(rng: Any, owner: str) -> int:
    """A seed of 63 bits from a seed, a generator or nothing."""
    check_value("rng", rng, (integer(0, 2**63 - 1), InstanceOf((np.random.Generator, type(None)))), owner)
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63 - 1))
    return int(np.random.default_rng().integers(2**63 - 1)) if rng is None else int(rng)


def _quantile(given: Given, alive: np.ndarray, most: float, horizon: float) -> np.ndarray:
    """The smallest n with P(X > n) <= `most`, by doubling and halving."""
    low, high = np.full(alive.size, -1.0), np.zeros(alive.size)

    def above(rows: np.ndarray, n: np.ndarray) -> np.ndarray:
        return alive[rows] * given.pick(rows).at_least(n[:, None] + 1.0, horizon)[:, 0] > most

    rows = np.arange(alive.size)
    while rows.size:
        rows = rows[above(rows, high[rows])]
        low[rows], high[rows] = high[rows], 2.0 * high[rows] + 1.0
    rows = np.arange(alive.size)
    while True:
        middle = np.floor(0.5 * (low[rows] + high[rows]))
        between = (low[rows] < middle) & (middle < high[rows])  # beyond 2^53, doubles are not all whole numbers
        rows, middle = rows[between], middle[between]
        if not rows.size:
            break
        over = above(rows, middle)
        low[rows[over]], high[rows[~over]] = middle[over], middle[~over]
    return high


def _refuse_uncountable(found: Any, horizon: float, owner: str) -> None:
    """Raise a ValueError where there are counts that no int64 holds."""
    if found:
        raise ValueError(
            f"The 'horizon' parameter of {owner} must leave time for fewer than 2^63 purchases. Got {horizon!r}."
        )
