"""Kernels that find the customers with returns and settle each of them alone.

A customer's rows are put in one canonical order first (time, purchases before returns, value, product, quantity,
order), so that the outcome does not hang on the order of the log. Then the pairings run one after the other, and
what is left of each order decides whether it was a purchase.
"""

from __future__ import annotations

import math

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel
from custanalytics.rfm._kernels import period_of
from custanalytics.rfm._kernels_pairing import OFF, ON, ORDER, PAIRINGS, claim, has_open_return, pair, sort_index

# Fates of rows. AFTER and LEFT_OUT have their say after the pairing.
PURCHASE, RETURNED, FREE, TOO_LITTLE, PAIRED, PARTLY, UNMATCHED, LEFT_OUT, AFTER = range(9)

LANES = 64


@kernel
def add_up(start, stop, coarse, fine, values):
    """Sums of the coarse and of the fine parts of some amounts, each exact and so the same in any order."""
    big, small = np.zeros(LANES), np.zeros(LANES)  # one for each of so many rows, which are added at once
    for begin in range(start, stop, LANES):
        some = values[begin : min(begin + LANES, stop)]
        for lane in range(some.size):
            part = (some[lane] + coarse) - coarse
            big[lane] += part
            small[lane] += ((some[lane] - part) + fine) - fine
    return big.sum(), small.sum()


@kernel
def mark(end, free, ids, times, values, bits):
    """Set the bit that the id of each row to settle hashes to."""
    size = np.uint64(64 * bits.size - 1)
    for row in range(ids.size):
        if times[row] < end and (math.copysign(1.0, values[row]) < 0 or (values[row] == 0 and not free)):
            at = mix(ids[row]) & size
            bits[np.int64(at >> np.uint64(6))] |= np.uint64(1) << (at & np.uint64(63))


@kernel
def probe(start, stop, end, ids, times, bits, found):
    """Mark the rows before `end` whose id may be one of those in `bits`."""
    size = np.uint64(64 * bits.size - 1)
    for row in range(start, stop):
        at = mix(ids[row]) & size
        word = bits[np.int64(at >> np.uint64(6))] >> (at & np.uint64(63))
        found[row] = times[row] < end and (word & np.uint64(1)) > np.uint64(0)


@kernel
def piece_of(value, pieces):
    """The piece that an id is dealt to, from the high bits of its hash."""
    return np.int64(((mix(value) >> np.uint64(32)) * np.uint64(pieces)) >> np.uint64(32))


@kernel
def deal(ids, bounds, dealt):
    """Deal the rows to pieces by their ids: piece k has dealt[bounds[k]:bounds[k + 1]]."""
    pieces = bounds.size - 1
    for row in range(ids.size):
        bounds[piece_of(ids[row], pieces) + 1] += 1
    for piece in range(pieces):
        bounds[piece + 1] += bounds[piece]
    for row in range(ids.size):  # moves each bound to the end of its piece
        piece = piece_of(ids[row], pieces)
        dealt[bounds[piece]] = row
        bounds[piece] += 1
    for piece in range(pieces, 0, -1):
        bounds[piece] = bounds[piece - 1]
    bounds[0] = 0


@kernel
def group(begin, end, dealt, ids, index, spare, starts):
    """Put the rows of each customer of a piece together, in their order; returns how many customers there are."""
    rows = end - begin
    buckets = 2
    while 2 * buckets < rows:
        buckets *= 2
    edges = np.zeros(buckets + 1, np.int64)
    low_bits = np.uint64(buckets - 1)
    for at in range(begin, end):
        edges[np.int64(mix(ids[dealt[at]]) & low_bits) + 1] += 1
    for bucket in range(buckets):
        edges[bucket + 1] += edges[bucket]
    for at in range(begin, end):
        bucket = np.int64(mix(ids[dealt[at]]) & low_bits)
        index[edges[bucket]] = dealt[at]
        edges[bucket] += 1
    found = low = 0
    for bucket in range(buckets):
        while low < edges[bucket]:  # a bucket seldom holds two customers: the rows of its first go to the front
            starts[found] = low
            found += 1
            name = ids[index[low]]
            others = 0
            for at in range(low, edges[bucket]):
                if ids[index[at]] == name:
                    index[low] = index[at]
                    low += 1
                else:
                    spare[others] = index[at]
                    others += 1
            for at in range(others):
                index[low + at] = spare[at]
    starts[found] = rows
    return found


