"""Texts as whole numbers in their order: the digits are the bytes that occur at each place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from custanalytics import _jit
from custanalytics.rfm._kernels_alphabet import END, UNSEEN, mark_letters, pack_letters, write_letters, write_numbers

PLACES = 64  # of a text at most, those included that are the same in all texts
WORDS = 2  # numbers of 64 bits for a text at most
LARGEST = 1 << 64
SAMPLE = 1 << 12  # rows that are likely to show all that there is, or nearly
DIGITS = np.isin(np.arange(END), np.frombuffer(b"0123456789", np.uint8))


@dataclass(frozen=True)
class Alphabet:
    """What each place of a text may hold, and what it is worth: "C00317" may be the number 317.

    Numbers are in the order of the texts, byte by byte, and different for different texts. Ids that count customers
    become numbers as dense as those that they are made of; a UUID takes two numbers, the first one higher.
    """

    words: np.ndarray  # the number that each place is part of: shape (n_places,)
    weights: np.ndarray  # of a step at each place, uint64: shape (n_places,)
    may_end: np.ndarray  # whether some texts end before a place, 0 or 1: shape (n_places,)
    symbols: np.ndarray  # bytes of each place in ascending order: shape (n_places, 256)
    rank: np.ndarray  # the digit that each byte is at each place, or UNSEEN, uint16: shape (n_places, 256)

    @classmethod
    def read(cls, begins: np.ndarray, ends: np.ndarray, letters: np.ndarray) -> tuple[Self, np.ndarray] | None:
        """The alphabet of a column of texts as Arrow holds it, and the numbers of the texts.

        These are uint64 of shape (n_words, n_rows). None where two numbers are not enough for a text.
        """
        step = max(begins.size // SAMPLE, 1)
        some = _seen(np.ascontiguousarray(begins[::step]), np.ascontiguousarray(ends[::step]), letters)
        found, likely = cls._made(some), cls._made(_likely(some))
        if found is not None and likely is not None and likely.n_words == found.n_words:
            found = likely
        numbers = None if found is None else found._numbers(begins, ends, letters)
        if found is not None and numbers is None:  # some text has what the sample has not
            found = cls._made(_seen(begins, ends, letters))
            numbers = None if found is None else found._numbers(begins, ends, letters)
        return None if found is None or numbers is None else (found, numbers)

    @classmethod
    def _made(cls, seen: np.ndarray | None) -> Self | None:
        if seen is None:
            return None
        n = int(seen[:, :END].any(axis=1).sum())
        marks = seen[:n, :END]
        ends = np.logical_or.accumulate(seen[:, END])[:n].astype(np.int64)
        words, weights = np.zeros(n, np.int64), np.ones(n, np.uint64)
        word, size = 0, 1
        for place in reversed(range(n)):  # from the last one, so that the first word is the one with room left
            radix = int(marks[place].sum() + ends[place])
            if size * radix > LARGEST:
                word, size = word + 1, 1
            words[place] = word
            if radix > 1:  # a place that is the same in all texts has no weight
                weights[place] = size
            size *= radix
        if word >= WORDS:
            return None
        rank = np.where(marks, np.cumsum(marks, axis=1) - 1 + ends[:, None], UNSEEN)
        symbols = np.argsort(~marks, axis=1, kind="stable").astype(np.uint8)
        return cls(word - words, weights, ends, symbols, rank.astype(np.uint16))

    @property
    def n_words(self) -> int:
        """How many numbers a text takes: 1 or 2."""
        return int(self.words.max(initial=0)) + 1

    def _numbers(self, begins: np.ndarray, ends: np.ndarray, letters: np.ndarray) -> np.ndarray | None:
        result = np.empty((self.n_words, begins.size), np.uint64)
        first = int((self.words == 0).sum())
        inputs = (first, begins, ends, letters, self.may_end, self.rank, self.weights)
        found = _jit.run(write_numbers, begins.size, *inputs, out=(result[0], result[-1]), size=_jit.WIDE)
        return None if any(found) else result

    def texts(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The texts that numbers of shape (n_rows, n_words) stand for, as edges and letters."""
        letters = np.empty((len(numbers), self.weights.size), np.uint8)
        sizes = np.empty(len(numbers), np.int64)
        largest = ((self.rank < UNSEEN) * self.rank).max(axis=1, initial=0).astype(np.int64)
        inputs = (numbers, self.words, self.weights, largest, self.may_end, self.symbols)
        _jit.run(write_letters, sizes.size, *inputs, out=(letters, sizes))
        edges = np.concatenate(([0], np.cumsum(sizes)))
        if edges[-1] == letters.size:
            return edges, letters.ravel()
        packed = np.empty(int(edges[-1]), np.uint8)
        _jit.run(pack_letters, sizes.size, letters, edges, out=(packed,))
        return edges, packed


def _likely(seen: np.ndarray | None) -> np.ndarray | None:
    """What all texts are likely to show where some show this much: digits are any digits, and sizes vary as they do."""
    if seen is None:
        return None
    marks, sizes = seen[:, :END].copy(), np.flatnonzero(seen[:, END])
    varied = marks.sum(axis=1) > 1
    digits = varied & ~(marks & ~DIGITS).any(axis=1)
    marks[digits] |= DIGITS
    ends = seen[:, END].copy()
    if sizes.size > 1 and varied.any():  # the shortest are the rarest: a number of one digit may not be among some
        ends[int(np.argmax(varied)) + 1 : sizes[-1]] = True
    return np.column_stack((marks, ends))


def _seen(begins: np.ndarray, ends: np.ndarray, letters: np.ndarray) -> np.ndarray | None:
    """Which bytes occur at each place and where texts end: bool, (PLACES + 1, 257); None where one is longer."""
    n = begins.size
    seen = np.zeros((len(_jit.slices(n, _jit.WIDE)), PLACES + 1, END + 1), np.bool_)
    if any(_jit.run(mark_letters, n, begins, ends, letters, parts=seen, size=_jit.WIDE)):
        return None
    return np.asarray(seen.any(axis=0))
