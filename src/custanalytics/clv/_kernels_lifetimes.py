"""Lifetimes in whole periods whose chance to end is beta distributed over customers, and may change with time.

After t periods a share S(t) = B(alpha, beta + t^c) / B(alpha, beta) is left: the shifted beta-geometric at c = 1, the
beta-discrete-Weibull otherwise. The same S(t) is what is left of the BG/BB.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, inf, isinf, log, log1p, sqrt

import numpy as np

from custanalytics._jit import kernel
from custanalytics._special import digamma, digamma_rising, log_rising, stirling_rest

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS

SMOOTH = 0.03  # the sum becomes an integral where the logarithm of a term changes by no more from one to the next
AWAY = 40.0  # and that far from the singularity of the terms, near 0
NEGLIGIBLE = 1e-17
FARTHEST = 1e290
LARGEST = 1e290  # of t^c
OVERFLOW, PURE = 667.0, 600.0  # logarithms of t^c that is held back, and of which S is a power law


@kernel
def rest_slope(x):
    """Derivative of the rest of Stirling's formula, with its sign changed, for x >= 12."""
    v = 1.0 / (x * x)
    return v * (1.0 / 12.0 - v * (1.0 / 120.0 - v * (1.0 / 252.0 - v / 240.0)))


@kernel
def log_cross_ratio(y, a, d):
    """Logarithm of Γ(y + a + d) Γ(y) / (Γ(y + a) Γ(y + d)), which is positive; relative error below 1e-11.

    This is -log S for y = beta, a = alpha and d = t^c. Arguments are moved up to 12, where Stirling's series serves,
    by factors that are each above 1; the leading terms of the series cancel by algebra.
    """
    total = 0.0
    while y < 12.0:
        total += log1p(a / y * (d / (y + a + d)))
        y += 1.0
    apart = log1p(a / y * (d / (y + a + d)))
    total += a * log1p(d / (y + a)) + d * log1p(a / (y + d)) - (y - 0.5) * apart
    if a + d < 1e-3 * y:  # by the derivatives of the rest in the middle: the differences would be rounding
        v = 1.0 / (y + 0.5 * (a + d)) ** 2
        bend = (1.0 / 6.0 - v * (1.0 / 30.0 - v / 42.0)) + (a * a + d * d) * v * (1.0 / 12.0 - v / 24.0)
        return total + a * d * v * sqrt(v) * bend
    low, high = min(a, d), max(a, d)
    if low < 1e-4 * y:
        return total + low * (rest_slope(y + 0.5 * low) - rest_slope(y + high + 0.5 * low))
    rest = (stirling_rest(y) - stirling_rest(y + a)) - (stirling_rest(y + d) - stirling_rest(y + a + d))
    return total + rest


@kernel
def power(t, c):
    """t^c for t >= 0, held back where it would leave the range of a double."""
    if c == 1.0 or t == 0.0:
        return t
    return min(t**c, LARGEST) if c * log(max(t, 1.0)) < OVERFLOW else LARGEST


@kernel
def growth(start, end, c):
    """end^c - start^c, to its last digits."""
    if c == 1.0 or start == 0.0:
        return end - start if c == 1.0 else power(end, c)
    before = power(start, c)
    return before * min(expm1(min(c * log1p((end - start) / start), OVERFLOW)), LARGEST / before)


@kernel
def log_lost(start, end, alpha, beta, c):
    """Minus the logarithm of S(end) / S(start), for 0 <= start < end, also where end^c is beyond the doubles."""
    if c == 1.0 or c * log(end) < OVERFLOW:
        return log_cross_ratio(beta + power(start, c), alpha, growth(start, end, c))
    if start > 0.0 and c * log(start) > PURE:
        return alpha * c * log1p((end - start) / start)
    return alpha * (c * log(end)) - log_rising(beta + power(start, c), alpha)


@kernel
def log_lost_by_alpha(start, end, alpha, beta, c):
    """Its derivative by alpha."""
    if c == 1.0 or c * log(end) < OVERFLOW:
        return digamma_rising(beta + power(start, c) + alpha, growth(start, end, c))
    if start > 0.0 and c * log(start) > PURE:
        return c * log1p((end - start) / start)
    return c * log(end) - digamma(beta + power(start, c) + alpha)


@kernel
def log_left(start, end, alpha, beta, c):
    """Logarithm of S(end) / S(start)."""
    return -log_lost(start, end, alpha, beta, c)


