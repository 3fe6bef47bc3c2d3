"""The Gamma-Gompertz/NBD model in mpmath, by quadrature of the story, and simulated."""

from __future__ import annotations

import mpmath as mp
import numpy as np


def _exact(*values):
    return [value if isinstance(value, mp.mpf | mp.mpc) else mp.mpf(float(value)) for value in values]


def _cuts(first, last, *scales):
    """Where quadrature is cut: at every factor of 3 of the scales of the integrand."""
    cuts = {first, last}
    for scale in scales:
        at = scale / 1000
        while at < last - first:
            cuts.add(first + at)
            at *= 3
    return sorted(cuts)


def log_likelihood(x, t_x, T, r, alpha, b, s, beta):
    """Bemmaor & Glady (2012), equation 9: alive at T, or dropped out at some time u since the last purchase."""
    x, t_x, T, r, alpha, b, s, beta = _exact(x, t_x, T, r, alpha, b, s, beta)

    def left(u):
        return (beta / (beta + mp.expm1(b * u))) ** s

    def dropped(u):
        return s * b * mp.exp(b * u) / (beta + mp.expm1(b * u)) * left(u) * ((alpha + t_x) / (alpha + u)) ** (r + x)

    real = [mp.re(value) for value in (alpha, b, s, beta)]
    total = left(T) * ((alpha + t_x) / (alpha + T)) ** (r + x)
    if t_x < T:
        scales = ((real[0] + t_x) / (mp.re(r) + x), 1 / real[1], real[3] / real[1])
        total += mp.quad(dropped, _cuts(t_x, T, *scales))
    constant = mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) - (r + x) * mp.log(alpha + t_x)
    return constant + mp.log(total)


def gradient(x, t_x, T, *theta):
    """Derivatives by the five parameters, by complex steps."""
    step = mp.mpf(10) ** -12
    result = []
    for at in range(5):
        moved = [mp.mpc(float(value), step if j == at else 0) for j, value in enumerate(theta)]
        result.append(float(mp.im(log_likelihood(x, t_x, T, *moved)) / step))
    return result


def purchases_if_alive(x, T, horizon, r, alpha, b, s, beta, rate=0.0):
    """Adler (2022): the purchase rate times the time alive expected in (T, T + horizon], discounted, given alive."""
    x, T, horizon, r, alpha, b, s, beta = _exact(x, T, horizon, r, alpha, b, s, beta)

    def left(v):
        return ((beta + mp.expm1(b * T)) / (beta + mp.expm1(b * (T + v)))) ** s * mp.exp(-rate * v)

    return (r + x) / (alpha + T) * mp.quad(left, _cuts(mp.mpf(0), horizon, 1 / b, (beta + mp.expm1(b * T)) / b))


def simulate(rng, duration, r, alpha, b, s, beta, ahead=0.0):
    """Customers in continuous time: frequency, recency, T, and purchases in the `ahead` after."""
    n = duration.size
    rate, hazard = rng.gamma(r, 1 / alpha, n), rng.gamma(s, 1 / beta, n)
    lifetime = np.log1p(rng.exponential(1.0, n) / hazard) / b
    seen = np.minimum(lifetime, duration)
    x = rng.poisson(rate * seen)
    recency = np.where(x > 0, seen * rng.random(n) ** (1.0 / np.maximum(x, 1)), 0.0)
    later = rng.poisson(rate * np.clip(lifetime - duration, 0.0, ahead))
    return {"frequency": x, "recency": recency, "T": duration}, later
