"""How many rows each day had, and which rules they broke: what a score over time is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from custanalytics import _jit
from custanalytics.validation._kernels import DAY, count_days

NO_DAY = np.iinfo(np.int64).min
_SHARES = 16


@dataclass(frozen=True, eq=False)
class History:
    """Rows by day (days since 1970; `NO_DAY` where the time is missing, implausible or in the future).

    `days` and `sizes` are of shape (n_days,); `broken_days`, `broken_masks`, `broken_sizes` hold the rows that break
    some rule by day and mask.
    """

    days: np.ndarray
    sizes: np.ndarray
    broken_days: np.ndarray
    broken_masks: np.ndarray
    broken_sizes: np.ndarray


def history(times: np.ndarray, span: tuple[int, int], rows: np.ndarray, masks: np.ndarray) -> History:
    """Count the rows of a log by day, and those that break rules by day and mask."""
    low, high = span[0] // DAY, span[1] // DAY
    if high < low:
        sizes, low = np.zeros(0, np.int64), 0
    else:
        share = -(-times.size // _SHARES)
        counts = np.zeros((_SHARES, high - low + 1), np.int64)
        _jit.run(count_days, times.size, times, int(low), int(share), out=(counts,), size=int(share))
        sizes = counts.sum(axis=0)
    days = np.flatnonzero(sizes)
    dated = int(sizes.sum())
    of_days = np.append(days + low, NO_DAY) if dated < times.size else days + low
    of_sizes = np.append(sizes[days], times.size - dated) if dated < times.size else sizes[days]
    when = times[rows] // DAY
    when = np.where((when < low) | (when > high), NO_DAY, when)
    pairs = np.stack([when, masks.view(np.int64)], axis=1) if rows.size else np.empty((0, 2), np.int64)
    distinct, broken_sizes = np.unique(pairs, axis=0, return_counts=True)
    return History(of_days, of_sizes, distinct[:, 0], distinct[:, 1].view(np.uint64), broken_sizes)


def period_starts(days: np.ndarray, period: str) -> np.ndarray:
    """The first day of the day, week (Monday), month, quarter or year of each day."""
    known = np.where(days == NO_DAY, 0, days)
    if period == "W":
        starts = known - (known + 3) % 7
    elif period == "D":
        starts = known
    else:
        months = known.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        months -= months % {"M": 1, "Q": 3, "Y": 12}[period]
        starts = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return np.where(days == NO_DAY, NO_DAY, starts)
