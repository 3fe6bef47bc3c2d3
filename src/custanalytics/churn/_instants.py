"""Instants and durations, as callers write them, in the microseconds of the kernels."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from custanalytics._columns import DAYS_PER_UNIT
from custanalytics._params import Number, OneOf
from custanalytics.churn._kernels import DAY

LONGEST = 1 << 59  # 18,000 years: longer durations reach no further and could overflow
POSITIVE = Number(0, closed="neither")
NOT_NEGATIVE = Number(0, closed="left")
UNITS = OneOf(tuple(DAYS_PER_UNIT))

_WANTED = "a date, a datetime, a numpy.datetime64 or a string like '1998-04-02'"


def microseconds(duration: float, time_unit: str) -> int:
    """A duration in `time_unit` as whole microseconds, at least one where it is not 0."""
    exact = duration * DAYS_PER_UNIT[time_unit] * DAY
    return LONGEST if exact >= LONGEST else max(round(exact), int(exact > 0))


def instants(value: Any, zone: str | None, name: str, owner: str) -> np.ndarray:
    """One instant or several, as ascending int64 microseconds on the clock of the log: shape (n_instants,)."""
    single = isinstance(value, str | date | np.datetime64) or not isinstance(value, Iterable)
    found = [instant(each, zone, name, owner) for each in ([value] if single else value)]
    if not found:
        raise ValueError(f"The {name!r} parameter of {owner} must hold at least one instant. Got {value!r} instead.")
    ordered = np.unique(np.array(found, np.int64))
    if ordered.size < len(found):
        raise ValueError(f"The {name!r} parameter of {owner} holds the same instant twice. Got {value!r} instead.")
    return ordered


def instant(value: Any, zone: str | None, name: str, owner: str) -> int:
    """One instant as microseconds on the clock of the log, whose time zone is `zone`."""
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
