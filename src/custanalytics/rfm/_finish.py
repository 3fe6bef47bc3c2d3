"""Pieces of the log finished one after the other: the scratch that the kernels fill, made larger where it is full."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from custanalytics import _jit
from custanalytics.rfm import _kernels_finish as k
from custanalytics.rfm._clock import Clock
from custanalytics.rfm._kernels import EXTRA, HASHED, WIDTH
from custanalytics.rfm._text import Text

SLOTS = 1 << 12
BLOCK = 1 << 9  # rows that are looked at together: few enough that their rests add up to less than an int64 holds


class SharedHashError(Exception):
    """Two customers have ids of different text and the same hash."""


@dataclass(frozen=True)
class Finish:
    """Adds up each customer of a run of pieces, whose rows are `dealt`: piece k has those from bounds[k] on.

    `low`, `shift` and `direct` are those of the split. Times count from `first` on. `since` is the first period of the
    log and `calendar` the number of words that hold a bit for each period; 0 where there are too many. Customers are
    told apart by their id and, with `n_keys`, one more column; where these are only hashes of the `text`, it is
    compared at last.
    """

    clock: Clock
    low: int
    shift: int
    direct: bool
    first: int
    since: int
    calendar: int
    has_orders: bool
    n_keys: int
    bounds: np.ndarray
    dealt: np.ndarray
    text: Text

    def __call__(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Counts and sums of the customers of pieces, a row a customer.

        Where pieces are ranges of ids, the customers come in ascending order. A customer without a purchase has the
        frequency -1.
        """
        scratch = _Scratch(self, int(np.diff(self.bounds[start : stop + 1]).max()))
        if self.direct:
            room = min(int(self.bounds[stop] - self.bounds[start]), (stop - start) << self.shift)
            counts, sums = np.empty((room, WIDTH), np.int64), np.empty((room, 2))
            written = scratch.finish_ranges(start, stop, counts, sums)
            return counts[:written], sums[:written]
        room = int(self.bounds[stop] - self.bounds[start]) // 8 + 64
        counts, sums = np.empty((room, WIDTH), np.int64), np.empty((room, 2))
        written = 0
        for piece in range(start, stop):
            found = scratch.number(piece)
            if written + found > len(counts):
                counts, sums = (_larger(table, 2 * (written + found)) for table in (counts, sums))
            written = scratch.add_up(piece, found, written, counts, sums)
        return counts[:written], sums[:written]

    def base(self, piece: int) -> int:
        """The lowest id of a piece, as an int64 holds it."""
        return (self.low + (piece << max(self.shift, 0)) + 2**63) % 2**64 - 2**63


class _Scratch:
    """Room for the rows of the largest piece."""

    def __init__(self, job: Finish, rows: int) -> None:
        self.job, self.numbers = job, job.dealt.view(np.float64)
        self.codes = np.empty(rows, np.int32)
        self.times, self.spare = np.empty((2, rows), np.int64)
        self.values, self.spare_values = np.empty((2, rows))
        self.orders = np.empty(rows if job.has_orders else 0, np.int64)
        self.looked_at = tuple(np.empty((3, BLOCK), np.int64))
        self.calendar = np.zeros(job.calendar, np.int64)
        self.ends = np.zeros(1 << job.shift if job.direct else SLOTS // 2, np.int32)
        self.names = np.empty((0 if job.direct else SLOTS // 2, 3), np.int64)
        self.slots = np.zeros(0 if job.direct else SLOTS, np.int32)

    def finish_ranges(self, start: int, stop: int, counts: np.ndarray, sums: np.ndarray) -> int:
        """Finish pieces whose ids have places of their own; returns how many customers they have."""
        job, clock, order = self.job, self.job.clock, np.empty(0, np.int64)
        where = (start, stop, job.bounds, job.base(0), job.shift, job.first, job.since, clock.length, clock.offset)
        inputs = (*where, job.has_orders, order, self.names, job.dealt, self.numbers)
        columns = (self.codes, self.ends, self.times, self.values, self.orders)
        room = (*self.looked_at, self.calendar, self.spare, self.spare_values)
        return int(_jit.call(k.finish_ranges, *inputs, out=(*columns, *room, counts, sums)))

    def number(self, piece: int) -> int:
        """Number the customers of a piece by their names; returns how many there are."""
        job, (begin, end) = self.job, self.job.bounds[piece : piece + 2].tolist()
        self.slots.fill(0)
        row, found, key = begin, 0, EXTRA + 1 + job.has_orders if job.n_keys else 0
        while row < end:
            if found == len(self.names):
                self.names, self.ends = _larger(self.names, 2 * found), _larger(self.ends, 2 * found)
            if 2 * found >= self.slots.size:
                self.slots = _jit.call(k.more_slots, self.slots, self.names, found)
            out = (self.slots, self.names, self.codes, self.ends)
            row, found = _jit.call(k.number_by_name, row, begin, end, found, job.n_keys, key, job.dealt, out=out)
        if job.text.begins.size:
            inputs = (job.dealt, job.text.begins, job.text.ends, job.text.letters, self.codes, self.names)
            if _jit.call(k.count_others, begin, end, *inputs):
                raise SharedHashError
        return found

    def add_up(self, piece: int, found: int, written: int, counts: np.ndarray, sums: np.ndarray) -> int:
        """Write the numbered customers of a piece to the rows from `written` on; returns the next row."""
        job, (begin, end) = self.job, self.job.bounds[piece : piece + 2].tolist()
        names, clock = self.names[:found], job.clock
        order = self._order(piece, names[:, 0])
        columns = (self.ends[:found], self.times[: end - begin], self.values[: end - begin], self.orders)
        inputs = (0, job.first, job.has_orders, EXTRA + 1, order, job.dealt, self.numbers, self.codes)
        returns = _jit.call(k.put_together, begin, end, *inputs, out=columns)
        settings = (order, 0, job.since, clock.length, clock.offset, returns, job.has_orders, names)
        room = (*self.looked_at, self.calendar, self.spare, self.spare_values)
        return int(_jit.call(k.add_up_customers, *settings, out=(*columns, *room, written, counts, sums)))

    def _order(self, piece: int, names: np.ndarray) -> np.ndarray:
        """The codes of a piece's customers in the order of their ids; empty where it is that of the codes."""
        if self.job.shift == HASHED:
            return np.empty(0, np.int64)
        names = names - self.job.base(piece)  # from 0 on
        order = np.argsort(names)
        if self.job.n_keys and (names[order[1:]] == names[order[:-1]]).any():
            raise SharedHashError
        return order


def _larger(table: np.ndarray, rows: int) -> np.ndarray:
    larger = np.empty((rows, *table.shape[1:]), table.dtype)
    larger[: len(table)] = table
    return larger
