"""Covariates from the story: each customer has parameters of their own, and a rate that may change with time."""

from __future__ import annotations

import mpmath as mp
import numpy as np
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
