"""Loops of the shifted beta-geometric and the beta-discrete-Weibull model over customers.

`theta` is (alpha, beta), or (alpha, beta, c).
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, floor, log, log1p

import numpy as np

from custanalytics._jit import kernel
from custanalytics._special import digamma_rising
from custanalytics.clv._kernels_draws import MOST_COUNTED, amount, begin, log_gamma, uniform
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


@kernel
def counts_loop(start, stop, ages, theta, n, horizon, exactly, out):
    """P(X = n), or without `exactly` P(X >= n), of renewals at the next `horizon` chances, per customer and n."""
    c = theta[2] if theta.size > 2 else 1.0
    for i in range(start, stop):
        for column in range(n.shape[1]):
            count, age = n[i % n.shape[0], column], ages[i]
            chance = exp(log_left(age, age + count, theta[0], theta[1], c)) if count <= horizon else 0.0
            if exactly > 0.0 and count < horizon:
                chance *= -expm1(log_left(age + count, age + count + 1.0, theta[0], theta[1], c))
            out[i, column] = chance


@kernel
def renewals(age, most, log_chance, alpha, beta, c):
    """The last of `most` renewals at which the logarithm of S(age + n) / S(age) is not below that of a chance."""
    low, high = 0.0, 1.0
    while high < most and log_left(age, age + high, alpha, beta, c) >= log_chance:
        low, high = high, 2.0 * high
    if high >= most:
        if log_left(age, age + most, alpha, beta, c) >= log_chance:
            return most
        high = most
    while True:
        middle = floor(0.5 * (low + high))
        if not low < middle < high:
            return low
        if log_left(age, age + middle, alpha, beta, c) >= log_chance:
            low = middle
        else:
            high = middle


@kernel
def draws_loop(start, stop, alive, ages, theta, first_row, horizon, rate, seed, p, q, v, counts, values):
    """Draws of renewals at the next `horizon` chances, as `_kernels_draws.futures_loop` makes them of purchases."""
    state = np.zeros(1, np.uint64)
    c = theta[2] if theta.size > 2 else 1.0
    for i in range(start, stop):
        for draw in range(counts.shape[1]):
            begin(seed, first_row + i, draw, state)
            count, value = 0.0, 0.0
            if alive[i] > 0.0 and horizon > 0.0:
                count = renewals(ages[i], horizon, log(uniform(state)), theta[0], theta[1], c)
            counts[i, draw] = np.int64(count) if count < MOST_COUNTED else -1
            if values.shape[1] > 0:
                log_scale = log(v[i]) if p == 0.0 else log(v[i]) - log_gamma(state, q[i])
                now = 1.0
                while now <= count:
                    value += exp(-rate * now) * amount(state, p, log_scale)
                    now += 1.0
                values[i, draw] = value
