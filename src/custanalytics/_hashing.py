"""Integer ids as consecutive codes, and the kernels that number them."""

from __future__ import annotations

import numpy as np

from custanalytics import _jit
from custanalytics._jit import kernel


@kernel
def mix(value):
    """Spread the bits of an int64 id over a uint64 (the finaliser of SplitMix64)."""
    bits = np.uint64(value)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@kernel
def codes_by_hash(values, codes, uniques):
    """Number ids in order of appearance; returns how many there are. `uniques` has room for all."""
    capacity, found, row = 1024, 0, 0
    while row < values.size:
        # An array made within a loop over rows would be counted as one in every row: each table has a loop of its own.
        slots = np.full(capacity, -1, np.int64)
        for code in range(found):
            at = np.int64(mix(uniques[code]) & np.uint64(capacity - 1))
            while slots[at] >= 0:
                at = (at + 1) & (capacity - 1)
            slots[at] = code
        while row < values.size and 2 * found < slots.size:  # at most half full, so that probes stay short
            value = values[row]
            at = np.int64(mix(value) & np.uint64(slots.size - 1))
            while slots[at] >= 0 and uniques[slots[at]] != value:
                at = (at + 1) & (slots.size - 1)
            if slots[at] < 0:
                slots[at] = found
                uniques[found] = value
                found += 1
            codes[row] = slots[at]
            row += 1
        capacity *= 4
    return found


@kernel
def codes_by_table(values, low, rank, codes):
    """Number ids in ascending order through a table of their whole range, `rank`, given as zeros.

    Returns how many there are; afterwards `rank` holds code + 1 of each value seen.
    """
    for row in range(values.size):
        rank[values[row] - low] = 1
    found = 0
    for at in range(rank.size):
        if rank[at]:
            found += 1
            rank[at] = found
    for row in range(values.size):
        codes[row] = rank[values[row] - low] - 1
    return found


def integer_codes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes of int64 values in ascending order, and the distinct values: shapes (n_rows,) and (n_distinct,)."""
    numbers = np.empty(values.size, np.int64)
    if values.size == 0:
        return numbers, values.copy()
    low, high = int(values.min()), int(values.max())
    if high - low < 4 * values.size + 1024:
        rank = np.zeros(high - low + 1, np.int64)
        _jit.call(codes_by_table, values, low, out=(rank, numbers))
        return numbers, np.flatnonzero(rank) + low
    uniques = np.empty(values.size, np.int64)
    found = _jit.call(codes_by_hash, values, out=(numbers, uniques))
    uniques = uniques[:found]
    order = np.argsort(uniques)
    rank = np.empty(found, np.int64)
    rank[order] = np.arange(found)
    return rank[numbers], uniques[order]
