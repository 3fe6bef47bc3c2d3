"""Scalar special functions for kernels, each with a stated error bound.

All arguments are positive reals unless a function says otherwise; eps is 2.2e-16.
"""

from __future__ import annotations

import math

import numpy as np

from custanalytics._jit import fma, kernel

# Arguments are moved up to this point before an asymptotic series is used: there, eight terms of the series of
# log-gamma and of digamma are exact to double precision.
ASYMPTOTIC = 10.0
HALF_LOG_2PI = 0.9189385332046727
_HUGE_RATIO = 1e30  # ten factors of this size still fit into a double

# The lane functions take doubles apart by their bits: log 2 in two parts, the first short enough that its product
# with any exponent is exact; the bits of sqrt(1/2) and of 1; the fraction; 2^52, whose last bits count units.
_LOG_2_HIGH = float.fromhex("0x1.62e42fefa3800p-1")
_LOG_2_LOW = 5.497923018708371e-14
_LOG_2_INVERSE = 1.4426950408889634
_SQRT_HALF_BITS = np.int64(0x3FE6A09E667F3BCD)
_ONE_BITS = np.int64(1023 << 52)
_FRACTION = np.int64((1 << 52) - 1)
_UNITS_BITS = np.int64(0x433 << 52)
_UNITS = 4503599627370496.0 + 1023.0
_TO_INTEGER = 6755399441055744.0  # added and taken off, rounds to the nearest integer
_BIAS = np.int64(1023)
_FIFTY_TWO = np.int64(52)
_DEEPEST = -745.2  # below, e^ is 0
_LARGEST = 1.7976931348623157e308


@kernel
def log_add(a, b):
    """Logarithm of exp(a) + exp(b), either of which may be -inf; error below 2 eps (1 + |result|)."""
    high = max(a, b)
    low = min(a, b)
    if low == -math.inf or high == math.inf:
        return high
    return high + math.log1p(math.exp(low - high))


@kernel
def stirling_rest(x):
    """Rest of Stirling's formula, log Γ(x) - (x - 1/2) log x + x - log sqrt(2π), for x >= 10; error below 1e-17."""
    u = 1.0 / x
    v = u * u
    tail = -691.0 / 360360.0 + v * (1.0 / 156.0 - v * 3617.0 / 122400.0)
    tail = -1.0 / 1680.0 + v * (1.0 / 1188.0 + v * tail)
    return u * (1.0 / 12.0 + v * (-1.0 / 360.0 + v * (1.0 / 1260.0 + v * tail)))


@kernel
def log_rising(a, n):
    """Logarithm of Γ(a + n)/Γ(a) for n >= 0, an integer or not; error below 8 eps (1 + |result| + |log a|)."""
    if n == 0.0:
        return 0.0
    shift = 0.0
    if a < ASYMPTOTIC:
        # The factors (a + n)/a, (a + n + 1)/(a + 1), …: their product less one is summed from positive terms, so
        # it keeps its digits however small n is.
        ratio = n / a
        if ratio > _HUGE_RATIO:
            shift = math.log(a + n) - math.log(a)
            a += 1.0
            ratio = n / a
        excess = ratio
        a += 1.0
        while a < ASYMPTOTIC:
            ratio = n / a
            excess += ratio + excess * ratio
            a += 1.0
        shift += math.log1p(excess)
    stirling = n * (math.log(a + n) - 1.0) + (a - 0.5) * math.log1p(n / a)
    return stirling + (stirling_rest(a + n) - stirling_rest(a)) - shift


@kernel
def log_staying(a, c, n):
    """Logarithm of E[(1 - p)^n] for p ~ Beta(a, c) and n >= 0: of Γ(c + n) Γ(a + c) / (Γ(c) Γ(a + c + n)).

    Where n is infinite, it is -inf, or 0 where a is 0. Error below 16 eps (1 + |result| + |log c| + |log(c + m)|
    + k |log(c + m + k)|) with k = min(a, n), m = max(a, n): the larger one costs no digits.
    """
    few, many = min(a, n), max(a, n)  # they may change places
    if math.isinf(many):
        return 0.0 if few == 0.0 else -math.inf
    return log_rising(c, few) - log_rising(c + many, few)


@kernel
def digamma_rest(v):
    """Sum of the terms beyond 1/x^2 of the asymptotic series of digamma, given v = 1/x^2 <= 1/100."""
    tail = 1.0 / 240.0 + v * (-1.0 / 132.0 + v * (691.0 / 32760.0 + v * (-1.0 / 12.0 + v * 3617.0 / 8160.0)))
    return v * v * (1.0 / 120.0 + v * (-1.0 / 252.0 + v * tail))


@kernel
def digamma(x):
    """Derivative of log Γ(x); error below 8 eps (1 + |result|)."""
    shift = 0.0
    while x < ASYMPTOTIC:
        shift += 1.0 / x
        x += 1.0
    v = 1.0 / (x * x)
    return math.log(x) - 0.5 / x - v / 12.0 + digamma_rest(v) - shift


