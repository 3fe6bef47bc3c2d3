"""The summary on plain arrays: count, deal, finish and arrange, each kernel over all threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from custanalytics import _jit
from custanalytics._frames import NO_TIME
from custanalytics.rfm._clock import Clock
from custanalytics.rfm._finish import Finish, SharedHashError
from custanalytics.rfm._kernels import EXTRA, FREQUENCY, HASHED, NAME, SAMPLE, arrange, count_rows, deal_rows, extent
from custanalytics.rfm._text import Text, folded

ROWS_A_PIECE = 1 << 15
MOST_PIECES = 1 << 11
PIECES_A_SLICE = 4
ROWS_A_SLICE = 1 << 18
SAMPLED_IDS = 1 << 14
MOST_MARKED = 1 << 12  # periods of a log that has a bit for each, for every customer
WIDEST_RANGE = 1 << 17  # ids a piece may have a place for each of
WIDE, SPREAD_OVER = 1 << 56, 8  # a range in which even 10^8 numbers share few, and bits of ranges that they spread over


@dataclass(frozen=True)
class Rows:
    """The rows of a log as arrays of shape (n_rows,), none of them changed here.

    A value with a minus sign (-0.0 too) is a return. `orders` is empty where the log has no orders. Where customers
    have two numbers, `keys` is the second and `ids` the first, or both `folded` where the first alone may be that of
    many. Where there is a `text`, `ids` and `keys` are its hashes, which are not trusted: rows of the same hashes are
    compared.
    """

    ids: np.ndarray
    times: np.ndarray
    values: np.ndarray
    orders: np.ndarray
    keys: np.ndarray
    coded: bool  # ids are codes, and -1 is a missing id
    text: Text = field(default_factory=Text)
    folded: bool = False


@dataclass(frozen=True)
class Split:
    """How ids are dealt to pieces: by ranges of 2**shift ids from `low`, or by their hash.

    `direct` says that a range is narrow enough for a place for each of its ids; else they are hashed within it.
    """

    low: int
    shift: int
    pieces: int
    direct: bool


class BadRowsError(Exception):
    """Some rows have no id, no time or no finite value."""


def summarise(rows: Rows, clock: Clock, last_period: int) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Sum up the events up to the end of a period.

    Returns the ids of customers with a purchase in ascending order, the columns of the table, and the ids of
    customers with nothing but returns. Where customers have two numbers, ids are pairs of them; where they have a text,
    the number of one of their rows stands for each customer, in the order of the texts.
    """
    split = _split(rows)
    split, dealt, bounds, reach = _deal(rows, split, clock.start(last_period + 1))
    since, periods = clock.index(reach[0]), clock.index(reach[1]) - clock.index(reach[0]) + 1
    words = -(-periods // 64) if periods <= MOST_MARKED else 0
    has_orders, n_keys = bool(rows.orders.size), int(rows.keys.size > 0)
    finish = Finish(
        *(clock, split.low, split.shift, split.direct, reach[0], since, words, has_orders, n_keys),
        *(bounds, dealt, rows.text),
    )
    parts = _jit.run(finish, split.pieces, size=PIECES_A_SLICE)
    del finish, dealt
    names = (SAMPLE,) if rows.text.begins.size else (NAME, SAMPLE) if n_keys else (NAME,)
    if split.shift != HASHED:
        return _table(parts, [np.empty(0, np.int64)] * len(parts), names, clock, last_period)
    counts, sums = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _table([(counts, sums)], [_order(rows, counts)], names, clock, last_period)


def _order(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """Positions that put customers of hashed pieces in ascending order; what was folded is not so any more."""
    names = counts[:, NAME].view(rows.ids.dtype)
    if not rows.keys.size:
        return np.argsort(names)
    found = np.sort(names)
    if (found[1:] == found[:-1]).any():
        raise SharedHashError
    if rows.text.begins.size:
        return rows.text.in_order(np.ascontiguousarray(counts[:, SAMPLE]))
    seconds = counts[:, SAMPLE].view(np.uint64)
    firsts = folded(names, seconds)
    counts[:, NAME] = firsts.view(np.int64)
    order = np.argsort(firsts)
    alike = (firsts[order[1:]] == firsts[order[:-1]]).any()
    return np.lexsort((seconds, firsts)) if alike else order


def _split(rows: Rows) -> Split:
    """Ranges of ids where those of a sample spread evenly over them, else pieces by hash.

    Which it is changes no bit of the table; ranges leave little to sort, and narrow ones nothing.
    """
    n = rows.ids.size
    wanted = min(max(n // ROWS_A_PIECE, 1), MOST_PIECES)
    by_hash = Split(0, HASHED, wanted, False)
    if n == 0 or rows.folded or rows.text.begins.size:
        return by_hash
    low, high = extent_of(rows.ids)
    shift = max((high - low).bit_length() - wanted.bit_length(), 0)
    pieces = ((high - low) >> shift) + 1
    if not _are_even(rows.ids, low, shift, pieces):
        return by_hash
    direct = not rows.keys.size and (1 << shift) <= min(WIDEST_RANGE, 1024 + 8 * n // pieces)
    return Split(low - 2**64 if low >= 2**63 else low, shift, pieces, direct)


def _are_even(ids: np.ndarray, low: int, shift: int, pieces: int) -> bool:
    """Whether the ids of a sample spread evenly over ranges of 2**shift from `low`."""
    sample = np.sort(ids[:: max(ids.size // SAMPLED_IDS, 1)]).view(np.uint64)
    sample = sample[np.concatenate(([True], sample[1:] != sample[:-1]))]
    shares = np.bincount(((sample - np.uint64(low % 2**64)) >> np.uint64(shift)).astype(np.int64), minlength=pieces)
    return bool(shares.max() <= 8 + 4 * sample.size / pieces)


def tell_apart(numbers: np.ndarray) -> bool:
    """Whether numbers are so evenly spread over so wide a range that hardly any two customers have the same."""
    some = numbers[:: max(numbers.size // SAMPLED_IDS, 1)]  # of which the range is that of all, or nearly
    low, high = int(some.min()), int(some.max())
    shift = max((high - low).bit_length() - SPREAD_OVER, 0)
    return high - low >= WIDE and _are_even(some, low, shift, ((high - low) >> shift) + 1)


def extent_of(values: np.ndarray) -> tuple[int, int]:
    """The smallest and the largest of some whole numbers, at least one."""
    found = _jit.run(extent, values.size, values, size=ROWS_A_SLICE)
    return min(low for low, _ in found), max(high for _, high in found)


def _deal(rows: Rows, split: Split, end: int) -> tuple[Split, np.ndarray, np.ndarray, tuple[int, int]]:
    """The split, rows before `end` by piece, a row for each, the bounds of the pieces, and the first and last time.

    Ids have no place of their own where times are so far apart that a row has no room for both.
    """
    n = rows.ids.size
    counts = np.zeros((max(-(-n // ROWS_A_SLICE), 1), split.pieces), np.int64)
    reach = np.tile(np.array([end, NO_TIME], np.int64), (len(counts), 1))
    lowest = 0 if rows.coded else int(np.iinfo(np.int64).min)
    inputs = (split.low, split.shift, rows.ids.view(np.int64), rows.times, rows.values)
    bad = _jit.run(count_rows, n, ROWS_A_SLICE, lowest, end, *inputs, out=(counts, reach), size=ROWS_A_SLICE)
    if any(bad):
        raise BadRowsError
    places = np.concatenate(([0], np.cumsum(counts.T)))
    bounds = places[:: counts.shape[0]].copy()
    places = np.ascontiguousarray(places[:-1].reshape(counts.shape[::-1]).T)
    numbered = rows.text.begins.size > 0
    first = int(reach[:, 0].min())
    last = max(first, int(reach[:, 1].max()))
    split = replace(split, direct=split.direct and (last - first).bit_length() + split.shift < 63)
    width = EXTRA + (not split.direct) + (rows.orders.size > 0) + (rows.keys.size > 0) + numbered
    dealt = np.empty((int(bounds[-1]), width), np.int64)
    more, out = (rows.orders, rows.keys, numbered), (places, dealt, dealt.view(float))
    how = (split.low, split.shift, split.direct, first)
    _jit.run(deal_rows, n, ROWS_A_SLICE, end, *how, *inputs[2:], *more, out=out, size=ROWS_A_SLICE)
    return split, dealt, bounds, (first, last)


def _table(
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    orders: list[np.ndarray],
    names: tuple[int, ...],
    clock: Clock,
    last_period: int,
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """The ids, the columns of the table, and the ids of those without a purchase, from parts in ascending order.

    `names` are the columns of the counts that are the id: one, or two.
    """
    others = []
    for at, (counts, _) in enumerate(parts):
        buyers = counts[:, FREQUENCY] >= 0
        if not buyers.all():
            order = orders[at] if orders[at].size else np.arange(buyers.size)
            others.append(counts[order[~buyers[order]]][:, names])
            orders[at] = order[buyers[order]]
            if not orders[at].size:
                parts = [*parts[:at], (counts[:0], parts[at][1][:0]), *parts[at + 1 :]]
    sizes = [order.size or len(counts) for order, (counts, _) in zip(orders, parts, strict=True)]
    starts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
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
    table = {column: np.empty(starts[-1], kind) for column, kind in kinds.items()}
    ids = np.empty((starts[-1], len(names)), np.int64)
    first, second = names[0], names[-1]

    def write(start: int, stop: int) -> None:
        for at in range(start, stop):
            out = tuple(column[starts[at] : starts[at + 1]] for column in (ids, *table.values()))
            size = int(starts[at + 1] - starts[at])
            _jit.call(arrange, 0, size, first, second, last_period, *clock.scale, orders[at], *parts[at], out=out)

    if len(parts) == 1:
        inputs = (first, second, last_period, *clock.scale, orders[0], *parts[0])
        _jit.run(arrange, len(ids), *inputs, out=(ids, *table.values()))
    else:
        _jit.run(write, len(parts), size=1)
    for column in ("first_seen", "last_seen"):
        table[column] = table[column].view("datetime64[us]")
    left_out = np.concatenate([ids[:0], *others])
    return (ids, table, left_out) if len(names) > 1 else (ids.ravel(), table, left_out.ravel())
