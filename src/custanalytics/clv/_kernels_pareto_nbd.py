"""Loops of the Pareto/NBD model over customers."""

from __future__ import annotations

import math

import numpy as np

from custanalytics._jit import fma, kernel
from custanalytics._special import digamma_rising, exp_lane, expm1_lane, log1p_lane, log_add, log_rising

# A Gauss-Legendre rule on [0, 1], used panel by panel.
NODES = 16  # a multiple of what a processor computes at once
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(NODES)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS

# On a panel the logarithm of the integrand may change by _STEEP, and by a little more where the integrand has
# already decayed; a panel is never wider than _WIDEST, for the integrand has singularities at the distance π from
# the real line. What is left once the integrand has decayed by exp(-_NEGLIGIBLE) is dropped.
_STEEP = 12.0
_WIDEST = 4.0
_NEGLIGIBLE = 38.0

_SMALLEST = 5e-324
WORKSPACE = 16 + 6 * NODES  # moments, and what decay_integral keeps of the nodes of a panel


@kernel
def decay_integral(p, q, a, b, log_a, log_b, order, moments):
    """Integral of (1 + w/a)^-p (1 + w/b)^-q dw/b from 0 to where the bases are exp(log_a), exp(log_b).

    Returns its logarithm (error below 1e-12). Under its integrand, fills `moments` from order 1 on with the means of
    log(1 + w/a), 1/(1 + w/a), (w/a)/(1 + w/a) and of the same three with b (relative error below 1e-11), and at order
    2 with the means of the ten products of two of log(1 + w/a), (w/a)/(1 + w/a) and the same with b.

    The variable is y = log(1 + w/c) with c the smaller of a and b. In it the integrand is exp(-steep y) times
    (1 + rho (e^y - 1))^-bend, smooth on the scale of one whatever a and b are, and all terms are positive.
    """
    near, far, steep, bend, end = a, b, p - 1.0, q, log_a
    if b < a:
        near, far, steep, bend, end = b, a, q - 1.0, p, log_b
    rho = near / far
    nodes = (moments.size - 16) // 6  # which is NODES, but not known to the compiler: it would unroll the loops
    ys, excess = moments[16 : 16 + nodes], moments[16 + nodes : 16 + 2 * nodes]
    zs, gs = moments[16 + 2 * nodes : 16 + 3 * nodes], moments[16 + 3 * nodes : 16 + 4 * nodes]
    near_falls, far_falls = moments[16 + 4 * nodes : 16 + 5 * nodes], moments[16 + 5 * nodes : 16 + 6 * nodes]
    lo, decay, least, slope = 0.0, 0.0, 0.0, bend * rho
    total = near_log = near_inverse = near_share = far_log = far_inverse = far_share = 0.0
    nl_nl = nl_ns = ns_ns = nl_fl = nl_fs = ns_fl = ns_fs = fl_fl = fl_fs = fs_fs = 0.0
    while True:
        allowed = _STEEP + 0.5 * (decay - least)
        panel = min(end - lo, _WIDEST, allowed / (abs(steep) + slope))
        growth = math.expm1(lo + panel)
        slope = bend * rho * (1.0 + growth) / (1.0 + rho * growth)
        while (abs(steep) + slope) * panel > 1.001 * allowed:  # steeper at its end than at its beginning
            panel = max(0.5 * panel, allowed / (abs(steep) + slope))
            growth = math.expm1(lo + panel)
            slope = bend * rho * (1.0 + growth) / (1.0 + rho * growth)
        for k in range(nodes):  # nothing but arithmetic: vectorised
            ys[k] = lo + panel * _NODES[k]
            excess[k] = expm1_lane(ys[k])
        for k in range(nodes):
            zs[k] = log1p_lane(rho * excess[k])
        for k in range(nodes):
            gs[k] = panel * _WEIGHTS[k] * exp_lane(-fma(steep, ys[k], bend * zs[k]))
        for k in range(nodes):
            total += gs[k]
        if order > 0:
            for k in range(nodes):
                near_falls[k], far_falls[k] = 1.0 / (1.0 + excess[k]), 1.0 / (1.0 + rho * excess[k])
            for k in range(nodes):
                g, grown = gs[k], gs[k] * excess[k]
                near_log = fma(g, ys[k], near_log)
                near_inverse = fma(g, near_falls[k], near_inverse)
                near_share = fma(grown, near_falls[k], near_share)
                far_log = fma(g, zs[k], far_log)
                far_inverse = fma(g, far_falls[k], far_inverse)
                far_share = fma(grown, rho * far_falls[k], far_share)
        if order == 2:
            for k in range(nodes):
                y, z, near_part, far_part = ys[k], zs[k], excess[k] * near_falls[k], rho * excess[k] * far_falls[k]
                g_y, g_z, g_near = gs[k] * y, gs[k] * z, gs[k] * near_part
                nl_nl, nl_ns, nl_fl = fma(g_y, y, nl_nl), fma(g_y, near_part, nl_ns), fma(g_y, z, nl_fl)
                ns_ns, ns_fl, fl_fl = fma(g_near, near_part, ns_ns), fma(g_near, z, ns_fl), fma(g_z, z, fl_fl)
                nl_fs, ns_fs = fma(g_y, far_part, nl_fs), fma(g_near, far_part, ns_fs)
                fl_fs, fs_fs = fma(g_z, far_part, fl_fs), fma(gs[k] * far_part, far_part, fs_fs)
        lo += panel
        decay = steep * lo + bend * math.log1p(rho * growth)
        least = min(least, decay)
        if end - lo <= 1e-15 * end or decay - least > _NEGLIGIBLE:
            break
    if b < a:
        near_log, near_inverse, near_share, far_log, far_inverse, far_share = (
            far_log, far_inverse, far_share, near_log, near_inverse, near_share
        )  # fmt: skip
        nl_nl, nl_ns, ns_ns, fl_fl, fl_fs, fs_fs = fl_fl, fl_fs, fs_fs, nl_nl, nl_ns, ns_ns
        nl_fs, ns_fl = ns_fl, nl_fs
    share = 1.0 / total
    moments[0], moments[1], moments[2] = near_log * share, near_inverse * share, near_share * share
    moments[3], moments[4], moments[5] = far_log * share, far_inverse * share, far_share * share
    moments[6], moments[7], moments[8], moments[9] = nl_nl * share, nl_ns * share, nl_fl * share, nl_fs * share
    moments[10], moments[11], moments[12] = ns_ns * share, ns_fl * share, ns_fs * share
    moments[13], moments[14], moments[15] = fl_fl * share, fl_fs * share, fs_fs * share
    return math.log(total * (near / b))


