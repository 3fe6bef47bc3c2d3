"""Pareto-smoothed importance sampling: weights without a few draws that outweigh the rest, and how far to trust them.

Everything is in logarithms of ratios, target density over proposal density, up to a constant.
"""

from __future__ import annotations

import numpy as np

TRUSTED = 0.7  # Pareto shape above which estimates from the weights are not to be trusted
FEWEST = 5  # draws in the tail from which its shape can be told


def smoothed(log_ratios: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights that sum to 1, their largest replaced by quantiles of a generalised Pareto fit, and its shape k-hat.

    Vehtari et al. (2024), section 2.4. A shape of 0 is given where there is no tail: all ratios are alike, or few.
    """
    logs = np.where(np.isnan(log_ratios), -np.inf, log_ratios)
    logs = logs - logs.max()
    n = logs.size
    m = int(np.ceil(min(0.2 * n, 3.0 * np.sqrt(n))))
    shape = 0.0
    if m >= FEWEST and m < n:
        order = np.argsort(logs, kind="stable")
        tail = order[-m:]
        base = np.exp(logs[order[-m - 1]])
        excess = np.exp(logs[tail]) - base
        above = excess > 0
        if np.count_nonzero(above) >= FEWEST:
            shape, scale = pareto_fit(excess[above])
            chances = (np.arange(m) + 0.5) / m
            logs[tail] = np.minimum(np.log(base + pareto_quantiles(chances, shape, scale)), 0.0)
    weights = np.exp(logs)
    return weights / weights.sum(), shape


def pareto_fit(excess: np.ndarray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution, from exceedances in ascending order, all positive.

    The empirical Bayes estimate of Zhang and Stephens (2009), drawn weakly towards a shape of 0.5 as in appendix C of
    Vehtari et al. (2024).
    """
    n = excess.size
    points = 30 + int(np.sqrt(n))
    quartile = excess[int(n / 4 + 0.5) - 1]
    j = np.arange(1, points + 1)
    b = 1.0 / excess[-1] + (1.0 - np.sqrt(points / (j - 0.5))) / (3.0 * quartile)
    b = b[b != 0.0]
    shapes = np.log1p(-b[:, None] * excess).mean(axis=1)
    profile = n * (np.log(-b / shapes) - shapes - 1.0)
    chances = np.exp(profile - profile.max())
    mean = float(b @ chances / chances.sum())
    shape = float(np.log1p(-mean * excess).mean())
    return (n * shape + 5.0) / (n + 10.0), -shape / mean


def pareto_quantiles(chances: np.ndarray, shape: float, scale: float) -> np.ndarray:
    """Quantiles of the generalised Pareto distribution."""
    growth = -np.log1p(-chances)
    return scale * growth if shape == 0.0 else scale * np.expm1(shape * growth) / shape


def effective_size(weights: np.ndarray) -> float:
    """How many independent draws from the target tell as much as these, for weights that sum to 1."""
    return float(1.0 / (weights @ weights))


def resampled(weights: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of n draws by systematic resampling: each is taken n times its weight, rounded up or down."""
    reached = np.cumsum(weights)
    points = (np.arange(n) + rng.random()) / n * reached[-1]
    return rng.permutation(np.minimum(np.searchsorted(reached, points, side="right"), weights.size - 1))
