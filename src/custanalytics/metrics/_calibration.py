"""Whether predictions are right on average, in total and at every level."""

from __future__ import annotations

from typing import Any

import numpy as np

from custanalytics import _frames
from custanalytics._params import check_value, integer
from custanalytics.exceptions import InvalidDataError
from custanalytics.metrics._grouped import Grouped, grouped


def calibration_table(y_true: Any, y_score: Any, *, n_bins: int = 10, sample_weight: Any = None) -> Any:
    """Predicted against observed means, in bins of equal numbers of customers.

    For probabilities against labels, and as well for expected purchases or spend against what came.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        What happened: labels 0 and 1, counts or amounts (which may be negative).
    y_score : array-like of shape (n_samples,)
        What was predicted, in the unit of `y_true`; finite.
    n_bins : int, default=10
        How many bins are wanted; there are fewer where predictions are tied.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights; an integer weight equals that many repeated rows.

    Returns
    -------
    table : pandas.DataFrame of n_bins rows or fewer
        From the lowest to the highest predictions:

        - ``low``, ``high``: the least and the greatest prediction in the bin;
        - ``weight``: the number of customers, or their total weight;
        - ``predicted``, ``observed``: the means of `y_score` and of `y_true`.

    Raises
    ------
    InvalidDataError
        For no rows, unequal lengths, values that are not finite, or negative weights.

    See Also
    --------
    expected_calibration_error : The table in one number.
    total_calibration : The ratio of the totals.

    Notes
    -----
    Rows with equal predictions always share a bin: the one in which the middle of their ranks falls. So neither the
    order of the rows nor a rounding of the ranks decides who is where.

    Examples
    --------
    >>> from custanalytics.metrics import calibration_table
    >>> calibration_table([0, 0, 1, 1], [0.1, 0.1, 0.6, 0.8], n_bins=2)
       low  high  weight  predicted  observed
    0  0.1   0.1     2.0        0.1       0.0
    1  0.6   0.8     2.0        0.7       1.0
    """
    columns = _binned(_predictions(y_true, y_score, sample_weight, "calibration_table"), n_bins, "calibration_table")
    return _frames.table(columns)


def expected_calibration_error(y_true: Any, y_score: Any, *, n_bins: int = 10, sample_weight: Any = None) -> float:
    """Mean absolute gap between predicted and observed means, over bins of equal numbers of customers.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        What happened: labels 0 and 1, counts or amounts (which may be negative).
    y_score : array-like of shape (n_samples,)
        What was predicted, in the unit of `y_true`; finite.
    n_bins : int, default=10
        How many bins are wanted; there are fewer where predictions are tied.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights; an integer weight equals that many repeated rows.

    Returns
    -------
    error : float
        The weighted mean of ``|predicted - observed|`` over the rows of `calibration_table`, in the unit of `y_true`.

    Raises
    ------
    InvalidDataError
        For no rows, unequal lengths, values that are not finite, or negative weights.

    See Also
    --------
    calibration_table : The bins.

    Notes
    -----
    With few customers a bin the error of a perfect model is well above 0, by chance alone: about the standard error of
    a bin's mean. Compare models on the same rows and with the same `n_bins`.

    References
    ----------
    .. [1] Naeini, M. P., Cooper, G. F. and Hauskrecht, M. (2015), "Obtaining well calibrated probabilities using
       Bayesian binning", Proceedings of AAAI 29(1), 2901-2907. https://doi.org/10.1609/aaai.v29i1.9602

    Examples
    --------
    >>> from custanalytics.metrics import expected_calibration_error
    >>> expected_calibration_error([0, 0, 1, 1], [0.1, 0.1, 0.6, 0.8], n_bins=2)
    0.2
    """
    owner = "expected_calibration_error"
    columns = _binned(_predictions(y_true, y_score, sample_weight, owner), n_bins, owner)
    gap = np.abs(columns["predicted"] - columns["observed"])
    return float(np.average(gap, weights=columns["weight"]))


def total_calibration(y_true: Any, y_score: Any, *, sample_weight: Any = None) -> float:
    """Observed over predicted total: 1 is right, above 1 the model predicts too little.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        What happened: labels 0 and 1, counts or amounts.
    y_score : array-like of shape (n_samples,)
        What was predicted, in the unit of `y_true`; finite.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights; an integer weight equals that many repeated rows.

    Returns
    -------
    ratio : float

    Raises
    ------
    InvalidDataError
        For no rows, unequal lengths, values that are not finite, negative weights, or a predicted total of 0.

    See Also
    --------
    calibration_table : The same question at every level of the prediction.

    Examples
    --------
    >>> from custanalytics.metrics import total_calibration
    >>> total_calibration([0, 3, 1], [0.5, 2.0, 0.7])
    1.25
    """
    groups = _predictions(y_true, y_score, sample_weight, "total_calibration")
    predicted = float(np.sum(groups.score * groups.weight))
    if predicted == 0:
        raise InvalidDataError("total_calibration is undefined: the predictions add up to 0.")
    return float(groups.value.sum()) / predicted


def _predictions(y_true: Any, y_score: Any, sample_weight: Any, owner: str) -> Grouped:
    groups = grouped(y_true, y_score, sample_weight, owner, negative=True)
    if not np.isfinite(groups.score[[0, -1]]).all():
        raise InvalidDataError(f"{owner} needs finite predictions in y_score; some are infinite.")
    return groups


def _binned(groups: Grouped, n_bins: int, owner: str) -> dict[str, np.ndarray]:
    check_value("n_bins", n_bins, (integer(1),), owner)
    score, weight, value = (column[::-1] for column in groups)  # lowest first
    total = np.cumsum(weight)
    middle = total - weight / 2
    bins = np.minimum((n_bins * middle / total[-1]).astype(np.int64), n_bins - 1)
    first = np.flatnonzero(np.diff(bins, prepend=-1))
    in_bin = np.add.reduceat(weight, first)
    return {
        "low": score[first],
        "high": score[np.append(first[1:], score.size) - 1],
        "weight": in_bin,
        "predicted": np.add.reduceat(weight * score, first) / in_bin,
        "observed": np.add.reduceat(value, first) / in_bin,
    }
