"""An event log as arrays ordered by customer and time, ready for the kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames, _jit
from custanalytics._columns import AMOUNT, ORDER_ID, PRODUCT_ID, QUANTITY, TIMESTAMP
from custanalytics._params import offenders
from custanalytics.churn._kernels import (
    ORDER,
    PRODUCT,
    PURCHASE,
    arrange,
    count_rows,
    flag_first,
    scatter_rows,
)
from custanalytics.exceptions import InvalidDataError

FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Events:
    """The rows of a log: arrays of shape (n_rows,), in the order of the log.

    `customers` are codes into `ids`; `times` are microseconds; `values` are amounts, negative for returns.
    """

    frame: nw.DataFrame[Any]
    customers: np.ndarray
    ids: nw.Series[Any]
    times: np.ndarray
    values: np.ndarray
    purchase: np.ndarray

    @property
    def zone(self) -> str | None:
        """The time zone of the log's clock, if it names one."""
        return _frames.zone_of(self.frame, TIMESTAMP)


def read_events(log: Any, columns: Mapping[str, str] | None, owner: str) -> Events:
    """Read an event log; raise an InvalidDataError where rows lack an id, a time or a finite amount."""
    frame = _frames.read_log(log, columns, owner=owner)
    customers, ids = _frames.codes(frame)
    times = _frames.times(frame)
    amounts = _frames.floats(frame, AMOUNT)
    _refuse(customers < 0, "have no customer_id")
    _refuse(times == _frames.NO_TIME, "have no timestamp")
    _refuse(~np.isfinite(amounts), "have no finite amount")
    returned = amounts < 0.0
    if QUANTITY in frame.columns:
        returned |= _frames.floats(frame, QUANTITY) < 0.0
    values = np.where(returned, -np.abs(amounts), amounts) if returned.any() else amounts
    return Events(frame, customers, ids, times, values, ~returned)


@dataclass(frozen=True)
class History:
    """Events side by side by customer, each customer's by time: those of customer c are offsets[c]:offsets[c + 1]."""

    offsets: np.ndarray
    times: np.ndarray
    values: np.ndarray
    flags: np.ndarray


def history(events: Events, place: np.ndarray, n_customers: int, before: int) -> History:
    """The events before an instant of the customers that `place` numbers 0 … n_customers − 1 (−1: left out)."""
    offsets, times, values, rows = grouped(events.customers, events.times, events.values, place, n_customers, before)
    flags = events.purchase[rows].view(np.uint8) * np.uint8(PURCHASE)
    if ORDER_ID in events.frame.columns:
        _flag(events.frame, ORDER_ID, ORDER, offsets, rows, flags)
    else:
        flags |= flags * np.uint8(ORDER // PURCHASE)
    if PRODUCT_ID in events.frame.columns:
        _flag(events.frame, PRODUCT_ID, PRODUCT, offsets, rows, flags)
    return History(offsets, times, values, flags)


def grouped(
    codes: np.ndarray,
    times: np.ndarray,
    values: np.ndarray,
    place: np.ndarray,
    n_customers: int,
    before: int = FOREVER,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Group rows by customer and order each group by time, then value: offsets, times, values, positions."""
    offsets = np.zeros(n_customers + 1, np.int64)
    _jit.call(count_rows, codes, times, place, before, out=(offsets[1:],))
    np.cumsum(offsets, out=offsets)
    size = int(offsets[-1])
    times_out, values_out, rows = np.empty(size, np.int64), np.empty(size), np.empty(size, np.int64)
    _jit.call(scatter_rows, codes, times, values, place, before, out=(offsets[:-1].copy(), times_out, values_out, rows))
    _jit.run(arrange, n_customers, offsets, out=(times_out, values_out, rows))
    return offsets, times_out, values_out, rows


def positions(wanted: nw.Series[Any], known: nw.Series[Any]) -> np.ndarray:
    """Where each of some distinct ids is among others: shape (len(wanted),), -1 where it is not."""
    if wanted.dtype.is_integer() and known.dtype.is_integer() and len(known):
        values, ordered = wanted.to_numpy(), known.to_numpy()
        at = np.minimum(np.searchsorted(ordered, values), ordered.size - 1)
        return np.where(ordered[at] == values, at, -1)
    place = {value: at for at, value in enumerate(known.to_list())}
    return np.fromiter((place.get(value, -1) for value in wanted.to_list()), np.int64, len(wanted))


def _flag(
    frame: nw.DataFrame[Any], column: str, bit: int, offsets: np.ndarray, rows: np.ndarray, flags: np.ndarray
) -> None:
    codes, distinct = _frames.codes(frame, column)
    _jit.call(flag_first, offsets, rows, codes, bit, out=(np.full(len(distinct), -1, np.int64), flags))


def _refuse(bad: np.ndarray, verb_phrase: str) -> None:
    if bad.any():
        raise InvalidDataError(
            offenders(bad, range(bad.size), verb_phrase, "rows of the log")
            + ". Let TransactionValidator().fit_transform(log) set such rows apart first."
        )
