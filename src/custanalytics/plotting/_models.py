"""What displays ask of fitted models of purchases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from custanalytics import _frames
from custanalytics._columns import FREQUENCY, RECENCY, T
from custanalytics._params import Having, check_value
from custanalytics.exceptions import InvalidDataError

_MOST = 512  # different T for which a distribution is asked


def by_name(estimator: Any, methods: tuple[str, ...], owner: str) -> dict[str, Any]:
    """One fitted model under the name of its class, or several under their own."""
    models = dict(estimator) if isinstance(estimator, Mapping) else {type(estimator).__name__: estimator}
    if not models:
        raise ValueError(f"{owner} needs at least one model.")
    for name, model in models.items():
        where = f", at {name!r}," if isinstance(estimator, Mapping) else ""
        check_value("estimator", model, (Having(methods),), f"{owner}{where}")
    return {str(name): model for name, model in models.items()}


def new_customer_counts(model: Any, n: np.ndarray, horizon: float) -> np.ndarray:
    """P(X(horizon) = n) of a new customer; whole horizons as integers, which models of opportunities ask for."""
    horizon = int(horizon) if horizon == int(horizon) else horizon
    if hasattr(model, "probability_of_purchases"):
        return np.asarray(model.probability_of_purchases(n, horizon), dtype=np.float64)
    new = _frames.table({FREQUENCY: np.zeros(1, np.int64), RECENCY: np.zeros(1), T: np.zeros(1)})
    return np.asarray(model.predict_count_probabilities(new, n, horizon), dtype=np.float64)[0]


def expected_counts(model: Any, ages: np.ndarray, weight: np.ndarray, n: np.ndarray) -> np.ndarray:
    """How many customers make n repeat purchases up to their `ages`, in expectation: shape of `n`."""
    distinct, codes = np.unique(ages, return_inverse=True)
    if distinct.size > _MOST:  # neighbours together, at their mean: what is left out is of second order
        edges = np.linspace(distinct[0], distinct[-1], _MOST + 1)
        codes = np.clip(np.searchsorted(edges, ages, side="right") - 1, 0, _MOST - 1)
    shares = np.bincount(codes, weight)
    means = np.bincount(codes, weight * ages)[shares > 0] / shares[shares > 0]
    return sum(
        (
            share * new_customer_counts(model, n, float(age))
            for age, share in zip(means, shares[shares > 0], strict=True)
        ),
        np.zeros(n.size),
    )


def weights(frame: Any, sample_weight: Any, owner: str) -> np.ndarray:
    """How many customers each row stands for: 1, an array, or a column."""
    if sample_weight is None:
        return np.ones(len(frame))
    if isinstance(sample_weight, str):
        sample_weight = _frames.floats(_frames.read(frame.to_native(), (sample_weight,), owner), sample_weight)
    found = np.asarray(sample_weight, dtype=np.float64)
    if found.shape != (len(frame),):
        raise ValueError(f"{owner} takes sample_weight with one number per row, ({len(frame)},); got {found.shape}.")
    if not (np.isfinite(found) & (found >= 0)).all() or not found.any():
        raise InvalidDataError(f"{owner}: sample_weight must be counts of customers, 0 or more, and not all 0.")
    return found
