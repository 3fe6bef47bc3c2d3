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
        high = min(low + SHORT, stop)
        for at in range(low + 1, high):
            key, value = keys[at], values[at]
            to = at
            while to > low and keys[to - 1] > key:
                keys[to], values[to] = keys[to - 1], values[to - 1]
                to -= 1
            keys[to], values[to] = key, value
        for at in range(low + 1, high):  # ties are rare: they have a pass of their own
            key, value = keys[at], values[at]
            to = at
            while to > low and keys[to - 1] == key and values[to - 1] > value:
                values[to] = values[to - 1]
                to -= 1
            values[to] = value
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
def bucket_of(value, buckets):
    """The bucket of an id within its piece, from the low bits of its hash; `buckets` is a power of two."""
    return np.int64(mix(value) & np.uint64(buckets - 1))


@kernel
def group_rows(begin, end, ids, times, values, orders, names, keys, money, tags, starts):
    """Copy the rows of a piece so that those of a customer lie together; returns how many customers there are.

    Rows go to as many buckets as there are customers at most, by counting. A bucket seldom holds two customers;
    where it does, the rows of its first are swapped to the front. Customer c has the rows starts[c] to
    starts[c + 1].
    """
    rows = end - begin
    has_orders = tags.size > 0
    buckets = 2
    while 2 * buckets < rows:
        buckets *= 2
    edges = np.zeros(buckets + 1, np.int64)
    for row in range(begin, end):
        edges[bucket_of(ids[row], buckets) + 1] += 1
    for bucket in range(buckets):
        edges[bucket + 1] += edges[bucket]
    for row in range(begin, end):  # moves each edge to the end of its bucket
        bucket = bucket_of(ids[row], buckets)
        to = edges[bucket]
        edges[bucket] = to + 1
        names[to], keys[to], money[to] = ids[row], times[row], values[row]
        if has_orders:
            tags[to] = orders[row]
    found = low = 0
    for bucket in range(buckets):
        while low < edges[bucket]:
            starts[found] = low
            found += 1
            name = names[low]
            low += 1
            for row in range(low, edges[bucket]):
                if names[row] == name:
                    if row != low:
                        names[row], names[low] = names[low], names[row]
                        keys[row], keys[low] = keys[low], keys[row]
                        money[row], money[low] = money[low], money[row]
                        if has_orders:
                            tags[row], tags[low] = tags[low], tags[row]
                    low += 1
    starts[found] = rows
    return found


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
def walk(start, stop, times, values, length, offset, customer, counts, sums):
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
    counts[customer, FREQUENCY] = periods - 1
    counts[customer, FIRST_PERIOD], counts[customer, LAST_PERIOD] = first, last
    counts[customer, N_ORDERS] = purchases
    counts[customer, FIRST_TIME], counts[customer, LAST_TIME] = first_time, last_time
    sums[customer, TOTAL], sums[customer, REPEAT] = total, repeat


@kernel
def finish_piece(start, stop, length, offset, bounds, ids, times, values, orders):
    """Sum up each customer of one piece; returns ids, counts and sums, a row a customer."""
    begin, end = bounds[start], bounds[stop]
    rows = end - begin
    names, keys, spare_keys = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.int64)
    money, spare_money = np.empty(rows, np.float64), np.empty(rows, np.float64)
    tags = np.empty(rows if orders.size > 0 else 0, np.int64)
    tag_money = np.empty(tags.size, np.float64)
    starts = np.empty(rows + 1, np.int64)
    found = group_rows(begin, end, ids, times, values, orders, names, keys, money, tags, starts)
    customers = np.empty(found, np.int64)
    counts = np.empty((found, 6), np.int64)
    sums = np.empty((found, 2), np.float64)
    for row in range(tags.size):
        tag_money[row] = money[row]
    for customer in range(found):
        low, high = starts[customer], starts[customer + 1]
        customers[customer] = names[low]
        sort_pairs(low, high, keys, money, spare_keys, spare_money)
        walk(low, high, keys, money, length, offset, customer, counts, sums)
        if tags.size > 0:
            sort_pairs(low, high, tags, tag_money, spare_keys, spare_money)
            counts[customer, N_ORDERS] = count_orders(low, high, tags, tag_money)
    return customers, counts, sums


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
