"""Kernels of the BG/BB model. `theta` is (alpha, beta, gamma, delta); x, t_x and T count opportunities."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, log

import numpy as np

from custanalytics._jit import kernel
from custanalytics._special import digamma_rising, log_rising, log_staying
from custanalytics.clv._kernels_lifetimes import periods_ahead

_SMALLEST = 5e-324
_NEGLIGIBLE = 1e-25  # of the sum of the ways, so that logarithms and their squares as factors do not matter
_FEW = 32.0  # terms of a sum that are added one by one


@kernel
def ways(x, t_x, T, theta, order, f, g, h):
    """The ways to see nothing after t_x: gone after i more opportunities, or there at all of them.

    Returns the logarithms of their sum and of the last of them, relative to being there at t_x. Under their weights,
    fills `g` with the mean derivatives of the logarithm by theta, and at order 2 `h` with the mean of f f' + f", the
    upper triangle row by row. All ways from some i on are together less likely than being there after i: once that is
    negligible, so are they.
    """
    alpha, beta, gamma, delta = theta[0], theta[1], theta[2], theta[3]
    idle, any_time, stay, leave = beta + (t_x - x), alpha + beta + t_x, delta + t_x, gamma + delta + t_x
    total, there = 0.0, 1.0
    f[:] = 0.0
    g[:] = 0.0
    h[:] = 0.0
    f_bb, f_aa, f_dd, f_cc = 0.0, 0.0, 0.0, 0.0
    i, n = 0.0, T - t_x
    while True:
        gone = i < n
        way, by_gamma, by_delta, leave_2, gamma_2 = there, f[2], f[3], f_cc, 0.0
        if gone:
            way = there * (gamma / (leave + i))
            by_gamma += 1.0 / gamma - 1.0 / (leave + i)
            by_delta -= 1.0 / (leave + i)
            leave_2 += 1.0 / (leave + i) ** 2
            gamma_2 = 1.0 / gamma**2
        total += way
        g[0] += way * f[0]
        g[1] += way * f[1]
        g[2] += way * by_gamma
        g[3] += way * by_delta
        if order == 2:
            h[0] += way * (f[0] * f[0] + f_aa)
            h[1] += way * (f[0] * f[1] + f_aa)
            h[2] += way * f[0] * by_gamma
            h[3] += way * f[0] * by_delta
            h[4] += way * (f[1] * f[1] + f_aa - f_bb)
            h[5] += way * f[1] * by_gamma
            h[6] += way * f[1] * by_delta
            h[7] += way * (by_gamma * by_gamma + leave_2 - gamma_2)
            h[8] += way * (by_gamma * by_delta + leave_2)
            h[9] += way * (by_delta * by_delta + leave_2 - f_dd)
        if not gone or there < _NEGLIGIBLE * total:
            break
        there *= (idle + i) / (any_time + i) * ((stay + i) / (leave + i))
        f[0] -= 1.0 / (any_time + i)
        f[1] += 1.0 / (idle + i) - 1.0 / (any_time + i)
        f[2] -= 1.0 / (leave + i)
        f[3] += 1.0 / (stay + i) - 1.0 / (leave + i)
        f_aa += 1.0 / (any_time + i) ** 2
        f_bb += 1.0 / (idle + i) ** 2
        f_cc += 1.0 / (leave + i) ** 2
        f_dd += 1.0 / (stay + i) ** 2
        i += 1.0
    for k in range(4):
        g[k] /= total
    for k in range(10):
        h[k] /= total
    if i < n:
        last = log_rising(idle, n) - log_rising(any_time, n) + log_rising(stay, n) - log_rising(leave, n)
    else:
        last = log(max(there, _SMALLEST))
    return log(total), last


@kernel
def squares(base, n):
    """Sum of 1 / (base + i)^2 over i < n: the first one by one, the others by Euler and Maclaurin's formula."""
    total, i = 0.0, 0.0
    while i < min(n, _FEW):
        total += 1.0 / (base + i) ** 2
        i += 1.0
    if i < n:
        u, v = 1.0 / (base + i), 1.0 / (base + n)
        total += (n - i) * u * v + 0.5 * (u**2 - v**2) + (u**3 - v**3) / 6.0 - (u**5 - v**5) / 30.0
        total += (u**7 - v**7) / 42.0
    return total


@kernel
def log_likelihood_loop(start, stop, x, t_x, T, weight, theta, out):
    """Weighted sum of the log-likelihood and its gradient, into the row of this slice.

    Where the row has room, second derivatives by the logarithms of the parameters follow, the upper triangle row by
    row. A customer costs at most as many steps as there were opportunities since the last purchase.
    """
    alpha, beta, gamma, delta = theta[0], theta[1], theta[2], theta[3]
    row = out[0]
    row[:] = 0.0
    order = 2 if row.size > 5 else 1
    f, g, h = np.empty(4), np.empty(4), np.empty(10)
    for i in range(start, stop):
        n, last, w = x[i], t_x[i], weight[i]
        bracket, _ = ways(n, last, T[i], theta, order, f, g, h)
        value = log_rising(alpha, n) + log_rising(beta, last - n) - log_rising(alpha + beta, last)
        row[0] += w * (value + log_rising(delta, last) - log_rising(gamma + delta, last) + bracket)
        before = digamma_rising(alpha + beta, last)
        leave = digamma_rising(gamma + delta, last)
        f[0] = digamma_rising(alpha, n) - before + g[0]
        f[1] = digamma_rising(beta, last - n) - before + g[1]
        f[2] = g[2] - leave
        f[3] = digamma_rising(delta, last) - leave + g[3]
        for k in range(4):
            row[1 + k] += w * f[k]
        if order == 2:
            both, out_of = squares(alpha + beta, last), squares(gamma + delta, last)
            at = 0
            for j in range(4):
                for k in range(j, 4):
                    bend = h[at] - g[j] * g[k]
                    if k < 2:
                        bend += both
                    elif j > 1:
                        bend += out_of
                    if j == k:
                        if j == 0:
                            bend -= squares(alpha, n)
                        elif j == 1:
                            bend -= squares(beta, last - n)
                        elif j == 3:
                            bend -= squares(delta, last)
                        row[5 + at] += w * theta[j] * f[j]
                    row[5 + at] += w * theta[j] * theta[k] * bend
                    at += 1


@kernel
def alive_loop(ahead, start, stop, x, t_x, T, theta, out):
    """P(alive at opportunity T + ahead), per customer; never 0, so that endless purchases stay endless."""
    f, g, h = np.empty(4), np.empty(4), np.empty(10)
    for i in range(start, stop):
        total, there = ways(x[i], t_x[i], T[i], theta, 1, f, g, h)
        stays = log_staying(theta[2], theta[3] + T[i], ahead)
        out[i] = max(exp(there - total + stays), _SMALLEST)


@kernel
def purchases_loop(rate, start, stop, x, T, theta, horizons, weights, out):
    """Sum over k of weights[k] E[purchases at the horizons[k] opportunities after T, discounted | alive at T]."""
    for i in range(start, stop):
        total = 0.0
        for k in range(horizons.size):
            total += weights[k] * periods_ahead(T[i], horizons[k], rate, theta[2], theta[3], 1.0)
        out[i] = total * ((theta[0] + x[i]) / (theta[0] + theta[1] + T[i]))
