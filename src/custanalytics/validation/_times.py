"""Read the column of times: typed ones at once, texts and objects once per distinct value."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, tzinfo
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import TIMESTAMP
from custanalytics.validation import _kernels as k
from custanalytics.validation._text_times import NO_TIME, Moment, read_moment, zone_called
from custanalytics.validation._values import Reading, distinct, rare, spread


def read_times(
    frame: nw.DataFrame[Any], date_format: str | None, dayfirst: bool | None, zone: tzinfo | None, mend: bool = False
) -> Reading:
    """Read the timestamps as microseconds on their own wall clock, or on that of `zone`."""
    series = _frames.wall_clock(frame[TIMESTAMP], None if zone is None else str(zone))
    if isinstance(series.dtype, nw.Datetime | nw.Date):
        return _read_typed(series, naive=series.dtype == frame[TIMESTAMP].dtype)
    numbers, values = distinct(series)
    weights = np.bincount(numbers[numbers >= 0], minlength=len(values))
    moments = [read_moment(value, date_format, zone) for value in values]
    faults, stamps = _judge(moments, weights, dayfirst)
    mended = np.zeros(faults.size, np.uint32)
    if mend and np.any(faults & k.MIXED_TIME_ZONES):
        # Those that have a zone move to one clock. A time without any stays aside: nobody knows its clock.
        clock = _clock_of(moments, weights)
        if clock is not None:
            before = faults
            moments = [
                read_moment(value, date_format, clock) if moment.zone else moment
                for value, moment in zip(values, moments, strict=True)
            ]
            faults, stamps = _judge(moments, weights, dayfirst)
            mended[((before & k.MIXED_TIME_ZONES) != 0) & (faults == 0)] |= k.MIXED_TIME_ZONES
    loose = np.array([moment.loose for moment in moments], bool) & (faults == 0)
    (mended if mend else faults)[loose] |= k.TIME_FORMAT
    times = spread(numbers, stamps, NO_TIME)
    clean = _frames.like(frame, TIMESTAMP, times.view("datetime64[us]"))
    return Reading(
        times,
        spread(numbers, faults, k.MISSING_TIME),
        clean,
        mended=spread(numbers, mended, 0) if mended.any() else None,
    )


def _judge(moments: list[Moment], weights: np.ndarray, dayfirst: bool | None) -> tuple[np.ndarray, np.ndarray]:
    """The fault bits and the times of distinct values."""
    by_day = np.array([moment.day_first for moment in moments], np.int64)
    by_month = np.array([moment.month_first for moment in moments], np.int64)
    faults = np.array([moment.fault for moment in moments], np.uint32)
    stamps, order_faults = choose_order(by_day, by_month, dayfirst)
    faults = np.where(faults > 0, faults, order_faults)
    dated = np.flatnonzero(faults == 0)
    if dated.size:
        zones = np.unique(np.array([moments[at].zone for at in dated]), return_inverse=True)[1]
        faults[dated[rare(zones, weights[dated])]] |= k.MIXED_TIME_ZONES
    return faults, stamps


def _clock_of(moments: list[Moment], weights: np.ndarray) -> tzinfo | None:
    """The clock of more than half of the zoned times, or UTC; None where most times have no zone."""
    rows: Counter[str] = Counter()
    for moment, weight in zip(moments, weights.tolist(), strict=True):
        if not moment.fault:
            rows[moment.zone] += weight
    naive = rows.pop("", 0)
    zoned = rows.total()
    if naive >= zoned:
        return None
    name, most = rows.most_common(1)[0]
    return zone_called(name) if 2 * most > zoned else UTC


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
    times, far = _frames.times_and_far(series.to_frame(), series.name)
    if not isinstance(series.dtype, nw.Datetime):
        moments = times.view("datetime64[us]")  # no library casts a day that microseconds do not reach
        whole = _frames.like(series.to_frame(), series.name, moments) if far.any() else series.cast(nw.Datetime("us"))
        series, naive = whole, False
    clean = None if naive else series
    if getattr(series.dtype, "time_unit", "us") != "ns":
        return Reading(times, None, clean)
    exact = np.ascontiguousarray(series.to_numpy()).view(np.int64)  # copies must agree to the nanosecond
    return Reading(times, None, clean, exact)
