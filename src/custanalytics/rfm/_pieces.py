"""The summary on plain arrays: count, deal, finish and arrange, each kernel over all threads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from custanalytics import _jit
from custanalytics.rfm._clock import Clock
from custanalytics.rfm._kernels import FREQUENCY, arrange, count_rows, deal_rows, finish_piece

ROWS_A_PIECE = 1 << 15
MOST_PIECES = 1 << 11
ROWS_A_SLICE = 1 << 18


@dataclass(frozen=True)
class Rows:
    """The rows of a log as arrays of shape (n_rows,), none of them changed here.

    A value with a minus sign (-0.0 too) is a return. `orders` is empty where the log has no orders.
    """

    ids: np.ndarray
    times: np.ndarray
    values: np.ndarray
    orders: np.ndarray
    coded: bool  # ids are codes, and -1 is a missing id


class BadRowsError(Exception):
    """Some rows have no id, no time or no finite value."""


def summarise(rows: Rows, clock: Clock, last_period: int) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Sum up the events up to the end of a period.

    Returns the ids of customers with a purchase in ascending order, the columns of the table, and the ids of
    customers with nothing but returns.
    """
    by_piece, bounds = _deal(rows, clock.start(last_period + 1))
    parts = _jit.run(finish_piece, bounds.size - 1, clock.length, clock.offset, bounds, *by_piece, size=1)
    del by_piece
    ids, counts, sums = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(ids.view(np.uint64) if rows.ids.dtype == np.uint64 else ids)
    buyers = counts[order, FREQUENCY] >= 0
    others = order[~buyers]
    order = order[buyers] if others.size else order
    return ids[order], _table(order, counts, sums, clock, last_period), ids[others]


def _deal(rows: Rows, end: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Rows before `end` by piece, and the bounds of the pieces: their number depends on n alone."""
    n = rows.ids.size
    pieces = min(max(n // ROWS_A_PIECE, 1), MOST_PIECES)
    counts = np.zeros((max(-(-n // ROWS_A_SLICE), 1), pieces), np.int64)
    lowest = 0 if rows.coded else int(np.iinfo(np.int64).min)
    ids = rows.ids.view(np.int64)
    inputs = (ids, rows.times, rows.values)
    bad = _jit.run(count_rows, n, ROWS_A_SLICE, lowest, end, *inputs, out=(counts,), size=ROWS_A_SLICE)
    if any(bad):
        raise BadRowsError
    places = np.concatenate(([0], np.cumsum(counts.T)))
    bounds = places[:: counts.shape[0]].copy()
    places = np.ascontiguousarray(places[:-1].reshape(counts.shape[::-1]).T)
    kept = int(bounds[-1])
    by_piece = (
        np.empty(kept, np.int64),
        np.empty(kept, np.int64),
        np.empty(kept, np.float64),
        np.empty(kept if rows.orders.size else 0, np.int64),
    )
    _jit.run(deal_rows, n, ROWS_A_SLICE, end, *inputs, rows.orders, out=(places, *by_piece), size=ROWS_A_SLICE)
    return by_piece, bounds


def _table(
    order: np.ndarray, counts: np.ndarray, sums: np.ndarray, clock: Clock, last_period: int
) -> dict[str, np.ndarray]:
    kinds = {
        "frequency": np.int64,
        "recency": np.float64,
        "T": np.float64,
        "inactivity": np.float64,
        "monetary_value": np.float64,
        "n_orders": np.int64,
        "total_value": np.float64,
        "first_seen": np.int64,
        "last_seen": np.int64,
    }
    table = {name: np.empty(order.size, kind) for name, kind in kinds.items()}
    out = tuple(table.values())
    _jit.run(arrange, order.size, last_period, *clock.scale, order, counts, sums, out=out)
    for name in ("first_seen", "last_seen"):
        table[name] = table[name].view("datetime64[us]")
    return table
