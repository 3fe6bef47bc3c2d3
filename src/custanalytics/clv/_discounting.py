"""Discounted sums of purchases as a weighted sum of undiscounted expectations."""

from __future__ import annotations

from functools import lru_cache
from math import ceil, expm1, inf, log, log1p, sqrt

import numpy as np
from scipy.special import roots_legendre

from custanalytics._columns import units_per_year

FADED = 60.0  # exp(-60): what comes later counts for nothing
AT_ONCE = 1e-17  # of rate times horizon: within the digits of a double, nothing is discounted
SHORTEST = 1e-290  # horizon; of shorter ones there are no shares left


def force_of_discount(discount_rate: float, time_unit: str) -> float:
    """Continuous rate per `time_unit` at which 1 + `discount_rate` a year ahead is worth 1 now."""
    return log1p(discount_rate) / units_per_year(time_unit)


def discounting(horizon: float, rate: float, memory: float, bends: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Times t_k and weights w_k with sum of w_k E[X(t_k)] = integral over (0, horizon] of exp(-rate t) dE[X(t)].

    By parts, that is exp(-rate H) E[X(H)] + rate * integral of exp(-rate t) E[X(t)] dt. E[X(t)] bends on a
    scale that is never below `memory`: Gauss and Legendre's rule is taken in log(1 + t / scale), with
    enough nodes for 1e-10. Where it bends again later, on a scale that is a share 1 / `bends` of the time until then,
    the nodes are as much closer.
    """
    if rate == 0.0 or rate * horizon < AT_ONCE or horizon < SHORTEST or FADED / rate == inf:
        return np.array([horizon]), np.ones(1)
    end = min(horizon, FADED / rate)
    scale = min(0.03, 3.0 * memory / end)  # as a share of the end
    spread = log1p(1.0 / scale) if scale > 0.0 else log(1e308)
    nodes, weights = _gauss_legendre(ceil((3.5 + sqrt(rate * end) + 2.0 * bends) * spread))
    shares = np.array([scale * expm1(spread * node) for node in nodes])
    times = end * shares
    factors = rate * end * spread * weights * (shares + scale) * np.exp(-rate * times)
    return np.append(times, end), np.append(factors, np.exp(-rate * end))


@lru_cache(maxsize=64)
def _gauss_legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = roots_legendre(n)  # NumPy's takes seconds where there are a thousand nodes
    return 0.5 * (nodes + 1.0), 0.5 * weights
