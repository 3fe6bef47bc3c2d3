"""The Gamma-Gompertz/NBD model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from custanalytics.clv import _fit, _kernels_gamma_gompertz
from custanalytics.clv._dropout_covariates import CovariateModel
from custanalytics.clv._given_alive import GivenAlive
from custanalytics.clv._limits import AGEING, PURCHASES, Limits


class GammaGompertzNBDModel(CovariateModel):
    """Gamma-Gompertz/NBD model: customers may drop out at any time, and the sooner the longer they have been there.

    While active, a customer buys at random at a rate of their own; their hazard of dropping out grows exponentially
    with time, from a level of their own. Over customers the share that leaves may rise at first and fall later, which
    the Pareto/NBD cannot show. It applies where lifetimes have a typical length: a phase of life, a product that is
    used up. On many data sets `b` goes to 0 and the model comes down to `ParetoNBDModel`; the fit says so. It does not
    apply where purchases are regular, or where a season or a campaign moves everybody at once.

    Parameters
    ----------
    rate_covariates : tuple of str, default=()
        Columns of the table on which the rate of purchase depends: numbers, one coefficient each. At a value of z it is
        exp(coefficient * z) times that at 0.
    dropout_covariates : tuple of str, default=()
        Columns on which the hazard of dropout depends, which at a value of z is exp(coefficient * z) times that at 0.
    equal_covariates : tuple of str, default=()
        Columns with one coefficient for both, named in neither of the other two.
    covariate_penalty : float, default=0.0
        Weight of the squared coefficients that is taken off the log-likelihood: a ridge.
    penalty : float or mapping, default=0.0
        Weight of the squared log-parameters (`alpha` in units of the mean `T`, `b` of its inverse) that is taken off
        the log-likelihood: a normal prior of variance 1 / (2 * penalty) on each of them.
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
        `r` and `alpha` (in `time_unit`) of the gamma distribution of purchase rates; `b` (per `time_unit`), at which
        the hazard of dropping out grows; `s` and `beta` (without a unit) of the gamma distribution of its level.
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
        Of `r`, `alpha`, `b`, `s`, `beta` and the coefficients, in the order of `standard_errors_`.
    converged_ : bool
        Whether the solver reached `tol`.
    n_iter_ : int
        Iterations of the solver.
    undetermined_ : tuple of str
        Parameters that the data leave open: flat likelihood, or a maximum at the boundary. `b` and `beta` are where
        the Pareto/NBD does as well: its beta is then `beta` / `b`.
    n_features_in_ : int
        How many columns are used: 3, and covariates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The columns used.

    See Also
    --------
    ParetoNBDModel : The limit of `b` = 0.
    BetaGeoModel : Dropout only right after a purchase.
    LifetimeValue : Purchases times spend, discounted.

    Notes
    -----
    A share :math:`S(t) = (\\beta / (\\beta + e^{bt} - 1))^s` is active after t. The likelihood of x repeat purchases,
    the last at :math:`t_x`, observed to T, is

    .. math:: L = \\frac{\\Gamma(r+x) \\alpha^r}{\\Gamma(r)} \\Big[ (\\alpha+T)^{-r-x} S(T)
              - \\int_{t_x}^T (\\alpha+u)^{-r-x} \\, dS(u) \\Big].

    The integral of a positive integrand is taken by Gauss-Legendre quadrature, on panels that follow its decay and
    stay away from its singularities, together with its exact first and second derivatives. Given that a customer is
    active at T, the purchases expected in the next t are [2]_

    .. math:: \\frac{r+x}{\\alpha+T} \\int_0^t \\frac{S(T+v)}{S(T)} \\, dv.

    The relative error of both is below 1e-9.

    References
    ----------
    .. [1] A. C. Bemmaor and N. Glady (2012), "Modeling Purchasing Behavior with Sudden 'Death': A Flexible Customer
       Lifetime Model", Management Science 58(5), https://doi.org/10.1287/mnsc.1110.1461.
    .. [2] J. Adler (2022), "Comment on 'Modeling Purchasing Behavior with Sudden Death: A Flexible Customer Lifetime
       Model'", Management Science 68(3), https://doi.org/10.1287/mnsc.2021.4158; corrects the conditional expectation
       of [1]_.

    Examples
    --------
    >>> from custanalytics.clv import GammaGompertzNBDModel
    >>> model = GammaGompertzNBDModel.from_params(r=0.55, alpha=10.6, b=0.02, s=0.6, beta=0.25)
    >>> table = {"frequency": [26, 0], "recency": [30.9, 0.0], "T": [31.0, 39.0]}
    >>> model.predict_purchases(table, horizon=52).round(2)
    array([21.84,  0.1 ])
    >>> model.predict_alive(table).round(3)
    array([0.998, 0.25 ])
    """

    _names: ClassVar[tuple[str, ...]] = ("r", "alpha", "b", "s", "beta")
    _limits: ClassVar[Limits] = (PURCHASES, AGEING)
    _unit_powers: ClassVar[Mapping[str, int]] = {"alpha": 1, "b": -1}
    _dropout_effect: ClassVar[Mapping[str, int]] = {"beta": -1}
    _second_derivatives: ClassVar[bool] = True
    _loglik_loop = staticmethod(_kernels_gamma_gompertz.log_likelihood_loop)
    _grouped_loop = staticmethod(_kernels_gamma_gompertz.grouped_loop)
    _alive_loop = staticmethod(_kernels_gamma_gompertz.alive_loop)
    _purchases_loop = staticmethod(_kernels_gamma_gompertz.purchases_loop)

    def _given_alive(self, columns: tuple[np.ndarray, ...], theta: np.ndarray) -> GivenAlive:
        (x, _, age), (r, alpha, b, s, beta) = columns, theta
        aged = beta * np.exp(-b * age) - np.expm1(-b * age)
        return GivenAlive.of(x.size, shape=r + x, scale=alpha + age, s=s, b=b, beta=aged)

    def _memory(self) -> float:
        _, alpha, b, s, beta = self._theta()
        return float(min(alpha, min(1.0, beta) / (b * max(1.0, s))))

    def _bends(self, horizon: float) -> float:
        # where the growing hazard catches up with beta, everybody leaves within 1 / b: but exp(-20), which still counts
        _, _, b, s, beta = self._theta()
        return float(min(np.log1p(20.0 * beta / max(1.0, s)), b * horizon))

    def _starts(self, sample: _fit.Sample) -> np.ndarray:
        rate = sample.mean(0) if sample.columns[0].any() else 1e-3
        # r, how much faster active customers buy than the average, b, s, beta
        shapes = (
            (0.5, 2.0, 0.1, 0.5, 0.05),
            (0.5, 2.0, 2.0, 0.5, 2.0),
            (2.0, 1.3, 4.0, 0.3, 20.0),
            (0.2, 4.0, 0.01, 1.0, 0.003),
            (1.0, 2.0, 1e-3, 0.1, 1e-8),
        )
        # nobody leaves before a certain age
        late = ((1.0, 1.5, 100.0, 0.01, 1e4), (0.5, 1.2, 20.0, 1e-3, 100.0), (1.0, 1.2, 30.0, 0.1, 5e9))
        # all purchases at once and hardly any dropout; or a share that leaves at once; or both
        at_once = ((0.05, 1e6, 0.1, 0.05, 10.0), (5.0, 1.3, 1.0, 0.05, 1e-8), (0.05, 1e6, 5.0, 0.05, 1e-8))
        # all is over long before the end
        early = max(1.0, sample.mean(2) / sample.mean(1)) if sample.columns[1].any() else 1.0
        starts = (*shapes, *late, *at_once, (2.0, early, 5.0 * early, 0.3, 0.3))
        return np.array([(r, r / (rate * faster), b, s, beta) for r, faster, b, s, beta in starts])
