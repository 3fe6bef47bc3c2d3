"""Kernels that finish a piece of the log: its rows stream by once, and each adds to what is known of its customer."""

from __future__ import annotations

import math

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel
from custanalytics.rfm import _kernels as out
from custanalytics.rfm._kernels import EXTRA, ID, TIME, VALUE, period_of, whole_periods
from custanalytics.rfm._kernels_money import (
    INEXACT,
    MOST_ROWS,
    RETURNED,
    add_money,
    kind_of,
    money_of,
    rounded,
    sort_pairs,
)

# What is known of a customer while rows stream by, with units and rest of three sums of money. What most rows change
# comes first: it is one line of the cache.
NAME, FIRST, FIRST_TIME, LAST_TIME, PERIODS, PURCHASES, LATER_MONEY = range(7)
FIRST_MONEY, RETURNED_MONEY, ROWS, KIND, SAMPLE = 8, 10, 12, 13, 14
NEVER = (1 << 63) - 1
ANY_INEXACT = INEXACT | INEXACT << RETURNED
CALENDAR = 16  # from here on a bit for each period of the log, where it has few


@kernel
def place_of(row, dealt, key, n_keys, slots, known):
    """The place of a row's customer in the table of slots, or the free place that is theirs; slots hold row + 1.

    Customers are told apart by the id, and by `n_keys` more columns from `key` on.
    """
    name = dealt[row, ID]
    mask = slots.size - 1
    first = known.shape[1] - n_keys
    at = np.int64(mix(name)) & mask
    while slots[at] > 0:
        customer = slots[at] - 1
        if known[customer, NAME] == name:
            part = 0
            while part < n_keys and known[customer, first + part] == dealt[row, key + part]:
                part += 1
            if part == n_keys:
                break
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
def note_purchase(known, customer, time, period):
    """Note when a customer bought; returns the column that their money goes to."""
    known[customer, FIRST_TIME] = min(time, known[customer, FIRST_TIME])
    known[customer, LAST_TIME] = max(time, known[customer, LAST_TIME])
    first = known[customer, FIRST]
    if period < first:  # what was the first period is a later one now
        known[customer, FIRST] = period
        for part in range(2):
            known[customer, LATER_MONEY + part] += known[customer, FIRST_MONEY + part]
            known[customer, FIRST_MONEY + part] = 0
    return LATER_MONEY if period > first else FIRST_MONEY


@kernel
def add_in_order(
    begin, end, length, offset, low, direct, has_orders, n_keys, found, dealt, dealt_values, slots, known, sums
):
    """The total and the repeat value, added in the order of time and value, of customers with an INEXACT amount.

    `sums` is given as zeros.
    """
    starts, whose = np.zeros(found + 1, np.int64), np.empty(end - begin, np.int64)
    for row in range(begin, end):
        at = dealt[row, ID] - low
        if not direct:
            at = place_of(row, dealt, EXTRA + has_orders, n_keys, slots, known)
        customer = slots[at] - 1
        whose[row - begin] = customer if known[customer, KIND] & ANY_INEXACT else -1
        starts[customer + 1] += whose[row - begin] >= 0
    starts = np.cumsum(starts)
    n, taken = starts[found], starts.copy()
    times, spare_times = np.empty(n, np.int64), np.empty(n, np.int64)
    values, spare_values = np.empty(n, np.float64), np.empty(n, np.float64)
    for row in range(begin, end):
        customer = whose[row - begin]
        if customer >= 0:
            to = taken[customer]
            taken[customer] = to + 1
            times[to], values[to] = dealt[row, TIME], dealt_values[row, VALUE]
    for customer in range(found):
        sort_pairs(starts[customer], starts[customer + 1], times, values, spare_times, spare_values)
        for row in range(starts[customer], starts[customer + 1]):
            sums[customer, out.TOTAL] += values[row]
            bought = math.copysign(1.0, values[row]) > 0
            if bought and period_of(times[row], length, offset) != known[customer, FIRST]:
                sums[customer, out.REPEAT] += values[row]


@kernel
def count_others(begin, end, has_orders, n_keys, dealt, begins, ends, letters, slots, known):
    """Count the rows of a piece whose text is not that of the row which stands for their customer."""
    others = 0
    for row in range(begin, end):
        at = place_of(row, dealt, EXTRA + has_orders, n_keys, slots, known)
        one, other = dealt[row, dealt.shape[1] - 1], known[slots[at] - 1, SAMPLE]
        at, shift = begins[one], begins[other] - begins[one]
        last = ends[one] if ends[one] + shift == ends[other] else -1
        while at < last and letters[at] == letters[at + shift]:
            at += 1
        others += at != last
    return others


