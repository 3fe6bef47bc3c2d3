"""Periods of the calendar: their numbers and their bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from custanalytics import _jit
from custanalytics._columns import DAYS_PER_UNIT
from custanalytics.rfm._kernels import period_of

PERIODS = ("h", "D", "W", "M", "Y")

_HOUR_US = 3_600_000_000
_MONTHS = 0  # the kernel's sign for periods of so many calendar months as the offset says
_LENGTH = {"h": _HOUR_US, "D": 24 * _HOUR_US, "W": 7 * 24 * _HOUR_US, "M": _MONTHS, "Y": _MONTHS}
_OFFSET = {"h": 0, "D": 0, "W": 3 * 24 * _HOUR_US, "M": 1, "Y": 12}  # 1 January 1970 was the fourth day of its week


@dataclass(frozen=True)
class Clock:
    """The periods of a summary ("h", "D", "W" from Monday, "M", "Y") and the unit of its durations."""

    period: str
    time_unit: str

    @property
    def length(self) -> int:
        """Microseconds in a period; 0 for months and years."""
        return _LENGTH[self.period]

    @property
    def offset(self) -> int:
        """Microseconds to add before dividing by the length; for months and years, their number of months."""
        return _OFFSET[self.period]

    @property
    def scale(self) -> tuple[float, float]:
        """Mean hours in a period and in a unit: their quotient is exact wherever one is a multiple of the other."""
        return 24 * DAYS_PER_UNIT[self.period], 24 * DAYS_PER_UNIT[self.time_unit]

    def index(self, time: int) -> int:
        """Number of the period that holds a time in microseconds since 1970."""
        return int(_jit.call(period_of, int(time), self.length, self.offset))

    def indices(self, times: np.ndarray) -> np.ndarray:
        """Numbers of the periods that hold some times: shape (n_times,)."""
        if self.length == _MONTHS:
            return times.view("datetime64[us]").astype("datetime64[M]").astype(np.int64) // self.offset
        return (times + self.offset) // self.length

    def start(self, index: int) -> int:
        """First microsecond of a period."""
        if self.length == _MONTHS:
            return int(np.datetime64(index * self.offset, "M").astype("datetime64[us]").astype(np.int64))
        return index * self.length - self.offset

    def name(self, index: int) -> np.datetime64:
        """The period as a datetime64 of its own resolution (a week as the day of its Monday)."""
        start = np.datetime64(self.start(index), "us")
        return start.astype(f"datetime64[{'D' if self.period == 'W' else self.period}]")
