"""Kernels that turn texts into numbers, digit by digit, and numbers back into texts."""

# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from custanalytics._jit import kernel
from custanalytics.rfm._kernels_text import BLOCK, fetch

END = 256  # the mark of a text that ends where others go on
UNSEEN = 1 << 15  # instead of a digit: a byte that does not occur at a place


@kernel
def mark_letters(start, stop, begins, ends, letters, seen):
    """Mark which bytes the texts of a slice have at each place, and where they end: `seen` is (1, places, 257).

    Returns 1 as soon as a text has no room in it.
    """
    marks = seen[0]
    last = marks.shape[0] - 1
    for row in range(start, stop):
        begin, size = begins[row], ends[row] - begins[row]
        if size > last:
            return 1
        for place in range(size):
            marks[place, letters[np.uint64(begin + place)]] = 1
        marks[size, END] = 1
    return 0


@kernel
def write_numbers(start, stop, split, begins, ends, letters, may_end, rank, weights, first, second):
    """The numbers of each text of a slice: digits times weights, of the places before `split` and of those after.

    Returns 1 as soon as a text has what its alphabet has not.
    """
    places = weights.size
    for block in range(start, stop, BLOCK):
        rows = range(block, min(block + BLOCK, stop))
        fetch(rows, begins, ends, letters, first)
        for row in range(np.uint64(rows.start), np.uint64(rows.stop)):
            begin, size = np.uint64(begins[row]), ends[row] - begins[row]
            if size > places or (size < places and may_end[size] == 0):
                return 1
            total, marks = np.uint64(0), np.uint64(0)
            for place in range(min(split, size)):
                at = np.uint64(place)  # an index without a sign: else several are gathered at once, which is slow
                digit = np.uint64(rank[at, letters[begin + at]])
                marks |= digit
                total += digit * weights[at]
            first[row] = total
            if split < places:
                total = np.uint64(0)
                for place in range(split, size):
                    at = np.uint64(place)
                    digit = np.uint64(rank[at, letters[begin + at]])
                    marks |= digit
                    total += digit * weights[at]
                second[row] = total
            if marks >= UNSEEN:
                return 1
    return 0


@kernel
def divided(number, weight, share, largest):
    """A number below (largest + 1) · weight over the weight, and the rest; `share` is 1 / weight.

    A product with the reciprocal is off by one at most, and much faster than a division.
    """
    digit = min(np.int64(np.float64(number) * share), largest)
    left = np.int64(number - np.uint64(digit) * weight)
    if np.uint64(digit) * weight > number:
        digit -= 1
        left = np.int64(number - np.uint64(digit) * weight)
    elif np.uint64(left) >= weight:
        digit += 1
        left = np.int64(np.uint64(left) - weight)
    return digit, np.uint64(left)


@kernel
def write_letters(start, stop, numbers, words, weights, largest, may_end, symbols, letters, sizes):
    """The bytes of the texts that numbers stand for, a column for each of the `words`, and how many they are.

    A digit of 0 is the end where `may_end` says that a text can end at its place, and else the first of the `symbols`;
    the `largest` is the last of them.
    """
    shares, shifts = np.empty(weights.size), np.full(weights.size, -1, np.int64)
    for place in range(weights.size):
        shares[place] = 1.0 / weights[place]
        for shift in range(64):
            if weights[place] == np.uint64(1) << np.uint64(shift):
                shifts[place] = shift
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
            if shifts[place] >= 0:
                digit = np.int64(rest >> np.uint64(shifts[place]))
                rest &= weights[place] - np.uint64(1)
            else:
                digit, rest = divided(rest, weights[place], shares[place], largest[place])
            which = digit - may_end[place]
            if which < 0:
                sizes[row] = place
                break
            letters[row, place] = symbols[place, which]


@kernel
def pack_letters(start, stop, letters, edges, packed):
    """The first letters of each row, one row's behind the other's: those of a row from edges[row] on."""
    for row in range(start, stop):
        for at in range(edges[row], edges[row + 1]):
            packed[np.uint64(at)] = letters[row, np.uint64(at - edges[row])]