@kernel
def judge(low, high, has_orders, min_kept, free, drop, values, orders, by_order, left, partners, fates, nets):
    """Give each row of a customer its fate and its net value, order by order; minus zero is no purchase."""
    start, purchases = low, 0
    while start < high:
        end = start + 1
        while has_orders and end < high and orders[by_order[end]] == orders[by_order[start]]:
            end += 1
        kept, touched = 0.0, False
        for at in range(start, end):
            row = by_order[at]
            if math.copysign(1.0, values[row]) > 0:
                kept += left[row]
                touched |= partners[row] >= 0
        for at in range(start, end):
            row = by_order[at]
            whole = math.fabs(values[row])
            nets[row] = -0.0
            if math.copysign(1.0, values[row]) < 0:
                if left[row] == 0.0 and partners[row] >= 0:
                    fates[row] = PAIRED
                else:
                    fates[row] = PARTLY if left[row] < whole else UNMATCHED
                    if not drop:
                        nets[row] = -left[row]
            elif touched and kept <= min_kept:
                fates[row] = TOO_LITTLE if left[row] > 0 else RETURNED
            elif left[row] == 0.0 and partners[row] >= 0:
                fates[row] = RETURNED
            elif kept == 0.0 and not free:
                fates[row] = FREE
            else:
                fates[row] = PURCHASE
                nets[row] = left[row]
                purchases += 1
        start = end
    return purchases


@kernel
def settle_piece(
    start, stop, bounds, dealt, wanted, latest, within, min_kept, free, drop, ids, times, values, orders, products,
    quantities, nets, fates, partners, lefts,
):  # fmt: skip
    """Settle the customers of one piece; the outcome is written to the rows of the log that they came from."""
    begin, end = bounds[start], bounds[stop]
    n = end - begin
    source, starts = np.empty(n, np.int64), np.empty(n + 1, np.int64)
    t, o, p = np.empty(n, np.int64), np.zeros(n, np.int64), np.full(n, -1)
    v, q = np.empty(n, np.float64), np.zeros(n, np.float64)
    index, spare, rank, by_order = (
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
    )
    a, b, none, mate = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, -1)
    chain, d, zeros, left, net = np.empty(n, np.int64), np.zeros(n), np.zeros(n), np.empty(n), np.empty(n)
    is_open, claimed, fate = np.ones(n, np.bool_), np.zeros(n, np.bool_), np.empty(n, np.uint8)
    for customer in range(group(begin, end, dealt, ids, source, spare, starts)):
        low, high = starts[customer], starts[customer + 1]
        for at in range(low, high):
            row = source[at]
            index[at] = at
            v[at], t[at] = values[row], 2 * times[row] + (math.copysign(1.0, values[row]) < 0)
            if orders.size > 0:
                o[at] = orders[row]
            if products.size > 0:
                p[at] = products[row]
            if quantities.size > 0 and math.fabs(quantities[row]) > 0:
                q[at] = math.fabs(quantities[row])
        sort_index(low, high, index, spare, t, v, p, q, o)
        for at in range(low, high):
            rank[at] = source[index[at]]
        for at in range(low, high):
            row = rank[at]
            source[at], v[at], t[at], left[at] = row, values[row], times[row], math.fabs(values[row])
            if orders.size > 0:
                o[at] = orders[row]
            if products.size > 0:
                p[at] = products[row]
            if quantities.size > 0:
                q[at] = math.fabs(quantities[row])
            by_order[at] = at
        if orders.size > 0:
            sort_index(low, high, by_order, spare, o, zeros, none, zeros, none)
            if wanted[ORDER] > OFF:
                claim(low, high, v, o, by_order, claimed)
        for pairing in range(PAIRINGS):
            if wanted[pairing] == ON and has_open_return(low, high, pairing <= ORDER, v, is_open, claimed):
                pair(
                    low, high, pairing, latest, within, t, v, o, p, q, left, is_open, claimed,
                    mate, index, spare, a, b, d, none, zeros, chain,
                )  # fmt: skip
        bought = judge(low, high, orders.size > 0, min_kept, free, drop, v, o, by_order, left, mate, fate, net)
        for at in range(low, high):
            row = source[at]
            nets[row], lefts[row] = net[at], left[at]
            fates[row] = fate[at]
            partners[row] = source[mate[at]] if mate[at] >= 0 else -1
            if bought == 0 and (fate[at] == UNMATCHED or fate[at] == PARTLY):
                fates[row] = LEFT_OUT


@kernel
def number_periods(start, stop, length, offset, times, periods):
    """The number of the period of each row."""
    for row in range(start, stop):
        periods[row] = period_of(times[row], length, offset)
