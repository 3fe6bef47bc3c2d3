"""Numbers of purchases that a caller asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from custanalytics._params import check_values, integer

OWNER = "probability_of_purchases"


def check_counts(n: ArrayLike) -> np.ndarray:
    """Numbers of purchases as float64: whole, 0 or more."""
    return check_values("n", n, (integer(0),), OWNER)
