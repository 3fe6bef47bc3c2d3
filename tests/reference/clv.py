"""Slow truths for clv: the models as written in the papers, in many digits, and customers in continuous time."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import mpmath as mp
import numpy as np
import pandas as pd

DIGITS = 50


def _exact(*values):
    return [mp.mpf(float(value)) if not isinstance(value, mp.mpc | mp.mpf) else value for value in values]


def bg_log_likelihood(x, t_x, T, r, alpha, a, b):
    """Fader, Hardie & Lee (2005), equation 6."""
    x, t_x, T, r, alpha, a, b = _exact(x, t_x, T, r, alpha, a, b)
    first = mp.beta(a, b + x) / mp.beta(a, b) * (alpha + T) ** (-r - x)
    second = mp.beta(a + 1, b + x - 1) / mp.beta(a, b) * (alpha + t_x) ** (-r - x) if x > 0 else 0
    return mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) + mp.log(first + second)


def bg_gradient(x, t_x, T, *theta):
    """Derivatives by the four parameters, by complex steps."""
    step = mp.mpf(10) ** -25
    result = []
    for k in range(4):
        moved = [mp.mpc(float(value), step if j == k else 0) for j, value in enumerate(theta)]
        result.append(float(mp.im(bg_log_likelihood(x, t_x, T, *moved)) / step))
    return result


def bg_alive(x, t_x, T, r, alpha, a, b):
    x, t_x, T, r, alpha, a, b = _exact(x, t_x, T, r, alpha, a, b)
    if x == 0:
        return mp.mpf(1)
    return 1 / (1 + a / (b + x - 1) * ((alpha + T) / (alpha + t_x)) ** (r + x))


def positive_hyp2f1(a, b, c, z):
    """The hypergeometric function for positive arguments, term by term: mpmath's own loses its way at large ones."""
    total, term, n = mp.mpf(0), mp.mpf(1), 0
    while z * max((a + n) / (n + 1), 1) * max((b + n) / (c + n), 1) >= 1 or term > total * mp.eps:
        total += term
        term *= z * (a + n) / (n + 1) * (b + n) / (c + n)
        n += 1
    return total


def bg_purchases_if_alive(s, u, a, c):
    """Equation 10 without its denominator, s = r + x, u = t / (alpha + T), c = b + x, by the hypergeometric function.

    At a = 1 the limit is taken from both sides at once.
    """
    s, u, a, c = _exact(s, u, a, c)
    if a == 1:
        apart = mp.mpf(10) ** -(DIGITS // 3)
        return (bg_purchases_if_alive(s, u, a - apart, c) + bg_purchases_if_alive(s, u, a + apart, c)) / 2
    if u == 0:
        return mp.mpf(0)
    if u < 1 and a + c > 1:
        missed = (1 + u) ** (-s) * positive_hyp2f1(s, c, a + c - 1, u / (1 + u))
    else:  # Euler's transformation: the parameters are no larger than a and b
        missed = (1 + u) ** (1 - a) * mp.hyp2f1(a - 1, a + c - 1 - s, a + c - 1, u / (1 + u))
    return (a + c - 1) / (a - 1) * (1 - missed)


def bg_purchases(x, t_x, T, horizon, r, alpha, a, b):
    x, t_x, T, horizon, r, alpha, a, b = _exact(x, t_x, T, horizon, r, alpha, a, b)
    return bg_alive(x, t_x, T, r, alpha, a, b) * bg_purchases_if_alive(r + x, horizon / (alpha + T), a, b + x)


def bg_discounted(x, t_x, T, horizon, rate, r, alpha, a, b):
    """Integral of exp(-rate t) against the expected rate of purchases at t, by mpmath's own quadrature."""
    x, t_x, T, horizon, rate, r, alpha, a, b = _exact(x, t_x, T, horizon, rate, r, alpha, a, b)
    s, age, c = r + x, alpha + T, b + x

    def intensity(t):  # d/dt E[(1 - (1 + p t / age)^-s) / p] = s / age * E[(1 + p t / age)^(-s - 1)]
        return mp.exp(-rate * t) * s / age * mp.hyp2f1(s + 1, a, a + c, -t / age)

    points = [0, horizon / 100, horizon / 10, horizon / 2, horizon]
    return bg_alive(x, t_x, T, r, alpha, a, b) * mp.quad(intensity, points)


def gg_log_likelihood(x, m, p, q, v):
    """Fader & Hardie (2013), equation 1."""
    x, m, p, q, v = _exact(x, m, p, q, v)
    gammas = mp.loggamma(p * x + q) - mp.loggamma(p * x) - mp.loggamma(q)
    powers = q * mp.log(v) + (p * x - 1) * mp.log(m) + p * x * mp.log(x) - (p * x + q) * mp.log(v + m * x)
    return gammas + powers


def gg_gradient(x, m, *theta):
    step = mp.mpf(10) ** -25
    result = []
    for k in range(3):
        moved = [mp.mpc(float(value), step if j == k else 0) for j, value in enumerate(theta)]
        result.append(float(mp.im(gg_log_likelihood(x, m, *moved)) / step))
    return result


def simulate_bg_nbd(rng, n, duration, r, alpha, a, b):
    """Frequency, recency and T of customers who all joined at 0 and were watched for `duration`, in continuous time."""
    rate = rng.gamma(r, 1.0 / alpha, n)
    dropout = rng.beta(a, b, n)
    frequency, recency = np.zeros(n), np.zeros(n)
    active = np.arange(n)  # nobody drops out before the first repeat purchase
    clock = np.zeros(n)
    while active.size:
        clock[active] += rng.exponential(1.0, active.size) / rate[active]
        active = active[clock[active] <= duration[active]]
        frequency[active] += 1
        recency[active] = clock[active]
        active = active[rng.random(active.size) >= dropout[active]]
    return {"frequency": frequency, "recency": recency, "T": duration}


@lru_cache(maxsize=1)
def _cdnow():
    package = importlib.util.find_spec("lifetimes").submodule_search_locations[0]
    names = ["master_id", "customer_id", "date", "quantity", "dollars"]
    rows = pd.read_csv(Path(package, "datasets", "CDNOW_sample.txt"), sep=r"\s+", header=None, names=names)
    rows["date"] = pd.to_datetime(rows["date"].astype(str))
    days = rows.groupby(["customer_id", "date"], as_index=False)["dollars"].sum()
    end = pd.Timestamp("1997-09-30")
    seen, later = days[days["date"] <= end], days[days["date"] > end]
    first = seen.groupby("customer_id")["date"].min()
    last = seen.groupby("customer_id")["date"].max()
    repeat = seen[seen["date"] > seen["customer_id"].map(first)]
    table = pd.DataFrame(
        {
            "frequency": seen.groupby("customer_id").size() - 1,
            "recency": (last - first).dt.days / 7,
            "T": (end - first).dt.days / 7,
            "monetary_value": repeat.groupby("customer_id")["dollars"].mean(),
        }
    ).fillna({"monetary_value": 0.0})
    holdout = later.groupby("customer_id").size().reindex(table.index, fill_value=0)
    return table.reset_index(), holdout.to_numpy()


def cdnow():
    """Customer table of the CDNOW sample at 39 weeks, in exact sevenths of a week, and the holdout purchases."""
    table, holdout = _cdnow()
    return table.copy(), holdout.copy()
