"""Kernels that finish a piece of the log: its rows stream by once, and each adds to what is known of its customer."""

from __future__ import annotations

import math

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel
from custanalytics.rfm import _kernels as out
from custanalytics.rfm._kernels import EXTRA, ID, TIME, VALUE, period_of
from custanalytics.rfm._kernels_money import (
    INEXACT,
    MOST_ROWS,
    add_money,
    kind_of,
    money_of,
    rounded,
    sort_pairs,
)

# What is known of a customer while rows stream by; units and rest of three sums of money come last.
NAME, FIRST, LAST, PERIODS, PURCHASES, FIRST_TIME, LAST_TIME, ROWS, KIND, SAMPLE = range(10)
FIRST_MONEY, LATER_MONEY, RETURNED_MONEY = 10, 12, 14
CALENDAR = 16  # from here on a bit for each period of the log, where it has few


@kernel
def same_text(one, other, edges, letters):
    """Whether two rows of an Arrow column of text have the same bytes."""
    at, shift = edges[one], edges[other] - edges[one]
    end = edges[one + 1] if edges[one + 1] + shift == edges[other + 1] else -1
    while at < end and letters[at] == letters[at + shift]:
        at += 1
    return at == end


@kernel
def place_of(name, number, low, direct, slots, known, edges, letters):
    """The place of a customer in the table of slots, or the free place that is theirs; slots hold row + 1."""
    mask = slots.size - 1
    at = (name - low if direct else np.int64(mix(name))) & mask
    while slots[at] > 0 and not (
        known[slots[at] - 1, NAME] == name
        and (edges.size == 0 or same_text(known[slots[at] - 1, SAMPLE], number, edges, letters))
    ):
        at = (at + 1) & mask
    return at


@kernel
def more_slots(slots, known, found):
    """A table of slots four times as large with the same customers, who are all different."""
    larger = np.zeros(4 * slots.size, np.int64)
    mask = larger.size - 1
    for customer in range(found):
        at = np.int64(mix(known[customer, NAME])) & mask
        while larger[at] > 0:
            at = (at + 1) & mask
        larger[at] = customer + 1
    return larger


@kernel
def insert(pairs, customer, key):
    """Put a pair of a customer and a key into a set (both + 1, 0 is free); returns whether it is new."""
    mask = pairs.shape[0] - 1
    at = np.int64(mix(key + (customer << 40))) & mask
    while pairs[at, 0] > 0:
        if pairs[at, 0] == customer + 1 and pairs[at, 1] == key:
            return 0
        at = (at + 1) & mask
    pairs[at, 0], pairs[at, 1] = customer + 1, key
    return 1


@kernel
def more_pairs(pairs):
    """A set four times as large with the same pairs."""
    larger = np.zeros((4 * pairs.shape[0], 2), np.int64)
    for at in range(pairs.shape[0]):
        if pairs[at, 0] > 0:
            insert(larger, pairs[at, 0] - 1, pairs[at, 1])
    return larger


@kernel
def mark(known, customer, bit):
    """Set a customer's bit, which says that they bought in that period; returns whether it is new."""
    word, one = CALENDAR + (bit >> 6), 1 << (bit & 63)
    before = known[customer, word]
    known[customer, word] = before | one
    return (before & one) == 0


@kernel
def add_purchase(known, customer, time, period, amount):
    """Note when a customer bought and for how much."""
    if known[customer, PURCHASES] == 0:
        known[customer, FIRST], known[customer, LAST] = period, period
        known[customer, FIRST_TIME], known[customer, LAST_TIME] = time, time
    known[customer, FIRST_TIME] = min(time, known[customer, FIRST_TIME])
    known[customer, LAST_TIME] = max(time, known[customer, LAST_TIME])
    known[customer, LAST] = max(period, known[customer, LAST])
    first = known[customer, FIRST]
    if period < first:  # what was the first period is a later one now
        known[customer, FIRST] = period
        for part in range(2):
            known[customer, LATER_MONEY + part] += known[customer, FIRST_MONEY + part]
            known[customer, FIRST_MONEY + part] = 0
    add_money(known, customer, LATER_MONEY if period > first else FIRST_MONEY, amount)


