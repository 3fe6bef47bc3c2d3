"""Where the solver ended, and what the curvature there says of the parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BOX = float(np.log(1e10))  # scaled parameters are looked for between 1e-10 and 1e10
BOUNDARY = BOX - 7.0  # a scaled parameter beyond 1e7 or below 1e-7 stands for a limit
FLAT = 1e-3  # curvature below which a log-parameter has a standard error above 30: not determined
CLEAR = 1.0  # variance of a log-parameter below which the data determine it, wherever it is


@dataclass(frozen=True)
class Optimum:
    """Where the solver ended, with the curvature there."""

    logs: np.ndarray
    value: float
    gain: float  # by how much the next step is expected to improve the objective
    hessian: np.ndarray
    n_iter: int
    converged: bool


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
        lost = ~(np.diag(np.linalg.inv(hessian[np.ix_(known, known)])) > 0.0)
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
        spread[known] = np.diag(np.linalg.inv(optimum.hessian[np.ix_(known, known)]))
        near &= ~((spread > 0.0) & (spread < CLEAR))
    return near | at_box


def covariance(optimum: Optimum, theta: np.ndarray) -> np.ndarray:
    """Inverse of the observed information, in natural parameters; what is not determined has infinite variance.

    The others are then given with those held where they are.
    """
    open_ended = undetermined(optimum)
    known = np.flatnonzero(~open_ended)
    result = np.zeros((theta.size, theta.size))
    if known.size:
        result[np.ix_(known, known)] = np.linalg.inv(optimum.hessian[np.ix_(known, known)])
    result[open_ended, open_ended] = np.inf
    return of_natural(0.5 * (result + result.T), theta)


def of_natural(covariance: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """That of parameters, from that of their logarithms and the derivatives by those; infinite where beyond floats."""
    with np.errstate(over="ignore", invalid="ignore"):
        result = covariance * np.outer(slopes, slopes)
    result[np.isnan(result)] = 0.0
    endless = np.isinf(np.diag(covariance))
    result[endless, endless] = np.inf
    return result
