"""Covariates that change with time: a table of intervals, and what of them customers live through."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID, DAYS_PER_UNIT
from custanalytics._params import offenders
from custanalytics.exceptions import InvalidDataError

START, END = "start", "end"
MICROSECONDS_A_DAY = 86_400_000_000


def unit_length(time_unit: str) -> float:
    """Microseconds in one `time_unit`."""
    return DAYS_PER_UNIT[time_unit] * MICROSECONDS_A_DAY


@dataclass(frozen=True)
class Pieces:
    """Stretches of time under constant covariates, those of one customer after the other, in order of time."""

    bounds: np.ndarray  # where those of each customer begin, and the end of the last: (n_customers + 1,)
    interval: np.ndarray  # which row of the calendar each lies in
    length: np.ndarray  # in `time_unit`

    def exposure(self, weights: np.ndarray) -> np.ndarray:
        """Each customer's time, every interval's weighted: shape (n_customers,)."""
        return np.add.reduceat(self.length * weights[self.interval], self.bounds[:-1])

    def by_interval(self, weights: np.ndarray, size: int) -> np.ndarray:
        """Time in each interval, every customer's weighted: shape (n_intervals,)."""
        spread = np.repeat(weights, np.diff(self.bounds))
        return np.bincount(self.interval, self.length * spread, size)


@dataclass(frozen=True)
class Calendar:
    """Intervals that follow each other without gaps, for everybody or for each customer."""

    start: np.ndarray  # microseconds
    end: np.ndarray  # microseconds; infinite where open
    values: np.ndarray  # (n_intervals, n_covariates)
    first: np.ndarray  # the row with which the intervals of each owner begin, and the end of the last
    owners: dict[Any, int] | None  # customer → number among `first`; None where the intervals are everybody's

    @classmethod
    def read(cls, intervals: Any, names: Sequence[str], owner: str) -> Calendar:
        """Intervals of a frame with `start`, perhaps `end` and `customer_id`, and the covariates."""
        frame = _frames.read(intervals, (START, *names), f"intervals of {owner}")
        if len(frame) == 0:
            raise InvalidDataError(f"intervals of {owner} has no rows: there is no time that it covers.")
        start = _moments(frame, START)
        values = np.column_stack([np.zeros(len(frame)), *(_frames.floats(frame, name) for name in names)])[:, 1:]
        refuse(start == _frames.NO_TIME, frame, "have no start")
        for at, name in enumerate(names):
            refuse(~np.isfinite(values[:, at]), frame, f"have a missing or infinite {name}")
        codes, owners = np.zeros(len(frame), np.int64), None
        if CUSTOMER_ID in frame.columns:
            codes, ids = _frames.codes(frame)
            refuse(codes < 0, frame, f"have no {CUSTOMER_ID}")
            owners = {name: code for code, name in enumerate(ids.to_list())}
        order = np.lexsort((start, codes))
        last = np.append(codes[order][1:] != codes[order][:-1], True)
        follows = np.append(start[order][1:], 0).astype(np.float64)
        end = np.where(last, np.inf, follows)
        if END in frame.columns:
            given = _moments(frame, END)[order]
            open_ended = given == _frames.NO_TIME
            refuse_at(order, open_ended & ~last, frame, "have no end though another follows")
            refuse_at(order, ~open_ended & (given <= start[order]), frame, "do not end after their start")
            refuse_at(order, ~open_ended & ~last & (given != follows), frame, GAP)
            end = np.where(open_ended, np.inf, given.astype(np.float64))
        refuse_at(order, ~last & (follows == start[order]), frame, "start when another does")
        # neighbours that are alike become one: the fewer pieces of time there are, the faster all that follows
        begins, values = np.append(True, last[:-1]), values[order]
        new = begins | np.append(True, (values[1:] != values[:-1]).any(axis=1))
        begins, end = begins[new], end[np.append(new[1:], True)]
        first = np.append(np.flatnonzero(begins), begins.size)
        return cls(start[order][new].astype(np.float64), end, values[new], first, owners)

    def rows_of(self, ids: Any, owner: str) -> np.ndarray:
        """The number of each customer's own intervals: int64 of shape (n_customers,)."""
        if self.owners is None:
            return np.zeros(len(ids), np.int64)
        found = np.array([self.owners.get(name, -1) for name in ids], dtype=np.int64)
        if (found < 0).any():
            message = offenders(found < 0, ids, "have no intervals")
            raise InvalidDataError(f"{message}. {owner} needs the covariates of every customer: add their rows.")
        return found

    def locate(self, rows: np.ndarray, time: np.ndarray, closed: str = "left") -> np.ndarray:
        """The interval in which each time lies; -1 before the first, and one that ends too soon beyond the last.

        A time at which one interval ends and the next one starts is in the next; with `closed` = "right" in the first.
        """
        starts, times = self.start, time
        if self.owners is not None:  # the number of the owner and the rank of the time, in one number
            ranks = np.unique(np.concatenate((self.start, time)))
            numbers = np.repeat(np.arange(self.first.size - 1), np.diff(self.first))
            starts = numbers * ranks.size + np.searchsorted(ranks, self.start)
            times = rows * ranks.size + np.searchsorted(ranks, time)
        at = np.searchsorted(starts, times, side="right" if closed == "left" else "left") - 1
        return np.where(at < self.first[rows], -1, at)

    def cover(self, rows: np.ndarray, start: np.ndarray, stop: np.ndarray, ids: Any, what: str) -> None:
        """Refuse customers whose time from `start` to `stop` is not covered."""
        low = self.locate(rows, start)
        # Times are whole microseconds; one that is a start and a length in weeks or years is off by rounding.
        uncovered = (low < 0) | (np.rint(stop) > self.end[self.first[rows + 1] - 1])
        if uncovered.any():
            message = offenders(uncovered, ids, f"are not covered by the intervals {what}")
            edges = f"from {_date(self.start.min())} to {_date(self.end.max())}"
            raise InvalidDataError(f"{message}. The intervals run {edges}: add rows, or leave the last end missing.")

    def pieces(self, rows: np.ndarray, start: np.ndarray, stop: np.ndarray, unit: float) -> Pieces:
        """The time from `start` to `stop` of each customer, which is covered, cut where intervals meet."""
        low = self.locate(rows, start)
        high = np.maximum(self.locate(rows, stop, "right"), low)  # one piece at least, of no length
        counts = high - low + 1
        bounds = np.concatenate(([0], np.cumsum(counts)))
        place = np.arange(bounds[-1]) - np.repeat(bounds[:-1], counts)
        interval = np.repeat(low, counts) + place
        begin = np.maximum(self.start[interval], np.repeat(start, counts))
        end = np.minimum(self.end[interval], np.repeat(stop, counts))
        return Pieces(bounds, interval, np.maximum(end - begin, 0.0) / unit)


