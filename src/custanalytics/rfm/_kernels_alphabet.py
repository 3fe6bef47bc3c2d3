"""Kernels that turn texts into numbers, digit by digit, and numbers back into texts."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from custanalytics._jit import kernel

END = 256  # the mark of a text that ends where others go on


@kernel
def mark_letters(start, stop, edges, letters, seen):
    """Mark which bytes the texts of a slice have at each place, and where they end: `seen` is (1, places, 257).

    Returns 1 as soon as a text has no room in it.
    """
    marks = seen[0]
    last = marks.shape[0] - 1
    for row in range(start, stop):
        begin, size = edges[row], edges[row + 1] - edges[row]
        if size > last:
            return 1
        for place in range(size):
            marks[place, letters[np.uint64(begin + place)]] = 1
        marks[size, END] = 1
    return 0


@kernel
def write_numbers(start, stop, first, last, edges, letters, rank, weights, numbers):
    """The number of each text of a slice: the digits from the place `first` to `last`, times their weights."""
    for row in range(start, stop):
        begin = edges[row]
        total = np.uint64(0)
        for place in range(first, min(last, edges[row + 1] - begin)):
            at = np.uint64(place)  # an index without a sign: else several are gathered at once, which is slow
            total += np.uint64(rank[at, letters[np.uint64(begin) + at]]) * weights[at]
        numbers[row] = total


@kernel
def write_letters(start, stop, numbers, words, weights, largest, ends, symbols, letters, sizes):
    """The bytes of the texts that numbers stand for, a column for each of the `words`, and how many they are.

    A digit of 0 is the end where `ends` says that a text can end at its place, and else the first of the `symbols`;
    the `largest` is the last of them.
    """
    shares = np.empty(weights.size)
    for place in range(weights.size):
        shares[place] = 1.0 / weights[place]
    for row in range(start, stop):
        rest, word = np.uint64(0), -1
        sizes[row] = weights.size
        for place in range(weights.size):
            if words[place] != word:
                word = words[place]
                rest = numbers[row, word]
            if largest[place] == 0:  # the same in all texts
                letters[row, place] = symbols[place, 0]
                continue
            # a product with the reciprocal is off by one at most, and much faster than a division
            digit = min(np.int64(np.float64(rest) * shares[place]), largest[place])
            left = np.int64(rest - np.uint64(digit) * weights[place])
            if np.uint64(digit) * weights[place] > rest:
                digit -= 1
                left = np.int64(rest - np.uint64(digit) * weights[place])
            elif np.uint64(left) >= weights[place]:
                digit += 1
                left = np.int64(np.uint64(left) - weights[place])
            rest = np.uint64(left)
            which = digit - ends[place]
            if which < 0:
                sizes[row] = place
                break
            letters[row, place] = symbols[place, which]
