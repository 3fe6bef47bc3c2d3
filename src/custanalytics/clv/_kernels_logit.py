"""Beta distributed chances p, integrated over y = logit(p) by the trapezoidal rule.

There the density is analytic in a strip around the real line, and the rule converges exponentially once its step is
about as wide as what is integrated. Logarithms of densities are taken beside that at the mode: nothing cancels.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, log, log1p, sqrt

from custanalytics._jit import kernel
from custanalytics._special import ASYMPTOTIC, HALF_LOG_2PI, log_beta, stirling_rest

CERTAIN = 1e15  # shapes beyond which the mean of a beta distribution stands for all of it
_WIDEST, _FINEST = 0.25, 1e-12  # steps: finer ones would be lost in the rounding of y
_FAR = 700.0
_MOST = 1e300


@kernel
def log_logistic(y):
    """Log of 1 / (1 + exp(-y))."""
    return -log1p(exp(-y)) if y > 0.0 else y - log1p(exp(y))


@kernel
def log_mean_exp(p, q, t):
    """Log of p + q e^t, for shares p + q = 1."""
    if t > _FAR:
        return log(q) + t
    more = q * expm1(t)
    return log1p(more) if more > -0.5 else log(p + q * exp(t))


@kernel
def log_beside_mode(a, c, t):
    """Log of the Beta(a, c) density of y = logit(p) at its mode log(a / c) + t, less that at the mode."""
    p, q = a / (a + c), c / (a + c)
    return -(a * log_mean_exp(p, q, -t) + c * log_mean_exp(q, p, t))


@kernel
def log_mass(a, c):
    """Log of the integral over y of exp(log_beside_mode)."""
    if min(a, c) >= ASYMPTOTIC:
        return HALF_LOG_2PI + 0.5 * log(1.0 / a + 1.0 / c) + stirling_rest(a) + stirling_rest(c) - stirling_rest(a + c)
    return log_beta(a, c) + a * log1p(c / a) + c * log1p(a / c)


@kernel
def step_for(curvature):
    """A step for the rule where the logarithm of what it integrates bends by so much at its height."""
    return min(_WIDEST, max(0.5 / sqrt(max(curvature, 0.0) + 1.0), _FINEST))


@kernel
def slope(a, c, s, u, k, y):
    """Derivative by y of the logarithm of p^a q^c (1 + u (1 - q^(1 / k)))^-s, with q = 1 - p."""
    p, log_q = exp(log_logistic(y)), log_logistic(-y) / k
    lost = s * (u * p * exp(log_q) / (k * (1.0 - u * expm1(log_q))))
    return a * exp(log_logistic(-y)) - c * p - lost


@kernel
def summit(a, c, s, u, k):
    """Where that is highest, and a step for it: those who stay on although s u purchases may be to come."""
    finest = step_for(min(a, c + s))
    low, high = log(a) - log(c + min(s * u, _MOST)), log(a) - log(c)
    while high - low > finest:
        middle = 0.5 * (low + high)
        if slope(a, c, s, u, k, middle) > 0.0:
            low = middle
        else:
            high = middle
    y = 0.5 * (low + high)
    bend = slope(a, c, s, u, k, y - finest) - slope(a, c, s, u, k, y + finest)
    return y, step_for(0.5 * bend / finest)
