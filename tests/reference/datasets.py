"""Step-by-step simulations of the purchase processes, one customer and one purchase at a time."""

from __future__ import annotations

import random
from math import inf


def pareto_nbd_customer(rng: random.Random, window: float, r: float, alpha: float, s: float, beta: float):
    """Purchase times within the window, and the lifetime."""
    rate, dropout = rng.gammavariate(r, 1 / alpha), rng.gammavariate(s, 1 / beta)
    lifetime = rng.expovariate(dropout) if dropout > 0 else inf
    times, now = [], 0.0
    while rate > 0:
        now += rng.expovariate(rate)
        if now >= min(lifetime, window):
            break
        times.append(now)
    return times, lifetime


def bg_nbd_customer(rng: random.Random, window: float, r: float, alpha: float, a: float, b: float):
    """Purchase times within the window, and the lifetime (infinity where it ends after the window)."""
    rate, dropout = rng.gammavariate(r, 1 / alpha), rng.betavariate(a, b)
    times, now = [], 0.0
    while rate > 0:
        now += rng.expovariate(rate)
        if now >= window:
            break
        times.append(now)
        if rng.random() < dropout:
            return times, now
    return times, inf
