"""What the likelihood of a fit says beyond its maximum: criteria, robust covariance, tests between nested models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from scipy import stats
from sklearn.utils.validation import check_is_fitted

from custanalytics import _frames
from custanalytics._params import LEVEL, check_value
from custanalytics.clv import _fit
from custanalytics.clv._design import within
from custanalytics.clv._saved import Saved

if TYPE_CHECKING:
    from custanalytics.clv._base import LikelihoodModel


# Which models contain which: exponential lifetimes are a limit of Gompertz's, the NBD is the limit of no dropout.
CONTAINED_IN = {
    "NBDModel": (
        *("BetaGeoModel", "ModifiedBetaGeoModel", "TimeVaryingBetaGeoModel"),
        *("ParetoNBDModel", "GammaGompertzNBDModel", "TimeVaryingParetoNBDModel"),
    ),
    "BetaGeoModel": ("TimeVaryingBetaGeoModel",),
    "ParetoNBDModel": ("GammaGompertzNBDModel", "TimeVaryingParetoNBDModel"),
    "ShiftedBetaGeoModel": ("BetaDiscreteWeibullModel",),
    "GammaGammaModel": ("CorrelatedGammaGammaModel",),
}


class Inference(Saved):
    """Criteria and covariances of a model that was fitted by maximum likelihood."""

    _names: ClassVar[tuple[str, ...]]

    @property
    def aic_(self) -> float:
        """Akaike's criterion, 2 k - 2 log-likelihood with k parameters: smaller is better."""
        check_is_fitted(self, "log_likelihood_")
        return 2.0 * self._freedom() - 2.0 * self.log_likelihood_

    @property
    def bic_(self) -> float:
        """Schwarz's criterion, k log(customers) - 2 log-likelihood: smaller is better."""
        check_is_fitted(self, "log_likelihood_")
        return self._freedom() * float(np.log(self.n_customers_)) - 2.0 * self.log_likelihood_

    def _freedom(self) -> int:
        """How many numbers were estimated."""
        return len(self.standard_errors_)

    def summary(self: LikelihoodModel, level: float = 0.9) -> Any:
        """The estimates with their standard errors and confidence intervals, as a table.

        Parameters
        ----------
        level : float, default=0.9
            Share of samples whose interval holds the true value.

        Returns
        -------
        frame
            In pandas, one row per estimate: parameter (coefficients of covariates as "rate:column" and so on),
            estimate, standard_error, lower and upper. The first are in the unit that the parameter carries.

        Notes
        -----
        With u the logarithm of a parameter (a coefficient as it is) in standard errors from its estimate, and F the
        third derivative of the log-likelihood by u, the others at their best for it, the log-likelihood of
        :math:`(\\exp(-F u / 3) - 1) / (-F / 3)` has no third derivative ([1]_). Intervals are symmetric in that,
        and so come close to those of the profile likelihood: longer on the side where the likelihood falls off slowly,
        endless where the data hardly contradict a limit. Around what is in `undetermined_` they are endless, and then
        the others hold only with that where it is: where it matters, prefer `posterior` with a `penalty`.
        Of more than 2,048 distinct rows (512 in the Pareto/NBD) so many tell F, and all where it is above 1.

        References
        ----------
        .. [1] D. A. Sprott (1973), "Normal Likelihoods and Their Relation to Large Sample Theory of Estimation",
           Biometrika 60(3), https://doi.org/10.1093/biomet/60.3.457.

        Examples
        --------
        >>> from custanalytics.clv import NBDModel
        >>> counts = {"frequency": [0, 1, 2, 3, 5, 8], "recency": [0.0, 9.0, 9.0, 9.0, 9.0, 9.0], "T": [10.0] * 6}
        >>> NBDModel().fit(counts, sample_weight=[60, 25, 15, 10, 6, 4]).summary().round(2)
          parameter  estimate  standard_error  lower  upper
        0         r      0.67            0.17   0.45   1.03
        1     alpha      5.45            1.57   3.39   8.75
        """
        check_is_fitted(self, "standard_errors_")
        check_value("level", level, (LEVEL,), f"{type(self).__name__}.summary")
        names, estimates = list(self._estimates()), np.array(list(self._estimates().values()))
        errors = np.array([self.standard_errors_[name] for name in names])
        skewness = getattr(self, "_skewness", {})  # which a model written by an earlier version lacks
        bend = np.array([-skewness.get(name, 0.0) / 3.0 for name in names])
        positive = np.arange(len(names)) < len(self._names) - self._signed
        unit = np.divide(errors, estimates, out=errors.copy(), where=positive)
        deviations = float(stats.norm.ppf(0.5 + 0.5 * level)) * np.array([[-1.0], [1.0]])
        away = unit * _unbent(deviations, bend)
        with np.errstate(over="ignore"):  # hardly known at all: endless
            lower, upper = np.where(positive, estimates * np.exp(np.where(positive, away, 0.0)), estimates + away)
        columns = {"estimate": estimates, "standard_error": errors, "lower": lower, "upper": upper}
        return _frames.table({"parameter": np.array(names), **columns})

    def sandwich_covariance(self: LikelihoodModel, table: Any, sample_weight: Any = None) -> np.ndarray:
        """Covariance of the parameters that holds where the model is only an approximation of the customers.

        Parameters
        ----------
        table : frame or mapping of arrays
            The customers that the model was fitted to.
        sample_weight : array-like of shape (n_customers,) or str, optional
            Their weights in that fit: counts of customers.

        Returns
        -------
        ndarray of shape (n_params, n_params)
            Of the parameters in their order in `params_`. What is not determined has infinite variance.

        Notes
        -----
        With H the observed information and g the gradients of the customers' log-likelihoods, it is
        :math:`H^{-1} \\big(\\sum g g'\\big) H^{-1}` ([1]_, theorem 3.2). `covariance_` is :math:`H^{-1}`: the two
        agree where the model holds.

        References
        ----------
        .. [1] H. White (1982), "Maximum Likelihood Estimation of Misspecified Models", Econometrica 50(1),
           https://doi.org/10.2307/1912526.
        """
        check_is_fitted(self, "covariance_")
        loop, theta = self._likelihood()
        sample = self._sample(table, sample_weight)
        gradients = _fit.gradients(loop, sample, theta)
        spread = (gradients * sample.weight[:, None]).T @ gradients
        known = np.isfinite(np.diag(self.covariance_))
        inverse = np.where(np.outer(known, known), self.covariance_, 0.0)
        result = inverse @ spread @ inverse
        result[~known, ~known] = np.inf
        return 0.5 * (result + result.T)


