"""Repairs that need more than one value of a row: signs that contradict each other, and the caller's own."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import AMOUNT, QUANTITY
from custanalytics.validation._values import Reading

Readings = dict[str, Reading]


def mend_signs(frame: nw.DataFrame[Any], readings: Readings) -> tuple[nw.DataFrame[Any], dict[str, np.ndarray]]:
    """Make amount and quantity both negative where one is: the frame, and the rows changed in each of the columns.

    A row is a return where either is negative, so it stays what it was.
    """
    amounts, quantities = readings[AMOUNT].values, readings[QUANTITY].values
    changed = {
        AMOUNT: (amounts > 0) & (quantities < 0) & np.isfinite(quantities) & np.isfinite(amounts),
        QUANTITY: (quantities > 0) & (amounts < 0) & np.isfinite(quantities) & np.isfinite(amounts),
    }
    for name, rows in changed.items():
        if rows.any():
            series = frame[name]
            if series.dtype.is_unsigned_integer():
                series = series.cast(nw.Int64)
            given = series.to_frame().with_columns(_frames.like(frame, "__rows__", rows))
            turned = given.select(
                nw.when(nw.col("__rows__")).then(nw.col(name) * -1).otherwise(nw.col(name)).alias(name)
            )
            frame = _frames.extend(frame, {name: turned[name]})
            reading = readings[name]
            values = np.where(rows, -reading.values, reading.values)
            readings[name] = Reading(values, reading.faults, frame[name], reading.exact, reading.mended)
    return frame, changed


def merge(old: Reading, new: Reading, rows: np.ndarray) -> Reading:
    """A column read again after some of its rows were changed: the new reading of those, the old one of the others."""
    faults = np.where(rows, _bits(new.faults, rows.size), _bits(old.faults, rows.size)).astype(np.uint32)
    mended = _bits(old.mended, rows.size) if old.mended is not None else None
    return Reading(new.values, faults, new.clean if new.clean is not None else old.clean, new.exact, mended)


def _bits(faults: np.ndarray | None, n_rows: int) -> np.ndarray:
    return np.zeros(n_rows, np.uint32) if faults is None else faults
