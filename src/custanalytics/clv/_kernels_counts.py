"""How many purchases come before a lifetime or the horizon ends: one integral of a positive function for each count."""

# mypy: allow-untyped-defs

from __future__ import annotations

from math import exp, expm1, inf, isinf, log, log1p

import numpy as np

from custanalytics._jit import kernel
from custanalytics._special import log_rising
from custanalytics.clv._kernels_futures import BETA, SCALE, SHAPE, B, S, _den, log_survivor

# A Gauss-Legendre rule on [0, 1], used panel by panel.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS
_STEEP = 5.0  # by how much the logarithm of the integrand may change over the first panel
_WIDEST = 2.0
_NEGLIGIBLE = 38.0
_FARTHEST = 690.0  # in y = log(1 + t / unit)
_LOW_POWER = 8.0  # up to which a panel may reach the origin: the rule is exact for such polynomials
_MOST_PANELS = 4000
_SATURATED = 1e-13


@kernel
def log_integrand(y, unit, m, shape, scale, s, b, beta, dying):
    """Logarithm of the integrand in y, t = unit (e^y - 1), up to a constant.

    With `dying` that is the chance of m events until t and of a life that ends there; without, the density of event
    m + 1 at t while alive.
    """
    t = unit * expm1(y)
    events = -m * log1p(scale / t) if m > 0.0 else 0.0
    value = events - (shape + 1.0 - dying) * log1p(t / scale) + log_survivor(t, s, b, beta) + y
    if dying > 0.0:
        value -= log(beta + t) if b == 0.0 else log(_den(t, b, beta))
    return value


@kernel
def slope(y, unit, m, shape, scale, s, b, beta, dying):
    """Its derivative by y."""
    t = unit * expm1(y)
    by_t = m / t * (scale / (scale + t)) - (shape + 1.0 - dying) / (scale + t)
    if b == 0.0:
        by_t -= (s + dying) / (beta + t)
    else:
        base = _den(t, b, beta)
        by_t -= (s * b + dying * b * (1.0 - beta) * exp(-b * t)) / base
    return by_t * unit * exp(y) + 1.0


@kernel
def mode(top, unit, m, shape, scale, s, b, beta, dying):
    """Where on (0, top] the integrand is largest, nearly."""
    if slope(top, unit, m, shape, scale, s, b, beta, dying) >= 0.0:
        return top
    low, high = 0.0, top
    for _ in range(200):
        middle = 0.5 * (low + high)
        if slope(middle, unit, m, shape, scale, s, b, beta, dying) >= 0.0:
            low = middle
        else:
            high = middle
        if high - low <= 1e-3 * high:
            break
    return high


@kernel
def panel_sum(lo, panel, reference, unit, m, shape, scale, s, b, beta, dying):
    """Integral over one panel, relative to exp(reference)."""
    total = 0.0
    for k in range(_NODES.size):
        g = log_integrand(lo + panel * _NODES[k], unit, m, shape, scale, s, b, beta, dying)
        total += panel * _WEIGHTS[k] * exp(g - reference)
    return total


@kernel
def widest(y, unit, b, beta):
    """How wide a panel may be that begins at y: hazards that still grow do so on the scale of 1 / b."""
    if b == 0.0:
        return _WIDEST
    if abs(_den(unit * expm1(y), b, beta) - 1.0) <= _SATURATED:
        return _WIDEST
    return min(_WIDEST, log1p(2.0 / (b * unit * exp(y))))