def _unbent(deviations: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """The u of which (exp(bend * u) - 1) / bend is so much; infinite where none is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bend == 0.0, deviations, np.log1p(np.maximum(bend * deviations, -1.0)) / bend)


class LikelihoodRatio(NamedTuple):
    """Result of `likelihood_ratio_test`."""

    statistic: float
    degrees_of_freedom: int
    p_value: float


def likelihood_ratio_test(restricted: Any, full: Any) -> LikelihoodRatio:
    """Test whether the data need the fuller of two nested models.

    Parameters
    ----------
    restricted, full : fitted models
        Of the same customers, without penalty; `restricted` is a special case of `full`, as `NBDModel` is of
        `BetaGeoModel` and `ParetoNBDModel`, `ShiftedBetaGeoModel` of `BetaDiscreteWeibullModel`, or a model of
        itself with covariates.

    Returns
    -------
    LikelihoodRatio
        A named tuple of `statistic`, twice the difference of the log-likelihoods, `degrees_of_freedom` and
        `p_value`: how likely such a difference is where the restricted model holds.

    Raises
    ------
    ValueError
        If the models are not nested, not of the same customers, or penalised.

    Notes
    -----
    The statistic is asymptotically chi-squared. Where the restricted model lies at the boundary of the full one
    (nobody drops out), the true distribution is smaller, and `p_value` is an upper bound ([1]_, case 5).

    References
    ----------
    .. [1] S. G. Self and K.-Y. Liang (1987), "Asymptotic Properties of Maximum Likelihood Estimators and Likelihood
       Ratio Tests under Nonstandard Conditions", Journal of the American Statistical Association 82(398),
       https://doi.org/10.1080/01621459.1987.10478472.

    Examples
    --------
    1,000 customers, of whom so many left in each of seven years and 491 stayed: do chances to stay change with time?

    >>> import numpy as np
    >>> from custanalytics.clv import BetaDiscreteWeibullModel, ShiftedBetaGeoModel, likelihood_ratio_test
    >>> years = {"recency": np.arange(8), "T": np.full(8, 7)}
    >>> customers = [131, 126, 90, 60, 42, 34, 26, 491]
    >>> constant = ShiftedBetaGeoModel().fit(years, sample_weight=customers)
    >>> changing = BetaDiscreteWeibullModel().fit(years, sample_weight=customers)
    >>> round(likelihood_ratio_test(constant, changing).p_value, 3)
    0.0
    """
    for model in (restricted, full):
        check_is_fitted(model, "log_likelihood_")
        if model.penalty or getattr(model, "covariate_penalty", 0.0):
            raise ValueError(f"A likelihood ratio needs fits without penalty; {model!r} has one.")
    small, large = type(restricted).__name__, type(full).__name__
    freedom = full._freedom() - restricted._freedom()
    nested = large in CONTAINED_IN.get(small, ()) or small == large
    if not nested or freedom < 1 or not within(restricted, full):
        raise ValueError(f"{small} is not a special case of {large}: compare them by aic_ or bic_.")
    if restricted.n_customers_ != full.n_customers_:
        raise ValueError(
            f"The models are of different customers: {restricted.n_customers_:,.0f} and {full.n_customers_:,.0f}. "
            "Fit both to the same table."
        )
    statistic = max(2.0 * (full.log_likelihood_ - restricted.log_likelihood_), 0.0)
    return LikelihoodRatio(statistic, freedom, float(stats.chi2.sf(statistic, freedom)))
