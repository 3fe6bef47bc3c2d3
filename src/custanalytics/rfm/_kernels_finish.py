"""Kernels that finish a piece of the log: its rows are put together by customer, and each customer is added up."""

from __future__ import annotations

import math

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel
from custanalytics.rfm import _kernels as out
from custanalytics.rfm._kernels import EXTRA, VALUE, WHEN, period_of, whole_periods
from custanalytics.rfm._kernels_distinct import n_distinct
from custanalytics.rfm._kernels_money import (
    INEXACT,
    LARGEST,
    MOST_ROWS,
    RETURNED,
    SMALLEST,
    STEPS,
    kind_of,
    money_of,
    rounded,
    sort_pairs,
)

NEVER = (1 << 63) - 1
ANY_INEXACT = INEXACT | INEXACT << RETURNED


@kernel
def is_return(value):
    """Whether a value has a minus sign, as that of a return, even of nothing."""
    return math.copysign(1.0, value) < 0


@kernel
def number_by_place(begin, end, mask, dealt, codes, ends):
    """Give each row of a piece the code of its customer, which is written in the row, and count the rows of each."""
    for row in range(begin, end):
        code = np.uint32(dealt[row, WHEN] & mask)
        codes[row - begin] = code
        ends[code] += 1


@kernel
def slot_after(at, row, dealt, n_keys, key, slots, names):
    """The first slot from one on that is of a row's customer, or is free; slots hold code + 1."""
    name, mask = dealt[row, EXTRA], slots.size - 1
    while slots[at] > 0:
        code = slots[at] - 1
        if names[code, 0] == name and (n_keys == 0 or names[code, 1] == dealt[row, key]):
            break
        at = (at + 1) & mask
    return at


