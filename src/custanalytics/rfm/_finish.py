"""Pieces of the log finished one after the other: the tables that the kernels fill, made larger where they are full."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from custanalytics import _jit
from custanalytics.rfm import _kernels_finish as k
from custanalytics.rfm._clock import Clock
from custanalytics.rfm._kernels import HASHED, WIDTH
from custanalytics.rfm._kernels_money import MOST_ROWS
from custanalytics.rfm._text import Text

CUSTOMERS = 1 << 13  # room for them at first: it costs nothing before it is used
SLOTS = 1 << 12


class SharedHashError(Exception):
    """Two customers have ids of different text and the same hash."""


@dataclass(frozen=True)
class Finish:
    """Sums up each customer of a run of pieces, whose rows are `dealt`: piece k has those from bounds[k] on.

    `low`, `shift` and `direct` are those of the split. `since` is the first period of the log and `calendar` the
    number of words that hold a bit for each period; 0 where there are too many. Customers are told apart by their id
    and `n_keys` more columns; where these are only hashes of the `text`, it is compared at last.
    """

    clock: Clock
    low: int
    shift: int
    direct: bool
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
        tables = _Tables(self)
        room = int(self.bounds[stop] - self.bounds[start]) // 8 + 64
        counts, sums = np.empty((room, WIDTH), np.int64), np.empty((room, 2))
        written = 0
        for piece in range(start, stop):
            found = tables.fill(self, piece)
            if written + found > len(counts):
                counts, sums = (_larger(table, 2 * (written + found)) for table in (counts, sums))
            order = self._order(piece, tables.slots, tables.known[:found, k.NAME])
            known = (self.clock.length, self.clock.offset, tables.known, tables.ordered)
            _jit.call(k.write_out, written, order, *known, out=(counts, sums))
            written += found
        return counts[:written], sums[:written]

    def _order(self, piece: int, slots: np.ndarray, names: np.ndarray) -> np.ndarray:
        if self.direct:
            return slots[np.flatnonzero(slots)] - 1
        if self.shift == HASHED:
            return np.arange(names.size)
        names = names - self.base(piece)  # from 0 on
        order = np.argsort(names)
        if self.n_keys and (names[order[1:]] == names[order[:-1]]).any():
            raise SharedHashError
        return order

    def base(self, piece: int) -> int:
        """The lowest id of a piece, as an int64 holds it."""
        return (self.low + (piece << max(self.shift, 0)) + 2**63) % 2**64 - 2**63


class _Tables:
    def __init__(self, job: Finish) -> None:
        self.slots = np.zeros(1 << job.shift if job.direct else SLOTS, np.int64)
        self.pairs = np.zeros((1 if job.calendar else SLOTS, 2), np.int64)
        self.baskets = np.zeros((SLOTS if job.has_orders else 1, 2), np.int64)
        self.known = np.empty((CUSTOMERS, k.CALENDAR + job.calendar + job.n_keys), np.int64)
        self.sizes = np.zeros(4, np.int64)
        self.ordered = np.empty((0, 2))

    def fill(self, job: Finish, piece: int) -> int:
        """Let the rows of a piece stream by; returns how many customers they have."""
        for table in (self.slots, self.pairs, self.baskets, self.sizes):
            table.fill(0)
        begin, end = int(job.bounds[piece]), int(job.bounds[piece + 1])
        low, values = job.base(piece), job.dealt.view(np.float64)
        numbers = (job.clock.length, job.clock.offset, low, job.direct)
        row, crowded = begin, end - begin > MOST_ROWS
        while row < end:
            self._make_room(job.direct)
            row = _jit.call(
                k.stream, row, end, *numbers, job.since, crowded, job.has_orders, job.n_keys, job.dealt, values,
                out=(self.slots, self.pairs, self.baskets, self.known, self.sizes),
            )  # fmt: skip
        found = int(self.sizes[0])
        if job.text.begins.size:
            inputs = (job.has_orders, job.n_keys, job.dealt, job.text.begins, job.text.ends, job.text.letters)
            if _jit.call(k.count_others, begin, end, *inputs, self.slots, self.known):
                raise SharedHashError
        if self.sizes[3]:
            self.ordered = np.zeros((found, 2))
            out = (self.slots, self.known, self.ordered)
            keys = (job.has_orders, job.n_keys, found, job.dealt, values)
            _jit.call(k.add_in_order, begin, end, *numbers, *keys, out=out)
        return found

    def _make_room(self, direct: bool) -> None:
        found, n_pairs, n_baskets = self.sizes[:3].tolist()
        if found == len(self.known):
            self.known = _larger(self.known, 2 * found)
        if not direct and 2 * found >= self.slots.size:
            self.slots = _jit.call(k.more_slots, self.slots, self.known, found)
        if 2 * n_pairs >= len(self.pairs):
            self.pairs = _jit.call(k.more_pairs, self.pairs)
        if 2 * n_baskets >= len(self.baskets):
            self.baskets = _jit.call(k.more_pairs, self.baskets)


def _larger(table: np.ndarray, rows: int) -> np.ndarray:
    larger = np.empty((rows, table.shape[1]), table.dtype)
    larger[: len(table)] = table
    return larger
