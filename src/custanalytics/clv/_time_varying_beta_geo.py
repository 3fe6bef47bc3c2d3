"""The BG/NBD model with covariates that change with time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from custanalytics import _jit
from custanalytics.clv import _fit
from custanalytics.clv._beta_geo import BetaGeoModel
from custanalytics.clv._calendar import Pieces
from custanalytics.clv._given_alive import GivenAlive
from custanalytics.clv._limits import DROPOUT, PURCHASES, Limits
from custanalytics.clv._time_varying import TimeVaryingModel
from custanalytics.clv._windows import Watched, Window


class TimeVaryingBetaGeoModel(TimeVaryingModel):
    """BG/NBD model whose rate of purchase follows seasons and campaigns.

    While a covariate is z, everybody buys exp(coefficient * z) times as fast as at z = 0. It applies where Christmas,
    a sale or a mailing moves many at once, and one knows when: otherwise `BetaGeoModel` takes the quiet after a season
    for dropout. It does not where covariates change dropout (`TimeVaryingParetoNBDModel`), or where they follow from
    what a customer did, as a mailing does that goes to those who bought last: its coefficient is then no effect.

    Parameters
    ----------
    intervals : frame
        The covariates over time: columns `start` and, one each, the covariates; `end` where the last interval does
        end (it is open without); `customer_id` where they are not the same for everybody. `start` belongs to an
        interval, `end` to the next; there is no gap. It must cover each customer from the first purchase on, and
        what predictions look ahead.
    log : frame
        The log that the table was made of: it shows which covariates held at each purchase. Only `fit`, `score` and
        `posterior` need it.
    rate_covariates : tuple of str
        The covariates by name.
    columns : mapping of str to str, optional
        Maps the standard names of the log's columns to yours.
    time_unit : {"h", "D", "W", "M", "Y"}, default="W"
        Unit of `recency`, `T` and horizons: that of the summary.
    period : {"h", "D"}, default="D"
        Purchases of one period count once, at its beginning: as in the summary.
    covariate_penalty : float, default=0.0
        Weight of the squared coefficients that is taken off the log-likelihood.
    penalty : float or mapping, default=0.0
        As that of `BetaGeoModel`.
    max_iter : int, default=200
        Most iterations of the solver.
    tol : float, default=1e-9
        The solver stops when its next step would gain no more log-likelihood than this.

    Attributes
    ----------
    params_ : dict of str to float
        `r`, `alpha` (in `time_unit`), `a` and `b`, as of `BetaGeoModel`, while all covariates are 0.
    coefficients_ : dict of str to dict of str to float
        ``{"rate": {name: coefficient}}``.
    log_likelihood_ : float
        At `params_`; comparable with that of `BetaGeoModel`.
    standard_errors_ : dict of str to float
        From the observed information, those of coefficients as "rate:name"; infinite for `undetermined_` ones.
    covariance_ : ndarray of shape (n_estimates, n_estimates)
        Of parameters and coefficients, in the order of `standard_errors_`.
    converged_ : bool
        Whether the solver reached `tol`.
    n_iter_ : int
        Iterations of the solver.
    undetermined_ : tuple of str
        Parameters and coefficients that the data leave open.
    n_features_in_ : int
        How many columns of the table are used: 5.
    feature_names_in_ : ndarray of shape (5,)
        The columns used.

    See Also
    --------
    BetaGeoModel : Without covariates, or with some that do not change.
    TimeVaryingParetoNBDModel : Covariates of dropout too.

    Notes
    -----
    With :math:`A(t)` the integral of :math:`e^{\\gamma z}` from the first purchase to t, purchases are a Poisson
    process in the time A. As dropout happens at purchases, the likelihood is that of the BG/NBD in this time, and

    .. math:: L = \\prod_{j=1}^x e^{\\gamma z(t_j)} \\, L_{BG/NBD}\\big(x, A(t_x), A(T)\\big)

    is exact; so are P(alive), expectations, distributions and draws of counts, with A in place of time. Discounting is
    by calendar time: a drawn purchase has the date at which A reaches its time.

    References
    ----------
    .. [1] P. Bachmann, M. Meierer and J. Naef (2021), "The Role of Time-Varying Contextual Factors in Latent Attrition
       Models for Customer Base Analysis", Marketing Science 40(4), 783-809, https://doi.org/10.1287/mksc.2020.1254;
       for the Pareto/NBD.

    Examples
    --------
    Everybody buys twice as fast in December:

    >>> import numpy as np
    >>> from custanalytics.clv import TimeVaryingBetaGeoModel
    >>> months = {"start": ["1997-01-01", "1997-12-01", "1998-01-01"], "december": [0, 1, 0]}
    >>> model = TimeVaryingBetaGeoModel.from_params(
    ...     r=0.243, alpha=4.414, a=0.793, b=2.426, coefficients={"rate": {"december": 0.693}}, intervals=months
    ... )
    >>> table = {"customer_id": [1], "frequency": [2], "recency": [30.0], "T": [40.0]}
    >>> table["first_seen"] = np.array(["1997-02-23"], "datetime64[us]")
    >>> model.predict_purchases(table, horizon=4).round(3)
    array([0.27])
    >>> model.predict_count_probabilities(table, n=[0, 1, 2], horizon=4).round(3)
    array([[0.783, 0.174, 0.035]])
    """

    _names: ClassVar[tuple[str, ...]] = BetaGeoModel._names
    _limits: ClassVar[Limits] = (PURCHASES, DROPOUT)
    _unit_powers: ClassVar[Mapping[str, int]] = BetaGeoModel._unit_powers
    _static = BetaGeoModel

    def __init__(
        self,
        *,
        intervals: Any = None,
        log: Any = None,
        rate_covariates: Sequence[str] = (),
        columns: Mapping[str, str] | None = None,
        time_unit: str = "W",
        period: str = "D",
        covariate_penalty: float = 0.0,
        penalty: float | Mapping[str, tuple[float, float]] = 0.0,
        max_iter: int = 200,
        tol: float = 1e-9,
    ) -> None:
        super().__init__(penalty=penalty, max_iter=max_iter, tol=tol)
        self.intervals = intervals
        self.log = log
        self.rate_covariates = rate_covariates
        self.columns = columns
        self.time_unit = time_unit
        self.period = period
        self.covariate_penalty = covariate_penalty

    def _likelihoods(
        self, watched: Watched, rates: np.ndarray, hazards: np.ndarray, theta: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        x, weight, before, after, _ = watched
        last = before.exposure(rates)
        now = last + after.exposure(rates)
        result = _fit.total(BetaGeoModel._loglik_loop, _fit.Sample((x, last, now), weight), theta)
        alive = self._alive(x, before, after, theta, rates, hazards)
        # the derivatives by A(T) and A(t_x): of the part of those alive, and of those who left at t_x
        r, alpha = theta[0], theta[1]
        by_now = -weight * alive * (r + x) / (alpha + now)
        by_last = -weight * (1.0 - alive) * (r + x) / (alpha + last)
        by_rate = before.by_interval(by_now + by_last, rates.size) + after.by_interval(by_now, rates.size)
        return float(result[0]), result[1:], rates * by_rate, np.zeros(rates.size)

    def _value(self, watched: Watched, rates: np.ndarray, hazards: np.ndarray, theta: np.ndarray) -> float:
        x, weight, before, after, _ = watched
        last = before.exposure(rates)
        now = last + after.exposure(rates)
        return float(_fit.total(BetaGeoModel._loglik_loop, _fit.Sample((x, last, now), weight), theta)[0])

    def _alive(
        self, x: np.ndarray, before: Pieces, after: Pieces, theta: np.ndarray, rates: np.ndarray, hazards: np.ndarray
    ) -> np.ndarray:
        last, alive = before.exposure(rates), np.empty(x.size)
        _jit.run(BetaGeoModel._alive_loop, x.size, x, last, last + after.exposure(rates), theta, out=(alive,))
        return alive

    def _if_alive(
        self,
        x: np.ndarray,
        bought: np.ndarray,
        aged: np.ndarray,
        window: Window,
        times: np.ndarray,
        weights: np.ndarray,
        theta: np.ndarray,
    ) -> np.ndarray:
        exposures = np.concatenate(([0.0], np.cumsum(window.length * window.rates)))
        result = np.empty(x.size)
        horizons = np.interp(times, window.edges(), exposures)
        _jit.run(BetaGeoModel._purchases_loop, x.size, x, bought, theta, horizons, weights, out=(result,), size=512)
        return result

    def _given_alive(self, x: np.ndarray, bought: np.ndarray, aged: np.ndarray, theta: np.ndarray) -> GivenAlive:
        r, alpha, a, b = theta
        return GivenAlive.of(x.size, shape=r + x, scale=alpha + bought, a=a, c=b + x)
