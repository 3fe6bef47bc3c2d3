"""What lies ahead of a customer who buys at every k-th event and drops out with a known probability p.

Events ahead are negative binomial (s + j, u); of the k that make the next purchase, j have happened with probability
`chances[j]`. Every k-th of them is a sum over the k-th roots of unity, of which those other than 1 fade as the events
spread over many.
"""

# mypy: allow-untyped-defs

from __future__ import annotations

import cmath
from math import cos, exp, expm1, log, log1p, pi, sin, sqrt

from custanalytics._jit import kernel

STAY, PURCHASES, RATE = 0, 1, 2  # P(alive then), purchases until then, purchases then per unit of u
FADED = 45.0  # exp(-45) is nothing beside 1
FEW_STAY = -4.6  # log(1 - p) below which it is a series in powers of 1 - p: roots of unity would cancel
MOST_POWERS = 256
_LARGE = 1e200


@kernel
def phase_chances(s, share, out):
    """Fill `out` with the chances of j events since the last purchase, proportional to (s)_j / j! share^j."""
    weight = 1.0
    for j in range(out.size):
        out[j] = weight
        weight *= (s + j) / (j + 1.0) * share
        if weight > _LARGE:
            out[: j + 1] /= _LARGE
            weight /= _LARGE
    out /= out.sum()


@kernel
def fill_powers(what, s, u, chances, out):
    """Fill `out` with the coefficients of (1 - p)^n in P(alive then), or in the rate; returns how many count."""
    k, z = chances.size, u / (1.0 + u)
    tilted = z * exp(FEW_STAY / k)
    events = s * tilted / (1.0 - tilted) + 9.0 * sqrt(s * tilted) / (1.0 - tilted)
    most = int(min(events / k + 16.0, out.size))
    out[:most] = 0.0
    for j in range(k):
        chance, log_scale, i = chances[j], -(s + j) * log1p(u), 0.0
        left = k - j  # events until the next purchase
        for n in range(most):
            mass = 0.0
            while left > 0:
                left -= 1
                if what != RATE:
                    mass += chance
                elif left == 0:
                    mass += chance * (s + j + i) / (1.0 + u)
                chance *= z * (s + j + i) / (i + 1.0)
                i += 1.0
                if chance > _LARGE:
                    chance, mass, log_scale = chance / _LARGE, mass / _LARGE, log_scale + log(_LARGE)
            if mass > 0.0:
                out[n] += exp(log(mass) + log_scale)
            left = k
    return most


@kernel
def given_dropout(what, s, u, chances, coefficients, most, log_stay):
    """What lies ahead for a known probability to stay after a purchase, which has a logarithm below 0."""
    if most > 0 and log_stay < FEW_STAY:
        stay, value = exp(log_stay), 0.0
        for n in range(most - 1, -1, -1):
            value = value * stay + coefficients[n]
        return value if what != PURCHASES else (1.0 - value) / (1.0 - stay)
    if what == RATE:
        return rate_given(s, u, chances, log_stay)
    kept, lost = kept_and_lost(s, u, chances, log_stay)
    return kept if what == STAY else lost / -expm1(log_stay)


@kernel
def root(m, s, u, delta, k):
    """The m-th root of unity z times w = exp(-`delta`): z w, 1 - z w, D = 1 + u (1 - z w) and D^-s."""
    angle = 2.0 * pi * m / k
    w, half = exp(-delta), sin(0.5 * angle)
    turned = w * complex(cos(angle), sin(angle))
    gap = complex(-expm1(-delta) + 2.0 * w * half * half, -turned.imag)
    base = 1.0 + u * gap
    return turned, gap, base, cmath.exp(-s * cmath.log(base))


@kernel
def farthest(k, fading):
    """The last phase in which a root counts, whose terms fall by exp(-`fading`) a phase beside those of the root 1."""
    return int(min(k - 1.0, FADED / fading)) if fading > 0.0 else k - 1


@kernel
def kept_and_lost(s, u, chances, log_stay):
    """P(alive then) and 1 less it, each to full relative precision where many events are to be expected."""
    k = chances.size
    delta = -log_stay / k
    growth = log1p(u * -expm1(-delta))
    # The root 1: (1 + phase) (1 + fall), and what either is apart from 1
    step, factor, phase = expm1(delta), 1.0, 0.0
    for i in range(1, k):
        factor *= (k - i) / (i + 1.0) * step
        phase += factor
    shrink, ratio = expm1(-(delta + growth)), exp(-(delta + growth))
    power, missing, mean, shortfall = 1.0, 0.0, 0.0, 0.0
    for j in range(k):
        mean += chances[j] * power
        shortfall += chances[j] * missing
        missing = missing * ratio + shrink
        power *= ratio
    base = exp(-s * growth)
    fall = expm1(-s * growth) + base * shortfall
    kept = (1.0 + phase) * base * mean
    lost = -(phase + fall + phase * fall)
    # The others, in pairs of conjugates
    odds = expm1(-log_stay)
    for m in range(1, k // 2 + 1):
        turned, gap, divisor, weight = root(m, s, u, delta, k)
        fading = log(abs(divisor)) - growth
        if s * fading > FADED:
            break
        each, total = turned / divisor, complex(0.0, 0.0)
        for j in range(farthest(k, fading), -1, -1):
            total = total * each + chances[j]
        part = (odds / k) * (turned / gap * weight * total).real
        part = part if 2 * m == k else 2.0 * part
        kept += part
        lost -= part
    return kept, lost


@kernel
def rate_given(s, u, chances, log_stay):
    """Purchases per unit of u, of those who are alive before them."""
    k = chances.size
    delta = -log_stay / k
    growth = log1p(u * -expm1(-delta))
    value = 0.0
    for m in range(k // 2 + 1):
        turned, _, divisor, weight = root(m, s, u, delta, k)
        fading = log(abs(divisor)) - growth
        if s * fading > FADED:
            break
        each, total = turned / divisor, complex(0.0, 0.0)
        for j in range(farthest(k, fading), -1, -1):
            total = total * each + chances[j] * (s + j)
        part = (each * weight * total).real
        value += part if m == 0 or 2 * m == k else 2.0 * part
    return value * exp(-log_stay) / k
