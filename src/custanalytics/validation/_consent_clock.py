"""The clock of a consent ledger: where its times have a zone, what came later stays later when clocks go back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import TIMESTAMP
from custanalytics._instants import instant, last_microsecond
from custanalytics._params import InstanceOf, check_value
from custanalytics.validation._consent_words import OWNER
from custanalytics.validation._values import MISSING_TEXT, plain

_START = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class LedgerClock:
    """Times of a ledger as int64 microseconds: instants in UTC where it has a `zone`, else its own wall clock.

    Times without a zone in a ledger that has one are read on its wall clock.
    """

    zone: tzinfo | None

    def read(self, series: nw.Series[Any]) -> np.ndarray:
        """A column of times, missing as NO_TIME: shape (n_rows,)."""
        zoned = _frames.zone_of(series.to_frame(), series.name) is not None
        found = _frames.times(_frames.wall_clock(series, self.utc).alias(series.name).to_frame(), series.name)
        if self.zone is None or zoned:
            return found
        walls, at = np.unique(found, return_inverse=True)
        return np.array([self._first(wall) for wall in walls.tolist()], np.int64)[at]

    def moment(self, value: Any) -> int | None:
        """One time, or a text in ISO 8601; missing as NO_TIME, None for what is neither."""
        text = value.strip() if isinstance(value, str) else value
        if isinstance(text, str) and plain(text) in MISSING_TEXT:
            return int(_frames.NO_TIME)
        try:
            return self._on_wall(text) if self.zone is None else self._with_zone(text)
        except ValueError:
            return None

    def now(self, as_of: Any) -> int:
        """The last microsecond of what `as_of` names."""
        check_value("as_of", as_of, (InstanceOf((str, date, np.datetime64)),), OWNER)
        moment = as_of
        if isinstance(moment, str):
            try:
                moment = datetime.fromisoformat(moment.strip())
            except ValueError:
                moment = as_of
        if isinstance(moment, datetime) and moment.tzinfo is not None:
            return instant(moment, "as_of", OWNER, self.utc)
        return self._instant(last_microsecond(as_of), fold=1)

    @property
    def utc(self) -> str | None:
        """The name of the zone that the microseconds are in; None is the ledger's own wall clock."""
        return None if self.zone is None else "UTC"

    def _on_wall(self, value: Any) -> int:
        return instant(value, TIMESTAMP, OWNER)

    def _with_zone(self, value: Any) -> int:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        found = instant(moment, TIMESTAMP, OWNER, self.utc)
        return found if getattr(moment, "tzinfo", None) is not None else self._first(found)

    def _first(self, wall: int) -> int:
        return wall if wall == _frames.NO_TIME else self._instant(wall, fold=0)

    def _instant(self, wall: int, fold: int) -> int:
        """The instant of a time on the wall clock: of two, the first or (fold 1) the last."""
        if self.zone is None:
            return wall
        try:
            offset = (_START + wall * _MICROSECOND).replace(tzinfo=self.zone, fold=fold).utcoffset()
        except OverflowError:  # beyond the years of Python
            return wall
        return wall if offset is None else wall - offset // _MICROSECOND


def clock_of(series: nw.Series[Any]) -> LedgerClock:
    """The clock of a ledger from its column of times."""
    name = _frames.zone_of(series.to_frame(), series.name)
    if name is None:
        return LedgerClock(None)
    try:
        return LedgerClock(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError):  # an offset, or a zone that pandas has as an object
        own = getattr(getattr(series.to_native(), "dtype", None), "tz", None)
        return LedgerClock(own or datetime.strptime(name, "%z").tzinfo)
