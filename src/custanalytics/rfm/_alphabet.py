"""Texts as whole numbers in their order: the digits are the bytes that occur at each place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from custanalytics import _jit
from custanalytics.rfm._kernels_alphabet import END, mark_letters, write_letters, write_numbers

PLACES = 64  # of a text at most, those included that are the same in all texts
LARGEST = 1 << 62
SAMPLE = 1 << 12  # rows of which a look says whether it is worth looking at all


@dataclass(frozen=True)
class Alphabet:
    """What each place of a text may hold, and what it is worth: "C00317" may be the number 317.

    Numbers are in the order of the texts, byte by byte, and different for different texts. Ids that count customers
    become numbers as dense as those that they are made of.
    """

    weights: np.ndarray  # of a step at each place: shape (n_places,)
    ends: np.ndarray  # whether some texts end before a place: shape (n_places,)
    symbols: np.ndarray  # bytes of each place in ascending order: shape (n_places, 256)
    worth: np.ndarray  # of each byte at each place: shape (n_places, 256)

    @classmethod
    def of(cls, edges: np.ndarray, letters: np.ndarray) -> Self | None:
        """The alphabet of a column of texts as Arrow holds it; None where the numbers would be too large."""
        sample = edges[: SAMPLE + 1]
        found = cls._made(_seen(sample, letters)) if sample.size < edges.size else True
        return None if found is None else cls._made(_seen(edges, letters))

    @classmethod
    def _made(cls, seen: np.ndarray | None) -> Self | None:
        if seen is None:
            return None
        used = seen[:, :END].any(axis=1)
        n = int(used.sum())
        marks = seen[:n, :END]
        ends = np.logical_or.accumulate(seen[:, END])[:n]
        radices = [int(count) for count in marks.sum(axis=1) + ends]
        weights, size = [], 1
        for radix in reversed(radices):
            weights.append(size)
            size *= radix
        if size > LARGEST:
            return None
        weight = np.array(weights[::-1], np.int64)
        rank = np.cumsum(marks, axis=1) - 1 + ends[:, None]
        symbols = np.argsort(~marks, axis=1, kind="stable").astype(np.uint8)
        return cls(weight, ends, symbols, np.where(marks, rank, 0) * weight[:, None])

    def numbers(self, edges: np.ndarray, letters: np.ndarray) -> np.ndarray:
        """The number of each text: int64 of shape (n_rows,)."""
        telling = np.flatnonzero(self.worth.any(axis=1))  # the other places are the same in all texts
        first, last = (int(telling[0]), int(telling[-1]) + 1) if telling.size else (0, 0)
        result = np.empty(edges.size - 1, np.int64)
        _jit.run(write_numbers, result.size, first, last, edges, letters, self.worth, out=(result,), size=_jit.WIDE)
        return result

    def texts(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The texts that numbers stand for, as edges and letters."""
        letters = np.empty((numbers.size, self.weights.size), np.uint8)
        sizes = np.empty(numbers.size, np.int64)
        inputs: tuple[Any, ...] = (numbers, self.weights, self.ends, self.symbols)
        _jit.run(write_letters, numbers.size, *inputs, out=(letters, sizes))
        edges = np.concatenate(([0], np.cumsum(sizes)))
        if (sizes == self.weights.size).all():
            return edges, letters.ravel()
        return edges, letters[np.arange(self.weights.size) < sizes[:, None]]


def _seen(edges: np.ndarray, letters: np.ndarray) -> np.ndarray | None:
    """Which bytes occur at each place and where texts end: bool, (PLACES + 1, 257); None where one is longer."""
    n = edges.size - 1
    seen = np.zeros((len(_jit.slices(n, _jit.WIDE)), PLACES + 1, END + 1), np.bool_)
    if any(_jit.run(mark_letters, n, edges, letters, parts=seen, size=_jit.WIDE)):
        return None
    return np.asarray(seen.any(axis=0))
