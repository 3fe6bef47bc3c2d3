"""Read a date and time out of one value: a text in ISO 8601 or a common format, or a Python object."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from numbers import Real
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from custanalytics.validation import _kernels as k
from custanalytics.validation._values import MISSING_TEXT, plain

NO_TIME = k.NO_TIME
_NUMBERS: Any = Real
_TRUTH: Any = (bool, np.bool_)
_MONTH_NAMES = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTHS = {name: number for number, full in enumerate(_MONTH_NAMES, 1) for name in (full, full[:3])} | {"sept": 9}
# Python's own reader of ISO 8601 would take any character between date and time, even a digit.
_ISO = re.compile(r"[0-9]{4}-?(?:[0-9]{2}-?[0-9]{2}|w[0-9]{2}-?[0-9])(?:[t ]|$)")
_CLOCK = (
    r"(?:[t ,]\s*(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<part>[0-9]{1,9}))?)?"
    r"\s*(?P<half>[ap]m)?)?\s*(?P<zone>z|utc|gmt|[+-][0-9]{2}:?[0-9]{2})?"
)
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"
_FORMATS = tuple(
    re.compile(text + _CLOCK)
    for text in (
        r"(?P<year>[0-9]{4})(?P<sep>[-/. ])(?P<month>[0-9]{1,2})(?P=sep)(?P<day>[0-9]{1,2})",
        r"(?P<first>[0-9]{1,2})(?P<sep>[-/. ])(?P<second_>[0-9]{1,2})(?P=sep)(?P<year>[0-9]{4})",
        _WEEKDAY + r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?[-/. ]\s*(?P<name>[a-z]{3,9})[-/.,]*\s*(?P<year>[0-9]{4})",
        _WEEKDAY + r"(?P<name>[a-z]{3,9})\.?[- ](?P<day>[0-9]{1,2})(?:st|nd|rd|th)?,?[- ]\s*(?P<year>[0-9]{4})",
    )
)


class Moment(NamedTuple):
    """What one value says: microseconds on its own wall clock, read day first and month first, and its time zone.

    The two readings differ only where day and month may be exchanged; one that is impossible is NO_TIME. The time
    zone is empty for a time without one. A text that is read, but not in ISO 8601 (nor in the format that the caller
    has named), is loose.
    """

    day_first: int = NO_TIME
    month_first: int = NO_TIME
    zone: str = ""
    fault: int = 0
    loose: bool = False


UNPARSABLE = Moment(fault=k.UNPARSABLE_TIME)
MISSING = Moment(fault=k.MISSING_TIME)


def read_moment(value: Any, date_format: str | None, zone: tzinfo | None) -> Moment:
    """Read one value; `zone` is the clock that zoned times are moved to, or None to leave them on their own."""
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]")
        return Moment(int(value.astype(np.int64)), int(value.astype(np.int64)))
    if isinstance(value, datetime):
        return _of_datetime(value, zone)
    if isinstance(value, date):
        return _of_datetime(datetime(value.year, value.month, value.day), zone)
    if isinstance(value, _NUMBERS) and not isinstance(value, _TRUTH) and abs(value) < 1e15 and value == int(value):
        value = str(int(value))  # 20240131, perhaps
    if not isinstance(value, str):
        return UNPARSABLE
    text = plain(value)
    if text in MISSING_TEXT:
        return MISSING
    try:
        if date_format is not None:
            return _of_datetime(datetime.strptime(value.strip(), date_format), zone)
        return _of_datetime(datetime.fromisoformat(text.upper()), zone) if _ISO.match(text) else _of_text(text, zone)
    except ValueError:
        return UNPARSABLE if date_format is not None else _of_text(text, zone)


def wall(value: date) -> int:
    """Microseconds since 1970 on the value's own wall clock."""
    micros = (value.toordinal() - 719_163) * 86_400_000_000
    if isinstance(value, datetime):
        micros += (value.hour * 3600 + value.minute * 60 + value.second) * 1_000_000 + value.microsecond
    return micros


def _of_datetime(value: datetime, zone: tzinfo | None) -> Moment:
    name = ""
    if value.tzinfo is not None:
        name = _zone_name(value.tzinfo if zone is None else zone)
        with suppress(OverflowError):  # on the first or last day of the calendar: implausible on any clock
            value = value if zone is None else value.astimezone(zone)
    return Moment(wall(value), wall(value), name)


def _zone_name(zone: Any) -> str:
    name = str(zone)
    return "UTC" if name in ("UTC", "Etc/UTC", "GMT", "UTC+00:00", "Etc/GMT", "tzutc()") else name


def _of_text(text: str, zone: tzinfo | None) -> Moment:
    for pattern in _FORMATS:
        match = pattern.fullmatch(text)
        if match:
            found = match.groupdict()
            month = _MONTHS.get(found.get("name") or "", 0) or int(found.get("month") or 0)
            if found.get("first") is None:
                moment = _moment(found, found["day"], month, zone)
                return (
                    moment._replace(loose=pattern is not _FORMATS[0] or found["sep"] != "-") if moment else UNPARSABLE
                )
            first, second = int(found["first"]), int(found["second_"])
            by_day, by_month = _moment(found, first, second, zone), _moment(found, second, first, zone)
            if by_day is None and by_month is None:
                return UNPARSABLE
            known = by_day or by_month or UNPARSABLE
            return Moment(
                by_day.day_first if by_day else NO_TIME,
                by_month.day_first if by_month else NO_TIME,
                known.zone,
                loose=True,
            )
    return UNPARSABLE


def zone_called(name: str) -> tzinfo:
    """The time zone of a moment by its name: an offset from UTC, or a zone that is known by name; else UTC."""
    offset = re.fullmatch(r"UTC([+-])([0-9]{2}):([0-9]{2})", name)
    if offset:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def _moment(found: dict[str, Any], day: Any, month: int, zone: tzinfo | None) -> Moment | None:
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"] == "pm" else 0)
    micro = int((found["part"] or "0").ljust(6, "0")[:6])
    try:
        offset = _offset(found["zone"])
        return _of_datetime(datetime(int(found["year"]), month, int(day), hour, minute, second, micro, offset), zone)
    except ValueError:
        return None


def _offset(text: str | None) -> timezone | None:
    if not text:
        return None
    if text in ("z", "utc", "gmt"):
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
