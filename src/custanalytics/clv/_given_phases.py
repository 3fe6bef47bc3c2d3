"""Customers who buy at every k-th event: what lies ahead depends on how many have happened since the last purchase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import special

from custanalytics import _jit
from custanalytics.clv import _kernels_cnbd_purchases
from custanalytics.clv._given_alive import GivenAlive, at_least, log_ways, negative_binomial
from custanalytics.clv._kernels_futures import SCALE, SHAPE, SHARE


@dataclass(frozen=True)
class GivenPhases(GivenAlive):
    """Customers who are alive now and buy at every `k`-th event of those that `GivenAlive` describes."""

    k: int = 1

    def stay(self, ahead: float) -> np.ndarray:
        """P(alive after `ahead`): not dropped out after as many purchases as have come until then."""
        return self._run(_kernels_cnbd_purchases.stay_loop, ahead)

    def window(self, start: float, horizon: float) -> np.ndarray:
        """Expected purchases from `start` to `start` + `horizon`."""
        return self._run(_kernels_cnbd_purchases.window_loop, start, horizon)

    def exactly(self, n: np.ndarray, horizon: float) -> np.ndarray:
        """P(X = n) for n of shape (1 or n_customers, n_counts), whole and 0 or more."""
        shape, scale = self.table[:, [SHAPE]], self.table[:, [SCALE]]
        left, leaves = self._left(n), self._leaves(n)
        result = np.zeros((len(self.table), n.shape[1]))
        for j, weight in enumerate(self.phases()):
            events = n * self.k - j
            chance = sum(negative_binomial(events + i, shape + j, scale, horizon) for i in range(self.k))
            result += weight[:, None] * (left * chance + leaves * at_least(events, shape + j, scale, horizon))
        return np.minimum(result, 1.0)

    def at_least(self, n: np.ndarray, horizon: float) -> np.ndarray:
        """P(X >= n) for n of shape (1 or n_customers, n_counts)."""
        shape, scale = self.table[:, [SHAPE]], self.table[:, [SCALE]]
        before = self._left(np.maximum(n - 1.0, 0.0))
        chances = (
            weight[:, None] * at_least(n * self.k - j, shape + j, scale, horizon)
            for j, weight in enumerate(self.phases())
        )
        return np.where(n > 0, np.minimum(before * sum(chances), 1.0), 1.0)

    def phases(self) -> np.ndarray:
        """Chances of j = 0, ..., k - 1 events since the last purchase, of shape (k, n_customers)."""
        j = np.arange(float(self.k))[:, None]
        logs = log_ways(j.T, self.table[:, [SHAPE]]).T + special.xlogy(j, self.table[:, SHARE])
        chances = np.exp(logs - logs.max(axis=0))
        return chances / chances.sum(axis=0)

    def _events_per_purchase(self) -> float:
        return float(self.k)

    def _run(self, loop: Callable[..., None], *inputs: float) -> np.ndarray:
        out = np.empty(len(self.table))
        _jit.run(partial(loop, float(self.k)), out.size, self.table, *inputs, out=(out,), size=64)
        return out
