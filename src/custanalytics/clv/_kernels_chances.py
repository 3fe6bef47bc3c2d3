"""Parts of the chances of counts, from differences of log Γ that keep their digits where parameters are large."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp

from custanalytics._jit import kernel
from custanalytics._special import log_rising, log_staying


@kernel
def log_ways_loop(start, stop, n, shape, out):
    """Logarithm of Γ(shape + n) / (Γ(shape) n!), per row and n >= 0."""
    for i in range(start, stop):
        for column in range(n.shape[1]):
            count = n[i % n.shape[0], column]
            out[i, column] = log_rising(shape[i], count) - log_rising(1.0, count)


@kernel
def staying_loop(start, stop, n, a, c, out):
    """E[(1 - p)^n] for p ~ Beta(a, c), per row and n >= 0."""
    for i in range(start, stop):
        for column in range(n.shape[1]):
            count = n[i % n.shape[0], column]
            out[i, column] = exp(log_staying(a[i], c[i], count))
