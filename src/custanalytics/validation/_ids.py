"""Read customer ids: which are missing, blank, placeholders, of no usable type, or of another type than the rest."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID
from custanalytics.validation import _kernels as k
from custanalytics.validation._text_ids import judge_text, read_text_ids
from custanalytics.validation._values import (
    Reading,
    distinct,
    is_int64,
    is_text,
    is_untidy,
    keys_of,
    plain,
    rare,
    spread,
    tidy,
)

_EXACT = 2.0**53  # whole floats up to here are exact integers
_INT64 = 2**63
_NUMBER: Any = (Real, Decimal)
_TRUTH: Any = (bool, np.bool_)
_CONTAINERS = (list, tuple, dict, set, frozenset, np.ndarray)


def placeholder_texts(placeholders: Iterable[Any] | None) -> frozenset[str]:
    """The placeholder ids as plain texts: 99999 also stands for '99999'."""
    return frozenset(plain(str(value)) for value in placeholders or ())


def placeholder_numbers(texts: frozenset[str]) -> np.ndarray:
    """The placeholder ids that are int64, for columns of integers."""
    whole = (int(text) for text in texts if text.removeprefix("-").isdecimal())
    return np.array(sorted(number for number in whole if abs(number) < _INT64), np.int64)


def read_ids(frame: nw.DataFrame[Any], texts: frozenset[str], mend: bool = False) -> Reading:
    """Read the customer ids. Those of integer columns are held against the placeholders by the kernel."""
    series = frame[CUSTOMER_ID]
    if is_int64(series):
        missing = series.is_null().to_numpy() if series.null_count() else None
        whole = _frames.integers(series if missing is None else series.fill_null(0))
        return Reading(whole, None if missing is None else _where(missing, k.MISSING_ID))
    if series.dtype.is_float():
        return _read_floats(frame, texts)
    if is_text(series) and not _codes_numbers(series):
        return read_text_ids(series, texts, mend)
    return _read_objects(frame, texts, mend)


def _codes_numbers(series: nw.Series[Any]) -> bool:
    """Whether a column is of categories that are not all texts, as pandas and Arrow may have them."""
    coded = isinstance(series.dtype, nw.Categorical | nw.Enum)
    return coded and not all(isinstance(value, str) for value in distinct(series)[1])


def _read_floats(frame: nw.DataFrame[Any], texts: frozenset[str]) -> Reading:
    # Integer ids that met a NaN have become floats: they go back to integers when all of them are whole.
    values = _frames.floats(frame, CUSTOMER_ID)
    missing, infinite = np.isnan(values), np.isinf(values)
    usable = values[~(missing | infinite)]
    wanted = [float(number) for number in placeholder_numbers(texts)]
    faults = _where(missing, k.MISSING_ID) | _where(infinite, k.INVALID_ID)
    faults |= _where(np.isin(values, wanted), k.PLACEHOLDER_ID)
    if np.all((usable == np.floor(usable)) & (np.abs(usable) <= _EXACT)):
        whole = np.where(missing | infinite, 0.0, values).astype(np.int64)
        return Reading(whole, faults, _frames.like(frame, CUSTOMER_ID, whole))
    return Reading(keys_of(frame[CUSTOMER_ID]), faults)


def _read_objects(frame: nw.DataFrame[Any], texts: frozenset[str], mend: bool) -> Reading:
    numbers, values = distinct(frame[CUSTOMER_ID])
    verdicts = np.array([judge_id(value, texts) for value in values], np.uint32)
    names = [_kind(value) for value in values]
    usable = np.array([bool(name) for name in names], bool) & (verdicts == 0)
    if usable.any():
        kinds = np.unique(np.array(names)[usable], return_inverse=True)[1]
        weights = np.bincount(numbers[numbers >= 0], minlength=len(values))[usable]
        verdicts[np.flatnonzero(usable)[rare(kinds, weights)]] |= k.MIXED_ID_TYPES
    sound = verdicts == 0
    untidy = np.array([good and is_untidy(value) for good, value in zip(sound, values, strict=True)], bool)
    mended = spread(numbers, _where(untidy, k.UNTIDY_ID), 0) if mend and untidy.any() else None
    if mended is None:
        verdicts |= _where(untidy, k.UNTIDY_ID)
    else:
        values = [tidy(value) if bad else value for bad, value in zip(untidy, values, strict=True)]
        numbers, values, sound, verdicts = _renumber(numbers, values, sound, verdicts)
    faults = spread(numbers, verdicts, k.MISSING_ID)
    kept = {_kind(value) for value, good in zip(values, sound, strict=True) if good}
    if kept == {"number"} and all(_is_int64(value) for value, good in zip(values, sound, strict=True) if good):
        whole = np.array([int(value) if good else 0 for value, good in zip(values, sound, strict=True)], np.int64)
        ids = spread(numbers, whole, 0)
        return Reading(ids, faults, _frames.like(frame, CUSTOMER_ID, ids))
    if kept == {"text"}:
        clean = [value if good else None for value, good in zip(values, sound, strict=True)]
        column = [None if number < 0 else clean[number] for number in numbers.tolist()]
        series = nw.new_series(CUSTOMER_ID, column, dtype=nw.String, backend=frame.implementation)
        return Reading(numbers, faults, series, mended=mended)
    return Reading(numbers, faults)


def _renumber(numbers: np.ndarray, values: list[Any], *arrays: np.ndarray) -> tuple[Any, ...]:
    """Give equal values one number again, after some were tidied."""
    first: dict[Any, int] = {}
    for at, value in enumerate(values):
        if isinstance(value, str):
            first.setdefault(value, at)
    target = np.array([first[value] if isinstance(value, str) else at for at, value in enumerate(values)], np.int64)
    return spread(numbers, target, -1), values, *arrays


def _where(rows: np.ndarray, bit: int) -> np.ndarray:
    return rows.astype(np.uint32) * np.uint32(bit)


def judge_id(value: Any, texts: frozenset[str]) -> int:
    """The faults of one distinct id, its type in the column apart."""
    if not _kind(value):
        return k.INVALID_ID
    if _is_integer(value) and abs(value) >= _INT64:  # too long to be worth writing out
        return 0
    if isinstance(value, str):
        return judge_text(value, texts)
    return k.PLACEHOLDER_ID if plain(str(_whole(value))) in texts else 0


def _kind(value: Any) -> str:
    """What type of id a value is; empty for what is none."""
    if isinstance(value, str):
        return "text" if _is_unicode(value) else ""
    if isinstance(value, _CONTAINERS):
        return ""
    if isinstance(value, _NUMBER) and not isinstance(value, _TRUTH):
        return "number" if -float("inf") < value < float("inf") else ""
    return type(value).__name__


def _is_unicode(text: str) -> bool:
    """Whether a text can leave Python: half a character, as a wrongly decoded file has it, cannot."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _whole(value: Any) -> Any:
    """A whole number as an int, anything else as it is: 7.0 and 7 are one id."""
    fractional = isinstance(value, _NUMBER) and not isinstance(value, Integral)
    return int(value) if fractional and abs(value) < _INT64 and value == int(value) else value


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral)


def _is_int64(value: Any) -> bool:
    return _is_integer(_whole(value)) and -_INT64 <= int(value) < _INT64
