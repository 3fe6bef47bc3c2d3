"""Kernels of the Gamma-Gamma spend model. `theta` is (p, q, v)."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import inf, log, log1p

from custanalytics._jit import fma, kernel
from custanalytics._special import ASYMPTOTIC, HALF_LOG_2PI, digamma_excess, digamma_rising, log_beta, stirling_rest


@kernel
def log_density(x, m, p, q, v):
    """Logarithm of the density of the mean m of x purchases times m, with its derivatives by p x, q and log v.

    With shape = p x and spent = m x that is log(pi^shape (1 - pi)^q / B(shape, q)) with pi = spent / (v + spent). Where
    both shapes are large, pi is next to rho = shape / (shape + q), and the powers cancel against the beta function but
    for shape + q times how far rho is from pi (Kullback and Leibler), which is taken from their difference.
    """
    shape, spent, product = p * x, m * x, q * m
    apart = x * (fma(p, v, -product) - fma(q, m, -product))  # x (p v - q m) to its last digits
    by_scale = -apart / (v + spent)
    if min(shape, q) < ASYMPTOTIC:
        less, more = log1p(v / spent), log1p(spent / v)
        value = -(log_beta(shape, q) + q * more + shape * less)
        return value, digamma_rising(shape, q) - less, digamma_rising(q, shape) - more, by_scale
    total = shape + q
    first, second = apart / total / spent, -apart / total / v  # of rho / pi and of (1 - rho) / (1 - pi), less 1
    less, more = log1p(first), log1p(second)
    if max(abs(first), abs(second)) < 0.5:
        far = shape * (less - first) + q * (more - second) + first * (apart / v)
    else:
        far = shape * less + q * more
    rest = stirling_rest(shape) + stirling_rest(q) - stirling_rest(total)
    value = 0.5 * log(shape / total * q) - HALF_LOG_2PI - rest - far
    return value, digamma_excess(shape, q) - less, digamma_excess(q, shape) - more, by_scale


@kernel
def log_likelihood_loop(start, stop, x, m, weight, theta, out):
    """Weighted sum of the log-density of the means `m` of `x` purchases and its gradient, into this slice's row.

    Every term is a difference that stays small where p, q or v grows without bound.
    """
    p, q, v = theta[0], theta[1], theta[2]
    total, d_p, d_q, d_v = 0.0, 0.0, 0.0, 0.0
    for i in range(start, stop):
        w = weight[i]
        value, by_shape, by_q, by_scale = log_density(x[i], m[i], p, q, v)
        total += w * (value - log(m[i]))
        d_p += w * x[i] * by_shape
        d_q += w * by_q
        d_v += w * by_scale
    row = out[0]
    row[0] = total
    row[1] = d_p
    row[2] = d_q
    row[3] = d_v / v


@kernel
def shape_loop(start, stop, x, theta, out):
    """What the log-likelihood holds of the shapes alone, per number of purchases.

    That is log B(p x, q) and how much digamma rises from p x, and from q, to p x + q.
    """
    p, q = theta[0], theta[1]
    for i in range(start, stop):
        shape = p * x[i]
        out[i, 0] = log_beta(shape, q)
        out[i, 1] = digamma_rising(shape, q)
        out[i, 2] = digamma_rising(q, shape)


@kernel
def spend_loop(start, stop, x, m, theta, out):
    """Expected value of a purchase, per customer; infinite where p x + q <= 1."""
    p, q, v = theta[0], theta[1], theta[2]
    for i in range(start, stop):
        spent = x[i] * m[i] if x[i] > 0.0 else 0.0
        weight = p * x[i] + (q - 1.0)
        out[i] = p * (v + spent) / weight if weight > 0.0 else inf
