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
            marks[place, letters[begin + place]] = 1
        marks[size, END] = 1
    return 0


@kernel
def write_numbers(start, stop, first, last, edges, letters, worth, numbers):
    """The number of each text of a slice: the sum of what its bytes are worth at the places from `first` to `last`."""
    for row in range(start, stop):
        begin = edges[row]
        total = np.uint64(0)
        for place in range(first, min(last, edges[row + 1] - begin)):
            total += worth[place, letters[begin + place]]
        numbers[row] = total


@kernel
def write_letters(start, stop, numbers, words, weights, ends, symbols, letters, sizes):
    """The bytes of the texts that numbers stand for, a column for each of the `words`, and how many they are.

    A digit of 0 is the end where `ends` says that a text can end at its place, and else the first of the `symbols`.
    """
    for row in range(start, stop):
        rest, word = np.uint64(0), -1
        sizes[row] = weights.size
        for place in range(weights.size):
            if words[place] != word:
                word = words[place]
                rest = numbers[row, word]
            digit = rest // weights[place]
            rest -= digit * weights[place]
            which = np.int64(digit) - ends[place]
            if which < 0:
                sizes[row] = place
                break
            letters[row, place] = symbols[place, which]
