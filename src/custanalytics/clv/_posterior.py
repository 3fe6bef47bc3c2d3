"""Draws from the posterior of a model's parameters, and what they say of the parameters and of customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from custanalytics._params import LEVEL, Number, check_value, check_values, integer
from custanalytics.clv import _nuts, _psis
from custanalytics.clv._posterior_predictions import PosteriorPredictions

if TYPE_CHECKING:
    from custanalytics.clv._base import LikelihoodModel


class ParameterSummary(NamedTuple):
    """What a posterior says of one parameter."""

    mean: float
    sd: float
    lower: float
    upper: float


class ParameterPosterior(PosteriorPredictions):
    """Posterior distribution of the parameters of a model, as weighted draws, and predictions that allow for it.

    `model.posterior(table)` makes it. It holds draws and a copy of the model, but no customers and no log.

    Attributes
    ----------
    names : tuple of str
        The parameters, in the order of the columns of `draws`.
    draws : ndarray of shape (n_draws, n_params)
        Draws of the parameters; those that carry a unit are in it, as in `params_`.
    weights : ndarray of shape (n_draws,)
        Importance weight of each draw; they sum to 1.
    k_hat : float
        Pareto shape of the largest weights. Below 0.5 all is well, above 0.7 (then there is a warning) the posterior
        has tails that the draws have not seen. NaN for draws of NUTS, which need no weights.
    effective_sample_size : float
        How many independent draws are worth as much.
    held : tuple of str
        Parameters that the data leave open and that stay at one value.
    method : str
        ``"laplace"`` or ``"nuts"``.

    See Also
    --------
    BetaGeoModel : A model that has a posterior, like every other in this module.
    LifetimeValue : Its posterior combines purchases and spend.

    Notes
    -----
    The density is the likelihood times a prior on the logarithms of the parameters: flat, or the normal one of the
    model's `penalty`. Laplace's approximation of it, a normal distribution about its maximum with the inverse of the
    observed information as covariance, is widened to a multivariate t with 6 degrees of freedom; a quarter of the
    draws come from it. The others come from two more proposals each made of two such t, with the moments of the middle
    and of the longer tail of the draws before. All are put right by importance weights, the posterior over the mixture
    of all proposals ([3]_). The largest weights are smoothed by a generalised Pareto distribution, whose shape is
    `k_hat` ([1]_, section 2.4), fitted as in [2]_.

    References
    ----------
    .. [1] A. Vehtari, D. Simpson, A. Gelman, Y. Yao and J. Gabry (2024), "Pareto Smoothed Importance Sampling",
       Journal of Machine Learning Research 25(72), https://www.jmlr.org/papers/v25/19-556.html.
    .. [2] J. Zhang and M. A. Stephens (2009), "A New and Efficient Estimation Method for the Generalized Pareto
       Distribution", Technometrics 51(3), https://doi.org/10.1198/tech.2009.08017.
    .. [3] J.-M. Cornuet, J.-M. Marin, A. Mira and C. P. Robert (2012), "Adaptive Multiple Importance Sampling",
       Scandinavian Journal of Statistics 39(4), https://doi.org/10.1111/j.1467-9469.2011.00756.x.

    Examples
    --------
    >>> import numpy as np
    >>> from custanalytics.clv import NBDModel
    >>> counts = {"frequency": [0, 1, 2, 3, 5, 8], "recency": [0.0, 9.0, 9.0, 9.0, 9.0, 9.0], "T": [10.0] * 6}
    >>> customers = [60, 25, 15, 10, 6, 4]
    >>> model = NBDModel().fit(counts, sample_weight=customers)
    >>> posterior = model.posterior(counts, sample_weight=customers, rng=0)
    >>> posterior.names
    ('r', 'alpha')
    >>> bool(posterior.k_hat < 0.5), bool(posterior.effective_sample_size > 2_000)
    (True, True)
    >>> {name: round(value, 1) for name, value in posterior.mean().items()}
    {'r': 0.7, 'alpha': 5.6}
    """

    def __init__(
        self,
        model: LikelihoodModel,
        draws: np.ndarray,
        weights: np.ndarray,
        *,
        k_hat: float,
        effective_sample_size: float,
        held: tuple[str, ...] = (),
        method: str = "laplace",
        chains: int = 1,
        statistics: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.model = model
        self.names = tuple(model._estimates())
        self.draws = draws
        self.weights = weights
        self.k_hat = k_hat
        self.effective_sample_size = effective_sample_size
        self.held = held
        self.method = method
        self._chains = chains
        self._statistics = dict(statistics or {})

    def __repr__(self) -> str:
        quality = f"k_hat={self.k_hat:.2f}, " if self.method == "laplace" else ""
        lines = [
            f"ParameterPosterior of {type(self.model).__name__}: {len(self.draws):,} draws by {self.method}, "
            f"{quality}effective_sample_size={self.effective_sample_size:,.0f}",
            f"{'':12}{'mean':>12}{'sd':>12}{'5%':>12}{'95%':>12}",
        ]
        for name, each in self.summary().items():
            lines.append(f"{name:12}" + "".join(f"{value:>12.4g}" for value in each))
        return "\n".join(lines)

    @property
    def log_weights(self) -> np.ndarray:
        """Logarithms of the importance weights: shape (n_draws,)."""
        with np.errstate(divide="ignore"):
            return np.log(self.weights)

    def mean(self) -> dict[str, float]:
        """Posterior mean of each parameter.

        Returns
        -------
        dict of str to float
        """
        return dict(zip(self.names, (self.weights @ self.draws).tolist(), strict=True))

    def covariance(self) -> np.ndarray:
        """Posterior covariance of the parameters.

        Returns
        -------
        ndarray of shape (n_params, n_params)
        """
        centred = self.draws - self.weights @ self.draws
        return (centred * self.weights[:, None]).T @ centred

    def sd(self) -> dict[str, float]:
        """Posterior standard deviation of each parameter.

        Returns
        -------
        dict of str to float
        """
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance())).tolist(), strict=True))

    def quantile(self, q: ArrayLike) -> dict[str, Any]:
        """Posterior quantiles of each parameter.

        Parameters
        ----------
        q : float or array-like
            Probabilities.

        Returns
        -------
        dict of str to float or ndarray of the shape of `q`
        """
        wanted = check_values("q", q, (Number(0, 1),), "ParameterPosterior.quantile")
        found = {}
        for name, values in zip(self.names, self.draws.T, strict=True):
            order = np.argsort(values, kind="stable")
            reached = np.cumsum(self.weights[order]) - 0.5 * self.weights[order]
            each = np.interp(wanted, reached, values[order])
            found[name] = each if wanted.ndim else float(each)
        return found

    def interval(self, level: float = 0.9) -> dict[str, tuple[float, float]]:
        """Central credible interval of each parameter.

        Parameters
        ----------
        level : float, default=0.9
            Probability within; the rest is shared between the two sides.

        Returns
        -------
        dict of str to (lower, upper)
        """
        check_value("level", level, (LEVEL,), "ParameterPosterior.interval")
        found = self.quantile([0.5 * (1.0 - level), 0.5 * (1.0 + level)])
        return {name: (float(low), float(high)) for name, (low, high) in found.items()}

    def summary(self, level: float = 0.9) -> dict[str, ParameterSummary]:
        """Mean, standard deviation and central credible interval of each parameter.

        Parameters
        ----------
        level : float, default=0.9
            Probability within the interval.

        Returns
        -------
        dict of str to ParameterSummary
            Named tuples of `mean`, `sd`, `lower` and `upper`.
        """
        mean, sd, interval = self.mean(), self.sd(), self.interval(level)
        return {name: ParameterSummary(mean[name], sd[name], *interval[name]) for name in self.names}

    def resample(self, n_draws: int, rng: Any = None) -> np.ndarray:
        """Draws of equal weight, for programs of your own.

        Parameters
        ----------
        n_draws : int
            How many.
        rng : int or numpy.random.Generator, optional
            Seed, or source of randomness.

        Returns
        -------
        ndarray of shape (n_draws, n_params)
            Rows of `draws`, each taken as often as its weight asks for, in random order.
        """
        check_value("n_draws", n_draws, (integer(1),), "ParameterPosterior.resample")
        return self.draws[_psis.resampled(self.weights, int(n_draws), np.random.default_rng(rng))]

    def to_arviz(self) -> Any:
        """Give the draws as ArviZ data; needs the extra `bayes`.

        Returns
        -------
        arviz.InferenceData
            With the group `posterior`, for NUTS by chain and with `sample_stats`; draws of Laplace's approximation
            are resampled to equal weight, as one chain.

        Raises
        ------
        MissingExtraError
            If ArviZ is not installed.
        """
        draws = self.draws if self.method == "nuts" else self.resample(len(self.draws), rng=0)
        chains = draws.reshape(self._chains, -1, len(self.names))
        return _nuts.inference_data(dict(zip(self.names, np.moveaxis(chains, 2, 0), strict=True)), self._statistics)
