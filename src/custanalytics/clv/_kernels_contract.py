"""Loops of the shifted beta-geometric and the beta-discrete-Weibull model over customers.

`theta` is (alpha, beta), or (alpha, beta, c).
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, log, log1p

from custanalytics._jit import kernel
from custanalytics._special import digamma_rising
from custanalytics.clv._kernels_lifetimes import (
    PURE,
    growth,
    log_left,
    log_lost,
    log_lost_by_alpha,
    periods_ahead,
    power,
)


@kernel
def log_likelihood_loop(start, stop, recency, T, weight, theta, out):
    """Weighted sum of the log-likelihood and its gradient, into the row of this slice.

    Those who renewed at every chance contribute log S(T), the others the logarithm of S(recency) - S(recency + 1).
    Both are made of C(y, a, d), the logarithm of Γ(y + a + d) Γ(y) / (Γ(y + a) Γ(y + d)).
    """
    alpha, beta = theta[0], theta[1]
    c = theta[2] if theta.size > 2 else 1.0
    row = out[0]
    row[:] = 0.0
    for i in range(start, stop):
        n, w = recency[i], weight[i]
        at = power(n, c)
        log_n = log(n) if n > 0.0 else 0.0
        if n > 0.0:
            row[0] -= w * log_lost(0.0, n, alpha, beta, c)
            row[1] -= w * log_lost_by_alpha(0.0, n, alpha, beta, c)
            row[2] -= w * by_first(beta, alpha, at)
            if theta.size > 2:
                row[3] -= w * digamma_rising(beta + at, alpha) * at * log_n
        if n < T[i]:
            step = growth(n, n + 1.0, c)
            lost = log_lost(n, n + 1.0, alpha, beta, c)
            slope = 1.0 / expm1(lost)  # of log(1 - exp(-lost))
            row[0] += w * log(-expm1(-lost))
            row[1] += w * slope * log_lost_by_alpha(n, n + 1.0, alpha, beta, c)
            first = slope * by_first(beta + at, alpha, step)
            row[2] += w * first
            if theta.size > 2 and c * log_n > PURE:
                row[3] += w * slope * alpha * log1p(1.0 / n)
            elif theta.size > 2 and n > 0.0:
                by_step = slope * digamma_rising(beta + at + step, alpha)
                row[3] += w * (first * at * log_n + by_step * (step * log(n + 1.0) + at * log1p(1.0 / n)))


@kernel
def by_first(y, a, d):
    """Derivative by y of the logarithm of Γ(y + a + d) Γ(y) / (Γ(y + a) Γ(y + d)): negative."""
    low, high = min(a, d), max(a, d)
    return digamma_rising(y + high, low) - digamma_rising(y, low)


@kernel
def left_loop(ahead, start, stop, T, theta, out):
    """S(T + ahead) / S(T)."""
    c = theta[2] if theta.size > 2 else 1.0
    for i in range(start, stop):
        out[i] = exp(log_left(T[i], T[i] + ahead, theta[0], theta[1], c)) if ahead > 0.0 else 1.0


@kernel
def periods_loop(periods, rate, start, stop, T, theta, out):
    """Sum over the periods ahead of exp(-rate i) S(T + i) / S(T)."""
    c = theta[2] if theta.size > 2 else 1.0
    for i in range(start, stop):
        out[i] = periods_ahead(T[i], periods, rate, theta[0], theta[1], c)
