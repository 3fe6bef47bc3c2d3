"""Random futures: one stream of random numbers for each customer and draw, whatever the order they are taken in."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import cos, exp, expm1, inf, lgamma, log, log1p, pi, sqrt

import numpy as np

from custanalytics._hashing import mix
from custanalytics._jit import kernel
from custanalytics.clv._kernels_futures import BETA, SCALE, SHAPE, SHARE, A, B, C, S

_STEP = np.uint64(0x9E3779B97F4A7C15)
_OTHER = np.uint64(0xD1B54A32D192ED03)
_ELEVEN = np.uint64(11)
_UNIT = 2.0**-53
MOST_COUNTED = 2.0**63  # from here on, whole numbers of 64 bits hold no count: it is given as -1


@kernel
def begin(seed, row, draw, state):
    """Put the stream of a customer and a draw at its beginning."""
    key = mix(np.uint64(seed) + _STEP * np.uint64(row + 1))
    state[0] = mix(key + _OTHER * np.uint64(draw + 1))


@kernel
def uniform(state):
    """A number between 0 and 1, neither included."""
    state[0] = np.uint64(state[0] + _STEP)
    return (np.float64(mix(state[0]) >> _ELEVEN) + 0.5) * _UNIT


@kernel
def normal(state):
    """A standard normal number."""
    return sqrt(-2.0 * log(uniform(state))) * cos(2.0 * pi * uniform(state))


@kernel
def log_gamma(state, shape):
    """Logarithm of a gamma distributed number of scale 1, by the squeeze of Marsaglia and Tsang (2000)."""
    boost = 0.0
    if shape < 1.0:
        boost = log(uniform(state)) / shape
        shape += 1.0
    d = shape - 1.0 / 3.0
    while True:
        x = normal(state)
        v = 1.0 + x / sqrt(9.0 * d)
        if v > 0.0:
            v = v * v * v
            if log(uniform(state)) < 0.5 * x * x + d * (1.0 - v + log(v)):
                return log(d * v) + boost


@kernel
def share(state, a, c):
    """A Beta(a, c) distributed number."""
    first = log_gamma(state, a)
    return 1.0 / (1.0 + exp(min(log_gamma(state, c) - first, 700.0)))


@kernel
def poisson(state, mean):
    """A Poisson distributed number, as a float; by transformed rejection (Hörmann 1993) where the mean is not small."""
    if mean > 1e15:
        return mean
    if mean < 30.0:
        count, left = 0.0, exp(-mean)
        chance = uniform(state)
        while chance > left:
            chance -= left
            count += 1.0
            left *= mean / count
            if left < 1e-300:
                break
        return count
    width = 0.931 + 2.53 * sqrt(mean)
    bend = 0.02483 * width - 0.059
    while True:
        at, height = uniform(state) - 0.5, uniform(state)
        edge = 0.5 - abs(at)
        count = np.floor((2.0 * bend / edge + width) * at + mean + 0.43)
        if edge >= 0.07 and height <= 0.9277 - 3.6224 / (width - 2.0):
            return count
        if count >= 0.0 and (edge >= 0.013 or height <= edge):
            hat = 1.1239 + 1.1328 / (width - 3.4)
            if log(height * hat / (bend / (edge * edge) + width)) <= count * log(mean) - mean - lgamma(count + 1.0):
                return count


@kernel
def waiting(state, chance):
    """How many trials until the first success, as a float: 1 or more, infinite without a chance."""
    return 1.0 + np.floor(log(uniform(state)) / log1p(-chance)) if chance > 0.0 else inf


@kernel
def lifetime(state, s, b, beta):
    """A time to drop out with survivor (beta / (beta + e^(b t) - 1))^s."""
    if s == 0.0:
        return inf
    growth = beta * expm1(-log(uniform(state)) / s)
    return growth if b == 0.0 else log1p(growth) / b


@kernel
def phase(state, k, s, part):
    """How many of the k events that make a purchase have happened since the last one."""
    if k == 1.0:
        return 0.0
    total, term, j = 1.0, 1.0, 1.0
    while j < k:
        term *= (s + j - 1.0) / j * part
        total += term
        j += 1.0
    chance, term, j = uniform(state) * total, 1.0, 0.0
    while chance > term and j < k - 1.0:
        chance -= term
        term *= (s + j) / (j + 1.0) * part
        j += 1.0
    return j


@kernel
def amount(state, p, log_scale):
    """Value of one purchase: gamma distributed with shape p, always its scale where p is 0."""
    return exp(log_scale) if p == 0.0 else exp(log_gamma(state, p) + log_scale)


@kernel
def futures_loop(start, stop, alive, given, k, first_row, horizon, rate, seed, p, q, v, counts, values):
    """Draws of purchases within the horizon, per customer; where `values` has room, of their discounted value.

    A purchase is worth a gamma(p) amount whose rate is itself gamma(q, v) distributed, or v itself where p is 0.
    """
    state = np.zeros(1, np.uint64)
    valued = values.shape[1] > 0
    for i in range(start, stop):
        shape, a = given[i, SHAPE], given[i, A]
        for draw in range(counts.shape[1]):
            begin(seed, first_row + i, draw, state)
            count, value = 0.0, 0.0
            if uniform(state) < alive[i]:
                j = phase(state, k, shape, given[i, SHARE])
                speed = exp(log_gamma(state, shape + j)) / given[i, SCALE]
                most = waiting(state, share(state, a, given[i, C])) if a > 0.0 else inf
                end = min(horizon, lifetime(state, given[i, S], given[i, B], given[i, BETA]))
                if valued:
                    log_scale = log(v[i]) if p == 0.0 else log(v[i]) - log_gamma(state, q[i])
                    now = 0.0
                    while count < most:
                        for _ in range(int(k - j)):
                            now -= log(uniform(state)) / speed
                        j = 0.0
                        if now > end:
                            break
                        count += 1.0
                        value += exp(-rate * now) * amount(state, p, log_scale)
                else:
                    count = min(np.floor((poisson(state, speed * end) + j) / k), most)
            counts[i, draw] = np.int64(count) if count < MOST_COUNTED else -1
            if valued:
                values[i, draw] = value


@kernel
def opportunities_loop(start, stop, alive, given, first_row, horizon, rate, seed, p, q, v, counts, values):
    """The same for purchases at opportunities: `given` has two columns each for the chances to buy and to leave."""
    state = np.zeros(1, np.uint64)
    valued = values.shape[1] > 0
    for i in range(start, stop):
        for draw in range(counts.shape[1]):
            begin(seed, first_row + i, draw, state)
            count, value = 0.0, 0.0
            if uniform(state) < alive[i]:
                chance = share(state, given[i, 0], given[i, 1])
                end = min(horizon, waiting(state, share(state, given[i, 2], given[i, 3])) - 1.0)
                log_scale = 0.0
                if valued:
                    log_scale = log(v[i]) if p == 0.0 else log(v[i]) - log_gamma(state, q[i])
                now = waiting(state, chance)
                while now <= end:
                    count += 1.0
                    if valued:
                        value += exp(-rate * now) * amount(state, p, log_scale)
                    now += waiting(state, chance)
            counts[i, draw] = np.int64(count)
            if valued:
                values[i, draw] = value
