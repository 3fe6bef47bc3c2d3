"""The Pareto/NBD model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from custanalytics.clv import _fit, _kernels_pareto_nbd
from custanalytics.clv._dropout_covariates import CovariateModel
from custanalytics.clv._given_alive import GivenAlive
from custanalytics.clv._limits import LIFETIMES, PURCHASES, Limits


class ParetoNBDModel(CovariateModel):
    """Pareto/NBD model of purchases by customers who may drop out at any time.

    While active, a customer buys at random at a rate of their own, gamma distributed over customers; the time until
    they drop out, unseen, is exponential with a rate of their own, gamma distributed too. It applies to purchases
    without a contract at irregular times. It does not where purchases are regular, where a season or a campaign moves
    everybody at once, or where customers say when they leave.

    Against `BetaGeoModel`: here customers may leave without having bought again, so somebody who never came back is
    not taken for active.

    Parameters
    ----------
    rate_covariates : tuple of str, default=()
        Columns of the table on which the rate of purchase depends: numbers, one coefficient each. At a value of z it is
        exp(coefficient * z) times that at 0.
    dropout_covariates : tuple of str, default=()
        Columns on which the rate of dropout depends, which at a value of z is exp(coefficient * z) times that at 0.
    equal_covariates : tuple of str, default=()
        Columns with one coefficient for both, named in neither of the other two.
    covariate_penalty : float, default=0.0
        Weight of the squared coefficients that is taken off the log-likelihood: a ridge.
    penalty : float or mapping, default=0.0
        Weight of the squared log-parameters (`alpha` and `beta` in units of the mean `T`) that is taken off the
        log-likelihood: a normal prior of variance 1 / (2 * penalty) on each of them.
        A mapping from parameters to pairs (median, spread) gives those a log-normal prior each, in `time_unit`
        where they carry it; the spread is the standard deviation of the logarithm.
    max_iter : int, default=200
        Most iterations of the solver.
    tol : float, default=1e-9
        The solver stops when its next step would gain no more log-likelihood than this.

    Attributes
    ----------
    params_ : dict of str to float
        `r` and `alpha` (in `time_unit`) of the gamma distribution of purchase rates, `s` and `beta` (in `time_unit`)
        of the gamma distribution of dropout rates.
    coefficients_ : dict of str to dict of str to float
        The coefficients of covariates by process and column, ``{"rate": {column: value}}``, and likewise "dropout" and
        "equal"; there where there are any.
    log_likelihood_ : float
        At `params_`.
    n_customers_ : float
        Sum of the weights of the customers learned from: their number where no weights are given.
    aic_, bic_ : float
        Akaike's and Schwarz's criteria, of fits to the same customers: smaller is better.
    standard_errors_ : dict of str to float
        From the observed information, those of coefficients as "rate:column" and so on; infinite for `undetermined_`
        parameters.
    covariance_ : ndarray of shape (n_estimates, n_estimates)
        Of `r`, `alpha`, `s`, `beta` and the coefficients, in the order of `standard_errors_`.
    converged_ : bool
        Whether the solver reached `tol`.
    n_iter_ : int
        Iterations of the solver.
    undetermined_ : tuple of str
        Parameters that the data leave open: flat likelihood, or a maximum at the boundary. Without dropout, `s` and
        `beta` are.
    n_features_in_ : int
        How many columns are used: 3, and covariates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The columns used.

    See Also
    --------
    BetaGeoModel : Dropout only right after a purchase.
    GammaGammaModel : How much customers spend.
    LifetimeValue : Purchases times spend, discounted.

    Notes
    -----
    The likelihood of x repeat purchases, the last at :math:`t_x`, observed to T, is [2]_

    .. math:: L = \\frac{\\Gamma(r+x) \\alpha^r \\beta^s}{\\Gamma(r)} \\Big[ (\\alpha+T)^{-r-x} (\\beta+T)^{-s}
              + s \\int_{t_x}^T (\\alpha+u)^{-r-x} (\\beta+u)^{-s-1} du \\Big].

    It is evaluated, with exact first and second derivatives, on the distinct (`frequency`, `recency`, `T`). The
    integral is taken as it stands, not as the usual difference of two hypergeometric functions, which overflows and
    cancels: by Gauss-Legendre quadrature of a positive integrand in the logarithm of the smaller of
    :math:`\\alpha + u` and :math:`\\beta + u`, on panels that follow its decay. The error of the log-likelihood is
    below :math:`10^{-12} (1 + |\\log L|)`, that of the gradient about 1e-11 of its terms, for x up to 1e4, shapes
    from 1e-3 to 1e3, and times of any scale; without a repeat purchase the log-likelihood also keeps its relative
    accuracy as it goes to 0.

    P(alive) is the share of the first term in the bracket. Given that a customer is active at T, the purchases
    expected in the next t are

    .. math:: \\frac{r+x}{\\alpha+T} \\, \\frac{\\beta+T}{s-1}
              \\Big[ 1 - \\Big( \\frac{\\beta+T}{\\beta+T+t} \\Big)^{s-1} \\Big],

    which at s = 1 becomes a logarithm; the relative error of both is below 1e-9 over the same range.

    References
    ----------
    .. [1] D. C. Schmittlein, D. G. Morrison and R. Colombo (1987), "Counting Your Customers: Who Are They and What
       Will They Do Next?", Management Science 33(1), https://doi.org/10.1287/mnsc.33.1.1; equations 11 to 13
       (P(alive)), 17 (E[X(t)]) and 22 (conditional expectation).
    .. [2] P. S. Fader and B. G. S. Hardie (2005), "A Note on Deriving the Pareto/NBD Model and Related Expressions",
       http://www.brucehardie.com/notes/009/.

    Examples
    --------
    >>> from custanalytics.clv import ParetoNBDModel
    >>> model = ParetoNBDModel.from_params(r=0.553, alpha=10.58, s=0.606, beta=11.656)  # CDNOW, in weeks
    >>> table = {"frequency": [26, 0], "recency": [30.85714, 0.0], "T": [31.0, 39.0]}
    >>> model.predict_purchases(table, horizon=52).round(3)
    array([25.455,  0.135])
    >>> model.predict_alive(table).round(3)
    array([0.998, 0.294])
    """

    _names: ClassVar[tuple[str, ...]] = ("r", "alpha", "s", "beta")
    _limits: ClassVar[Limits] = (PURCHASES, LIFETIMES)
    _unit_powers: ClassVar[Mapping[str, int]] = {"alpha": 1, "beta": 1}
    _dropout_effect: ClassVar[Mapping[str, int]] = {"beta": -1}
    _loglik_loop = staticmethod(_kernels_pareto_nbd.log_likelihood_loop)
    _grouped_loop = staticmethod(_kernels_pareto_nbd.grouped_loop)
    _second_derivatives: ClassVar[bool] = True
    _enough: ClassVar[int] = 512  # a row costs ten times what one of the BG/NBD does
    _alive_loop = staticmethod(_kernels_pareto_nbd.alive_loop)
    _purchases_loop = staticmethod(_kernels_pareto_nbd.purchases_loop)

    def _given_alive(self, columns: tuple[np.ndarray, ...], theta: np.ndarray) -> GivenAlive:
        (x, _, age), (r, alpha, s, beta) = columns, theta
        return GivenAlive.of(x.size, shape=r + x, scale=alpha + age, s=s, beta=beta + age)

    def _memory(self) -> float:
        alpha, s, beta = (self.params_[name] for name in ("alpha", "s", "beta"))
        return min(alpha, beta / max(1.0, s))

    def _starts(self, sample: _fit.Sample) -> np.ndarray:
        rate = sample.mean(0) if sample.columns[0].any() else 1e-3
        # r, how much faster active customers buy than the average, s, beta
        shapes = ((0.5, 2.0, 0.5, 0.5), (2.0, 1.3, 0.3, 2.0), (0.2, 4.0, 1.0, 0.3), (5.0, 1.0, 0.1, 2.0))
        at_once = ((1.0, 2.0, 0.1, 1e-6), (2.0, 1.3, 0.1, 1e-3))  # a share of the customers leaves at once
        limits = (*at_once, (0.05, 1e6, 0.1, 1e-6))  # or buys all there is to buy at once
        return np.array([(r, r / (rate * faster), s, beta) for r, faster, s, beta in (*shapes, *limits)])
