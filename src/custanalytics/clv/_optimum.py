"""Where the solver ended, and what the shape of the objective there says of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]

BOX = float(np.log(1e10))  # scaled parameters are looked for between 1e-10 and 1e10
BOUNDARY = BOX - 7.0  # a scaled parameter beyond 1e7 or below 1e-7 stands for a limit
FLAT = 1e-3  # curvature below which a log-parameter has a standard error above 30: not determined
CLEAR = 1.0  # variance of a log-parameter below which the data determine it, wherever it is
NEAR, SHORT = 0.01, 0.1  # standard deviations over which second and first derivatives are differenced for the third
SKEWED = 1.0  # from there on, where an end of 90 % is far away or nowhere, the skewness is told by all rows


@dataclass(frozen=True)
class Optimum:
    """Where the solver ended, with the curvature there."""

    logs: np.ndarray
    value: float
    gain: float  # by how much the next step is expected to improve the objective
    hessian: np.ndarray
    n_iter: int
    converged: bool
    objectives: tuple[Objective, ...] = field(default=(), kw_only=True)  # ever better ones: of few rows, of all


@dataclass(frozen=True)
class Shape:
    """What the objective around its optimum says of each log-parameter (of each coefficient)."""

    undetermined: np.ndarray  # a mask
    covariance: np.ndarray  # inverse of the observed information; infinite variance where undetermined
    skewness: np.ndarray  # third derivative of the log-likelihood, by standard deviations, others at their best for it


def shape(optimum: Optimum) -> Shape:
    """What the curvature and the skewness at the optimum say; variances are with what is undetermined held there."""
    open_ended = undetermined(optimum)
    known = np.flatnonzero(~open_ended)
    covariance = np.zeros_like(optimum.hessian)
    if known.size:
        covariance[np.ix_(known, known)] = np.linalg.inv(optimum.hessian[np.ix_(known, known)])
    covariance[open_ended, open_ended] = np.inf
    covariance = 0.5 * (covariance + covariance.T)
    return Shape(open_ended, covariance, skewness(optimum.objectives, optimum.logs, directions(covariance)))


def directions(covariance: np.ndarray) -> np.ndarray:
    """A standard deviation of each log-parameter, and where the others are best then: one in each column."""
    known = np.isfinite(np.diag(covariance))
    inner = np.where(np.outer(known, known), covariance, 0.0)
    deviations = np.sqrt(np.diag(inner))
    return np.divide(inner, deviations, out=np.zeros_like(inner), where=deviations > 0.0)


def skewness(objectives: Sequence[Objective], logs: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Third derivatives of minus the objective along some directions, one a column; 0 where they are not known.

    By the first of the objectives, the roughest; what is very skewed by the next ones, too.
    """
    result, wanted = np.zeros(along.shape[1]), along.any(axis=0)
    for objective in objectives:
        if not wanted.any():
            break
        with np.errstate(all="ignore"):
            found = -_third(objective, logs, along[:, wanted])
        result[wanted] = np.where(np.isfinite(found), found, 0.0)
        wanted &= np.abs(result) > SKEWED
    return result


def _third(objective: Objective, logs: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Third derivatives of an objective: differences of the second ones where it gives these, else of the first."""
    if getattr(objective, "exact", False):
        hessian = cast(Any, objective).hessian
        here = hessian(logs)
        return np.array([step @ (hessian(logs + NEAR * step) - here) @ step for step in along.T]) / NEAR
    here = objective(logs)[1]
    bends = [objective(logs + SHORT * step)[1] - 2.0 * here + objective(logs - SHORT * step)[1] for step in along.T]
    return np.array([bend @ step for bend, step in zip(bends, along.T, strict=True)]) / SHORT**2


def undetermined(optimum: Optimum) -> np.ndarray:
    """Which log-parameters lie at the box, or along a direction in which the objective is flat."""
    values, vectors = np.linalg.eigh(optimum.hessian)
    along_flat: np.ndarray = (np.abs(vectors[:, values < FLAT]) > 0.1).any(axis=1)
    return without_variance(optimum.hessian, along_flat | at_limit(optimum, along_flat))


def without_variance(hessian: np.ndarray, undetermined: np.ndarray) -> np.ndarray:
    """Those undetermined, and those whose variance with these held is none: rounding hides their curvature."""
    result = undetermined.copy()
    while not result.all():
        known = np.flatnonzero(~result)
        lost = ~(np.diag(inverse(hessian[np.ix_(known, known)])) > 0.0)
        if not lost.any():
            break
        result[known[lost]] = True
    return result


def at_limit(optimum: Optimum, along_flat: np.ndarray) -> np.ndarray:
    """Which log-parameters are at the box, or so near that they stand for a limit.

    Amounts of very heavy tails may have a parameter beyond `BOUNDARY` that is none: the curvature determines it.
    """
    near, at_box = (np.abs(optimum.logs) >= edge for edge in (BOUNDARY, BOX))
    known = np.flatnonzero(~along_flat)
    if (near & ~along_flat).any():
        spread = np.full(along_flat.size, np.inf)
        spread[known] = np.diag(inverse(optimum.hessian[np.ix_(known, known)]))
        near &= ~((spread > 0.0) & (spread < CLEAR))
    return near | at_box


def inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse, or NaN everywhere if there is none: weights so heavy that rounding makes rows multiples."""
    try:
        return np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return np.full_like(matrix, np.nan)


def errors(covariance: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Standard errors of parameters, from the same: within floats where the squares of them are not."""
    deviations = np.sqrt(np.diag(covariance))
    known = np.isfinite(deviations)
    with np.errstate(over="ignore"):
        return np.multiply(deviations, np.abs(slopes), out=np.full_like(deviations, np.inf), where=known)


def of_natural(covariance: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """That of parameters, from that of their logarithms and the derivatives by those; infinite where beyond floats."""
    with np.errstate(over="ignore", invalid="ignore"):
        result = covariance * np.outer(slopes, slopes)
    result[np.isnan(result)] = 0.0
    endless = np.isinf(np.diag(covariance))
    result[endless, endless] = np.inf
    return result
