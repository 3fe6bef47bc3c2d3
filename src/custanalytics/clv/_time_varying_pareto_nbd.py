"""The Pareto/NBD model with covariates that change with time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from custanalytics import _jit
from custanalytics._params import InstanceOf, Rule
from custanalytics.clv._calendar import Pieces
from custanalytics.clv._covariates import DROPOUT, EQUAL
from custanalytics.clv._dropout_covariates import check_equal
from custanalytics.clv._given_alive import GivenAlive
from custanalytics.clv._kernels_varying import seen_loop, varying_loop
from custanalytics.clv._limits import LIFETIMES, PURCHASES, Limits
from custanalytics.clv._pareto_nbd import ParetoNBDModel
from custanalytics.clv._time_varying import TimeVaryingModel
from custanalytics.clv._windows import Watched, Window, mean_lifetime

SLICE = 512  # customers whose integrals one thread takes at a time


class TimeVaryingParetoNBDModel(TimeVaryingModel):
    """Pareto/NBD model whose rates of purchase and of dropout follow seasons, campaigns and whatever else changes.

    While a covariate is z, everybody buys, or leaves, exp(coefficient * z) times as fast as at z = 0. It applies where
    Christmas, a sale or a mailing moves many at once, and one knows when: otherwise `ParetoNBDModel` takes the quiet
    after a season for dropout. It does not where covariates follow from what a customer did, as a mailing does that
    goes to those who bought last: its coefficient is then no effect.

    Parameters
    ----------
    intervals : frame
        The covariates over time: columns `start` and, one each, the covariates; `end` where the last interval does
        end (it is open without); `customer_id` where they are not the same for everybody. `start` belongs to an
        interval, `end` to the next; there is no gap. It must cover each customer from the first purchase on, and
        what predictions look ahead.
    log : frame
        The log that the table was made of: it shows which covariates held at each purchase. Only `fit`, `score` and
        `posterior` need it, and only for covariates of the rate.
    rate_covariates : tuple of str
        Covariates of the rate of purchase, by name.
    dropout_covariates : tuple of str
        Covariates of the rate of dropout, by name.
    equal_covariates : tuple of str
        Covariates with one coefficient for both rates, named in neither of the other two.
    columns : mapping of str to str, optional
        Maps the standard names of the log's columns to yours.
    time_unit : {"h", "D", "W", "M", "Y"}, default="W"
        Unit of `recency`, `T` and horizons: that of the summary.
    period : {"h", "D"}, default="D"
        Purchases of one period count once, at its beginning: as in the summary.
    covariate_penalty : float, default=0.0
        Weight of the squared coefficients that is taken off the log-likelihood.
    penalty : float or mapping, default=0.0
        As that of `ParetoNBDModel`.
    max_iter : int, default=200
        Most iterations of the solver.
    tol : float, default=1e-9
        The solver stops when its next step would gain no more log-likelihood than this.

    Attributes
    ----------
    params_ : dict of str to float
        `r`, `alpha` (in `time_unit`), `s` and `beta` (in `time_unit`), as of `ParetoNBDModel`, while all covariates
        are 0.
    coefficients_ : dict of str to dict of str to float
        ``{"rate": {name: coefficient}}``, and "dropout" and "equal" likewise.
    log_likelihood_ : float
        At `params_`; comparable with that of `ParetoNBDModel`.
    standard_errors_ : dict of str to float
        From the observed information, those of coefficients as "rate:name" and so on; infinite for `undetermined_`
        ones.
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
    ParetoNBDModel : Without covariates, or with some that do not change.
    TimeVaryingBetaGeoModel : Dropout only right after a purchase.

    Notes
    -----
    With :math:`A(t)` the integral of :math:`e^{\\gamma z}` over the covariates of the rate from the first purchase on,
    :math:`B(t)` the same over those of dropout, and B' its derivative,

    .. math:: L = \\prod_{j=1}^x e^{\\gamma z(t_j)} \\frac{\\Gamma(r+x) \\alpha^r \\beta^s}{\\Gamma(r)}
              \\Big[ (\\alpha+A(T))^{-r-x} (\\beta+B(T))^{-s}
              + s \\int_{t_x}^T (\\alpha+A(u))^{-r-x} (\\beta+B(u))^{-s-1} B'(u) du \\Big].

    Between changes of covariates both A and B are linear, and the integral is that of `ParetoNBDModel`: it is taken by
    the same quadrature, piece by piece, with exact derivatives. The purchases expected from T on, given alive, are

    .. math:: \\frac{r+x}{\\alpha+A(T)} \\int_T^{T+t} \\Big( \\frac{\\beta+B(T)}{\\beta+B(u)} \\Big)^s A'(u) du.

    With :math:`P_n(a)` the negative binomial probability of n purchases after a time a at shape r+x and scale
    :math:`\\alpha+A(T)`, and :math:`S(u)` the power under that integral, the chance of n purchases, given alive, is

    .. math:: P_n\\big(A(T+t)-A(T)\\big) S(T+t) - \\int_T^{T+t} P_n\\big(A(u)-A(T)\\big) dS(u),

    a positive integral on each piece, to a relative error of about 1e-11.

    References
    ----------
    .. [1] P. Bachmann, M. Meierer and J. Naef (2021), "The Role of Time-Varying Contextual Factors in Latent Attrition
       Models for Customer Base Analysis", Marketing Science 40(4), 783-809, https://doi.org/10.1287/mksc.2020.1254.

    Examples
    --------
    Everybody buys twice as fast in December:

    >>> import numpy as np
    >>> from custanalytics.clv import TimeVaryingParetoNBDModel
    >>> months = {"start": ["1997-01-01", "1997-12-01", "1998-01-01"], "december": [0, 1, 0]}
    >>> model = TimeVaryingParetoNBDModel.from_params(
    ...     r=0.553, alpha=10.58, s=0.606, beta=11.66, coefficients={"rate": {"december": 0.693}}, intervals=months
    ... )
    >>> table = {"customer_id": [1], "frequency": [2], "recency": [30.0], "T": [40.0]}
    >>> table["first_seen"] = np.array(["1997-02-23"], "datetime64[us]")
    >>> model.predict_purchases(table, horizon=4).round(3)
    array([0.326])
    >>> model.predict_count_probabilities(table, n=[0, 1, 2], horizon=4).round(3)
    array([[0.746, 0.196, 0.046]])
    """

    _names: ClassVar[tuple[str, ...]] = ParetoNBDModel._names
    _limits: ClassVar[Limits] = (PURCHASES, LIFETIMES)
    _unit_powers: ClassVar[Mapping[str, int]] = ParetoNBDModel._unit_powers
    _static = ParetoNBDModel
    _rules: ClassVar[dict[str, tuple[Rule, ...]]] = {
        "dropout_covariates": (InstanceOf((tuple, list)),),
        "equal_covariates": (InstanceOf((tuple, list)),),
        **TimeVaryingModel._rules,
    }

    def __init__(
        self,
        *,
        intervals: Any = None,
        log: Any = None,
        rate_covariates: Sequence[str] = (),
        dropout_covariates: Sequence[str] = (),
        equal_covariates: Sequence[str] = (),
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
        self.dropout_covariates = dropout_covariates
        self.equal_covariates = equal_covariates
        self.columns = columns
        self.time_unit = time_unit
        self.period = period
        self.covariate_penalty = covariate_penalty

    def _processes(self) -> dict[str, tuple[str, ...]]:
        return {**super()._processes(), DROPOUT: tuple(self.dropout_covariates), EQUAL: tuple(self.equal_covariates)}

    def _check_settings(self) -> None:
        super()._check_settings()
        check_equal(self)

    def _likelihoods(
        self, watched: Watched, rates: np.ndarray, hazards: np.ndarray, theta: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        x, weight, before, after, _ = watched
        rows, pieces = customers(x, before, after, rates, hazards, theta)
        weighted = rows * weight[:, None]
        spread = np.repeat(weight, np.diff(after.bounds))
        by_rate, by_hazard = (
            np.bincount(after.interval, spread * pieces[:, side], each.size)
            + each * before.by_interval(weighted[:, 5 + side], each.size)
            for side, each in enumerate((rates, hazards))
        )
        sums = weighted.sum(axis=0)
        return float(sums[0]), sums[1:5], by_rate, by_hazard

    def _value(self, watched: Watched, rates: np.ndarray, hazards: np.ndarray, theta: np.ndarray) -> float:
        x, weight, before, after, _ = watched
        return float(weight @ seen(x, before, after, rates, hazards, theta)[0])

    def _alive(
        self, x: np.ndarray, before: Pieces, after: Pieces, theta: np.ndarray, rates: np.ndarray, hazards: np.ndarray
    ) -> np.ndarray:
        return seen(x, before, after, rates, hazards, theta)[1]

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
        r, alpha, s, beta = theta
        ends, pieces = window.cut(times)
        later = np.array([weights[times >= end].sum() for end in ends])  # of all expectations that a piece is part of
        result, now, ages = np.zeros(x.size), beta + aged, beta + aged
        for length, rate, hazard, weight in zip(*pieces, later, strict=True):
            lived = mean_lifetime(s, ages / hazard, length)
            result += weight * rate * (now / ages) ** s * lived
            ages = ages + hazard * length
        return (r + x) / (alpha + bought) * result

    def _given_alive(self, x: np.ndarray, bought: np.ndarray, aged: np.ndarray, theta: np.ndarray) -> GivenAlive:
        r, alpha, s, beta = theta
        return GivenAlive.of(x.size, shape=r + x, scale=alpha + bought, s=s, beta=beta + aged)


def customers(
    x: np.ndarray, before: Pieces, after: Pieces, rates: np.ndarray, hazards: np.ndarray, theta: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What the kernel says of each customer, and of each piece since the last purchase."""
    rows, pieces = np.empty((x.size, 8)), np.empty((after.length.size, 2))
    inputs = loop_inputs(before, after, rates, hazards)
    _jit.run(varying_loop, x.size, x, *inputs, theta, out=(rows, pieces), size=SLICE)
    return rows, pieces


def seen(
    x: np.ndarray, before: Pieces, after: Pieces, rates: np.ndarray, hazards: np.ndarray, theta: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood and P(alive) of each customer."""
    values, alive = np.empty(x.size), np.empty(x.size)
    inputs = loop_inputs(before, after, rates, hazards)
    _jit.run(seen_loop, x.size, x, *inputs, theta, out=(values, alive), size=SLICE)
    return values, alive


def loop_inputs(before: Pieces, after: Pieces, rates: np.ndarray, hazards: np.ndarray) -> tuple[np.ndarray, ...]:
    """What the kernels take of a calendar: the time that counted before the last purchase, and the pieces since."""
    exposures = before.exposure(rates), before.exposure(hazards)
    return (*exposures, after.bounds, after.length, rates[after.interval], hazards[after.interval])
