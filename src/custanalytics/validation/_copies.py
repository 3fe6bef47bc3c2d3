"""Find rows that copy an earlier row in every column."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import numpy as np

from custanalytics import _jit
from custanalytics.validation._kernels import partition, rehash, same_hash, share_hash

_PART = 1 << 13  # rows of a part: its table of hashes fits the cache
_PARTS_AT_ONCE = 16


def alike(ends: np.ndarray, words: np.ndarray, n_rows: int, size: int) -> np.ndarray:
    """The rows whose hash another row has too, ascending, of those that `screen` has grouped by hash."""
    marks = np.zeros(n_rows, np.bool_)
    found = _jit.run(share_hash, ends.shape[1], size, ends, words, out=(marks,), size=_PARTS_AT_ONCE)
    return np.flatnonzero(marks) if any(found) else np.empty(0, np.int64)


def rows_sharing_hash(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows whose hash another row has too, ascending, and the earliest row with the hash of each."""
    bits = max(1, (hashes.size // _PART).bit_length())
    starts = np.zeros((1 << bits) + 1, np.int64)
    rows, in_parts = np.empty(hashes.size, np.int64), np.empty(hashes.size, np.uint64)
    _jit.call(partition, hashes, 64 - bits, out=(starts, rows, in_parts))
    first = np.empty(hashes.size, np.int64)
    _jit.run(same_hash, 1 << bits, starts, rows, in_parts, out=(first,), size=_PARTS_AT_ONCE)
    shared = np.flatnonzero(first >= 0)
    shared = shared[np.argsort(rows[shared])]
    return rows[shared], first[shared]


def first_of(keys: Iterable[np.ndarray], n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions, ascending, of the rows that equal an earlier one in all the integer keys, and of the first such.

    Exact: where two rows that differ share a hash, the search starts again with another one.
    """
    columns = list(keys)
    for seed in count(1):
        hashes = np.zeros(n_rows, np.uint64)
        for column in columns:
            _jit.run(rehash, n_rows, column, seed, out=(hashes,))
        rows, first = rows_sharing_hash(hashes)
        later, first = rows[rows > first], first[rows > first]
        if all(np.array_equal(column[later], column[first]) for column in columns):
            return later, first
    raise AssertionError("unreachable")
