"""Kernels on columns of text as Arrow holds them: row i is letters[edges[i]:edges[i + 1]], in UTF-8."""

from __future__ import annotations

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel
from custanalytics.rfm._kernels import EXTRA, ID, TIME, VALUE, piece_of


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
def hash_rows(start, stop, skip, cut, seed, edges, letters, hashes):
    """A hash of each row without its first `skip` and last `cut` bytes."""
    for row in range(start, stop):
        hashes[row] = hash_of(edges[row] + skip, edges[row + 1] - cut, seed, letters)


@kernel
def words_at(start, stop, skip, rows, edges, letters, words):
    """The eight bytes behind the first `skip` of each row, as a number."""
    for at in range(start, stop):
        row = rows[at]
        words[at] = word_at(edges[row] + skip, edges[row + 1], letters)


@kernel
def survey(start, stop, edges, letters):
    """How many bytes rows have in common with row 0 at their start and end, and the fewest and most bytes of a row."""
    first, last = edges[0], edges[1]
    shared = tail = shortest = last - first
    longest = 0
    for row in range(start, stop):
        begin, end = edges[row], edges[row + 1]
        shortest, longest = min(shortest, end - begin), max(longest, end - begin)
        shared, tail = min(shared, end - begin), min(tail, end - begin)
        at = 0
        while at < shared and letters[begin + at] == letters[first + at]:
            at += 1
        shared = at
        at = 0
        while at < tail and letters[end - 1 - at] == letters[last - 1 - at]:
            at += 1
        tail = at
    return shared, tail, shortest, longest


@kernel
def deal_texts(
    start, stop, size, end, shift, skip, cut, sized, n_keys, seed, ids, times, values, orders, edges, letters,
    places, dealt, dealt_values,
):  # fmt: skip
    """Copy the rows of a slice to their pieces by hash, with the words of their text, as `deal_rows` does.

    The words are all that tells texts apart, with their size where it varies (`sized`); where `n_keys` is 0 there is
    another hash in their place.
    """
    slot = start // size
    has_orders = orders.size > 0
    key = EXTRA + has_orders
    for row in range(start, stop):
        if times[row] < end:
            piece = piece_of(ids[row], skip, shift, places.shape[1])
            at = places[slot, piece]
            places[slot, piece] = at + 1
            dealt[at, ID] = ids[row]
            dealt[at, TIME] = times[row]
            dealt_values[at, VALUE] = values[row]
            if has_orders:
                dealt[at, EXTRA] = orders[row]
            dealt[at, dealt.shape[1] - 1] = row
            first, last = edges[row] + skip, edges[row + 1] - cut
            word = np.int64(0)
            for part in range(n_keys):
                word = np.int64(word_at(first + 8 * part, last, letters))
                dealt[at, key + part] = word
            if n_keys == 0:
                dealt[at, key] = hash_of(first, last, seed, letters)
            elif sized:  # the last byte is free
                dealt[at, key + n_keys - 1] = word | (last - first)
