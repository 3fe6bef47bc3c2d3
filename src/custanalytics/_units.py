"""The time unit of a customer table, and when it ends, as far as its own columns tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import DAYS_PER_UNIT, FIRST_SEEN, LAST_SEEN, RECENCY, UNIT_NAMES, T
from custanalytics._instants import DAY
from custanalytics._params import warn
from custanalytics.exceptions import DataQualityWarning, InvalidDataError

ROWS = 1 << 14  # customers whose times are looked at
PERIOD = 34.0  # days: a month, and what months in a row differ from their mean
YEAR = 368.0  # days: a year, likewise
SLACK = 3.0  # days by which times in months may be off


class _Seen(NamedTuple):
    """Of customers with all of it: first purchase (microseconds), days to the last one, and what the table says."""

    first: np.ndarray
    days: np.ndarray
    recency: np.ndarray
    age: np.ndarray


def warn_of_unit(table: Any, time_unit: str, owner: str) -> None:
    """Warn where `recency` cannot be in the unit, by the times of the first and the last purchase."""
    if (isinstance(table, Mapping) or nw.dependencies.is_pandas_dataframe(table)) and FIRST_SEEN not in table:
        return  # known at once
    frame = _frames.read(table, (), owner)
    seen = _seen(frame)
    found = [time_unit] if seen is None else _units(seen)
    if time_unit in found:
        return
    remedy = f"Pass {owner}(time_unit={found[0]!r})" if found else "Pass the unit of the table as time_unit"
    warn(
        f"The recency of the table is not in {UNIT_NAMES[time_unit]}, the time_unit of {owner}: "
        f"{FIRST_SEEN} and {LAST_SEEN} are otherwise apart. {remedy}, "
        f"or make the table with RFMSummary(time_unit={time_unit!r}).",
        DataQualityWarning,
    )


def check_holdout(frame: nw.DataFrame[Any], days: np.ndarray, horizon: float, owner: str) -> None:
    """Hold the days of purchases in a holdout (int64 microseconds) against when the table ends, where it tells.

    Raises an InvalidDataError where the table has seen some of them; warns where they go on beyond the horizon, or end
    before half of it.
    """
    seen = _seen(frame)
    units = [] if seen is None else _units(seen)
    if seen is None or len(units) != 1 or not days.size:
        return
    length = DAYS_PER_UNIT[units[0]]
    ends = seen.first / DAY + seen.age * length  # each lies in the last period of the table
    early = days / DAY < ends.min() - SLACK
    if early.any():
        raise InvalidDataError(
            f"{int(early.sum()):,} of {days.size:,} purchases of the holdout are at or before {_date(ends.min())}, up "
            f"to which the table has counted them. Make the table as of the cutoff, RFMSummary(as_of=...), and give "
            f"{owner} what came later, as temporal_split has it."
        )
    spread = float(np.ptp(ends))  # they are spread over the last period
    last_period = 1.0 if spread <= SLACK else PERIOD if spread <= PERIOD else YEAR
    reach, wanted = days.max() / DAY - ends.min(), horizon * length
    what = f"The holdout goes on until {_date(days.max() / DAY)}, and the horizon of {owner}, {horizon:g} "
    what += f"{UNIT_NAMES[units[0]]} from {_date(ends.min())} on, "
    if reach > last_period + wanted + max(SLACK, 0.05 * wanted):
        warn(what + "ends before: what came later is counted, and not expected.", DataQualityWarning)
    elif reach < 0.5 * wanted:
        warn(what + "goes much further: more is expected than can have come. Is it in that unit?", DataQualityWarning)


def _seen(frame: nw.DataFrame[Any]) -> _Seen | None:
    needed = (RECENCY, T, FIRST_SEEN, LAST_SEEN)
    if not set(needed) <= set(frame.columns):
        return None
    some = frame.select(needed)[:ROWS]
    if not all(isinstance(some.schema[name], nw.Datetime | nw.Date) for name in needed[2:]):
        return None
    first, last = (_frames.times(some, name) for name in needed[2:])
    recency, age = (_frames.floats(some, name) for name in needed[:2])
    known = (first != _frames.NO_TIME) & (last != _frames.NO_TIME) & np.isfinite(recency) & np.isfinite(age)
    found = _Seen(first[known], (last - first)[known] / DAY, recency[known], age[known])
    return found if known.any() else None


def _units(seen: _Seen) -> list[str]:
    """The units that every recency can be in: periods differ from the time itself by less than one of them."""
    return [unit for unit, length in DAYS_PER_UNIT.items() if _fits(seen.recency * length, seen.days)]


def _fits(recency: np.ndarray, days: np.ndarray) -> bool:
    years = recency / DAYS_PER_UNIT["Y"]
    period = YEAR if (np.abs(years - np.rint(years)) < 1e-6).all() else PERIOD
    return bool((np.abs(recency - days) <= period).all())


def _date(days: float) -> str:
    return str(np.datetime64(int(days * DAY), "us").astype("datetime64[D]"))
