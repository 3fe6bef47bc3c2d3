"""Customers who buy at every k-th event: what lies ahead depends on how many have happened since the last purchase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import special

from custanalytics import _jit
from custanalytics.clv import _kernels_futures
from custanalytics.clv._given_alive import GivenAlive, at_least, negative_binomial
from custanalytics.clv._kernels_futures import SCALE, SHAPE, SHARE, WIDE

BLOCK = 64  # counts of purchases at once
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


@dataclass(frozen=True)
class GivenPhases(GivenAlive):
    """Customers who are alive now and buy at every `k`-th event of those that `GivenAlive` describes."""

    k: int = 1

    def stay(self, ahead: float) -> np.ndarray:
        """P(alive after `ahead`): not dropped out after as many purchases as have come until then."""
        if np.isinf(ahead):
            return np.zeros(len(self.table))

        def terms(part: GivenPhases, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            shape, scale = part.table[:, [SHAPE]], part.table[:, [SCALE]]
            chance, beyond = np.zeros((len(shape), n.size)), np.zeros(len(shape))
            after = n[:, -1:] + 1.0
            for j, weight in enumerate(part.phases()):
                events = n * part.k - j
                exactly = sum(negative_binomial(events + i, shape + j, scale, ahead) for i in range(part.k))
                chance += weight[:, None] * exactly
                beyond += weight * at_least(after * part.k - j, shape + j, scale, ahead)[:, 0]
            return (part._left(n) * chance).sum(axis=1), beyond * part._left(after)[:, 0]

        return self._summed(terms, 0.0)

    def window(self, start: float, horizon: float) -> np.ndarray:
        """Expected purchases from `start` to `start` + `horizon`.

        Where they are but a small part of those until its end, their rate is integrated over the window.
        """
        before, until = self._expected(start), self._expected(start + horizon)
        with np.errstate(invalid="ignore"):
            result = np.where(np.isinf(before), 0.0, until - before)
            narrow = np.isfinite(until) & (result <= WIDE * until)
        if np.isfinite(horizon) and horizon > 0 and narrow.any():
            part = self.pick(np.flatnonzero(narrow))
            panels = int(min(np.ceil(2.0 * result[narrow].max() * self.k) + 1.0, 200.0))
            width, total = horizon / panels, np.zeros(len(part.table))
            for panel in range(panels):
                for node, weight in zip(_NODES, _WEIGHTS, strict=True):
                    total += 0.5 * width * weight * part._rate(start + width * (panel + 0.5 * (node + 1.0)))
            result[narrow] = total
        return result

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
        j, shape = np.arange(self.k)[:, None], self.table[:, SHAPE]
        logs = special.gammaln(shape + j) - special.gammaln(shape) - special.gammaln(j + 1.0)
        logs = logs + special.xlogy(j, self.table[:, SHARE])
        chances = np.exp(logs - logs.max(axis=0))
        return chances / chances.sum(axis=0)

    def _events_per_purchase(self) -> float:
        return float(self.k)

    def _expected(self, horizon: float) -> np.ndarray:
        out = np.empty(len(self.table))
        loop = partial(_kernels_futures.phased_loop, float(self.k))
        _jit.run(loop, out.size, self.table, horizon, out=(out,), size=64)
        return out

    def _rate(self, time: float) -> np.ndarray:
        """Expected purchases per unit of time, `time` ahead."""

        def terms(part: GivenPhases, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            shape, scale = part.table[:, [SHAPE]], part.table[:, [SCALE]]
            density, beyond = np.zeros((len(shape), n.size)), np.zeros(len(shape))
            for j, weight in enumerate(part.phases()):
                events = n * part.k - j - 1.0
                chance = negative_binomial(events, shape + j, scale, time)
                density += weight[:, None] * chance * (shape + j + events) / (scale + time)
                # later purchases come at a rate that falls once there are more of them than are to be expected
                more = at_least(events[:, -1:], shape + j, scale, time)
                beyond += weight * (more * (shape + j + events[:, -1:]) / scale)[:, 0]
            left = part._left(n - 1.0)
            return (left * density).sum(axis=1), beyond * left[:, -1]

        return self._summed(terms, 1.0)

    def _summed(
        self, terms: Callable[[GivenPhases, np.ndarray], tuple[np.ndarray, np.ndarray]], first: float
    ) -> np.ndarray:
        """Sum over counts from `first` on, block by block, until what is beyond is negligible."""
        result, rows, n = np.zeros(len(self.table)), np.arange(len(self.table)), first
        while rows.size:
            part, beyond = terms(self.pick(rows), n + np.arange(float(BLOCK))[None, :])
            result[rows] += part
            rows = rows[beyond > 1e-14 * result[rows]]
            n += BLOCK
        return result
