"""Slow truths for models of whole periods: BG/BB, shifted beta-geometric, beta-discrete-Weibull, in many digits."""

from __future__ import annotations

import mpmath as mp
import numpy as np

DIGITS = 50


def _exact(*values):
    return [mp.mpf(float(value)) if not isinstance(value, mp.mpc | mp.mpf) else value for value in values]


def complex_step(function, theta):
    """Derivatives of an analytic function by its parameters."""
    step = mp.mpf(10) ** -25
    result = []
    for at in range(len(theta)):
        moved = [mp.mpc(float(value), step if j == at else 0) for j, value in enumerate(theta)]
        result.append(float(mp.im(function(*moved)) / step))
    return result


def bgbb_log_likelihood(x, t_x, T, alpha, beta, gamma, delta):
    """Fader, Hardie & Shang (2010), equation 5."""
    x, t_x, T, alpha, beta, gamma, delta = _exact(x, t_x, T, alpha, beta, gamma, delta)
    common = mp.beta(alpha, beta) * mp.beta(gamma, delta)
    total = mp.beta(alpha + x, beta + T - x) * mp.beta(gamma, delta + T)
    for i in range(int(T - t_x)):
        total += mp.beta(alpha + x, beta + t_x - x + i) * mp.beta(gamma + 1, delta + t_x + i)
    return mp.log(total / common)


def bgbb_alive(x, t_x, T, ahead, *theta):
    """Equation 11, with `ahead` in place of 1."""
    alpha, beta, gamma, delta = _exact(*theta)
    likelihood = mp.exp(bgbb_log_likelihood(x, t_x, T, *theta))
    there = mp.beta(alpha + x, beta + T - x) * mp.beta(gamma, delta + T + ahead)
    return there / mp.beta(alpha, beta) / mp.beta(gamma, delta) / likelihood


def bgbb_purchases(x, t_x, T, horizon, *theta, rate=0.0):
    """Opportunity by opportunity: there, and buying."""
    alpha, beta, _, _ = _exact(*theta)
    buys = (alpha + x) / (alpha + beta + T)
    return sum(buys * bgbb_alive(x, t_x, T, i, *theta) * mp.exp(-mp.mpf(rate) * i) for i in range(1, horizon + 1))


def bgbb_simulate(rng, n, T, alpha, beta, gamma, delta, ahead=0):
    """Opportunity by opportunity: frequency, recency, T, and purchases in the `ahead` opportunities after."""
    buys, leaves = rng.beta(alpha, beta, n), rng.beta(gamma, delta, n)
    there = np.ones(n, bool)
    frequency, recency, later = np.zeros(n), np.zeros(n), np.zeros(n)
    for i in range(1, T + ahead + 1):
        there &= rng.random(n) >= leaves
        bought = there & (rng.random(n) < buys)
        if i <= T:
            frequency[bought] += 1
            recency[bought] = i
        else:
            later[bought] += 1
    return {"frequency": frequency, "recency": recency, "T": np.full(n, T)}, later


def survival(t, alpha, beta, c=1.0):
    """Share left after t chances to renew: Fader & Hardie (2007), equation 6; with c, Fader et al. (2018)."""
    t, alpha, beta, c = _exact(t, alpha, beta, c)
    return mp.beta(alpha, beta + t**c) / mp.beta(alpha, beta) if t else mp.mpf(1)


def contract_log_likelihood(recency, T, alpha, beta, c=1.0):
    if recency == T:
        return mp.log(survival(T, alpha, beta, c))
    return mp.log(survival(recency, alpha, beta, c) - survival(recency + 1, alpha, beta, c))


def renewals(T, horizon, rate, alpha, beta, c=1.0):
    """Expected discounted renewals of a customer at T, one by one."""
    now, rate = survival(T, alpha, beta, c), mp.mpf(rate)
    return sum(survival(T + i, alpha, beta, c) / now * mp.exp(-rate * i) for i in range(1, horizon + 1))


def contract_simulate(rng, T, alpha, beta, c=1.0):
    """Renewal by renewal: the chance to be left after t of them is (1 - theta)^(t^c)."""
    leaves = rng.beta(alpha, beta, T.size)
    recency = np.zeros(T.size)
    there = T > 0
    for t in range(1, int(T.max()) + 1):
        renews = (1 - leaves) ** (t**c - (t - 1) ** c)
        there &= rng.random(T.size) < renews
        there &= t <= T
        recency[there] = t
    return {"recency": recency, "T": T}
