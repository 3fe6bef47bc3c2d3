"""Kernels that every model of this domain shares."""

from __future__ import annotations

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel

TRIAL = 1 << 15  # rows after which grouping may be given up


@kernel
def group_rows(first, second, third, most, codes, rows):
    """Number the distinct rows of three int64 columns in order of appearance.

    Fills `codes` with a number per row and `rows` with the row at which each number was first seen. Returns how
    many there are, or -1 as soon as more than `most` of the rows read so far (a share) are distinct.
    """
    capacity = 1 << 12
    slots = np.full(capacity, -1, np.int64)
    hashes = np.empty(rows.size, np.uint64)
    found = 0
    for row in range(first.size):
        if row >= TRIAL and found > most * row:
            return -1
        if 2 * found >= capacity:  # at most half full, so that probes stay short
            capacity *= 4
            slots = np.full(capacity, -1, np.int64)
            for code in range(found):
                at = np.int64(hashes[code] & np.uint64(capacity - 1))
                while slots[at] >= 0:
                    at = (at + 1) & (capacity - 1)
                slots[at] = code
        one, two, three = first[row], second[row], third[row]
        bits = mix(np.int64(mix(np.int64(mix(one))) ^ two) ^ three)
        at = np.int64(bits & np.uint64(capacity - 1))
        while slots[at] >= 0:
            seen = rows[slots[at]]
            if first[seen] == one and second[seen] == two and third[seen] == three:
                break
            at = (at + 1) & (capacity - 1)
        if slots[at] < 0:
            slots[at] = found
            hashes[found] = bits
            rows[found] = row
            found += 1
        codes[row] = slots[at]
    return found
