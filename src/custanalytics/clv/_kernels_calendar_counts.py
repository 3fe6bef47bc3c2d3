"""How many purchases come within a lifetime where rates of purchase and of dropout change with time, piece by piece.

A sum over the pieces of one integral each of a positive function: over the time at which the life ends, or at which the
last of the purchases comes while alive. In the time of purchases, u, the hazard of a piece is constant, so that the
integrand is exp(n L(u)) times what does not depend on n, with L = log(u / (scale + u)): a rule serves many n at once.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, inf, isinf, log, log1p

import numpy as np

from custanalytics._jit import kernel
from custanalytics._special import log_rising
from custanalytics.clv._kernels_futures import BETA, SCALE, SHAPE, S

# A Gauss-Legendre rule on [0, 1], used panel by panel.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS
_STEEP = 10.0  # by how much the logarithm of the integrand may change over a panel
_WIDEST = 2.0
_NEGLIGIBLE = 46.0
_LOW_POWER = 8.0  # up to which a panel may reach the origin: the rule is exact for such polynomials
_SPREAD = 4.0  # most that counts which share their panels are apart
_MANY = 100.0  # events, or shapes, above which panels are so narrow that the height is looked for first
_SMALLEST = 5e-324
_MOST_STEPS = 200  # of halving
_PURE = 1e17  # by how much time exceeds all scales where the integrand is a power of it


@kernel
def log_part(u, scale):
    """Logarithm of u / (scale + u), finite also where u is lost beside all doubles or 0."""
    if u < 1e-200 * scale:
        return log(max(u, _SMALLEST)) - log(scale)
    return -log1p(scale / u)


@kernel
def log_density(t, shape, scale, s, left, passed, dying):
    """Logarithm of what does not depend on n, at a time t into the piece, up to a constant of the piece.

    With `dying` that is P(no event until then) and the density of a life's end; without, the density of an event while
    alive.
    """
    return -(shape + 1.0 - dying) * log1p((passed + t) / scale) - (s + dying) * log1p(t / left)


@kernel
def height(y, n, unit, shape, scale, s, left, passed, dying):
    """Logarithm of the whole integrand in y, up to the constants of n and of the piece."""
    t = unit * expm1(y)
    if n > 0.0 and passed + t <= 0.0:
        return -inf
    events = -n * log1p(scale / (passed + t)) if n > 0.0 else 0.0
    return events + log_density(t, shape, scale, s, left, passed, dying) + y


@kernel
def rises(y, n, unit, shape, scale, s, left, passed, dying):
    """Whether the integrand grows at y."""
    t = unit * expm1(y)
    u = passed + t
    if n > 0.0 and u <= 0.0:
        return True
    events = n / u * (scale / (scale + u)) if n > 0.0 else 0.0
    by_t = events - (shape + 1.0 - dying) / (scale + u) - (s + dying) / (left + t)
    return by_t * (unit + t) + 1.0 >= 0.0


@kernel
def bulk(top, n, unit, shape, scale, s, left, passed, dying):
    """Where in y the integrand is within exp(`_STEEP`) of its height, from, to, and a floor of the integral there."""
    peak = top
    if not rises(top, n, unit, shape, scale, s, left, passed, dying):
        low, peak = 0.0, 0.0
        if rises(0.0, n, unit, shape, scale, s, left, passed, dying):
            peak = top
            for _ in range(_MOST_STEPS):
                if peak - low <= 1e-3 * peak:
                    break
                middle = 0.5 * (low + peak)
                if rises(middle, n, unit, shape, scale, s, left, passed, dying):
                    low = middle
                else:
                    peak = middle
    highest = height(peak, n, unit, shape, scale, s, left, passed, dying)
    low, high, least, aside = peak, peak, highest, _WIDEST
    for _ in range(_MOST_STEPS):
        low, high = max(peak - aside, 0.0), min(peak + aside, top)
        least = min(
            height(low, n, unit, shape, scale, s, left, passed, dying),
            height(high, n, unit, shape, scale, s, left, passed, dying),
        )
        if least >= highest - _STEEP:
            break
        aside *= 0.5
    return low, high, least + log(high - low) if high > low else -inf


@kernel
def add_panel(y, panel, unit, level, shape, scale, s, left, passed, dying, n, constants, out):
    """Add to `out` the integrals over a panel of y, t = unit (e^y - 1), for each n."""
    for k in range(_NODES.size):
        at = y + panel * _NODES[k]
        t = unit * expm1(at)
        growth = log_part(passed + t, scale)
        base = level + log_density(t, shape, scale, s, left, passed, dying) + at
        weight = panel * _WEIGHTS[k]
        for j in range(n.size):
            out[j] += weight * exp(constants[j] + n[j] * growth + base)


@kernel
def end_of(ahead, unit, most, shape, scale, s, left, passed):
    """The y at which a piece ends; of one without an end, at which the integrand has become a pure power."""
    if isinf(ahead):
        scales = (most + 1.0) * (scale + passed) + (shape + 2.0) * (scale + passed) + (s + 2.0) * left
        return log1p(_PURE * scales / unit)
    return log1p(ahead / unit)


@kernel
def raise_floors(ahead, level, shape, scale, s, left, passed, dying, n, constants, floors):
    """Take the bulk of a piece, for the smallest and the largest n, for the floors if it is above them."""
    unit, last = min(scale + passed, left), n.size - 1
    top = end_of(ahead, unit, n[last], shape, scale, s, left, passed)
    if top <= 0.0:
        return
    low, _, found = bulk(top, n[0], unit, shape, scale, s, left, passed, dying)
    found += constants[0] + level + log(unit)
    if found > floors[1]:
        floors[0], floors[1] = passed + unit * expm1(low), found
    _, high, found = bulk(top, n[last], unit, shape, scale, s, left, passed, dying)
    found += constants[last] + level + log(unit)
    if found > floors[3]:
        floors[2], floors[3] = passed + unit * expm1(high), found


@kernel
def add_piece(ahead, level, floors, shape, scale, s, left, passed, dying, n, constants, out):
    """Add to `out` the integrals over a piece that ends after a time `ahead`, for ascending n.

    `left` and `level` are the scale of the lifetime and the logarithm of the integrand's constant in the piece. The
    result for the smallest n is above exp(`floors[1]`) by what comes after `floors[0]` alone, that for the largest n
    above exp(`floors[3]`) by what comes before `floors[2]`. What adds nothing to that for the smallest n and comes
    before adds nothing for the others either, and so does what comes after and adds nothing for the largest.
    """
    unit = min(scale + passed, left)
    level += log(unit)
    least, most = n[0], n[n.size - 1]
    top = end_of(ahead, unit, most, shape, scale, s, left, passed)
    y, panel, growth, base = 0.0, _WIDEST, -inf, 0.0
    if passed > 0.0:
        growth = -log1p(scale / passed)
    base = log_density(0.0, shape, scale, s, left, passed, dying)
    origin = inf  # the first panel from a time of 0 on that is tried
    while y < top:
        panel = min(2.0 * panel, _WIDEST, top - y)
        while True:
            end = top if panel >= top - y else y + panel
            t = unit * expm1(end)
            end_growth = log_part(passed + t, scale)
            end_base = log_density(t, shape, scale, s, left, passed, dying) + end
            highest = level + base + panel + log(panel)
            below = constants[0] + least * end_growth + highest < floors[1] - _NEGLIGIBLE
            beyond = constants[n.size - 1] + most * end_growth + highest < floors[3] - _NEGLIGIBLE
            empty = (below and passed + t <= floors[0]) or (beyond and passed + unit * expm1(y) >= floors[2])
            smooth = abs(end_base - base) <= _STEEP
            if growth > -inf:
                smooth = smooth and most * (end_growth - growth) + abs(end_base - base) <= _STEEP
            elif smooth and most > _LOW_POWER:
                origin = end_growth if isinf(origin) else origin
                smooth = least * (origin - end_growth) > _NEGLIGIBLE + _STEEP
            if empty or smooth:
                break
            panel *= 0.5
        if not empty:
            add_panel(y, end - y, unit, level, shape, scale, s, left, passed, dying, n, constants, out)
        y, growth, base = end, end_growth, end_base
    if isinf(ahead):  # a power from here on
        for j in range(n.size):
            out[j] += exp(constants[j] + n[j] * growth + level + base) / (shape + s)


@kernel
def count_chances(shape, scale, s, beta, first, last, length, rates, hazards, dying, n, constants, floors, out):
    """P(X = n), or without `dying` P(X >= n + 1), within the pieces from `first` to `last`, for ascending n."""
    whole, aged = 0.0, 0.0
    for k in range(first, last):
        whole += rates[k] * length[k]
        aged += hazards[k] * length[k]
    # n purchases, or n + 1, by somebody who is there still
    floors[0], floors[1], floors[2], floors[3] = inf, -inf, inf, -inf
    if not isinf(whole):
        log_alive = -shape * log1p(whole / scale) - s * log1p(aged / beta)
        growth = log_part(whole, scale)
        for j in range(n.size):
            count = n[j] + 1.0 - dying
            ways = log_rising(shape, count) - log_rising(1.0, count) + count * growth + log_alive
            out[j] = exp(ways) if dying > 0.0 else 0.0
            if j == 0:
                floors[0], floors[1] = whole, ways
    steep = max(shape, s, n[n.size - 1]) > _MANY
    for adds in range(0 if steep else 1, 2):
        passed, aged = 0.0, 0.0
        for k in range(first, last):
            if length[k] > 0.0:
                left = (beta + aged) * (rates[k] / hazards[k])
                level = -s * log1p(aged / beta) + (log(s / left) if dying > 0.0 else -log(scale))
                ahead = rates[k] * length[k]
                if adds:
                    add_piece(ahead, level, floors, shape, scale, s, left, passed, dying, n, constants, out)
                else:
                    raise_floors(ahead, level, shape, scale, s, left, passed, dying, n, constants, floors)
                passed += ahead
                aged += hazards[k] * length[k]


@kernel
def counts_loop(start, stop, given, group, bounds, length, rates, hazards, n, dying, out):
    """P(X = n), or without `dying` P(X >= n), of customers who are alive now and have a lifetime; n ascends in rows."""
    constants = np.empty(n.shape[1])
    powers = np.empty(n.shape[1])
    floors = np.empty(4)
    for i in range(start, stop):
        shape, scale, s, beta = given[i, SHAPE], given[i, SCALE], given[i, S], given[i, BETA]
        first, last = bounds[group[i]], bounds[group[i] + 1]
        row, longest = i % n.shape[0], 0.0
        for k in range(first, last):
            longest = max(longest, length[k])
        for j in range(n.shape[1]):
            out[i, j] = 0.0
            powers[j] = n[row, j] - (1.0 - dying)
            if longest == 0.0:
                out[i, j] = 1.0 if n[row, j] <= 0.0 else 0.0
            elif powers[j] < 0.0:
                out[i, j] = 1.0
            else:
                constants[j] = log_rising(shape, n[row, j]) - log_rising(1.0, powers[j])
        low = 0
        while low < powers.size and (powers[low] < 0.0 or longest == 0.0):
            low += 1
        while low < powers.size:
            high = low + 1
            while high < powers.size and powers[high] <= max(_SPREAD * powers[low], _LOW_POWER):
                high += 1
            some = powers[low:high], constants[low:high], floors, out[i, low:high]
            count_chances(shape, scale, s, beta, first, last, length, rates, hazards, dying, *some)
            for j in range(low, high):
                out[i, j] = min(out[i, j], 1.0)
            low = high
