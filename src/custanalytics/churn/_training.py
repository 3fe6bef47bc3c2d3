"""What a classifier trains on: the feature columns of a table, and the rows whose label can be used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import narwhals as nw
import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID, CUTOFF, FIRST_SEEN, LAST_SEEN
from custanalytics.churn._labels import CHURNED, STATE
from custanalytics.exceptions import InvalidDataError, MissingColumnError

SET_ASIDE = (CUSTOMER_ID, CUTOFF, CHURNED, STATE, FIRST_SEEN, LAST_SEEN)


def as_table(X: Any) -> nw.DataFrame[Any] | None:
    """The table, where X is a frame whose columns all have string names; else None: a matrix."""
    if not (hasattr(X, "columns") or hasattr(X, "collect_schema")):
        return None
    if hasattr(X, "iloc") and not all(isinstance(name, str) for name in X.columns):
        return None
    return _frames.read(X)


def feature_columns(table: nw.DataFrame[Any], chosen: Sequence[str] | None, owner: str) -> list[str]:
    """The columns to learn from: those chosen, else every numeric one that is not set aside by name."""
    if chosen is not None:
        missing = [name for name in chosen if name not in table.columns]
        if missing:
            raise MissingColumnError(f"{owner} was told to use the columns {missing}; found {table.columns}.")
        return list(chosen)
    schema = table.schema
    names = [
        name
        for name in table.columns
        if name not in SET_ASIDE and (schema[name].is_numeric() or schema[name] == nw.Boolean)
    ]
    if not names:
        raise InvalidDataError(
            f"{owner} finds no numeric feature column beside {list(table.columns)}. "
            "Add features first: ChurnFeatures(log=log).fit_transform(table)."
        )
    return names


def matrix(table: nw.DataFrame[Any], names: Iterable[str], allow_nan: bool, owner: Any) -> np.ndarray:
    """The named columns as float64 of shape (n_rows, n_columns)."""
    names = list(names)
    missing = sorted(set(names) - set(table.columns))
    if missing:
        listed = "".join(f"\n- {name}" for name in missing)
        raise MissingColumnError(
            "The feature names should match those that were passed during fit.\n"
            f"Feature names seen at fit time, yet now missing:{listed}\n"
        )
    values = np.column_stack([_frames.floats(table, name) for name in names])
    return check_array(
        values, dtype=np.float64, ensure_all_finite="allow-nan" if allow_nan else True, estimator=owner, input_name="X"
    )


def labels(y: Any, table: nw.DataFrame[Any] | None, owner: str) -> np.ndarray:
    """The labels, missing ones included: those given, else the table's own column."""
    if y is None and table is not None and CHURNED in table.columns:
        return _frames.floats(table, CHURNED)
    if y is None:
        raise ValueError(
            f"{owner} requires y to be passed, but the target y is None and X has no column {CHURNED!r}. "
            "churn_labels(log, cutoff, horizon) makes a table that has one."
        )
    given = nw.from_native(y, series_only=True, pass_through=True)
    found = np.asarray(column_or_1d(given.to_numpy() if isinstance(given, nw.Series) else y, warn=True))
    if found.dtype.kind == "O" and not any(isinstance(each, str | bytes) for each in found.tolist()):
        try:
            return found.astype(np.float64)  # numbers and None
        except (TypeError, ValueError):
            return found
    return found


def missing(y: np.ndarray) -> np.ndarray:
    """Which labels are missing (NaN or None): bool of shape (n_rows,)."""
    if y.dtype.kind == "f":
        return np.isnan(y)
    if y.dtype.kind != "O":
        return np.zeros(y.shape, bool)
    return np.array([each is None or each != each for each in y.tolist()], bool)


def immature(y: np.ndarray, unknown: np.ndarray, table: nw.DataFrame[Any] | None) -> np.ndarray:
    """Known labels at cutoffs whose window is still open: bool of shape (n_rows,).

    There a label can be known early only because the customer came back, so that it says who was quick and
    not who stays. A cutoff counts as open where labels are missing and nobody has churned (label 1).
    """
    if table is None or CUTOFF not in table.columns or y.dtype.kind != "f" or not unknown.any():
        return np.zeros(y.shape, bool)
    cutoff, distinct = _frames.codes(table, CUTOFF)
    open_ = np.bincount(cutoff[unknown], minlength=len(distinct)) > 0
    open_ &= np.bincount(cutoff[y == 1.0], minlength=len(distinct)) == 0
    return open_[cutoff] & ~unknown


def weights(sample_weight: Any, n_rows: int) -> np.ndarray | None:
    """Sample weights as float64 of shape (n_rows,), none negative; None where none are given."""
    if sample_weight is None:
        return None
    found = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if found.shape != (n_rows,):
        raise ValueError(f"sample_weight.shape == {found.shape}, expected {(n_rows,)}!")
    if (found < 0).any():
        raise ValueError(f"sample_weight has {int((found < 0).sum()):,} negative values; weights count rows.")
    if n_rows and not found.any():
        raise ValueError("All sample weights are zero: no row is left to learn from.")
    return found


def check_two_classes(y: np.ndarray, owner: str) -> np.ndarray:
    """The two classes among usable labels, in ascending order."""
    y = np.array(y.tolist()) if y.dtype.kind == "O" else y
    if y.dtype.kind == "f" and np.isinf(y).any():
        raise ValueError("Input y contains infinity or a value too large for dtype('float64').")
    check_classification_targets(y)
    classes = np.unique(y)
    if classes.size > 2:
        raise ValueError(f"Only binary classification is supported. The type of the target is {type_of_target(y)}.")
    if classes.size < 2:
        raise InvalidDataError(
            f"{owner} needs two classes to learn from and the {y.size:,} usable labels hold one class: "
            f"{classes.tolist()}. Choose other cutoffs or another horizon, so that some customers churn and "
            "some stay; cutoffs whose label window is still open do not count."
        )
    return classes


def check_lengths(X: Any, y: np.ndarray) -> None:
    """Raise scikit-learn's error unless X and y have as many rows."""
    check_consistent_length(X, y)
