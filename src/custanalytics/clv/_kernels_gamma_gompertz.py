"""Kernels of the Gamma-Gompertz/NBD model. `theta` is (r, alpha, b, s, beta).

A share (beta / (beta + e^(b t) - 1))^s is alive after t. Everything is in terms of q = 1 - e^(-b t) and of
den = beta e^(-b t) + q, which is (beta + e^(b t) - 1) e^(-b t) and never overflows.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, inf, log, log1p

import numpy as np

from custanalytics._jit import kernel
from custanalytics._special import digamma_rising, log_add, log_rising

# A Gauss-Legendre rule on [0, 1], used panel by panel.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS
_STEEP = 4.0  # by how much the logarithm of an integrand may change over a panel
_NEGLIGIBLE = 38.0
_SATURATED = 1e-13  # of den, from 1: the hazard then no longer grows
_SMALLEST = 5e-324


@kernel
def log_base(u, b, beta):
    """Logarithm of (beta + e^(b u) - 1) / beta."""
    if b * u < 1.0:
        return log1p(expm1(b * u) / beta)
    return b * u + log(exp(-b * u) - expm1(-b * u) / beta)


@kernel
def den(u, b, beta):
    """(beta + e^(b u) - 1) e^(-b u)."""
    return beta * exp(-b * u) - expm1(-b * u)


@kernel
def singular_before(u, b, beta):
    """How far before u the base is 0, on the real line; infinite where it is not."""
    return u - log1p(-beta) / b if beta < 1.0 else inf


@kernel
def highest_later(u, b, s, beta):
    """Largest value of b v - (s + 1) log_base(v) for v >= u."""
    peak = max(u, log(max((beta - 1.0) / s, 1.0)) / b)
    return b * peak - (s + 1.0) * log_base(peak, b, beta)


@kernel
def dropout_integral(p, t_x, T, r, x, alpha, b, s, beta, means):
    """Logarithm of the integral of (1 + (u - t_x) / (alpha + t_x))^-p e^(b u) (base / beta)^-(s+1) over [t_x, T].

    Under its integrand, fills `means` with the means of the derivatives by r, alpha, b, s, beta of the logarithm of
    the density of dropping out at u, without the terms 1 / b, 1 / s and -1 / beta. Panels end where the integrand may
    have changed much, stay away from its singularities, and end where all the rest is negligible.
    """
    a = alpha + t_x
    near = min(a, singular_before(t_x, b, beta))
    lo, total = t_x, 0.0
    means[:] = 0.0
    reference = b * t_x - (s + 1.0) * log_base(t_x, b, beta)
    while lo < T:
        base = den(lo, b, beta)
        slope = abs(b - (s + 1.0) * b / base - p / (alpha + lo))
        panel = min(T - lo, near + (lo - t_x), _STEEP / slope if slope > 0.0 else inf)
        if abs(base - 1.0) > _SATURATED:
            panel = min(panel, 2.0 / b)
        for _ in range(60):
            end = lo + panel
            later = abs(b - (s + 1.0) * b / den(end, b, beta) - p / (alpha + end))
            if later * panel <= 1.5 * _STEEP:
                break
            panel *= 0.5
        for k in range(_NODES.size):
            u = lo + panel * _NODES[k]
            scaled, height = 1.0 / den(u, b, beta), log_base(u, b, beta)
            g = b * u - (s + 1.0) * height - p * log1p((u - t_x) / a) - reference
            g = panel * _WEIGHTS[k] * exp(g)
            total += g
            means[0] -= g * log1p(u / alpha)
            means[1] += g * ((r * u / alpha - x) / (alpha + u))
            means[2] += g * u * (1.0 - (s + 1.0) * scaled)
            means[3] -= g * height
            means[4] += g * (s + 1.0) * (-expm1(-b * u) * scaled) / beta
        lo = lo + panel if panel < T - lo else T
        ahead = highest_later(lo, b, s, beta) - reference - p * log1p((lo - t_x) / a)
        if ahead + log(max(T - lo, 1e-300)) < log(total) - _NEGLIGIBLE:
            break
    for k in range(5):
        means[k] /= total
    return log(total) + reference


@kernel
def log_likelihood_loop(start, stop, x, t_x, T, weight, theta, out):
    """Weighted sum of the log-likelihood and its gradient, into the row of this slice."""
    r, alpha, b, s, beta = theta[0], theta[1], theta[2], theta[3], theta[4]
    row = out[0]
    row[:] = 0.0
    means = np.empty(5)
    for i in range(start, stop):
        n, w, gap = x[i], weight[i], T[i] - t_x[i]
        height = log_base(T[i], b, beta)
        alive, dead = 1.0, 0.0
        means[:] = 0.0
        bracket = -s * height
        if gap > 0.0:
            log_alive = bracket - (r + n) * log1p(gap / (alpha + t_x[i]))
            log_dead = log(s) + log(b / beta) + dropout_integral(
                r + n, t_x[i], T[i], r, n, alpha, b, s, beta, means
            )  # fmt: skip
            bracket = log_add(log_alive, log_dead)
            alive, dead = exp(log_alive - bracket), exp(log_dead - bracket)
        scaled = 1.0 / den(T[i], b, beta)
        row[0] += w * (log_rising(r, n) - n * log(alpha + t_x[i]) - r * log1p(t_x[i] / alpha) + bracket)
        row[1] += w * (digamma_rising(r, n) - alive * log1p(T[i] / alpha) + dead * means[0])
        row[2] += w * (alive * ((r * T[i] / alpha - n) / (alpha + T[i])) + dead * means[1])
        row[3] += w * (dead / b - alive * s * T[i] * scaled + dead * means[2])
        row[4] += w * (dead / s - alive * height + dead * means[3])
        row[5] += w * (alive * s * (-expm1(-b * T[i]) * scaled) / beta + dead * (means[4] - 1.0 / beta))


@kernel
def alive_loop(start, stop, x, t_x, T, theta, out):
    """P(alive at T), per customer; never 0."""
    r, alpha, b, s, beta = theta[0], theta[1], theta[2], theta[3], theta[4]
    means = np.empty(5)
    for i in range(start, stop):
        gap = T[i] - t_x[i]
        out[i] = 1.0
        if gap > 0.0:
            log_alive = -s * log_base(T[i], b, beta) - (r + x[i]) * log1p(gap / (alpha + t_x[i]))
            log_dead = dropout_integral(r + x[i], t_x[i], T[i], r, x[i], alpha, b, s, beta, means)
            log_dead += log(s) + log(b / beta)
            out[i] = max(exp(log_alive - log_add(log_alive, log_dead)), _SMALLEST)


@kernel
def mean_lifetime(horizon, b, s, beta):
    """Mean of min(lifetime, horizon): the integral of (beta / (beta + e^(b v) - 1))^s over [0, horizon]."""
    near, lo, total = singular_before(0.0, b, beta), 0.0, 0.0
    while lo < horizon:
        base = den(lo, b, beta)
        if abs(base - 1.0) <= _SATURATED:  # exponential from here on
            left = exp(-s * log_base(lo, b, beta))
            return total + left * (-expm1(-s * b * (horizon - lo))) / (s * b)
        panel = min(horizon - lo, near + lo, 2.0 / b, _STEEP / (s * b / base))
        while s * b / den(lo + panel, b, beta) * panel > 1.5 * _STEEP:
            panel *= 0.5
        for k in range(_NODES.size):
            total += panel * _WEIGHTS[k] * exp(-s * log_base(lo + panel * _NODES[k], b, beta))
        lo = lo + panel if panel < horizon - lo else horizon
        left = exp(-s * log_base(lo, b, beta))
        if left * min(horizon - lo, max(base, 1.0) / (s * b)) < 1e-17 * total:  # the hazard is s b / den
            return total
    return total


@kernel
def purchases_loop(start, stop, x, T, theta, horizons, weights, out):
    """Sum over k of weights[k] E[purchases in (T, T + horizons[k]] | alive at T], per customer."""
    r, alpha, b, s, beta = theta[0], theta[1], theta[2], theta[3], theta[4]
    for i in range(start, stop):
        total, aged = 0.0, den(T[i], b, beta)
        for k in range(horizons.size):
            total += weights[k] * mean_lifetime(horizons[k], b, s, aged)
        out[i] = (r + x[i]) / (alpha + T[i]) * total
