"""Kernels that find equal rows."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from custanalytics._jit import kernel

MINUS_ZERO = -(1 << 63)  # the bits of -0.0
TRIAL = 1 << 15  # rows after which grouping may be given up


@kernel
def group_rows(first, second, third, most, codes, rows):
    """Number the distinct rows of three int64 columns in order of appearance.

    Fills `codes` with a number per row and `rows` with the row at which each number was first seen. Returns how
    many there are, or -1 as soon as more than `most` of the rows read so far (a share) are distinct.
    """
    keys = np.empty((rows.size, 3), np.int64)  # together, for the cache; memory is used as far as it is filled
    found, row, power = 0, 0, 12
    while row < first.size:
        slots, shift = np.full(1 << power, -1, np.int32), np.uint64(64 - power)
        for code in range(found):
            at = place_of(keys[code, 0], keys[code, 1], keys[code, 2], shift)
            while slots[at] >= 0:
                at = (at + 1) & (slots.size - 1)
            slots[at] = code
        while row < first.size and 2 * found < slots.size:  # at most half full, so that probes stay short
            if row >= TRIAL and found > most * row:
                return -1
            one, two, three = first[row], second[row], third[row]
            at = place_of(one, two, three, shift)
            code = slots[at]
            while code >= 0 and (keys[code, 0] != one or keys[code, 1] != two or keys[code, 2] != three):
                at = (at + 1) & (slots.size - 1)
                code = slots[at]
            if code < 0:
                code = found
                slots[at] = code
                keys[code, 0], keys[code, 1], keys[code, 2] = one, two, three
                rows[code] = row
                found += 1
            codes[row] = code
            row += 1
        power += 2
    return found


@kernel
def place_of(one, two, three, shift):
    """The highest bits of a hash of three integers, without the last `shift` of its 64."""
    bits = np.uint64(one) ^ (np.uint64(two) * np.uint64(0xBF58476D1CE4E5B9))
    bits ^= np.uint64(three) * np.uint64(0x94D049BB133111EB)
    bits = (bits ^ (bits >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64(bits >> shift)


@kernel
def power_for(most):
    """The power of two that is twice to four times as many places as there can be values."""
    power = 1
    while 1 << power < 2 * most:
        power += 1
    return power


@kernel
def number_values(start, stop, bits, codes, values):
    """Number the distinct values of a slice of an int64 column of doubles in order of appearance; -0.0 is 0.0.

    Returns how many there are; -1 if `values`, of shape (1, room), has no room for them, and as soon as most of the
    first rows differ.
    """
    bits, codes, values = bits[start:stop], codes[start:stop], values[0]
    power = power_for(min(bits.size, values.size))
    slots, shift = np.full(1 << power, -1, np.int32), np.uint64(64 - power)
    found = 0
    for row in range(bits.size):
        one = bits[row] if bits[row] != MINUS_ZERO else 0
        at = place_of(one, 0, 0, shift)
        code = slots[at]
        while code >= 0 and values[code] != one:
            at = (at + 1) & (slots.size - 1)
            code = slots[at]
        if code < 0:
            if found == values.size or (row >= TRIAL and 2 * found > row):
                return -1
            code = found
            values[code] = one
            found += 1
            slots[at] = code
        codes[row] = code
    return found


@kernel
def number_pairs(start, stop, first, second, codes, rows):
    """Number the distinct pairs of a slice of two columns of doubles, by their bits, in order of appearance.

    -0.0 is 0.0. Returns how many there are; -1 if there are too many.

    `rows`, of shape (1, room), is the row of the column at which each was first seen.
    """
    first, second, codes, rows = first[start:stop], second[start:stop], codes[start:stop], rows[0]
    keys = np.empty((rows.size, 2), np.int64)
    power = power_for(min(first.size, rows.size))
    slots, shift = np.full(1 << power, -1, np.int32), np.uint64(64 - power)
    found = 0
    for row in range(first.size):
        one = first[row] if first[row] != MINUS_ZERO else 0
        two = second[row] if second[row] != MINUS_ZERO else 0
        at = place_of(one, two, 0, shift)
        code = slots[at]
        while code >= 0 and (keys[code, 0] != one or keys[code, 1] != two):
            at = (at + 1) & (slots.size - 1)
            code = slots[at]
        if code < 0:
            if found == rows.size:
                return -1
            code = found
            rows[code], keys[code, 0], keys[code, 1] = start + row, one, two
            found += 1
            slots[at] = code
        codes[row] = code
    return found


@kernel
def renumber(start, stop, codes, numbers):
    """Replace the codes of a slice by the numbers that they stand for."""
    codes, numbers = codes[start:stop], numbers[0]
    for row in range(codes.size):
        codes[row] = numbers[codes[row]]


@kernel
def append_digit(start, stop, size, codes, keys, rank):
    """Shift the keys of a slice by one digit of `size` values, and put the rank of each code there."""
    codes, keys, rank = codes[start:stop], keys[start:stop], rank[0]
    for row in range(codes.size):
        keys[row] = keys[row] * size + rank[codes[row]]


@kernel
def count_keys(keys, counts):
    """Count each key in its own cell; returns how many distinct ones there are."""
    found = 0
    for key in keys:
        found += counts[key] == 0
        counts[key] += np.uint32(1)
    return found


@kernel
def list_counted(counts, unique, weight):
    """The keys that were counted, in ascending order, and how often; both have a place more than there are of these."""
    found = 0
    for key in range(counts.size):  # free of branches, as in `count_runs`
        unique[found], weight[found] = key, counts[key]
        found += counts[key] > 0
    return found


@kernel
def count_runs(keys, unique, ends):
    """The distinct values of sorted keys, and behind which row each ends; returns how many there are."""
    found = 0
    for row in range(keys.size - 1):  # free of branches: ends of runs come as a surprise
        unique[found], ends[found] = keys[row], row + 1
        found += keys[row] != keys[row + 1]
    if keys.size:
        unique[found], ends[found] = keys[keys.size - 1], keys.size
        found += 1
    return found


@kernel
def take_digit(start, stop, values, keys, column):
    """Take the last digit off each key, and write the value that it stands for."""
    keys, column = keys[start:stop], column[start:stop]
    size = values.size
    for row in range(keys.size):
        rest = keys[row] // size
        column[row] = values[keys[row] - rest * size]
        keys[row] = rest


@kernel
def thin_rows(weight, share, rows, picks):
    """The rows in which 1/2, 3/2, 5/2 … shares of the summed weight fall, and how many of these; how many rows."""
    found, taken, seen = 0, 0, 0.0
    for row in range(weight.size):
        seen += weight[row]
        before = taken
        while taken < picks.size and (taken + 0.5) * share <= seen:
            taken += 1
        if taken > before:
            rows[found], picks[found] = row, taken - before
            found += 1
    return found
