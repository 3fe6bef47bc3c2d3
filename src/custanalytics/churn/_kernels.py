"""Loops over events: bring them in order by customer and time, mark purchases in label windows, walk cutoffs."""

from __future__ import annotations

import math

import numpy as np

from custanalytics._jit import kernel

DAY = 86_400_000_000  # microseconds

# Bits of an event's flags.
PURCHASE, ORDER, PRODUCT = 1, 2, 4  # no return; first line of its order; first purchase of its product

# Places in the running state of one customer: everything before the cutoff reached so far. All of it only grows.
(
    FIRST_DAY,
    LAST_DAY,
    DAYS,  # distinct days with a purchase
    GAPS_SQUARED,  # sum of squared gaps between those days
    REPEAT_VALUE,  # purchases on days after the first
    LAST_VALUE,  # purchases on the last of those days
    ORDERS,
    PURCHASES,
    PRODUCTS,
    NET,  # value less returns: rounded sum,
    NET_REST,  # and what rounding has left out of it
    STATE_SIZE,
) = range(12)

# Columns of a row of features: these, then three for each window.
(
    FREQUENCY,
    RECENCY,
    AGE,
    INACTIVITY,
    MONETARY,
    N_ORDERS,
    TOTAL_VALUE,
    N_RETURNS,
    RETURN_SHARE,
    MEAN_GAP,
    SD_GAP,
    OVERDUE,
    LAST_DAY_VALUE,
    N_PRODUCTS,
    N_FIXED,
) = range(15)


@kernel
def count_rows(codes, times, place, before, counts):
    """Count the rows of each customer with a time below `before`; `place` maps codes to customers, -1 to none."""
    for row in range(codes.size):
        customer = place[codes[row]]
        if customer >= 0 and times[row] < before:
            counts[customer] += 1


@kernel
def scatter_rows(codes, times, values, place, before, cursor, times_out, values_out, rows_out):
    """Put those rows side by side by customer; `cursor` starts at each customer's first position."""
    for row in range(codes.size):
        customer = place[codes[row]]
        if customer >= 0 and times[row] < before:
            at = cursor[customer]
            cursor[customer] = at + 1
            times_out[at] = times[row]
            values_out[at] = values[row]
            rows_out[at] = row


@kernel
def sift_down(low, root, size, times, values, rows):
    """Restore the heap below `root`, where the heap is the slice that begins at `low`."""
    time, value, row = times[low + root], values[low + root], rows[low + root]
    while 2 * root + 1 < size:
        child = 2 * root + 1
        left, right = low + child, low + child + 1
        if child + 1 < size and (
            times[right] > times[left] or (times[right] == times[left] and values[right] > values[left])
        ):
            child, left = child + 1, right
        if times[left] < time or (times[left] == time and values[left] <= value):
            break
        times[low + root], values[low + root], rows[low + root] = times[left], values[left], rows[left]
        root = child
    times[low + root], values[low + root], rows[low + root] = time, value, row


