"""Numeric columns of a customer table, refused with the customers named where a value is missing or infinite."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID
from custanalytics._params import offenders
from custanalytics.exceptions import InvalidDataError


def finite(frame: nw.DataFrame[Any], column: str, owner: str) -> np.ndarray:
    """A numeric column without missing or infinite values: float64 of shape (n_customers,)."""
    values = _frames.floats(frame, column)
    bad = ~np.isfinite(values)
    if bad.any():
        ids = frame[CUSTOMER_ID] if CUSTOMER_ID in frame.columns else np.arange(values.size)
        raise InvalidDataError(
            offenders(bad, ids, f"have a missing or infinite {column}")
            + f". {owner} needs a finite number for every customer: drop these rows, or fill the column first."
        )
    return values
