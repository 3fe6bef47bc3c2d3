"""The summary on plain arrays: count, deal, finish and arrange, each kernel over all threads."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from custanalytics import _jit
from custanalytics.rfm import _kernels as k
from custanalytics.rfm._clock import Clock
from custanalytics.rfm._finish import Finish, SharedHashError
from custanalytics.rfm._kernels import FREQUENCY, HASHED, NAME, SAMPLE
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


@dataclass(frozen=True)
class Survey:
    """What one look at all rows tells of those before an end, and of those after it."""

    n_wanted: int  # before the end, that have something to settle
    n_after: int
    largest: float  # size of an amount; inf where one is not finite
    first: int  # time before the end, or the end
    last: int  # time before the end, or NO_TIME
    sound: bool  # whether every row has a customer, a time and a finite amount


class BadRowsError(Exception):
    """Some rows have no id, no time or no finite value."""


def survey(rows: Rows, end: int, free: bool = True) -> Survey:
    """Look at all rows once; purchases of 0 that are not `free` to count are to be settled, as returns are."""
    found = _jit.run(k.survey, rows.ids.size, end, free, rows.times, rows.values, size=ROWS_A_SLICE)
    wanted, after, sizes, firsts, lasts = zip(*found, strict=True) if found else ((), (), (), (), ())
    largest, first = float(max(sizes, default=0.0)), int(min(firsts, default=end))
    identified = not (rows.coded and rows.ids.size and int(rows.ids.min()) < 0)
    sound = bool(np.isfinite(largest)) and first != k.NO_TIME and identified
    return Survey(int(sum(wanted)), int(sum(after)), largest, first, int(max(lasts, default=k.NO_TIME)), sound)


def summarise(
    rows: Rows, clock: Clock, last_period: int, look: Survey | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Sum up the events up to the end of a period; `look` is the survey of them, where there has been one.

    Returns the ids of customers with a purchase in ascending order, the columns of the table, and the ids of
    customers with nothing but returns. Where customers have two numbers, ids are pairs of them; where they have a text,
    the number of one of their rows stands for each customer, in the order of the texts.
    """
    end = clock.start(last_period + 1)
    look = survey(rows, end) if look is None else look
    if not look.sound:
        raise BadRowsError
    split = _split(rows, look)
    dealt, bounds = _deal(rows, split, end, look)
    since = clock.index(look.first)
    periods = clock.index(max(look.first, look.last)) - since + 1
    words = -(-periods // 64) if periods <= MOST_MARKED else 0
    has_orders, n_keys = bool(rows.orders.size), int(rows.keys.size > 0)
    finish = Finish(
        *(clock, split.low, split.shift, split.direct, look.first, since, words, has_orders, n_keys),
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


def _split(rows: Rows, look: Survey) -> Split:
    """Ranges of ids where those of a sample spread evenly over them, else pieces by hash.

    Which it is changes no bit of the table; ranges leave little to sort, and narrow ones nothing, unless times are so
    far apart that one word of a row has no room for its time and for the place of its id.
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
    roomy = max(look.last - look.first, 0).bit_length() + shift < 63
    direct = roomy and not rows.keys.size and (1 << shift) <= min(WIDEST_RANGE, 1024 + 8 * n // pieces)
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
    found = _jit.run(k.extent, values.size, values, size=ROWS_A_SLICE)
    return int(min(low for low, _ in found)), int(max(high for _, high in found))


def _deal(rows: Rows, split: Split, end: int, look: Survey) -> tuple[np.ndarray, np.ndarray]:
    """Rows before `end` by piece, a row for each, and the bounds of the pieces."""
    n = rows.ids.size
    counts = np.zeros((max(-(-n // ROWS_A_SLICE), 1), split.pieces), np.int64)
    which, log = (end, not look.n_after, split.low, split.shift), (rows.ids.view(np.int64), rows.times)
    _jit.run(k.count_rows, n, ROWS_A_SLICE, *which, *log, out=(counts,), size=ROWS_A_SLICE)
    places = np.concatenate(([0], np.cumsum(counts.T)))
    bounds = places[:: counts.shape[0]].copy()
    places = np.ascontiguousarray(places[:-1].reshape(counts.shape[::-1]).T)
    numbered = rows.text.begins.size > 0
    width = k.EXTRA + (not split.direct) + (rows.orders.size > 0) + (rows.keys.size > 0) + numbered
    dealt = np.empty((int(bounds[-1]), width), np.int64)
    inputs = (*which, split.direct, look.first, *log, rows.values, rows.orders, rows.keys, numbered)
    out = (places, dealt, dealt.view(float))
    _jit.run(k.deal_rows, n, ROWS_A_SLICE, *inputs, out=out, size=ROWS_A_SLICE)
    return dealt, bounds


def _table(
    parts: list[tuple[np.ndarray, np.ndarray]],
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
    first, second, nothing = names[0], names[-1], (np.empty((0, 0), np.int64), np.empty((0, 0)))

    def write(start: int, stop: int) -> None:
        for at in range(start, stop):
            out = tuple(column[starts[at] : starts[at + 1]] for column in (ids, *table.values()))
            size = int(starts[at + 1] - starts[at])
            _jit.call(k.arrange, 0, size, first, second, last_period, *clock.scale, orders[at], *parts[at], out=out)
            parts[at] = nothing  # room for the next columns

    if len(parts) == 1:
        inputs = (first, second, last_period, *clock.scale, orders[0], *parts[0])
        _jit.run(k.arrange, len(ids), *inputs, out=(ids, *table.values()))
    else:
        _jit.run(write, len(parts), size=1)
    for column in ("first_seen", "last_seen"):
        table[column] = table[column].view("datetime64[us]")
    left_out = np.concatenate([ids[:0], *others])
    return (ids, table, left_out) if len(names) > 1 else (ids.ravel(), table, left_out.ravel())
