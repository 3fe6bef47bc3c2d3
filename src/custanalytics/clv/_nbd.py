"""The NBD model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from custanalytics.clv import _fit, _kernels_nbd
from custanalytics.clv._covariates import RateCovariateModel
from custanalytics.clv._given_alive import GivenAlive
from custanalytics.clv._limits import PURCHASES, Limits


class NBDModel(RateCovariateModel):
    """NBD model: customers buy at random at a rate of their own, and nobody ever leaves.

    The baseline of all models here. Where `BetaGeoModel` or `ParetoNBDModel` is no better than this one, the data show
    no dropout. It applies to established buyers over a time in which hardly anybody leaves, and to a category rather
    than a shop. It does not where customers leave: it then expects far too much of those who have been silent.

    Parameters
    ----------
    rate_covariates : tuple of str, default=()
        Columns of the table on which the rate of purchase depends: numbers, one coefficient each. At a value of z it is
        exp(coefficient * z) times that at 0.
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
    params_ : dict of str to float
        `r` and `alpha` (in `time_unit`) of the gamma distribution of rates.
    coefficients_ : dict of str to dict of str to float
        The coefficients of covariates, ``{"rate": {column: value}}``; there where there are any.
    log_likelihood_ : float
        At `params_`; comparable with that of the models with dropout.
    n_customers_ : float
        Sum of the weights of the customers learned from: their number where no weights are given.
    aic_, bic_ : float
        Akaike's and Schwarz's criteria, of fits to the same customers: smaller is better.
    standard_errors_ : dict of str to float
        From the observed information, those of coefficients as "rate:column" and so on; infinite for `undetermined_`
        parameters.
    covariance_ : ndarray of shape (n_estimates, n_estimates)
        Of `r`, `alpha` and the coefficients, in the order of `standard_errors_`.
    converged_ : bool
        Whether the solver reached `tol`.
    n_iter_ : int
        Iterations of the solver.
    undetermined_ : tuple of str
        Parameters that the data leave open: flat likelihood, or a maximum at the boundary. Where all customers buy at
        one rate, both are.
    n_features_in_ : int
        How many columns are used: 3, though the likelihood does not depend on `recency`, and covariates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The columns used.

    See Also
    --------
    BetaGeoModel : Customers may drop out after a purchase.
    ParetoNBDModel : Customers may drop out at any time.

    Notes
    -----
    The likelihood of x repeat purchases up to T, and the purchases expected in the next t, are

    .. math:: L = \\frac{\\Gamma(r + x)}{\\Gamma(r)} \\frac{\\alpha^r}{(\\alpha + T)^{r + x}}, \\qquad
              E = \\frac{r + x}{\\alpha + T} t.

    References
    ----------
    .. [1] A. S. C. Ehrenberg (1959), "The Pattern of Consumer Purchases", Applied Statistics 8(1),
       https://doi.org/10.2307/2985810.
    .. [2] D. C. Schmittlein, D. G. Morrison and R. Colombo (1987), "Counting Your Customers: Who Are They and What
       Will They Do Next?", Management Science 33(1), https://doi.org/10.1287/mnsc.33.1.1; the NBD as its benchmark.

    Examples
    --------
    >>> from custanalytics.clv import NBDModel
    >>> model = NBDModel.from_params(r=0.385, alpha=12.072)  # CDNOW, in weeks
    >>> table = {"frequency": [2, 0], "recency": [30.43, 0.0], "T": [38.86, 38.86]}
    >>> model.predict_purchases(table, horizon=39).round(3)
    array([1.826, 0.295])
    """

    _names: ClassVar[tuple[str, ...]] = ("r", "alpha")
    _limits: ClassVar[Limits] = (PURCHASES,)
    _unit_powers: ClassVar[Mapping[str, int]] = {"alpha": 1}
    _second_derivatives: ClassVar[bool] = True
    _loglik_loop = staticmethod(_kernels_nbd.log_likelihood_loop)
    _grouped_loop = staticmethod(_kernels_nbd.grouped_loop)
    _alive_loop = staticmethod(_kernels_nbd.alive_loop)
    _purchases_loop = staticmethod(_kernels_nbd.purchases_loop)

    def _given_alive(self, columns: tuple[np.ndarray, ...], theta: np.ndarray) -> GivenAlive:
        (x, _, age), (r, alpha) = columns, theta
        return GivenAlive.of(x.size, shape=r + x, scale=alpha + age)

    def _starts(self, sample: _fit.Sample) -> np.ndarray:
        rate = sample.mean(0) if sample.columns[0].any() else 1e-3
        return np.array([(r, r / rate) for r in (0.5, 2.0, 0.1, 20.0)])
