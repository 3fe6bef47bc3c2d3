"""Kernels on columns of text as Arrow holds them: row i is letters[begins[i]:ends[i]], in UTF-8."""

from __future__ import annotations

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel

BLOCK = 64  # rows of which the texts are fetched together
NEXT = 64  # bytes from one text to the next, in the mean, up to which they lie one behind the other
NEAR = 12  # bytes of a text that stand in its view


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
def hash_rows(start, stop, seed, begins, ends, letters, hashes):
    """A hash of each row."""
    for block in range(start, stop, BLOCK):
        rows = range(block, min(block + BLOCK, stop))
        fetch(rows, begins, ends, letters, hashes)
        for row in rows:
            hashes[row] = hash_of(begins[row], ends[row], seed, letters)


@kernel
def fetch(rows, begins, ends, letters, out):
    """Touch texts that lie about in memory, so that they are fetched together and not one after the other.

    Those that lie one behind the other come by themselves. What is written to `out` is but to be overwritten.
    """
    if abs(begins[rows.stop - 1] - begins[rows.start]) < NEXT * BLOCK:
        return
    for row in rows:
        if begins[row] < ends[row]:
            out[row] = letters[np.uint64(begins[row])] + letters[np.uint64(ends[row] - 1)]


@kernel
def fold_words(start, stop, first, second, folded):
    """One number of two, from which the first can be had again with the second."""
    for row in range(start, stop):
        folded[row] = first[row] ^ mix(second[row])


@kernel
def words_at(start, stop, skip, rows, begins, ends, letters, words):
    """The eight bytes behind the first `skip` of each row, as a number."""
    for at in range(start, stop):
        row = rows[at]
        words[at] = word_at(begins[row] + skip, ends[row], letters)


@kernel
def read_views(start, stop, views, here, places, begins, ends):
    """Where the texts of a slice begin and end in memory. Returns 1 where one is in a buffer that there is not.

    A view is (size, four bytes, number of a buffer, where in it), or a size and up to 12 bytes. Views begin at `here`
    in memory, buffers at `places`.
    """
    for row in range(start, stop):
        size = views[row, 0]
        if size <= NEAR:
            begins[row] = here + 16 * row + 4
        elif views[row, 2] < places.size:
            begins[row] = places[views[row, 2]] + views[row, 3]
        else:
            return 1
        ends[row] = begins[row] + size
    return 0
