"""What lies ahead of customers who are alive: whether they stay, and what they buy in a window of time.

The loops take one description of any model, `given` with a row per customer: events come at a gamma(shape, scale)
distributed rate; a customer drops out after each with a Beta(a, c) probability (a = 0: never), or at a time with
survivor (beta / (beta + e^(b t) - 1))^s from now (s = 0: never; b = 0: (beta / (beta + t))^s).
"""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, inf, isinf, log, log1p, sqrt

import numpy as np

from custanalytics._jit import kernel
from custanalytics.clv import _kernels_gamma_gompertz as gompertz
from custanalytics.clv import _kernels_pareto_nbd as pareto
from custanalytics.clv._kernels_beta_geo_purchases import DEEPEST, LONGEST_SERIES, purchases_if_alive
from custanalytics.clv._kernels_logit import CERTAIN, log_beside_mode, log_logistic, log_mass, summit

# A Gauss-Legendre rule on [0, 1], used panel by panel.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS
_DEEP = -800.0  # e^-800 is 0, and of a logarithm of -1e16 no digit is left that counts
_FAINT = 1e-280  # below, doubles lose their digits before they are 0: the rate is then followed no further
WIDE = 0.05  # share of the whole from which on a window is a difference
_log_base, _den, _mean_gompertz = gompertz.log_base, gompertz.den, gompertz.mean_lifetime
_mean_pareto = pareto.mean_lifetime

# Columns of `given`; the last is the time since the last purchase as a share of the scale.
SHAPE, SCALE, A, C, S, B, BETA, SHARE = range(8)


@kernel
def log_survivor(t, s, b, beta):
    """Logarithm of the chance to live longer than t."""
    if s == 0.0 or t <= 0.0:
        return 0.0
    if isinf(t):
        return -inf
    return -s * (log1p(t / beta) if b == 0.0 else _log_base(t, b, beta))


@kernel
def still_active(s, u, a, c):
    """E[(1 + p u)^-s] for p ~ Beta(a, c): the chance that no purchase within u was the last one.

    Here s = r + x, u = time / (alpha + T), c = b + x; relative error below 1e-11.
    """
    if u <= 0.0:
        return 1.0
    if isinf(u):
        return 0.0
    mean = s * u
    terms = mean + 6.0 * sqrt(mean * (1.0 + u)) + 36.0 * (1.0 + u)
    if terms < LONGEST_SERIES and s * log1p(u) < DEEPEST:
        return active_series(s, u, a, c)
    return active_integral(s, u, a, c)


@kernel
def active_series(s, u, a, c):
    """The same, as the mean of E[(1 - p)^K] over K, the purchases of somebody who never drops out."""
    z = u / (1.0 + u)
    term = exp(-s * log1p(u))
    total, k = term, 0.0
    while True:
        term *= z * (s + k) / (k + 1.0) * ((c + k) / (a + c + k))
        k += 1.0
        total += term
        most = z * max((s + k) / (k + 1.0), 1.0)  # no later ratio of terms is above it
        if most < 1.0 and term * most <= 1e-15 * (1.0 - most) * total:
            return total


@kernel
def active_integral(s, u, a, c):
    """The same, by the trapezoidal rule in y = logit(p), for long series.

    Integrated by parts as in `purchases_integral`, with g(p) = (1 + p u)^-s: a positive integrand, which falls at
    least like exp(-|y|).
    """
    if min(a, c) > CERTAIN:
        return exp(-s * log1p(a / (a + c) * u))
    mode = log((a + 1.0) / (c + 1.0))
    top, step = summit(a + 1.0, c + 1.0, s, u, 1.0)
    reference = log_beside_mode(a + 1.0, c + 1.0, top - mode) - s * log1p(exp(log_logistic(top)) * u)
    if reference + log1p(s) + log1p(u) < _DEEP:
        return exp(-s * log1p(u))
    total = 0.0
    for side in range(2):
        y = top if side == 0 else top - step
        while True:
            p, q = exp(log_logistic(y)), exp(log_logistic(-y))
            density = log_beside_mode(a + 1.0, c + 1.0, y - mode) - s * log1p(p * u)
            fall = -expm1(-s * log1p(q * (u / (1.0 + p * u)))) / q
            term = exp(density - reference) * (fall + s * (u / (1.0 + p * u)) / (a + c))
            total += term
            if term <= 1e-18 * total:
                break
            y += step if side == 0 else -step
    # the summit may lie far above what is left of it: its logarithm is taken before the factor can underflow
    share = log(c / (a + c + 1.0) * total * step) - log_mass(a + 1.0, c + 1.0)
    return exp(-s * log1p(u)) + exp(share + reference)


@kernel
def purchases_between(s, first, ahead, a, c):
    """E[((1 + p first)^-s - (1 + p (first + ahead))^-s) / p] for p ~ Beta(a, c): purchases in a window of time.

    Where the window holds but a small part of the purchases up to its end, their rate is integrated over it.
    """
    before, until = purchases_if_alive(s, first, a, c), purchases_if_alive(s, first + ahead, a, c)
    if isinf(until):
        return 0.0 if isinf(before) else inf
    if until - before > WIDE * until:
        return until - before
    span, at, total = log1p(ahead / (1.0 + first)), 0.0, 0.0
    height = still_active(s + 1.0, first, a, c)
    while at < span:
        panel = min(span - at, 1.0)
        while True:
            end = first + (1.0 + first) * expm1(at + panel)
            lower = still_active(s + 1.0, end, a, c)
            if not lower * 20.0 < height or height < _FAINT:
                break
            panel *= 0.5
        part = 0.0
        for k in range(_NODES.size):
            moved = at + panel * _NODES[k]
            v = first + (1.0 + first) * expm1(moved)
            part += panel * _WEIGHTS[k] * (1.0 + first) * exp(moved) * still_active(s + 1.0, v, a, c)
        total += part
        if part <= 1e-13 * panel * total or height < _FAINT:
            break
        at, height = at + panel, lower
    return s * total


@kernel
def stay_loop(start, stop, given, ahead, out):
    """P(alive after `ahead` | alive now), per customer."""
    for i in range(start, stop):
        if given[i, A] > 0.0:
            out[i] = still_active(given[i, SHAPE], ahead / given[i, SCALE], given[i, A], given[i, C])
        else:
            out[i] = exp(log_survivor(ahead, given[i, S], given[i, B], given[i, BETA]))


@kernel
def window_loop(start, stop, given, first, horizon, out):
    """E[purchases from `first` to `first` + `horizon` | alive now], per customer."""
    for i in range(start, stop):
        shape, scale, s, b, beta = given[i, SHAPE], given[i, SCALE], given[i, S], given[i, B], given[i, BETA]
        if given[i, A] > 0.0:
            out[i] = purchases_between(shape, first / scale, horizon / scale, given[i, A], given[i, C])
        else:
            lived = horizon
            if s > 0.0 and b == 0.0:
                lived = _mean_pareto(s, beta + first, horizon)
            elif s > 0.0:
                lived = _mean_gompertz(horizon, b, s, _den(first, b, beta))
            stays = exp(log_survivor(first, s, b, beta))
            out[i] = shape / scale * stays * lived if stays > 0.0 and lived > 0.0 else 0.0
