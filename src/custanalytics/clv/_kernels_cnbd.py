"""Kernels of the BG/CNBD-k and the MBG/CNBD-k, which at k = 1 are the BG/NBD and the MBG/NBD.

Purchases are every k-th event of a Poisson process. `chances` is how often a customer may have dropped out before
the first repeat purchase: 0 in the BG, 1 in the MBG family. `theta` is (r, alpha, a, b), r and alpha of the events.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, log, log1p

import numpy as np

from custanalytics._jit import kernel
from custanalytics.clv._kernels_beta_geo_purchases import lanes_for, weighted_series

_HUGE = 1e200  # partial sums are scaled down here: terms grow with at most x^k
_LOG_HUGE = log(_HUGE)
_SMALLEST = 5e-324


@kernel
def silence(k, s, share, gap, order, moments):
    """Log of the probability of fewer than k events since the last purchase, given s = r + k x.

    The events are negative binomial: the sum over j < k of (s)_j / j! share^j, times (1 - share)^s with
    gap = -log(1 - share). Under the terms of that sum, fills `moments` with the means of j and of
    D_j = 1/s + ... + 1/(s + j - 1), at order 2 also of j^2, j D_j, D_j^2 and of the sum of 1/(s + i)^2.
    """
    term, excess, scale = 1.0, 0.0, 0.0
    first = 1.0  # the term j = 0, as scaled
    slope, bend = 0.0, 0.0
    m_j, m_d, m_jj, m_jd, m_dd, m_bend = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    j = 0.0
    while j < k - 1.0:
        slope += 1.0 / (s + j)
        bend += 1.0 / (s + j) ** 2
        term *= (s + j) / (j + 1.0) * share
        j += 1.0
        if term > _HUGE:
            down = 1.0 / _HUGE
            scale += _LOG_HUGE
            term, excess, first = term * down, excess * down, first * down
            m_j, m_d, m_jj, m_jd, m_dd, m_bend = (
                m_j * down, m_d * down, m_jj * down, m_jd * down, m_dd * down, m_bend * down
            )  # fmt: skip
        excess += term
        m_j += term * j
        m_d += term * slope
        if order == 2:
            m_jj += term * j * j
            m_jd += term * j * slope
            m_dd += term * slope * slope
            m_bend += term * bend
    total = first + excess
    moments[0], moments[1] = m_j / total, m_d / total
    moments[2], moments[3], moments[4], moments[5] = m_jj / total, m_jd / total, m_dd / total, m_bend / total
    return (log1p(excess) if scale == 0.0 else log(total) + scale) - s * gap


@kernel
def next_purchase(k, s, share, log_silence):
    """Probability of k events or more: what is missing to that of silence, to its last digits."""
    if k == 1.0 or share > 0.5 or log_silence < -1.0:
        return -expm1(log_silence)
    term, j, total = exp(s * log1p(-share)), 0.0, 0.0
    while j < k:
        term *= (s + j) / (j + 1.0) * share
        j += 1.0
    while True:
        total += term
        ratio = (s + j) / (j + 1.0) * share
        term *= ratio
        j += 1.0
        if ratio < 0.9 and term <= 1e-17 * total:
            return total


@kernel
def toss(i, a, b, sums):
    """Log of the chance to survive the toss after i others, whose derivatives are added to the sums."""
    sums[1] += 1.0 / (b + i)
    sums[4] += 1.0 / (b + i) ** 2
    sums[2] += 1.0 / (a + b + i)
    sums[5] += 1.0 / (a + b + i) ** 2
    return -log1p(a / (b + i))


@kernel
def count_up(counted, n, k, chances, theta, product, sums):
    """Log of the product of rates and tosses up to n purchases, from that for `counted` on; anew where it is -1."""
    r, a, b = theta[0], theta[2], theta[3]
    if counted < 0.0:
        counted, product = 0.0, 0.0
        sums[:] = 0.0
        if chances > 0.0:
            product = toss(0.0, a, b, sums)
    while counted < n:
        j = 0.0
        while j < k:
            event = r + k * counted + j
            product += log(event)
            sums[0] += 1.0 / event
            sums[3] += 1.0 / event**2
            j += 1.0
        product += toss(counted + chances, a, b, sums)
        counted += 1.0
    return product


@kernel
def log_likelihood_loop(k, chances, start, stop, x, t_x, T, weight, theta, out):
    """Weighted sum of the log-likelihood and its gradient, into the row of this slice.

    Where the row has room, second derivatives by the logarithms of the parameters follow, the upper triangle row
    by row. What no parameter changes, the times between purchases and Γ(k), is left out. `x` in ascending order
    costs k max(x) logarithms a slice; any order is right.
    """
    r, alpha, a, b = theta[0], theta[1], theta[2], theta[3]
    per_alpha = 1.0 / alpha
    row = out[0]
    row[:] = 0.0
    second = row.size > 5
    order = 2 if second else 1
    moments, sums = np.empty(6), np.zeros(6)
    counted, product = -1.0, 0.0
    for i in range(start, stop):
        n, w = x[i], weight[i]
        tosses, s = n + chances, r + k * n
        if n != counted:
            product = count_up(counted if counted < n else -1.0, n, k, chances, theta, product, sums)
            counted = n
        since = T[i] - t_x[i]
        before, exposure = 1.0 / (alpha + t_x[i]), 1.0 / (alpha + T[i])
        share, gap = since * exposure, log1p(since * before)
        log_silence = silence(k, s, share, gap, order, moments)
        # log(silence + e^odds), where silence and survival are the other way to have seen nothing since t_x
        bracket, dead, alive, last = log_silence, 0.0, 1.0, 0.0
        if tosses > 0.0:
            last = 1.0 / (b + (tosses - 1.0))
            odds = log(a * last) - log_silence
            small = exp(-abs(odds))
            bracket = max(log_silence, log(a * last)) + log1p(small)
            dead = (1.0 if odds > 0.0 else small) / (1.0 + small)
            alive = (small if odds > 0.0 else 1.0) / (1.0 + small)
        value = product + bracket - k * n * log(alpha + t_x[i]) - r * log1p(t_x[i] * per_alpha)
        if n == 0.0 and value > -0.1:  # hardly a chance of a purchase: keep the digits of what is next to nothing
            value = log1p(-exp(product) * next_purchase(k, s, share, log_silence))
        q_s, q_alpha = moments[1] - gap, s * share * before - moments[0] * exposure  # derivatives of log_silence
        g_r = sums[0] - log1p(t_x[i] * per_alpha) + alive * q_s
        g_alpha = (r * t_x[i] * per_alpha - k * n) * before + alive * q_alpha
        g_a = dead / a - sums[2]
        g_b = sums[1] - sums[2] - dead * last
        row[0] += w * value
        row[1] += w * g_r
        row[2] += w * g_alpha
        row[3] += w * g_a
        row[4] += w * g_b
        if second:
            # the derivatives of the odds of dropout are (-q_s, -q_alpha, 1 / a, -last)
            both = dead * alive
            q_ss = moments[4] - moments[5] - moments[1] ** 2
            q_s_alpha = share * before - (moments[3] - moments[0] * moments[1]) * exposure
            q_alpha_alpha = (moments[2] - moments[0] ** 2 + moments[0]) * exposure**2
            q_alpha_alpha -= s * share * before * (before + exposure)
            h_r_alpha = t_x[i] * per_alpha * before + alive * q_s_alpha
            h_alpha = k * n * before**2 - r * t_x[i] * per_alpha * before * (before + per_alpha)
            row[5] += w * r * (r * (both * q_s * q_s + alive * q_ss - sums[3]) + g_r)
            row[6] += w * r * alpha * (h_r_alpha + both * q_s * q_alpha)
            row[7] -= w * r * both * q_s
            row[8] += w * r * b * both * q_s * last
            row[9] += w * alpha * (alpha * (h_alpha + alive * q_alpha_alpha + both * q_alpha * q_alpha) + g_alpha)
            row[10] -= w * alpha * both * q_alpha
            row[11] += w * alpha * b * both * q_alpha * last
            row[12] += w * (a * a * sums[5] + both - a * sums[2])
            row[13] += w * (a * b * sums[5] - b * both * last)
            row[14] += w * b * (b * (sums[5] - sums[4] + (dead + both) * last**2) + g_b)


@kernel
def grouped_loop(k, chances, bounds, x, t_x, T, weight, thetas, parts):
    """`log_likelihood_loop` of the rows from each bound to the next, with parameters and a result of their own."""
    for group in range(len(thetas)):
        begin, end = bounds[group], bounds[group + 1]
        log_likelihood_loop(k, chances, begin, end, x, t_x, T, weight, thetas[group], parts[group])


@kernel
def alive_loop(k, chances, start, stop, x, t_x, T, theta, out):
    """P(alive at T), per customer; never 0, so that endless purchases stay endless."""
    r, alpha, a, b = theta[0], theta[1], theta[2], theta[3]
    moments = np.empty(6)
    for i in range(start, stop):
        since, tosses = T[i] - t_x[i], x[i] + chances
        log_silence = silence(k, r + k * x[i], since / (alpha + T[i]), log1p(since / (alpha + t_x[i])), 1, moments)
        if tosses > 0.0:
            odds = log(a) - log(b + (tosses - 1.0)) - log_silence
            small = exp(-abs(odds))
            out[i] = max((small if odds > 0.0 else 1.0) / (1.0 + small), _SMALLEST)
        else:
            out[i] = 1.0


@kernel
def modified_purchases_loop(start, stop, x, T, theta, horizons, weights, out):
    """At k = 1, chances = 1: sum over k of weights[k] E[purchases in (T, T + horizons[k]] | alive at T]."""
    r, alpha, a, b = theta[0], theta[1], theta[2], theta[3]
    lanes = lanes_for(horizons)
    for i in range(start, stop):
        out[i] = weighted_series(r + x[i], alpha + T[i], a, b + (x[i] + 1.0), horizons, weights, lanes)
