"""What lies ahead where every k-th event of a Poisson process is a purchase: the exact conditional expectations.

The dropout probability is Beta(a, c) distributed. Where few events are to be expected a series over them is summed;
where there are many, what `_kernels_phases` has for a known probability is integrated over it.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, inf, isinf, log, log1p, sqrt

import numpy as np

from custanalytics._jit import kernel
from custanalytics.clv._kernels_beta_geo_purchases import DEEPEST
from custanalytics.clv._kernels_futures import SCALE, SHAPE, SHARE, A, C
from custanalytics.clv._kernels_logit import CERTAIN, log_beside_mode, log_logistic, log_mass, step_for, summit
from custanalytics.clv._kernels_phases import (
    FEW_STAY,
    MOST_POWERS,
    PURCHASES,
    RATE,
    STAY,
    fill_powers,
    given_dropout,
    phase_chances,
)

LONGEST = 5000.0  # terms; beyond, the integral is cheaper
NARROW = 1e-3  # share of the whole from which on a window is a difference
_NOTHING = 1e-17
# A Gauss-Legendre rule on [0, 1]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS


@kernel
def ahead(what, s, u, share, a, c, chances, coefficients):
    """What lies ahead of a customer who is alive: s = r + k x, u = time / (alpha + T), c = b + tosses.

    `share` is the part of alpha + T since the last purchase; `chances` and `coefficients` are room to work in.
    """
    if u <= 0.0 and what != RATE:
        return 1.0 if what == STAY else 0.0
    if isinf(u):
        if what != PURCHASES:
            return 0.0
        return (a + c - 1.0) / (a - 1.0) if a > 1.0 else inf
    phase_chances(s, share, chances)
    mean = s * u
    terms = mean + 8.0 * sqrt(mean * (1.0 + u)) + 40.0 * (1.0 + u)
    if terms < LONGEST and s * log1p(u) < DEEPEST:
        return series(what, s, u, a, c, chances)
    return integral(what, s, u, a, c, chances, coefficients)


@kernel
def series(what, s, u, a, c, chances):
    """The sum over the number of events, all of whose terms are positive."""
    k, z, total = chances.size, u / (1.0 + u), 0.0
    for j in range(k - 1, -1, -1):
        shape = s + j
        chance = chances[j] * exp(-shape * log1p(u))
        purchases, active, n, i = 0.0, 1.0, 0.0, 0.0
        left = k - j  # events until the next purchase
        while True:
            if what == STAY:
                total += chance * active
                bound = chance * active
            elif what == PURCHASES:
                total += chance * purchases
                bound = chance * (1.0 + purchases)
            else:
                bound = chance * active * (shape + i) / (1.0 + u)
                total += bound if left == 1 else 0.0
            most = z * max((shape + i) / (i + 1.0), 1.0)  # of this ratio of terms and later ones
            if most < 1.0 and bound <= _NOTHING * (1.0 - most) ** 2 * total:
                break
            chance *= z * (shape + i) / (i + 1.0)
            i += 1.0
            left -= 1
            if left == 0:
                purchases += active
                active *= (c + n) / (a + c + n)
                n += 1.0
                left = k
    return total


@kernel
def integral(what, s, u, a, c, chances, coefficients):
    """By the trapezoidal rule in y = logit(p), over which the integrand is analytic in a strip around the real line.

    Far out on either side it is exponential, exactly to rounding, and the rest of the sum a geometric series.
    """
    most, bend, total = 0, s, 0.0
    mode, known = log(a) - log(c), min(a, c) > CERTAIN
    top, step = mode, step_for(min(a, c))
    if what != PURCHASES and not known:
        top, step = summit(a, c, s, u, float(chances.size))
    for side in range(2):
        y = top if side == 0 else top - step
        while True:
            log_stay = log_logistic(-y)
            if log_stay < FEW_STAY and most == 0 and chances.size > 1:
                most = fill_powers(what, s, u, chances, coefficients)
                bend = coefficients[1] / coefficients[0] if coefficients[0] > 0.0 else 0.0
            value = given_dropout(what, s, u, chances, coefficients, most, log_stay)
            if known:
                return value
            value *= exp(log_beside_mode(a, c, y - mode))
            total += value
            if side == 0:
                straight, fall = exp(log_stay) * (a + 1.0 + bend) < _NOTHING, c
            else:
                straight, fall = exp(y) * (c + (s + chances.size) * (1.0 + u)) < _NOTHING, a
            if value <= 1e-18 * total:
                break
            if straight:
                total += value * exp(-fall * step) / -expm1(-fall * step)
                break
            y += step if side == 0 else -step
    return total * step / exp(log_mass(a, c))


@kernel
def room(k):
    """Arrays that `ahead` works in."""
    return np.empty(int(k)), np.empty(MOST_POWERS)


@kernel
def purchases_loop(k, tosses, start, stop, x, since, T, theta, horizons, weights, out):
    """Sum over i of weights[i] E[purchases in (T, T + horizons[i]] | alive at T], per customer."""
    r, alpha, a, b = theta[0], theta[1], theta[2], theta[3]
    chances, coefficients = room(k)
    for row in range(start, stop):
        total, scale = 0.0, alpha + T[row]
        s, c, share = r + k * x[row], b + (x[row] + tosses), since[row] / scale
        for i in range(horizons.size):
            total += weights[i] * ahead(PURCHASES, s, horizons[i] / scale, share, a, c, chances, coefficients)
        out[row] = total


@kernel
def stay_loop(k, start, stop, given, time, out):
    """P(alive after `time` | alive now), of customers described as `_kernels_futures` says."""
    chances, coefficients = room(k)
    for i in range(start, stop):
        s, scale, a, c, share = given[i, SHAPE], given[i, SCALE], given[i, A], given[i, C], given[i, SHARE]
        out[i] = ahead(STAY, s, time / scale, share, a, c, chances, coefficients)


@kernel
def window_loop(k, start, stop, given, first, horizon, out):
    """E[purchases from `first` to `first` + `horizon` | alive now], per customer."""
    chances, coefficients = room(k)
    for i in range(start, stop):
        s, scale, a, c, share = given[i, SHAPE], given[i, SCALE], given[i, A], given[i, C], given[i, SHARE]
        before = ahead(PURCHASES, s, first / scale, share, a, c, chances, coefficients)
        until = ahead(PURCHASES, s, (first + horizon) / scale, share, a, c, chances, coefficients)
        if isinf(until):
            out[i] = 0.0 if isinf(before) else inf
        elif until - before > NARROW * until:
            out[i] = until - before
        else:
            out[i] = by_rate(s, first / scale, horizon / scale, share, a, c, until - before, chances, coefficients)


@kernel
def by_rate(s, first, horizon, share, a, c, expected, chances, coefficients):
    """Purchases in a window that holds but a small part of those up to its end: their rate, integrated over it."""
    if isinf(horizon) or isinf(first):
        return max(expected, 0.0)
    panels = int(min(2.0 * max(expected, 0.0) * chances.size + 1.0, 200.0))
    width, total = horizon / panels, 0.0
    for panel in range(panels):
        for node in range(_NODES.size):
            u = first + width * (panel + _NODES[node])
            total += width * _WEIGHTS[node] * ahead(RATE, s, u, share, a, c, chances, coefficients)
    return total
