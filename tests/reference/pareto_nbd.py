"""The Pareto/NBD model in mpmath: slow, to as many digits as asked for, by the closed forms of the literature.

The likelihood is the one with two Gaussian hypergeometric functions of Fader, Hardie & Lee (2005), "A note on
deriving the Pareto/NBD model and related expressions"; their difference loses digits, of which mpmath has enough.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

Number = float | mp.mpf
DIGITS = 60


def _difference_of_hypergeometrics(x: Number, t_x: Number, T: Number, r, alpha, s, beta) -> mp.mpf:
    """The integral of (alpha + u)^-(r+x) (beta + u)^-(s+1) over [t_x, T], times r + s + x."""
    total = r + s + x
    if alpha >= beta:
        large, second = alpha, s + 1
    else:
        large, second = beta, r + x
    apart = abs(alpha - beta)

    def term(t: Number) -> mp.mpf:
        return _hypergeometric(total, second, apart / (large + t)) / (large + t) ** total

    return term(t_x) - term(T)


def _hypergeometric(a: mp.mpf, b: mp.mpf, z: mp.mpf) -> mp.mpf:
    """2F1(a, b; a + 1; z): by Euler's transformation a series of falling positive terms."""
    if z > 0.98:
        return mp.hyp2f1(a, b, a + 1, z, maxterms=10**7)
    total, term, n = mp.mpf(0), mp.mpf(1), 0
    while term > total * mp.eps:
        total += term
        term *= (a + 1 - b + n) / (a + 1 + n) * z
        n += 1
    return (1 - z) ** (1 - b) * total


def log_likelihood(x: Number, t_x: Number, T: Number, r: Number, alpha: Number, s: Number, beta: Number) -> mp.mpf:
    """Log-likelihood of one customer."""
    with mp.workdps(DIGITS):
        x, t_x, T, r, alpha, s, beta = map(mp.mpf, (x, t_x, T, r, alpha, s, beta))
        alive = (alpha + T) ** -(r + x) * (beta + T) ** -s
        dead = s / (r + s + x) * _difference_of_hypergeometrics(x, t_x, T, r, alpha, s, beta)
        constant = mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) + s * mp.log(beta)
        return constant + mp.log(alive + dead)


def gradient(x: Number, t_x: Number, T: Number, r: Number, alpha: Number, s: Number, beta: Number) -> list[mp.mpf]:
    """Derivatives of the log-likelihood by r, alpha, s, beta: central differences with 60 digits."""
    with mp.workdps(DIGITS):
        return differences(lambda *theta: log_likelihood(x, t_x, T, *theta), [r, alpha, s, beta])


def differences(function: Callable[..., mp.mpf], at: list[Number]) -> list[mp.mpf]:
    """Central differences by each argument, with a relative error of about 1e-30."""
    result = []
    for k, value in enumerate(at):
        step = mp.mpf(value) * mp.mpf(10) ** -15
        up, down = ([mp.mpf(v) for v in at] for _ in range(2))
        up[k] += step
        down[k] -= step
        result.append((function(*up) - function(*down)) / (2 * step))
    return result


def log_likelihood_by_quadrature(
    x: Number, t_x: Number, T: Number, r: Number, alpha: Number, s: Number, beta: Number
) -> mp.mpf:
    """The same from the integral over the time of dropout, for a check of the closed form."""
    with mp.workdps(30):
        x, t_x, T, r, alpha, s, beta = map(mp.mpf, (x, t_x, T, r, alpha, s, beta))
        a, b = alpha + t_x, beta + t_x
        scale = 1 / ((r + x) / a + (s + 1) / b)
        cuts = [mp.mpf(0)]
        while scale < T - t_x:
            cuts.append(scale)
            scale *= 2
        gap = T - t_x
        dead = s / b * mp.quad(lambda w: (1 + w / a) ** -(r + x) * (1 + w / b) ** -(s + 1), [*cuts, gap])
        alive = (1 + gap / a) ** -(r + x) * (1 + gap / b) ** -s
        constant = mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) + s * mp.log(beta)
        return constant - (r + x) * mp.log(a) - s * mp.log(b) + mp.log(alive + dead)


def alive(x: Number, t_x: Number, T: Number, r: Number, alpha: Number, s: Number, beta: Number) -> mp.mpf:
    """P(alive at T): one over one plus the odds of having dropped out."""
    with mp.workdps(DIGITS):
        x, t_x, T, r, alpha, s, beta = map(mp.mpf, (x, t_x, T, r, alpha, s, beta))
        dead = s / (r + s + x) * _difference_of_hypergeometrics(x, t_x, T, r, alpha, s, beta)
        return 1 / (1 + dead * (alpha + T) ** (r + x) * (beta + T) ** s)


def mean_lifetime(s: Number, beta: Number, horizon: Number) -> mp.mpf:
    """Mean of min(lifetime, horizon) where P(lifetime > t) = (beta/(beta + t))^s."""
    with mp.workdps(DIGITS):
        s, beta, horizon = map(mp.mpf, (s, beta, horizon))
        if s == 1:
            return beta * mp.log(1 + horizon / beta)
        return beta / (s - 1) * (1 - (beta / (beta + horizon)) ** (s - 1))


def purchases(x, t_x, T, horizon, r, alpha, s, beta) -> mp.mpf:
    """Expected purchases in (T, T + horizon]."""
    with mp.workdps(DIGITS):
        rate = (mp.mpf(r) + x) / (mp.mpf(alpha) + mp.mpf(T))
        return alive(x, t_x, T, r, alpha, s, beta) * rate * mean_lifetime(s, mp.mpf(beta) + mp.mpf(T), horizon)
