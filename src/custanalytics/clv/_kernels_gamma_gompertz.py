"""Kernels of the Gamma-Gompertz/NBD model. `theta` is (r, alpha, b, s, beta).

A share (beta / (beta + e^(b t) - 1))^s is alive after t. Everything is in terms of q = 1 - e^(-b t) and of
den = beta e^(-b t) + q, which is (beta + e^(b t) - 1) e^(-b t) and never overflows.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, inf, log, log1p

import numpy as np

from custanalytics._jit import kernel
from custanalytics._special import digamma_rising, exp_lane, expm1_lane, log1p_lane, log_add, log_lane, log_rising

# A Gauss-Legendre rule on [0, 1], used panel by panel.
NODES = 16  # a multiple of what a processor computes at once
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(NODES)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS
_STEEP = 8.0  # by how much the logarithm of an integrand may change over a panel
_WIDEST = 4.0  # times 1 / b: singularities beside the real line are at least pi / b away
_APART = 2.0  # a panel is at most so many times as wide as it is away from a singularity on the real line
_NEGLIGIBLE = 38.0
_SATURATED = 1e-13  # of den, from 1: the hazard then no longer grows
_FAR = 600.0  # of b u, before e^(b u) overflows
_SMALLEST = 5e-324
LANES, MOMENTS = 12, 30


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
def fill_nodes(lo, panel, p, t_x, alpha, b, s, beta, lanes):
    """The integrand of `dropout_integral` at the nodes of a panel, times their weights, and what it is made of.

    In the order of `lanes`: that; u; log(1 + (u - t_x) / (alpha + t_x)); log_base; e^(-b u); q / den; 1 / den.
    The panel begins `lo` after t_x. Somebody of age t_x is somebody new whose beta is den(t_x).
    """
    weights, us, quiet, heights = lanes[0], lanes[1], lanes[2], lanes[3]
    falls, left, hazards, later = lanes[4], lanes[5], lanes[6], lanes[7]
    fallen, aged, height = exp(-b * t_x), den(t_x, b, beta), log_base(t_x, b, beta)
    gone, per_a, per_aged = -expm1(-b * t_x), 1.0 / (alpha + t_x), 1.0 / aged
    for k in range(NODES):  # this and the next loops are nothing but arithmetic: vectorised
        later[k] = lo + panel * _NODES[k]
        growth = expm1_lane(min(b * later[k], 700.0))
        fall = 1.0 / (1.0 + growth)
        hazards[k] = 1.0 / (aged * fall + growth * fall)
        left[k] = (gone + fallen * growth * fall) * hazards[k]
        falls[k] = fall
        heights[k] = growth * per_aged
        quiet[k] = log1p_lane(later[k] * per_a)
    if b * (lo + panel) < _FAR:
        for k in range(NODES):
            heights[k] = log1p_lane(heights[k])
    else:
        for k in range(NODES):
            heights[k] = b * later[k] + log_lane(falls[k] + (1.0 - falls[k]) * per_aged)
    for k in range(NODES):
        change = b * later[k] - (s + 1.0) * heights[k] - p * quiet[k]
        weights[k] = panel * _WEIGHTS[k] * exp_lane(min(change, 700.0))
        us[k] = t_x + later[k]
        falls[k] *= fallen
        heights[k] += height


@kernel
def add_moments(here, total, r, x, t_x, alpha, b, s, beta, order, lanes, moments):
    """Means under the integrand over the panels so far, of weight `total`, and this one, of weight `here`.

    In the order of `moments`: those of f = (log(1 + u / alpha), the derivatives by log alpha and by log b of the
    logarithm of the density of dropping out at u, the latter less 1, log_base, q / den). At order 2 then those of
    z (1 - z) with z = u / (alpha + u), and, with g = q / den and d = b u / den, of d, d b u (1 - 1 / den), d (1 - g)
    and g (1 - g); and the covariances of f, the upper triangle row by row.
    """
    old, before = total / (total + here), log1p(t_x / alpha)
    for k in range(NODES):
        u = lanes[1, k]
        lanes[0, k] /= total + here
        lanes[7, k] = before + lanes[2, k]
        lanes[8, k] = (r * u - x * alpha) / (alpha + u)
        lanes[9, k] = b * u * (1.0 - (s + 1.0) * lanes[6, k])
        lanes[10, k], lanes[11, k] = lanes[3, k], lanes[5, k]
    means, curved, spread, moved = moments[:5], moments[5:10], moments[10:25], moments[25:30]
    for i in range(5):
        mean = old * means[i]
        for k in range(NODES):
            mean += lanes[0, k] * lanes[7 + i, k]
        moved[i] = means[i] - mean
        means[i] = mean
    if order < 2:
        return
    for i in range(5):
        curved[i] *= old
    for k in range(NODES):
        weight, z, stays = lanes[0, k], lanes[1, k] / (alpha + lanes[1, k]), beta * lanes[4, k] * lanes[6, k]
        d = b * lanes[1, k] * lanes[6, k]
        curved[0] += weight * z * (alpha / (alpha + lanes[1, k]))
        curved[1] += weight * d
        curved[2] += weight * d * d * ((beta - 1.0) * lanes[4, k])
        curved[3] += weight * d * stays
        curved[4] += weight * lanes[5, k] * stays
    at = 0
    for i in range(5):
        for k in range(NODES):
            lanes[7 + i, k] -= means[i]
        for j in range(i + 1):
            covariance = old * (spread[at] + moved[i] * moved[j])
            for k in range(NODES):
                covariance += lanes[0, k] * lanes[7 + i, k] * lanes[7 + j, k]
            spread[at] = covariance
            at += 1


@kernel
def dropout_integral(p, t_x, T, r, x, alpha, b, s, beta, order, lanes, moments):
    """Logarithm of the integral of (1 + (u - t_x) / (alpha + t_x))^-p e^(b u) (base / beta)^-(s+1) over [t_x, T].

    From order 1 on fills `moments` as `add_moments` says. Panels end where the integrand may have changed much, stay
    away from its singularities, and end where all the rest is negligible. They are counted from t_x on: some are far
    smaller than what t_x is rounded by.
    """
    a, gap, aged = alpha + t_x, T - t_x, den(t_x, b, beta)
    near = min(a, singular_before(t_x, b, beta))
    lo, total = 0.0, 0.0
    moments[:] = 0.0
    while lo < gap:
        base = den(lo, b, aged)
        slope = abs(b - (s + 1.0) * b / base - p / (a + lo))
        panel = min(gap - lo, _APART * (near + lo), _STEEP / slope if slope > 0.0 else inf)
        if abs(base - 1.0) > _SATURATED:
            panel = min(panel, _WIDEST / b)
        for _ in range(60):
            end = lo + panel
            later = abs(b - (s + 1.0) * b / den(end, b, aged) - p / (a + end))
            if later * panel <= 1.5 * _STEEP:
                break
            panel *= 0.5
        fill_nodes(lo, panel, p, t_x, alpha, b, s, beta, lanes)
        here = 0.0
        for k in range(NODES):
            here += lanes[0, k]
        if order > 0 and here > 0.0:
            add_moments(here, total, r, x, t_x, alpha, b, s, beta, order, lanes, moments)
        total += here
        lo = lo + panel if panel < gap - lo else gap
        ahead = highest_later(lo, b, s, aged) - p * log1p(lo / a)
        if ahead + log(max(gap - lo, 1e-300)) < log(total) - _NEGLIGIBLE:
            break
    return log(total) + b * t_x - (s + 1.0) * log_base(t_x, b, beta)


@kernel
def curvature(x, T, r, alpha, b, s, beta, alive, dead, now, moments, result):
    """Second derivatives by the logarithms of r, alpha, b, s, beta: the upper triangle, into result[6:].

    They are the mean, given the data, of the second derivatives of the logarithm of the density, and the covariance
    of its first ones: that among the dead, and that between them and those alive. `now` are for T what the means of
    `moments` are for the dead, but for d in the third place.
    """
    means, curved, spread = moments[:5], moments[5:10], moments[10:25]
    until, change, d, height, left = now
    rises = (-r, 1.0, 1.0, -s, s + 1.0)  # of the derivatives with f
    apart = (  # derivatives where dead less those where alive
        -r * (means[0] - until),
        means[1] - change,
        1.0 + means[2] + s * d,
        1.0 - s * (means[3] - height),
        (s + 1.0) * means[4] - 1.0 - s * left,
    )
    upper = result[6:]
    at = 0
    for i in range(5):
        for j in range(i, 5):
            within = rises[i] * rises[j] * spread[j * (j + 1) // 2 + i]
            upper[at] = dead * within + alive * dead * apart[i] * apart[j]
            at += 1
    fall = exp(-b * T)
    stays = beta * fall / den(T, b, beta)
    upper[0] -= r * (alive * until + dead * means[0])
    share = T / (alpha + T)
    upper[1] += r * (alive * share + dead * (means[1] + x) / (r + x))
    upper[5] -= (r + x) * (alive * share * (alpha / (alpha + T)) + dead * curved[0])
    upper[9] -= alive * s * (d + d * d * (beta - 1.0) * fall) - dead * (means[2] - (s + 1.0) * curved[2])
    upper[10] -= s * (alive * d + dead * curved[1])
    upper[11] += alive * s * d * stays + dead * (s + 1.0) * curved[3]
    upper[12] -= s * (alive * height + dead * means[3])
    upper[13] += s * (alive * left + dead * means[4])
    upper[14] -= (alive * s * left * stays) + dead * (s + 1.0) * curved[4]


@kernel
def log_likelihood(x, t_x, T, r, alpha, b, s, beta, order, lanes, moments, result):
    """Log-likelihood of one customer and its derivatives, without the terms in x and r alone.

    Fills `result` with the value, the derivatives by r, alpha, b, s, beta and, at order 2, the 15 second derivatives
    by their logarithms. The gradient is the mean, given the data, over the time u at which the customer was last
    alive, T if alive now.
    """
    gap, height, hazard = T - t_x, log_base(T, b, beta), 1.0 / den(T, b, beta)
    before, until = log1p(t_x / alpha), log1p(T / alpha)
    alive, dead, bracket = 1.0, 0.0, -s * height
    moments[:] = 0.0
    if gap > 0.0:
        log_alive = bracket - (r + x) * log1p(gap / (alpha + t_x))
        log_dead = log(s) + log(b / beta)
        log_dead += dropout_integral(r + x, t_x, T, r, x, alpha, b, s, beta, order, lanes, moments)
        bracket = log_add(log_alive, log_dead)
        alive, dead = exp(log_alive - bracket), exp(log_dead - bracket)
    left, change = -expm1(-b * T) * hazard, (r * T - x * alpha) / (alpha + T)
    result[0] = bracket - x * log(alpha + t_x) - r * before
    result[1] = -alive * until - dead * moments[0]
    result[2] = (alive * change + dead * moments[1]) / alpha
    result[3] = dead / b - alive * s * T * hazard + dead * moments[2] / b
    result[4] = dead / s - alive * height - dead * moments[3]
    result[5] = (alive * s * left + dead * ((s + 1.0) * moments[4] - 1.0)) / beta
    if order == 2:
        now = (until, change, b * T * hazard, height, left)
        curvature(x, T, r, alpha, b, s, beta, alive, dead, now, moments, result)


@kernel
def log_likelihood_loop(start, stop, x, t_x, T, weight, theta, out):
    """Weighted sum of the log-likelihood and its gradient, into the row of this slice.

    Where `out` has room for them, also of the 15 second derivatives by the logarithms of the parameters.
    """
    r, alpha, b, s, beta = theta[0], theta[1], theta[2], theta[3], theta[4]
    order = 2 if out.shape[1] > 6 else 1
    lanes, moments, result = np.empty((LANES, NODES)), np.empty(MOMENTS), np.empty(21)
    row = out[0]
    row[:] = 0.0
    counted, rising, rising_by_r, bend, bent = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(start, stop):
        if x[i] != counted:  # once per distinct x where they come in order
            if x[i] < counted:
                bend, bent = 0.0, 0.0
            counted = x[i]
            rising, rising_by_r = log_rising(r, counted), digamma_rising(r, counted)
            while order == 2 and bent < counted:  # second derivative by log r of log(r (r + 1) … (r + x - 1))
                bend += r * bent / ((r + bent) * (r + bent))
                bent += 1.0
        log_likelihood(x[i], t_x[i], T[i], r, alpha, b, s, beta, order, lanes, moments, result)
        result[0] += rising
        result[1] += rising_by_r
        result[6] += bend
        for k in range(out.shape[1]):
            row[k] += weight[i] * result[k]


@kernel
def grouped_loop(bounds, x, t_x, T, weight, thetas, parts):
    """`log_likelihood_loop` of the rows from each bound to the next, with parameters and a result of their own."""
    for group in range(len(thetas)):
        log_likelihood_loop(bounds[group], bounds[group + 1], x, t_x, T, weight, thetas[group], parts[group])


@kernel
def alive_loop(start, stop, x, t_x, T, theta, out):
    """P(alive at T), per customer; never 0."""
    r, alpha, b, s, beta = theta[0], theta[1], theta[2], theta[3], theta[4]
    lanes, moments = np.empty((LANES, NODES)), np.empty(MOMENTS)
    for i in range(start, stop):
        gap = T[i] - t_x[i]
        out[i] = 1.0
        if gap > 0.0:
            log_alive = -s * log_base(T[i], b, beta) - (r + x[i]) * log1p(gap / (alpha + t_x[i]))
            log_dead = dropout_integral(r + x[i], t_x[i], T[i], r, x[i], alpha, b, s, beta, 0, lanes, moments)
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