GAP = "do not end when the next starts (intervals follow each other without gap or overlap; fill gaps with rows of 0)"


def refuse(bad: np.ndarray, frame: Any, phrase: str) -> None:
    """Raise an InvalidDataError that counts and names the intervals concerned, if there are any."""
    if bad.any():
        raise InvalidDataError(f"{offenders(bad, range(len(frame)), phrase, 'intervals')}.")


def refuse_at(order: np.ndarray, bad: np.ndarray, frame: Any, phrase: str) -> None:
    """The same, for intervals in another order than the rows of their table."""
    rows = np.zeros(bad.size, dtype=bool)
    rows[order] = bad
    refuse(rows, frame, phrase)


def _moments(frame: Any, column: str) -> np.ndarray:
    """Dates, datetimes or ISO texts as int64 microseconds."""
    if frame[column].dtype != nw.String:
        return _frames.times(frame, column)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a zone in the text, which would move it to another clock
            return np.array(frame[column].to_list(), dtype="datetime64[us]").view(np.int64)
    except (ValueError, Warning) as error:
        raise InvalidDataError(f"The column {column!r} of intervals must hold dates or datetimes. {error}") from error


def _date(moment: float) -> str:
    return "no end" if np.isinf(moment) else str(np.datetime64(int(moment), "us").astype("datetime64[s]"))
