"""The times of a log or a table, none of them missing."""

from __future__ import annotations

from typing import Any

import numpy as np

from custanalytics import _frames
from custanalytics._params import offenders
from custanalytics.exceptions import InvalidDataError


def known_times(frame: Any, column: str, owner: str) -> np.ndarray:
    """A time column of a wrapped frame as microseconds, none of them missing: shape (n_rows,)."""
    found = _frames.times(frame, column)
    missing = found == _frames.NO_TIME
    if missing.any():
        raise InvalidDataError(
            offenders(missing, np.arange(missing.size), f"have no {column}", "rows")
            + f". {owner} can put them on neither side; run the log through TransactionValidator first."
        )
    return found
