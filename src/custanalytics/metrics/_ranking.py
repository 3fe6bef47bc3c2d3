"""How much of what matters is found among the customers with the highest scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from custanalytics._params import BOOLEAN, Number, check_value
from custanalytics.exceptions import InvalidDataError
from custanalytics.metrics._grouped import Grouped, grouped, require_value


def gains_curve(y_true: Any, y_score: Any, *, sample_weight: Any = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of the responses, or of the value, that is captured by targeting the highest scores first.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels 0 and 1, or non-negative amounts such as spend.
    y_score : array-like of shape (n_samples,)
        Scores of any scale; higher is targeted earlier. Only their order counts.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights; an integer weight equals that many repeated rows.

    Returns
    -------
    fraction : ndarray of shape (n_distinct_scores + 1,)
        Fraction of the customers targeted, from 0 to 1.
    gain : ndarray of shape (n_distinct_scores + 1,)
        Fraction of the total of `y_true` captured, from 0 to 1.
    thresholds : ndarray of shape (n_distinct_scores + 1,)
        Targeting all scores >= ``thresholds[i]`` reaches point i; the first is inf.

    Raises
    ------
    InvalidDataError
        For no rows, unequal lengths, NaN, negative values or weights, or a `y_true` of zeros.

    See Also
    --------
    lift_curve : The same as a ratio to targeting at random.
    gini_score : The area in one number.

    Notes
    -----
    Customers with equal scores are in no order, so the curve has one point per distinct score; the straight line
    between two points is the expectation over all orders of the tied customers.

    Examples
    --------
    >>> from custanalytics.metrics import gains_curve
    >>> fraction, gain, thresholds = gains_curve([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1])
    >>> fraction
    array([0.  , 0.25, 0.75, 1.  ])
    >>> gain
    array([0. , 0.5, 1. , 1. ])
    >>> thresholds
    array([inf, 0.9, 0.5, 0.1])
    """
    groups = grouped(y_true, y_score, sample_weight, "gains_curve")
    require_value(groups, "gains_curve")
    fraction, gain = _curve(groups)
    return fraction, gain, np.concatenate([[np.inf], groups.score])


