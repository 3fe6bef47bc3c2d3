"""Read one number out of a text: plain, with signs of thousands, or, where a repair is wanted, as people write it."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from enum import IntEnum
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from custanalytics.validation._values import MISSING_TEXT, plain

_NUMBERS: Any = (Real, Decimal)
_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?")
_INFINITE = re.compile(r"[+-]?inf(inity)?")
_POINT_LAST = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+\.[0-9]+")
_COMMA_LAST = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+")
# Bodies of numbers, without a sign. What is left of each reading once thousands are taken out is ASCII.
_GROUPED_POINT = re.compile(r"[0-9]{1,3}(,[0-9]{2,3})*,[0-9]{3}\.[0-9]*")
_GROUPED_COMMA = re.compile(r"[0-9]{1,3}(\.[0-9]{3})+,[0-9]*")
_GROUPS = re.compile(r"[1-9][0-9]{0,2}([.,])[0-9]{3}(\1[0-9]{3})+")
_OPEN = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")  # a thousand and more, or one and a bit
_DIGITS = re.compile(r"[+-]?[0-9.,]+")
_ONE_SIGN = re.compile(r"[0-9]*[.,][0-9]*")
_SPACED = re.compile(r"(?<![0-9])[0-9]{1,3}(?:[ '’\u00a0\u2009\u202f][0-9]{3})+(?![0-9])")
_CODES = (
    "usd eur gbp jpy cny inr chf cad aud nzd sek nok dkk pln czk huf ron bgn try rub uah brl mxn ars clp cop pen zar "
    "ils aed sar egp ngn kes krw hkd sgd twd thb idr myr php vnd us$ a$ c$ nz$ hk$ s$ r$ kr zł kč ft lei rs. rs"
)
_CODE = "|".join(re.escape(code) for code in sorted(_CODES.split(), key=len, reverse=True))
_BEFORE, _AFTER = re.compile(rf"^(?:{_CODE})(?![a-z])\s*"), re.compile(rf"(?<![a-z])\s*(?:{_CODE})\.?$")


class How(IntEnum):
    """What became of a value."""

    READ = 0
    MISSING = 1
    UNREAD = 2
    LOOSE = 3  # read, but not written as a number is
    MENDED = 4  # read by way of a repair


class Found(NamedTuple):
    """A value as a number where a point, and where a comma, is the decimal sign; NaN where it has no such reading."""

    point: float
    comma: float
    how: How


_UNREAD = Found(math.nan, math.nan, How.UNREAD)


def read_numbers(values: Sequence[Any], mend: bool, decimal: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Read distinct values: numbers, and how each was read, both of shape (n_distinct,).

    Told nothing, a text such as "1,234" has the decimal sign that the others prove; where they prove both or neither,
    it stays unread.
    """
    found = [_number(value, mend, decimal is not None) for value in values]
    point, comma = (np.array([each[at] for each in found], np.float64).reshape(-1) for at in (0, 1))
    how = np.array([each.how for each in found], np.int64)
    if not (mend or decimal):
        return point, how
    only_point, only_comma = np.isfinite(point) & np.isnan(comma), np.isfinite(comma) & np.isnan(point)
    both = np.isfinite(point) & np.isfinite(comma) & (point != comma)
    sign = decimal or _proven(bool(only_point.any()), bool(only_comma.any()))
    numbers = np.where(only_comma | (both & (sign == ",")), comma, point)
    unread = np.zeros(how.size, bool)
    if decimal is not None:
        unread |= only_comma if decimal == "." else only_point
    elif sign == "":  # as programs write them, numbers have a point, unless something in the column speaks against it
        unread |= both & (bool(only_comma.any()) | (how != How.READ))
    how = np.where(both & (sign == ",") & (how == How.READ), How.MENDED, how)
    how = np.where(unread, How.UNREAD, how)
    return np.where(unread, np.nan, numbers), how


def _proven(point: bool, comma: bool) -> str:
    return "" if point == comma else "." if point else ","


