"""Distinct values of an untyped column, what a reader makes of a column, and what counts as missing."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._hashing import integer_codes

MISSING_TEXT = frozenset({"", "nan", "none", "null", "nat", "<na>"})
# White space as Unicode has it, and the characters that a screen does not show either.
_EDGE = "".join(c for c in map(chr, range(0x3001)) if c.isspace()) + "\x00\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"


@dataclass(frozen=True)
class Reading:
    """A column as a kernel takes it: every array has shape (n_rows,).

    `values` are the typed values, `faults` the bits of the rules that reading has shown broken, `clean` the column
    of the clean log where it differs from the one read, `exact` integers that tell values apart where `values` have
    lost some resolution, `mended` the bits of the rules that a value broke before it was repaired.
    """

    values: np.ndarray
    faults: np.ndarray | None = None
    clean: Any = None
    exact: np.ndarray | None = None
    mended: np.ndarray | None = None


def plain(text: str) -> str:
    """A text without surrounding white space (visible or not) and without case."""
    return text.strip(_EDGE).casefold()


def tidy(text: str) -> str:
    """A text in Unicode normal form C without surrounding white space, visible or not."""
    return unicodedata.normalize("NFC", text).strip(_EDGE)


def is_untidy(value: Any) -> bool:
    """Whether a value is a text that `tidy` would change."""
    return isinstance(value, str) and tidy(value) != value


def is_missing(value: Any) -> bool:
    """Whether a scalar is None, NaN, NaT or NA of any library."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, float | np.floating):
        return math.isnan(value)
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, np.datetime64 | np.timedelta64) and bool(np.isnat(value))


def is_text(series: nw.Series[Any]) -> bool:
    """Whether a column is of a text type (not merely an object column whose first rows are texts)."""
    if series.implementation.is_pandas() and str(series.to_native().dtype) == "object":
        return False
    return series.dtype == nw.String or isinstance(series.dtype, nw.Categorical | nw.Enum)


def takeable(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """The frame, with Arrow's views of text as text, its runs as rows and its halves as floats: PyArrow can neither
    take rows of the first two nor compare the last."""
    if not frame.implementation.is_pyarrow():
        return frame
    table = frame.to_native()
    for at, field in enumerate(table.schema):
        kind = str(field.type)
        if kind == "string_view":
            table = table.set_column(at, field.name, table.column(at).cast("string"))
        elif kind.startswith("run_end_encoded"):
            values = nw.new_series(field.name, table.column(at).to_pylist(), backend="pyarrow").to_native()
            table = table.set_column(at, field.name, values.cast(field.type.value_type))
        elif kind == "halffloat":
            table = table.set_column(at, field.name, table.column(at).cast("float"))
    return nw.from_native(table, eager_only=True)


def is_int64(series: nw.Series[Any]) -> bool:
    """Whether a column is of integers of at most 64 bits."""
    return bool(series.dtype.is_integer()) and series.dtype not in (nw.Int128, nw.UInt128)


def distinct(series: nw.Series[Any]) -> tuple[np.ndarray, list[Any]]:
    """Number the distinct values of any column; missing is -1, and values of different types are never equal.

    Returns the numbers, int64 of shape (n_rows,), and the distinct values.
    """
    if is_text(series):
        numbers, values = _frames.distinct(series)
        return numbers, values.to_list()
    if is_int64(series) and (given := _frames.whole(series)) is not None:
        numbers, uniques = integer_codes(given)
        return numbers, uniques.view(np.uint64 if series.dtype == nw.UInt64 else np.int64).tolist()
    seen: dict[Any, int] = {None: -1}
    found: list[Any] = []
    numbers = np.empty(len(series), np.int64)
    for row, value in enumerate(series.to_list()):
        key = value if type(value) is str else _key(value)
        number = seen.get(key)
        if number is None:
            number = seen[key] = len(found)
            found.append(value)
        numbers[row] = number
    return numbers, found


def spread(numbers: np.ndarray, of_distinct: np.ndarray, missing: Any) -> np.ndarray:
    """Give every row what its distinct value was given, and `missing` where it has none: shape (n_rows,)."""
    return np.append(of_distinct, np.asarray([missing], of_distinct.dtype))[numbers]


def rare(kinds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which distinct values are not of the kind that holds more than half of the rows: boolean (n_distinct,).

    Where no kind does, all are: nobody can tell which is right.
    """
    totals = np.bincount(kinds, weights=weights, minlength=1)
    leader = int(totals.argmax())
    if 2 * totals[leader] > totals.sum():
        return kinds != leader
    return np.ones(kinds.size, bool)


def keys_of(series: nw.Series[Any]) -> np.ndarray:
    """Integers that are equal where the values of any column are, a missing value being equal to another."""
    series = _frames.wall_clock(series, "UTC")
    if isinstance(series.dtype, nw.Datetime):
        return np.ascontiguousarray(series.to_numpy()).view(np.int64)
    if series.dtype.is_float():
        values = _frames.floats(series.to_frame(), series.name)
        return np.where(np.isnan(values), np.nan, values + 0.0).view(np.int64)  # one NaN, one zero
    return distinct(series)[0]


def _key(value: Any) -> Any:
    if is_missing(value):
        return None
    if isinstance(value, str):  # NumPy's texts and integers are no others than Python's
        return str.__str__(value)
    if isinstance(value, np.integer | np.bool_):
        value = value.item()
    try:
        hash(value)
    except TypeError:
        return type(value), repr(value.tolist() if isinstance(value, np.ndarray) else value)
    return type(value), value
