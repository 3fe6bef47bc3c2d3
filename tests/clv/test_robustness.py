"""Fits of small and degenerate data sets: none raises, none gives NaN, none stops below what other starts reach."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from custanalytics import clv
from custanalytics.clv import _fit
from custanalytics.exceptions import FitWarning


def weights(rng, n):
    """None, counts of which some are 0, or any."""
    kind = rng.random()
    if kind < 0.8:
        return None
    weight = rng.integers(0, 5, n).astype(float) if kind < 0.95 else 10 ** rng.uniform(-3, 3, n)
    weight[0] = max(weight[0], 1.0)
    return weight


def purchases(rng):
    """Purchases of 2 to 200 customers in continuous time."""
    n = int(rng.choice([2, 3, 10, rng.integers(2, 201)]))
    unit = float(rng.choice([1e-3, 1.0, 30.0, 1e4]))
    T = unit * rng.random(n) if rng.random() < 0.6 else np.full(n, unit)
    T[0] *= rng.integers(0, 2)
    rate = rng.gamma(10 ** rng.uniform(-1.5, 1.5), 1.0, n) * 10 ** rng.uniform(-1.5, 1.5) / unit
    live = np.minimum(unit * rng.exponential(10 ** rng.uniform(-2, 3), n) * rng.gamma(1.0, 1.0, n), T)
    x = rng.poisson(np.minimum(rate * live, 3000.0))
    t_x = live * rng.random(n) ** (1.0 / np.maximum(x, 1))
    match rng.integers(12):
        case 0:  # nobody came back
            x = np.zeros(n, int)
        case 1:  # all are equal
            x, t_x, T = (np.full(n, column[-1]) for column in (x, t_x, T))
        case 2:  # one does all the buying
            x = np.where(np.arange(n) == n - 1, int(10 ** rng.uniform(0, 4)), 0)
        case 3:  # everybody has just bought
            t_x = T
        case 4:  # all purchases at once
            t_x = np.zeros(n)
        case 5:  # hardly anything to tell customers apart
            x, T = rng.integers(0, 2, n), np.full(n, unit)
            t_x = unit * rng.integers(0, 3, n) / 2
        case 6:  # frequencies without a pattern
            x = rng.integers(0, 200, n)
    return {"frequency": x, "recency": np.where(x > 0, np.minimum(t_x, T), 0.0), "T": T}


def spend(rng):
    """Mean amounts of repeat buyers."""
    n = int(rng.choice([2, 3, 10, rng.integers(2, 201)]))
    x = rng.integers(1, int(rng.choice([2, 4, 30, 1000])), n)
    p, q, v = 10 ** rng.uniform(-0.5, 1.5, 3)
    m = np.maximum(rng.gamma(p * x, 1.0, n) / rng.gamma(q, 1.0 / v, n) / x, 1e-200)
    match rng.integers(9):
        case 0:
            m = np.full(n, m[0])
        case 1:
            m[0] *= 1e6
        case 2:
            x = np.full(n, x[0])
        case 3:
            m = np.round(m, 1) + 0.1
        case 4:
            m *= 10 ** rng.uniform(-8, 8)
        case 5:
            m = 10 ** rng.uniform(-6, 6, n)
    return {"frequency": x, "monetary_value": m}


def opportunities(rng):
    """Purchases at discrete opportunities."""
    n, most = int(rng.choice([2, 3, 10, rng.integers(2, 201)])), int(rng.choice([1, 2, 6, 20, 200]))
    T = rng.integers(0, most + 1, n) if rng.random() < 0.5 else np.full(n, most)
    a, b, c, d = 10 ** rng.uniform(-1, 1, 4)
    live = np.minimum(rng.geometric(np.maximum(rng.beta(c, d, n), 1e-9)) - 1, T)
    bought = (rng.random((n, most)) < rng.beta(a, b, n)[:, None]) & (np.arange(most) < live[:, None])
    x, t_x = bought.sum(axis=1), (bought * np.arange(1, most + 1)).max(axis=1)
    match rng.integers(8):
        case 0:
            x, t_x = 0 * x, 0 * x
        case 1:
            x, t_x = T, T
        case 2:
            t_x = x
        case 3:
            x, t_x, T = (np.full(n, column[0]) for column in (x, t_x, T))
    return {"frequency": x, "recency": t_x, "T": T}


def contracts(rng):
    """Renewals of contracts."""
    n, most = int(rng.choice([2, 3, 10, rng.integers(2, 201)])), int(rng.choice([1, 2, 6, 20, 1000]))
    T = rng.integers(0, most + 1, n) if rng.random() < 0.5 else np.full(n, most)
    c, d = 10 ** rng.uniform(-1, 1, 2)
    recency = np.minimum(rng.geometric(np.maximum(rng.beta(c, d, n), 1e-9)) - 1, T)
    match rng.integers(9):
        case 0:  # nobody leaves
            recency = T
        case 1:  # everybody leaves at once
            recency = 0 * T
        case 2:
            recency, T = np.full(n, recency[0]), np.full(n, T[0])
        case 3:  # everybody leaves at the last chance
            recency = np.maximum(T - 1, 0)
        case 4:
            recency = rng.integers(0, T + 1)
    return {"recency": recency, "T": T}


FAMILIES = {
    "BetaGeoModel": purchases,
    "ModifiedBetaGeoModel": purchases,
    "ParetoNBDModel": purchases,
    "NBDModel": purchases,
    "GammaGompertzNBDModel": purchases,
    "BetaGeoCNBDModel": purchases,
    "ModifiedBetaGeoCNBDModel": purchases,
    "GammaGammaModel": spend,
    "BetaGeoBetaBinomModel": opportunities,
    "ShiftedBetaGeoModel": contracts,
    "BetaDiscreteWeibullModel": contracts,
}
SLOW = {"GammaGompertzNBDModel": 8, "BetaGeoCNBDModel": 2, "ModifiedBetaGeoCNBDModel": 2}  # so many times fewer


def best_of_starts(model, table, weight, rng, n_starts):
    """The highest log-likelihood that a quasi-Newton method finds from random starts in the box of the solver."""
    sample = model._sample(table, weight)
    unit = sample.size(model._columns.index(model._unit_columns[-1])) if model._unit_columns else 1.0
    objective = _fit.Likelihood(model._loglik_loop, sample, units=model._units(unit))
    k = len(model._names)

    def finite(logs):
        value, gradient = objective(logs)
        usable = np.isfinite(value) and np.isfinite(gradient).all()
        return (value, gradient) if usable else (1e300, np.zeros(k))

    box = [(-_fit.BOX, _fit.BOX)] * k
    starts = rng.normal(0.0, 3.0, (n_starts, k))
    how = {"method": "L-BFGS-B", "bounds": box, "options": {"maxfun": 120}}
    with threadpool_limits(1, "blas"):  # on matrices of a few rows threads wait for each other most of the time
        results = [minimize(finite, start, jac=True, **how) for start in starts]
    return -min(result.fun for result in results)


def faults(name, seed, n_starts):
    """What is wrong with the fit of one random data set: an empty list where nothing is."""
    rng = np.random.default_rng(seed)
    table = FAMILIES[name](rng)
    weight = weights(rng, len(table[next(iter(table))]))
    model = getattr(clv, name)(**({"k": 1 + seed % 3} if "CNBD" in name else {}))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(table, sample_weight=weight)
        if name == "GammaGammaModel":
            predicted = [model.predict_spend(table)]
        else:
            predicted = [model.predict_alive(table), model.predict_purchases(table, 7.0)]
            predicted.append(model.predict_discounted_purchases(table, 10.0, 0.01))
    found = [f"another warning: {w.message}" for w in caught if not issubclass(w.category, FitWarning)]
    if not np.isfinite([*model.params_.values(), model.log_likelihood_]).all():
        found.append(f"estimates {model.params_}, {model.log_likelihood_}")
    if np.isnan(model.covariance_).any() or np.isnan(list(model.standard_errors_.values())).any():
        found.append("NaN in the covariance")
    if any(np.isnan(values).any() or (values < 0).any() for values in predicted):
        found.append(f"NaN or negative predictions at {model.params_}")
    if bool(caught) != (not model.converged_ or bool(model.undetermined_) or model.params_.get("q", 2.0) <= 1.0):
        found.append(f"warned: {bool(caught)}, but converged {model.converged_}, undetermined {model.undetermined_}")
    if n_starts and model.converged_:
        sample = model._sample(table, weight)
        log_likelihood = _fit.total(model._loglik_loop, sample, model._theta())[0]
        rival = best_of_starts(model, table, weight, rng, n_starts)
        # At the box, powers of shapes of 1e10 cancel: what another solver then finds is a luckier rounding.
        largest = max(model.params_[each] for each in model._names if each not in model._unit_powers)
        rounding = np.finfo(float).eps * _fit.BOX * largest * sample.weight.sum()
        if not log_likelihood >= rival - 1e-6 - 1e-11 * abs(rival) - rounding:
            found.append(f"{log_likelihood} where {rival} is possible, at {model.params_}")
    return [f"{name}, seed {seed}: {fault}" for fault in found]


@pytest.mark.parametrize("name", FAMILIES)
def test_small_data_sets(name):
    slow = SLOW.get(name, 1)
    compared = range(0, 20, 10) if slow == 1 else ()
    found = [fault for seed in range(20 // slow) for fault in faults(name, seed, n_starts=2 * (seed in compared))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("seed", [1555, 1587, 1599])
def test_ages_at_which_customers_leave_are_found(seed):
    """Each has a maximum that once was missed: ever more leave late on, or all that happens does so early on."""
    assert not faults("GammaGompertzNBDModel", seed, n_starts=10)


@pytest.mark.thorough
@pytest.mark.parametrize("name", FAMILIES)
def test_ten_thousand_small_data_sets(name):
    n = 10_000 // len(FAMILIES) + 1
    found = [fault for seed in range(1000, 1000 + n) for fault in faults(name, seed, n_starts=20)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "columns", "reached"),
    [
        # a share leaves at once, and the others buy at rates that differ little
        ("GammaGompertzNBDModel", ([0, 92, 101], [0.0, 0.57904573e-9, 0.28944813e-9], [1e-9] * 3), 3514.1097),
        # a share leaves at once, and a share of the others buys at once
        ("GammaGompertzNBDModel", ([0] * 60 + [1] * 60, [0.0] * 82 + [0.5] * 20 + [1.0] * 18, [1.0] * 120), 153.750698),
        # all drop out after a purchase with the same small chance
        (
            "ModifiedBetaGeoModel",
            (
                [0] * 20 + [1, 1, 1, 2, 2, 4, 10_000],
                [0] * 20 + [4559, 1573, 402, 3748, 3579, 8376, 7848],
                [6000] * 20 + [9373, 9729, 4913, 8003, 8662, 8746, 7927],
            ),
            -7720.50538,
        ),
        # nobody leaves before the sixth renewal, and then ever more slowly
        ("BetaDiscreteWeibullModel", ([6, 30], [1000, 1000]), -7.2853629),
        ("BetaDiscreteWeibullModel", ([6, 846, 117], [13, 858, 242]), -19.5293011),
        (
            "BetaDiscreteWeibullModel",
            ([3, 10, 14, 3, 8, 11, 3, 0, 3, 9], [6, 11, 16, 15, 16, 17, 6, 0, 14, 11]),
            -24.0278694,
        ),
        # all spend the same on average, in amounts that differ widely
        ("GammaGammaModel", ([403, 435, 478], [0.14537349, 0.32084157, 0.02250992]), 2.3564807),
        ("GammaGammaModel", ([486, 663], [13.9563453, 954.3637294]), -13.6001957),
        ("GammaGammaModel", ([223, 348], [2.29711831, 5.33029834]), -3.5286904),
    ],
)
def test_maxima_that_random_starts_have_found(name, columns, reached):
    model = getattr(clv, name)()
    with pytest.warns(FitWarning, match="do not determine"):
        model.fit(dict(zip(model._columns, columns, strict=True)))
    assert model.converged_
    assert model.log_likelihood_ > reached - 1e-3


def test_heavy_weights_are_no_lack_of_convergence():
    """Weights of 1e6 put the rounding of the sum above `tol`; curvature overflows where all buy at once."""
    table = {"frequency": [10_000, 1] + [0] * 8, "recency": [6684.0, 272.0] + [0.0] * 8, "T": [1e4] * 10}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clv.BetaGeoModel().fit(table, sample_weight=np.full(10, 1e6)).converged_
    for model in (clv.BetaGeoModel(), clv.ModifiedBetaGeoModel()):
        with pytest.warns(FitWarning, match="who buys again does so at once") as caught:
            model.fit({"frequency": [2, 2], "recency": [0, 0], "T": [1, 2]}, sample_weight=[1e6, 5e7])
        assert [each.category for each in caught] == [FitWarning]
        assert model.converged_
