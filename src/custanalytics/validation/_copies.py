"""Find rows that copy an earlier row in every column."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import numpy as np

from custanalytics import _jit
from custanalytics.validation._kernels import partition, rehash, same_hash

_PART = 1 << 13  # rows of a part: its table of hashes fits the cache
_PARTS_AT_ONCE = 16


def rows_sharing_hash(hashes: np.ndarray, faults: np.ndarray, wrong: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows whose hash another row has too, ascending, and the earliest row with the hash of each.

    Rows with a bit of `wrong` take no part.
    """
    bits = max(1, (hashes.size // _PART).bit_length())
    starts = np.zeros((1 << bits) + 1, np.int64)
    rows, in_parts = np.empty(hashes.size, np.int64), np.empty(hashes.size, np.uint64)
    _jit.call(partition, hashes, faults, int(wrong), 64 - bits, out=(starts, rows, in_parts))
    first = np.empty(hashes.size, np.int64)
    _jit.run(same_hash, 1 << bits, starts, rows, in_parts, out=(first,), size=_PARTS_AT_ONCE)
    shared = np.flatnonzero(first[: starts[-1]] >= 0)
    shared = shared[np.argsort(rows[shared])]
    return rows[shared], first[shared]


def copies(keys: Iterable[np.ndarray], n_rows: int) -> np.ndarray:
    """Positions, ascending, of the rows that equal an earlier one in all the integer keys.

    Exact: where two rows that differ share a hash, the search starts again with another one.
    """
    columns = list(keys)
    faults = np.zeros(n_rows, np.uint32)
    for seed in count(1):
        hashes = np.zeros(n_rows, np.uint64)
        for column in columns:
            _jit.run(rehash, n_rows, column, seed, out=(hashes,))
        rows, first = rows_sharing_hash(hashes, faults, 0)
        later, first = rows[rows > first], first[rows > first]
        if all(np.array_equal(column[later], column[first]) for column in columns):
            return later
    raise AssertionError("unreachable")
