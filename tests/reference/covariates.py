"""Covariates from the story: each customer has parameters of their own, and a rate that may change with time."""

from __future__ import annotations

from itertools import pairwise

import mpmath as mp
import numpy as np
from scipy import integrate
from tests.reference import clv, clv_families, pareto_nbd


def log_likelihood(model, x, t_x, T, *theta):
    """Log-likelihood of one customer without covariates, by the name of the model."""
    if model == "BetaGeoModel":
        return clv.bg_log_likelihood(x, t_x, T, *theta)
    if model == "ModifiedBetaGeoModel":
        return clv_families.log_likelihood(1, 1, x, t_x, T, *theta)
    if model == "ParetoNBDModel":
        return pareto_nbd.log_likelihood(x, t_x, T, *theta)
    r, alpha = (mp.mpf(value) for value in theta)
    return mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) - (r + x) * mp.log(alpha + T)


def simulate(rng, model, thetas):
    """Frequency, recency and T of customers with one set of parameters each, purchase by purchase."""
    rows = []
    for theta in thetas:
        age = rng.uniform(20.0, 60.0)
        rate = rng.gamma(theta["r"], 1.0 / theta["alpha"])
        leaves, end = 0.0, age
        if "beta" in theta:
            end = min(age, rng.exponential(theta["beta"] / rng.gamma(theta["s"])))
        if "a" in theta:
            leaves = rng.beta(theta["a"], theta["b"])
        x, last, gone = 0, 0.0, model == "ModifiedBetaGeoModel" and rng.random() < leaves
        while not gone:
            time = last + rng.exponential(1.0 / rate) if rate > 0 else np.inf
            if time > end:
                break
            x, last = x + 1, time
            gone = rng.random() < leaves
        rows.append((x, last, age))
    frequency, recency, ages = np.array(rows).T
    return {"frequency": frequency, "recency": recency, "T": ages}