@kernel
def number_by_name(row, begin, end, found, n_keys, key, dealt, slots, names, codes, ends):
    """Number the customers of a piece in the order of their rows until these end or a table is full.

    Customers are told apart by their id, and by a second one where there is. `names` holds both, and the last number in
    the first row of each. Returns the next row and how many customers there are.
    """
    last, mask = dealt.shape[1] - 1, slots.size - 1
    most = min(names.shape[0], slots.size // 2)
    while row < end and found < most:
        name = dealt[row, EXTRA]
        at = np.int64(mix(name)) & mask
        code = slots[at] - 1  # a call with arrays costs more than a look at the first slot
        if code >= 0 and (names[code, 0] != name or (n_keys > 0 and names[code, 1] != dealt[row, key])):
            at = slot_after(at, row, dealt, n_keys, key, slots, names)
            code = slots[at] - 1
        if code < 0:
            code = found
            names[code, 0], names[code, 1], names[code, 2] = name, dealt[row, key], dealt[row, last]
            ends[code] = 0
            found += 1
            slots[at] = found
        codes[row - begin] = code
        ends[code] += 1
        row += 1
    return row, found


@kernel
def more_slots(slots, names, found):
    """A table of slots four times as large with the same customers, who are all different."""
    larger = np.zeros(4 * slots.size, slots.dtype)
    mask = larger.size - 1
    for code in range(found):
        at = np.int64(mix(names[code, 0])) & mask
        while larger[at] > 0:
            at = (at + 1) & mask
        larger[at] = code + 1
    return larger


@kernel
def put_together(
    begin, end, bits, first, has_orders, column, order, dealt, dealt_values, codes, ends, times, values, orders
):
    """Put the rows of each customer of a piece together; `ends`, given as their numbers, become where they end.

    Customers come in `order`, or in that of their codes where it is empty. Returns whether there are returns.
    """
    before, returns = 0, 0
    for place in range(ends.size):
        code = order[place] if order.size else place
        size = ends[code]
        ends[code] = before
        before += size
    for row in range(begin, end):
        code = np.uint32(codes[row - begin])
        at = np.uint32(ends[code])
        ends[code] = at + 1
        times[at] = (dealt[row, WHEN] >> bits) + first
        values[at] = dealt_values[row, VALUE]
        returns += is_return(values[at])
        if has_orders:
            orders[at] = dealt[row, column]
    return returns > 0


@kernel
def look_at(times, values, length, offset, periods, units, rests):
    """The periods of some rows, and the units and rests of their amounts; returns whether an amount is odd."""
    odd = 0
    for row in range(times.size):  # several at once: nothing here is a branch
        amount, scaled = abs(values[row]), values[row] * 1024.0
        units[row] = np.int64(scaled)
        rests[row] = np.int64((scaled - np.int64(scaled)) * 2.0**52)
        steps = np.rint(amount * STEPS)
        odd += not ((amount >= SMALLEST) & (amount < LARGEST) & (steps / STEPS == amount))
    if length:
        for row in range(times.size):
            periods[row] = whole_periods(times[row] + offset, length)
    else:
        for row in range(times.size):
            periods[row] = period_of(times[row], length, offset)
    return odd > 0


@kernel
def span_of(start, stop, returns, times, values):
    """How many purchases a customer has, and the first and the last time of one."""
    bought, first, last = stop - start, NEVER, -NEVER
    for row in range(np.uint64(start), np.uint64(stop)):
        if returns and is_return(values[row]):
            bought -= 1
        else:
            first, last = min(first, times[row]), max(last, times[row])
    return bought, first, last


@kernel
def n_periods(start, stop, length, offset, times, values, spare, bits):
    """In how many periods a customer bought, where these are too many for a calendar."""
    found = 0
    for row in range(start, stop):
        spare[found] = period_of(times[row], length, offset)
        found += not is_return(values[row])
    return n_distinct(spare[:found], bits)


@kernel
def n_orders(start, stop, values, orders, spare, bits):
    """How many different orders a customer made."""
    found = 0
    for row in range(start, stop):
        spare[found] = orders[row]
        found += not is_return(values[row])
    return n_distinct(spare[:found], bits)


@kernel
def kinds_of(start, stop, values):
    """What amounts a customer has, as bits; beyond MOST_ROWS of them they could overflow."""
    found = ANY_INEXACT if stop - start > MOST_ROWS else 0
    for row in range(start, stop):
        kind = kind_of(abs(values[row]))
        found |= kind << RETURNED if is_return(values[row]) else kind
    return found


@kernel
def added_in_order(start, stop, length, offset, first_period, times, values, spare_times, spare_values):
    """The total and the repeat value of a customer, added in the order of time and value, which rows are put in."""
    sort_pairs(start, stop, times, values, spare_times, spare_values)
    total, repeat = 0.0, 0.0
    for row in range(start, stop):
        total += values[row]
        if not is_return(values[row]) and period_of(times[row], length, offset) != first_period:
            repeat += values[row]
    return total, repeat


@kernel
def add_up_customers(
    order, base, since, length, offset, returns, has_orders, names, ends,
    times, values, orders, periods, units, rests, calendar, spare, spare_values, written, counts, sums,
):  # fmt: skip
    """Write what becomes of the customers of a piece to the rows from `written` on; returns the next row.

    Their rows are together, in the `order` of codes (that of the codes themselves where it is empty). Without `names`
    an id is `base` and the code. `periods`, `units` and `rests` are room for some rows at a time.
    """
    n, bits = times.size, spare_values.view(np.int64)
    stop, seen, shift, odd = 0, 0, 0, False
    for place in range(ends.size):
        code = order[place] if order.size else place
        start, stop = stop, ends[code]
        if start == stop:
            continue
        bought, first_time, last_time = span_of(start, stop, returns, times, values)
        first_period = period_of(first_time, length, offset) if bought else NEVER
        last_period = period_of(last_time, length, offset)
        calendar[:] = 0
        total, total_rest, repeat, repeat_rest, frequency, any_odd = 0, 0, 0, 0, -1, False
        row = start
        while row < stop:
            if row == seen:
                shift, seen = row, min(row + periods.size, n)
                odd = look_at(times[row:seen], values[row:seen], length, offset, periods, units, rests)
            any_odd |= odd
            until = min(stop, seen)
            for at in range(np.uint64(row - shift), np.uint64(until - shift)):
                sign = -np.int64(returns and is_return(values[np.uint64(shift) + at]))
                total += units[at]
                total_rest += rests[at]
                later = -np.int64(periods[at] != first_period) & ~sign
                repeat += units[at] & later
                repeat_rest += rests[at] & later
                if calendar.size:
                    day = periods[at] - since
                    bit = (1 + sign) << (day & 63)
                    word = np.uint64(day >> 6)
                    before = calendar[word]
                    calendar[word] = before | bit
                    frequency += (bit & ~before) != 0
            total, total_rest = total + (total_rest >> 52), total_rest & ((1 << 52) - 1)
            repeat, repeat_rest = repeat + (repeat_rest >> 52), repeat_rest & ((1 << 52) - 1)
            row = until
        if not calendar.size:
            frequency = n_periods(start, stop, length, offset, times, values, spare, bits) - 1
        value, later_value, kind = money_of(total, total_rest), money_of(repeat, repeat_rest), 0
        counts[written, out.N_ORDERS] = n_orders(start, stop, values, orders, spare, bits) if has_orders else bought
        if any_odd or stop - start > MOST_ROWS:
            kind = kinds_of(start, stop, values)
            if kind & ANY_INEXACT:
                spares = spare, spare_values
                value, ordered = added_in_order(start, stop, length, offset, first_period, times, values, *spares)
                later_value = ordered if kind & INEXACT else later_value
        sums[written, out.TOTAL], sums[written, out.REPEAT] = (
            rounded(value, kind | kind >> RETURNED),
            rounded(later_value, kind),
        )
        counts[written, out.NAME] = names[code, 0] if names.size else base + code
        counts[written, out.SAMPLE] = names[code, 2] if names.size else 0
        counts[written, out.FREQUENCY] = frequency
        counts[written, out.FIRST_PERIOD], counts[written, out.LAST_PERIOD] = first_period, last_period
        counts[written, out.FIRST_TIME], counts[written, out.LAST_TIME] = first_time, last_time
        written += 1
    return written


@kernel
def finish_ranges(
    start, stop, bounds, low, shift, first, since, length, offset, has_orders, order, names, dealt, dealt_values,
    codes, ends, times, values, orders, periods, units, rests, calendar, spare, spare_values, counts, sums,
):  # fmt: skip
    """Finish pieces that are ranges of ids from `low` on, with a place for each; returns how many customers come."""
    written = 0
    for piece in range(start, stop):
        begin, end = bounds[piece], bounds[piece + 1]
        ends[:] = 0
        number_by_place(begin, end, ends.size - 1, dealt, codes, ends)
        returns = put_together(
            begin, end, shift, first, has_orders, EXTRA, order, dealt, dealt_values, codes, ends, times, values, orders
        )
        written = add_up_customers(
            order, np.int64(low) + (piece << shift), since, length, offset, returns, has_orders, names, ends,
            times[: end - begin], values[: end - begin], orders, periods, units, rests, calendar, spare, spare_values,
            written, counts, sums,
        )  # fmt: skip
    return written


@kernel
def count_others(begin, end, dealt, begins, ends, letters, codes, names):
    """Count the rows of a piece whose text is not that of the row which stands for their customer."""
    others = 0
    for row in range(begin, end):
        one, other = dealt[row, dealt.shape[1] - 1], names[codes[row - begin], 2]
        at, shift = begins[one], begins[other] - begins[one]
        last = ends[one] if ends[one] + shift == ends[other] else -1
        while at < last and letters[at] == letters[at + shift]:
            at += 1
        others += at != last
    return others
