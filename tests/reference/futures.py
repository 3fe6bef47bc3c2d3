"""Slow truths about futures: integrals over the unseen rates and lifetimes as they stand, in many digits."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import mpmath as mp
import numpy as np
from tests.reference.clv import positive_hyp2f1
from tests.reference.phases import phases


def exact(*values):
    return [mp.mpf(float(value)) for value in values]


def still_active(s, u, a, c):
    """E[(1 + p u)^-s], p ~ Beta(a, c), as a hypergeometric function."""
    s, u, a, c = exact(s, u, a, c)
    if u < 1:
        return (1 + u) ** (-s) * positive_hyp2f1(s, c, a + c, u / (1 + u))
    return (1 + u) ** (-a) * mp.hyp2f1(a, a + c - s, a + c, u / (1 + u))


def negative_binomial(n, s, scale, t):
    """P(n events by t) at a gamma distributed rate."""
    n, s, scale, t = exact(n, s, scale, t)
    ways = mp.exp(mp.loggamma(s + n) - mp.loggamma(s) - mp.loggamma(n + 1))
    return ways * (t / (scale + t)) ** n * (scale / (scale + t)) ** s


def events_at_least(n, s, scale, t):
    """P(n events or more by t), from the side that does not cancel."""
    if n <= 0:
        return mp.mpf(1)
    n, s, scale, t = exact(n, s, scale, t)
    upper = t < scale * n / s
    first, second, x = (n, s, t / (scale + t)) if upper else (s, n, scale / (scale + t))
    # x^first (1 - x)^second / (first B) 2F1(1, first + second; first + 1; x): a positive series
    logs = first * mp.log(x) + second * mp.log(1 - x) - mp.log(first)
    logs -= mp.loggamma(first) + mp.loggamma(second) - mp.loggamma(first + second)
    value = mp.exp(logs) * mp.hyp2f1(1, first + second, first + 1, x)
    return value if upper else 1 - value


def left(n, a, c):
    """E[(1 - p)^n]."""
    n, a, c = exact(n, a, c)
    return mp.exp(mp.loggamma(c + n) - mp.loggamma(c) + mp.loggamma(a + c) - mp.loggamma(a + c + n))


def coin_counts(n, s, scale, a, c, t):
    """P(n purchases by t) where each purchase may be the last."""
    result = left(n, a, c) * negative_binomial(n, s, scale, t)
    if n > 0:
        result += (left(n - 1, a, c) - left(n, a, c)) * events_at_least(n, s, scale, t)
    return result


def pareto_survivor(s, beta):
    s, beta = exact(s, beta)
    return (lambda t: (1 + t / beta) ** (-s)), (lambda t: s / beta * (1 + t / beta) ** (-s - 1))


def gompertz_survivor(b, s, beta):
    b, s, beta = exact(b, s, beta)

    def survivor(t):
        return (beta / (beta + mp.expm1(b * t))) ** s

    def density(t):
        return s * b * mp.exp(b * t) * beta**s * (beta + mp.expm1(b * t)) ** (-s - 1)

    return survivor, density


def integral(logs, top):
    """Integral of exp(logs(y)) from -infinity to top, for a function with one peak, by panels around the peak."""
    low, high = top - 400, mp.mpf(top)
    golden = (mp.sqrt(5) - 1) / 2
    for _ in range(90):
        one, two = high - golden * (high - low), low + golden * (high - low)
        if logs(one) < logs(two):
            low = one
        else:
            high = two
    peak, height = high, logs(high)
    points, step = [peak], mp.mpf("0.01")
    for sign in (1, -1):
        at = peak
        while True:
            while abs(logs(at + sign * step) - logs(at)) > 2 or step > 1:
                step /= 2
            at = at + sign * step
            if at >= top:
                points.append(mp.mpf(top))
                break
            points.append(at)
            if logs(at) < height - 90:
                break
            step *= 2
        step = mp.mpf("0.01")
    points = sorted(set(points))
    nodes, weights = _rule()
    total = mp.mpf(0)
    for start, end in pairwise(points):
        total += (end - start) * sum(
            w * mp.exp(logs(start + (end - start) * x) - height) for x, w in zip(nodes, weights, strict=True)
        )
    return mp.exp(height) * total


@lru_cache(maxsize=1)
def _rule(n=20):
    nodes, weights = [], []
    for guess in np.polynomial.legendre.leggauss(n)[0]:
        x = mp.mpf(float(guess))
        for _ in range(4):
            p, before = mp.legendre(n, x), mp.legendre(n - 1, x)
            slope = n * (x * p - before) / (x * x - 1)
            x -= p / slope
        p, before = mp.legendre(n, x), mp.legendre(n - 1, x)
        slope = n * (x * p - before) / (x * x - 1)
        nodes.append((x + 1) / 2)
        weights.append(1 / ((1 - x * x) * slope**2))
    return nodes, weights


def dies_after(n, s, scale, survivor, density, t):
    """P(n events, then death by t)."""
    n, s, scale, t = exact(n, s, scale, t)
    ways = mp.loggamma(s + n) - mp.loggamma(s) - mp.loggamma(n + 1)

    def logs(y):
        u = mp.exp(y)
        return ways - n * mp.log1p(scale / u) - s * mp.log1p(u / scale) + mp.log(density(u)) + y

    return integral(logs, mp.log(t))


def lives_through(n, s, scale, survivor, t):
    """P(event n >= 1 comes by t, and while alive)."""
    n, s, scale, t = exact(n, s, scale, t)
    ways = mp.loggamma(s + n) - mp.loggamma(s) - mp.loggamma(n)

    def logs(y):
        u = mp.exp(y)
        return ways - n * mp.log1p(scale / u) - s * mp.log1p(u / scale) + mp.log(survivor(u))

    return integral(logs, mp.log(t))


def lifetime_counts(n, s, scale, survivor, density, t):
    """P(n purchases by t) where a lifetime ends them."""
    alive = negative_binomial(n, s, scale, t) * survivor(mp.mpf(float(t)))
    return alive + dies_after(n, s, scale, survivor, density, t)


def phased_counts(n, k, s, share, scale, a, c, t):
    """P(n purchases by t) where every k-th event is one."""
    total = mp.mpf(0)
    for j, weight in enumerate(phases(k, s, share)):
        least = n * k - j
        chance = left(n, a, c) * sum(negative_binomial(least + i, s + j, scale, t) for i in range(k) if least + i >= 0)
        if n > 0:
            chance += (left(n - 1, a, c) - left(n, a, c)) * events_at_least(least, s + j, scale, t)
        total += weight * chance
    return total


def opportunities(buys, misses, leaves, stays, horizon):
    """Distribution of purchases at `horizon` opportunities, by steps, integrated over both chances exactly."""
    from scipy.special import roots_jacobi

    def rule(first, second):
        x, w = roots_jacobi(horizon + 2, second - 1.0, first - 1.0)
        return 0.5 * (x + 1.0), w / w.sum()

    result = np.zeros(horizon + 1)
    for p, p_weight in zip(*rule(buys, misses), strict=True):
        for theta, theta_weight in zip(*rule(leaves, stays), strict=True):
            there, gone = np.zeros(horizon + 1), np.zeros(horizon + 1)
            there[0] = 1.0
            for _ in range(horizon):
                gone += theta * there
                there = (1.0 - theta) * there
                there = (1.0 - p) * there + p * np.append(0.0, there[:-1])
            result += p_weight * theta_weight * (there + gone)
    return result
