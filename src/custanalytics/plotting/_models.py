"""What displays ask of fitted models of purchases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID, FIRST_SEEN, FREQUENCY, RECENCY, T
from custanalytics._params import offenders
from custanalytics.exceptions import InvalidDataError

_MOST = 512  # different T for which a distribution is asked


def by_name(estimator: Any, methods: tuple[str, ...], owner: str) -> dict[str, Any]:
    """One fitted model under the name of its class, or several under their own, each with one of the methods."""
    models = dict(estimator) if isinstance(estimator, Mapping) else {type(estimator).__name__: estimator}
    if not models:
        raise ValueError(f"{owner} needs at least one model.")
    for name, model in models.items():
        if isinstance(model, type) or not any(hasattr(model, method) for method in methods):
            wanted = " or ".join(f"{method}()" for method in methods)
            kind = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
            raise ValueError(f"{owner} needs fitted models with {wanted}; {str(name)!r} is {kind}.")
    return {str(name): model for name, model in models.items()}


def covariates(model: Any) -> list[str]:
    """The columns that a model has coefficients of."""
    return sorted({name for process in getattr(model, "coefficients_", {}).values() for name in process})


def used(model: Any) -> list[str]:
    """The columns of a table that a model looks at."""
    return [str(name) for name in getattr(model, "feature_names_in_", ())]


def needed(model: Any) -> list[str]:
    """Those by which customers differ as soon as they come: covariates of the table, or who comes when."""
    dated = [name for name in (CUSTOMER_ID, FIRST_SEEN) if FIRST_SEEN in used(model)]
    return dated or covariates(model)


def new_customer_counts(model: Any, n: np.ndarray, horizon: float) -> np.ndarray:
    """P(X(horizon) = n) of a new customer; whole horizons as integers, which models of opportunities ask for."""
    horizon = int(horizon) if horizon == int(horizon) else horizon
    if hasattr(model, "probability_of_purchases"):
        return np.asarray(model.probability_of_purchases(n, horizon), dtype=np.float64)
    new = _frames.table({FREQUENCY: np.zeros(1, np.int64), RECENCY: np.zeros(1), T: np.zeros(1)})
    return np.asarray(model.predict_count_probabilities(new, n, horizon), dtype=np.float64)[0]


def expected_counts(
    model: Any, frame: nw.DataFrame[Any], ages: np.ndarray, weight: np.ndarray, n: np.ndarray
) -> np.ndarray:
    """How many customers make n repeat purchases up to their `ages`, in expectation: shape of `n`."""
    if FIRST_SEEN in used(model):
        return _dated(model, frame, ages, weight, n)
    names = covariates(model)
    if not names or not hasattr(model, "with_covariates"):
        return _alike(model, ages, weight, n)
    columns = np.column_stack([_frames.floats(frame, name) for name in names])
    values, codes = np.unique(columns, axis=0, return_inverse=True)
    total = np.zeros(n.size)
    for at, row in enumerate(values.tolist()):
        these = codes.ravel() == at
        plain = model.with_covariates(dict(zip(names, row, strict=True)))
        total += _alike(plain, ages[these], weight[these], n)
    return total


def _alike(model: Any, ages: np.ndarray, weight: np.ndarray, n: np.ndarray) -> np.ndarray:
    """The same, of customers who differ in age alone."""
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


def _dated(model: Any, frame: nw.DataFrame[Any], ages: np.ndarray, weight: np.ndarray, n: np.ndarray) -> np.ndarray:
    """The same where it matters when a customer came: each as on the first day, and the age ahead."""
    new = newcomers(model, frame[CUSTOMER_ID], _frames.times(frame, FIRST_SEEN), None, type(model).__name__)
    distinct, codes = np.unique(ages, return_inverse=True)
    total = np.zeros(n.size)
    for at, age in enumerate(distinct.tolist()):
        these = np.flatnonzero(codes.ravel() == at)
        total += weight[these] @ model.predict_count_probabilities(new[these].to_native(), n, age)
    return total


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


def newcomers(model: Any, ids: nw.Series[Any], first: np.ndarray, table: Any, owner: str) -> nw.DataFrame[Any]:
    """A table of customers on the day they came, with the covariates that the model takes from `table`."""
    nothing = np.zeros(len(ids))
    columns: dict[str, Any] = {
        CUSTOMER_ID: ids,
        FREQUENCY: np.zeros(len(ids), np.int64),
        RECENCY: nothing,
        T: nothing,
        FIRST_SEEN: first.view("datetime64[us]"),
    }
    frame = _frames.build(ids.to_frame(), columns)
    names = [name for name in covariates(model) if name in used(model)]
    if not names:
        return frame
    hint = "Pass table=..., with the covariates of each customer of the log."
    given = _frames.read({} if table is None else table, (CUSTOMER_ID, *names), owner, hint)
    _frames.check_unique(given, CUSTOMER_ID, owner)
    places = {each: row for row, each in enumerate(given[CUSTOMER_ID].to_list())}
    rows = np.array([places.get(each, -1) for each in ids.to_list()], np.int64)
    if (rows < 0).any():
        raise InvalidDataError(f"{offenders(rows < 0, ids.to_list(), 'of the log are not in the table')}. {hint}")
    return _frames.extend(frame, {name: _frames.floats(given, name)[rows] for name in names})
