"""Slow truths about purchases to come on a calendar: integrals over rates, dropout and lifetimes as they stand."""

from __future__ import annotations

from itertools import pairwise

import mpmath as mp
import numpy as np
from scipy import special
from tests.reference import futures


def passed(pieces, time, which):
    """How much time counts until a time ahead: `pieces` are (length, rate, hazard), `which` is 1 or 2."""
    total, begin = mp.mpf(0), mp.mpf(0)
    for piece in pieces:
        length = mp.mpf(float(piece[0]))
        total += max(min(time - begin, length), 0) * mp.mpf(float(piece[which]))
        begin += length
    return total


def cuts(pieces, finest):
    """Where the time ahead is cut for an integral: where pieces meet, and ever closer after each of those."""
    begin, found = mp.mpf(0), []
    for length, _, _ in pieces:
        found += [begin, *(begin + mp.mpf(float(length)) * mp.mpf(2) ** -step for step in range(finest, 0, -1))]
        begin += mp.mpf(float(length))
    return [*found, begin]


def integral(density, low, high):
    """By adaptive quadrature, whose sense of what is negligible is that of numbers near 1."""
    unit = max(density(low + (high - low) * mp.mpf(step) / 8) for step in range(1, 9))
    return unit * mp.quad(lambda u: density(u) / unit, [low, high]) if unit > 0 else mp.mpf(0)


def lifetime_counts(n, shape, scale, s, beta, pieces, finest=12):
    """P(n purchases) of somebody alive: who lives through all pieces, or to the end of a life within them."""
    shape, scale, s, beta = futures.exact(shape, scale, s, beta)
    ways = mp.exp(mp.loggamma(shape + n) - mp.loggamma(shape) - mp.loggamma(n + 1))
    end = sum(mp.mpf(float(piece[0])) for piece in pieces)

    def chance(a):
        return ways * (a / (scale + a)) ** n * (scale / (scale + a)) ** shape

    total = chance(passed(pieces, end, 1)) * (1 + passed(pieces, end, 2) / beta) ** -s
    points = cuts(pieces, finest)
    for low, high in pairwise(points):
        hazard = (passed(pieces, high, 2) - passed(pieces, low, 2)) / (high - low)

        def density(u, hazard=hazard):
            ends = s * hazard / beta * (1 + passed(pieces, u, 2) / beta) ** (-s - 1)
            return chance(passed(pieces, u, 1)) * ends

        total += integral(density, low, high)
    return total


def lifetime_at_least(n, shape, scale, s, beta, pieces, finest=12):
    """P(n or more): purchase n comes, at some time, while alive."""
    shape, scale, s, beta = futures.exact(shape, scale, s, beta)
    total, points = mp.mpf(0), cuts(pieces, finest)
    front = mp.exp(mp.loggamma(shape + n) - mp.loggamma(shape) - mp.loggamma(n))
    for low, high in pairwise(points):
        speed = (passed(pieces, high, 1) - passed(pieces, low, 1)) / (high - low)

        def density(u, speed=speed):
            a = passed(pieces, u, 1)
            comes = front * (a / (scale + a)) ** (n - 1) * (scale / (scale + a)) ** shape / (scale + a) * speed
            return comes * (1 + passed(pieces, u, 2) / beta) ** -s

        total += integral(density, low, high)
    return total


def by_definition(n, shape, scale, s, beta, pieces, nodes=70):
    """P(n purchases) of somebody alive, over both rates and the lifetime by quadrature."""
    rates, rate_weights = special.roots_genlaguerre(nodes, shape - 1.0)
    leaves, leave_weights = special.roots_genlaguerre(nodes, s - 1.0)
    rates, rate_weights = rates / scale, rate_weights / rate_weights.sum()
    leaves, leave_weights = leaves / beta, leave_weights / leave_weights.sum()
    x, w = np.polynomial.legendre.leggauss(40)
    total, bought, aged = 0.0, 0.0, 0.0

    def chance(time):
        return rate_weights @ np.exp(special.xlogy(n, rates * time) - rates * time - special.gammaln(n + 1.0))

    for length, speed, hazard in pieces:
        for node, weight in zip(0.5 * length * (x + 1.0), 0.5 * length * w, strict=True):
            ends = leave_weights @ (leaves * hazard * np.exp(-leaves * (aged + hazard * node)))
            total += weight * ends * chance(bought + speed * node)
        bought, aged = bought + speed * length, aged + hazard * length
    return total + leave_weights @ np.exp(-leaves * aged) * chance(bought)
