"""Read amounts and quantities: numbers, and texts that are one unambiguous number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import AMOUNT, QUANTITY
from custanalytics.validation import _kernels as k
from custanalytics.validation._numbers import How, read_numbers
from custanalytics.validation._values import Reading, distinct, spread


@dataclass(frozen=True)
class _Bits:
    missing: int
    unparsable: int
    infinite: int
    loose: int


_AMOUNT = _Bits(k.MISSING_AMOUNT, k.UNPARSABLE_AMOUNT, k.NON_FINITE_AMOUNT, k.AMOUNT_FORMAT)
_QUANTITY = _Bits(0, k.UNPARSABLE_QUANTITY, k.UNPARSABLE_QUANTITY, k.QUANTITY_FORMAT)


def read_amounts(frame: nw.DataFrame[Any], mend: bool, decimal: str | None) -> Reading:
    """Read the amounts as floats."""
    return _read(frame, AMOUNT, _AMOUNT, mend, decimal)


def read_quantities(frame: nw.DataFrame[Any], mend: bool, decimal: str | None) -> Reading:
    """Read the quantities as floats; one that is missing is NaN and no fault."""
    return _read(frame, QUANTITY, _QUANTITY, mend, decimal)


def _read(frame: nw.DataFrame[Any], column: str, bits: _Bits, mend: bool, decimal: str | None) -> Reading:
    if frame[column].dtype in (nw.Int128, nw.UInt128):
        return Reading(_frames.floats(frame.select(nw.col(column).cast(nw.Float64)), column))
    if frame[column].dtype.is_numeric():
        return Reading(_frames.floats(frame, column))
    numbers, raw = distinct(frame[column])
    read, how = read_numbers(raw, mend, decimal)
    faults = np.select(
        [how == How.MISSING, how == How.UNREAD, np.isinf(read)], [bits.missing, bits.unparsable, bits.infinite], 0
    )
    kept = (how == How.LOOSE) | (how == How.MENDED)
    loose = np.where(kept & (faults == 0), bits.loose, 0)
    mended = np.where(kept & (faults == 0), np.where(how == How.MENDED, bits.unparsable, bits.loose), 0)
    if not mend:
        faults, mended = faults | loose, np.zeros_like(mended)
    values = spread(numbers, read, np.nan)
    return Reading(
        values,
        spread(numbers, faults.astype(np.uint32), bits.missing),
        _frames.like(frame, column, values),
        mended=spread(numbers, mended.astype(np.uint32), 0) if mended.any() else None,
    )
