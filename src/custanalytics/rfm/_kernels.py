"""Kernels of the summary: rows are dealt into pieces by id, and each piece is finished alone.

A piece has few enough rows that these stay in the processor's cache while they are put together by customer. A
customer's money is added so that the order of the rows changes no bit of it. Loops over rows and what they look up have
indices without a sign: of one with a sign Numba asks at each whether it counts from the end.
"""

from __future__ import annotations

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel

DAY_US = 86_400_000_000
NO_TIME = np.iinfo(np.int64).min
SIZE, INFINITE = np.int64((1 << 63) - 1), np.int64(0x7FF << 52)  # bits of a double: all but the sign; those of inf
HASHED = -1  # the shift that says: pieces by hash

# A dealt row: its time, in its lowest bits the place of its id in the piece where ids have one, and its value; then its
# id where it has no such place, its order, key and number where they are needed.
WHEN, VALUE, EXTRA = range(3)

# Columns of the two tables that a slice of pieces returns, one row per customer.
NAME, FREQUENCY, FIRST_PERIOD, LAST_PERIOD, N_ORDERS, FIRST_TIME, LAST_TIME, SAMPLE = range(8)
WIDTH = 8
TOTAL, REPEAT = range(2)


@kernel
def piece_of(value, low, shift, pieces):
    """The piece that an id is dealt to: by ranges of 2**shift ids from `low`, or by the high bits of its hash."""
    if shift >= 0:
        return (np.uint64(value) - np.uint64(np.int64(low))) >> np.uint64(shift)
    return ((mix(value) >> np.uint64(32)) * np.uint64(pieces)) >> np.uint64(32)


@kernel
def whole_periods(time, length):
    """How many periods of one length have passed at a time."""
    index = np.int64(time * (1.0 / length))  # off by one at most, and much faster than a division or branches
    rest = time - index * length
    return index + np.int64(rest >= length) - np.int64(rest < 0)


@kernel
def period_of(time, length, offset):
    """Index of the period that holds a time in microseconds: whole lengths, or `offset` calendar months for length 0.

    The months are those of the proleptic Gregorian calendar, counted from January 1970.
    """
    if length:
        return whole_periods(time + offset, length)
    days = time // DAY_US + 719_468  # since 1 March of the year 0, the start of a cycle of 400 years
    cycle = days // 146_097
    day = days - cycle * 146_097
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    month = (5 * (day - (365 * year + year // 4 - year // 100)) + 2) // 153  # 0 is March
    return ((400 * cycle + year - 1970) * 12 + month + 2) // offset


@kernel
def extent(start, stop, values):
    """The smallest and the largest of a slice that is not empty."""
    values = values[start:stop]  # from 0 on, so that nothing keeps the loop from doing several at once
    low = high = values[0]
    for row in range(values.size):
        low, high = min(low, values[row]), max(high, values[row])
    return low, high


@kernel
def survey(start, stop, end, free, times, values):
    """What there is in a slice, free of branches: rows to settle, rows after `end`, largest size, first and last time.

    To be settled are rows before `end`: returns, and purchases of 0 where these are not `free` to count. The size is
    inf where an amount is not finite. The last time is one before `end`, the least number where there is none.
    """
    times, bits = times[start:stop], values[start:stop].view(np.int64)
    wanted, after, largest, most = 0, 0, 0, np.int64(0 if free else 1)
    first, last = end, NO_TIME
    for row in range(bits.size):  # the bits of doubles without a sign are in their order
        size = bits[row] & SIZE
        largest = max(largest, size)
        late = np.int64(times[row] >= end)
        after += late
        wanted += (np.int64(bits[row] < 0) | np.int64(size < most)) & (1 - late)
        first, last = min(first, times[row]), max(last, NO_TIME if late else times[row])
    return wanted, after, np.int64(min(largest, INFINITE)).view(np.float64), first, last


@kernel
def count_rows(start, stop, size, end, every, low, shift, ids, times, counts):
    """Count the rows of a slice that go to each piece: those before `end`, which may be `every` row."""
    slot = start // size
    pieces = counts.shape[1]
    for row in range(np.uint64(start), np.uint64(stop)):
        if every or times[row] < end:
            counts[slot, piece_of(ids[row], low, shift, pieces)] += 1


@kernel
def deal_rows(
    start, stop, size, end, every, low, shift, direct, first, ids, times, values, orders, keys, numbered,
    places, dealt, dealt_values,
):  # fmt: skip
    """Copy the rows of a slice to their pieces, from the places that the counts left for this slice.

    Dealt are those before `end`, which may be `every` row. Times count from `first` on. `dealt_values` is `dealt` seen
    as float64. The number of a row comes last where `numbered` is 1.
    """
    slot = start // size
    pieces = places.shape[1]
    named, has_orders, has_keys = not direct, orders.size > 0, keys.size > 0
    bits = shift if direct else 0
    mask = (1 << bits) - 1
    for row in range(np.uint64(start), np.uint64(stop)):
        if every or times[row] < end:
            piece = piece_of(ids[row], low, shift, pieces)
            at = np.uint64(places[slot, piece])
            places[slot, piece] = at + np.uint64(1)
            dealt[at, WHEN] = (times[row] - first) << bits | (ids[row] - low) & mask
            dealt_values[at, VALUE] = values[row]
            if named:
                dealt[at, EXTRA] = ids[row]
            if has_orders:
                dealt[at, EXTRA + named] = orders[row]
            if has_keys:
                dealt[at, EXTRA + named + has_orders] = keys[row]
            if numbered:
                dealt[at, dealt.shape[1] - 1] = row


@kernel
def arrange(
    start, stop, first_name, second_name, last_period, scale, unit, order, counts, sums,
    ids, frequency, recency, age, inactivity, mean, n_orders, total, first_time, last_time,
):  # fmt: skip
    """Write the columns of the table from the rows of `order`, all where it is empty.

    A duration is periods · scale / unit.
    """
    for row in range(np.uint64(start), np.uint64(stop)):
        at = np.uint64(order[row]) if order.size > 0 else row
        ids[row, 0], ids[row, ids.shape[1] - 1] = counts[at, first_name], counts[at, second_name]
        count = counts[at, FREQUENCY]
        first, last = counts[at, FIRST_PERIOD], counts[at, LAST_PERIOD]
        frequency[row] = count
        recency[row] = (last - first) * scale / unit
        age[row] = (last_period - first) * scale / unit
        inactivity[row] = (last_period - last) * scale / unit
        mean[row] = sums[at, REPEAT] / count if count > 0 else 0.0
        n_orders[row] = counts[at, N_ORDERS]
        total[row] = sums[at, TOTAL]
        first_time[row], last_time[row] = counts[at, FIRST_TIME], counts[at, LAST_TIME]
