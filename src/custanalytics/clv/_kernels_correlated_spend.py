"""Kernels of the Gamma-Gamma model with spend that depends on the rate of purchase. `theta` is (p, q, v, c)."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, log

from custanalytics._jit import kernel
from custanalytics.clv._kernels_gamma_gamma import log_density


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
        w = weight[i]
        value, by_shape, by_q, by_scale = log_density(x[i], m[i], p, q, v)
        row[0] += w * (value - log(m[i]))
        row[1] += w * x[i] * by_shape
        row[2] += w * by_q
        row[3] += w * by_scale / theta[2]
        row[4] += w * by_scale * g[i]
