"""Ids of text: read from Arrow's buffers without a copy, hashed, and put in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _jit
from custanalytics.rfm._alphabet import Alphabet
from custanalytics.rfm._kernels_text import fold_words, hash_rows, read_views, words_at


@dataclass(frozen=True)
class Text:
    """A column of text without missing values as Arrow holds it: row i is letters[begins[i]:ends[i]]."""

    begins: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    ends: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    letters: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))

    @cached_property
    def numbered(self) -> tuple[Alphabet, np.ndarray] | None:
        """What makes one or two numbers of a row, and those of all: uint64 of shape (n_words, n_rows).

        None where numbers would be too large.
        """
        return Alphabet.read(self.begins, self.ends, self.letters)

    def hashes(self, seed: int) -> np.ndarray:
        """A hash of each row, int64 of shape (n_rows,): rows of the same text have the same."""
        found = np.empty(self.begins.size, np.int64)
        _jit.run(hash_rows, found.size, seed, self.begins, self.ends, self.letters, out=(found,))
        return found

    def in_order(self, rows: np.ndarray) -> np.ndarray:
        """Positions that put rows of different texts in ascending order of their bytes, so of their code points.

        Eight bytes at a time are compared as numbers; rows that agree so far are compared by the next eight.
        """
        if rows.size < 2:
            return np.arange(rows.size)
        skip = 0
        sizes = self.ends[rows] - self.begins[rows]
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
        _jit.run(words_at, rows.size, skip, rows, self.begins, self.ends, self.letters, out=(words,))
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
        array = _arrow(series)
    except (ImportError, UnicodeEncodeError):  # half a character: the slower way says so
        return None
    text = _from_views(array) if str(array.type) == "string_view" else None
    if text is not None:
        return text
    kind = str(array.type)
    if kind not in ("string", "large_string"):
        array = array.cast("large_string")
        kind = "large_string"
    _, edges, letters = array.buffers()
    width = np.int64 if kind == "large_string" else np.int32
    edges = np.frombuffer(edges, width)[array.offset : array.offset + len(array) + 1].astype(np.int64, copy=False)
    return Text(edges[:-1], edges[1:], _bytes(letters))


def _arrow(series: nw.Series[Any]) -> Any:
    """The column as one array of Arrow, of the kind that takes no copy."""
    if series.implementation.is_polars():
        polars = nw.dependencies.get_polars()
        return series.to_native().rechunk().to_arrow(compat_level=polars.CompatLevel.newest())
    array = series.to_arrow()
    return array.combine_chunks() if hasattr(array, "combine_chunks") else array


def _from_views(array: Any) -> Text | None:
    """Texts that lie about in several buffers: as parts of one array, which begins at the first of these in memory."""
    buffers, n = array.buffers()[1:], len(array)
    first = min(buffer.address for buffer in buffers)
    size = max(buffer.address + buffer.size for buffer in buffers) - first
    memory = nw.dependencies.get_pyarrow().foreign_buffer(first, size, base=array)
    here, *places = (buffer.address - first for buffer in buffers)
    views = np.frombuffer(buffers[0], np.int32).reshape(-1, 4)[array.offset : array.offset + n]
    begins, ends = np.empty(n, np.int64), np.empty(n, np.int64)
    inputs = (views, here + 16 * array.offset, np.array(places, np.int64))
    missing = any(_jit.run(read_views, n, *inputs, out=(begins, ends), size=_jit.WIDE))
    return None if missing else Text(begins, ends, _bytes(memory))


def _bytes(buffer: Any) -> np.ndarray:
    return np.empty(0, np.uint8) if buffer is None or not buffer.size else np.frombuffer(buffer, np.uint8)


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