@kernel
def curvature(x, t_x, T, r, alpha, s, beta, growth, alive, dead, moments, result):
    """Second derivatives by the logarithms of r, alpha, s, beta: the upper triangle, into result[5:].

    With f the derivatives of the logarithm of the integrand, they are the mean of the derivatives of f plus the
    covariance of f, given the data. Those who are dead contribute a covariance of their own, k_i k_j times that of
    the four moments, and together with those alive one between the two groups. `growth` is log(1 + t_x/alpha),
    log(1 + T/alpha) and the same two with beta.
    """
    a, b = alpha + t_x, beta + t_x
    a_before, a_until, b_before, b_until = growth
    a_part, b_part = T / (alpha + T), T / (beta + T)
    alive_r = -r * a_until
    alive_alpha = (r + x) * a_part - x
    alive_s = -s * b_until
    alive_beta = s * b_part
    a_dead = t_x / a + alpha / a * moments[2]
    b_dead = t_x / b + beta / b * moments[5]
    dead_r = -r * (a_before + moments[0])
    dead_alpha = (r + x) * a_dead - x
    dead_s = -s * (b_before + moments[3])
    dead_beta = (s + 1.0) * b_dead - 1.0
    # means of u alpha/(alpha + u)^2 and of u beta/(beta + u)^2 among the dead
    a_bend = alpha / a * (t_x / a + (alpha - t_x) / a * moments[2] - alpha / a * moments[10])
    b_bend = beta / b * (t_x / b + (beta - t_x) / b * moments[5] - beta / b * moments[15])
    between = alive * dead
    by_r, by_alpha = dead_r - alive_r, dead_alpha - alive_alpha
    by_s, by_beta = dead_s + 1.0 - alive_s, dead_beta - alive_beta
    k_r, k_alpha, k_s, k_beta = -r, (r + x) * alpha / a, -s, (s + 1.0) * beta / b
    m_r, m_alpha, m_s, m_beta = moments[0], moments[2], moments[3], moments[5]
    result[5] = between * by_r * by_r + dead * k_r * k_r * (moments[6] - m_r * m_r)
    result[6] = between * by_r * by_alpha + dead * k_r * k_alpha * (moments[7] - m_r * m_alpha)
    result[7] = between * by_r * by_s + dead * k_r * k_s * (moments[8] - m_r * m_s)
    result[8] = between * by_r * by_beta + dead * k_r * k_beta * (moments[9] - m_r * m_beta)
    result[9] = between * by_alpha * by_alpha + dead * k_alpha * k_alpha * (moments[10] - m_alpha * m_alpha)
    result[10] = between * by_alpha * by_s + dead * k_alpha * k_s * (moments[11] - m_alpha * m_s)
    result[11] = between * by_alpha * by_beta + dead * k_alpha * k_beta * (moments[12] - m_alpha * m_beta)
    result[12] = between * by_s * by_s + dead * k_s * k_s * (moments[13] - m_s * m_s)
    result[13] = between * by_s * by_beta + dead * k_s * k_beta * (moments[14] - m_s * m_beta)
    result[14] = between * by_beta * by_beta + dead * k_beta * k_beta * (moments[15] - m_beta * m_beta)
    result[5] += alive * alive_r + dead * dead_r
    result[6] += r * (alive * a_part + dead * a_dead)
    result[9] -= (r + x) * (alive * a_part * (alpha / (alpha + T)) + dead * a_bend)
    result[12] += alive * alive_s + dead * dead_s
    result[13] += s * (alive * b_part + dead * b_dead)
    result[14] -= alive * s * b_part * (beta / (beta + T)) + dead * (s + 1.0) * b_bend