@kernel
def life_integral(n, shape, scale, s, b, beta, horizon, dying):
    """P(n events, then death by the horizon); without `dying` P(n >= 1 events by the horizon and while alive)."""
    m = n if dying > 0.0 else n - 1.0
    unit = min(scale, beta)
    if b > 0.0:
        unit = min(scale, 1.0 / b)
        if beta < 1.0:
            unit = min(unit, -log1p(-beta) / b)
    top = _FARTHEST if isinf(horizon) else min(log1p(horizon / unit), _FARTHEST)
    peak = mode(top, unit, m, shape, scale, s, b, beta, dying)
    reference = log_integrand(peak, unit, m, shape, scale, s, b, beta, dying)
    total = 0.0
    for side in range(2):
        y, value, panel = peak, reference, 0.5 * _WIDEST
        for _ in range(_MOST_PANELS):
            allowed = _STEEP + 0.5 * (reference - value)
            limit = widest(y, unit, b, beta)
            if side == 0:
                if y >= top:
                    break
                panel = min(2.0 * panel, limit, top - y)
                while True:
                    end = log_integrand(y + panel, unit, m, shape, scale, s, b, beta, dying)
                    if abs(end - value) <= allowed:
                        break
                    panel *= 0.5
                total += panel_sum(y, panel, reference, unit, m, shape, scale, s, b, beta, dying)
                y, value = (y + panel, end) if panel < top - y else (top, end)
                t = unit * expm1(y)
                if b == 0.0 and y < top and (m + 1.0) * scale + (shape + 2.0) * scale + (s + 2.0) * beta < 1e-16 * t:
                    fade = shape + s  # a pure power from here on
                    left = -expm1(-fade * (top - y)) if not isinf(horizon) else 1.0
                    total += exp(value - reference) * left / fade
                    break
            else:
                if y <= 0.0:
                    break
                if y <= 1.0 and y <= min(limit, widest(0.0, unit, b, beta)) and m <= _LOW_POWER:
                    near = log_integrand(1e-9 * y, unit, m, shape, scale, s, b, beta, dying)
                    smooth = value - near - m * (log(expm1(y)) - log(expm1(1e-9 * y)))
                    if abs(smooth) <= _STEEP:
                        total += panel_sum(0.0, y, reference, unit, m, shape, scale, s, b, beta, dying)
                        break
                panel = min(2.0 * panel, limit, y)
                while True:
                    end = -inf
                    if panel < y:
                        end = log_integrand(y - panel, unit, m, shape, scale, s, b, beta, dying)
                    # at y the hazard may have ceased to grow, and below still do
                    if abs(end - value) <= allowed and panel <= widest(y - panel, unit, b, beta):
                        break
                    panel *= 0.5
                total += panel_sum(y - panel, panel, reference, unit, m, shape, scale, s, b, beta, dying)
                y, value = y - panel, end
            if reference - value > _NEGLIGIBLE:
                break
    constant = log_rising(shape, n) - log_rising(1.0, m) + log(unit)
    if dying > 0.0:
        constant += log(s) + (log(b) if b > 0.0 else 0.0)
    else:
        constant -= log(scale)
    return exp(constant + reference) * total


@kernel
def life_counts_loop(start, stop, given, n, horizon, exactly, out):
    """P(X = n), or without `exactly` P(X >= n), at the horizon for customers who are alive now, per customer and n."""
    for i in range(start, stop):
        shape, scale, s, b, beta = given[i, SHAPE], given[i, SCALE], given[i, S], given[i, B], given[i, BETA]
        for k in range(n.shape[1]):
            count = n[i % n.shape[0], k]
            if horizon <= 0.0:
                out[i, k] = 1.0 if count <= 0.0 else 0.0
            elif exactly > 0.0:
                chance = life_integral(count, shape, scale, s, b, beta, horizon, 1.0)
                if not isinf(horizon):
                    events = -count * log1p(scale / horizon) if count > 0.0 else 0.0
                    ways = log_rising(shape, count) - log_rising(1.0, count) + events
                    chance += exp(ways - shape * log1p(horizon / scale) + log_survivor(horizon, s, b, beta))
                out[i, k] = min(chance, 1.0)
            elif count <= 0.0:
                out[i, k] = 1.0
            else:
                out[i, k] = min(life_integral(count, shape, scale, s, b, beta, horizon, 0.0), 1.0)
