"""Score and rank a tile of customers at a time, so that no matrix of customers times offers is ever whole."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames, _jit
from custanalytics.offers._eligibility import OFFER, Policy
from custanalytics.offers._kernels import best_offers

TILE = 8192  # customers whose eligibility is held at once
SLICE = 512  # customers one thread takes at a time


def rank(
    rows: np.ndarray, fitted: tuple[Any, ...], policy: Policy, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offers (-1 where there is none), propensities and priorities of each row: three arrays (n_rows, k).

    `rows` are the customers' places among the fitted ones, -1 for one never seen; `fitted` is what the kernel needs.
    """
    shape = (rows.size, k)
    best, propensity, priority = np.empty(shape, np.int64), np.empty(shape), np.empty(shape)
    for start, stop in _jit.slices(rows.size, TILE):
        out = (best[start:stop], propensity[start:stop], priority[start:stop])
        inputs = (rows[start:stop], *fitted, policy.tile(start, stop))
        _jit.run(best_offers, stop - start, *inputs, out=out, size=SLICE)
    return best, propensity, priority


def wide_names(k: int) -> list[str]:
    """Names of the columns of `wide_columns`."""
    return [f"{name}_{j + 1}" for name in (OFFER, "priority") for j in range(k)]


def wide_columns(offers: nw.Series[Any], best: np.ndarray, priority: np.ndarray, k: int) -> dict[str, Any]:
    """One column for each of k offers and priorities, filled up with missing values where there are fewer than k."""
    lacking = ((0, 0), (0, k - best.shape[1]))
    best = np.pad(best, lacking, constant_values=-1)
    priority = np.pad(priority, lacking, constant_values=np.nan)
    chosen = [_frames.take_or_missing(offers, best[:, j]) for j in range(k)]
    return dict(zip(wide_names(k), [*chosen, *np.ascontiguousarray(priority.T)], strict=True))
