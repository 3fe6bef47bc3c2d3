"""Loops of the Pareto/NBD model over customers whose rate of purchase and of dropout change with time."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, inf, log, log1p

import numpy as np

from custanalytics._jit import kernel
from custanalytics._special import digamma_rising, log_add, log_rising
from custanalytics.clv._kernels_pareto_nbd import WORKSPACE, decay_integral

KEPT = 6  # of each piece: its share of the likelihood, and means of decay_integral


@kernel
def varying_loop(start, stop, x, rate_before, hazard_before, bounds, length, rates, hazards, theta, rows, pieces):
    """Log-likelihood of each customer, its derivatives, and P(alive), into `rows`; by pieces of time into `pieces`.

    Pieces are the stretches of constant covariates since the last purchase. On each, the time of dropout is
    integrated as in the model without covariates, in the piece's own units of time. The columns of `rows` are the
    value, the derivatives by r, alpha, s, beta and by the two exposures before, and P(alive); those of `pieces` the
    derivatives by the logarithms of the rate and of the hazard there.
    """
    r, alpha, s, beta = theta[0], theta[1], theta[2], theta[3]
    most = 1
    for i in range(start, stop):
        most = max(most, bounds[i + 1] - bounds[i])
    kept, moments = np.empty((most, KEPT)), np.empty(WORKSPACE)
    for i in range(start, stop):
        p = r + x[i]
        a, b = alpha + rate_before[i], beta + hazard_before[i]
        total = -inf
        for k in range(bounds[i], bounds[i + 1]):
            at, w, v, d = k - bounds[i], rates[k], hazards[k], length[k]
            kept[at, 0] = -inf
            if d > 0.0:
                moments[:16] = 0.0
                inner = decay_integral(p, s + 1.0, a / w, b / v, log1p(d * w / a), log1p(d * v / b), 1, moments)
                kept[at, 0] = log(s) - p * log(a) - s * log(b) + inner
                kept[at, 1] = log(a) + moments[0]
                kept[at, 2] = moments[1] / a
                kept[at, 3] = moments[2]
                kept[at, 4] = log(b) + moments[3]
                kept[at, 5] = moments[4] / b
                pieces[k, 1] = moments[5]
                total = log_add(total, kept[at, 0])
                a += w * d
                b += v * d
        log_alive = -p * log(a) - s * log(b)
        total = log_add(total, log_alive)
        alive = exp(log_alive - total)
        # sums over the ways to have seen nothing since; those later than a piece depend on its exposure
        logs_a, inverse_a, logs_b, inverse_b, dead = alive * log(a), alive / a, alive * log(b), alive * s / b, 0.0
        for k in range(bounds[i + 1] - 1, bounds[i] - 1, -1):
            at, share = k - bounds[i], 0.0
            if length[k] > 0.0:
                share = exp(kept[at, 0] - total)
                own = share * kept[at, 3]
                of_hazard = share * (1.0 - (s + 1.0) * pieces[k, 1])
                pieces[k, 0] = -p * (own + rates[k] * length[k] * inverse_a)
                pieces[k, 1] = of_hazard - hazards[k] * length[k] * inverse_b
                dead += share
                logs_a += share * kept[at, 1]
                inverse_a += share * kept[at, 2]
                logs_b += share * kept[at, 4]
                inverse_b += share * (s + 1.0) * kept[at, 5]
            else:
                pieces[k, 0], pieces[k, 1] = 0.0, 0.0
        rows[i, 0] = log_rising(r, x[i]) + r * log(alpha) + s * log(beta) + total
        rows[i, 1] = digamma_rising(r, x[i]) + log(alpha) - logs_a
        rows[i, 2] = r / alpha - p * inverse_a
        rows[i, 3] = dead / s + log(beta) - logs_b
        rows[i, 4] = s / beta - inverse_b
        rows[i, 5] = -p * inverse_a
        rows[i, 6] = -inverse_b
        rows[i, 7] = alive


@kernel
def seen_loop(start, stop, x, rate_before, hazard_before, bounds, length, rates, hazards, theta, values, alive):
    """Log-likelihood and P(alive) of each customer: those of `varying_loop`, without the cost of derivatives."""
    r, alpha, s, beta = theta[0], theta[1], theta[2], theta[3]
    moments = np.empty(WORKSPACE)
    for i in range(start, stop):
        p = r + x[i]
        a, b = alpha + rate_before[i], beta + hazard_before[i]
        total = -inf
        for k in range(bounds[i], bounds[i + 1]):
            w, v, d = rates[k], hazards[k], length[k]
            if d > 0.0:
                inner = decay_integral(p, s + 1.0, a / w, b / v, log1p(d * w / a), log1p(d * v / b), 0, moments)
                total = log_add(total, log(s) - p * log(a) - s * log(b) + inner)
                a += w * d
                b += v * d
        log_alive = -p * log(a) - s * log(b)
        total = log_add(total, log_alive)
        values[i] = log_rising(r, x[i]) + r * log(alpha) + s * log(beta) + total
        alive[i] = exp(log_alive - total)
