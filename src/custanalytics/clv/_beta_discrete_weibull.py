"""The beta-discrete-Weibull model."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from custanalytics.clv import _fit
from custanalytics.clv._contract import ContractModel
from custanalytics.clv._limits import CHANGES, LATE_CHURN, Limits


class BetaDiscreteWeibullModel(ContractModel):
    """Beta-discrete-Weibull model of how long customers keep renewing a contract, with duration dependence.

    `ShiftedBetaGeoModel` with one more parameter: for `c` > 1 each customer becomes likelier to leave with every
    renewal, for `c` < 1 less likely; at `c` = 1 it is that model. Over customers the retention rate may then fall at
    first and rise later. It applies to contracts with renewals at fixed times, of which at least four or five have
    been seen; with fewer, `c` is hardly known and far horizons depend on it.

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
        `alpha` and `beta` of the beta distribution of the probabilities to leave at the first renewal, and `c`.
    log_likelihood_ : float
        At `params_`.
    n_customers_ : float
        Sum of the weights of the customers learned from: their number where no weights are given.
    aic_, bic_ : float
        Akaike's and Schwarz's criteria, of fits to the same customers: smaller is better.
    standard_errors_ : dict of str to float
        From the observed information; infinite for `undetermined_` parameters.
    covariance_ : ndarray of shape (3, 3)
        Of `alpha`, `beta`, `c`.
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
    ShiftedBetaGeoModel : The case `c` = 1. Twice the difference of the log-likelihoods is about chi-squared with one
        degree of freedom where that holds.
    LifetimeValue : Renewals times their price, discounted.

    Notes
    -----
    The share of customers left after t chances to renew is

    .. math:: S(t) = \\frac{B(\\alpha, \\beta + t^c)}{B(\\alpha, \\beta)}.

    Expected lifetimes are infinite for alpha c <= 1. Terms of far horizons are summed by Euler and Maclaurin's formula;
    the relative error of predictions is below 1e-9.

    References
    ----------
    .. [1] P. S. Fader, B. G. S. Hardie, Y. Liu, J. Davin and T. Steenburgh (2018), "'How to Project Customer
       Retention' Revisited: The Role of Duration Dependence", Journal of Interactive Marketing 43, equation 8,
       https://doi.org/10.1016/j.intmar.2018.01.002.

    Examples
    --------
    1,000 customers of the segment "High End": how many were left after each of four years.

    >>> import numpy as np
    >>> from custanalytics.clv import BetaDiscreteWeibullModel
    >>> left = np.array([1000, 869, 743, 653, 593])
    >>> groups = {"recency": np.arange(5), "T": np.full(5, 4), "customers": np.append(-np.diff(left), 593)}
    >>> model = BetaDiscreteWeibullModel().fit(groups, sample_weight="customers")
    >>> {name: round(value, 3) for name, value in model.params_.items()}
    {'alpha': 0.259, 'beta': 1.723, 'c': 1.584}
    >>> round(1000 * model.survival(12))  # 394 were left
    389
    """

    _names: ClassVar[tuple[str, ...]] = ("alpha", "beta", "c")
    _limits: ClassVar[Limits] = (LATE_CHURN, CHANGES)

    def _starts(self, sample: _fit.Sample) -> np.ndarray:
        # nobody leaves before a certain number of renewals: at once then, or ever more slowly
        late, long = (0.3, 0.3, 4.0), (0.1, min(sample.mean(0) ** 8, 1e9), 8.0)
        return np.vstack([super()._starts(sample), late, long])
