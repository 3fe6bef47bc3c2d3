"""Loops of the Pareto/NBD model over customers."""

from __future__ import annotations

import math

import numpy as np

from custanalytics._jit import SLICE, kernel
from custanalytics._special import digamma_rising, log_add, log_rising

# A Gauss-Legendre rule on [0, 1], used panel by panel.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS

# On a panel the logarithm of the integrand may change by _STEEP, and by a little more where the integrand has
# already decayed; a panel is never wider than _WIDEST, for the integrand has singularities at the distance π from
# the real line. What is left once the integrand has decayed by exp(-_NEGLIGIBLE) is dropped.
_STEEP = 5.0
_WIDEST = 2.0
_NEGLIGIBLE = 38.0

_SMALLEST = 5e-324


@kernel
def decay_integral(p, q, a, b, log_a, log_b):
    """Integral of (1 + w/a)^-p (1 + w/b)^-q dw/b from 0 to where the bases are exp(log_a), exp(log_b).

    Returns its logarithm (error below 1e-12) and, under its integrand, the means of log(1 + w/a), 1/(1 + w/a) and
    (w/a)/(1 + w/a), and of the same three with b (relative error below 1e-11).

    The variable is y = log(1 + w/c) with c the smaller of a and b. In it the integrand is exp(-steep y) times
    (1 + rho (e^y - 1))^-bend, smooth on the scale of one whatever a and b are, and all terms are positive.
    """
    near, far, steep, bend, end = a, b, p - 1.0, q, log_a
    if b < a:
        near, far, steep, bend, end = b, a, q - 1.0, p, log_b
    rho = near / far
    lo, decay, least, slope = 0.0, 0.0, 0.0, bend * rho
    total = near_log = near_inverse = near_share = far_log = far_inverse = far_share = 0.0
    while True:
        allowed = _STEEP + 0.5 * (decay - least)
        panel = min(end - lo, _WIDEST, allowed / (abs(steep) + slope))
        growth = math.expm1(lo + panel)
        slope = bend * rho * (1.0 + growth) / (1.0 + rho * growth)
        while (abs(steep) + slope) * panel > 1.001 * allowed:  # steeper at its end than at its beginning
            panel = max(0.5 * panel, allowed / (abs(steep) + slope))
            growth = math.expm1(lo + panel)
            slope = bend * rho * (1.0 + growth) / (1.0 + rho * growth)
        for k in range(_NODES.size):
            y = lo + panel * _NODES[k]
            near_excess = math.expm1(y)
            far_excess = rho * near_excess
            far_base = 1.0 + far_excess
            inverse = 1.0 / far_base
            # log1p of far_excess: the last term makes up for the rounding of far_base
            log_base = math.log(far_base) + (far_excess - (far_base - 1.0)) * inverse
            g = panel * _WEIGHTS[k] * math.exp(-(steep * y + bend * log_base))
            g_near, g_far = g / (1.0 + near_excess), g * inverse
            total += g
            near_log += g * y
            near_inverse += g_near
            near_share += g_near * near_excess
            far_log += g * log_base
            far_inverse += g_far
            far_share += g_far * far_excess
        lo += panel
        decay = steep * lo + bend * math.log1p(rho * growth)
        least = min(least, decay)
        if end - lo <= 1e-15 * end or decay - least > _NEGLIGIBLE:
            break
    log_integral = math.log(total * (near / b))
    inverse = 1.0 / total
    near_log, near_inverse, near_share = near_log * inverse, near_inverse * inverse, near_share * inverse
    far_log, far_inverse, far_share = far_log * inverse, far_inverse * inverse, far_share * inverse
    if b < a:
        return log_integral, far_log, far_inverse, far_share, near_log, near_inverse, near_share
    return log_integral, near_log, near_inverse, near_share, far_log, far_inverse, far_share


