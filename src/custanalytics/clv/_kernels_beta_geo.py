"""Kernels of the BG/NBD model. `theta` is (r, alpha, a, b)."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import log, log1p

import numpy as np

from custanalytics._jit import kernel
from custanalytics._special import exp_lane, log1p_lane, log_lane

SUMS = 6  # of 1 / (r + j), 1 / (b + j), 1 / (a + b + j) and of their squares, over j below x
BLOCK = 256  # customers taken at once: what is kept of them stays in the fastest cache
LANES, MOMENTS = 8, 12


@kernel
def log_odds_of_dropout(x, t_x, T, r, alpha, a, b):
    """Log of P(dropped out at t_x) over P(still alive at T), for x > 0."""
    return log(a) - log(b + (x - 1.0)) + (r + x) * log1p((T - t_x) / (alpha + t_x))


@kernel
def log_likelihood_loop(start, stop, x, t_x, T, weight, theta, out):
    """Weighted sum of the log-likelihood and its gradient, into the row of this slice.

    Where the row has room, second derivatives by the logarithms of the parameters follow, the upper triangle row
    by row. The gamma and beta functions of whole x are running products, so that nothing is lost where r, alpha
    or a, b grow without bound. Customers with equal x in a row are taken together: `x` in ascending order is
    fastest, any order is right.
    """
    r, a, b = theta[0], theta[2], theta[3]
    per_a, log_a = 1.0 / a, log(a)
    sums, moments, lanes = np.zeros(SUMS), np.zeros(MOMENTS), np.empty((LANES, BLOCK))
    row = out[0]
    counted, product = 0.0, 0.0
    at = start
    while at < stop:
        n, end = x[at], at
        while end < stop and end - at < BLOCK and x[end] == n:
            end += 1
        if n < counted:
            counted, product = 0.0, 0.0
            sums[:] = 0.0
        while counted < n:
            product += log((r + counted) * ((b + counted) / (a + b + counted)))
            for k, base in enumerate((r, b, a + b)):
                sums[k] += 1.0 / (base + counted)
                sums[3 + k] += 1.0 / (base + counted) ** 2
            counted += 1.0
        last = b + max(n - 1.0, 0.0)
        block_moments(n, t_x[at:end], T[at:end], weight[at:end], theta, log_a - log(last), lanes, moments)
        w, dead, both, per_last = moments[0], moments[4], moments[5], 1.0 / last
        g_r, g_alpha = w * sums[0] - moments[1], moments[2]
        g_a = dead * per_a - w * sums[2]
        g_b = w * (sums[1] - sums[2]) - dead * per_last
        row[0] += w * product + moments[3]
        row[1] += g_r
        row[2] += g_alpha
        row[3] += g_a
        row[4] += g_b
        if row.size > 5:
            alpha, s = theta[1], r + n
            row[5] += r * (r * (moments[9] - w * sums[3]) + g_r)
            row[6] += r * alpha * (moments[6] - s * moments[10])
            row[7] += r * moments[8]
            row[8] -= r * b * moments[8] * per_last
            row[9] += alpha * (alpha * moments[7] + g_alpha)
            row[10] -= alpha * s * moments[11]
            row[11] += alpha * b * s * moments[11] * per_last
            row[12] += w * a * a * sums[5] + both - w * a * sums[2]
            row[13] += w * a * b * sums[5] - b * both * per_last
            row[14] += b * (b * (w * (sums[5] - sums[4]) + (dead + both) * per_last**2) + g_b)
        at = end


@kernel
def grouped_loop(bounds, x, t_x, T, weight, thetas, parts):
    """`log_likelihood_loop` of the rows from each bound to the next, with parameters and a result of their own."""
    for group in range(len(thetas)):
        log_likelihood_loop(bounds[group], bounds[group + 1], x, t_x, T, weight, thetas[group], parts[group])


@kernel
def block_moments(n, t_x, T, weight, theta, log_odds, lanes, moments):
    """Weighted sums over customers with the same x = n, of which the likelihood and its derivatives are made.

    In the order of `moments`, with both = dead alive, gap = log((alpha + T) / (alpha + t_x)) and quiet = gap's fall by
    alpha: weight; minus the derivative by r, that by alpha and the log-likelihood, without the terms in n alone; dead;
    both; the second derivative by r and alpha, but for both gap quiet; that by alpha twice; both gap; both gap gap;
    both gap quiet; both quiet. All is told from t_x on, and what follows only of those alive, so that nothing cancels
    where r is large and hardly anybody can be alive.
    """
    r, alpha = theta[0], theta[1]
    s, log_alpha, per_alpha, size = r + n, log(alpha), 1.0 / alpha, T.size
    exposure, growth, inverse, silence = lanes[0], lanes[1], lanes[2], lanes[3]
    gap, gone, stays, excess = lanes[4], lanes[5], lanes[6], lanes[7]
    for i in range(size):  # this and the next loops are nothing but arithmetic, and short: vectorised
        exposure[i] = 1.0 / (alpha + T[i])
        inverse[i] = 1.0 / (alpha + t_x[i])
        silence[i] = (T[i] - t_x[i]) * inverse[i]
        gap[i] = log1p_lane(silence[i])
    if n > 0.0:
        for i in range(size):
            growth[i] = log1p_lane(t_x[i] * per_alpha)
        for i in range(size):
            # the odds of log_odds_of_dropout, from the side on which e^ cannot overflow
            excess[i] = exp_lane(-abs(log_odds + s * gap[i]))
        for i in range(size):
            likely, unlikely = 1.0 / (1.0 + excess[i]), excess[i] / (1.0 + excess[i])
            gone[i] = likely if log_odds + s * gap[i] > 0.0 else unlikely
            stays[i] = unlikely if log_odds + s * gap[i] > 0.0 else likely
        for i in range(size):
            excess[i] = max(log_odds, -s * gap[i]) + log1p_lane(excess[i])
    else:  # nobody has dropped out who has not bought
        growth[:size] = 0.0
        gone[:size] = 0.0
        stays[:size] = 1.0
        for i in range(size):
            excess[i] = -s * gap[i]
    m0 = m1 = m2 = m3 = m4 = m5 = m6 = m7 = m8 = m9 = m10 = m11 = 0.0
    for i in range(size):
        w, e, before, alive = weight[i], exposure[i], inverse[i], stays[i]
        grown, quiet = t_x[i] * per_alpha * before, silence[i] * e
        w_dead, w_both, w_alive = w * gone[i], w * gone[i] * alive, w * alive
        m0 += w
        m1 += w * growth[i] + w_alive * gap[i]
        m2 += w * (r * grown - n * before) + w_alive * (s * quiet)
        m3 += w * (excess[i] - n * (log_alpha + growth[i]) - r * growth[i])
        m4 += w_dead
        m5 += w_both
        m6 += w * grown + w_alive * quiet
        m7 += w * (n * before * before - r * grown * (2.0 * alpha + t_x[i]) * (before * per_alpha))
        m7 += s * quiet * (w_both * (s * quiet) - w_alive * (before + e))
        m8 += w_both * gap[i]
        m9 += w_both * gap[i] * gap[i]
        m10 += w_both * gap[i] * quiet
        m11 += w_both * quiet
    for k, value in enumerate((m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11)):
        moments[k] = value


@kernel
def alive_loop(start, stop, x, t_x, T, theta, out):
    """P(alive at T), per customer; 1 without a repeat purchase, so that only those with one are looked at."""
    r, alpha, a, b = theta[0], theta[1], theta[2], theta[3]
    rows, lanes = np.empty(BLOCK, np.int64), np.empty((2, BLOCK))
    counts, odds = lanes[0], lanes[1]
    for begin in range(start, stop, BLOCK):
        end, size = min(begin + BLOCK, stop), 0
        for row in range(begin, end):
            out[row] = 1.0
            rows[size] = row
            size += x[row] > 0.0
        for k in range(size):
            row = rows[k]
            counts[k], odds[k] = x[row], (T[row] - t_x[row]) / (alpha + t_x[row])
        for k in range(size):  # this and the next loop are nothing but arithmetic: vectorised
            odds[k] = log_lane(a / (b + (counts[k] - 1.0))) + (r + counts[k]) * log1p_lane(odds[k])
        for k in range(size):
            small = exp_lane(-abs(odds[k]))
            # from the side on which e^ cannot overflow; never 0, so that endless purchases stay endless
            odds[k] = (max(small, 5e-324) if odds[k] > 0.0 else 1.0) / (1.0 + small)
        for k in range(size):
            out[rows[k]] = odds[k]
