"""Slow truths for the families of the BG/NBD: the models as written in the papers, in many digits, and simulated.

Everything is in terms of Erlang-k times between purchases and of `chances`, 0 where nobody can leave before the first
repeat purchase (BG) and 1 where some do (MBG). At k = 1 they are the BG/NBD and the MBG/NBD.
"""

from __future__ import annotations

import mpmath as mp
import numpy as np

DIGITS = 50


def _exact(*values):
    return [mp.mpf(float(value)) if not isinstance(value, mp.mpc | mp.mpf) else value for value in values]


def log_likelihood(k, chances, x, t_x, T, r, alpha, a, b):
    """Reutterer, Platzer & Schröder (2020), appendix, without the times between purchases and Γ(k)^x.

    At k = 1, chances = 1: Batislam, Denizel & Filiztekin (2007), equation 3.
    """
    x, t_x, T, r, alpha, a, b = _exact(x, t_x, T, r, alpha, a, b)
    n, s = x + chances, r + k * x
    silence = sum(mp.rf(s, j) / mp.factorial(j) * (T - t_x) ** j * (alpha + T) ** (-s - j) for j in range(k))
    stayed = mp.beta(a, b + n) / mp.beta(a, b) * silence
    left = mp.beta(a + 1, b + n - 1) / mp.beta(a, b) * (alpha + t_x) ** (-s) if n > 0 else 0
    return mp.loggamma(s) - mp.loggamma(r) + r * mp.log(alpha) + mp.log(stayed + left)


def gradient(k, chances, x, t_x, T, *theta):
    """Derivatives by the four parameters, by complex steps."""
    step = mp.mpf(10) ** -25
    result = []
    for at in range(4):
        moved = [mp.mpc(float(value), step if j == at else 0) for j, value in enumerate(theta)]
        result.append(float(mp.im(log_likelihood(k, chances, x, t_x, T, *moved)) / step))
    return result


def likelihood_by_integration(k, chances, x, t_x, T, r, alpha, a, b):
    """The likelihood from the story: over the rate, with the dropout probability integrated by its beta function."""
    x, t_x, T, r, alpha, a, b = _exact(x, t_x, T, r, alpha, a, b)
    n = x + chances
    stayed = mp.beta(a, b + n) / mp.beta(a, b)
    left = mp.beta(a + 1, b + n - 1) / mp.beta(a, b) if n > 0 else mp.mpf(0)

    def at(rate):
        silence = mp.gammainc(k, rate * (T - t_x), mp.inf, regularized=True)
        prior = alpha**r * rate ** (r - 1) * mp.exp(-alpha * rate) / mp.gamma(r)
        return prior * rate ** (k * x) * mp.exp(-rate * t_x) * (stayed * silence + left)

    return mp.quad(at, [0, 0.01, 0.1, 0.5, 1, 2, 5, 20, mp.inf])


def alive(k, chances, x, t_x, T, r, alpha, a, b):
    x, t_x, T, r, alpha, a, b = _exact(x, t_x, T, r, alpha, a, b)
    n, s = x + chances, r + k * x
    if n == 0:
        return mp.mpf(1)
    share = (T - t_x) / (alpha + T)
    silence = sum(mp.rf(s, j) / mp.factorial(j) * share**j for j in range(k)) * (1 - share) ** s
    return 1 / (1 + a / (b + n - 1) / silence)


def purchases_by_integration(k, chances, x, t_x, T, horizon, r, alpha, a, b):
    """Expected purchases in (T, T + horizon], from the story: over rate, dropout probability and purchases ahead.

    Given the rate, the events since the last purchase that make up no purchase yet are Poisson and fewer than k; the
    n-th purchase ahead is event n k; it happens to those who survived the n - 1 before it.
    """
    x, t_x, T, horizon, r, alpha, a, b = _exact(x, t_x, T, horizon, r, alpha, a, b)
    n = x + chances
    stayed = [mp.beta(a, b + n) / mp.beta(a, b)]
    for j in range(1, 400):
        stayed.append(stayed[-1] * (b + n + j - 1) / (a + b + n + j - 1))

    def at(rate):
        since, ahead = rate * (T - t_x), rate * horizon
        total = mp.mpf(0)
        for done in range(k):
            begun = mp.exp(-since) * since**done / mp.factorial(done)
            for m in range(1, len(stayed)):
                chance = mp.gammainc(m * k - done, 0, ahead, regularized=True)
                total += begun * stayed[m - 1] * chance
                if chance < 1e-18:
                    break
        return (
            alpha**r
            * rate ** (r - 1)
            * mp.exp(-alpha * rate)
            / mp.gamma(r)
            * rate ** (k * x)
            * mp.exp(-rate * t_x)
            * total
        )

    seen = likelihood_by_integration(k, chances, x, t_x, T, r, alpha, a, b)
    return mp.quad(at, [0, 0.1, 0.5, 1, 2, 5, 20], maxdegree=6) / seen


def simulate(rng, k, chances, duration, r, alpha, a, b, ahead=0.0):
    """Customers in continuous time, purchase by purchase.

    Gives frequency, recency, T and litt, the sum of the logarithms of the times between purchases, and how many
    purchases each makes in the `ahead` after.
    """
    n = duration.size
    rate, dropout = rng.gamma(r, 1.0 / alpha, n), rng.beta(a, b, n)
    frequency, recency, litt, later = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    clock = np.zeros(n)
    active = np.flatnonzero(rng.random(n) >= dropout) if chances else np.arange(n)
    while active.size:
        wait = rng.gamma(k, 1.0, active.size) / rate[active]
        clock[active] += wait
        seen = clock[active] <= duration[active]
        rows = active[seen]
        frequency[rows] += 1
        recency[rows] = clock[rows]
        litt[rows] += np.log(wait[seen])
        later[active[~seen & (clock[active] <= duration[active] + ahead)]] += 1
        active = active[clock[active] <= duration[active] + ahead]
        active = active[rng.random(active.size) >= dropout[active]]
    return {"frequency": frequency, "recency": recency, "T": duration, "litt": litt}, later
