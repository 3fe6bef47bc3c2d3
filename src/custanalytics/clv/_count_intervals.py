"""Intervals of whole numbers, from draws of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from custanalytics import _jit
from custanalytics.clv._kernels_posterior import windows_loop

FUTURES = 1000  # draws of the purchases of each customer, at least
STEPS = 64  # probabilities that are tried for the intervals of a table


def drawn_counts(models: list[Any], table: dict[str, np.ndarray], horizon: float) -> np.ndarray:
    """Purchases ahead of each customer, some draws by each of the models: shape (n_customers, n_draws)."""
    each = -(-FUTURES // len(models))
    counts = np.empty((next(iter(table.values())).size, each * len(models)), np.int64)
    for at, model in enumerate(models):
        counts[:, at * each : (at + 1) * each] = model.sample(table, each, horizon, at)
    return counts


def shortest(
    parts: Iterable[np.ndarray], share: np.ndarray, level: float, average: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the shortest interval of each customer, both included, from draws of some customers at a time.

    Of one probability for all customers, `level`, or with `average` that one which makes their intervals hold a
    share of `level` on the average, weighted by `share`.
    """
    least = np.linspace(level, 0.25 * level, STEPS) if average else np.array([level])
    lower, upper = (np.empty((share.size, least.size), np.int32) for _ in range(2))
    held = np.zeros(least.size)
    at = 0
    for counts in parts:
        n, draws = counts.shape
        stop = at + n
        needed = np.ceil(least * draws - 1e-9).astype(np.int64)
        low, high, inside = (np.empty((n, least.size), np.int64) for _ in range(3))
        _jit.run(windows_loop, n, counts, needed, out=(low, high, inside), size=512)
        lower[at:stop], upper[at:stop] = low, high
        held += share[at:stop] @ inside / draws
        at = stop
    best = int(np.argmin(np.abs(held - level)))
    return lower[:, best].astype(np.int64), upper[:, best].astype(np.int64)
