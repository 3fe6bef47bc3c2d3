"""Kernels of the BG/NBD model. `theta` is (r, alpha, a, b)."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, inf, isinf, log, log1p, sqrt

import numpy as np

from custanalytics._jit import SLICE, kernel

SUMS = 6  # of 1 / (r + j), 1 / (b + j), 1 / (a + b + j) and of their squares, over j below x
LONGEST_SERIES = 2000.0  # terms; beyond, the integral is cheaper
DEEPEST = 600.0  # the series begins with exp(-s log(1 + u)), which must not underflow


@kernel
def log_odds_of_dropout(x, t_x, T, r, alpha, a, b):
    """Log of P(dropped out at t_x) over P(still alive at T), for x > 0."""
    return log(a) - log(b + (x - 1.0)) + (r + x) * log1p((T - t_x) / (alpha + t_x))


@kernel
def log_likelihood_loop(start, stop, x, t_x, T, weight, theta, out):
    """Weighted sum of the log-likelihood and its gradient, into the row of this slice.

    Where the row has room, second derivatives by the logarithms of the parameters follow, the upper triangle row
    by row. The gamma and beta functions of whole x are running products, so that nothing is lost where r, alpha
    or a, b grow without bound. `x` in ascending order costs max(x) logarithms a slice; any order is right.
    """
    r, alpha, a, b = theta[0], theta[1], theta[2], theta[3]
    log_alpha, log_a, per_alpha, per_a = log(alpha), log(a), 1.0 / alpha, 1.0 / a
    total, d_r, d_alpha, d_a, d_b = 0.0, 0.0, 0.0, 0.0, 0.0
    sums = np.zeros(SUMS)
    row = out[start // SLICE]
    second = row.size > 5
    counted, product, per_last, log_last = 0.0, 0.0, 1.0 / b, log(b)
    for i in range(start, stop):
        n, w = x[i], weight[i]
        if n != counted:
            if n < counted:
                counted, product = 0.0, 0.0
                sums[:] = 0.0
            while counted < n:
                product += log((r + counted) * ((b + counted) / (a + b + counted)))
                for k, base in enumerate((r, b, a + b)):
                    sums[k] += 1.0 / (base + counted)
                    sums[3 + k] += 1.0 / (base + counted) ** 2
                counted += 1.0
            if n > 0.0:
                per_last, log_last = 1.0 / (b + (n - 1.0)), log(b + (n - 1.0))
        exposure = 1.0 / (alpha + T[i])
        growth = log1p(T[i] * per_alpha)
        silence, gap, dead = 0.0, 0.0, 0.0
        value = product - n * (log_alpha + growth) - r * growth
        if n > 0.0:
            # log(1 + e^odds), odds as in log_odds_of_dropout, from the side on which e^ cannot overflow
            silence = (T[i] - t_x[i]) / (alpha + t_x[i])
            gap = log1p(silence)
            odds = log_a - log_last + (r + n) * gap
            small = exp(-abs(odds))
            value += max(odds, 0.0) + log1p(small)
            dead = (1.0 if odds > 0.0 else small) / (1.0 + small)
        fall = -(r + n) * silence * exposure  # of the odds by alpha
        g_r = sums[0] - growth + dead * gap
        g_alpha = (r * T[i] * per_alpha - n) * exposure + dead * fall
        g_a = dead * per_a - sums[2]
        g_b = sums[1] - sums[2] - dead * per_last
        total += w * value
        d_r += w * g_r
        d_alpha += w * g_alpha
        d_a += w * g_a
        d_b += w * g_b
        if second:
            # by the parameters themselves; d(odds) is (gap, fall, 1 / a, -1 / last)
            both = dead * (1.0 - dead)
            bend = (r + n) * silence * exposure * (1.0 / (alpha + t_x[i]) + exposure)
            h_alpha = n * exposure**2 - r * T[i] * (2.0 * alpha + T[i]) * (exposure * per_alpha) ** 2
            h_r_alpha = T[i] * exposure * per_alpha - dead * silence * exposure
            row[5] += w * r * (r * (both * gap * gap - sums[3]) + g_r)
            row[6] += w * r * alpha * (h_r_alpha + both * gap * fall)
            row[7] += w * r * both * gap
            row[8] -= w * r * b * both * gap * per_last
            row[9] += w * alpha * (alpha * (h_alpha + dead * bend + both * fall * fall) + g_alpha)
            row[10] += w * alpha * both * fall
            row[11] -= w * alpha * b * both * fall * per_last
            row[12] += w * (a * a * sums[5] + both - a * sums[2])
            row[13] += w * (a * b * sums[5] - b * both * per_last)
            row[14] += w * b * (b * (sums[5] - sums[4] + (dead + both) * per_last**2) + g_b)
    row[0], row[1], row[2], row[3], row[4] = total, d_r, d_alpha, d_a, d_b


@kernel
def alive_loop(start, stop, x, t_x, T, theta, out):
    """P(alive at T), per customer; 1 without a repeat purchase."""
    r, alpha, a, b = theta[0], theta[1], theta[2], theta[3]
    for i in range(start, stop):
        odds = log_odds_of_dropout(x[i], t_x[i], T[i], r, alpha, a, b) if x[i] > 0.0 else -1.0
        if x[i] <= 0.0:
            out[i] = 1.0
        elif odds > 0.0:  # from the side on which e^ cannot overflow; never 0, so that endless purchases stay endless
            small = exp(-odds)
            out[i] = max(small / (1.0 + small), 5e-324)
        else:
            out[i] = 1.0 / (1.0 + exp(odds))


@kernel
def purchases_if_alive(s, u, a, c):
    """E[(1 - (1 + p u)^-s) / p] for p ~ Beta(a, c): purchases ahead of a customer who is alive.

    Here s = r + x, u = horizon / (alpha + T), c = b + x.
    """
    if u <= 0.0:
        return 0.0
    if isinf(u):
        return (a + c - 1.0) / (a - 1.0) if a > 1.0 else inf
    mean = s * u
    terms = mean + 6.0 * sqrt(mean * (1.0 + u)) + 36.0 * (1.0 + u)
    if terms < LONGEST_SERIES and s * log1p(u) < DEEPEST:
        return purchases_series(s, u, a, c)
    return purchases_integral(s, u, a, c)


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
    last = -expm1(-s * log1p(u))
    # The density is about 1 / sqrt(min(a, c) + 1) wide in y; the factor (1 + p u)^-s works like up to s more of c.
    width = min(0.25, 0.5 / sqrt(min(a, c + s) + 1.0))
    mode = log((a + 1.0) / (c + 1.0))
    top = beta_density(a, c, mode)
    mass, total = 0.0, 0.0
    for side in range(2):
        y = mode if side == 0 else mode - width
        while True:
            weight = exp(beta_density(a, c, y) - top)
            term = integrand(s, u, a, c, y, last, beta_density(a, c, y) - top)
            mass += weight
            total += term
            if weight <= 1e-18 * mass and term <= 1e-18 * total:
                break
            y += width if side == 0 else -width
    return last + c / (a + c + 1.0) * total / mass


@kernel
def log_logistic(y):
    """Log of 1 / (1 + exp(-y))."""
    return -log1p(exp(-y)) if y > 0.0 else y - log1p(exp(y))


@kernel
def beta_density(a, c, y):
    """Log of the Beta(a + 1, c + 1) density of p in y = logit(p), up to a constant."""
    return (a + 1.0) * log_logistic(y) + (c + 1.0) * log_logistic(-y)


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
def purchases_loop(start, stop, x, T, theta, horizons, weights, out):
    """Sum over k of weights[k] E[purchases in (T, T + horizons[k]] | alive at T], per customer."""
    r, alpha, a, b = theta[0], theta[1], theta[2], theta[3]
    for i in range(start, stop):
        total = 0.0
        for k in range(horizons.size):
            total += weights[k] * purchases_if_alive(r + x[i], horizons[k] / (alpha + T[i]), a, b + x[i])
        out[i] = total
