"""Loops of the Pareto/NBD model over customers whose rate of purchase and of dropout change with time."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, inf, log, log1p

import numpy as np

from custanalytics._jit import kernel
from custanalytics._special import digamma_rising, log1p_lane, log_add, log_rising
from custanalytics.clv import _kernels_decay as decay
from custanalytics.clv._kernels_decay import LANES, LOG_A, LOG_B, LOG_INTEGRAL, MOMENTS, A, B, P, Q, decay_integrals

_FROM_A, _FROM_B, _PAST_A, _PAST_B, _AT = (decay.USED + LANES * row for row in range(5))  # more rows of lanes
_USED = _AT + LANES
_SMALLEST = 5e-324
KEPT = 9  # of each piece: its share of the likelihood, and means of decay_integrals


@kernel
def varying_loop(start, stop, x, rate_before, hazard_before, bounds, length, rates, hazards, theta, rows, pieces):
    """Log-likelihood of each customer, its derivatives, and P(alive), into `rows`; by pieces of time into `pieces`.

    Pieces are the stretches of constant covariates since the last purchase. On each, the time of dropout is
    integrated as in the model without covariates, in the piece's own units of time. The columns of `rows` are the
    value, the derivatives by r, alpha, s, beta and by the two exposures before, and P(alive); those of `pieces` the
    derivatives by the logarithms of the rate and of the hazard there.

    Powers of a and b are taken relative to alpha and beta: where r and s are large, what is left is not small beside
    what cancels.
    """
    r, alpha, s, beta = theta[0], theta[1], theta[2], theta[3]
    kept = np.empty((bounds[stop] - bounds[start], KEPT))
    order = min(stop, 1)  # 1, which if the compiler knew it would compile all that follows anew
    integrate_pieces(start, stop, order, x, rate_before, hazard_before, bounds, length, rates, hazards, theta, kept)
    for i in range(start, stop):
        p, own = r + x[i], kept[bounds[i] - bounds[start] :]
        past_a, past_b, total = rate_before[i], hazard_before[i], -inf
        for k in range(bounds[i], bounds[i + 1]):
            total = log_add(total, own[k - bounds[i], 0])
            past_a += rates[k] * length[k]
            past_b += hazards[k] * length[k]
        a, b, log_a, log_b = alpha + past_a, beta + past_b, log1p(past_a / alpha), log1p(past_b / beta)
        log_alive = -p * log_a - s * log_b
        total = log_add(total, log_alive)
        alive = exp(log_alive - total)
        # sums over the ways to have seen nothing since; those later than a piece depend on its exposure
        logs_a, inverse_a, logs_b, inverse_b, dead = alive * log_a, alive / a, alive * log_b, alive * s / b, 0.0
        share_a, share_b, of_dead = alive * past_a / a, alive * past_b / b, 0.0
        for k in range(bounds[i + 1] - 1, bounds[i] - 1, -1):
            at, share = k - bounds[i], 0.0
            if length[k] > 0.0:
                share = exp(own[at, 0] - total)
                of_hazard = share * (1.0 - (s + 1.0) * own[at, 6])
                pieces[k, 0] = -p * (share * own[at, 3] + rates[k] * length[k] * inverse_a)
                pieces[k, 1] = of_hazard - hazards[k] * length[k] * inverse_b
                dead += share
                logs_a += share * own[at, 1]
                inverse_a += share * own[at, 2]
                logs_b += share * own[at, 4]
                inverse_b += share * (s + 1.0) * own[at, 5]
                of_dead += share * own[at, 5]
                share_a += share * own[at, 7]
                share_b += share * own[at, 8]
            else:
                pieces[k, 0], pieces[k, 1] = 0.0, 0.0
        rows[i, 0] = log_rising(r, x[i]) - x[i] * log(alpha) + total
        rows[i, 1] = digamma_rising(r, x[i]) - logs_a
        rows[i, 2] = r / alpha * share_a - x[i] * inverse_a
        rows[i, 3] = dead / s - logs_b
        rows[i, 4] = s / beta * share_b - of_dead
        rows[i, 5] = -p * inverse_a
        rows[i, 6] = -inverse_b
        rows[i, 7] = alive


@kernel
def seen_loop(start, stop, x, rate_before, hazard_before, bounds, length, rates, hazards, theta, values, alive):
    """Log-likelihood and P(alive) of each customer: those of `varying_loop`, without the cost of derivatives."""
    r, alpha, s, beta = theta[0], theta[1], theta[2], theta[3]
    kept = np.empty((bounds[stop] - bounds[start], KEPT))
    order = min(start, 0)  # 0, see above
    integrate_pieces(start, stop, order, x, rate_before, hazard_before, bounds, length, rates, hazards, theta, kept)
    for i in range(start, stop):
        p, past_a, past_b, total = r + x[i], rate_before[i], hazard_before[i], -inf
        for k in range(bounds[i], bounds[i + 1]):
            total = log_add(total, kept[k - bounds[start], 0])
            past_a += rates[k] * length[k]
            past_b += hazards[k] * length[k]
        log_alive = -p * log1p(past_a / alpha) - s * log1p(past_b / beta)
        total = log_add(total, log_alive)
        values[i] = log_rising(r, x[i]) - x[i] * log(alpha) + total
        alive[i] = max(exp(log_alive - total), _SMALLEST)


@kernel
def integrate_pieces(start, stop, order, x, rate_before, hazard_before, bounds, length, rates, hazards, theta, kept):
    """The integral over each piece of time of some customers, as a logarithm, and the means under it, into `kept`.

    At order 1 the means are of log(a/alpha), 1/a, the piece's own part of a and all that is a - alpha, relative to a,
    and of the same with b; at order 0 there are none. Pieces without length keep -inf.
    """
    r, alpha, s, beta = theta[0], theta[1], theta[2], theta[3]
    lanes, points, taken = np.zeros(_USED), np.empty(decay.POINTS), 0
    for i in range(start, stop):
        past_a, past_b = rate_before[i], hazard_before[i]
        for k in range(bounds[i], bounds[i + 1]):
            a, b = alpha + past_a, beta + past_b
            at, w, v, d = k - bounds[start], rates[k], hazards[k], length[k]
            kept[at, 0] = -inf
            if d > 0.0:
                lanes[P + taken], lanes[Q + taken] = r + x[i], s + 1.0
                lanes[A + taken], lanes[B + taken] = a / w, b / v
                lanes[LOG_A + taken], lanes[LOG_B + taken] = d * w / a, d * v / b
                lanes[_FROM_A + taken], lanes[_FROM_B + taken], lanes[_AT + taken] = a, b, at
                lanes[_PAST_A + taken], lanes[_PAST_B + taken] = past_a, past_b
                taken += 1
                past_a += w * d
                past_b += v * d
            if taken == LANES or (taken > 0 and k == bounds[stop] - 1):
                _keep(taken, order, alpha, s, beta, lanes, points, kept)
                taken = 0


@kernel
def _keep(n, order, alpha, s, beta, lanes, points, kept):
    """The integrals of the pieces in the first `n` lanes."""
    for j in range(n):
        lanes[LOG_A + j], lanes[LOG_B + j] = log1p_lane(lanes[LOG_A + j]), log1p_lane(lanes[LOG_B + j])
    decay_integrals(n, order, lanes, points)
    log_s = log(s)
    for j in range(n):
        lanes[LOG_A + j] = log1p_lane(lanes[_PAST_A + j] / alpha)
        lanes[LOG_B + j] = log1p_lane(lanes[_PAST_B + j] / beta)
    for j in range(n):
        own, log_a, log_b = kept[int(lanes[_AT + j])], lanes[LOG_A + j], lanes[LOG_B + j]
        own[0] = log_s - lanes[P + j] * log_a - s * log_b + lanes[LOG_INTEGRAL + j]
        if order > 0:
            own[1], own[4] = log_a + lanes[MOMENTS + j], log_b + lanes[MOMENTS + 3 * LANES + j]
            own[2], own[3] = lanes[MOMENTS + LANES + j] / lanes[_FROM_A + j], lanes[MOMENTS + 2 * LANES + j]
            own[5], own[6] = lanes[MOMENTS + 4 * LANES + j] / lanes[_FROM_B + j], lanes[MOMENTS + 5 * LANES + j]
            own[7], own[8] = lanes[_PAST_A + j] * own[2] + own[3], lanes[_PAST_B + j] * own[5] + own[6]
