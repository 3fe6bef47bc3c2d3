"""Kernels on columns of text as Arrow holds them: row i is letters[edges[i]:edges[i + 1]], in UTF-8."""

from __future__ import annotations

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel


@kernel
def word_at(begin, end, letters):
    """Eight bytes from `begin` as a number, the first one highest; what lies behind the end is 0."""
    word = np.uint64(0)
    if begin + 8 <= end:  # in this form it is one load and a swap of bytes
        at = np.uint64(begin)
        word = (
            (np.uint64(letters[at]) << np.uint64(56))
            | (np.uint64(letters[at + np.uint64(1)]) << np.uint64(48))
            | (np.uint64(letters[at + np.uint64(2)]) << np.uint64(40))
            | (np.uint64(letters[at + np.uint64(3)]) << np.uint64(32))
            | (np.uint64(letters[at + np.uint64(4)]) << np.uint64(24))
            | (np.uint64(letters[at + np.uint64(5)]) << np.uint64(16))
            | (np.uint64(letters[at + np.uint64(6)]) << np.uint64(8))
            | (np.uint64(letters[at + np.uint64(7)]) << np.uint64(0))
        )
    elif begin < end:
        for step in range(end - begin):
            word = (word << np.uint64(8)) | np.uint64(letters[begin + step])
        word <<= np.uint64(8 * (8 - end + begin))
    return word


@kernel
def hash_of(begin, end, seed, letters):
    """A hash of some bytes, eight at a time, with their number."""
    found = np.uint64(end - begin) ^ np.uint64(seed)
    while begin < end:
        found = np.uint64(mix(found ^ word_at(begin, end, letters)))
        begin += 8
    return np.int64(found)


@kernel
def hash_rows(start, stop, seed, edges, letters, hashes):
    """A hash of each row."""
    for row in range(start, stop):
        hashes[row] = hash_of(edges[row], edges[row + 1], seed, letters)


@kernel
def fold_words(start, stop, first, second, folded):
    """One number of two, from which the first can be had again with the second."""
    for row in range(start, stop):
        folded[row] = first[row] ^ mix(second[row])


@kernel
def words_at(start, stop, skip, rows, edges, letters, words):
    """The eight bytes behind the first `skip` of each row, as a number."""
    for at in range(start, stop):
        row = rows[at]
        words[at] = word_at(edges[row] + skip, edges[row + 1], letters)
