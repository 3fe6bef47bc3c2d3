"""The method `posterior` of every model, by importance sampling or by the No-U-Turn sampler."""

from __future__ import annotations

from copy import copy
from typing import Any, Self

import numpy as np

from custanalytics._params import OneOf, check_value, integer, warn
from custanalytics.clv import _fit, _nuts, _proposals, _psis
from custanalytics.clv._posterior import ParameterPosterior
from custanalytics.clv._posterior_target import LogPosterior, Target, target_of
from custanalytics.exceptions import FitWarning


class Posterior:
    """The method `posterior` of every model that is fitted by maximum likelihood."""

    def posterior(
        self: Any,
        table: Any,
        *,
        n_draws: int = 4000,
        rng: Any = None,
        method: str = "laplace",
        sample_weight: Any = None,
    ) -> ParameterPosterior:
        """Posterior distribution of the parameters, given the customers of a table.

        Parameters
        ----------
        table : frame or mapping of arrays
            The customers that the model was fitted to: a fitted model holds none. With another table, the posterior
            given that one; the parameters of the model are where the search for its maximum starts.
        n_draws : int, default=4000
            How many draws. The time grows with them and with the number of distinct customers: for tables with 10^5
            of these, 500 tell as much, since there the posterior is all but normal.
        rng : int or numpy.random.Generator, optional
            Seed, or source of randomness.
        method : {"laplace", "nuts"}, default="laplace"
            Importance sampling from Laplace's approximation, in a fraction of a second; or the No-U-Turn sampler in
            four chains, in seconds, which needs the extra `bayes`.
        sample_weight : array-like of shape (n_customers,) or str, optional
            Weights of the customers: counts of them.

        Returns
        -------
        ParameterPosterior

        Raises
        ------
        MissingExtraError
            If `method` is ``"nuts"`` and nutpie or ArviZ is not installed.
        ValueError
            If the data determine none of the parameters.

        Warns
        -----
        FitWarning
            If some parameters are not determined by the data and are held, or `k_hat` is above 0.7.

        Notes
        -----
        The prior is that of `penalty`: normal on the logarithms of the parameters, flat where there is none. That on
        coefficients of covariates, which are no logarithms, is of `covariate_penalty`, likewise. A model whose
        covariates change with time needs its `intervals` and, for those of the rate, its `log`.
        """
        owner = f"{type(self).__name__}.posterior"
        check_value("n_draws", n_draws, (integer(100),), owner)
        check_value("method", method, (OneOf(("laplace", "nuts")),), owner)
        source = np.random.default_rng(rng)
        if method == "nuts":
            _nuts.require()
        target = target_of(self, table, sample_weight)
        model = self._without_data()
        return (_by_laplace if method == "laplace" else _by_nuts)(model, target, int(n_draws), source)

    def _log_posterior(self: Any, table: Any, sample_weight: Any) -> tuple[LogPosterior, np.ndarray]:
        """Minus the log-posterior given the customers of a table, and where in it the model's parameters are."""
        loop, theta = self._likelihood()
        sample = self._sample(table, sample_weight)
        unit = sample.size(self._columns.index(self._unit_columns[-1])) if self._unit_columns else 1.0
        units = np.append(self._units(unit), np.ones(theta.size - len(self._names)))
        n = theta.size - len(self._names) + self._signed
        k = theta.size - n
        start = np.append(np.log(theta[:k] / units[:k]), theta[k:])
        return _fit.Likelihood(loop, sample, self._penalty(unit), self._second_derivatives, units, n), start

    def _described_customers(self: Any, table: Any) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, ...]]:
        """Columns that make a table of any of the customers, and numbers that are the same where customers are."""
        columns = getattr(self, "_checked_columns", self._read)(table)
        return dict(zip(self._columns, columns, strict=True)), columns

    def _without_data(self) -> Self:
        """A copy that predicts as the model does, and holds no customers."""
        return copy(self)

    def _keep_point(self: Any, theta: np.ndarray, coefficients: Any) -> None:
        """Take other parameters, and other coefficients of covariates where there are any."""
        if len(coefficients):
            self._keep_coefficients(self._design(), coefficients)
        self._keep(theta)


def _by_laplace(model: Any, target: Target, n: int, rng: np.random.Generator) -> ParameterPosterior:
    z, weights, k_hat = _proposals.sample(target.log_density, target.root.shape[1], n, rng)
    if k_hat > _psis.TRUSTED:
        warn(
            f"{type(model).__name__}.posterior: k_hat = {k_hat:.2f} is above {_psis.TRUSTED}, so that a few of the "
            f"{n:,} draws outweigh the rest: the posterior has long tails, as that of few customers has. Give the "
            'model a prior, penalty=0.1, or draw by method="nuts".',
            FitWarning,
        )
    size = _psis.effective_size(weights)
    draws = target.natural(target.at(z))
    return ParameterPosterior(model, draws, weights, k_hat=k_hat, effective_sample_size=size, held=target.held)


def _by_nuts(model: Any, target: Target, n: int, rng: np.random.Generator) -> ParameterPosterior:
    found = _nuts.sample(target, n, rng)
    draws = target.natural(target.at(found.positions))
    return ParameterPosterior(
        model,
        draws,
        np.full(len(draws), 1.0 / len(draws)),
        k_hat=float("nan"),
        effective_sample_size=_nuts.effective_size(target.at(found.positions), found.chains),
        held=target.held,
        method="nuts",
        chains=found.chains,
        statistics=found.statistics,
    )
