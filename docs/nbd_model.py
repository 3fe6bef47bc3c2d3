"""The NBD model: the worked example of the page "Add a model"."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isinf, log, log1p
from typing import ClassVar

import numpy as np

from custanalytics._jit import kernel
from custanalytics.clv import _fit
from custanalytics.clv._given_alive import GivenAlive
from custanalytics.clv._purchases import PurchaseModel


@kernel
def log_likelihood_loop(start, stop, x, t_x, T, weight, theta, out):
    """Weighted sum of the log-likelihood and its gradient, into the row of this slice."""
    r, alpha = theta[0], theta[1]
    log_alpha = log(alpha)
    total, d_r, d_alpha = 0.0, 0.0, 0.0
    for i in range(start, stop):
        product, sum_r, k = 0.0, 0.0, 0.0
        while k < x[i]:  # Gamma(r + x) / Gamma(r) for whole x, free of cancellation
            product += log(r + k)
            sum_r += 1.0 / (r + k)
            k += 1.0
        growth = log1p(T[i] / alpha)
        total += weight[i] * (product - x[i] * log_alpha - (r + x[i]) * growth)
        d_r += weight[i] * (sum_r - growth)
        d_alpha += weight[i] * (r * T[i] / alpha - x[i]) / (alpha + T[i])
    out[0, 0] = total
    out[0, 1] = d_r
    out[0, 2] = d_alpha


@kernel
def alive_loop(start, stop, x, t_x, T, theta, out):
    """P(alive at T): in this model nobody drops out."""
    for i in range(start, stop):
        out[i] = 1.0


@kernel
def purchases_loop(start, stop, x, T, theta, horizons, weights, out):
    """Sum over k of weights[k] E[purchases in (T, T + horizons[k]]], per customer."""
    r, alpha = theta[0], theta[1]
    for i in range(start, stop):
        total = 0.0
        for k in range(horizons.size):
            total += inf if isinf(horizons[k]) else weights[k] * horizons[k] * (r + x[i]) / (alpha + T[i])
        out[i] = total


class NBDModel(PurchaseModel):
    """NBD model: customers buy at random at a rate of their own, for ever."""

    _names: ClassVar[tuple[str, ...]] = ("r", "alpha")
    _unit_powers: ClassVar[Mapping[str, int]] = {"alpha": 1}
    _loglik_loop = staticmethod(log_likelihood_loop)
    _alive_loop = staticmethod(alive_loop)
    _purchases_loop = staticmethod(purchases_loop)

    def _given_alive(self, columns: tuple[np.ndarray, ...], theta: np.ndarray) -> GivenAlive:
        (x, _, age), (r, alpha) = columns, theta
        return GivenAlive.of(x.size, shape=r + x, scale=alpha + age)

    def _starts(self, sample: _fit.Sample) -> np.ndarray:
        rate = sample.mean(0) if sample.columns[0].any() else 1e-3
        return np.array([(r, r / rate) for r in (0.5, 2.0, 0.1)])
