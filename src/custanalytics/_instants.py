"""Instants, durations and what `as_of` names, as callers write them, in whole microseconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import narwhals as nw
import numpy as np

from custanalytics._columns import DAYS_PER_UNIT
from custanalytics._params import offenders
from custanalytics.exceptions import InvalidDataError

DAY = 86_400_000_000
LAST = np.iinfo(np.int64).max  # the last microsecond that 64 bits hold, in the year 294247; -LAST is the first
LONGEST = 1 << 59  # 18,000 years: nothing reaches further, and sums with times stay within 64 bits

CONVERT = "Run the log through TransactionValidator first, or convert the column yourself."
_MICROSECONDS = {"D": DAY, "s": 1_000_000, "ms": 1_000}
_WANTED = "a date, a datetime, a numpy.datetime64 or an ISO string like '1998-04-02'"


def microseconds(duration: float, time_unit: str) -> int:
    """A duration in `time_unit` as whole microseconds, at least one where it is not 0."""
    exact = duration * DAYS_PER_UNIT[time_unit] * DAY
    return LONGEST if exact >= LONGEST else max(round(exact), int(exact > 0))


def on_clock(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times of any resolution as int64 microseconds, missing ones as they are, and which of them these cannot hold.

    Such a time becomes the first or the last that they hold. NumPy would turn it into any other. The second array is
    empty where the resolution is fine enough for all.
    """
    plain, far = np.ascontiguousarray(times).view(np.int64), np.zeros(0, bool)
    most = LAST // _MICROSECONDS.get(np.datetime_data(times.dtype)[0], 1)
    if most < LAST:
        far = (plain > most) | ((plain < -most) & ~np.isnat(times))
    found = np.ascontiguousarray(times.astype("datetime64[us]", copy=False)).view(np.int64)
    return (np.where(far, np.where(plain > 0, LAST, -LAST), found) if far.any() else found), far


def hidden_zone(series: nw.Series[Any]) -> Any:
    """The zone of pandas times that Narwhals does not recognise, for the underscore in America/New_York."""
    return getattr(getattr(series.to_native(), "dtype", None), "tz", None)


def within_zones(times: np.ndarray) -> np.ndarray:
    """Whether times on the clock of UTC are within the years 1 to 9999 on every other clock, too."""
    return (times >= np.datetime64("0001-01-03")) & (times < np.datetime64("9999-12-30"))


def refuse_far(far: np.ndarray, column: str) -> None:
    """Raise an InvalidDataError where times lie beyond what 64 bits of microseconds hold."""
    if far.any():
        raise InvalidDataError(
            offenders(far, range(far.size), f"have a {column} beyond the year 294246", "rows")
            + ". Were numbers read in too large a unit? TransactionValidator sets such rows of a log aside."
        )


def no_times(column: str, dtype: Any) -> str:
    """The message that a column holds something else than times, and what helps."""
    remedy = CONVERT
    if dtype.is_numeric():
        remedy = 'Numbers do not tell what they count: pandas.to_datetime(column, unit="s") takes seconds since 1970.'
    elif dtype == nw.Unknown:
        remedy = "Convert it yourself; pandas makes times of periods by column.dt.to_timestamp()."
    return f"The column {column!r} must hold dates or datetimes; it is {dtype}. {remedy}"


def instants(value: Any, name: str, owner: str, zone: str | None = None) -> np.ndarray:
    """One instant or several, as ascending int64 microseconds on the clock of the log: shape (n_instants,)."""
    single = isinstance(value, str | date | np.datetime64) or not isinstance(value, Iterable)
    found = [instant(each, name, owner, zone) for each in ([value] if single else value)]
    if not found:
        raise ValueError(f"The {name!r} parameter of {owner} must hold at least one instant. Got {value!r} instead.")
    ordered = np.unique(np.array(found, np.int64))
    if ordered.size < len(found):
        raise ValueError(f"The {name!r} parameter of {owner} holds the same instant twice. Got {value!r} instead.")
    return ordered


def instant(value: Any, name: str, owner: str, zone: str | None = None) -> int:
    """One instant on the clock of the log, whose time zone is `zone`; a date is its first moment."""
    moment = value
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            moment = None
    elif isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    if isinstance(moment, datetime) and moment == moment:  # a missing time equals nothing, itself included
        moment = np.datetime64(_on_clock(moment, zone, name, owner), "us")
    if not isinstance(moment, np.datetime64) or np.isnat(moment):
        raise ValueError(f"The {name!r} parameter of {owner} must be {_WANTED}. Got {value!r} instead.")
    return int(moment.astype("datetime64[us]").astype(np.int64))


def last_microsecond(as_of: Any) -> int:
    """The last microsecond of the stretch that `as_of` names: a date is a whole day, a datetime an instant.

    Raises a ValueError where it names no time. Time zones are dropped: the wall clock counts.
    """
    moment: Any = as_of
    try:
        day = isinstance(moment, str) and len(moment) == 8 and moment.isdigit()  # 19970930, to NumPy a year
        if day or (isinstance(moment, str) and len(moment.strip()) > 10):
            moment = date.fromisoformat(moment) if day else datetime.fromisoformat(moment.strip())
        if isinstance(moment, datetime):
            moment = moment.replace(tzinfo=None)
            moment = np.datetime64("NaT") if moment != moment else np.datetime64(moment, "us")
        elif isinstance(moment, str | date):
            moment = np.datetime64(moment)
    except ValueError:
        moment = np.datetime64("NaT")
    if np.isnat(moment):
        raise ValueError(
            f"as_of={as_of!r} names no time. Give the last observed period as an ISO date "
            "('1997-09-30'), a date, a datetime or a numpy datetime64."
        )
    unit = np.datetime_data(moment.dtype)[0]
    if unit in ("Y", "M", "W", "D"):
        return int((moment + 1).astype("datetime64[us]").astype(np.int64)) - 1
    return int(moment.astype("datetime64[us]").astype(np.int64))


def _on_clock(moment: datetime, zone: str | None, name: str, owner: str) -> datetime:
    if moment.tzinfo is None:
        return moment
    try:
        if zone is not None:
            return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    except ZoneInfoNotFoundError:
        pass
    raise ValueError(
        f"The {name!r} parameter of {owner} has a time zone and the log has none that is known by name: {moment}. "
        "Give it without one, on the clock of the log."
    )
