"""Kernels of the Gamma-Gamma model with spend that depends on the rate of purchase. `theta` is (p, q, v, c)."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, log, log1p

from custanalytics._jit import kernel
from custanalytics._special import digamma_rising, log_beta


@kernel
def log_likelihood_loop(start, stop, x, g, m, weight, theta, out):
    """Weighted sum of the log-density of the means `m` of `x` purchases and its gradient, into this slice's row.

    `g` is the logarithm of the rate of purchase: the scale of a customer's spend is v e^(c g).
    """
    p, q, c = theta[0], theta[1], theta[3]
    row = out[0]
    row[:] = 0.0
    for i in range(start, stop):
        v = theta[2] * exp(c * g[i])
        shape, spent, w = p * x[i], x[i] * m[i], weight[i]
        less, more = log1p(v / spent), log1p(spent / v)
        by_scale = w * (q * spent - shape * v) / (v + spent)  # derivative by log v
        row[0] -= w * (log_beta(shape, q) + q * more + shape * less + log(m[i]))
        row[1] += w * x[i] * (digamma_rising(shape, q) - less)
        row[2] += w * (digamma_rising(q, shape) - more)
        row[3] += by_scale / theta[2]
        row[4] += by_scale * g[i]
