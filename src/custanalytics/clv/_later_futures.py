"""What lies ahead of customers whom a row of the table describes: later times, and what a new one does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from custanalytics._params import Number, check_value
from custanalytics.clv._counts import check_counts
from custanalytics.clv._design import Customers, each_group
from custanalytics.clv._futures import Futures, Given
from custanalytics.clv._given_alive import GivenAlive, GivenThere


class LaterFutures(Futures):
    """Futures of customers whom `frequency`, `recency` and `T` describe, whatever the date."""

    _columns: ClassVar[tuple[str, ...]]

    def probability_of_purchases(self, n: ArrayLike, horizon: float) -> Any:
        """Probability that a new customer makes exactly `n` repeat purchases.

        Parameters
        ----------
        n : int or array-like of int
            Number of repeat purchases, 0 or more.
        horizon : float
            How long after the first purchase, in `time_unit`.

        Returns
        -------
        float or ndarray of the shape of `n`
            P(X(horizon) = n).

        Examples
        --------
        >>> from custanalytics.clv import ParetoNBDModel
        >>> model = ParetoNBDModel.from_params(r=0.553, alpha=10.58, s=0.606, beta=11.656)
        >>> model.probability_of_purchases([0, 1, 2], horizon=39).round(3)
        array([0.594, 0.166, 0.082])
        """
        theta = self._theta()
        counts = check_counts(n)
        check_value("horizon", horizon, (Number(0),), "probability_of_purchases")
        new = (np.zeros(1), np.zeros(1), np.zeros(1))
        alive = float(self._alive(new, theta)[0])
        chance = self._given_alive(new, theta).exactly(np.ascontiguousarray(counts.reshape(1, -1)), float(horizon))[0]
        result = (alive * chance + (1.0 - alive) * (counts.ravel() == 0)).reshape(counts.shape)
        return result if result.ndim else float(result)

    def _alive_after(self, table: Any, ahead: float) -> np.ndarray:
        if ahead == 0:
            return np.asarray(self.predict_alive(table))
        return self._ahead(table, lambda given: given.stay(ahead), "predict_alive")

    def _purchases_within(self, table: Any, horizon: float, start: float) -> np.ndarray:
        if start == 0:
            return np.asarray(self.predict_purchases(table, horizon))
        return self._ahead(table, lambda given: given.window(start, horizon), "predict_purchases")

    def _ahead(self, table: Any, of: Callable[[Given], np.ndarray], owner: str) -> np.ndarray:
        """What lies ahead of customers if they are alive, times the chance that they are."""
        result = []
        for alive, given in self._chunks(table, f"{type(self).__name__}.{owner}", np.inf):
            grouped = given.distinct()
            result.append(alive * (of(given) if grouped is None else of(grouped[1])[grouped[0]]))
        return np.concatenate(result) if result else np.empty(0)

    def _customers(self, table: Any, horizon: float, size: int) -> Iterator[tuple[np.ndarray, Given]]:
        columns = self._read(table)
        for start in range(0, columns[0].size, size):
            described = self._described(Customers(tuple(column[start : start + size] for column in columns)))
            yield described[:, 0], self._given(np.ascontiguousarray(described[:, 1:]))

    @each_group
    def _described(self, table: Any) -> np.ndarray:
        """P(alive) and the table of what customers are like if alive: an array with a row per customer."""
        columns, theta = self._read(table), self._theta()
        return np.column_stack([self._alive(columns, theta), self._given_alive(columns, theta).table])

    def _alive(self, columns: tuple[np.ndarray, ...], theta: np.ndarray) -> np.ndarray:
        """P(alive at T)."""
        raise NotImplementedError

    def _given(self, table: np.ndarray) -> Given:
        return GivenAlive(table)

    def _given_alive(self, columns: tuple[np.ndarray, ...], theta: np.ndarray) -> GivenAlive | GivenThere:
        """What customers are like who are alive at T."""
        raise TypeError(
            f"{type(self).__name__} has expectations up to a horizon only: no later windows, no distributions of "
            "counts and no draws."
        )
