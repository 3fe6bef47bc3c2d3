"""Kernels of the Gamma-Gamma spend model. `theta` is (p, q, v)."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import inf, log, log1p

from custanalytics._jit import kernel
from custanalytics._special import digamma_rising, log_beta


@kernel
def log_likelihood_loop(start, stop, x, m, weight, theta, out):
    """Weighted sum of the log-density of the means `m` of `x` purchases and its gradient, into this slice's row.

    Every term is a difference that stays small where p, q or v grows without bound.
    """
    p, q, v = theta[0], theta[1], theta[2]
    total, d_p, d_q, d_v = 0.0, 0.0, 0.0, 0.0
    for i in range(start, stop):
        shape, spent, w = p * x[i], x[i] * m[i], weight[i]
        less = log1p(v / spent)
        more = log1p(spent / v)
        total -= w * (log_beta(shape, q) + q * more + shape * less + log(m[i]))
        d_p += w * x[i] * (digamma_rising(shape, q) - less)
        d_q += w * (digamma_rising(q, shape) - more)
        d_v += w * (q * spent / v - shape) / (v + spent)
    row = out[0]
    row[0] = total
    row[1] = d_p
    row[2] = d_q
    row[3] = d_v


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