@kernel
def log_likelihood(x, t_x, T, r, alpha, s, beta):
    """Log-likelihood of one customer and its derivatives by r, alpha, s, beta, without the terms in x and r alone.

    What is left out, log Γ(r + x) - log Γ(r), is the same for all customers with this x.

    Relative to the density at t_x, the likelihood is the sum of the ways to see nothing afterwards: alive at T,
    or dropped out at some u in between. The gradient is the mean, given the data, over the time u at which the
    customer was last alive (T if alive now).
    """
    a, b, gap = alpha + t_x, beta + t_x, T - t_x
    a_before, b_before = math.log1p(t_x / alpha), math.log1p(t_x / beta)
    value = -r * a_before - x * math.log(a) - s * b_before
    if gap <= 0.0:  # seen alive at T itself
        return value, -a_before, (r * t_x / alpha - x) / a, -b_before, s * t_x / beta / b
    log_a, log_b = math.log1p(gap / a), math.log1p(gap / b)
    log_alive = -(r + x) * log_a - s * log_b
    log_integral, a_log, a_inverse, a_share, b_log, b_inverse, b_share = decay_integral(
        r + x, s + 1.0, a, b, log_a, log_b
    )
    log_total = log_add(log_alive, math.log(s) + log_integral)
    alive = math.exp(log_alive - log_total)
    odds = math.exp(log_integral - log_total)  # P(dead)/s, which has a limit as s goes to 0
    dead = s * odds
    d_r = -a_before - alive * log_a - dead * a_log
    d_alpha = alive * (r * T / alpha - x) / (alpha + T)
    d_alpha += dead * (r / alpha * (t_x / a * a_inverse + a_share) - x / a * a_inverse)
    d_s = odds - b_before - alive * log_b - dead * b_log
    d_beta = alive * (s * T / beta) / (beta + T)
    d_beta += dead * (s / beta * (t_x / b * b_inverse + b_share) - b_inverse / b)
    if x == 0.0 and log_total > -0.5:
        # P(a purchase by T) may be tiny, and is then lost in 1 less it: take it as an integral of its own, over
        # the time of the first purchase.
        log_buys, b_log, _, b_share, _, _, _ = decay_integral(s, r + 1.0, b, a, log_b, log_a)
        buys = r * math.exp(log_buys)
        odds = buys / (1.0 - buys)
        return math.log1p(-buys), d_r, d_alpha, odds * b_log, -odds * (s / beta) * b_share
    return value + log_total, d_r, d_alpha, d_s, d_beta


@kernel
def log_likelihood_loop(start, stop, x, t_x, T, weight, theta, out):
    """Weighted sum of the log-likelihood and its gradient, into the row of this slice."""
    r, alpha, s, beta = theta[0], theta[1], theta[2], theta[3]
    total, d_r, d_alpha, d_s, d_beta = 0.0, 0.0, 0.0, 0.0, 0.0
    counted, rising, rising_by_r = 0.0, 0.0, 0.0
    for i in range(start, stop):
        if x[i] != counted:  # once per distinct x where they come in order
            counted = x[i]
            rising, rising_by_r = log_rising(r, counted), digamma_rising(r, counted)
        value, by_r, by_alpha, by_s, by_beta = log_likelihood(x[i], t_x[i], T[i], r, alpha, s, beta)
        w = weight[i]
        total += w * (rising + value)
        d_r += w * (rising_by_r + by_r)
        d_alpha += w * by_alpha
        d_s += w * by_s
        d_beta += w * by_beta
    row = start // SLICE
    out[row, 0] = total
    out[row, 1] = d_r
    out[row, 2] = d_alpha
    out[row, 3] = d_s
    out[row, 4] = d_beta


@kernel
def alive_loop(start, stop, x, t_x, T, theta, out):
    """P(alive at T), per customer; never 0, so that an infinite expectation stays infinite when multiplied by it."""
    r, alpha, s, beta = theta[0], theta[1], theta[2], theta[3]
    for i in range(start, stop):
        gap, a, b = T[i] - t_x[i], alpha + t_x[i], beta + t_x[i]
        if gap > 0.0:
            log_a, log_b = math.log1p(gap / a), math.log1p(gap / b)
            log_alive = -(r + x[i]) * log_a - s * log_b
            log_dead = math.log(s) + decay_integral(r + x[i], s + 1.0, a, b, log_a, log_b)[0]
            out[i] = max(math.exp(log_alive - log_add(log_alive, log_dead)), _SMALLEST)
        else:
            out[i] = 1.0


@kernel
def mean_lifetime(s, beta, horizon):
    """Mean of min(lifetime, horizon) where P(lifetime > t) = (beta/(beta + t))^s; relative error below 1e-14.

    That is beta/(s - 1) (1 - (beta/(beta + t))^(s - 1)), and beta log(1 + t/beta) at s = 1.
    """
    growth = math.log1p(horizon / beta)
    if s == 1.0:
        return beta * growth
    exponent = (s - 1.0) * growth
    if abs(exponent) < 1e-8:  # two terms of the series are exact here, and nothing is divided by almost nothing
        return beta * growth * (1.0 - 0.5 * exponent)
    if abs(exponent) < 1.0:
        return beta * growth * (-math.expm1(-exponent) / exponent)
    return beta * (-math.expm1(-exponent) / (s - 1.0))  # also where the horizon is infinite


@kernel
def purchases_loop(start, stop, x, T, theta, horizons, weights, out):
    """Weighted sum over horizons of E[purchases in (T, T + horizon] | alive at T], per customer."""
    r, alpha, s, beta = theta[0], theta[1], theta[2], theta[3]
    for i in range(start, stop):
        total = 0.0
        for k in range(horizons.size):
            total += weights[k] * mean_lifetime(s, beta + T[i], horizons[k])
        out[i] = (r + x[i]) / (alpha + T[i]) * total