def _number(value: Any, mend: bool, told: bool) -> Found:
    if isinstance(value, bool | np.bool_):
        return _UNREAD
    if isinstance(value, _NUMBERS):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf if value > 0 else -math.inf
        except ValueError:
            return _UNREAD
        return Found(number, number, How.READ)
    if not isinstance(value, str):
        return _UNREAD
    text = plain(value)
    if text in MISSING_TEXT:
        return Found(math.nan, math.nan, How.MISSING)
    if mend or (told and _DIGITS.fullmatch(text)):
        found = _loose(text)
        if found.how != How.UNREAD or not _INFINITE.fullmatch(text):
            return found
    if _PLAIN.fullmatch(text) or _INFINITE.fullmatch(text):
        return Found(float(text), float(text), How.READ)
    if _POINT_LAST.fullmatch(text):
        return Found(float(text.replace(",", "")), math.nan, How.LOOSE)
    if _COMMA_LAST.fullmatch(text):
        return Found(float(text.replace(".", "").replace(",", ".")), math.nan, How.LOOSE)
    return _UNREAD


def _loose(text: str) -> Found:
    """Read a text with a currency, brackets or a sign at either end, thousands, and either decimal sign."""
    body, negative = _bare(text)
    if body is None:
        return _UNREAD
    point, comma = _readings(body)
    if math.isnan(point) and math.isnan(comma):
        return _UNREAD
    if negative:
        point, comma = -point, -comma
    if _PLAIN.fullmatch(text):
        return Found(point, comma, How.READ)
    return Found(point, comma, How.LOOSE if _POINT_LAST.fullmatch(text) or _COMMA_LAST.fullmatch(text) else How.MENDED)


def _bare(text: str) -> tuple[str | None, bool]:
    """The digits and signs of a number in a text, and whether it is negative; None where it holds anything else."""
    text = text.replace("−", "-").replace("–", "-")
    signs = 0
    if text.startswith("(") and text.endswith(")"):
        text, signs = text[1:-1].strip(), signs + 1
    elif text.count("(") == 1 and text.endswith(")"):  # $(5.00)
        text, signs = text[:-1].replace("(", "").strip(), signs + 1
    for _ in range(2):  # a sign may stand on either side of the currency
        if text[:1] in ("-", "+"):
            signs, text = signs + (text[0] == "-"), text[1:].strip()
        elif text[-1:] == "-":
            signs, text = signs + 1, text[:-1].strip()
        text = _BEFORE.sub("", _AFTER.sub("", text)).strip()
        if text[:1] and unicodedata.category(text[0]) == "Sc":
            text = text[1:].strip()
        elif text[-1:] and unicodedata.category(text[-1]) == "Sc":
            text = text[:-1].strip()
    text = _SPACED.sub(lambda match: re.sub(r"[^0-9]", "", match[0]), text)
    return (text if signs < 2 else None), signs == 1


def _readings(body: str) -> tuple[float, float]:
    """The number a body is where a point, and where a comma, is the decimal sign."""
    if not re.search(r"[0-9]", body):
        return math.nan, math.nan
    if re.fullmatch(r"[0-9]+", body) or ("e" in body and _PLAIN.fullmatch(body)):
        return float(body), float(body)
    if _GROUPS.fullmatch(body):
        whole = float(re.sub(r"[.,]", "", body))
        return (whole, math.nan) if "," in body else (math.nan, whole)
    if _GROUPED_POINT.fullmatch(body):
        return float(body.replace(",", "")), math.nan
    if _GROUPED_COMMA.fullmatch(body):
        return math.nan, float(body.replace(".", "").replace(",", "."))
    if _ONE_SIGN.fullmatch(body):
        decimal, whole = float(body.replace(",", ".")), float(re.sub(r"[.,]", "", body))
        other = whole if _OPEN.fullmatch(body) else math.nan
        return (other, decimal) if "," in body else (decimal, other)
    return math.nan, math.nan
