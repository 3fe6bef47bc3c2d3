"""What a ranking of customers by churn risk is worth in money, when the best part of it is targeted."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import betaincc
from sklearn.isotonic import isotonic_regression

from custanalytics._params import POSITIVE, Number, check_value
from custanalytics.metrics._grouped import grouped, require_both_classes


def expected_maximum_profit(
    y_true: Any,
    y_score: Any,
    *,
    clv: float = 200.0,
    incentive: float = 10.0,
    contact: float = 1.0,
    alpha: float = 6.0,
    beta: float = 14.0,
    sample_weight: Any = None,
) -> float:
    """Profit per customer of the best retention campaign that a churn score allows (EMPC).

    Choose between churn models by it when a campaign will contact the highest scores with an incentive to stay. It
    rewards getting right those whom it pays to contact, which AUC does not know. All customers share one value; for
    values of their own, rank by expected value at risk and sum it directly.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        1 for customers who churned, 0 for those who stayed.
    y_score : array-like of shape (n_samples,)
        Scores of any scale; higher is more likely to churn. Only their order counts.
    clv : float, default=200.0
        What a retained customer is worth, in a currency.
    incentive : float, default=10.0
        What the incentive costs, for each who takes it; less than `clv`.
    contact : float, default=1.0
        What contacting a customer costs.
    alpha, beta : float, default=6.0, 14.0
        The probability that a contacted would-be churner takes the incentive and stays is beta distributed with these
        shapes: mean ``alpha / (alpha + beta)``. Those who would stay anyway take it as a matter of course.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights; an integer weight equals that many repeated rows.

    Returns
    -------
    profit : float
        In the currency of `clv`, per customer of the whole base; never negative.

    Raises
    ------
    InvalidDataError
        For no rows, unequal lengths, NaN, negative weights, or labels that are not both 0 and 1.

    See Also
    --------
    expected_profit_fraction : The share of the customers that this campaign contacts.
    lift_score : What a fixed fraction finds.

    Notes
    -----
    Where the probability to stay is g, contacting a group with churn rate c earns per head

    .. math:: c \\, g \\, (\\mathrm{clv} - \\mathrm{incentive})
              - (1 - c) \\, \\mathrm{incentive} - \\mathrm{contact},

    which is positive from a break-even g on. The measure is its positive part, averaged over the beta distribution of g
    (by incomplete beta functions) and added up over the convex hull of the ROC curve. The slopes of the hull are the
    churn rates of the isotonic regression of `y_true` on the score, so tied scores are one group, and no order of rows
    matters.

    References
    ----------
    .. [1] Verbraken, T., Verbeke, W. and Baesens, B. (2013), "A novel profit maximizing metric for measuring
       classification performance of customer churn prediction models", IEEE Transactions on Knowledge and Data
       Engineering 25(5), 961-973, the EMPC measure. https://doi.org/10.1109/TKDE.2012.50

    Examples
    --------
    >>> from custanalytics.metrics import expected_maximum_profit
    >>> expected_maximum_profit([0, 1], [0, 1])
    28.000
    >>> expected_maximum_profit([0, 1], [1, 0])
    22.5008
    """
    _check_campaign("expected_maximum_profit", clv, incentive, contact, alpha, beta)
    share, rate = _hull(y_true, y_score, sample_weight, "expected_maximum_profit")
    start = _break_even(rate, clv, incentive, contact)
    pays = betaincc(alpha, beta, start)  # the chance that contacting the group pays
    stay = alpha / (alpha + beta) * betaincc(alpha + 1, beta, start)  # the mean of g where it pays, else 0
    earned = rate * (clv - incentive) * stay - (contact + (1 - rate) * incentive) * pays
    return float(np.sum(share * earned))


def expected_profit_fraction(
    y_true: Any,
    y_score: Any,
    *,
    clv: float = 200.0,
    incentive: float = 10.0,
    contact: float = 1.0,
    alpha: float = 6.0,
    beta: float = 14.0,
    sample_weight: Any = None,
) -> float:
    """Share of the customers that the campaign of `expected_maximum_profit` contacts.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        1 for customers who churned, 0 for those who stayed.
    y_score : array-like of shape (n_samples,)
        Scores of any scale; higher is more likely to churn. Only their order counts.
    clv : float, default=200.0
        What a retained customer is worth, in a currency.
    incentive : float, default=10.0
        What the incentive costs, for each who takes it; less than `clv`.
    contact : float, default=1.0
        What contacting a customer costs.
    alpha, beta : float, default=6.0, 14.0
        Shapes of the beta distribution of the probability that a contacted would-be churner stays.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights; an integer weight equals that many repeated rows.

    Returns
    -------
    fraction : float
        In [0, 1], averaged over the distribution of the probability to stay.

    Raises
    ------
    InvalidDataError
        For no rows, unequal lengths, NaN, negative weights, or labels that are not both 0 and 1.

    See Also
    --------
    expected_maximum_profit : What the campaign earns; the formula and its source.

    Examples
    --------
    >>> from custanalytics.metrics import expected_profit_fraction
    >>> expected_profit_fraction([0, 1], [0, 1])
    0.500
    """
    _check_campaign("expected_profit_fraction", clv, incentive, contact, alpha, beta)
    share, rate = _hull(y_true, y_score, sample_weight, "expected_profit_fraction")
    return float(np.sum(share * betaincc(alpha, beta, _break_even(rate, clv, incentive, contact))))


def _check_campaign(owner: str, clv: float, incentive: float, contact: float, alpha: float, beta: float) -> None:
    check_value("clv", clv, (POSITIVE,), owner)
    check_value("incentive", incentive, (Number(0, clv, closed="left"),), owner)
    check_value("contact", contact, (Number(0),), owner)
    check_value("alpha", alpha, (POSITIVE,), owner)
    check_value("beta", beta, (POSITIVE,), owner)


def _hull(y_true: Any, y_score: Any, sample_weight: Any, owner: str) -> tuple[np.ndarray, np.ndarray]:
    # Of each distinct score: its share of the customers, and its churn rate on the convex hull.
    groups = grouped(y_true, y_score, sample_weight, owner, binary=True)
    require_both_classes(groups, owner)
    rate = isotonic_regression(groups.value / groups.weight, sample_weight=groups.weight, increasing=False)
    return groups.weight / groups.weight.sum(), np.clip(rate, 0.0, 1.0)


def _break_even(rate: np.ndarray, clv: float, incentive: float, contact: float) -> np.ndarray:
    # The least probability to stay at which contacting pays; 1 where it never does.
    cost = contact + (1 - rate) * incentive
    gain = rate * (clv - incentive)
    return np.minimum(np.divide(cost, gain, out=np.ones_like(rate), where=gain > 0), 1.0)
