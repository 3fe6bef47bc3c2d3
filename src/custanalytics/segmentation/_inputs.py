"""Which columns of a customer table to use, and their numbers, refused where one is missing or infinite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID, FREQUENCY, INACTIVITY, MONETARY_VALUE
from custanalytics._params import check_columns, offenders
from custanalytics.exceptions import InvalidDataError

RFM = (INACTIVITY, FREQUENCY, MONETARY_VALUE)


def feature_columns(columns: Sequence[str], features: Sequence[str] | None) -> list[str]:
    """The columns to cluster by: those asked for, else those of RFM in a customer table, else all."""
    if features is None and CUSTOMER_ID not in columns and not set(RFM) <= set(columns):
        return list(columns)
    chosen = list(RFM if features is None else features)
    check_columns(columns, chosen, "CustomerClusterer", "Name yours with features=[...].")
    return chosen


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
