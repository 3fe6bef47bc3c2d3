"""The log-posterior of a model's parameters: the compressed likelihood plus the logarithm of the prior.

Coordinates are the logarithms of the parameters in multiples of the solver's unit; coefficients of covariates are as
they are. A prior is flat in them, or normal where the model has a penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from custanalytics import _jit
from custanalytics._params import warn
from custanalytics.clv import _fit
from custanalytics.exceptions import FitWarning

if TYPE_CHECKING:
    from custanalytics.clv._base import LikelihoodModel

BATCH = 64  # draws that one thread evaluates at a time
LEAST = 1e-8  # curvature, relative to the largest, below which a direction is taken to be as wide as that


@dataclass(frozen=True)
class Target:
    """A log-posterior, its mode, and the directions in which it is explored."""

    objective: _fit.Likelihood  # minus the log-posterior, with its gradient
    mode: np.ndarray
    root: np.ndarray  # of shape (n_coordinates, n_free): its product with its transpose is the covariance at the mode
    names: tuple[str, ...]
    held: tuple[str, ...]  # parameters that the table leaves open, which stay where the mode has them

    def at(self, z: np.ndarray) -> np.ndarray:
        """Coordinates of points given in standard deviations from the mode."""
        return self.mode + z @ self.root.T

    def natural(self, logs: np.ndarray) -> np.ndarray:
        """The parameters themselves."""
        theta = np.exp(logs)
        n = self.objective.coefficients
        theta[..., theta.shape[-1] - n :] = logs[..., logs.shape[-1] - n :]
        return theta * self.objective.units

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """The log-posterior, up to a constant, of points in standard deviations from the mode: one a row."""
        logs, objective = self.at(z), self.objective
        thetas, penalty = self.natural(logs), objective.penalty
        if objective.sample.weight.size > _jit.SLICE:  # the threads are busy with the slices of one draw
            values = np.array([_fit.total(objective.loop, objective.sample, theta)[0] for theta in thetas])
        else:
            values = np.empty(len(z))
            _jit.run(self._evaluate, len(z), thetas, out=(values,), size=BATCH)
        weight = np.broadcast_to(penalty.weight, logs.shape[1:])
        values = values - ((logs - penalty.centre) ** 2) @ weight
        inside = (np.abs(logs[:, : logs.shape[1] - objective.coefficients]) <= _fit.BOX).all(axis=1)
        return np.where(inside & np.isfinite(values), values, -np.inf)

    def _evaluate(self, start: int, stop: int, thetas: np.ndarray, out: np.ndarray) -> None:
        """Log-likelihoods of some draws, on this thread."""
        sample, loop = self.objective.sample, self.objective.loop
        columns = [column.view() for column in (*sample.columns, sample.weight)]
        for column in columns:
            column.flags.writeable = False
        part = np.zeros((1, 1 + thetas.shape[1]))
        for i in range(start, stop):
            part[:] = 0.0
            loop(0, sample.weight.size, *columns, thetas[i], part)
            out[i] = part[0, 0]


def target_of(model: LikelihoodModel, table: Any, sample_weight: Any) -> Target:
    """The posterior that a fitted model and a table of customers make, with its mode near the model's parameters."""
    owner = type(model).__name__
    if not hasattr(model, "_loglik_loop"):
        raise TypeError(
            f"{owner} has no posterior: its likelihood is of intervals of the calendar. Its covariance_ and "
            "standard_errors_ say how sure its estimates are."
        )
    loop, theta = model._likelihood()
    sample = model._sample(table, sample_weight)
    unit = sample.mean(model._columns.index(model._unit_columns[-1])) if model._unit_columns else 1.0
    n = theta.size - len(model._names)
    units = np.append(model._units(unit), np.ones(n))
    n += model._signed
    objective = _fit.Likelihood(loop, sample, model._penalty(unit), model._second_derivatives, units, n)
    start = np.append(np.log(theta[: theta.size - n] / units[: theta.size - n]), theta[theta.size - n :])
    optimum = _fit.minimise(objective, start, int(model.max_iter), float(model.tol))
    names = tuple(model._estimates())
    open_ended = _fit.undetermined(optimum)
    if n:  # a coefficient is no logarithm: only its flatness counts
        open_ended[-n:] &= np.diag(optimum.hessian)[-n:] < _fit.FLAT
    held = tuple(name for name, flat in zip(names, open_ended, strict=True) if flat)
    plain = _fit.Likelihood(loop, sample, objective.penalty, False, units, n)
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
    return Target(plain, optimum.logs, _root(optimum.hessian, ~open_ended), names, held)


def _root(hessian: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Standard deviations along the axes of the inverse of the curvature, over the free coordinates."""
    at = np.flatnonzero(free)
    values, vectors = np.linalg.eigh(hessian[np.ix_(at, at)])
    root = np.zeros((free.size, at.size))
    root[at] = vectors / np.sqrt(np.maximum(np.abs(values), LEAST * np.abs(values).max()))
    return root
