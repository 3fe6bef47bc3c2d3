"""Parts of the chances of counts, from differences of log Γ that keep their digits where parameters are large."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, isinf

from custanalytics._jit import kernel
from custanalytics._special import log_rising


@kernel
def log_ways_loop(start, stop, n, shape, out):
    """Logarithm of Γ(shape + n) / (Γ(shape) n!), per row and n >= 0."""
    for i in range(start, stop):
        for column in range(n.shape[1]):
            count = n[i % n.shape[0], column]
            out[i, column] = log_rising(shape[i], count) - log_rising(1.0, count)


@kernel
def staying_loop(start, stop, n, a, c, out):
    """E[(1 - p)^n] for p ~ Beta(a, c), per row and n >= 0: Γ(c + n) Γ(a + c) / (Γ(c) Γ(a + c + n))."""
    for i in range(start, stop):
        for column in range(n.shape[1]):
            count = n[i % n.shape[0], column]
            few, many = min(a[i], count), max(a[i], count)  # they may change places
            if isinf(many):
                out[i, column] = 1.0 if few == 0.0 else 0.0
                continue
            out[i, column] = exp(log_rising(c[i], few) - log_rising(c[i] + many, few))
