"""Numbers of purchases that a caller asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from custanalytics._params import check_values, integer

OWNER = "probability_of_purchases"


def check_counts(n: ArrayLike) -> np.ndarray:
    """Numbers of purchases as float64: whole, 0 or more."""
    return check_values("n", n, (integer(0),), OWNER)


def chances_of(counts: np.ndarray, exactly: Callable[[np.ndarray], np.ndarray]) -> Any:
    """P(X = n) of one customer in the shape that the counts came in, from what takes them as a row."""
    result = exactly(np.ascontiguousarray(counts.reshape(1, -1)))[0].reshape(counts.shape)
    return result if result.ndim else float(result)
