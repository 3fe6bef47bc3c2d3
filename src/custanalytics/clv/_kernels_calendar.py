"""What customers do who are alive and whose rate of purchase and of dropout change with time, piece by piece.

`given` has a row per customer, as in `_kernels_futures`; the pieces ahead of customer i are those of `group[i]`, from
`bounds[group[i]]` on. Each has a length, and a rate and a hazard that hold in it. Purchases come evenly in the time
that the rates make of it, dropout in the time that the hazards do.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, inf, isinf, log, log1p

import numpy as np

from custanalytics._jit import kernel
from custanalytics.clv import _kernels_pareto_nbd as pareto
from custanalytics.clv._kernels_draws import amount, begin, lifetime, log_gamma, poisson, share, uniform, waiting
from custanalytics.clv._kernels_futures import BETA, SCALE, SHAPE, A, C, S, purchases_between

_mean_lifetime = pareto.mean_lifetime


@kernel
def lifetimes_loop(start, stop, given, group, before, bounds, length, rates, hazards, out):
    """Expected purchases within the pieces, of customers with a lifetime; `before` them is a time of dropout."""
    for i in range(start, stop):
        s, beta = given[i, S], given[i, BETA]
        total, aged = 0.0, before[i]
        for k in range(bounds[group[i]], bounds[group[i] + 1]):
            if length[k] > 0.0:
                stays = exp(-s * log1p(aged / beta))
                total += rates[k] * stays * _mean_lifetime(s, (beta + aged) / hazards[k], length[k])
                aged += hazards[k] * length[k]
        out[i] = given[i, SHAPE] / given[i, SCALE] * total


@kernel
def coins_loop(start, stop, given, before, ahead, out):
    """The same of customers who may drop out after each purchase; `before` and `ahead` are times of purchases."""
    for i in range(start, stop):
        scale = given[i, SCALE]
        out[i] = purchases_between(given[i, SHAPE], before[i] / scale, ahead[i] / scale, given[i, A], given[i, C])


@kernel
def time_alive(left, first, last, length, rates, hazards):
    """How much time of purchases comes in a life of which `left` is left, in the time of dropout."""
    passed = 0.0
    for k in range(first, last):
        aged = hazards[k] * length[k]
        if aged >= left:
            return passed + rates[k] * (left / hazards[k])
        passed += rates[k] * length[k]
        left -= aged
    return passed


@kernel
def draws_loop(
    start, stop, alive, given, group, bounds, begins, length, rates, hazards,
    first_row, discount, seed, p, q, v, counts, values,
):  # fmt: skip
    """Draws of purchases within the pieces, per customer; where `values` has room, of their discounted value.

    The stream of random numbers is that of `futures_loop`, and is used alike.
    """
    state = np.zeros(1, np.uint64)
    valued = values.shape[1] > 0
    for i in range(start, stop):
        shape, scale, a = given[i, SHAPE], given[i, SCALE], given[i, A]
        first, last = bounds[group[i]], bounds[group[i] + 1]
        whole = time_alive(inf, first, last, length, rates, hazards)
        for draw in range(counts.shape[1]):
            begin(seed, first_row + i, draw, state)
            count, value = 0.0, 0.0
            if uniform(state) < alive[i]:
                speed = exp(log_gamma(state, shape)) / scale
                most = waiting(state, share(state, a, given[i, C])) if a > 0.0 else inf
                left = lifetime(state, given[i, S], 0.0, given[i, BETA])
                end = whole if isinf(left) else time_alive(left, first, last, length, rates, hazards)
                if valued:
                    log_scale = log(v[i]) if p == 0.0 else log(v[i]) - log_gamma(state, q[i])
                    now, passed, k = 0.0, 0.0, first
                    while count < most:
                        now -= log(uniform(state)) / speed
                        if now > end:
                            break
                        while k < last - 1 and now > passed + rates[k] * length[k]:
                            passed += rates[k] * length[k]
                            k += 1
                        count += 1.0
                        date = begins[k] + (now - passed) / rates[k]
                        value += exp(-discount * date) * amount(state, p, log_scale)
                else:
                    count = min(poisson(state, speed * end), most)
            counts[i, draw] = np.int64(count)
            if valued:
                values[i, draw] = value