@kernel
def arrange(start, stop, offsets, times, values, rows):
    """Order each customer's rows by time, then value, in place: sums then cannot depend on the order of the log.

    A heap sort takes no memory and no bad turn on any order; rows that come in order are only looked at.
    """
    for customer in range(start, stop):
        low, size = offsets[customer], offsets[customer + 1] - offsets[customer]
        in_order = True
        for at in range(low + 1, low + size):
            if times[at] < times[at - 1] or (times[at] == times[at - 1] and values[at] < values[at - 1]):
                in_order = False
                break
        if in_order:
            continue
        for root in range(size // 2 - 1, -1, -1):
            sift_down(low, root, size, times, values, rows)
        for last in range(size - 1, 0, -1):
            top = low + last
            times[low], times[top] = times[top], times[low]
            values[low], values[top] = values[top], values[low]
            rows[low], rows[top] = rows[top], rows[low]
            sift_down(low, 0, last, times, values, rows)


@kernel
def flag_first(offsets, rows, codes, bit, seen_by, flags):
    """Add `bit` to a customer's first purchase of each code; `seen_by` starts at -1. A missing code is always new."""
    for customer in range(offsets.size - 1):
        for at in range(offsets[customer], offsets[customer + 1]):
            if flags[at] & PURCHASE:
                code = codes[rows[at]]
                if code < 0 or seen_by[code] != customer:
                    flags[at] |= bit
                    if code >= 0:
                        seen_by[code] = customer


@kernel
def mark_purchases(codes, times, purchase, begins, horizon, until, first, bought):
    """Note each customer's first purchase before `until`, and in which label windows there is one.

    `begins` ascends; `first` starts at the largest int64, `bought`, of shape (n_cutoffs, n_customers), at 0.
    """
    for row in range(codes.size):
        time = times[row]
        if purchase[row] and time < until:
            customer = codes[row]
            if time < first[customer]:
                first[customer] = time
            for window in range(begins.size):
                if begins[window] > time:
                    break
                if time < begins[window] + horizon:
                    bought[window, customer] = 1


@kernel
def two_sum(a, b):
    """The rounded sum of two doubles and the exact error of that rounding (Knuth)."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


@kernel
def add(total, rest, value):
    """Add to a sum that is kept as two doubles, total + rest, to twice the precision of one."""
    total, error = two_sum(total, value)
    return two_sum(total, rest + error)


@kernel
def absorb(state, time, value, flag):
    """Let one event pass into the state of its customer."""
    state[NET], state[NET_REST] = add(state[NET], state[NET_REST], value)
    if not flag & PURCHASE:
        return
    day = float(time // DAY)
    if state[DAYS] == 0.0:
        state[FIRST_DAY] = day
    if state[DAYS] == 0.0 or day > state[LAST_DAY]:
        if state[DAYS] > 0.0:
            state[GAPS_SQUARED] += (day - state[LAST_DAY]) ** 2
        state[DAYS] += 1.0
        state[LAST_DAY] = day
        state[LAST_VALUE] = 0.0
    state[LAST_VALUE] += value
    if day > state[FIRST_DAY]:
        state[REPEAT_VALUE] += value
    state[PURCHASES] += 1.0
    if flag & ORDER:
        state[ORDERS] += 1.0
    if flag & PRODUCT:
        state[PRODUCTS] += 1.0


@kernel
def describe(state, n_events, cutoff, unit_days, out):
    """Write the features that need no window. Days are counted up to the last one that begins before the cutoff."""
    as_of = float((cutoff - 1) // DAY)
    n_days, span = state[DAYS], state[LAST_DAY] - state[FIRST_DAY]
    gap_now = as_of - state[LAST_DAY] + 1.0  # still open; it counts as if it closed at the end of `as_of`
    n_returns = n_events - state[PURCHASES]
    total_gap = span + gap_now
    spread = n_days * (state[GAPS_SQUARED] + gap_now**2) - total_gap**2  # whole numbers: exact
    out[FREQUENCY] = n_days - 1.0
    out[RECENCY] = span / unit_days
    out[AGE] = (as_of - state[FIRST_DAY]) / unit_days
    out[INACTIVITY] = (as_of - state[LAST_DAY]) / unit_days
    out[MONETARY] = state[REPEAT_VALUE] / (n_days - 1.0) if n_days > 1.0 else 0.0
    out[N_ORDERS] = state[ORDERS]
    out[TOTAL_VALUE] = state[NET] + state[NET_REST]
    out[N_RETURNS] = n_returns
    out[RETURN_SHARE] = n_returns / n_events
    out[MEAN_GAP] = total_gap / n_days / unit_days
    out[SD_GAP] = math.sqrt(max(spread, 0.0)) / n_days / unit_days
    out[OVERDUE] = gap_now * n_days / total_gap
    out[LAST_DAY_VALUE] = state[LAST_VALUE]
    out[N_PRODUCTS] = state[PRODUCTS]


@kernel
def walk_cutoffs(start, stop, offsets, times, values, flags, asked, cutoffs, asked_rows, spans, unit_days, out):
    """Fill a row of features for every (customer, cutoff) asked for, in one pass over the customer's events.

    The head stands at the cutoff, one tail at each distance of `spans` behind it (the windows, then twice the
    windows), and all only move forward. Each carries the sum of what it has passed, so a window is the head's sum
    less the tail's: nothing is ever subtracted from a running sum, which is what makes such sums drift.
    """
    n_windows = spans.size // 2
    state = np.empty(STATE_SIZE)
    tails = np.empty(spans.size, np.int64)
    sums = np.empty((spans.size, 3))  # value: rounded sum and rest; orders
    for customer in range(start, stop):
        low, high = offsets[customer], offsets[customer + 1]
        state[:] = 0.0
        tails[:] = low
        sums[:] = 0.0
        head = low
        for ask in range(asked[customer], asked[customer + 1]):
            cutoff = cutoffs[ask]
            row = out[asked_rows[ask]]
            while head < high and times[head] < cutoff:
                absorb(state, times[head], values[head], flags[head])
                head += 1
            if state[PURCHASES] == 0.0:
                row[:] = math.nan
                continue
            describe(state, float(head - low), cutoff, unit_days, row)
            for at in range(spans.size):
                while tails[at] < head and times[tails[at]] < cutoff - spans[at]:
                    tail = tails[at]
                    sums[at, 0], sums[at, 1] = add(sums[at, 0], sums[at, 1], values[tail])
                    sums[at, 2] += 1.0 if flags[tail] & ORDER else 0.0
                    tails[at] = tail + 1
            for at in range(n_windows):
                earlier = at + n_windows
                now = (state[NET] - sums[at, 0]) + (state[NET_REST] - sums[at, 1])
                before = (sums[at, 0] - sums[earlier, 0]) + (sums[at, 1] - sums[earlier, 1])
                scale = abs(now) + abs(before)
                row[N_FIXED + 3 * at] = state[ORDERS] - sums[at, 2]
                row[N_FIXED + 3 * at + 1] = now
                row[N_FIXED + 3 * at + 2] = (now - before) / scale if scale > 0.0 else 0.0
