"""Exact compression: customers with equal observations are one row with a weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from custanalytics import _jit
from custanalytics.clv._kernels import append_digit, count_runs, group_rows, number_pairs, number_values

MOST_VALUES = 1 << 16  # distinct values of a column up to which it is numbered by a table that fits the cache
LARGEST_KEY = 1 << 62


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
        seen = np.cumsum(self.weight)
        share = seen[-1] / size
        rows, picks = np.unique(np.searchsorted(seen, (np.arange(size) + 0.5) * share), return_counts=True)
        return Sample(tuple(column[rows] for column in self.columns), picks * share)

    def mean(self, column: int) -> float:
        """Weighted mean of a column; 1 where there is nothing to average or it is 0."""
        total = float(self.weight.sum())
        mean = float((self.weight * self.columns[column]).sum()) / total if total > 0 else 0.0
        return mean if mean > 0 else 1.0


def compress(columns: tuple[np.ndarray, ...], weight: np.ndarray | None) -> Sample:
    """Distinct rows with summed weights, in ascending order of the first column, then the last, then those between.

    The same whatever the order of the rows.
    """
    columns = tuple(column + 0.0 if np.signbit(column).any() else column for column in columns)  # no -0.0
    places = (0, *range(len(columns) - 1, 0, -1))
    if weight is None and (digits := _digits(columns)) is not None:
        keys = np.sort(_keys(digits, places))
        unique, counts = np.empty(keys.size, np.int64), np.empty(keys.size)
        found = _jit.call(count_runs, keys, out=(unique, counts))
        rest, values = unique[:found], list(columns)
        for place in reversed(places):
            rest, rank = np.divmod(rest, digits[place].values.size)
            values[place] = digits[place].values[rank]
        return Sample(tuple(values), counts[:found].copy())
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
    digits = _digits(columns)
    order = (
        np.lexsort([columns[at] for at in reversed(places)]) if digits is None else np.argsort(_keys(digits, places))
    )
    return Sample(tuple(np.ascontiguousarray(column[order]) for column in columns), sums[order])


def distinct(columns: tuple[np.ndarray, ...], most: float = 1.0) -> tuple[np.ndarray, np.ndarray] | None:
    """Codes of the distinct rows of up to three float columns, and the first row of each.

    None where more than `most` of the first rows (a share) are distinct, so that grouping does not pay.
    """
    n = columns[0].size
    bits = [(column + 0.0 if np.signbit(column).any() else column).view(np.int64) for column in columns]
    if len(columns) == 2:
        keys, codes, rows = np.empty((MOST_VALUES, 2), np.int64), np.empty(n, np.int32), np.empty(MOST_VALUES, np.int64)
        found = _jit.call(number_pairs, *bits, out=(keys, codes, rows))
        if 0 <= found <= max(most * n, 1.0):
            return codes, rows[:found]
    codes, rows = np.empty(n, np.int64), np.empty(n, np.int64)
    found = _jit.call(group_rows, bits[0], bits[1], bits[-1], float(most), out=(codes, rows))
    return None if found < 0 else (codes, rows[:found])


@dataclass(frozen=True)
class _Digit:
    """One column as codes, the rank of each code, and the distinct values in ascending order."""

    codes: np.ndarray
    rank: np.ndarray
    values: np.ndarray


def _digits(columns: tuple[np.ndarray, ...]) -> list[_Digit] | None:
    """The columns as digits of one number below `LARGEST_KEY`; None where they have too many distinct values."""
    digits, size = [], 1
    for column in columns:
        codes, values = np.empty(column.size, np.int32), np.empty(MOST_VALUES, np.int64)
        found = _jit.call(number_values, column.view(np.int64), out=(codes, values))
        size *= max(int(found), 1)
        if found < 0 or size > LARGEST_KEY:
            return None
        numbers = values[:found].view(np.float64)
        order = np.argsort(numbers)
        rank = np.empty(found, np.int64)
        rank[order] = np.arange(found)
        digits.append(_Digit(codes, rank, numbers[order]))
    return digits


def _keys(digits: list[_Digit], places: tuple[int, ...]) -> np.ndarray:
    keys = np.zeros(digits[0].codes.size, np.int64)
    for place in places:
        _jit.call(append_digit, digits[place].codes, digits[place].rank, out=(keys,))
    return keys
