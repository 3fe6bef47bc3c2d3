"""Kernels that count how many different numbers there are in some: the periods or the orders of a customer."""

from __future__ import annotations

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel

FEW = 24  # numbers up to which insertion sorts them


@kernel
def n_sorted(numbers):
    """How many different numbers there are in a few, which are put in order."""
    for at in range(1, numbers.size):
        number, to = numbers[at], at
        while to > 0 and numbers[to - 1] > number:
            numbers[to] = numbers[to - 1]
            to -= 1
        numbers[to] = number
    found = min(numbers.size, 1)
    for at in range(1, numbers.size):
        found += numbers[at] != numbers[at - 1]
    return found


@kernel
def n_marked(numbers, low, bits):
    """How many different numbers there are in some from `low` on, each of which has a bit of its own in `bits`."""
    bits[:] = 0
    found = 0
    for number in numbers:
        place = np.uint64(number) - np.uint64(low)
        bit, word = 1 << np.int64(place & np.uint64(63)), place >> np.uint64(6)
        before = bits[word]
        bits[word] = before | bit
        found += (bit & ~before) != 0
    return found


@kernel
def n_hashed(numbers):
    """How many different numbers there are in some that lie far apart."""
    size = 2
    while size < 2 * numbers.size:
        size *= 2
    slots, mask = np.zeros(size, np.int64), np.uint64(size - 1)  # 0 is free, so that 0 itself is counted apart
    found, nought = 0, 0
    for number in numbers:
        at = mix(number) & mask
        while slots[at] != 0 and slots[at] != number:
            at = (at + np.uint64(1)) & mask
        found += (slots[at] == 0) & (number != 0)
        nought |= number == 0
        slots[at] = number
    return found + nought


@kernel
def n_distinct(numbers, bits):
    """How many different numbers there are in some, which may be put in order; `bits` is room, as long at least.

    Linear: to sort many takes several times as long.
    """
    if numbers.size <= FEW:
        return n_sorted(numbers)
    low = high = numbers[0]
    for at in range(numbers.size):
        low, high = min(low, numbers[at]), max(high, numbers[at])
    words = (np.uint64(high) - np.uint64(low)) >> np.uint64(6)
    if words < np.uint64(numbers.size):
        return n_marked(numbers, low, bits[: np.int64(words) + 1])
    return n_hashed(numbers)
