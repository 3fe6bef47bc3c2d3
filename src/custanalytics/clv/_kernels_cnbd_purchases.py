"""Purchases to be expected where every k-th event of a Poisson process is one: the exact conditional expectation.

Of the k events that make the next purchase, j may have happened already. Given j, the events ahead of a customer who
is alive are negative binomial, and the dropout probability is beta distributed: the expectation is a mixture over j.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, floor, inf, isinf, lgamma, log, sqrt

from custanalytics._jit import kernel
from custanalytics._special import digamma_rising
from custanalytics.clv._kernels_lifetimes import log_cross_ratio, log_left, periods_ahead

WIDEST = 2e4  # standard deviation of the number of events up to which it is summed over
SMOOTH = 1e5  # mean number of Poisson events from which on the purchases are a smooth function of it
_HUGE = 1e200


@kernel
def purchases_by_count(n, a, c):
    """Purchases of a customer whom n purchases would reach: the sum of E[(1 - p)^i] over i < n, p ~ Beta(a, c)."""
    return 0.0 if n < 1.0 else 1.0 + periods_ahead(0.0, n - 1.0, 0.0, a, c, 1.0)


@kernel
def summed(level, slope, k, j, a, c):
    """E[purchases by floor((K + j) / k)] where P(K + 1) / P(K) = (level + slope K) / (K + 1).

    That is K negative binomial, or Poisson for a slope of 0. The sum begins where P is negligible.
    """
    mean = level / (1.0 - slope)
    deviation = sqrt(mean / (1.0 - slope))
    i = max(0.0, floor(mean - 12.0 * deviation - 60.0)) if mean > 500.0 else 0.0
    n = floor((i + j) / k)
    purchases = purchases_by_count(n, a, c)
    active = exp(log_left(0.0, n, a, c, 1.0)) if n > 0.0 else 1.0
    left = (n + 1.0) * k - j - i  # events until the next purchase
    chance, mass, total = 1.0, 0.0, 0.0
    while True:
        mass += chance
        total += chance * purchases
        ratio = (level + slope * i) / (i + 1.0)
        if ratio < 1.0 and chance * (1.0 + purchases) <= 1e-17 * (1.0 - ratio) ** 2 * min(total, mass):
            return total / mass
        chance *= ratio
        i += 1.0
        left -= 1.0
        if left == 0.0:
            purchases += active
            active *= (c + n) / (a + c + n)
            n += 1.0
            left = k
        if chance > _HUGE:
            chance, mass, total = chance / _HUGE, mass / _HUGE, total / _HUGE


@kernel
def smooth(mean, k, j, a, c):
    """The same for a large Poisson mean: each remainder of the division is as likely, and purchases are smooth.

    Two terms of the expansion of a Poisson expectation about its mean: the error is of the order of mean^-2.
    """
    whole = floor(mean / k) - 1.0
    base, at = purchases_by_count(whole, a, c), exp(log_left(0.0, whole, a, c, 1.0))
    far = c + whole
    total = 0.0
    i = 0.0
    while i < k:
        f = (mean + j - i) / k - whole  # purchases beyond the whole ones, in part
        if a > 1.0:
            part = -expm1(-log_cross_ratio(far, a - 1.0, f)) / (a - 1.0)
        elif a < 1.0:
            part = -expm1(log_cross_ratio(far + a - 1.0, 1.0 - a, f)) / (a - 1.0)
        else:
            part = digamma_rising(far, f)
        bend = -exp(-log_cross_ratio(far, a, f)) * digamma_rising(far + f, a)
        total += base + at * ((a + far - 1.0) * part + 0.5 * mean / (k * k) * bend)
        i += 1.0
    return total / k


@kernel
def over_rates(s, u, k, j, a, c):
    """The same for negative binomial K of great spread: by the trapezoidal rule in the logarithm of the rate."""
    width = min(0.05, 0.25 / sqrt(s))
    middle = log(s) if s > 1.0 else 0.0
    log_scale = s * middle - exp(middle)
    mass, total = 0.0, 0.0
    for side in range(2):
        y = middle if side == 0 else middle - width
        while True:
            weight = exp(s * y - exp(y) - log_scale)
            mean = u * exp(y)
            value = weight * (smooth(mean, k, j, a, c) if mean > SMOOTH else summed(mean, 0.0, k, j, a, c))
            mass += weight
            total += value
            if value <= 1e-17 * total and (weight <= 1e-17 * mass or mean < 1e-3):
                break
            y += width if side == 0 else -width
    if s < 50.0:  # the lower tail of the rates, which was cut off, is in the gamma function
        return total * width * exp(log_scale - lgamma(s))
    return total / mass


@kernel
def expected_purchases(k, s, u, share, a, c):
    """E[purchases ahead | alive]: s = r + k x, u = horizon / (alpha + T), share of the silence, c = b + tosses."""
    if u <= 0.0:
        return 0.0
    if isinf(u):
        return (a + c - 1.0) / (a - 1.0) if a > 1.0 else inf
    # P(j) is proportional to (s)_j / j! share^j
    weight, mass, total, j = 1.0, 0.0, 0.0, 0.0
    while j < k:
        shape = s + j
        level, slope = shape * u / (1.0 + u), u / (1.0 + u)
        if weight > 0.0:
            if sqrt(shape * u * (1.0 + u)) < WIDEST:
                value = summed(level, slope, k, j, a, c)
            else:
                value = over_rates(shape, u, k, j, a, c)
            mass += weight
            total += weight * value
        weight *= shape / (j + 1.0) * share
        j += 1.0
        if weight > _HUGE:
            weight, mass, total = weight / _HUGE, mass / _HUGE, total / _HUGE
    return total / mass


@kernel
def purchases_loop(k, chances, start, stop, x, since, T, theta, horizons, weights, out):
    """Sum over i of weights[i] E[purchases in (T, T + horizons[i]] | alive at T], per customer."""
    r, alpha, a, b = theta[0], theta[1], theta[2], theta[3]
    for row in range(start, stop):
        total, scale = 0.0, alpha + T[row]
        s, c = r + k * x[row], b + (x[row] + chances)
        for i in range(horizons.size):
            total += weights[i] * expected_purchases(k, s, horizons[i] / scale, since[row] / scale, a, c)
        out[row] = total
