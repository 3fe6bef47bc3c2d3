"""Numbers of purchases that a caller asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from custanalytics._params import check_value, integer

OWNER = "probability_of_purchases"


def check_counts(n: ArrayLike) -> np.ndarray:
    """Numbers of purchases as float64: whole, 0 or more."""
    counts = np.asarray(n)
    for count in counts.ravel()[:1] if counts.size == 0 else (counts.min(), counts.max()):
        check_value("n", count, (integer(0),), OWNER)
    return counts.astype(np.float64)
