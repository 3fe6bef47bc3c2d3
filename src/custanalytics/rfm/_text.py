"""Ids of text: read from Arrow's buffers without a copy, hashed, and put in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _jit
from custanalytics.rfm._alphabet import Alphabet
from custanalytics.rfm._kernels_text import fold_words, hash_rows, words_at


@dataclass(frozen=True)
class Text:
    """A column of text without missing values as Arrow holds it: row i is letters[edges[i]:edges[i + 1]]."""

    edges: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    letters: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))

    @cached_property
    def alphabet(self) -> Alphabet | None:
        """What makes numbers of the rows; None where these would be too large."""
        return Alphabet.of(self.edges, self.letters)

    def numbers(self, word: int) -> np.ndarray:
        """The first or the second number of each row by its alphabet, uint64 of shape (n_rows,)."""
        assert self.alphabet is not None
        return self.alphabet.numbers(self.edges, self.letters, word)

    def hashes(self, seed: int) -> np.ndarray:
        """A hash of each row, int64 of shape (n_rows,): rows of the same text have the same."""
        found = np.empty(self.edges.size - 1, np.int64)
        _jit.run(hash_rows, found.size, seed, self.edges, self.letters, out=(found,))
        return found

    def in_order(self, rows: np.ndarray) -> np.ndarray:
        """Positions that put rows of different texts in ascending order of their bytes, so of their code points.

        Eight bytes at a time are compared as numbers; rows that agree so far are compared by the next eight.
        """
        if rows.size < 2:
            return np.arange(rows.size)
        skip = 0
        sizes = self.edges[rows + 1] - self.edges[rows]
        keys = self._words(rows, skip)
        order = np.argsort(keys)
        group = np.concatenate(([0], np.cumsum(np.diff(keys[order]) != 0)))
        while True:
            tied = np.flatnonzero(np.bincount(group)[group] > 1)
            if not tied.size:
                return order
            skip += 8
            some = order[tied]
            over = not (sizes[some] > skip).any()  # they differ in trailing zero bytes alone
            keys = sizes[some].astype(np.uint64) if over else self._words(rows[some], skip)
            within = np.lexsort((keys, group[tied]))
            order[tied] = some[within]
            if over:
                return order
            parted = np.zeros(group.size, np.int64)
            parted[tied[1:]] = np.diff(keys[within]) != 0
            starts = np.concatenate(([0], np.diff(group) != 0))
            group = np.cumsum(np.maximum(parted, starts))

    def _words(self, rows: np.ndarray, skip: int) -> np.ndarray:
        words = np.empty(rows.size, np.uint64)
        _jit.run(words_at, rows.size, skip, rows, self.edges, self.letters, out=(words,))
        return words


def folded(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One number of each pair of numbers, uint64; folded with the second again, it is the first."""
    result = np.empty(first.size, np.uint64)
    _jit.run(fold_words, result.size, first, second, out=(result,), size=_jit.WIDE)
    return result


def read_text(series: nw.Series[Any]) -> Text | None:
    """The buffers of a column of text; None where it is not one, has missing values, or PyArrow is not there."""
    if series.dtype != nw.String or not len(series) or series.null_count():
        return None
    try:
        array = series.to_arrow()
    except (ImportError, UnicodeEncodeError):  # half a character: the slower way says so
        return None
    kind = str(array.type)
    if kind not in ("string", "large_string"):
        array = array.cast("large_string")
        kind = "large_string"
    array = array.combine_chunks() if hasattr(array, "combine_chunks") else array
    _, edges, letters = array.buffers()
    width = np.int64 if kind == "large_string" else np.int32
    within = slice(array.offset, array.offset + len(array) + 1)
    bytes_ = np.frombuffer(letters, np.uint8) if letters is not None and letters.size else np.empty(0, np.uint8)
    return Text(np.frombuffer(edges, width)[within].astype(np.int64, copy=False), bytes_)


def write_text(column: nw.Series[Any], edges: np.ndarray, letters: np.ndarray) -> nw.Series[Any]:
    """A column of text from Arrow's buffers, of the library and the type of one that `read_text` has read."""
    arrow, native = nw.dependencies.get_pyarrow(), column.to_native()
    array = arrow.LargeStringArray.from_buffers(len(edges) - 1, arrow.py_buffer(edges), arrow.py_buffer(letters))
    if column.implementation.is_pandas():
        plain = not hasattr(native.dtype, "__from_arrow__")  # Python's own strings
        found = type(native)(array.to_pylist() if plain else native.dtype.__from_arrow__(array), dtype=native.dtype)
    elif column.implementation.is_pyarrow():
        found = arrow.chunked_array([array]).cast(native.type)
    else:
        found = type(native)(column.name, array)
    return nw.from_native(found, series_only=True).alias(column.name)