class Varying:
    """One customer whose purchases and dropout run at speeds that change at some times since the first purchase.

    `starts` are those times, beginning with 0; `speeds` and `hazards` hold from each of them on.
    """

    def __init__(self, starts, speeds, hazards):
        self.starts = [mp.mpf(float(start)) for start in starts]
        self.speeds = [mp.mpf(float(speed)) for speed in speeds]
        self.hazards = [mp.mpf(float(hazard)) for hazard in hazards]

    def piece(self, time):
        return max(at for at, start in enumerate(self.starts) if start <= time)

    def passed(self, time, speeds):
        """The integral of the speeds up to a time."""
        total = mp.mpf(0)
        for at, (start, speed) in enumerate(zip(self.starts, speeds, strict=True)):
            end = self.starts[at + 1] if at + 1 < len(self.starts) else mp.inf
            total += max(min(end, time) - start, 0) * speed
        return total

    def cuts(self, low, high):
        return [low, *(start for start in self.starts if low < start < high), high]

    def pareto(self, x, t_x, T, r, alpha, s, beta):
        """The likelihood with its part of those alive, over both rates in closed form and over the time of dropout.

        Without the speeds at the purchases.
        """
        r, alpha, s, beta, t_x, T = (mp.mpf(float(value)) for value in (r, alpha, s, beta, t_x, T))
        front = mp.gamma(r + x) / mp.gamma(r) * alpha**r * beta**s

        def density(u):
            rest = (beta + self.passed(u, self.hazards)) ** (-s - 1) * s * self.hazards[self.piece(u)]
            return (alpha + self.passed(u, self.speeds)) ** (-r - x) * rest

        alive = (alpha + self.passed(T, self.speeds)) ** (-r - x) * (beta + self.passed(T, self.hazards)) ** -s
        dead = mp.quad(density, self.cuts(t_x, T)) if t_x < T else mp.mpf(0)
        return front * (alive + dead), front * alive

    def pareto_purchases(self, x, t_x, T, horizon, rate, r, alpha, s, beta):
        """Expected purchases in (T, T + horizon], discounted at a continuous rate."""
        whole, alive = self.pareto(x, t_x, T, r, alpha, s, beta)
        r, alpha, s, beta, T = (mp.mpf(float(value)) for value in (r, alpha, s, beta, T))
        aged = beta + self.passed(T, self.hazards)

        def density(u):
            stays = (aged / (beta + self.passed(u, self.hazards))) ** s
            return stays * self.speeds[self.piece(u)] * mp.exp(-rate * (u - T))

        given_alive = (r + x) / (alpha + self.passed(T, self.speeds))
        return alive / whole * given_alive * mp.quad(density, self.cuts(T, T + horizon))

    def beta_geo(self, x, t_x, T, r, alpha, a, b):
        """The likelihood with its part of those alive, over the rate of purchase by quadrature."""
        r, alpha, a, b = (mp.mpf(float(value)) for value in (r, alpha, a, b))
        stays = mp.beta(a, b + x) / mp.beta(a, b)
        leaves = mp.beta(a + 1, b + x - 1) / mp.beta(a, b) if x else mp.mpf(0)
        last, now = self.passed(t_x, self.speeds), self.passed(T, self.speeds)

        def gamma(rate):
            return alpha**r * rate ** (r - 1) * mp.exp(-alpha * rate) / mp.gamma(r) * rate**x

        ends = [0, 1e-6, 1e-3, 0.1, 1, 5, 20, mp.inf]
        alive = mp.quad(lambda rate: gamma(rate) * stays * mp.exp(-rate * now), ends)
        return alive + mp.quad(lambda rate: gamma(rate) * leaves * mp.exp(-rate * last), ends), alive

    def beta_geo_purchases(self, x, t_x, T, horizon, rate, r, alpha, a, b):
        """Expected purchases in (T, T + horizon], discounted: the rate of purchase times the chance to be there.

        Over the rate in closed form; over the chance of dropout and over time by adaptive quadrature.
        """
        whole, _ = self.beta_geo(x, t_x, T, r, alpha, a, b)
        now = float(self.passed(T, self.speeds))
        front = mp.gamma(r + x) / mp.gamma(r) * alpha**r / mp.beta(a, b)

        def density(u):
            ahead = float(self.passed(u, self.speeds)) - now
            inner = integrate.quad(
                lambda p: (r + x) / (alpha + now + p * ahead) ** (r + x + 1),
                *(0.0, 1.0),
                weight="alg",
                wvar=(a - 1.0, b + x - 1.0),
                epsrel=1e-12,
                epsabs=0.0,
            )[0]
            return inner * float(self.speeds[self.piece(u)]) * np.exp(-rate * (u - T))

        cuts = [float(cut) for cut in self.cuts(T, T + horizon)]
        return front * sum(integrate.quad(density, *ends, epsrel=1e-12)[0] for ends in pairwise(cuts)) / whole


def simulate_varying(rng, thetas, first, age, speed, hazard, step):
    """Purchase times since the first one, of customers whose speeds are functions of the calendar, step by step.

    `thetas` are (r, alpha, s, beta) or (r, alpha, a, b), told apart by `hazard`, which is None for the latter.
    """
    times = []
    for theta, begin, end in zip(thetas, first, age, strict=True):
        rate, purchases, now = rng.gamma(theta[0], 1.0 / theta[1]), [], 0.0
        leaves = rng.beta(theta[2], theta[3]) if hazard is None else rng.gamma(theta[2], 1.0 / theta[3])
        while now < end:
            if hazard is not None and rng.random() < -np.expm1(-leaves * hazard(begin + now) * step):
                break
            now += step
            if now < end and rng.random() < -np.expm1(-rate * speed(begin + now) * step):
                purchases.append(now)
                if hazard is None and rng.random() < leaves:
                    break
        times.append(purchases)
    return times


def seasonal_days(rng, n, theta, sale, winter, dropout):
    """Customer and day of every purchase over 78 weeks, by covariates that change weekly; `dropout` None: the BG/NBD.

    The logarithm of the speed of purchases is 0.8 sale - 0.4 winter, that of dropout `dropout` * winter.
    """
    first = 7 * rng.integers(0, 26, n)
    speeds = np.exp(0.8 * sale - 0.4 * winter) / 7.0
    hazards = None if dropout is None else np.exp(dropout * winter) / 7.0
    times = simulate_varying(
        rng,
        [theta] * n,
        first,
        7.0 * 78 - first,
        lambda day: speeds[int(day // 7)],
        None if hazards is None else lambda day: hazards[int(day // 7)],
        1.0,
    )
    bought = zip(first, times, strict=True)
    return np.array([(who, int(start + day)) for who, (start, later) in enumerate(bought) for day in (0, *later)])
