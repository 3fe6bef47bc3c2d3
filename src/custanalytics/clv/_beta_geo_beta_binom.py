"""The BG/BB model."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from custanalytics import _engines
from custanalytics._columns import FREQUENCY, P_ALIVE, RECENCY, T
from custanalytics._engine_checks import Check
from custanalytics._params import Number, check_value, integer
from custanalytics.clv import _fit
from custanalytics.clv import _kernels_beta_geo_beta_binom as _kernels
from custanalytics.clv._base import refuse
from custanalytics.clv._counts import OWNER, chances_of, check_counts
from custanalytics.clv._discounting import FADED
from custanalytics.clv._futures import FINITE
from custanalytics.clv._given_alive import GivenThere
from custanalytics.clv._limits import DEATHS, OPPORTUNITIES, Limits
from custanalytics.clv._purchases import CHECKS, PurchaseModel

HINT = (
    f"{FREQUENCY}: at how many opportunities the customer bought; {RECENCY}: the number of the last of those, 0 for "
    f"none; {T}: how many opportunities there were."
)
WHOLE = (
    Check(
        f"have a {RECENCY} that is no whole number",
        "It is the number of an opportunity: divide durations by the time between opportunities and round.",
        lambda x, t_x, age: t_x % 1.0 != 0,
    ),
    Check(
        f"have a {T} that is no whole number",
        "It counts opportunities: divide durations by the time between opportunities and round.",
        lambda x, t_x, age: age % 1.0 != 0,
    ),
    Check(
        f"have {FREQUENCY} > {RECENCY}",
        f"At most one purchase counts per opportunity, and the last one is opportunity number {RECENCY}.",
        lambda x, t_x, age: x > t_x,
    ),
)


class BetaGeoBetaBinomModel(PurchaseModel):
    """BG/BB model of purchases at regular opportunities by customers who may silently leave.

    At each opportunity - a yearly appeal, a match day, a weekly market - a customer who is still there buys with a
    probability of their own; before each they leave for good with a probability of their own. Both are beta distributed
    over customers and unseen. It applies where there is at most one purchase per opportunity, or where only whether
    somebody bought is of interest, and no contract that tells who left. It does not where purchases may come at any
    time (`BetaGeoModel`, `ParetoNBDModel`) or where the end is seen (`ShiftedBetaGeoModel`).

    `frequency`, `recency` and `T` count opportunities after the one at which the customer was acquired: at how many of
    them they bought, the number of the last of those (0 for none), and how many there were.

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
        `alpha` and `beta` of the beta distribution of the probabilities to buy, `gamma` and `delta` of that of the
        probabilities to leave.
    log_likelihood_ : float
        At `params_`.
    n_customers_ : float
        Sum of the weights of the customers learned from: their number where no weights are given.
    aic_, bic_ : float
        Akaike's and Schwarz's criteria, of fits to the same customers: smaller is better.
    standard_errors_ : dict of str to float
        From the observed information; infinite for `undetermined_` parameters.
    covariance_ : ndarray of shape (4, 4)
        Of `alpha`, `beta`, `gamma`, `delta`.
    converged_ : bool
        Whether the solver reached `tol`.
    n_iter_ : int
        Iterations of the solver.
    undetermined_ : tuple of str
        Parameters that the data leave open: flat likelihood, or a maximum at the boundary.
    n_features_in_ : int
        How many columns are used: 3.
    feature_names_in_ : ndarray of shape (3,)
        The columns used.

    See Also
    --------
    BetaGeoModel : Purchases at any time.
    ShiftedBetaGeoModel : Renewals of a contract, the end of which is seen.
    LifetimeValue : Purchases times spend, discounted.

    Notes
    -----
    With B the beta function, the likelihood of x purchases, the last at opportunity :math:`t_x`, among n is

    .. math:: L = \\frac{B(\\alpha+x, \\beta+n-x)}{B(\\alpha, \\beta)}
                \\frac{B(\\gamma, \\delta+n)}{B(\\gamma, \\delta)}
              + \\sum_{i=0}^{n-t_x-1} \\frac{B(\\alpha+x, \\beta+t_x-x+i)}{B(\\alpha, \\beta)}
                \\frac{B(\\gamma+1, \\delta+t_x+i)}{B(\\gamma, \\delta)},

    evaluated as a sum of running products, with exact first and second derivatives. Given that a customer is there at
    n, each later opportunity i brings :math:`(\\alpha+x)/(\\alpha+\\beta+n)` purchases times the chance
    :math:`B(\\gamma, \\delta+n+i)/B(\\gamma, \\delta+n)` to be there still. Long sums become integrals with the
    corrections of Euler and Maclaurin: the relative error is below 1e-9 at any horizon.

    References
    ----------
    .. [1] P. S. Fader, B. G. S. Hardie and J. Shang (2010), "Customer-Base Analysis in a Discrete-Time Noncontractual
       Setting", Marketing Science 29(6), https://doi.org/10.1287/mksc.1100.0580; equations 5 (likelihood), 8 and 9
       (new customers), 11 (P(alive)) and 13 (conditional expectation).

    Examples
    --------
    >>> from custanalytics.clv import BetaGeoBetaBinomModel
    >>> model = BetaGeoBetaBinomModel.from_params(alpha=1.204, beta=0.75, gamma=0.657, delta=2.784)  # [1]_, table 3
    >>> table = {"frequency": [0, 4, 6], "recency": [0, 5, 6], "T": [6, 6, 6]}
    >>> model.predict_alive(table, ahead=1).round(2)
    array([0.11, 0.7 , 0.93])
    >>> model.predict_purchases(table, horizon=5).round(2)
    array([0.07, 2.03, 3.75])
    """

    _names: ClassVar[tuple[str, ...]] = ("alpha", "beta", "gamma", "delta")
    _limits: ClassVar[Limits] = (OPPORTUNITIES, DEATHS)
    _unit_columns: ClassVar[tuple[str, ...]] = ()
    _unit_powers: ClassVar[Mapping[str, int]] = {}
    _checks: ClassVar[tuple[Check, ...]] = (*CHECKS, *WHOLE)
    _second_derivatives: ClassVar[bool] = True
    _horizons: ClassVar[Number] = FINITE  # chances of counts are sums over the opportunities ahead
    _loglik_loop = staticmethod(_kernels.log_likelihood_loop)
    _alive_loop = staticmethod(partial(_kernels.alive_loop, 0.0))
    _purchases_loop = staticmethod(partial(_kernels.purchases_loop, 0.0))

    def predict_alive(self, table: Any, *, ahead: float = 0) -> Any:
        """Probability that each customer is there at opportunity `T` + `ahead`.

        Parameters
        ----------
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `recency` and `T`.
        ahead : float, default=0
            How many opportunities after the last observed one, whole ones; published tables have 1.

        Returns
        -------
        ndarray of shape (n_customers,)
            P(alive at `T` + `ahead`); for a table in an engine (Polars lazy, DuckDB, Dask, Spark, Ibis) the table
            itself, with the column `p_alive` added.
        """
        check_value("ahead", ahead, (FINITE,), f"{type(self).__name__}.predict_alive")
        self._theta()
        if _engines.is_lazy(table):
            return self._added(table, P_ALIVE, "_alive_ahead", float(ahead))
        return self._alive_ahead(table, float(ahead))

    def probability_of_purchases(self, n: ArrayLike, horizon: float) -> Any:
        """Probability that a new customer buys at exactly `n` of the first `horizon` opportunities.

        Parameters
        ----------
        n : int or array-like of int
            Number of purchases, 0 or more.
        horizon : int
            How many opportunities after the one of acquisition.

        Returns
        -------
        float or ndarray of the shape of `n`
            P(X(horizon) = n).
        """
        counts = check_counts(n)
        whole = isinstance(horizon, float) and horizon.is_integer()
        check_value("horizon", int(horizon) if whole else horizon, (integer(0),), OWNER)
        new = GivenThere(self._theta()[None])
        return chances_of(counts, lambda n: new.exactly(n, float(horizon)))

    def _given_alive(self, columns: tuple[np.ndarray, ...], theta: np.ndarray) -> GivenThere:
        (x, _, age), (alpha, beta, gamma, delta) = columns, theta
        return GivenThere(np.column_stack([alpha + x, beta + age - x, np.full(x.size, gamma), delta + age]))

    def _given(self, table: np.ndarray) -> GivenThere:
        return GivenThere(table)

    def _alive_ahead(self, table: Any, ahead: float) -> np.ndarray:
        return self._at(ahead)._alive(self._read(table), self._theta())

    def _at(self, ahead: float) -> BetaGeoBetaBinomModel:
        later: Any = copy(self)
        later._alive_loop = partial(_kernels.alive_loop, float(np.floor(ahead)))
        return later

    def _discounted(self, table: Any, horizon: float, rate: float) -> np.ndarray:
        discounting: Any = copy(self)
        rate = rate if rate > FADED * 1e-280 else 0.0  # a smaller one is none
        discounting._purchases_loop = partial(_kernels.purchases_loop, rate)
        return discounting._weighted_purchases(table, np.array([horizon]), np.ones(1))

    def _if_alive(
        self, columns: tuple[np.ndarray, ...], theta: np.ndarray, horizons: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        return super()._if_alive(columns, theta, np.floor(horizons), weights)

    def _read(self, table: Any) -> tuple[np.ndarray, ...]:
        columns = super()._read(table)
        for check in WHOLE:
            refuse(table, check.broken(*columns), check.phrase, check.remedy)
        return columns

    def _starts(self, sample: _fit.Sample) -> np.ndarray:
        share = min(max(sample.mean(0) / sample.mean(2), 0.01), 0.9) if sample.columns[0].any() else 0.01
        starts = [(1.0, 0.5, 3.0), (1.0, 0.1, 3.0), (5.0, 1.0, 1.0), (0.3, 0.3, 1.0), (20.0, 0.01, 1.0)]
        buying = min(1.5 * share, 0.95)
        while_there = min(sample.mean(0) / sample.mean(1), 0.95) if sample.columns[0].any() else 0.5
        chances = [*((each, buying) for each in starts), ((3.0, 2.0, 0.7), while_there), ((1.0, 0.3, 0.1), while_there)]
        return np.array([(s * p, s * (1.0 - p), gamma, delta) for (s, gamma, delta), p in chances])
