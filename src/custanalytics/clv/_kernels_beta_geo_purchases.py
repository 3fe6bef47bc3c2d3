"""Kernels of what BG/NBD customers are expected to buy. `theta` is (r, alpha, a, b)."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, inf, isinf, log, log1p, sqrt

import numpy as np

from custanalytics._jit import kernel
from custanalytics.clv._kernels_logit import CERTAIN, log_beside_mode, log_logistic, log_mass, step_for

LONGEST_SERIES = 2000.0  # terms; beyond, the integral is cheaper
_FADED = -42.0  # e^-42 is nothing beside 1
DEEPEST = 600.0  # the series begins with exp(-s log(1 + u)), which must not underflow


@kernel
def purchases_if_alive(s, u, a, c):
    """E[(1 - (1 + p u)^-s) / p] for p ~ Beta(a, c): purchases ahead of a customer who is alive.

    Here s = r + x, u = horizon / (alpha + T), c = b + x.
    """
    if u <= 0.0:
        return 0.0
    if isinf(u):
        return (a + c - 1.0) / (a - 1.0) if a > 1.0 else inf
    return purchases_series(s, u, a, c) if has_short_series(s, u) else purchases_integral(s, u, a, c)


@kernel
def has_short_series(s, u):
    """Whether `purchases_series` takes few terms, and begins with one that does not underflow."""
    mean = s * u
    terms = mean + 6.0 * sqrt(mean * (1.0 + u)) + 36.0 * (1.0 + u)
    return terms < LONGEST_SERIES and s * log1p(u) < DEEPEST


@kernel
def purchases_series(s, u, a, c):
    """The same, as the sum over k of P(K = k) (m_0 + ... + m_(k-1)).

    K, the purchases of somebody who never drops out, is negative binomial (s, u); m_j = E[(1 - p)^j] is the
    chance to be active still after j of them. All terms are positive; the rest left out is below 1e-14 of the sum.
    """
    z = u / (1.0 + u)
    chance = exp(-s * log1p(u))
    active, purchases, total = 1.0, 0.0, 0.0
    k = 0.0
    while True:
        purchases += active
        active *= (c + k) / (a + c + k)
        chance *= z * (s + k) / (k + 1.0)
        k += 1.0
        term = chance * purchases
        total += term
        # purchases grows by at most (k + 1) / k, so that later terms fall at least by this ratio, which only falls
        ratio = z * (s + k) / k
        if ratio < 1.0 and term * ratio <= 1e-14 * (1.0 - ratio) * total:
            return total


@kernel
def purchases_integral(s, u, a, c):
    """The same, by the trapezoidal rule in y = logit(p), for long series.

    With g(p) = (1 - (1 + p u)^-s) / p, integration by parts at p = 0 and subtraction of g(1) at p = 1 give

        E g = g(1) + c / (a + c + 1) E'[(g(p) - g(1)) / (1 - p) - g'(p) / (a + c)],   p ~ Beta(a + 1, c + 1) in E',

    whose integrand is positive, falls at least like exp(-|y|) however small a and c are, and is analytic in a
    strip around the real line: the rule converges exponentially.
    """
    if min(a, c) > CERTAIN:  # p is as good as known, and steps of the width of its density would be lost in rounding
        p = a / (a + c)
        return -expm1(-s * log1p(p * u)) / p
    last = -expm1(-s * log1p(u))
    mode, step = log((a + 1.0) / (c + 1.0)), step_for(min(a, c))
    total = 0.0
    for side in range(2):
        t = 0.0 if side == 0 else -step
        while True:
            log_weight = log_beside_mode(a + 1.0, c + 1.0, t)
            term = integrand(s, u, a, c, mode + t, last, log_weight)
            total += term
            if log_weight < _FADED and term <= 1e-18 * total:
                break
            t += step if side == 0 else -step
    return last + c / (a + c + 1.0) * total * step / exp(log_mass(a + 1.0, c + 1.0))


@kernel
def integrand(s, u, a, c, y, last, log_weight):
    """exp(log_weight) times [(g(p) - g(1)) / (1 - p) - g'(p) / (a + c)]."""
    log_p, log_q = log_logistic(y), log_logistic(-y)
    growth = log1p(exp(log_p) * u)
    missed = exp(-s * growth)
    bought = -expm1(-s * growth)
    # A - A(1) with A = (1 + p u)^-s: the subtraction is made before the power is taken
    fall = -missed * expm1(-s * (log1p(u) - growth))
    first = exp(log_weight - log_p) * bought - exp(log_weight - log_q) * fall
    share = -expm1(-growth)
    if growth < 0.1 and s * growth < 0.1:
        # P(K >= 2) for the negative binomial (s, p u): its leading terms, free of cancellation
        chance, k = missed * s * share, 1.0
        slope = 0.0
        while chance > 1e-17 * slope:
            chance *= share * (s + k) / (k + 1.0)
            slope += chance
            k += 1.0
    else:
        slope = bought - missed * s * share
    return max(first, 0.0) + exp(log_weight - 2.0 * log_p) * slope / (a + c)


@kernel
def weighted_series(s, scale, a, c, horizons, weights, lanes):
    """Sum over k of weights[k] purchases_if_alive(s, horizons[k] / scale, a, c).

    The series of all horizons that have one are summed together, in `lanes` as of `lanes_for`: their terms differ in
    the distribution of K alone. The widest of them, that of the largest horizon, is the slowest to converge.
    """
    if horizons.size == 1:
        return weights[0] * purchases_if_alive(s, horizons[0] / scale, a, c)
    chance, z, sums = lanes[0], lanes[1], lanes[2]
    total, widest = 0.0, -1
    lanes[:] = 0.0
    for k in range(horizons.size):
        u = horizons[k] / scale
        if has_short_series(s, u):
            chance[k], z[k] = exp(-s * log1p(u)), u / (1.0 + u)
            if widest < 0 or z[k] > z[widest]:
                widest = k
        else:
            total += weights[k] * purchases_if_alive(s, u, a, c)
    if widest < 0:
        return total
    active, purchases, count = 1.0, 0.0, 0.0
    while True:
        purchases += active
        active *= (c + count) / (a + c + count)
        growth = (s + count) / (count + 1.0)
        count += 1.0
        for k in range(z.size):  # nothing but arithmetic: vectorised
            chance[k] *= z[k] * growth
            sums[k] += chance[k] * purchases
        ratio = z[widest] * (s + count) / count
        if ratio < 1.0 and chance[widest] * purchases * ratio <= 1e-14 * (1.0 - ratio) * sums[widest]:
            break
    for k in range(horizons.size):
        total += weights[k] * sums[k]
    return total


@kernel
def lanes_for(horizons):
    """Room for `weighted_series`; a multiple of 16 wide, which a processor's vectors fill without a rest."""
    return np.empty((3, (horizons.size + 15) // 16 * 16))


@kernel
def purchases_loop(start, stop, x, T, theta, horizons, weights, out):
    """Sum over k of weights[k] E[purchases in (T, T + horizons[k]] | alive at T], per customer."""
    r, alpha, a, b = theta[0], theta[1], theta[2], theta[3]
    lanes = lanes_for(horizons)
    for i in range(start, stop):
        out[i] = weighted_series(r + x[i], alpha + T[i], a, b + x[i], horizons, weights, lanes)