def lift_curve(y_true: Any, y_score: Any, *, sample_weight: Any = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lift of targeting the highest scores over targeting as many customers at random.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels 0 and 1, or non-negative amounts such as spend.
    y_score : array-like of shape (n_samples,)
        Scores of any scale; higher is targeted earlier. Only their order counts.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights; an integer weight equals that many repeated rows.

    Returns
    -------
    fraction : ndarray of shape (n_distinct_scores + 1,)
        Fraction of the customers targeted, from 0 to 1.
    lift : ndarray of shape (n_distinct_scores + 1,)
        Mean of `y_true` among them over the mean of all. At fraction 0 it is the limit, the lift of the best
        score; at 1 it is 1.
    thresholds : ndarray of shape (n_distinct_scores + 1,)
        Targeting all scores >= ``thresholds[i]`` reaches point i; the first is inf.

    Raises
    ------
    InvalidDataError
        For no rows, unequal lengths, NaN, negative values or weights, or a `y_true` of zeros.

    See Also
    --------
    lift_score : The lift at one fraction.
    gains_curve : Shares instead of ratios; interpolate that one, which is straight between its points.

    Examples
    --------
    >>> from custanalytics.metrics import lift_curve
    >>> fraction, lift, _ = lift_curve([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1])
    >>> lift
    array([2.    , 2.    , 1.3333, 1.    ])
    """
    groups = grouped(y_true, y_score, sample_weight, "lift_curve")
    require_value(groups, "lift_curve")
    fraction, gain = _curve(groups)
    lift = gain[1:] / fraction[1:]
    return fraction, np.concatenate([lift[:1], lift]), np.concatenate([[np.inf], groups.score])


def lift_score(y_true: Any, y_score: Any, *, fraction: float = 0.1, sample_weight: Any = None) -> float:
    """Lift within the highest-scored fraction of the customers: 1 is as good as chance.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels 0 and 1, or non-negative amounts such as spend.
    y_score : array-like of shape (n_samples,)
        Scores of any scale; higher is targeted earlier. Only their order counts.
    fraction : float, default=0.1
        The fraction targeted, in (0, 1]. The default gives the top-decile lift.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights; an integer weight equals that many repeated rows.

    Returns
    -------
    lift : float
        Mean of `y_true` in the fraction over the mean of all; at most ``1 / fraction``.

    Raises
    ------
    InvalidDataError
        For no rows, unequal lengths, NaN, negative values or weights, or a `y_true` of zeros.

    See Also
    --------
    lift_curve : The lift at every fraction.

    Notes
    -----
    Where the edge of the fraction falls among customers with equal scores, or within one customer, these count in
    part: the lift is its expectation over all orders of the tied customers. A constant score has a lift of exactly 1.

    References
    ----------
    .. [1] Neslin, S. A., Gupta, S., Kamakura, W., Lu, J. and Mason, C. H. (2006), "Defection detection: measuring and
       understanding the predictive accuracy of customer churn models", Journal of Marketing Research 43(2), 204-211
       (top-decile lift and Gini coefficient). https://doi.org/10.1509/jmkr.43.2.204

    Examples
    --------
    >>> from custanalytics.metrics import lift_score
    >>> lift_score([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1], fraction=0.5)
    1.5
    >>> lift_score([1, 0, 0, 0], [0.3, 0.3, 0.3, 0.3])
    1.0
    """
    check_value("fraction", fraction, (Number(0, 1, closed="right"),), "lift_score")
    groups = grouped(y_true, y_score, sample_weight, "lift_score")
    require_value(groups, "lift_score")
    if groups.score.size == 1:
        return 1.0
    targeted, gain = _curve(groups)
    return float(np.interp(fraction, targeted, gain) / fraction)


def gini_score(y_true: Any, y_score: Any, *, normalize: bool = True, sample_weight: Any = None) -> float:
    """Gini coefficient of a ranking: 0 is as good as chance, 1 perfect, negative worse than chance.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels 0 and 1, or non-negative amounts such as spend.
    y_score : array-like of shape (n_samples,)
        Scores of any scale; higher is better. Only their order counts.
    normalize : bool, default=True
        Whether to divide by the Gini coefficient of the perfect ranking, `y_true` itself. For labels the result is
        then ``2 * AUC - 1``.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights; an integer weight equals that many repeated rows.

    Returns
    -------
    gini : float
        In [-1, 1].

    Raises
    ------
    InvalidDataError
        For no rows, unequal lengths, NaN, negative values or weights, a `y_true` of zeros, or, normalized, a `y_true`
        that is the same in every row.

    See Also
    --------
    gains_curve : The curve whose area this is.
    sklearn.metrics.roc_auc_score : For labels, the same ranking power on another scale.

    Notes
    -----
    Twice the area between the gains curve and its diagonal. For amounts the unnormalized value is the concentration
    index of `y_true` with respect to the score, and the perfect ranking's is the Gini coefficient of the Lorenz curve.

    References
    ----------
    .. [1] Frees, E. W., Meyers, G. and Cummings, A. D. (2011), "Summarizing insurance scores using a Gini index",
       Journal of the American Statistical Association 106(495), 1085-1098. https://doi.org/10.1198/jasa.2011.tm10506

    Examples
    --------
    >>> from custanalytics.metrics import gini_score
    >>> gini_score([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1])
    0.75
    >>> gini_score([10.0, 250.0, 40.0], [1, 3, 2])
    1.0
    """
    check_value("normalize", normalize, (BOOLEAN,), "gini_score")
    groups = grouped(y_true, y_score, sample_weight, "gini_score")
    require_value(groups, "gini_score")
    if not normalize:
        return _gini(groups)
    perfect = _gini(grouped(y_true, y_true, sample_weight, "gini_score"))
    if perfect == 0:
        raise InvalidDataError(
            "gini_score is undefined: y_true is the same in every row, so every ranking is perfect. "
            "Pass normalize=False for the plain coefficient, which is 0."
        )
    return _gini(groups) / perfect


def _curve(groups: Grouped) -> tuple[np.ndarray, np.ndarray]:
    # Cumulated shares of the weight and of the value, from (0, 0) to (1, 1).
    weight, value = np.cumsum(groups.weight), np.cumsum(groups.value)
    return np.concatenate([[0.0], weight / weight[-1]]), np.concatenate([[0.0], value / value[-1]])


def _gini(groups: Grouped) -> float:
    if groups.score.size == 1:
        return 0.0
    fraction, gain = _curve(groups)
    return float(np.sum(np.diff(fraction) * (gain[1:] + gain[:-1])) - 1)
