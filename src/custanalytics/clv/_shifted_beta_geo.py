"""The shifted beta-geometric model."""

from __future__ import annotations

from typing import ClassVar

from custanalytics.clv._contract import ContractModel
from custanalytics.clv._limits import CHURN, Limits


class ShiftedBetaGeoModel(ContractModel):
    """Shifted beta-geometric model of how long customers keep renewing a contract.

    At every renewal a customer leaves with a probability of their own, the same each time and unseen. Those likely to
    leave go first, so that the retention rate of those who are left rises although nobody changes. It applies to
    contracts with renewals at fixed times, all the ends of which are seen: subscriptions, memberships, policies. It
    does not where there is no contract (`BetaGeoModel` and its relatives), or where people become more or less likely
    to leave with time (`BetaDiscreteWeibullModel`).

    The table has one row per customer, or with `sample_weight` one per group of equal customers: `T` counts the chances
    to renew that were observed, `recency` how often the customer renewed in a row. `recency` = `T` is a customer
    still, `recency` < `T` one who did not renew at chance `recency` + 1. Both start at 0, as everywhere in this
    library; where they count contract periods from 1, take off 1 from both.

    Parameters
    ----------
    penalty : float or mapping, default=0.0
        Weight of the squared log-parameters that is taken off the log-likelihood: a normal prior of variance
        1 / (2 * penalty) on each of them.
        A mapping such as ``{name: (median, spread)}`` gives single parameters a log-normal prior
        instead: the spread is the standard deviation of the logarithm. Parameters not named have no prior.
    max_iter : int, default=200
        Most iterations of the solver.
    tol : float, default=1e-9
        The solver stops when its next step would gain no more log-likelihood than this.

    Attributes
    ----------
    params_ : dict of str to float
        `alpha` and `beta` of the beta distribution of the probabilities to leave.
    log_likelihood_ : float
        At `params_`.
    n_customers_ : float
        Sum of the weights of the customers learned from: their number where no weights are given.
    aic_, bic_ : float
        Akaike's and Schwarz's criteria, of fits to the same customers: smaller is better.
    standard_errors_ : dict of str to float
        From the observed information; infinite for `undetermined_` parameters.
    covariance_ : ndarray of shape (2, 2)
        Of `alpha`, `beta`.
    converged_ : bool
        Whether the solver reached `tol`.
    n_iter_ : int
        Iterations of the solver.
    undetermined_ : tuple of str
        Parameters that the data leave open: flat likelihood, or a maximum at the boundary.
    n_features_in_ : int
        How many columns are used: 2.
    feature_names_in_ : ndarray of shape (2,)
        The columns used.

    See Also
    --------
    BetaDiscreteWeibullModel : The chance to leave changes with time.
    BetaGeoBetaBinomModel : Regular opportunities without a contract.
    LifetimeValue : Renewals times their price, discounted.

    Notes
    -----
    The share of customers left after t chances to renew, the share that renews at chance t, and the renewals expected
    of a customer at T are, with B the beta function,

    .. math:: S(t) = \\frac{B(\\alpha, \\beta + t)}{B(\\alpha, \\beta)}, \\qquad
              \\frac{S(t)}{S(t-1)} = \\frac{\\beta + t - 1}{\\alpha + \\beta + t - 1}, \\qquad
              \\sum_{i \\ge 1} \\frac{S(T+i)}{S(T)} = \\frac{\\beta + T}{\\alpha - 1},

    the last infinite for alpha <= 1. Then look at a finite horizon, or discount.

    The relative error of predictions is below 1e-9 for shapes from 1e-3 to 1e3, T to 1e4 and any horizon.

    References
    ----------
    .. [1] P. S. Fader and B. G. S. Hardie (2007), "How to Project Customer Retention", Journal of Interactive Marketing
       21(1), equations 5 and 6, https://doi.org/10.1002/dir.20074.
    .. [2] P. S. Fader and B. G. S. Hardie (2010), "Customer-Base Valuation in a Contractual Setting: The Perils of
       Ignoring Heterogeneity", Marketing Science 29(1), equation 6 (discounted expected residual lifetime, there with
       the coming renewal undiscounted: exp(rate) times ours), https://doi.org/10.1287/mksc.1080.0482.

    Examples
    --------
    1,000 customers of the segment "Regular" of [1]_: how many were left after each of seven years.

    >>> import numpy as np
    >>> from custanalytics.clv import ShiftedBetaGeoModel
    >>> left = np.array([1000, 631, 468, 382, 326, 289, 262, 241])
    >>> groups = {"recency": np.arange(8), "T": np.full(8, 7), "customers": np.append(-np.diff(left), 241)}
    >>> model = ShiftedBetaGeoModel().fit(groups, sample_weight="customers")
    >>> {name: round(value, 3) for name, value in model.params_.items()}
    {'alpha': 0.704, 'beta': 1.182}
    >>> (1000 * model.survival([8, 9, 10])).round()
    array([220., 204., 191.])
    >>> model.predict_purchases({"recency": [7, 3], "T": [7, 7]}, horizon=5).round(2)
    array([4.04, 0.  ])
    """

    _names: ClassVar[tuple[str, ...]] = ("alpha", "beta")
    _limits: ClassVar[Limits] = (CHURN,)