@kernel
def write_out(written, order, length, offset, known, ordered, counts, sums):
    """Write what is known of the customers of a piece to the rows from `written` on."""
    for customer in order:
        counts[written, out.NAME] = known[customer, NAME]
        counts[written, out.FREQUENCY] = known[customer, PERIODS] - 1
        counts[written, out.FIRST_PERIOD] = known[customer, FIRST]
        counts[written, out.LAST_PERIOD] = period_of(known[customer, LAST_TIME], length, offset)
        counts[written, out.N_ORDERS] = known[customer, PURCHASES]
        counts[written, out.FIRST_TIME] = known[customer, FIRST_TIME]
        counts[written, out.LAST_TIME] = known[customer, LAST_TIME]
        kind = known[customer, KIND]
        units, rest = known[customer, LATER_MONEY], known[customer, LATER_MONEY + 1]
        repeat = ordered[customer, out.REPEAT] if kind & INEXACT else money_of(units, rest)
        units += known[customer, FIRST_MONEY] - known[customer, RETURNED_MONEY]
        rest += known[customer, FIRST_MONEY + 1] - known[customer, RETURNED_MONEY + 1]
        total = ordered[customer, out.TOTAL] if kind & ANY_INEXACT else money_of(units, rest)
        sums[written, out.TOTAL] = rounded(total, kind | kind >> RETURNED)
        sums[written, out.REPEAT] = rounded(repeat, kind)
        counts[written, out.SAMPLE] = known[customer, SAMPLE]
        written += 1


@kernel
def stream(
    row, end, length, offset, low, direct, since, crowded, has_orders, n_keys, dealt, dealt_values,
    slots, pairs, baskets, known, sizes,
):  # fmt: skip
    """Add up the rows of a piece until they end or a table is full; returns the next row.

    `sizes` holds how many customers, pairs and baskets there are, and whether some amount is INEXACT. Where a piece is
    `crowded`, rows of a customer are counted: beyond MOST_ROWS their amounts could overflow.
    """
    last = dealt.shape[1] - 1
    first_key = known.shape[1] - n_keys
    key = EXTRA + has_orders
    calendar = first_key > CALENDAR
    found, n_pairs, n_baskets, inexact = sizes[0], sizes[1], sizes[2], sizes[3]
    most = known.shape[0] if direct else min(known.shape[0], slots.size // 2)
    customer, name = -1, 0
    while row < end and found < most and 2 * n_pairs < pairs.shape[0] and 2 * n_baskets < baskets.shape[0]:
        if customer < 0 or dealt[row, ID] != name or n_keys > 0:
            name = dealt[row, ID]
            at = name - low  # the place of an id that has one of its own
            if not direct:  # a call with arrays costs more than a look at the first place
                at = np.int64(mix(name)) & (slots.size - 1)
                if slots[at] > 0 and (
                    known[slots[at] - 1, NAME] != name
                    or (n_keys > 0 and known[slots[at] - 1, first_key] != dealt[row, key])
                ):
                    at = place_of(row, dealt, key, n_keys, slots, known)
            customer = slots[at] - 1
            if customer < 0:
                customer = found
                found += 1
                slots[at] = found
                for column in range(known.shape[1]):
                    known[customer, column] = 0
                known[customer, NAME], known[customer, SAMPLE] = name, dealt[row, last]
                known[customer, FIRST], known[customer, FIRST_TIME], known[customer, LAST_TIME] = NEVER, NEVER, -NEVER
                for part in range(n_keys):
                    known[customer, first_key + part] = dealt[row, key + part]
        value = dealt_values[row, VALUE]
        amount = abs(value)
        kind = kind_of(amount)
        if crowded:
            known[customer, ROWS] += 1
            if known[customer, ROWS] > MOST_ROWS:
                kind |= INEXACT
        bought = math.copysign(1.0, value) > 0
        if kind:
            known[customer, KIND] |= kind if bought else kind << RETURNED
            if kind & INEXACT:  # added in order, later
                inexact = 1
                amount = 0.0
        column = RETURNED_MONEY
        if bought:
            time = dealt[row, TIME]  # periods of one length are told without a call
            period = whole_periods(time + offset, length) if length else period_of(time, length, offset)
            column = note_purchase(known, customer, time, period)
            if calendar:
                known[customer, PERIODS] += mark(known, customer, period - since)
            else:
                new = insert(pairs, customer, period)
                known[customer, PERIODS] += new
                n_pairs += new
            new = insert(baskets, customer, dealt[row, EXTRA]) if has_orders else 1
            known[customer, PURCHASES] += new
            n_baskets += new if has_orders else 0
        add_money(known, customer, column, amount)
        row += 1
    sizes[0], sizes[1], sizes[2], sizes[3] = found, n_pairs, n_baskets, inexact
    return row