@kernel
def add_in_order(begin, end, length, offset, low, direct, slots, known, found, dealt, dealt_values, edges, letters):
    """The total and the repeat value, added in the order of time and value, of customers with an INEXACT amount."""
    starts = np.zeros(found + 1, np.int64)
    for customer in range(found):
        rows = known[customer, ROWS] if known[customer, KIND] & INEXACT else 0
        starts[customer + 1] = starts[customer] + rows
    n = starts[found]
    times, spare_times = np.empty(n, np.int64), np.empty(n, np.int64)
    values, spare_values = np.empty(n, np.float64), np.empty(n, np.float64)
    for row in range(begin, end):
        at = place_of(dealt[row, ID], dealt[row, dealt.shape[1] - 1], low, direct, slots, known, edges, letters)
        customer = slots[at] - 1
        if known[customer, KIND] & INEXACT:
            known[customer, ROWS] -= 1
            to = starts[customer] + known[customer, ROWS]
            times[to], values[to] = dealt[row, TIME], dealt_values[row, VALUE]
    sums = np.zeros((found, 2), np.float64)
    for customer in range(found):
        sort_pairs(starts[customer], starts[customer + 1], times, values, spare_times, spare_values)
        for row in range(starts[customer], starts[customer + 1]):
            sums[customer, out.TOTAL] += values[row]
            bought = math.copysign(1.0, values[row]) > 0
            if bought and period_of(times[row], length, offset) != known[customer, FIRST]:
                sums[customer, out.REPEAT] += values[row]
    return sums


@kernel
def in_order(direct, slots, found):
    """The customers of a piece in ascending order of id, or as they were found where pieces are not ranges."""
    order = np.empty(found, np.int64)
    if direct:
        at = 0
        for slot in range(slots.size):
            if slots[slot] > 0:
                order[at] = slots[slot] - 1
                at += 1
    else:
        for customer in range(found):
            order[customer] = customer
    return order


@kernel
def write_out(order, known, ordered, written, counts, sums):
    """Write what is known of the customers of a piece to the rows from `written` on."""
    for customer in order:
        counts[written, out.NAME] = known[customer, NAME]
        counts[written, out.FREQUENCY] = known[customer, PERIODS] - 1
        counts[written, out.FIRST_PERIOD] = known[customer, FIRST]
        counts[written, out.LAST_PERIOD] = known[customer, LAST]
        counts[written, out.N_ORDERS] = known[customer, PURCHASES]
        counts[written, out.FIRST_TIME] = known[customer, FIRST_TIME]
        counts[written, out.LAST_TIME] = known[customer, LAST_TIME]
        kind = known[customer, KIND]
        if kind & INEXACT:
            total, repeat = ordered[customer, out.TOTAL], ordered[customer, out.REPEAT]
        else:
            units, rest = known[customer, LATER_MONEY], known[customer, LATER_MONEY + 1]
            repeat = money_of(units, rest)
            units += known[customer, FIRST_MONEY] - known[customer, RETURNED_MONEY]
            rest += known[customer, FIRST_MONEY + 1] - known[customer, RETURNED_MONEY + 1]
            total = money_of(units, rest)
        sums[written, out.TOTAL], sums[written, out.REPEAT] = rounded(total, kind), rounded(repeat, kind)
        counts[written, out.SAMPLE] = known[customer, SAMPLE]
        written += 1


@kernel
def more_rows(table, rows):
    """A table with more rows, the first of which are those of `table`."""
    larger = np.zeros((rows, table.shape[1]), table.dtype)
    for row in range(table.shape[0]):  # loops compile much faster than assignments to slices
        for column in range(table.shape[1]):
            larger[row, column] = table[row, column]
    return larger


