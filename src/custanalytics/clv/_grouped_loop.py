"""The likelihood of customers with covariates, from the loop of a model without, and the terms it is solved in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from custanalytics import _jit
from custanalytics.clv import _fit
from custanalytics.clv._design import LARGEST, SMALLEST, Design


@dataclass(frozen=True)
class GroupedLoop:
    """The likelihood of customers with covariates, by the `loop` over groups of them that have equal ones.

    It takes the columns of the model, those of the covariates, weights and one `theta`, of the baseline's parameters
    and then the coefficients; rows with equal covariates follow each other. The parameters of a group are fixed, so
    that the model's own loop gives its likelihood with the derivatives; those by the coefficients follow by the chain
    rule, which is exact, for the logarithms of a group's parameters are linear in those of the baseline and in the
    coefficients.
    """

    loop: Callable[..., None]
    design: Design
    centre: np.ndarray
    spread: np.ndarray

    def __call__(self, start: int, stop: int, *args: np.ndarray) -> None:
        *columns, weight, theta, out = args
        own = columns[: -len(self.design.columns)]
        values = np.column_stack([column[start:stop] for column in columns[len(own) :]])
        k = self.design.powers.shape[1]
        changes = np.flatnonzero((values[1:] != values[:-1]).any(axis=1)) + 1
        bounds = np.concatenate(([0], changes, [stop - start])) + start
        values = (values[bounds[:-1] - start] - self.centre) / self.spread
        thetas = self.design.thetas(theta[:k], values, theta[k:])
        second = out.shape[1] > 1 + theta.size
        parts = np.zeros((len(thetas), 1, 1 + k + (k * (k + 1) // 2 if second else 0)))
        _jit.call(self.loop, bounds, *own, weight, thetas, out=(parts,))
        free = (thetas > SMALLEST) & (thetas < LARGEST)  # those cut do not change with anything
        self._gather(parts[:, 0], free * thetas, theta[:k], values[:, self.design.source], out[0])

    def _gather(
        self, parts: np.ndarray, slopes: np.ndarray, baseline: np.ndarray, values: np.ndarray, out: np.ndarray
    ) -> None:
        """The sums over groups of the likelihood and its derivatives by baseline and coefficients.

        `slopes` are the derivatives of the parameters by their logarithms.
        """
        powers = self.design.powers
        n, k = powers.shape
        by_log = parts[:, 1 : 1 + k] * slopes
        out[0] = parts[:, 0].sum()
        out[1 : 1 + k] = by_log.sum(axis=0) / baseline
        out[1 + k : 1 + k + n] = (values * (by_log @ powers.T)).sum(axis=0)
        if parts.shape[1] == 1 + k:
            return
        free = slopes > 0.0
        curvature = parts[:, 1 + k :][:, _fit.square(k)] * (free[:, :, None] & free[:, None, :])
        scaled = (curvature @ powers.T) * values[:, None, :]
        result = np.empty((k + n, k + n))
        result[:k, :k] = curvature.sum(axis=0)
        result[:k, k:] = scaled.sum(axis=0)
        result[k:, :k] = result[:k, k:].T
        result[k:, k:] = np.einsum("gn,gnm->nm", values, powers @ scaled)
        out[1 + k + n :] = result[_triangle(k + n)]


@cache
def _triangle(k: int) -> tuple[np.ndarray, np.ndarray]:
    """The upper triangle of a matrix of k rows, row by row."""
    return np.triu_indices(k)


@dataclass(frozen=True)
class MovedPenalty(_fit.Penalty):
    """A penalty on what the solver's coordinates come to when multiplied by a matrix."""

    basis: np.ndarray | float = 1.0

    def value(self, logs: np.ndarray) -> float:
        """What is taken off the log-likelihood."""
        return super().value(np.dot(self.basis, logs))

    def gradient(self, logs: np.ndarray) -> np.ndarray:
        """Its derivatives by the solver's coordinates."""
        return np.dot(super().gradient(np.dot(self.basis, logs)), self.basis)

    def hessian(self, logs: np.ndarray) -> np.ndarray:
        """Its second derivatives by the solver's coordinates."""
        return np.transpose(self.basis) @ super().hessian(np.dot(self.basis, logs)) @ self.basis


@dataclass(frozen=True)
class CovariateOptimum(_fit.Optimum):
    """An optimum in terms of the baseline and of the covariates as given, with what that says of these."""

    shape: _fit.Shape


def given_terms(
    optimum: _fit.Optimum, basis: np.ndarray, at: np.ndarray, size: int, spreads: np.ndarray
) -> CovariateOptimum:
    """An optimum of the solver's coordinates in those of the parameters and of the covariates as given.

    `at` is where these are among all `size` of them; coefficients of covariates without variation are 0. Flat is what
    is flat for covariates in units of their spread: `spreads` of those of the solver.
    """
    k = optimum.logs.size
    values, vectors = np.linalg.eigh(optimum.hessian / np.outer(spreads, spreads))
    moved = basis / spreads
    scale = np.maximum(np.abs(np.diag(moved)), 1e-300)  # coefficients are compared in units of the spread, too
    along_flat = (np.abs(moved @ vectors[:, values < _fit.FLAT] / scale[:, None]) > 0.1).any(axis=1)
    flat = along_flat | _fit.at_limit(optimum, along_flat)
    undetermined, places = np.ones(size, dtype=bool), np.ix_(at, at)
    logs, covariance, hessian = np.zeros(size), np.zeros((size, size)), np.zeros((size, size))
    inverse = np.linalg.inv(basis)
    logs[at] = basis @ optimum.logs
    hessian[places] = inverse.T @ optimum.hessian @ inverse
    undetermined[at] = _fit.without_variance(hessian[places], flat)
    known = np.flatnonzero(~undetermined)
    if known.size == k:
        inner = np.linalg.inv(optimum.hessian)
        covariance[places] = 0.5 * basis @ (inner + inner.T) @ basis.T
    elif known.size:  # with the others held where they are
        covariance[np.ix_(known, known)] = np.linalg.inv(hessian[np.ix_(known, known)])
    covariance[undetermined, undetermined] = np.inf
    skewness = np.zeros(size)
    skewness[at] = _fit.skewness(optimum.objectives, optimum.logs, inverse @ _fit.directions(covariance)[places])
    solved = logs, optimum.value, optimum.gain, hessian, optimum.n_iter, optimum.converged
    return CovariateOptimum(*solved, _fit.Shape(undetermined, covariance, skewness))
