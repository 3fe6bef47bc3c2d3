"""What came after a cutoff: purchases of each customer of a table, from a column, an array or a log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import AMOUNT, CUSTOMER_ID, QUANTITY, TIMESTAMP
from custanalytics._instants import DAY
from custanalytics._params import offenders
from custanalytics._units import check_holdout
from custanalytics.exceptions import InvalidDataError

_PERIODS = {
    "h": (DAY // 24, 0),
    "D": (DAY, 0),
    "W": (7 * DAY, 3 * DAY),
}  # length; 1970-01-01 was the fourth of its week


def purchases(
    log: Any, period: str, owner: str, columns: Mapping[str, str] | None = None
) -> tuple[nw.Series[Any], np.ndarray]:
    """Customer and start of each distinct period with a purchase (int64 microseconds), in no particular order.

    Rows with a negative amount or quantity are returns, and no purchases.
    """
    frame = _frames.read_log(log, columns, (CUSTOMER_ID, TIMESTAMP), owner)
    bought = np.ones(len(frame), bool)
    for name in (AMOUNT, QUANTITY):
        if name in frame.columns:
            bought &= ~(_frames.floats(frame, name) < 0)
    codes, ids = _frames.codes(frame)
    times = _frames.times(frame)
    for bad, what in ((codes < 0, CUSTOMER_ID), (times == _frames.NO_TIME, TIMESTAMP)):
        if bad.any():
            phrase = offenders(bad, range(bad.size), f"have no {what}", "rows")
            raise InvalidDataError(f"{phrase}. Run the log through TransactionValidator before {owner}.")
    pairs = np.unique(np.column_stack([codes[bought], _starts(times[bought], period)]), axis=0)
    return _frames.take(ids, pairs[:, 0]), pairs[:, 1]


def holdout_counts(frame: nw.DataFrame[Any], holdout: Any, owner: str, horizon: float) -> np.ndarray:
    """Purchases of each customer of the table in the holdout, float64 of shape (n_customers,).

    `holdout` is the name of a column, an array, or a log of the holdout, of which every distinct day with a purchase
    counts and customers outside the table do not. A log is held against the end of the table and the `horizon`, in the
    unit of the table.
    """
    if isinstance(holdout, str):
        counts = _frames.floats(_frames.read(frame.to_native(), (holdout,), owner), holdout)
    elif _frames.is_frame(holdout):
        _frames.read(frame.to_native(), (CUSTOMER_ID,), owner, "It says whose purchases those of the holdout log are.")
        _frames.check_unique(frame, CUSTOMER_ID, owner)
        buyers, days = purchases(holdout, "D", owner)
        found = Counter(buyers.to_list())
        ids = frame[CUSTOMER_ID].to_list()
        counts = np.fromiter((found.get(each, 0) for each in ids), np.float64, len(ids))
        if found and not counts.any() and not found.keys() & set(ids):
            raise InvalidDataError(
                f"None of the {len(found):,} customers of the holdout is in the table. Do both have the same "
                f"{CUSTOMER_ID}, of the same type? The table starts with {ids[:3]}, the holdout with {list(found)[:3]}."
            )
        check_holdout(frame, days, horizon, owner)
    else:
        counts = np.asarray(holdout, dtype=np.float64)
    if counts.shape != (len(frame),):
        raise ValueError(
            f"{owner} takes the holdout as a column of the table, an array of {len(frame):,} counts, one per customer, "
            f"or a log; got an array of the shape {counts.shape}."
        )
    bad = ~(np.isfinite(counts) & (counts >= 0) & (counts % 1 == 0))
    if bad.any():
        who = frame[CUSTOMER_ID].to_list() if CUSTOMER_ID in frame.columns else range(len(frame))
        phrase = offenders(bad, who, "have holdout purchases that are no whole number, 0 or more")
        raise InvalidDataError(f"{phrase}. {owner} needs the number of purchases of each; fill missing ones with 0.")
    return counts


def _starts(times: np.ndarray, period: str) -> np.ndarray:
    """The first microsecond of the period of each time."""
    if period not in _PERIODS:
        return times.view("datetime64[us]").astype(f"datetime64[{period}]").astype("datetime64[us]").astype(np.int64)
    length, offset = _PERIODS[period]
    return (times + offset) // length * length - offset
