"""What the models of contracts say about customers who are still there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from custanalytics import _jit
from custanalytics.clv import _kernels_contract
from custanalytics.clv._given_alive import NO_SPEND, Spend


@dataclass(frozen=True)
class GivenRenewals:
    """Customers who have renewed at each of their `ages` chances to; `theta` is that of the model, of all alike."""

    ages: np.ndarray
    theta: np.ndarray

    def distinct(self) -> tuple[np.ndarray, GivenRenewals] | None:
        """Codes of customers who are alike, and each kind once; None where most differ."""
        ages, codes = np.unique(self.ages, return_inverse=True)
        return (codes, GivenRenewals(ages, self.theta)) if 2 * ages.size <= codes.size else None

    def pick(self, rows: np.ndarray) -> GivenRenewals:
        """Some of the customers."""
        return GivenRenewals(np.ascontiguousarray(self.ages[rows]), self.theta)

    def stay(self, ahead: float) -> np.ndarray:
        """P(there after `ahead` chances to renew)."""
        return self._along(partial(_kernels_contract.left_loop, ahead))

    def discounted(self, horizon: float, rate: float) -> np.ndarray:
        """Expected renewals among the next `horizon` chances, the i-th of them times exp(-`rate` i)."""
        return self._along(partial(_kernels_contract.periods_loop, float(np.floor(horizon)), rate))

    def window(self, start: float, horizon: float) -> np.ndarray:
        """Expected renewals among the `horizon` chances after the next `start`: of those who stay so long."""
        there = self.stay(float(np.floor(start)))
        then = GivenRenewals(self.ages + np.floor(start), self.theta).discounted(horizon, 0.0)
        return np.where(there > 0.0, there, 1.0) * np.where(there > 0.0, then, 0.0)  # nobody is there, however long

    def exactly(self, n: np.ndarray, horizon: float) -> np.ndarray:
        """P(X = n) for n of shape (1 or n_customers, n_counts), whole and 0 or more."""
        return self._counts(n, horizon, 1.0)

    def at_least(self, n: np.ndarray, horizon: float) -> np.ndarray:
        """P(X >= n) for n of shape (1 or n_customers, n_counts)."""
        return self._counts(n, horizon, 0.0)

    def draw(
        self, alive: np.ndarray, first: int, horizon: float, seed: int, counts: np.ndarray, values: np.ndarray,
        rate: float = 0.0, spend: Spend = NO_SPEND,
    ) -> None:  # fmt: skip
        """Fill `counts` with draws of renewals and `values`, where it has columns, with their discounted value."""
        settings = (first, float(np.floor(horizon)), rate, seed, spend.p, spend.q, spend.v)
        inputs = (alive, self.ages, self.theta, *settings)
        _jit.run(_kernels_contract.draws_loop, self.ages.size, *inputs, out=(counts, values), size=512)

    def _along(self, loop: Callable[..., None]) -> np.ndarray:
        out = np.empty(self.ages.size)
        _jit.run(loop, out.size, self.ages, self.theta, out=(out,), size=64)
        return out

    def _counts(self, n: np.ndarray, horizon: float, exactly: float) -> np.ndarray:
        out = np.empty((self.ages.size, n.shape[1]))
        inputs = (self.ages, self.theta, n, float(np.floor(horizon)), exactly)
        _jit.run(_kernels_contract.counts_loop, self.ages.size, *inputs, out=(out,), size=64)
        return out
