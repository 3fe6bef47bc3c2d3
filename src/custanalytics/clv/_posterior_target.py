"""The log-posterior of a model's parameters: the compressed likelihood plus the logarithm of the prior.

Coordinates are the logarithms of the parameters in multiples of the solver's unit; coefficients of covariates are as
they are. A prior is flat in them, or normal where the model has a penalty.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from custanalytics._params import warn
from custanalytics.clv import _fit
from custanalytics.exceptions import FitWarning

if TYPE_CHECKING:
    from custanalytics.clv._base import LikelihoodModel

LEAST = 1e-8  # curvature, relative to the largest, below which a direction is taken to be as wide as that


class LogPosterior(Protocol):
    """Minus the logarithm of a likelihood and a prior, with its gradient, in the coordinates of the module."""

    @property
    def penalty(self) -> _fit.Penalty:
        """Minus the logarithm of the prior."""

    @property
    def coefficients(self) -> int:
        """How many coordinates, the last ones, are no logarithms."""

    def __call__(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        """The value and the gradient."""

    def natural(self, logs: np.ndarray) -> np.ndarray:
        """The parameters themselves, of one point or of one in each row."""

    def log_likelihoods(self, thetas: np.ndarray) -> np.ndarray:
        """Without the prior, of parameters in each row: shape (n_rows,)."""


@dataclass(frozen=True)
class Target:
    """A log-posterior, its mode, and the directions in which it is explored."""

    objective: LogPosterior  # minus the log-posterior, with its gradient
    mode: np.ndarray
    root: np.ndarray  # of shape (n_coordinates, n_free): its product with its transpose is the covariance at the mode
    names: tuple[str, ...]
    held: tuple[str, ...]  # parameters that the table leaves open, which stay where the mode has them

    def at(self, z: np.ndarray) -> np.ndarray:
        """Coordinates of points given in standard deviations from the mode."""
        return self.mode + z @ self.root.T

    def natural(self, logs: np.ndarray) -> np.ndarray:
        """The parameters themselves."""
        return self.objective.natural(logs)

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """The log-posterior, up to a constant, of points in standard deviations from the mode: one a row."""
        logs, objective = self.at(z), self.objective
        penalty = objective.penalty
        weight = np.broadcast_to(penalty.weight, logs.shape[1:])
        with np.errstate(over="ignore"):  # far out a parameter may be infinite: there is no density
            thetas = objective.natural(logs)
        values = objective.log_likelihoods(thetas) - ((logs - penalty.centre) ** 2) @ weight
        inside = (np.abs(logs[:, : logs.shape[1] - objective.coefficients]) <= _fit.BOX).all(axis=1)
        return np.where(inside & np.isfinite(values), values, -np.inf)


def target_of(model: LikelihoodModel, table: Any, sample_weight: Any) -> Target:
    """The posterior that a fitted model and a table of customers make, with its mode near the model's parameters."""
    owner = type(model).__name__
    objective, start = model._log_posterior(table, sample_weight)
    n = objective.coefficients
    optimum = _fit.minimise(objective, start, int(model.max_iter), float(model.tol))
    names = tuple(model._estimates())
    open_ended = _fit.undetermined(optimum)
    if n:  # a coefficient is no logarithm: only its flatness counts
        open_ended[-n:] &= np.diag(optimum.hessian)[-n:] < _fit.FLAT
    held = tuple(name for name, flat in zip(names, open_ended, strict=True) if flat)
    if len(held) == len(names):
        raise ValueError(
            f"{owner}.posterior: these data determine none of the parameters {list(names)}, so that there is no "
            f"posterior. Give a prior: {owner}(penalty=0.1), or a mapping of (median, spread) by parameter."
        )
    if held:
        warn(
            f"{owner}.posterior: these data do not determine {', '.join(held)}, held at the fitted values; the "
            "uncertainty of the others is given those. For a posterior of all parameters give the model a prior: "
            f"{owner}(penalty=0.1), or a mapping of (median, spread) by parameter.",
            FitWarning,
        )
    if isinstance(objective, _fit.Likelihood):
        objective = replace(objective, exact=False)  # the draws need no second derivatives
    return Target(objective, optimum.logs, _root(optimum.hessian, ~open_ended), names, held)


def _root(hessian: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Standard deviations along the axes of the inverse of the curvature, over the free coordinates."""
    at = np.flatnonzero(free)
    values, vectors = np.linalg.eigh(hessian[np.ix_(at, at)])
    root = np.zeros((free.size, at.size))
    root[at] = vectors / np.sqrt(np.maximum(np.abs(values), LEAST * np.abs(values).max()))
    return root
