"""Kernels of the summary: rows are dealt into pieces by a hash of the id, and each piece is finished alone.

A piece fits the processor's cache, so its hash table and its sorts never wait for memory. A customer's rows
are put in one canonical order (time, then value) before anything is added up: the same bits come out in
whatever order the rows came.
"""

from __future__ import annotations

import math

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel

SHORT = 24  # rows up to which insertion beats merging
DAY_US = 86_400_000_000

# Columns of the two tables that a piece returns, one row per customer.
FREQUENCY, FIRST_PERIOD, LAST_PERIOD, N_ORDERS, FIRST_TIME, LAST_TIME = range(6)
TOTAL, REPEAT = range(2)


@kernel
def piece_of(value, pieces):
    """The piece that an id is dealt to, from the high bits of its hash; the low bits are left for the piece."""
    return np.int64(((mix(value) >> np.uint64(32)) * np.uint64(pieces)) >> np.uint64(32))


@kernel
def period_of(time, length, offset):
    """Index of the period that holds a time in microseconds: whole lengths, or calendar months where length is 0.

    The months are those of the proleptic Gregorian calendar, counted from January 1970.
    """
    if length:
        return (time + offset) // length
    days = time // DAY_US + 719_468  # since 1 March of the year 0, the start of a cycle of 400 years
    cycle = days // 146_097
    day = days - cycle * 146_097
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    month = (5 * (day - (365 * year + year // 4 - year // 100)) + 2) // 153  # 0 is March
    return (400 * cycle + year - 1970) * 12 + month + 2


@kernel
def count_rows(start, stop, size, lowest, end, ids, times, values, counts):
    """Count the rows of a slice that go to each piece; returns how many have no id, time or finite value.

    Rows at or after `end` go nowhere. `lowest` is the smallest id that is one (0 where -1 means missing).
    """
    slot = start // size
    pieces = counts.shape[1]
    no_time = np.iinfo(np.int64).min
    bad = 0
    for row in range(start, stop):
        if ids[row] < lowest or times[row] == no_time or not math.isfinite(values[row]):
            bad += 1
        elif times[row] < end:
            counts[slot, piece_of(ids[row], pieces)] += 1
    return bad


@kernel
def deal_rows(start, stop, size, end, ids, times, values, orders, places, by_id, by_time, by_value, by_order):
    """Copy the rows of a slice to their pieces, from the places that the counts left for this slice."""
    slot = start // size
    pieces = places.shape[1]
    has_orders = orders.size > 0
    for row in range(start, stop):
        if times[row] < end:
            piece = piece_of(ids[row], pieces)
            at = places[slot, piece]
            places[slot, piece] = at + 1
            by_id[at] = ids[row]
            by_time[at] = times[row]
            by_value[at] = values[row]
            if has_orders:
                by_order[at] = orders[row]


@kernel
def sort_pairs(start, stop, keys, values, spare_keys, spare_values):
    """Sort pairs in place by key, then value: never slower than n log n, and linear where they are in order."""
    for low in range(start, stop, SHORT):
        for at in range(low + 1, min(low + SHORT, stop)):
            key, value = keys[at], values[at]
            to = at
            while to > low and (keys[to - 1] > key or (keys[to - 1] == key and values[to - 1] > value)):
                keys[to], values[to] = keys[to - 1], values[to - 1]
                to -= 1
            keys[to], values[to] = key, value
    width = SHORT
    while width < stop - start:
        for low in range(start, stop - width, 2 * width):
            middle, high = low + width, min(low + 2 * width, stop)
            k, v = keys[middle], values[middle]
            if keys[middle - 1] < k or (keys[middle - 1] == k and values[middle - 1] <= v):
                continue
            for at in range(low, middle):  # the left run steps aside; what is merged never overtakes the right
                spare_keys[at], spare_values[at] = keys[at], values[at]
            left, right = low, middle
            for to in range(low, high):
                if left == middle:
                    break
                take_right = right < high and (
                    keys[right] < spare_keys[left]
                    or (keys[right] == spare_keys[left] and values[right] < spare_values[left])
                )
                if take_right:
                    keys[to], values[to] = keys[right], values[right]
                    right += 1
                else:
                    keys[to], values[to] = spare_keys[left], spare_values[left]
                    left += 1
        width *= 2


@kernel
def number_ids(start, stop, ids, codes):
    """Number the ids of a piece in order of appearance; returns the distinct ids and the rows of each."""
    capacity = 1024
    slots = np.full(capacity, -1, np.int32)
    uniques = np.empty(capacity // 2, np.int64)
    sizes = np.zeros(capacity // 2, np.int64)
    found = 0
    for row in range(start, stop):
        if 2 * found >= capacity:  # at most half full, so that probes stay short
            capacity *= 4
            slots = np.full(capacity, -1, np.int32)
            wider = np.empty(capacity // 2, np.int64)
            more = np.zeros(capacity // 2, np.int64)
            for code in range(found):
                wider[code], more[code] = uniques[code], sizes[code]
                at = np.int64(mix(uniques[code]) & np.uint64(capacity - 1))
                while slots[at] >= 0:
                    at = (at + 1) & (capacity - 1)
                slots[at] = code
            uniques, sizes = wider, more
        value = ids[row]
        at = np.int64(mix(value) & np.uint64(capacity - 1))
        while slots[at] >= 0 and uniques[slots[at]] != value:
            at = (at + 1) & (capacity - 1)
        code = np.int64(slots[at])
        if code < 0:
            code = found
            slots[at] = code
            uniques[code] = value
            found += 1
        sizes[code] += 1
        codes[row - start] = code
    return uniques[:found], sizes[:found]


@kernel
def count_orders(start, stop, orders, values):
    """Distinct orders with a purchase among rows sorted by order; a value with a minus sign is a return."""
    found = 0
    counted = False
    for row in range(start, stop):
        if row == start or orders[row] != orders[row - 1]:
            counted = False
        if not counted and math.copysign(1.0, values[row]) > 0:
            counted = True
            found += 1
    return found


@kernel
def walk(start, stop, times, values, length, offset, counts, sums):
    """Sum up one customer's rows, sorted by time and value: periods, first and last purchase, money."""
    total = repeat = 0.0
    first = last = first_time = last_time = 0
    periods = purchases = 0
    for row in range(start, stop):
        value = values[row]
        total += value
        if math.copysign(1.0, value) < 0:
            continue
        period = period_of(times[row], length, offset)
        if purchases == 0:
            first, first_time = period, times[row]
        if purchases == 0 or period != last:
            periods += 1
        last, last_time = period, times[row]
        purchases += 1
        if period != first:
            repeat += value
    counts[FREQUENCY] = periods - 1
    counts[FIRST_PERIOD], counts[LAST_PERIOD] = first, last
    counts[N_ORDERS] = purchases
    counts[FIRST_TIME], counts[LAST_TIME] = first_time, last_time
    sums[TOTAL], sums[REPEAT] = total, repeat


@kernel
def finish_piece(start, stop, length, offset, bounds, ids, times, values, orders):
    """Group the rows of one piece by customer and sum each up; returns ids, counts and sums, a row a customer."""
    begin, end = bounds[start], bounds[stop]
    rows = end - begin
    has_orders = orders.size > 0
    codes = np.empty(rows, np.int32)
    uniques, sizes = number_ids(begin, end, ids, codes)
    counts = np.empty((uniques.size, 6), np.int64)
    sums = np.empty((uniques.size, 2), np.float64)
    edges = np.empty(uniques.size, np.int64)
    edge = 0
    for code in range(uniques.size):
        edges[code] = edge
        edge += sizes[code]
    keys, spare_keys = np.empty(rows, np.int64), np.empty(rows, np.int64)
    money, spare_money = np.empty(rows, np.float64), np.empty(rows, np.float64)
    for row in range(rows):
        to = edges[codes[row]]
        edges[codes[row]] = to + 1
        keys[to] = times[begin + row]
        money[to] = values[begin + row]
    for code in range(uniques.size):  # the edges have moved to the ends
        low = edges[code] - sizes[code]
        sort_pairs(low, edges[code], keys, money, spare_keys, spare_money)
        walk(low, edges[code], keys, money, length, offset, counts[code], sums[code])
        edges[code] = low
    if has_orders:
        for row in range(rows):
            to = edges[codes[row]]
            edges[codes[row]] = to + 1
            keys[to] = orders[begin + row]
            money[to] = values[begin + row]
        for code in range(uniques.size):
            low = edges[code] - sizes[code]
            sort_pairs(low, edges[code], keys, money, spare_keys, spare_money)
            counts[code, N_ORDERS] = count_orders(low, edges[code], keys, money)
    return uniques, counts, sums


@kernel
def arrange(
    start, stop, last_period, scale, unit, order, counts, sums,
    frequency, recency, age, inactivity, mean, n_orders, total, first_time, last_time,
):  # fmt: skip
    """Write the columns of the table in the order of the ids; a duration is periods · scale / unit."""
    for row in range(start, stop):
        at = order[row]
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
