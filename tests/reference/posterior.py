"""Simulated customers with what they buy afterwards, and slow truths about weighted draws."""

from __future__ import annotations

import numpy as np
from scipy import integrate


def simulate_bg_nbd(rng, n, r, alpha, a, b, *, shortest, longest, horizon):
    """Customers as the BG/NBD has it, all of them moved on from one purchase to the next, in whole days.

    Their observation lasts from `shortest` to `longest`. Returns the table and how often each buys in the `horizon`
    that follows.
    """
    T = rng.integers(round(7 * shortest), round(7 * longest), n, endpoint=True) / 7.0
    rate, drops = rng.gamma(r, 1.0 / alpha, n), rng.beta(a, b, n)
    frequency, recency, later = np.zeros(n), np.zeros(n), np.zeros(n)
    now, active = np.zeros(n), np.arange(n)
    while active.size:
        now[active] += rng.exponential(1.0 / rate[active])
        active = active[now[active] <= T[active] + horizon]
        seen = active[now[active] <= T[active]]
        frequency[seen] += 1.0
        recency[seen] = now[seen]
        later[active[now[active] > T[active]]] += 1.0
        active = active[rng.random(active.size) >= drops[active]]
    return {"frequency": frequency, "recency": recency, "T": T}, later


def simulate_pareto_nbd(rng, n, r, alpha, s, beta, *, longest, horizon):
    """Customers as the Pareto/NBD has it: purchases over the shorter of lifetime and time, at uniform times."""
    T = rng.uniform(0.5 * longest, longest, n)
    rate, lifetime = rng.gamma(r, 1.0 / alpha, n), rng.exponential(1.0 / rng.gamma(s, 1.0 / beta, n))
    frequency = rng.poisson(rate * np.minimum(lifetime, T)).astype(float)
    with np.errstate(divide="ignore"):
        last = rng.random(n) ** (1.0 / frequency)  # the largest of that many uniform numbers
    recency = np.where(frequency > 0, last * np.minimum(lifetime, T), 0.0)
    later = rng.poisson(rate * np.clip(lifetime - T, 0.0, horizon)).astype(float)
    return {"frequency": frequency, "recency": recency, "T": T}, later


def shortest_interval(counts, needed):
    """Every interval of whole numbers tried: the shortest with `needed` draws, then the fullest, then the lowest."""
    counts = np.asarray(counts)
    best = None
    for low in range(int(counts.min()), int(counts.max()) + 1):
        for high in range(low, int(counts.max()) + 1):
            held = int(((counts >= low) & (counts <= high)).sum())
            if held >= needed and (best is None or (high - low, -held, low) < best[0]):
                best = (high - low, -held, low), (low, high, held)
    return best[1]


def moments_by_quadrature(log_density, lows, highs, points=101):
    """Means and covariance of a density of two coordinates, on a grid."""
    axes = [np.linspace(low, high, points) for low, high in zip(lows, highs, strict=True)]
    heights = np.array([[log_density(np.array([u, v])) for v in axes[1]] for u in axes[0]])
    density = np.exp(heights - heights.max())
    grid = np.meshgrid(*axes, indexing="ij")

    def mean(values):
        inner = integrate.simpson(values * density, x=axes[1], axis=1)
        return integrate.simpson(inner, x=axes[0]) / total

    total = 1.0
    total = mean(np.ones_like(density))
    return grid, mean
