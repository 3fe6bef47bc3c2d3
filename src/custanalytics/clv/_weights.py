"""Weights of customers: an array, or the column of a table in an engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from custanalytics._engine_checks import Check, absent
from custanalytics._params import offenders

WEIGHT_CHECK = Check(
    "have a negative or missing sample_weight",
    "Weights are counts of customers: 0 or more.",
    lambda weight: absent(weight) | (weight < 0),
)


def weight_column(sample_weight: Any) -> tuple[str, ...]:
    """The column that holds the weights of a table in an engine, if there is one."""
    if sample_weight is not None and not isinstance(sample_weight, str):
        raise TypeError(
            "The rows of a table in an engine have no order that an array of weights could follow: put the weights "
            'into a column of the table and pass its name, sample_weight="weight".'
        )
    return () if sample_weight is None else (sample_weight,)


def check_weight(sample_weight: Any, n: int) -> np.ndarray:
    """Weights as float64 of shape (n,): finite, not negative."""
    try:
        weight = np.ascontiguousarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must have one number per customer, shape ({n},); {error}.") from error
    if weight.shape != (n,):
        raise ValueError(f"sample_weight must have one number per customer, shape ({n},); got {weight.shape}.")
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        message = offenders(bad, range(n), "have a negative or missing sample_weight")
        raise ValueError(f"{message}. Weights are counts of customers: 0 or more.")
    return weight
