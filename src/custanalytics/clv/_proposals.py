"""Adaptive importance sampling: proposals for one density, each made from the weights of the draws before it.

Adaptive multiple importance sampling (Cornuet, Marin, Mira and Robert 2012): all draws are kept, and weighted against
the mixture of all proposals, so that no draw has a large weight that any of the proposals covers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from custanalytics.clv import _psis

FREEDOM = 6.0  # of the multivariate t distributions: tails heavier than those of a posterior
STAGES = (0.25, 0.25)  # shares of the draws that precede the last stage
TAIL = 0.3  # share of a stage that goes into the tail
FAR = 1.0  # standard deviations, along the most skewed axis, beyond which draws belong to the tail


@dataclass(frozen=True)
class Component:
    """A multivariate t distribution, and how many draws were made from it."""

    centre: np.ndarray
    root: np.ndarray  # lower triangle: its product with its transpose is the scale matrix
    n: int

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Its draws: shape (n, width)."""
        steps = rng.standard_normal((self.n, self.centre.size))
        return self.centre + (steps / np.sqrt(rng.chisquare(FREEDOM, (self.n, 1)) / FREEDOM)) @ self.root.T

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """Up to a constant that all components of a width share."""
        steps = np.linalg.solve(self.root, (z - self.centre).T)
        tails = np.log1p((steps**2).sum(axis=0) / FREEDOM)
        return -0.5 * (FREEDOM + self.centre.size) * tails - np.log(np.diag(self.root)).sum()


def sample(
    log_density: Callable[[np.ndarray], np.ndarray], width: int, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """Draws from about the standard normal, their weights (which sum to 1), and k-hat.

    The density is near the standard normal in the middle, and may be skewed and have long tails.
    """
    used: list[Component] = []
    stage = [Component(np.zeros(width), np.eye(width), int(STAGES[0] * n))]
    z, logs = np.empty((0, width)), np.empty(0)
    weights, k_hat = np.empty(0), 0.0
    for share in (*STAGES[1:], 1.0, None):
        drawn = np.vstack([component.draw(rng) for component in stage])
        z, logs, used = np.vstack([z, drawn]), np.append(logs, log_density(drawn)), used + stage
        heights = [np.log(each.n / len(z)) + each.log_density(z) for each in used]
        weights, k_hat = _psis.smoothed(logs - np.logaddexp.reduce(heights))
        if share is not None:
            left = n - len(z)
            stage = adapted(z, weights, left if share == 1.0 else min(int(share * n), left))
    return z, weights, k_hat


def adapted(z: np.ndarray, weights: np.ndarray, n: int) -> list[Component]:
    """Two components with the moments of weighted draws: most of them, and those in the tail."""
    centre, moments = weighted_moments(z, weights)
    values, vectors = np.linalg.eigh(moments)
    along = (z - centre) @ (vectors / np.sqrt(values))
    skewness = weights @ along**3
    axis = int(np.argmax(np.abs(skewness)))
    tail = along[:, axis] * np.sign(skewness[axis]) > FAR
    n_tail = int(TAIL * n)
    parts = [(~tail, n - n_tail), (tail, n_tail)]
    components = []
    for mask, size in parts:
        mine = np.where(mask, weights, 0.0)
        if mine.sum() > 0 and size:
            mean, spread = weighted_moments(z, mine / mine.sum(), moments)
            components.append(Component(mean, np.linalg.cholesky(spread), size))
        elif size:
            components.append(Component(centre, np.linalg.cholesky(moments), size))
    return components


def weighted_moments(
    z: np.ndarray, weights: np.ndarray, default: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of weighted draws; the fewer of these count, the more of `default` is in the latter."""
    centre = weights @ z
    deviations = z - centre
    width = z.shape[1]
    share = min(1.0, width / _psis.effective_size(weights))
    spread = np.eye(width) if default is None else default
    return centre, (1.0 - share) * (deviations * weights[:, None]).T @ deviations + share * spread
