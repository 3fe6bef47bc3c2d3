"""Which rows of a customers' table are nobody's, and how they are set aside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID
from custanalytics.validation._customer_rules import BITS, QUARANTINE, RULES, mask
from custanalytics.validation._values import MISSING_TEXT, distinct, plain

_EXACT = 2.0**53  # whole floats up to here are exact integers
WRONG = np.uint32(mask(QUARANTINE))


def id_faults(series: nw.Series[Any], placeholders: Iterable[Any], duplicates: str) -> np.ndarray:
    """The faults of every row's id: uint32 of shape (n_rows,)."""
    codes, values = distinct(series)
    nobody = {plain(str(each)) for each in placeholders}
    whole = [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]
    words = [plain(str(value)) for value in whole]
    missing = np.array([*(word in MISSING_TEXT for word in words), True])[codes]
    stand_in = np.array([*(word in nobody for word in words), False])[codes] & ~missing
    faults = bit_where(missing, "missing_customer_id") | bit_where(stand_in, "placeholder_customer")
    _, first, times = np.unique(codes, return_index=True, return_counts=True)
    _, last = np.unique(codes[::-1], return_index=True)
    doubled = (times > 1)[np.searchsorted(np.unique(codes), codes)] & (faults == 0)
    if duplicates != "none":
        doubled[first if duplicates == "first" else codes.size - 1 - last] = False
    return faults | bit_where(doubled, "duplicate_customer_id")


def bit_where(rows: np.ndarray, rule: str) -> np.ndarray:
    """The bit of a rule in some rows, nothing in the others."""
    return rows.astype(np.uint32) * np.uint32(BITS[rule])


def with_whole_ids(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """The frame, with ids that a missing one made floats as integers again."""
    if not frame[CUSTOMER_ID].dtype.is_float():
        return frame
    ids = _frames.floats(frame, CUSTOMER_ID)
    if not np.all((ids == np.floor(ids)) & (np.abs(ids) <= _EXACT)):
        return frame
    return _frames.extend(frame, {CUSTOMER_ID: frame[CUSTOMER_ID].cast(nw.Int64)})


def complaint(faults: np.ndarray, wrong: np.ndarray) -> str:
    """What is wrong, where, and what to do: one line a rule."""
    lines = [f"{int(wrong.sum()):,} of {wrong.size:,} rows break the rules of CustomerValidator."]
    for rule in RULES:
        at = np.flatnonzero(wrong & ((faults & np.uint32(rule.bit)) != 0))
        if at.size:
            first = ", ".join(map(str, at[:5].tolist())) + (", …" if at.size > 5 else "")
            lines.append(f"{rule.name}: {at.size:,} (rows {first}). {rule.remedy}")
    return "\n".join([*lines, "Pass on_error='quarantine' to set them aside and go on."])
