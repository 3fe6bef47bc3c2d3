"""Kernels of the BG/NBD model. `theta` is (r, alpha, a, b)."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, log, log1p

from custanalytics._jit import SLICE, kernel


@kernel
def log_odds_of_dropout(x, t_x, T, r, alpha, a, b):
    """Log of P(dropped out at t_x) over P(still alive at T), for x > 0."""
    return log(a) - log(b + (x - 1.0)) + (r + x) * log1p((T - t_x) / (alpha + t_x))


@kernel
def log_likelihood_loop(start, stop, x, t_x, T, weight, theta, out):
    """Weighted sum of the log-likelihood and its gradient, into the row of this slice.

    The gamma and beta functions of whole x are running products, so that nothing is lost where r, alpha or
    a, b grow without bound. `x` in ascending order costs max(x) logarithms a slice; any order is right.
    """
    r, alpha, a, b = theta[0], theta[1], theta[2], theta[3]
    total, d_r, d_alpha, d_a, d_b = 0.0, 0.0, 0.0, 0.0, 0.0
    counted, product, sum_r, sum_b, sum_ab = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(start, stop):
        n, w = x[i], weight[i]
        if n < counted:
            counted, product, sum_r, sum_b, sum_ab = 0.0, 0.0, 0.0, 0.0, 0.0
        while counted < n:
            product += log((r + counted) * ((b + counted) / (a + b + counted)))
            sum_r += 1.0 / (r + counted)
            sum_b += 1.0 / (b + counted)
            sum_ab += 1.0 / (a + b + counted)
            counted += 1.0
        exposure = alpha + T[i]
        growth = log1p(T[i] / alpha)
        value = product - n * log(exposure) - r * growth
        g_r = sum_r - growth
        g_alpha = (r * T[i] / alpha - n) / exposure
        g_a = -sum_ab
        g_b = sum_b - sum_ab
        if n > 0.0:
            gap = log1p((T[i] - t_x[i]) / (alpha + t_x[i]))
            odds = log_odds_of_dropout(n, t_x[i], T[i], r, alpha, a, b)
            # log(1 + e^odds) and its derivative, from the side on which e^ cannot overflow
            small = exp(-abs(odds))
            value += max(odds, 0.0) + log1p(small)
            dead = (1.0 if odds > 0.0 else small) / (1.0 + small)
            g_r += dead * gap
            g_alpha -= dead * (r + n) * (T[i] - t_x[i]) / (exposure * (alpha + t_x[i]))
            g_a += dead / a
            g_b -= dead / (b + (n - 1.0))
        total += w * value
        d_r += w * g_r
        d_alpha += w * g_alpha
        d_a += w * g_a
        d_b += w * g_b
    row = start // SLICE
    out[row, 0] = total
    out[row, 1] = d_r
    out[row, 2] = d_alpha
    out[row, 3] = d_a
    out[row, 4] = d_b


@kernel
def alive_loop(start, stop, x, t_x, T, theta, out):
    """P(alive at T), per customer; 1 without a repeat purchase."""
    r, alpha, a, b = theta[0], theta[1], theta[2], theta[3]
    for i in range(start, stop):
        if x[i] > 0.0:
            out[i] = 1.0 / (1.0 + exp(log_odds_of_dropout(x[i], t_x[i], T[i], r, alpha, a, b)))
        else:
            out[i] = 1.0