@kernel
def digamma_rising(a, n):
    """Difference digamma(a + n) - digamma(a) for n >= 0; relative error below 1e-14 for n >= 1e-3."""
    total = 0.0
    while a < ASYMPTOTIC:
        total += n / a / (a + n)
        a += 1.0
    return total + math.log1p(n / a) + digamma_excess(a, n)


@kernel
def digamma_excess(a, n):
    """By how much digamma rises more than the logarithm from a to a + n, for a >= 10; error below 8 eps / a."""
    b = a + n
    v, w = 1.0 / (a * a), 1.0 / (b * b)
    slope = n / a / b
    return 0.5 * slope + slope * (1.0 / a + 1.0 / b) / 12.0 + (digamma_rest(w) - digamma_rest(v))


@kernel
def log_beta(a, b):
    """Logarithm of the beta function; error below 16 eps (1 + |result|)."""
    low = min(a, b)
    high = max(a, b)
    if low < ASYMPTOTIC:
        return math.lgamma(low) - log_rising(high, low)
    # Both large: the leading terms of Stirling's formula cancel here by algebra, not by subtraction.
    rest = stirling_rest(low) + stirling_rest(high) - stirling_rest(low + high)
    ratio = low / high
    fall = (low - 0.5) * math.log(ratio / (1.0 + ratio)) - high * math.log1p(ratio)
    return fall - 0.5 * math.log(high) + HALF_LOG_2PI + rest


@kernel
def log_lane(y):
    """Logarithm of a normal positive number, free of branches so that loops over it are vectorised; error 2 eps."""
    bits = np.float64(y).view(np.int64) - _SQRT_HALF_BITS + _ONE_BITS
    exponent = np.int64((bits >> _FIFTY_TWO) | _UNITS_BITS).view(np.float64) - _UNITS
    excess = np.int64((bits & _FRACTION) + _SQRT_HALF_BITS).view(np.float64) - 1.0
    s = excess / (2.0 + excess)
    z = s * s  # at most .0295: ten terms of the series of artanh are exact to double precision
    tail = fma(z, fma(z, fma(z, fma(z, 1.0 / 21.0, 1.0 / 19.0), 1.0 / 17.0), 1.0 / 15.0), 1.0 / 13.0)
    tail = fma(z, fma(z, fma(z, fma(z, fma(z, tail, 1.0 / 11.0), 1.0 / 9.0), 1.0 / 7.0), 1.0 / 5.0), 1.0 / 3.0)
    return fma(exponent, _LOG_2_HIGH, fma(2.0 * s, z * tail, fma(exponent, _LOG_2_LOW, 2.0 * s)))


@kernel
def log1p_lane(u):
    """Logarithm of 1 + u for u >= 0, free of branches; relative error below 4 eps.

    Of infinity, that of the largest double.
    """
    u = min(u, _LARGEST)
    base = 1.0 + u
    return log_lane(base) + (u - (base - 1.0)) / base  # the last term makes up for the rounding of base


@kernel
def expm1_ratio(r):
    """(e^r - 1) / r for |r| up to log(2) / 2, by its series; error below eps."""
    p = fma(r, fma(r, 1.0 / 6227020800.0, 1.0 / 479001600.0), 1.0 / 39916800.0)
    p = fma(r, fma(r, fma(r, fma(r, p, 1.0 / 3628800.0), 1.0 / 362880.0), 1.0 / 40320.0), 1.0 / 5040.0)
    return fma(r, fma(r, fma(r, fma(r, fma(r, p, 1.0 / 720.0), 1.0 / 120.0), 1.0 / 24.0), 1.0 / 6.0), 0.5) * r + 1.0


@kernel
def exp_lane(v):
    """Exponential of v <= 700, free of branches; relative error below 4 eps where the result is a normal number."""
    v = max(v, _DEEPEST)
    power = fma(v, _LOG_2_INVERSE, _TO_INTEGER) - _TO_INTEGER
    r = fma(-power, _LOG_2_LOW, fma(-power, _LOG_2_HIGH, v))  # at most log(2) / 2
    p = fma(r, expm1_ratio(r), 1.0)
    half = fma(power, 0.5, _TO_INTEGER) - _TO_INTEGER  # in two factors, for results below the smallest normal number
    first = np.int64((np.float64(half + _TO_INTEGER).view(np.int64) + _BIAS) << _FIFTY_TWO).view(np.float64)
    second = np.int64((np.float64(power - half + _TO_INTEGER).view(np.int64) + _BIAS) << _FIFTY_TWO).view(np.float64)
    return p * first * second


@kernel
def expm1_lane(v):
    """Exponential less 1, for v from 0 to 700, free of branches; relative error below 4 eps."""
    power = fma(v, _LOG_2_INVERSE, _TO_INTEGER) - _TO_INTEGER
    r = fma(-power, _LOG_2_LOW, fma(-power, _LOG_2_HIGH, v))
    p = r * expm1_ratio(r)
    scale = np.int64((np.float64(power + _TO_INTEGER).view(np.int64) + _BIAS) << _FIFTY_TWO).view(np.float64)
    return fma(scale, p, scale - 1.0)
