"""Kernels of the NBD model. `theta` is (r, alpha)."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import log, log1p

from custanalytics._jit import kernel
from custanalytics._special import digamma_rising, log_rising


@kernel
def log_likelihood_loop(start, stop, x, t_x, T, weight, theta, out):
    """Weighted sum of the log-likelihood and its gradient, into the row of this slice.

    Where the row has room, the three second derivatives by the logarithms of the parameters follow.
    """
    r, alpha = theta[0], theta[1]
    row = out[0]
    row[:] = 0.0
    second = row.size > 3
    counted, rising, by_r, bend = 0.0, 0.0, 0.0, 0.0
    for i in range(start, stop):
        n, w = x[i], weight[i]
        if n != counted:
            if second:
                bend = 0.0 if n < counted else bend
                at = 0.0 if n < counted else counted
                while at < n:
                    bend += r * at / ((r + at) * (r + at))
                    at += 1.0
            counted, rising, by_r = n, log_rising(r, n), digamma_rising(r, n)
        growth, share = log1p(T[i] / alpha), T[i] / (alpha + T[i])
        row[0] += w * (rising - n * log(alpha + T[i]) - r * growth)
        row[1] += w * (by_r - growth)
        row[2] += w * (r * share / alpha - n / (alpha + T[i]))
        if second:
            # bend is the second derivative by log r of the rising factorial
            row[3] += w * (bend - r * growth)
            row[4] += w * r * share
            row[5] -= w * (r + n) * share * (alpha / (alpha + T[i]))


@kernel
def grouped_loop(bounds, x, t_x, T, weight, thetas, parts):
    """`log_likelihood_loop` of the rows from each bound to the next, with parameters and a result of their own."""
    for group in range(len(thetas)):
        log_likelihood_loop(bounds[group], bounds[group + 1], x, t_x, T, weight, thetas[group], parts[group])


@kernel
def alive_loop(start, stop, x, t_x, T, theta, out):
    """P(alive at T): in this model nobody drops out."""
    out[start:stop] = 1.0


@kernel
def purchases_loop(start, stop, x, T, theta, horizons, weights, out):
    """Sum over k of weights[k] E[purchases in (T, T + horizons[k]]], per customer."""
    ahead = 0.0
    for k in range(horizons.size):
        ahead += weights[k] * horizons[k]
    for i in range(start, stop):
        out[i] = (theta[0] + x[i]) / (theta[1] + T[i]) * ahead
