"""The MBG/CNBD-k model."""

from __future__ import annotations

from typing import ClassVar

from custanalytics.clv._cnbd import CNBDModel


class ModifiedBetaGeoCNBDModel(CNBDModel):
    """MBG/CNBD-k model of regular purchases by customers who may drop out after any purchase, the first included.

    While active, a customer buys by a clock of their own: the times between purchases are Erlang-k distributed, the
    more regular the larger k; k = 1 is `ModifiedBetaGeoModel`. After each purchase, the first included,
    they drop out with a probability of their own, unseen. It applies to purchases without a contract that come at
    fairly regular times: refills, groceries, deliveries. There a long silence says much more than where purchases come
    at random, and P(alive) falls sooner. It does not where a season or a campaign moves everybody at once.

    k is chosen by maximum likelihood, or given. For the choice the table needs, besides `frequency`, `recency` and
    `T`, the column `litt`: the sum of the natural logarithms of the times (in `time_unit`) between each customer's
    successive purchases. `RFMSummary` does not make it, for it is of no use to other models; the example does.

    Parameters
    ----------
    k : int, optional
        How regular purchases are; by default chosen between 1 and `max_k`.
    max_k : int, default=12
        The largest k that is tried.
    rate_covariates : tuple of str, default=()
        Columns of the table on which the rate of purchase depends: numbers, one coefficient each. At a value of z it is
        exp(coefficient * z) times that at 0.
    dropout_covariates : tuple of str, default=()
        Columns on which the dropout probability depends, in the way that `dropout_effect` says.
    equal_covariates : tuple of str, default=()
        Columns with one coefficient for both, named in neither of the other two.
    dropout_effect : {"a", "both", "apart"}, default="a"
        What covariates of dropout scale by exp(coefficient * z): `a` alone, so that the odds of the mean dropout
        probability a / (a + b) are scaled; "both" `a` and `b` alike, which leaves that mean as it is and changes how
        much customers differ; "apart" `a` and `b` by a coefficient each.
    covariate_penalty : float, default=0.0
        Weight of the squared coefficients that is taken off the log-likelihood: a ridge.
    penalty : float or mapping, default=0.0
        Weight of the squared log-parameters (`alpha` in units of the mean `T`) that is taken off the log-likelihood:
        a normal prior of variance 1 / (2 * penalty) on each of them.
        A mapping such as ``{name: (median, spread)}`` gives single parameters a log-normal prior
        instead, in the unit of the table where it carries one: the spread is the standard deviation of the logarithm.
        Parameters not named have no prior.
    max_iter : int, default=200
        Most iterations of the solver.
    tol : float, default=1e-9
        The solver stops when its next step would gain no more log-likelihood than this.

    Attributes
    ----------
    k_ : int
        The k of the model.
    params_ : dict of str to float
        `k`; `r` and `alpha` (in `time_unit`) of the gamma distribution of the rates of events, every k-th of which is
        a purchase: the mean rate of purchases is r / (alpha k); `a` and `b` of the beta distribution of dropout
        probabilities.
    coefficients_ : dict of str to dict of str to float
        The coefficients of covariates by process and column, ``{"rate": {column: value}}``, and likewise "dropout"
        ("a" and "b" where they are apart) and "equal"; there where there are any.
    log_likelihood_ : float
        At `params_`. Where there is no `litt`, (k - 1) times its sum is missing.
    n_customers_ : float
        Sum of the weights of the customers learned from: their number where no weights are given.
    aic_, bic_ : float
        Akaike's and Schwarz's criteria, of fits to the same customers: smaller is better.
    standard_errors_ : dict of str to float
        From the observed information at this k; infinite for `undetermined_` parameters.
    covariance_ : ndarray of shape (n_estimates, n_estimates)
        Of `r`, `alpha`, `a`, `b` and the coefficients, in the order of `standard_errors_`.
    converged_ : bool
        Whether the solver reached `tol`.
    n_iter_ : int
        Iterations of the solver, at this k.
    undetermined_ : tuple of str
        Parameters that the data leave open: flat likelihood, or a maximum at the boundary.
    n_features_in_ : int
        How many columns predictions use: 3.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The columns that predictions use.

    See Also
    --------
    ModifiedBetaGeoModel : Purchases at random times.
    BetaGeoCNBDModel : Nobody drops out before the first repeat purchase.
    LifetimeValue : Purchases times spend, discounted.

    Notes
    -----
    With s = r + k x, n = x + 1 and :math:`z = (T - t_x) / (\\alpha + T)`, and without the factor
    :math:`\\prod t^{k-1} / \\Gamma(k)^x` of the times between purchases, the likelihood is

    .. math:: L = \\frac{\\Gamma(s) \\alpha^r}{\\Gamma(r) (\\alpha + t_x)^s} \\Big[
              \\frac{B(a, b+n)}{B(a, b)} \\sum_{j<k} \\frac{(s)_j}{j!} z^j (1-z)^s
              + \\delta_{n>0} \\frac{B(a+1, b+n-1)}{B(a, b)} \\Big].

    The conditional expectation is exact. Of the k events that make the next purchase, j have happened since the last,
    with a probability proportional to the j-th term of the sum. Given j and that the customer is active, the events
    ahead are negative binomial with shape s + j, the dropout probability is Beta(a, b + n), and

    .. math:: E = \\sum_{i \\ge 1} E[(1-p)^{i-1}] \\, P(\\text{events ahead} \\ge i k - j).

    All terms are positive; where they are too many, they are integrated. The relative error is below 1e-9.

    References
    ----------
    .. [1] T. Reutterer, M. Platzer and N. Schroeder (2021), "Leveraging purchase regularity for predicting customer
       behavior the easy way", International Journal of Research in Marketing 38(1), 194-215,
       https://doi.org/10.1016/j.ijresmar.2020.09.002; appendix A (likelihood). The conditional expectation given there
       is approximate.

    Examples
    --------
    >>> from custanalytics.clv import ModifiedBetaGeoCNBDModel
    >>> model = ModifiedBetaGeoCNBDModel.from_params(k=3, r=0.9, alpha=1.5, a=0.8, b=2.4)
    >>> silent = {"frequency": [4, 4], "recency": [20.0, 12.0], "T": [24.0, 24.0]}
    >>> model.predict_alive(silent).round(3)
    array([0.822, 0.056])
    >>> model.predict_purchases(silent, horizon=12).round(3)
    array([1.731, 0.128])

    To choose k, from a log with one row per purchase:

    >>> import numpy as np
    >>> import pandas as pd
    >>> weeks = {"customer_id": ["ada", "ada", "ada", "bob"], "week": [0.0, 2.0, 5.0, 1.0]}
    >>> gaps = pd.DataFrame(weeks).groupby("customer_id")["week"].diff()
    >>> np.log(gaps).groupby(weeks["customer_id"]).sum().round(3).to_dict()
    {'ada': 1.792, 'bob': 0.0}
    """

    _chances: ClassVar[int] = 1
