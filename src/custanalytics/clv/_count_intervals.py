"""Shortest intervals of what customers will do, from draws of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from custanalytics import _jit
from custanalytics.clv._kernels_posterior import amounts_loop, counts_loop

FUTURES, FEWER = 1000, 400  # draws of the purchases of each customer, at least; the latter where there are many
MANY = 20_000  # distinct customers
STEPS = 64  # probabilities that are tried for the intervals of a table


def futures_each(n_models: int, n_customers: int) -> int:
    """How many futures of a customer are drawn by each of some models."""
    return -(-(FUTURES if n_customers <= MANY else FEWER) // n_models)


def drawn_counts(models: list[Any], table: dict[str, np.ndarray], horizon: float, each: int) -> np.ndarray:
    """Purchases ahead of each customer, `each` draws by each of the models: shape (n_customers, n_draws)."""
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
    lower, upper, held, at = [], [], np.zeros(least.size), 0
    for draws in parts:
        n, size = draws.shape
        whole = draws.dtype == np.int64
        low, high = (np.empty((n, least.size), draws.dtype) for _ in range(2))
        inside = np.empty((n, least.size), np.int64)
        needed = np.maximum(np.ceil(least * size - 1e-9), 1.0).astype(np.int64)
        _jit.run(counts_loop if whole else amounts_loop, n, draws, needed, out=(low, high, inside), size=512)
        held += share[at : at + n] @ inside / size
        at += n
        kind = np.int32 if whole and (n == 0 or high.max() < 1 << 31) else draws.dtype
        lower.append(low.astype(kind))
        upper.append(high.astype(kind))
    if not lower:
        return np.empty(0), np.empty(0)
    best = int(np.argmin(np.abs(held - level)))
    return np.concatenate([part[:, best] for part in lower]), np.concatenate([part[:, best] for part in upper])
