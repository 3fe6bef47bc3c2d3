"""Hold every row of a log against all the rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames, _jit
from custanalytics._columns import AMOUNT, CUSTOMER_ID, ORDER_ID, QUANTITY, TIMESTAMP
from custanalytics.validation import _kernels as k
from custanalytics.validation._amounts import read_amounts, read_quantities
from custanalytics.validation._copies import copies, rows_sharing_hash
from custanalytics.validation._ids import placeholder_numbers, placeholder_texts, read_ids
from custanalytics.validation._rules import QUARANTINE, RULES
from custanalytics.validation._times import read_times
from custanalytics.validation._values import Reading, keys_of

IS_RETURN = "is_return"
WRONG = sum(rule.bit for rule in RULES if rule.severity == QUARANTINE)
_DAY = 86_400_000_000
_NONE = np.empty(0)


@dataclass(frozen=True)
class Policy:
    """What the parameters of the validator come down to; times are microseconds since 1970."""

    earliest: int
    latest: int
    absurd: int
    date_format: str | None
    dayfirst: bool | None
    zone: tzinfo | None
    placeholder_ids: Iterable[Any] | None


@dataclass(frozen=True)
class Screened:
    """A log with its columns read, the microseconds of its times, and the fault bits of every row."""

    frame: nw.DataFrame[Any]
    times: np.ndarray
    faults: np.ndarray

    def identified(self) -> bool:
        """Whether equal rows must be copies: the log has order ids, or a time of day somewhere."""
        if ORDER_ID in self.frame.columns and self.frame[ORDER_ID].null_count() < len(self.frame):
            return True
        sound = (self.faults & np.uint32(WRONG & ~k.DUPLICATE)) == 0
        return bool(np.any(self.times[sound] % _DAY != 0))


def screen_log(frame: nw.DataFrame[Any], policy: Policy) -> Screened:
    """Read the columns of a log and apply every rule."""
    texts = placeholder_texts(policy.placeholder_ids)
    readings = {
        CUSTOMER_ID: read_ids(frame, texts),
        TIMESTAMP: read_times(frame, policy.date_format, policy.dayfirst, policy.zone),
        AMOUNT: read_amounts(frame, AMOUNT),
    }
    if QUANTITY in frame.columns:
        readings[QUANTITY] = read_quantities(frame, QUANTITY)
    numbers = placeholder_numbers(texts if frame[CUSTOMER_ID].dtype.is_integer() else frozenset())
    faults, hashes = _screen(readings, numbers, policy)
    clean = _frames.extend(
        frame, {name: reading.clean for name, reading in readings.items() if reading.clean is not None}
    )
    _mark_copies(clean, faults, hashes)
    return Screened(clean, readings[TIMESTAMP].values, faults)


def _screen(readings: dict[str, Reading], placeholders: np.ndarray, policy: Policy) -> tuple[np.ndarray, np.ndarray]:
    ids, times, amounts = (readings[name] for name in (CUSTOMER_ID, TIMESTAMP, AMOUNT))
    quantities = readings[QUANTITY].values if QUANTITY in readings else _NONE
    faults = np.zeros(ids.values.size, np.uint32)
    for reading in readings.values():
        if reading.faults is not None:
            faults |= reading.faults
    hashes = np.empty(faults.size, np.uint64)
    window = np.array([policy.earliest, policy.latest, policy.absurd], np.int64)
    exact = times.values if times.exact is None else times.exact
    _jit.run(
        k.screen,
        faults.size,
        *(ids.values, placeholders, times.values, window, amounts.values, quantities, exact),
        out=(faults, hashes),
    )
    return faults, hashes


def _mark_copies(frame: nw.DataFrame[Any], faults: np.ndarray, hashes: np.ndarray) -> None:
    # Rows whose customer, time and amount are theirs alone copy nothing: only the others are compared in full.
    rows, _ = rows_sharing_hash(hashes, faults, WRONG)
    if rows.size:
        some = frame[rows]
        keys = (keys_of(some[name]) for name in some.columns if name != IS_RETURN)
        faults[rows[copies(keys, rows.size)]] |= np.uint32(k.DUPLICATE)
