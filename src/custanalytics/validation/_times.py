"""Read the column of times: typed ones at once, texts and objects once per distinct value."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import TIMESTAMP
from custanalytics.validation import _kernels as k
from custanalytics.validation._text_times import NO_TIME, read_moment
from custanalytics.validation._values import Reading, distinct, rare, spread


def read_times(
    frame: nw.DataFrame[Any], date_format: str | None, dayfirst: bool | None, zone: tzinfo | None
) -> Reading:
    """Read the timestamps as microseconds on their own wall clock, or on that of `zone`."""
    series = _frames.wall_clock(frame[TIMESTAMP], None if zone is None else str(zone))
    if isinstance(series.dtype, nw.Datetime | nw.Date):
        return _read_typed(series, naive=series.dtype == frame[TIMESTAMP].dtype)
    numbers, values = distinct(series)
    moments = [read_moment(value, date_format, zone) for value in values]
    by_day = np.array([moment.day_first for moment in moments], np.int64)
    by_month = np.array([moment.month_first for moment in moments], np.int64)
    faults = np.array([moment.fault for moment in moments], np.uint32)
    stamps, order_faults = choose_order(by_day, by_month, dayfirst)
    faults = np.where(faults > 0, faults, order_faults)
    dated = np.flatnonzero(faults == 0)
    if dated.size:
        zones = np.unique(np.array([moments[at].zone for at in dated]), return_inverse=True)[1]
        weights = np.bincount(numbers[numbers >= 0], minlength=len(values))[dated]
        faults[dated[rare(zones, weights)]] |= k.MIXED_TIME_ZONES
    times = spread(numbers, stamps, NO_TIME)
    clean = _frames.like(frame, TIMESTAMP, times.view("datetime64[us]"))
    return Reading(times, spread(numbers, faults, k.MISSING_TIME), clean)


def choose_order(by_day: np.ndarray, by_month: np.ndarray, dayfirst: bool | None) -> tuple[np.ndarray, np.ndarray]:
    """Choose between the day-first and the month-first reading of distinct texts.

    Told nothing, a text with one possible reading has that one, and proves the order of those that have two; where
    the column proves both orders or neither, those are ambiguous. Returns the times and the fault bits.
    """
    if dayfirst is not None:
        stamps = by_day if dayfirst else by_month
        return stamps, np.where(stamps == NO_TIME, k.UNPARSABLE_TIME, 0).astype(np.uint32)
    stamps = np.where(by_day == NO_TIME, by_month, by_day)
    open_ = (by_day != by_month) & (by_day != NO_TIME) & (by_month != NO_TIME)
    day_proven = bool(np.any((by_day != NO_TIME) & (by_month == NO_TIME)))
    month_proven = bool(np.any((by_month != NO_TIME) & (by_day == NO_TIME)))
    if day_proven == month_proven:
        return np.where(open_, NO_TIME, stamps), np.where(open_, k.AMBIGUOUS_TIME, 0).astype(np.uint32)
    return np.where(open_ & month_proven, by_month, stamps), np.zeros(stamps.size, np.uint32)


def _read_typed(series: nw.Series[Any], naive: bool) -> Reading:
    if not isinstance(series.dtype, nw.Datetime):
        series, naive = series.cast(nw.Datetime("us")), False
    times = _frames.times(series.to_frame(), series.name)
    clean = None if naive else series
    if getattr(series.dtype, "time_unit", "us") != "ns":
        return Reading(times, None, clean)
    exact = np.ascontiguousarray(series.to_numpy()).view(np.int64)  # copies must agree to the nanosecond
    return Reading(times, None, clean, exact)
