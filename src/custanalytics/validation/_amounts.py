"""Read amounts and quantities: numbers, and texts that are one unambiguous number."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from numbers import Real
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics.validation import _kernels as k
from custanalytics.validation._values import MISSING_TEXT, Reading, distinct, plain, spread

_NUMBERS: Any = (Real, Decimal)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?")
_POINT_LAST = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+\.[0-9]+")
_COMMA_LAST = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+")
_INFINITE = re.compile(r"[+-]?inf(inity)?")


def read_amounts(frame: nw.DataFrame[Any], column: str) -> Reading:
    """Read a column of amounts as floats."""
    return _read(frame, column, k.MISSING_AMOUNT, k.UNPARSABLE_AMOUNT, k.NON_FINITE_AMOUNT)


def read_quantities(frame: nw.DataFrame[Any], column: str) -> Reading:
    """Read a column of quantities as floats; one that is missing is NaN and no fault."""
    return _read(frame, column, 0, k.UNPARSABLE_QUANTITY, k.UNPARSABLE_QUANTITY)


def _read(frame: nw.DataFrame[Any], column: str, missing: int, unparsable: int, infinite: int) -> Reading:
    if frame[column].dtype.is_numeric():
        return Reading(_frames.floats(frame, column))
    numbers, raw = distinct(frame[column])
    read = np.array([_number(value) for value in raw], np.float64).reshape(-1, 2)
    bits = np.select([read[:, 1] == 1, read[:, 1] == 2, np.isinf(read[:, 0])], [missing, unparsable, infinite], 0)
    values = spread(numbers, read[:, 0], np.nan)
    faults = spread(numbers, bits.astype(np.uint32), missing)
    return Reading(values, faults, _frames.like(frame, column, values))


def _number(value: Any) -> tuple[float, int]:
    """One distinct value as a float, with 1 where it is a text that says nothing and 2 where it is no number."""
    if isinstance(value, bool | np.bool_):
        return math.nan, 2
    if isinstance(value, _NUMBERS):
        try:
            return float(value), 0
        except OverflowError:
            return (math.inf if value > 0 else -math.inf), 0
    if not isinstance(value, str):
        return math.nan, 2
    text = plain(value)
    if text in MISSING_TEXT:
        return math.nan, 1
    if _POINT_LAST.fullmatch(text):
        text = text.replace(",", "")
    elif _COMMA_LAST.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    if _NUMBER.fullmatch(text) or _INFINITE.fullmatch(text):
        return float(text), 0
    return math.nan, 2
