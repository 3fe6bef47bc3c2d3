"""Kernels that every model of this domain shares."""

from __future__ import annotations

from math import floor, inf

import numpy as np

from custanalytics._jit import kernel

TRIAL = 1 << 15  # rows after which grouping may be given up
MOST = 10_000_000  # repeat purchases: sums of the models run over 0, ..., frequency


@kernel
def group_rows(first, second, third, most, codes, rows):
    """Number the distinct rows of three int64 columns in order of appearance.

    Fills `codes` with a number per row and `rows` with the row at which each number was first seen. Returns how
    many there are, or -1 as soon as more than `most` of the rows read so far (a share) are distinct.
    """
    capacity = 1 << 12
    slots = np.full(capacity, -1, np.int64)
    keys = np.empty((rows.size, 3), np.int64)  # together, for the cache; memory is used as far as it is filled
    found = 0
    for row in range(first.size):
        if row >= TRIAL and found > most * row:
            return -1
        if 2 * found >= capacity:  # at most half full, so that probes stay short
            capacity *= 4
            slots = np.full(capacity, -1, np.int64)
            for code in range(found):
                at = start_of_probe(keys[code, 0], keys[code, 1], keys[code, 2], capacity)
                while slots[at] >= 0:
                    at = (at + 1) & (capacity - 1)
                slots[at] = code
        one, two, three = first[row], second[row], third[row]
        at = start_of_probe(one, two, three, capacity)
        code = slots[at]
        while code >= 0 and (keys[code, 0] != one or keys[code, 1] != two or keys[code, 2] != three):
            at = (at + 1) & (capacity - 1)
            code = slots[at]
        if code < 0:
            code = found
            slots[at] = code
            keys[code, 0], keys[code, 1], keys[code, 2] = one, two, three
            rows[code] = row
            found += 1
        codes[row] = code
    return found


@kernel
def start_of_probe(one, two, three, capacity):
    """Where in a table of `capacity`, a power of two, to look for a row first."""
    bits = np.uint64(one) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(32)) ^ np.uint64(two)) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(29)) ^ np.uint64(three)) * np.uint64(0x94D049BB133111EB)
    return np.int64((bits ^ (bits >> np.uint64(32))) & np.uint64(capacity - 1))


@kernel
def number_values(bits, codes, values):
    """Number the distinct values of an int64 column in order of appearance; -1 if `values` has no room for them.

    Given up early, too, where most of the first rows differ.
    """
    slots = np.full(2 * values.size, -1, np.int32)
    found = 0
    for row in range(bits.size):
        one = bits[row]
        at = start_of_probe(one, 0, 0, slots.size)
        code = slots[at]
        while code >= 0 and values[code] != one:
            at = (at + 1) & (slots.size - 1)
            code = slots[at]
        if code < 0:
            if found == values.size or (row >= TRIAL and 2 * found > row):
                return -1
            code = found
            slots[at] = code
            values[code] = one
            found += 1
        codes[row] = code
    return found


@kernel
def append_digit(codes, rank, keys):
    """Shift the keys by one digit and put the rank of each code there."""
    for row in range(codes.size):
        keys[row] = keys[row] * rank.size + rank[codes[row]]


@kernel
def count_runs(keys, unique, counts):
    """The distinct values of sorted keys, and how often each occurs; returns how many there are."""
    found = -1
    for row in range(keys.size):
        if row == 0 or keys[row] != unique[found]:
            found += 1
            unique[found], counts[found] = keys[row], 0.0
        counts[found] += 1.0
    return found + 1


@kernel
def number_pairs(first, second, keys, codes, rows):
    """Number the distinct pairs of two int64 columns in order of appearance; -1 if `keys` has no room for them.

    `rows` is where each was first seen. For few pairs this is several times as fast as `group_rows`.
    """
    slots = np.full(2 * keys.shape[0], -1, np.int32)
    found = 0
    for row in range(first.size):
        one, two = first[row], second[row]
        at = start_of_probe(one, two, 0, slots.size)
        code = slots[at]
        while code >= 0 and (keys[code, 0] != one or keys[code, 1] != two):
            at = (at + 1) & (slots.size - 1)
            code = slots[at]
        if code < 0:
            if found == keys.shape[0]:
                return -1
            code = found
            slots[at] = code
            keys[code, 0], keys[code, 1] = one, two
            rows[code] = row
            found += 1
        codes[row] = code
    return found


@kernel
def multiply_by_code(start, stop, values, codes, out):
    """Multiply each row by the value of its code."""
    for row in range(start, stop):
        out[row] *= values[codes[row]]


@kernel
def count_impossible(start, stop, x, t_x, T):
    """How many rows are no summary of a customer: whole x >= 0, 0 <= t_x <= T, and t_x = 0 where x = 0."""
    x, t_x, T = x[start:stop], t_x[start:stop], T[start:stop]
    bad = 0
    for i in range(T.size):  # from 0 on: vectorised
        # written so that NaN and infinity fail, too
        fine = (x[i] >= 0.0) & (x[i] <= MOST) & (x[i] == floor(x[i])) & (t_x[i] >= 0.0)
        fine = fine & (t_x[i] <= T[i]) & (T[i] < inf) & ((x[i] > 0.0) | (t_x[i] == 0.0))
        bad += 0 if fine else 1
    return bad
