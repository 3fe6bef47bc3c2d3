"""Instants and durations as whole microseconds."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import numpy as np

from custanalytics import _frames
from custanalytics._columns import DAYS_PER_UNIT
from custanalytics._params import offenders
from custanalytics.exceptions import InvalidDataError

MICROSECONDS_PER_DAY = 86_400_000_000
LONGEST = 1 << 59  # 18,000 years: nothing reaches further, and sums with times stay within 64 bits


def instant(value: Any, name: str, owner: str) -> int:
    """Microseconds since 1970 of an ISO string, a date, a datetime or a datetime64, on the log's own wall clock."""
    given = value
    if isinstance(value, np.datetime64) and not np.isnat(value):
        return int(value.astype("datetime64[us]").astype(np.int64))
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time())
    except ValueError:
        value = None
    if not isinstance(value, datetime) or value != value:  # a missing time is not equal to itself
        raise ValueError(
            f"The {name!r} parameter of {owner} must be a date, a datetime or an ISO string such as '1997-10-01'. "
            f"Got {given!r} instead."
        )
    if value.tzinfo is not None:
        raise ValueError(
            f"The {name!r} parameter of {owner} must have no time zone: it is read on the log's own wall clock. "
            f"Got {given!r} instead."
        )
    return int(np.datetime64(value, "us").astype(np.int64))


def ticks(duration: float, time_unit: str) -> int:
    """A duration as whole microseconds, at least one where it is not 0."""
    exact = duration * DAYS_PER_UNIT[time_unit] * MICROSECONDS_PER_DAY
    return LONGEST if exact >= LONGEST else max(round(exact), int(exact > 0))


def known_times(frame: Any, column: str, owner: str) -> np.ndarray:
    """A time column of a wrapped frame as microseconds, none of them missing: shape (n_rows,)."""
    found = _frames.times(frame, column)
    missing = found == _frames.NO_TIME
    if missing.any():
        raise InvalidDataError(
            offenders(missing, np.arange(missing.size), f"have no {column}", "rows")
            + f". {owner} can put them on neither side; run the log through TransactionValidator first."
        )
    return found
