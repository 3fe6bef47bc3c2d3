"""The MBG/NBD model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from custanalytics.clv import _fit, _kernels_cnbd
from custanalytics.clv._dropout_covariates import BetaDropoutModel
from custanalytics.clv._given_alive import GivenAlive
from custanalytics.clv._limits import DROPOUT, PURCHASES, Limits


class ModifiedBetaGeoModel(BetaDropoutModel):
    """MBG/NBD model: customers may drop out after any purchase, the first one included.

    While active, a customer buys at random at a rate of their own; after each purchase they drop out with a
    probability of their own, unseen. It differs from `BetaGeoModel` in that some leave right after their first
    purchase, so that somebody who never came back is not taken for active. It applies to purchases without a contract
    at irregular times, above all where many buy once. It does not where customers leave between purchases
    (`ParetoNBDModel`), where purchases are regular (`ModifiedBetaGeoCNBDModel`), or where a season or a campaign moves
    everybody at once.

    Parameters
    ----------
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
    params_ : dict of str to float
        `r` and `alpha` (in `time_unit`) of the gamma distribution of rates, `a` and `b` of the beta distribution of
        dropout probabilities.
    coefficients_ : dict of str to dict of str to float
        The coefficients of covariates by process and column, ``{"rate": {column: value}}``, and likewise "dropout"
        ("a" and "b" where they are apart) and "equal"; there where there are any.
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
        Of `r`, `alpha`, `a`, `b` and the coefficients, in the order of `standard_errors_`.
    converged_ : bool
        Whether the solver reached `tol`.
    n_iter_ : int
        Iterations of the solver.
    undetermined_ : tuple of str
        Parameters that the data leave open: flat likelihood, or a maximum at the boundary.
    n_features_in_ : int
        How many columns are used: 3, and covariates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The columns used.

    See Also
    --------
    BetaGeoModel : Nobody drops out before the first repeat purchase.
    ModifiedBetaGeoCNBDModel : The same with regular times between purchases.
    ParetoNBDModel : Customers may drop out at any time.
    LifetimeValue : Purchases times spend, discounted.

    Notes
    -----
    With B the beta function, the likelihood of x repeat purchases, the last at :math:`t_x`, observed to T, is

    .. math:: L = \\frac{\\Gamma(r+x) \\alpha^r}{\\Gamma(r)} \\Big[ \\frac{B(a, b+x+1)}{B(a, b)} (\\alpha+T)^{-r-x}
              + \\frac{B(a+1, b+x)}{B(a, b)} (\\alpha+t_x)^{-r-x} \\Big].

    It is evaluated, with its exact first and second derivatives, on the distinct (`frequency`, `recency`, `T`).

    Given that a customer is active at T, their dropout probability is Beta(a, b + x + 1), and purchases ahead are
    those of `BetaGeoModel` with b + 1 in place of b: without a singularity at a = 1, with a relative error below 1e-11.

    References
    ----------
    .. [1] E. P. Batislam, M. Denizel and A. Filiztekin (2007), "Empirical validation and comparison of models for
       customer base analysis", International Journal of Research in Marketing 24(3), section 2.3 (likelihood,
       P(alive) and conditional expectation), https://doi.org/10.1016/j.ijresmar.2006.12.005.
    .. [2] D. Hoppe and U. Wagner (2007), "Customer Base Analysis: The Case for a Central Variant of the
       Betageometric/NBD Model", Marketing - Journal of Research and Management 3(2), 75-90.

    Examples
    --------
    >>> from custanalytics.clv import ModifiedBetaGeoModel
    >>> model = ModifiedBetaGeoModel.from_params(r=0.525, alpha=6.183, a=0.891, b=1.614)  # CDNOW, in weeks
    >>> table = {"frequency": [2, 0], "recency": [30.43, 0.0], "T": [38.86, 38.86]}
    >>> model.predict_purchases(table, horizon=39).round(3)
    array([1.263, 0.154])
    >>> model.predict_alive(table).round(3)
    array([0.706, 0.39 ])
    """

    _names: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")
    _limits: ClassVar[Limits] = (PURCHASES, DROPOUT)
    _unit_powers: ClassVar[Mapping[str, int]] = {"alpha": 1}
    _second_derivatives: ClassVar[bool] = True
    _loglik_loop = staticmethod(partial(_kernels_cnbd.log_likelihood_loop, 1.0, 1.0))
    _grouped_loop = staticmethod(partial(_kernels_cnbd.grouped_loop, 1.0, 1.0))
    _alive_loop = staticmethod(partial(_kernels_cnbd.alive_loop, 1.0, 1.0))
    _purchases_loop = staticmethod(_kernels_cnbd.modified_purchases_loop)

    def expected_purchases_new_customer(self, horizon: ArrayLike) -> Any:
        """Expected repeat purchases of a new customer, from the first purchase on.

        Parameters
        ----------
        horizon : float or array-like
            How long after the first purchase, in `time_unit`.

        Returns
        -------
        float or ndarray of the shape of `horizon`
            E[X(horizon)]: the chance b / (a + b) to stay after the first purchase is included.
        """
        _, _, a, b = self._theta()
        return super().expected_purchases_new_customer(horizon) * (b / (a + b))

    def _given_alive(self, columns: tuple[np.ndarray, ...], theta: np.ndarray) -> GivenAlive:
        (x, _, age), (r, alpha, a, b) = columns, theta
        return GivenAlive.of(x.size, shape=r + x, scale=alpha + age, a=a, c=b + x + 1.0)

    def _memory(self) -> float:
        r, alpha, a, b = self._theta()
        return float(alpha / max(1.0, a, r * a / (a + b)))

    def _starts(self, sample: _fit.Sample) -> np.ndarray:
        return family_starts(sample, 1)


def family_starts(sample: _fit.Sample, k: int) -> np.ndarray:
    """Where the solver starts in the families of the BG/NBD, in scaled units: r and alpha are those of the events."""
    rate = k * sample.mean(0) if sample.columns[0].any() else 1e-3
    # r, how much faster active customers buy than the average, a, b
    shapes = ((0.5, 2.0, 1.0, 3.0), (0.5, 1.0, 0.1, 3.0), (2.0, 1.0, 1.0, 3.0), (0.1, 4.0, 0.5, 0.5))
    extremes = (
        (5.0, 1.0, 0.01, 1.0),  # hardly any dropout
        (0.05, 1e6, 1.0, 1e-3),  # all purchases at once
        (5.0, 1.0, 0.5, 1e-3),  # most leave at once
        (0.1, 1.0, 1.0, 1e3),  # all have the same chance to leave
    )
    return np.array([(r, r / (rate * faster), a, b) for r, faster, a, b in (*shapes, *extremes)])