@kernel
def fall(t, rate, alpha, beta, c):
    """By how much the logarithm of exp(-rate t) S(t) falls per period, for t > 0."""
    return rate + digamma_rising(beta + power(t, c), alpha) * c * (power(t, c) / t)


@kernel
def term(i, start, rate, alpha, beta, c):
    """exp(-rate i) S(start + i) / S(start)."""
    return exp(log_left(start, start + i, alpha, beta, c) - rate * i)


@kernel
def end_correction(i, start, rate, alpha, beta, c):
    """What Euler and Maclaurin's formula adds to the integral of the terms at an end at i, for a sum from i on."""
    at = term(i, start, rate, alpha, beta, c)
    two_up, two_down = term(i + 2.0, start, rate, alpha, beta, c), term(i - 2.0, start, rate, alpha, beta, c)
    up, down = term(i + 1.0, start, rate, alpha, beta, c), term(i - 1.0, start, rate, alpha, beta, c)
    third = 0.5 * (two_up - 2.0 * up + 2.0 * down - two_down)
    return 0.5 * at + at * fall(start + i, rate, alpha, beta, c) / 12.0 + third / 720.0


@kernel
def periods_ahead(start, periods, rate, alpha, beta, c):
    """Sum over i = 1, ..., periods of exp(-rate i) S(start + i) / S(start); relative error below 1e-10.

    Terms are added one by one as long as they change fast. From then on their sum is an integral, with the
    corrections of Euler and Maclaurin, taken by Gauss and Legendre's rule in panels of the logarithm of time.
    """
    if periods < 1.0:
        return 0.0
    if isinf(periods) and rate == 0.0:
        if alpha * c <= 1.0:
            return inf
        if c == 1.0:
            return (beta + start) / (alpha - 1.0)
    scale = start + (beta if c == 1.0 else 0.0)
    total, i, log_at = 0.0, 1.0, 0.0
    while True:
        log_at = log_left(start, start + i, alpha, beta, c) - rate * i
        at = exp(log_at)
        slope = fall(start + i, rate, alpha, beta, c)
        if slope <= SMOOTH and scale + i >= AWAY and i >= 3.0:
            break
        total += at
        # what is left falls at least like the power law that it comes to
        decay = rate + max(alpha * c - 1.0, 0.0) / (start + i + exp(min(log(beta) / c, 600.0)))
        if i >= periods or at <= NEGLIGIBLE * decay * total:
            return total
        i += 1.0
    total += end_correction(i, start, rate, alpha, beta, c)
    if not isinf(periods):
        if periods - i < 8.0:  # too short for two corrected ends
            total -= end_correction(i, start, rate, alpha, beta, c)
            while i <= periods:
                total += term(i, start, rate, alpha, beta, c)
                i += 1.0
            return total
        last = term(periods, start, rate, alpha, beta, c)
        total += last - end_correction(periods, start, rate, alpha, beta, c)
    return total + integral(i, periods, start, rate, alpha, beta, c, total)


@kernel
def integral(first, end, start, rate, alpha, beta, c, before):
    """Integral of the terms from `first` to `end`, which may be infinite; what is negligible is left out."""
    lo, total = first, 0.0
    shift = start + (beta if c == 1.0 else 0.0)
    while lo < end:
        slope = fall(start + lo, rate, alpha, beta, c)
        width = min(1.0, 3.0 / (1.0 + (shift + lo) * slope))
        hi = min(end, lo + (shift + lo) * expm1(width))
        for k in range(_NODES.size):
            # the variable is log(shift + i), linear across the panel
            grown = (shift + lo) * exp(_NODES[k] * log((shift + hi) / (shift + lo)))
            part = _WEIGHTS[k] * log((shift + hi) / (shift + lo)) * grown
            total += part * term(grown - shift, start, rate, alpha, beta, c)
        lo = hi
        at = term(lo, start, rate, alpha, beta, c)
        decay = rate + max(alpha * c - 1.0, 0.0) / (start + lo + exp(min(log(beta) / c, 600.0)))
        if at <= NEGLIGIBLE * decay * (before + total):
            return total
        pure = power(start + lo, c) > 1e14 * (alpha + beta + 1.0)
        if isinf(end) and rate == 0.0 and (pure or lo > FARTHEST):
            return total + at * (start + lo) / (alpha * c - 1.0)
        if lo > FARTHEST:
            return total
    return total
