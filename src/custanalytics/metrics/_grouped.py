"""Check what a metric is given, and sum it up by distinct score, so that the order of tied rows cannot matter."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from custanalytics.exceptions import InvalidDataError


class Grouped(NamedTuple):
    """Sums over the rows of each distinct score, best score first."""

    score: np.ndarray  # (n_distinct,) descending
    weight: np.ndarray  # (n_distinct,) total weight of the rows, > 0
    value: np.ndarray  # (n_distinct,) weighted sum of y_true


def grouped(
    y_true: Any, y_score: Any, sample_weight: Any, owner: str, *, binary: bool = False, negative: bool = False
) -> Grouped:
    """Check the arguments of a metric and sum them by distinct score.

    `binary` asks for the labels 0 and 1, `negative` lets y_true be negative. Rows of weight 0 are left out.
    """
    truth, score = _column(y_true, "y_true", owner), _column(y_score, "y_score", owner)
    weight = np.ones(truth.size) if sample_weight is None else _column(sample_weight, "sample_weight", owner)
    if not truth.size == score.size == weight.size:
        raise InvalidDataError(
            f"{owner} needs y_true, y_score and sample_weight of one length; got {truth.size:,}, {score.size:,} "
            f"and {weight.size:,}."
        )
    _refuse(np.isnan(score), "y_score", "are NaN", owner)
    _refuse(~np.isfinite(truth), "y_true", "are not finite", owner)
    _refuse(~(np.isfinite(weight) & (weight >= 0)), "sample_weight", "are negative or not finite", owner)
    if binary:
        _refuse((truth != 0) & (truth != 1), "y_true", "are neither 0 nor 1", owner)
    elif not negative:
        _refuse(truth < 0, "y_true", "are negative", owner)
    counts = weight > 0
    if not counts.any():
        raise InvalidDataError(f"{owner} needs at least one row of positive weight; got none.")
    truth, score, weight = truth[counts], score[counts], weight[counts]
    distinct, at = np.unique(-score, return_inverse=True)
    return Grouped(-distinct, np.bincount(at, weight), np.bincount(at, weight * truth))


def require_value(groups: Grouped, owner: str) -> float:
    """The total of y_true; an InvalidDataError where it is 0, so that no share of it is defined."""
    total = float(groups.value.sum())
    if total == 0:
        raise InvalidDataError(
            f"{owner} is undefined: y_true is 0 in every row, so there is nothing to find. Use a longer horizon, "
            "or more customers."
        )
    return total


def require_both_classes(groups: Grouped, owner: str) -> None:
    """Raise an InvalidDataError unless the labels 0 and 1 both occur."""
    positives = require_value(groups, owner)
    if not (groups.value < groups.weight).any() or positives == groups.weight.sum():
        raise InvalidDataError(f"{owner} is undefined: y_true is 1 in every row. It needs both classes.")


def _column(values: Any, name: str, owner: str) -> np.ndarray:
    try:
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(
            f"{owner} needs numbers in {name}. Make labels 0 and 1 first, for example with (y == 'churned')."
        ) from error
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1:
        hint = " Take the second column of predict_proba." if column.ndim == 2 and column.shape[1] == 2 else ""
        raise InvalidDataError(f"{owner} needs a one-dimensional {name}; got the shape {column.shape}.{hint}")
    if column.size == 0:
        raise InvalidDataError(f"{owner} needs at least one row; {name} is empty.")
    return column


def _refuse(bad: np.ndarray, name: str, what: str, owner: str) -> None:
    if bad.any():
        rows = np.flatnonzero(bad)
        first = ", ".join(map(str, rows[:5])) + (", …" if rows.size > 5 else "")
        raise InvalidDataError(f"{rows.size:,} of {bad.size:,} values of {name} {what} (first rows: {first}): {owner}.")
