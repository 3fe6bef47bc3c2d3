"""Loops of the Pareto/NBD model over customers, which go through them lane by lane as `_kernels_decay` does."""

# mypy: allow-untyped-defs

from __future__ import annotations

import math

import numpy as np

from custanalytics._jit import kernel
from custanalytics._special import digamma_rising, exp_lane, log1p_lane, log_lane, log_rising
from custanalytics.clv import _kernels_decay as decay
from custanalytics.clv._kernels_decay import LANES, LOG_A, LOG_B, LOG_INTEGRAL, MOMENTS, A, B, P, Q, decay_integrals

_SMALLEST = 5e-324

# More rows of lanes: customers and parameters, what of the likelihood comes before its derivatives, and the value with
# four first derivatives and ten second ones.
_X, _T_X, _AGE, _WEIGHT, _R, _ALPHA, _S, _BETA, _LOG_S, _RISING, _RISING_BY_R, _BEND = (
    decay.USED + LANES * row for row in range(12)
)
_A_BEFORE, _B_BEFORE, _TOTAL, _ALIVE, _ODDS, _AT, _VALUE = (decay.USED + LANES * row for row in range(12, 19))
_USED = _VALUE + 15 * LANES


@kernel
def grouped_loop(bounds, x, t_x, T, weight, thetas, parts):
    """`log_likelihood_loop` of the rows from each bound to the next, with parameters and a result of their own."""
    order = min(parts.shape[2] // 5, 2)
    lanes, points, owner = np.zeros(_USED), np.empty(decay.POINTS), np.zeros(LANES, np.int64)
    taken, left = 0, bounds[len(thetas)] - bounds[0]
    for group in range(len(thetas)):
        r, alpha, s, beta = thetas[group, 0], thetas[group, 1], thetas[group, 2], thetas[group, 3]
        log_s, counted, rising, rising_by_r, bend, bent = math.log(s), 0.0, 0.0, 0.0, 0.0, 0.0
        parts[group] = 0.0
        for i in range(bounds[group], bounds[group + 1]):
            if x[i] != counted:  # once per distinct x where they come in order
                if x[i] < counted:
                    bend, bent = 0.0, 0.0
                counted = x[i]
                rising, rising_by_r = log_rising(r, counted), digamma_rising(r, counted)
                while order == 2 and bent < counted:  # second derivative by log r of log(r (r + 1) … (r + x - 1))
                    bend += r * bent / ((r + bent) * (r + bent))
                    bent += 1.0
            lanes[_X + taken], lanes[_T_X + taken], lanes[_AGE + taken] = x[i], t_x[i], T[i]
            lanes[_R + taken], lanes[_ALPHA + taken], lanes[_S + taken], lanes[_BETA + taken] = r, alpha, s, beta
            lanes[_LOG_S + taken], lanes[_WEIGHT + taken], owner[taken] = log_s, weight[i], group
            lanes[_RISING + taken], lanes[_RISING_BY_R + taken], lanes[_BEND + taken] = rising, rising_by_r, bend
            taken, left = taken + 1, left - 1
            if taken == LANES or left == 0:
                _add_to_groups(taken, order, lanes, points, owner, parts)
                taken = 0


@kernel
def log_likelihood_loop(start, stop, x, t_x, T, weight, theta, out):
    """Weighted sum of the log-likelihood and its gradient, into the row of this slice.

    Where `out` has room for them, also of the ten second derivatives by the logarithms of the parameters.
    """
    grouped_loop(np.array([start, stop]), x, t_x, T, weight, theta.reshape(1, 4), out.reshape(1, 1, out.shape[1]))


@kernel
def alive_loop(start, stop, x, t_x, T, theta, out):
    """P(alive at T), per customer; never 0, so that an infinite expectation stays infinite when multiplied by it."""
    lanes, points = np.zeros(_USED), np.empty(decay.POINTS)
    for i in range(LANES):
        lanes[_R + i], lanes[_ALPHA + i], lanes[_S + i], lanes[_BETA + i] = theta[0], theta[1], theta[2], theta[3]
        lanes[_LOG_S + i] = math.log(theta[2])
    for first in range(start, stop, LANES):
        n = min(LANES, stop - first)
        for i in range(n):
            lanes[_X + i], lanes[_T_X + i], lanes[_AGE + i] = x[first + i], t_x[first + i], T[first + i]
        _see(n, min(n, 0), lanes, points)  # order 0, which if the compiler knew it would compile all that follows anew
        for i in range(n):
            out[first + i] = max(lanes[_ALIVE + i], _SMALLEST)


@kernel
def _add_to_groups(n, order, lanes, points, owner, parts):
    """Add the log-likelihoods of the first `n` lanes and their derivatives to the sums of the groups they belong to.

    Relative to the density at t_x, the likelihood is the sum of the ways to see nothing afterwards: alive at T,
    or dropped out at some u in between. The gradient is the mean, given the data, over the time u at which the
    customer was last alive (T if alive now).
    """
    _see(n, order, lanes, points)
    _differentiate(n, lanes)
    if order == 2:
        _differentiate_twice(n, lanes)
    _mend_unlikely(n, lanes, points)
    for i in range(n):
        lanes[_VALUE + i] += lanes[_RISING + i]
        lanes[_VALUE + LANES + i] += lanes[_RISING_BY_R + i]
        lanes[_VALUE + 5 * LANES + i] += lanes[_BEND + i]
    first = 0
    while first < n:
        group, last = owner[first], first + 1
        while last < n and owner[last] == group:
            last += 1
        for k in range(parts.shape[2]):
            total = parts[group, 0, k]
            for i in range(first, last):
                total += lanes[_WEIGHT + i] * lanes[_VALUE + k * LANES + i]
            parts[group, 0, k] = total
        first = last


@kernel
def _see(n, order, lanes, points):
    """The logarithm of the chance of what was seen, relative to the density at t_x; P(alive), P(dead)/s, moments."""
    for i in range(n):
        a, b, gap = (
            lanes[_ALPHA + i] + lanes[_T_X + i], lanes[_BETA + i] + lanes[_T_X + i], lanes[_AGE + i] - lanes[_T_X + i]
        )  # fmt: skip
        lanes[P + i], lanes[Q + i] = lanes[_R + i] + lanes[_X + i], lanes[_S + i] + 1.0
        lanes[A + i], lanes[B + i] = a, b
        lanes[LOG_A + i], lanes[LOG_B + i] = log1p_lane(gap / a), log1p_lane(gap / b)
    decay_integrals(n, order, lanes, points)
    for i in range(n):
        log_alive = -lanes[P + i] * lanes[LOG_A + i] - lanes[_S + i] * lanes[LOG_B + i]
        log_dead = lanes[_LOG_S + i] + lanes[LOG_INTEGRAL + i]
        total = max(log_alive, log_dead) + log1p_lane(exp_lane(-abs(log_alive - log_dead)))
        lanes[_TOTAL + i] = total
        lanes[_ALIVE + i] = exp_lane(log_alive - total)
        lanes[_ODDS + i] = exp_lane(lanes[LOG_INTEGRAL + i] - total)  # P(dead)/s, which has a limit as s goes to 0


@kernel
def _differentiate(n, lanes):
    """The log-likelihood and its derivatives by r, alpha, s, beta, without the terms in x and r alone.

    What is left out, log Γ(r + x) - log Γ(r), is the same for all customers with this x.
    """
    for i in range(n):
        lanes[_A_BEFORE + i] = log1p_lane(lanes[_T_X + i] / lanes[_ALPHA + i])
        lanes[_B_BEFORE + i] = log1p_lane(lanes[_T_X + i] / lanes[_BETA + i])
        lanes[_VALUE + i] = log_lane(lanes[A + i])
    for i in range(n):
        x, t_x, T, r, alpha = lanes[_X + i], lanes[_T_X + i], lanes[_AGE + i], lanes[_R + i], lanes[_ALPHA + i]
        alive, dead, a = lanes[_ALIVE + i], lanes[_S + i] * lanes[_ODDS + i], lanes[A + i]
        a_log, a_inverse, a_share = (
            lanes[MOMENTS + i], lanes[MOMENTS + LANES + i], lanes[MOMENTS + 2 * LANES + i]
        )  # fmt: skip
        a_part = t_x / a * a_inverse + a_share  # mean of u/(alpha + u)
        before = -r * lanes[_A_BEFORE + i] - x * lanes[_VALUE + i] - lanes[_S + i] * lanes[_B_BEFORE + i]
        lanes[_VALUE + i] = before + lanes[_TOTAL + i]
        lanes[_VALUE + LANES + i] = -lanes[_A_BEFORE + i] - alive * lanes[LOG_A + i] - dead * a_log
        lanes[_VALUE + 2 * LANES + i] = alive * (r * T / alpha - x) / (alpha + T) + dead * (
            r / alpha * a_part - x / a * a_inverse
        )
    for i in range(n):
        t_x, T, s, beta = lanes[_T_X + i], lanes[_AGE + i], lanes[_S + i], lanes[_BETA + i]
        alive, odds, b = lanes[_ALIVE + i], lanes[_ODDS + i], lanes[B + i]
        b_log, b_inverse, b_share = (
            lanes[MOMENTS + 3 * LANES + i], lanes[MOMENTS + 4 * LANES + i], lanes[MOMENTS + 5 * LANES + i]
        )  # fmt: skip
        b_part = t_x / b * b_inverse + b_share
        lanes[_VALUE + 3 * LANES + i] = odds - lanes[_B_BEFORE + i] - alive * lanes[LOG_B + i] - s * odds * b_log
        lanes[_VALUE + 4 * LANES + i] = alive * (s * T / beta) / (beta + T) + s * odds * (
            s / beta * b_part - b_inverse / b
        )


@kernel
def _differentiate_twice(n, lanes):
    """Second derivatives by the logarithms of r, alpha, s, beta: the upper triangle, row by row.

    With f the derivatives of the logarithm of the integrand, they are the mean of the derivatives of f plus the
    covariance of f, given the data. Those who are dead contribute a covariance of their own, k_i k_j times that of
    the four moments, and together with those alive one between the two groups.
    """
    for i in range(n):
        x, t_x, T = lanes[_X + i], lanes[_T_X + i], lanes[_AGE + i]
        r, alpha, s, beta = lanes[_R + i], lanes[_ALPHA + i], lanes[_S + i], lanes[_BETA + i]
        a, b, alive, dead = lanes[A + i], lanes[B + i], lanes[_ALIVE + i], lanes[_S + i] * lanes[_ODDS + i]
        m_r, m_alpha = lanes[MOMENTS + i], lanes[MOMENTS + 2 * LANES + i]
        m_s, m_beta = lanes[MOMENTS + 3 * LANES + i], lanes[MOMENTS + 5 * LANES + i]
        a_part, b_part = T / (alpha + T), T / (beta + T)
        a_from, b_from = alpha / a, beta / b
        a_dead, b_dead = t_x / a + a_from * m_alpha, t_x / b + b_from * m_beta
        alive_r, alive_alpha = -r * (lanes[_A_BEFORE + i] + lanes[LOG_A + i]), (r + x) * a_part - x
        alive_s, alive_beta = -s * (lanes[_B_BEFORE + i] + lanes[LOG_B + i]), s * b_part
        dead_r, dead_alpha = -r * (lanes[_A_BEFORE + i] + m_r), (r + x) * a_dead - x
        dead_s, dead_beta = -s * (lanes[_B_BEFORE + i] + m_s), (s + 1.0) * b_dead - 1.0
        # means of u alpha/(alpha + u)^2 and of u beta/(beta + u)^2 among the dead
        a_bend = a_from * (t_x / a + (alpha - t_x) / a * m_alpha - a_from * lanes[MOMENTS + 10 * LANES + i])
        b_bend = b_from * (t_x / b + (beta - t_x) / b * m_beta - b_from * lanes[MOMENTS + 15 * LANES + i])
        by_r, by_alpha = dead_r - alive_r, dead_alpha - alive_alpha
        by_s, by_beta = dead_s + 1.0 - alive_s, dead_beta - alive_beta
        k_r, k_alpha, k_s, k_beta = -r, (r + x) * a_from, -s, (s + 1.0) * b_from
        here = (alive, dead, i, lanes)
        of_r, of_alpha = (by_r, k_r, m_r), (by_alpha, k_alpha, m_alpha)
        of_s, of_beta = (by_s, k_s, m_s), (by_beta, k_beta, m_beta)
        lanes[_VALUE + 5 * LANES + i] = _covariance(6, of_r, of_r, here) + alive * alive_r + dead * dead_r
        lanes[_VALUE + 6 * LANES + i] = _covariance(7, of_r, of_alpha, here) + r * (alive * a_part + dead * a_dead)
        lanes[_VALUE + 7 * LANES + i] = _covariance(8, of_r, of_s, here)
        lanes[_VALUE + 8 * LANES + i] = _covariance(9, of_r, of_beta, here)
        lanes[_VALUE + 9 * LANES + i] = _covariance(10, of_alpha, of_alpha, here) - (r + x) * (
            alive * a_part * (alpha / (alpha + T)) + dead * a_bend
        )
        lanes[_VALUE + 10 * LANES + i] = _covariance(11, of_alpha, of_s, here)
        lanes[_VALUE + 11 * LANES + i] = _covariance(12, of_alpha, of_beta, here)
        lanes[_VALUE + 12 * LANES + i] = _covariance(13, of_s, of_s, here) + alive * alive_s + dead * dead_s
        lanes[_VALUE + 13 * LANES + i] = _covariance(14, of_s, of_beta, here) + s * (alive * b_part + dead * b_dead)
        lanes[_VALUE + 14 * LANES + i] = (
            _covariance(15, of_beta, of_beta, here)
            - alive * s * b_part * (beta / (beta + T))
            - dead * (s + 1.0) * b_bend
        )


@kernel
def _covariance(moment, one, other, here):
    """Of two derivatives: among the dead, whose mean of both is the given moment, and between them and those alive.

    Of each derivative: by how much it is larger for the dead, its factor before the mean, and the mean.
    """
    (by, k, mean), (other_by, other_k, other_mean), (alive, dead, i, lanes) = one, other, here
    within = dead * k * other_k * (lanes[MOMENTS + moment * LANES + i] - mean * other_mean)
    return alive * dead * by * other_by + within


@kernel
def _mend_unlikely(n, lanes, points):
    """Log-likelihoods of customers without a purchase, where hardly any was to be expected.

    P(a purchase by T) may be tiny, and is then lost in 1 less it: it is taken as an integral of its own, over the
    time of the first purchase.
    """
    found = 0
    for i in range(n):
        a, b, log_a, log_b = lanes[A + i], lanes[B + i], lanes[LOG_A + i], lanes[LOG_B + i]
        if lanes[_X + i] == 0.0 and lanes[_AGE + i] > lanes[_T_X + i] and lanes[_TOTAL + i] > -0.5:
            lanes[P + found], lanes[Q + found] = lanes[_S + i], lanes[_R + i] + 1.0
            lanes[A + found], lanes[B + found], lanes[LOG_A + found], lanes[LOG_B + found] = b, a, log_b, log_a
            lanes[_AT + found] = i
            found += 1
    if found == 0:
        return
    decay_integrals(found, min(found, 1), lanes, points)  # order 1, which the compiler had better not know
    for j in range(found):
        i = int(lanes[_AT + j])
        buys = lanes[_R + i] * math.exp(lanes[LOG_INTEGRAL + j])
        odds = buys / (1.0 - buys)
        lanes[_VALUE + i] = math.log1p(-buys)
        lanes[_VALUE + 3 * LANES + i] = odds * lanes[MOMENTS + j]
        lanes[_VALUE + 4 * LANES + i] = -odds * (lanes[_S + i] / lanes[_BETA + i]) * lanes[MOMENTS + 2 * LANES + j]


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