@kernel
def stream(row, end, length, offset, low, direct, since, has_orders, dealt, dealt_values, edges, letters,
           slots, pairs, baskets, known, sizes):  # fmt: skip
    """Add up the rows of a piece until they end or a table is full; returns the next row.

    `sizes` holds how many customers, pairs and baskets there are, and whether some amount is INEXACT.
    """
    last = dealt.shape[1] - 1
    words = known.shape[1] - CALENDAR
    found, n_pairs, n_baskets, inexact = sizes[0], sizes[1], sizes[2], sizes[3]
    most = known.shape[0] if direct else min(known.shape[0], slots.size // 2)
    customer, name = -1, 0
    while row < end and found < most and 2 * n_pairs < pairs.shape[0] and 2 * n_baskets < baskets.shape[0]:
        if customer < 0 or dealt[row, ID] != name or edges.size > 0:
            name = dealt[row, ID]
            at = place_of(name, dealt[row, last], low, direct, slots, known, edges, letters)
            customer = slots[at] - 1
            if customer < 0:
                customer = found
                found += 1
                slots[at] = found
                for column in range(known.shape[1]):
                    known[customer, column] = 0
                known[customer, NAME], known[customer, SAMPLE] = name, dealt[row, last]
        value = dealt_values[row, VALUE]
        amount = abs(value)
        kind = kind_of(amount)
        known[customer, ROWS] += 1
        if known[customer, ROWS] > MOST_ROWS:
            kind |= INEXACT
        known[customer, KIND] |= kind
        if kind & INEXACT:  # added in order, later
            inexact = 1
            amount = 0.0
        if math.copysign(1.0, value) < 0:
            add_money(known, customer, RETURNED_MONEY, amount)
        else:
            period = period_of(dealt[row, TIME], length, offset)
            add_purchase(known, customer, dealt[row, TIME], period, amount)
            if words > 0:
                known[customer, PERIODS] += mark(known, customer, period - since)
            else:
                new = insert(pairs, customer, period)
                known[customer, PERIODS] += new
                n_pairs += new
            new = insert(baskets, customer, dealt[row, EXTRA]) if has_orders else 1
            known[customer, PURCHASES] += new
            n_baskets += new if has_orders else 0
        row += 1
    sizes[0], sizes[1], sizes[2], sizes[3] = found, n_pairs, n_baskets, inexact
    return row


@kernel
def finish_pieces(
    start, stop, length, offset, base, shift, direct, since, words, has_orders, bounds, dealt, dealt_values,
    edges, letters,
):  # fmt: skip
    """Sum up each customer of a run of pieces; returns their counts and their sums, a row a customer.

    Where pieces are ranges of ids, the customers come in ascending order. A customer without a purchase has
    the frequency -1.
    """
    slots = np.zeros(1 << shift if direct else 1 << 12, np.int64)
    pairs, baskets = np.zeros((1 << 12, 2), np.int64), np.zeros((1 << 12 if has_orders else 1, 2), np.int64)
    known = np.zeros((1 << 10, CALENDAR + words), np.int64)
    room = (bounds[stop] - bounds[start]) // 8 + 64
    counts, sums = np.empty((room, out.WIDTH), np.int64), np.empty((room, 2), np.float64)
    sizes = np.zeros(4, np.int64)
    written = 0
    ordered = np.empty((0, 2), np.float64)
    for piece in range(start, stop):
        begin, end = bounds[piece], bounds[piece + 1]
        low = base + (piece << shift) if shift >= 0 else base
        for slot in range(slots.size):
            slots[slot] = 0
        for pair in range(pairs.shape[0]):
            pairs[pair, 0] = 0
        for basket in range(baskets.shape[0]):
            baskets[basket, 0] = 0
        for kind in range(sizes.size):
            sizes[kind] = 0
        row = begin
        while row < end:
            if sizes[0] == known.shape[0]:
                known = more_rows(known, 2 * known.shape[0])
            if not direct and 2 * sizes[0] >= slots.size:
                slots = more_slots(slots, known, sizes[0])
            if 2 * sizes[1] >= pairs.shape[0]:
                pairs = more_pairs(pairs)
            if 2 * sizes[2] >= baskets.shape[0]:
                baskets = more_pairs(baskets)
            row = stream(
                row, end, length, offset, low, direct, since, has_orders, dealt, dealt_values, edges, letters,
                slots, pairs, baskets, known, sizes,
            )  # fmt: skip
        found = sizes[0]
        if sizes[3]:
            ordered = add_in_order(
                begin, end, length, offset, low, direct, slots, known, found, dealt, dealt_values, edges, letters
            )
        if written + found > counts.shape[0]:
            room = 2 * (written + found)
            counts, sums = more_rows(counts, room), more_rows(sums, room)
        write_out(in_order(direct, slots, found), known, ordered, written, counts, sums)
        written += found
    return counts[:written], sums[:written]
