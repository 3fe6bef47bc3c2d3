"""Loops that screen the rows of a log: every rule on typed values in one pass, and the search for copies.

A row's faults are the bits of one uint32. The readers of `_ids`, `_times` and `_amounts` may have set some before.
"""

from __future__ import annotations

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel

MISSING_ID = 1 << 0
BLANK_ID = 1 << 1
PLACEHOLDER_ID = 1 << 2
INVALID_ID = 1 << 3
MIXED_ID_TYPES = 1 << 4
MISSING_TIME = 1 << 5
UNPARSABLE_TIME = 1 << 6
AMBIGUOUS_TIME = 1 << 7
MIXED_TIME_ZONES = 1 << 8
IMPLAUSIBLE_TIME = 1 << 9
FUTURE_TIME = 1 << 10
MISSING_AMOUNT = 1 << 11
UNPARSABLE_AMOUNT = 1 << 12
NON_FINITE_AMOUNT = 1 << 13
UNPARSABLE_QUANTITY = 1 << 14
DUPLICATE = 1 << 15
RETURN = 1 << 16

NO_TIME = np.iinfo(np.int64).min
UNREAD_TIME = MISSING_TIME | UNPARSABLE_TIME | AMBIGUOUS_TIME
UNREAD_AMOUNT = MISSING_AMOUNT | UNPARSABLE_AMOUNT | NON_FINITE_AMOUNT


@kernel
def screen(start, stop, ids, placeholders, times, window, amounts, quantities, time_keys, faults, hashes):
    """Add the faults of typed values to `faults`, and hash each row.

    `placeholders` holds the integer ids that stand for nobody (empty where the reader has judged the ids).
    `window` is (first plausible, last past, first implausible) microsecond. `quantities` may be empty.
    A row's hash is made of its `ids`, its `time_keys` (the time at full resolution) and its amount.
    """
    for row in range(start, stop):
        found = np.int64(faults[row])
        for placeholder in placeholders:
            if ids[row] == placeholder and not found & MISSING_ID:
                found |= PLACEHOLDER_ID
        time = times[row]
        if time == NO_TIME:
            if not found & UNREAD_TIME:
                found |= MISSING_TIME
        else:
            if time < window[0] or time >= window[2]:
                found |= IMPLAUSIBLE_TIME
            if time > window[1]:
                found |= FUTURE_TIME
        amount = amounts[row]
        if not found & UNREAD_AMOUNT:
            if np.isnan(amount):
                found |= MISSING_AMOUNT
            elif np.isinf(amount):
                found |= NON_FINITE_AMOUNT
        back = amount < 0.0
        if quantities.size:
            if np.isinf(quantities[row]):
                found |= UNPARSABLE_QUANTITY
            back |= quantities[row] < 0.0
        if back:
            found |= RETURN
        faults[row] = found
        # Amounts closer than 2**-20 may share a hash: it only nominates candidates, which are compared in full.
        coarse = np.int64(0) if found & UNREAD_AMOUNT or abs(amount) > 1e12 else np.int64(amount * 1048576.0)
        hashes[row] = mix(np.int64(mix(np.int64(mix(ids[row])) + time_keys[row])) + coarse)


@kernel
def rehash(start, stop, keys, seed, hashes):
    """Mix one more column of integer keys into the hashes."""
    for row in range(start, stop):
        hashes[row] = mix(np.int64(mix(np.int64(hashes[row]) + seed)) + keys[row])


@kernel
def partition(hashes, faults, wrong, shift, starts, rows, sorted_hashes):
    """Group the rows without a wrong bit by the top bits of their hash, in row order within a group."""
    for row in range(hashes.size):
        if not np.int64(faults[row]) & wrong:
            starts[np.int64(hashes[row] >> np.uint64(shift)) + 1] += 1
    for part in range(1, starts.size):
        starts[part] += starts[part - 1]
    at = starts.copy()
    for row in range(hashes.size):
        if not np.int64(faults[row]) & wrong:
            part = np.int64(hashes[row] >> np.uint64(shift))
            rows[at[part]] = row
            sorted_hashes[at[part]] = hashes[row]
            at[part] += 1


@kernel
def same_hash(start, stop, starts, rows, sorted_hashes, first):
    """Give the place of every row the earliest row with its hash: itself if others follow, -1 if no other has it."""
    slots = np.empty(0, np.int64)
    for part in range(start, stop):
        low, high = starts[part], starts[part + 1]
        capacity = 16
        while capacity < 2 * (high - low):
            capacity *= 2
        if slots.size < capacity:
            slots = np.empty(capacity, np.int64)
        slots[:capacity] = -1
        for k in range(low, high):
            at = np.int64(sorted_hashes[k]) & (capacity - 1)
            while slots[at] >= 0 and sorted_hashes[slots[at]] != sorted_hashes[k]:
                at = (at + 1) & (capacity - 1)
            if slots[at] < 0:
                slots[at] = k
                first[k] = -1
            else:
                first[k] = first[slots[at]] = rows[slots[at]]
