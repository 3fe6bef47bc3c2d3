"""Exact compression: customers with equal observations are one row with a weight."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from custanalytics import _jit
from custanalytics.clv._kernels_grouping import (
    append_digit,
    count_keys,
    count_runs,
    group_rows,
    list_counted,
    number_pairs,
    number_values,
    renumber,
    take_digit,
    thin_rows,
)

MOST_VALUES = 1 << 16  # distinct values in a slice of a column up to which it is numbered by a table
FEW = 4096  # rows up to which they are sorted as they are, for their numbers would take longer
TYPICAL = 1e3  # times the geometric mean: what no ordinary amounts have for a mean
CELLS_PER_ROW = 8  # up to which counting in a cell for each key is faster than sorting
LARGEST_KEY, LARGEST_SHORT_KEY, LARGEST_COUNT = 1 << 62, 1 << 31, 1 << 32


@dataclass(frozen=True)
class Sample:
    """Distinct observations in ascending order, and how many customers have each."""

    columns: tuple[np.ndarray, ...]
    weight: np.ndarray

    def scaled(self, factors: tuple[float, ...]) -> Sample:
        """Every column divided by its factor."""
        divided = (column / f if f != 1 else column for column, f in zip(self.columns, factors, strict=True))
        return Sample(tuple(divided), self.weight)

    def thinned(self, size: int) -> Sample:
        """At most `size` of the distinct observations, evenly spread over all customers in their order."""
        rows, picks = np.empty(size, np.int64), np.empty(size)
        share = float(self.weight.sum()) / size
        found = _jit.call(thin_rows, self.weight, share, out=(rows, picks))
        rows, picks = rows[:found], picks[:found]
        return Sample(tuple(column[rows] for column in self.columns), picks * share)

    def mean(self, column: int) -> float:
        """Weighted mean of a column; 1 where there is nothing to average or it is 0."""
        total = float(self.weight.sum())
        mean = float((self.weight * self.columns[column]).sum()) / total if total > 0 else 0.0
        return mean if mean > 0 else 1.0

    def size(self, column: int) -> float:
        """Mean of a column, or its geometric mean where giants make the mean more than `TYPICAL` times that."""
        mean, values = self.mean(column), self.columns[column]
        some = (values > 0) & (self.weight > 0)
        if not some.any():
            return mean
        middle = float(np.exp(np.average(np.log(values[some]), weights=self.weight[some])))
        return mean if mean <= TYPICAL * middle else middle


def compress(columns: tuple[np.ndarray, ...], weight: np.ndarray | None) -> Sample:
    """Distinct rows with summed weights, in ascending order of the first column, then the last, then those between.

    The same whatever the order of the rows.
    """
    places = (0, *range(len(columns) - 1, 0, -1))
    if weight is None and columns[0].size > FEW and (digits := _digits(columns)) is not None:
        keys = _keys(digits, places)
        unique, counts = _counted(keys, math.prod(digit.values.size for digit in digits))
        values = [np.empty(unique.size) for _ in columns]
        for place in reversed(places):
            _jit.run(take_digit, unique.size, digits[place].values, out=(unique, values[place]), size=_jit.WIDE)
        return Sample(tuple(values), counts)
    columns = _without_minus_zero(columns)
    grouped = distinct(columns)
    assert grouped is not None  # most=1 never gives up
    codes, rows = grouped
    if weight is None:
        sums: np.ndarray = np.bincount(codes, minlength=rows.size).astype(np.float64)
    else:
        # Sums of whole numbers are exact in any order; others are added in ascending order.
        whole = bool(np.all(weight == np.rint(weight)))
        if not whole:
            at = np.lexsort((weight, codes))
            codes, weight = codes[at], weight[at]
        sums = np.bincount(codes, weights=weight, minlength=rows.size)
    columns = tuple(column[rows] for column in columns)
    digits = _digits(columns) if rows.size > FEW else None
    order = (
        np.lexsort([columns[at] for at in reversed(places)]) if digits is None else np.argsort(_keys(digits, places))
    )
    return Sample(tuple(np.ascontiguousarray(column[order]) for column in columns), sums[order])


def distinct(columns: tuple[np.ndarray, ...], most: float = 1.0) -> tuple[np.ndarray, np.ndarray] | None:
    """Codes of the distinct rows of up to three float columns, and the first row of each.

    None where more than `most` of the first rows (a share) are distinct, so that grouping does not pay.
    """
    n = columns[0].size
    if len(columns) == 2:
        bits = [column.view(np.int64) for column in columns]
        codes, parts = np.empty(n, np.int32), np.empty((len(_jit.slices(n, _jit.WIDE)), MOST_VALUES), np.int64)
        found = _jit.run(number_pairs, n, *bits, out=(codes,), parts=parts, size=_jit.WIDE)
        if min(found, default=0) >= 0 and sum(found) <= max(most * n, 1.0):
            return _joined(columns, codes, [part[:size] for part, size in zip(parts, found, strict=True)])
    bits = [column.view(np.int64) for column in _without_minus_zero(columns)]
    codes, rows = np.empty(n, np.int64), np.empty(n, np.int64)
    size = _jit.call(group_rows, bits[0], bits[1], bits[-1], float(most), out=(codes, rows))
    return None if size < 0 else (codes, rows[:size])


def _counted(keys: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ones of whole numbers below `cells`, in ascending order, and how often each occurs."""
    if cells <= CELLS_PER_ROW * keys.size < LARGEST_COUNT:  # a cell for each, which the cache holds if few are in use
        counts = np.zeros(cells, np.uint32)
        found = _jit.call(count_keys, keys, out=(counts,))
        unique, weight = np.empty(found + 1, keys.dtype), np.empty(found + 1)
        _jit.call(list_counted, counts, out=(unique, weight))
        return unique[:found], weight[:found]
    keys.sort()
    unique, ends = np.empty(keys.size, keys.dtype), np.empty(keys.size)
    found = _jit.call(count_runs, keys, out=(unique, ends))
    return unique[:found], np.diff(ends[:found], prepend=0.0)


