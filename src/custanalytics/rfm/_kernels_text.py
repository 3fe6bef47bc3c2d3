"""Kernels on columns of text as Arrow holds them: row i is letters[edges[i]:edges[i + 1]], in UTF-8."""

from __future__ import annotations

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel


@kernel
def word_at(at, end, letters):
    """Eight bytes from `at` as a number, the first one highest; what lies behind the end is 0."""
    word = np.uint64(0)
    if at + 8 <= end:
        for step in range(8):
            word = (word << np.uint64(8)) | np.uint64(letters[np.uint64(at + step)])
    else:
        for step in range(8):
            byte = letters[np.uint64(at + step)] if at + step < end else 0
            word = (word << np.uint64(8)) | np.uint64(byte)
    return word


@kernel
def hash_rows(start, stop, edges, letters, hashes):
    """A hash of the bytes of each row, eight at a time, with their number."""
    for row in range(start, stop):
        at, end = edges[row], edges[row + 1]
        found = np.uint64(end - at)
        while at < end:
            found = np.uint64(mix(found ^ word_at(at, end, letters)))
            at += 8
        hashes[row] = np.int64(found)


@kernel
def common_start(rows, edges, letters):
    """How many bytes at their start all rows have in common."""
    first = edges[rows[0]]
    shared = edges[rows[0] + 1] - first
    for row in rows:
        begin = edges[row]
        shared = min(shared, edges[row + 1] - begin)
        at = 0
        while at < shared and letters[begin + at] == letters[first + at]:
            at += 1
        shared = at
    return shared


@kernel
def words_at(start, stop, skip, rows, edges, letters, words):
    """The eight bytes behind the first `skip` of each row, as a number."""
    for at in range(start, stop):
        row = rows[at]
        words[at] = word_at(min(edges[row] + skip, edges[row + 1]), edges[row + 1], letters)


@kernel
def survey(start, stop, edges, letters):
    """How many bytes rows have in common with row 0 at their start, and the fewest and the most bytes of a row."""
    first = edges[0]
    shared = shortest = edges[1] - first
    longest = 0
    for row in range(start, stop):
        begin = edges[row]
        size = edges[row + 1] - begin
        shortest, longest = min(shortest, size), max(longest, size)
        shared = min(shared, size)
        at = 0
        while at < shared and letters[begin + at] == letters[first + at]:
            at += 1
        shared = at
    return shared, shortest, longest


@kernel
def pack_rows(start, stop, skip, sized, edges, letters, packed):
    """The bytes behind the first `skip` of each row as a number, in the same order as the rows.

    They are eight at most; where rows are of several sizes (`sized`) seven, and the size comes last.
    """
    for row in range(start, stop):
        word = word_at(edges[row] + skip, edges[row + 1], letters)
        if sized:
            word |= np.uint64(edges[row + 1] - edges[row] - skip)
        packed[row] = np.int64(word ^ np.uint64(1 << 63))
