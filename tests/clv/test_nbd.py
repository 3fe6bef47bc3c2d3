"""NBD: published fit, exact derivatives, counts, the limit without heterogeneity."""

from __future__ import annotations

import json
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from tests.reference import clv as reference
from tests.reference.differences import hessian_by_logs, symmetric

from custanalytics.clv import NBDModel, _fit
from custanalytics.exceptions import FitWarning

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "clv_families.json").read_text())["nbd"]


def exact(x, T, r, alpha):
    x, T, r, alpha = (mp.mpf(float(value)) if not isinstance(value, mp.mpc) else value for value in (x, T, r, alpha))
    return mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) - (r + x) * mp.log(alpha + T)


def test_cdnow_fit_is_the_published_one():
    model = NBDModel().fit(reference.cdnow()[0])
    for name in ("r", "alpha"):
        assert model.params_[name] == pytest.approx(GOLDEN[name], rel=2e-6)
    assert model.log_likelihood_ == pytest.approx(GOLDEN["log_likelihood"], abs=1e-4)


def test_likelihood_and_gradient_at_random_extremes():
    rng = np.random.default_rng(0)
    with mp.workdps(50):
        for _ in range(100):
            x, T, theta = int(rng.choice([0, 1, 7, 400, 10_000])), 10 ** rng.uniform(-3, 4), 10 ** rng.uniform(-3, 3, 2)
            sample = _fit.Sample((np.array([float(x)]), np.zeros(1), np.array([T])), np.ones(1))
            found = _fit.total(NBDModel._loglik_loop, sample, theta)
            assert found[0] == pytest.approx(float(exact(x, T, *theta)), rel=1e-12, abs=1e-11)
            step = mp.mpf(10) ** -25
            for k in range(2):
                moved = [mp.mpc(value, step if j == k else 0) for j, value in enumerate(theta)]
                slope = float(mp.im(exact(x, T, *moved)) / step)
                assert found[1 + k] == pytest.approx(slope, rel=1e-9, abs=1e-12 * (1 + x) / theta[k])


def test_exact_second_derivatives_are_those_of_the_gradient():
    rng = np.random.default_rng(6)
    columns = (np.sort(rng.integers(0, 30, 50)).astype(float), np.zeros(50), rng.uniform(1, 40, 50))
    sample = _fit.Sample(columns, np.ones(50))
    for _ in range(10):
        theta = np.exp(rng.normal(0.0, 2.0, 2))
        exactly = symmetric(_fit.total(NBDModel._loglik_loop, sample, theta, second=True)[3:])
        differences = hessian_by_logs(lambda at: _fit.total(NBDModel._loglik_loop, sample, at)[1:], theta)
        np.testing.assert_allclose(exactly, differences, rtol=1e-8, atol=1e-9 * np.abs(exactly).max())


def test_predictions():
    model = NBDModel.from_params(r=0.5, alpha=10.0)
    table = {"frequency": [2, 0], "recency": [5.0, 0.0], "T": [30.0, 30.0]}
    assert model.predict_alive(table).tolist() == [1.0, 1.0]
    np.testing.assert_allclose(model.predict_purchases(table, 8.0), [0.5, 0.1], rtol=1e-15)
    np.testing.assert_allclose(model.predict_discounted_purchases(table, np.inf, 0.01), [6.25, 1.25], rtol=1e-9)
    n = np.arange(3000)
    chances = model.probability_of_purchases(n, 52.0)
    assert chances.sum() == pytest.approx(1.0, abs=1e-12)
    assert chances @ n == pytest.approx(model.expected_purchases_new_customer(52.0), rel=1e-10)


def test_parameters_are_recovered_and_equal_rates_recognised():
    rng = np.random.default_rng(1)
    T = rng.uniform(20, 40, 20_000)
    table = {"frequency": rng.poisson(rng.gamma(0.7, 1 / 9.0, T.size) * T), "recency": np.zeros(T.size), "T": T}
    table["recency"] = np.where(table["frequency"] > 0, 0.5 * T, 0.0)
    model = NBDModel().fit(table)
    for name, true in (("r", 0.7), ("alpha", 9.0)):
        assert abs(model.params_[name] - true) < 4 * model.standard_errors_[name]
    table["frequency"] = np.full(T.size, 3)
    table["recency"] = 0.5 * T
    with pytest.warns(FitWarning, match="do not determine r, alpha"):
        model = NBDModel().fit(table)
    assert model.params_["r"] / model.params_["alpha"] == pytest.approx(3 / T.mean(), rel=1e-3)