def _without_minus_zero(columns: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    return tuple(column + 0.0 if np.signbit(column).any() else column for column in columns)


def _joined(
    columns: tuple[np.ndarray, ...], codes: np.ndarray, parts: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Codes of slices, each with the first rows of its own distinct pairs, as codes of the whole."""
    rows = np.concatenate(parts) if parts else np.empty(0, np.int64)
    if len(parts) < 2:
        return codes, rows
    first, second = ((column[rows] + 0.0).view(np.int64) for column in columns)  # no -0.0
    numbers, at = np.empty(rows.size, np.int64), np.empty(rows.size, np.int64)
    found = _jit.call(group_rows, first, second, second, 1.0, out=(numbers, at))
    _jit.run(renumber, codes.size, out=(codes,), parts=_padded(parts, numbers), size=_jit.WIDE)
    return codes, rows[at[:found]]


def _padded(parts: list[np.ndarray], numbers: np.ndarray) -> np.ndarray:
    """The numbers of the members of all parts, one after the other, as a row for each part."""
    sizes = [part.size for part in parts]
    result = np.zeros((len(parts), max(sizes)), np.int64)
    for row, some in zip(result, np.split(numbers, np.cumsum(sizes)[:-1]), strict=True):
        row[: some.size] = some
    return result


@dataclass(frozen=True)
class _Digit:
    """One column as codes, the rank of each code (a row for each slice), and the distinct values in ascending order."""

    codes: np.ndarray
    ranks: np.ndarray
    values: np.ndarray


def _digits(columns: tuple[np.ndarray, ...]) -> list[_Digit] | None:
    """The columns as digits of one number below `LARGEST_KEY`; None where they have too many distinct values."""
    digits, size = [], 1
    for column in columns:
        n = column.size
        codes, parts = np.empty(n, np.int32), np.empty((len(_jit.slices(n, _jit.WIDE)), MOST_VALUES), np.int64)
        found = _jit.run(number_values, n, column.view(np.int64), out=(codes,), parts=parts, size=_jit.WIDE)
        if min(found, default=0) < 0:
            return None
        seen = [part[:many].view(np.float64) for part, many in zip(parts, found, strict=True)]
        values, ranks = np.unique(np.concatenate(seen or [np.empty(0)]), return_inverse=True)
        size *= max(values.size, 1)
        if size > LARGEST_KEY:
            return None
        digits.append(_Digit(codes, _padded(seen, ranks) if seen else np.empty((0, 0), np.int64), values))
    return digits


def _keys(digits: list[_Digit], places: tuple[int, ...]) -> np.ndarray:
    """The numbers of which the digits are those of the columns, the first of `places` the highest."""
    n, size = digits[0].codes.size, 1
    for digit in digits:
        size *= digit.values.size
    keys = np.zeros(n, np.int32 if size <= LARGEST_SHORT_KEY else np.int64)
    for place in places:
        digit = digits[place]
        inputs = (keys.dtype.type(digit.values.size), digit.codes)
        _jit.run(append_digit, n, *inputs, out=(keys,), parts=digit.ranks.astype(keys.dtype), size=_jit.WIDE)
    return keys