@kernel
def log_likelihood(x, t_x, T, r, alpha, s, beta, order, moments, result):
    """Log-likelihood of one customer and its derivatives, without the terms in x and r alone.

    Fills `result` with the value, the derivatives by r, alpha, s, beta and, at order 2, the ten second derivatives
    by their logarithms. What is left out, log Γ(r + x) - log Γ(r), is the same for all customers with this x.

    Relative to the density at t_x, the likelihood is the sum of the ways to see nothing afterwards: alive at T,
    or dropped out at some u in between. The gradient is the mean, given the data, over the time u at which the
    customer was last alive (T if alive now).
    """
    a, b, gap = alpha + t_x, beta + t_x, T - t_x
    a_before, b_before = math.log1p(t_x / alpha), math.log1p(t_x / beta)
    log_a, log_b = math.log1p(gap / a), math.log1p(gap / b)
    log_total, alive, odds = 0.0, 1.0, 0.0
    moments[:16] = 0.0
    if gap > 0.0:
        log_alive = -(r + x) * log_a - s * log_b
        log_integral = decay_integral(r + x, s + 1.0, a, b, log_a, log_b, order, moments)
        log_total = log_add(log_alive, math.log(s) + log_integral)
        alive = math.exp(log_alive - log_total)
        odds = math.exp(log_integral - log_total)  # P(dead)/s, which has a limit as s goes to 0
    dead = s * odds
    a_log, a_inverse, a_share = moments[0], moments[1], moments[2]
    b_log, b_inverse, b_share = moments[3], moments[4], moments[5]
    a_part, b_part = (
        t_x / a * a_inverse + a_share,
        t_x / b * b_inverse + b_share,
    )  # means of u/(alpha + u), u/(beta + u)
    result[0] = -r * a_before - x * math.log(a) - s * b_before + log_total
    result[1] = -a_before - alive * log_a - dead * a_log
    result[2] = alive * (r * T / alpha - x) / (alpha + T) + dead * (r / alpha * a_part - x / a * a_inverse)
    result[3] = odds - b_before - alive * log_b - dead * b_log
    result[4] = alive * (s * T / beta) / (beta + T) + dead * (s / beta * b_part - b_inverse / b)
    if order == 2:
        growth = (a_before, a_before + log_a, b_before, b_before + log_b)
        curvature(x, t_x, T, r, alpha, s, beta, growth, alive, dead, moments, result)
    if x == 0.0 and gap > 0.0 and log_total > -0.5:
        # P(a purchase by T) may be tiny, and is then lost in 1 less it: take it as an integral of its own, over
        # the time of the first purchase.
        buys = r * math.exp(decay_integral(s, r + 1.0, b, a, log_b, log_a, 1, moments))
        odds = buys / (1.0 - buys)
        result[0] = math.log1p(-buys)
        result[3] = odds * moments[0]
        result[4] = -odds * (s / beta) * moments[2]


@kernel
def log_likelihood_loop(start, stop, x, t_x, T, weight, theta, out):
    """Weighted sum of the log-likelihood and its gradient, into the row of this slice.

    Where `out` has room for them, also of the ten second derivatives by the logarithms of the parameters.
    """
    r, alpha, s, beta = theta[0], theta[1], theta[2], theta[3]
    order = 2 if out.shape[1] > 5 else 1
    moments, result = np.empty(WORKSPACE), np.empty(15)
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
        log_likelihood(x[i], t_x[i], T[i], r, alpha, s, beta, order, moments, result)
        result[0] += rising
        result[1] += rising_by_r
        result[5] += bend
        for k in range(out.shape[1]):
            row[k] += weight[i] * result[k]


@kernel
def grouped_loop(bounds, x, t_x, T, weight, thetas, parts):
    """`log_likelihood_loop` of the rows from each bound to the next, with parameters and a result of their own."""
    for group in range(len(thetas)):
        log_likelihood_loop(bounds[group], bounds[group + 1], x, t_x, T, weight, thetas[group], parts[group])


@kernel
def alive_loop(start, stop, x, t_x, T, theta, out):
    """P(alive at T), per customer; never 0, so that an infinite expectation stays infinite when multiplied by it."""
    r, alpha, s, beta = theta[0], theta[1], theta[2], theta[3]
    moments = np.empty(WORKSPACE)
    for i in range(start, stop):
        gap, a, b = T[i] - t_x[i], alpha + t_x[i], beta + t_x[i]
        if gap > 0.0:
            log_a, log_b = math.log1p(gap / a), math.log1p(gap / b)
            log_alive = -(r + x[i]) * log_a - s * log_b
            log_dead = math.log(s) + decay_integral(r + x[i], s + 1.0, a, b, log_a, log_b, 0, moments)
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
