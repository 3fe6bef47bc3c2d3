"""Kernels that add up money so that the order of the rows changes no bit.

An amount below 2**30 in whole multiples of 2**-62 is split, without loss, into whole numbers: `units` of 2**-10
and a `rest` of 2**-62. Whole numbers add up to the same in any order. Where every amount of a customer is a
whole number of 1/10,000 of the currency, so is the sum, and it is rounded there: 0.1 + 0.2 is 0.3.
The few customers with other amounts have theirs added in the order of time and value.
"""

from __future__ import annotations

import math

import numpy as np

from custanalytics._jit import kernel

SHORT = 24  # rows up to which insertion beats merging
SMALLEST, LARGEST = 2.0**-10, 2.0**30  # amounts from here to there are split
MOST_ROWS = 1 << 22  # of one customer, so that no sum overflows
STEPS = 10_000.0  # a step is the finest decimal: four places serve every currency and most unit prices
MOST_STEPS = 2.0**50
INEXACT, NOT_DECIMAL = 1, 2  # of purchases
RETURNED = 2  # how many bits higher the same stand for returns, which are in the total alone


@kernel
def kind_of(amount):
    """Whether an amount (at least 0) cannot be split, or is no whole number of steps, as bits."""
    kind = 0
    if not SMALLEST <= amount < LARGEST:  # all doubles in between can be split
        fine = (amount * 1024.0 - math.floor(amount * 1024.0)) * 2.0**52
        if not (amount < LARGEST and fine == math.floor(fine)):
            kind |= INEXACT
    steps = np.rint(amount * STEPS)
    if not (steps <= MOST_STEPS and steps / STEPS == amount):
        kind |= NOT_DECIMAL
    return kind


@kernel
def money_of(units, rest):
    """The number that units and a rest, of either sign, are."""
    units, rest = units + (rest >> 52), rest & ((1 << 52) - 1)
    return units * 2.0**-10 + rest * 2.0**-62


@kernel
def rounded(total, kind):
    """A sum of decimals as the decimal that it is; any other sum as it stands."""
    steps = np.rint(total * STEPS)
    if kind & NOT_DECIMAL or abs(steps) > MOST_STEPS:
        return total
    return steps / STEPS


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
