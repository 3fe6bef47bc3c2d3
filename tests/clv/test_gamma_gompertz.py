"""Gamma-Gompertz/NBD: likelihood and expectations against quadrature of the story, the Pareto limit, recovery."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import clv as cdnow_reference
from tests.reference import gamma_gompertz as reference
from tests.reference.differences import hessian_by_logs, symmetric

from custanalytics import _jit
from custanalytics.clv import GammaGompertzNBDModel, LifetimeValue, ParetoNBDModel, _fit
from custanalytics.clv import _kernels_gamma_gompertz as kernels
from custanalytics.exceptions import FitWarning

NAMES = ("r", "alpha", "b", "s", "beta")


def model_of(theta):
    return GammaGompertzNBDModel.from_params(**dict(zip(NAMES, theta, strict=True)))


def one(x, t_x, T):
    return {"frequency": [x], "recency": [t_x], "T": [T]}


def random_cases(n, seed):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        x, T = int(rng.choice([0, 1, 2, 7, 50, 400])), 10 ** rng.uniform(-1, 2.5)
        t_x = T * rng.choice([rng.uniform(), 1.0, 0.01]) if x else 0.0
        theta = (10 ** rng.uniform(-2, 2, 5)).tolist()
        theta[2] = min(theta[2], 200 / T)  # beyond, the quadrature of the reference misses the peak
        yield x, float(t_x), float(T), theta


def test_likelihood_gradient_and_alive():
    with mp.workdps(25):
        for number, (x, t_x, T, theta) in enumerate(random_cases(16, 0)):
            sample = _fit.Sample(tuple(np.array([float(value)]) for value in (x, t_x, T)), np.ones(1))
            found = _fit.total(kernels.log_likelihood_loop, sample, np.array(theta))
            exact = reference.log_likelihood(x, t_x, T, *theta)
            assert found[0] == pytest.approx(float(exact), rel=1e-11, abs=1e-14), (x, t_x, T, theta)
            if number % 4 == 0:
                slopes = reference.gradient(x, t_x, T, *theta)
                np.testing.assert_allclose(found[1:], slopes, rtol=1e-9, atol=1e-11 * (1 + x) / min(theta))
            _, alpha, b, s, beta = map(mp.mpf, theta)
            left = (beta / (beta + mp.expm1(b * T))) ** s * ((alpha + t_x) / (alpha + T)) ** (theta[0] + x)
            constant = mp.rf(mp.mpf(theta[0]), x) * (alpha / (alpha + t_x)) ** theta[0] * (alpha + t_x) ** -x
            alive = float(left * constant / mp.exp(exact))
            if alive > 1e-290:
                assert model_of(theta).predict_alive(one(x, t_x, T))[0] == pytest.approx(alive, rel=1e-10)


@pytest.mark.parametrize(
    "theta", [(0.005, 1.2e9, 1.5e6, 4.2e8, 1.6e-8), (0.5, 30.0, 7e5, 1e4, 3e-5), (2.0, 1e3, 40.0, 1e9, 0.4)]
)
def test_who_leaves_sooner_after_a_purchase_than_its_time_is_rounded_by(theta):
    x, t_x, T = 5, 3609.3, 1e4
    sample = _fit.Sample(tuple(np.array([float(value)]) for value in (x, t_x, T)), np.ones(1))
    found = _fit.total(kernels.log_likelihood_loop, sample, np.array(theta))
    with mp.workdps(30):
        r, alpha, b, s, beta = map(mp.mpf, theta)  # nobody who is alive after the last purchase buys or stays
        height = mp.log1p(mp.expm1(b * t_x) / beta)
        rate = mp.log(mp.rf(r, x)) + r * mp.log(alpha) - (r + x) * mp.log(alpha + t_x)
        grown = mp.exp(b * t_x) / (beta + mp.expm1(b * t_x))
        slopes = [
            mp.digamma(r + x) - mp.digamma(r) + mp.log(alpha / (alpha + t_x)),
            r / alpha - (r + x) / (alpha + t_x),
            -s * t_x * grown,
            -height,
            s / beta - s * mp.exp(-b * t_x) * grown,
        ]
        np.testing.assert_allclose(found, [float(value) for value in (rate - s * height, *slopes)], rtol=1e-11)
    assert 0.0 < model_of(theta).predict_alive(one(x, t_x, T))[0] < 1e-300


def test_exact_second_derivatives_are_those_of_the_gradient():
    for x, t_x, T, theta in random_cases(300, 2):
        sample = _fit.Sample(tuple(np.array([float(value)]) for value in (x, t_x, T)), np.ones(1))
        exactly = _fit.total(kernels.log_likelihood_loop, sample, np.array(theta), second=True)
        first = _fit.total(kernels.log_likelihood_loop, sample, np.array(theta))
        np.testing.assert_array_equal(exactly[:6], first)
        gradient = lambda at, sample=sample: _fit.total(kernels.log_likelihood_loop, sample, at)[1:]  # noqa: E731
        differences = hessian_by_logs(gradient, theta)
        size = np.sqrt(np.abs(np.diag(differences)))
        # of the differences: rounding of what the slopes are made of, over the step
        rounding = 1e-10 * (1 + x + theta[0] + theta[3] + np.abs(first[1:] * theta).max())
        assert (np.abs(symmetric(exactly[6:]) - differences) <= 1e-6 * np.outer(size, size) + rounding).all()


def test_who_buys_at_once_is_fitted_in_a_fraction_of_the_evaluations_that_differences_take():
    # 50 steps to the corner of the box from each start; a gradient by differences there took 11 evaluations a step.
    rng = np.random.default_rng(0)
    table = {"frequency": rng.integers(0, 8, 40), "recency": np.zeros(40), "T": rng.random(40)}
    model, calls = GammaGompertzNBDModel(), []

    def counted(*args):
        calls.append(1)
        return kernels.log_likelihood_loop(*args)

    model._loglik_loop = counted
    with pytest.warns(FitWarning, match="who buys again does so at once"):
        model.fit(table)
    assert len(calls) < 2 * 60 * 7
    assert model.converged_


@pytest.mark.parametrize(
    ("theta", "who", "horizon", "rate"),
    [
        (
            (643.191956273014, 0.29587576713720115, 0.08207880915039366, 1.0, 613.512976949764),
            (2330, 0.003),
            116.8,
            0.002,
        ),
        ((137.34250512007966, 1000.0, 0.0009974704804808791, 1.0, 768.6549589724021), (8, 0.0146), 1e4, 8.4e-06),
        # beta and s alike: all leave soon, and the last, of whom 1e-9 is left, all the faster
        ((1.36, 93.0, 2.85e-5, 221.6, 239.0), (55, 568.8), 987809.0, 9.546e-7),
        ((0.013, 4637.6, 0.00226, 309.7, 4010.2), (8, 34.1), 79818.0, 7.66e-6),
    ],
)
def test_discounting_follows_those_who_leave_all_at_once_late(theta, who, horizon, rate):
    x, T = who
    found = model_of(theta).predict_discounted_purchases(one(x, T, T), horizon, rate)[0]
    with mp.workdps(25):
        exact = float(reference.purchases_if_alive(x, T, horizon, *theta, rate=rate))
    assert found == pytest.approx(exact, rel=1e-11)
    alone = LifetimeValue(purchases=model_of(theta), spend=1.0, horizon=horizon, discount_rate=0.1, time_unit="W")
    assert alone.score_one(x, T, T).lifetime_value == pytest.approx(alone.predict(one(x, T, T))[0], rel=1e-13)


def test_conditional_expectation():
    rng = np.random.default_rng(1)
    with mp.workdps(25):
        for x, _, T, theta in random_cases(25, 1):
            horizon = min(10 ** rng.uniform(-1, 3), 400 / theta[2])
            out = np.empty(1)
            columns = (np.array([float(x)]), np.array([T]))
            inputs = (*columns, np.array(theta), np.array([horizon]), np.ones(1))
            _jit.run(kernels.purchases_loop, 1, *inputs, out=(out,))
            exact = float(reference.purchases_if_alive(x, T, horizon, *theta))
            assert out[0] == pytest.approx(exact, rel=1e-11), (x, T, horizon, theta)


def test_the_pareto_nbd_is_its_limit():
    params = {"r": 0.553, "alpha": 10.58, "s": 0.606}
    pareto, b = ParetoNBDModel.from_params(**params, beta=11.656), 1e-9
    limit = GammaGompertzNBDModel.from_params(**params, b=b, beta=11.656 * b)
    table = {"frequency": [0, 5, 26], "recency": [0.0, 20.0, 30.9], "T": [39.0, 39.0, 31.0]}
    assert limit.score(table) == pytest.approx(pareto.score(table), rel=1e-8)
    np.testing.assert_allclose(limit.predict_alive(table), pareto.predict_alive(table), rtol=1e-6)
    np.testing.assert_allclose(limit.predict_purchases(table, 52.0), pareto.predict_purchases(table, 52.0), rtol=1e-6)


def test_cdnow_comes_down_to_the_pareto_nbd():
    # Published by CLVTools for the same data: -9594.9762, degenerate
    with pytest.warns(FitWarning, match="do not determine b, beta"):
        model = GammaGompertzNBDModel().fit(cdnow_reference.cdnow()[0])
    assert model.log_likelihood_ == pytest.approx(-9594.9762, abs=1e-4)
    assert model.params_["r"] == pytest.approx(0.553277, rel=1e-5)
    assert model.params_["beta"] / model.params_["b"] == pytest.approx(11.668729, rel=1e-5)
    assert model.converged_


def test_every_true_parameter_is_recovered_and_purchases_foretold():
    truth, rng = {"r": 0.8, "alpha": 8.0, "b": 0.12, "s": 0.7, "beta": 6.0}, np.random.default_rng(1)
    table, later = reference.simulate(rng, rng.uniform(30, 60, 10_000), **truth, ahead=20.0)
    model = GammaGompertzNBDModel().fit(table)
    for name, true in truth.items():
        assert abs(model.params_[name] - true) < 4 * model.standard_errors_[name]
        assert model.standard_errors_[name] < 0.5 * true
    errors = later - GammaGompertzNBDModel.from_params(**truth).predict_purchases(table, 20.0)
    assert abs(errors.sum()) < 4 * np.sqrt((errors**2).sum())


def test_the_unit_of_time_scales_alpha_and_b():
    rng = np.random.default_rng(3)
    table, _ = reference.simulate(rng, rng.uniform(30, 60, 3000), 0.8, 8.0, 0.12, 0.7, 6.0)
    days = {**table, "recency": table["recency"] * 7, "T": table["T"] * 7}
    weekly, daily = GammaGompertzNBDModel().fit(table), GammaGompertzNBDModel().fit(days)
    for name, factor in (("r", 1), ("alpha", 7), ("b", 1 / 7), ("s", 1), ("beta", 1)):
        assert daily.params_[name] == pytest.approx(weekly.params_[name] * factor, rel=1e-5)


positive = st.floats(1e-3, 1e3)


@given(st.tuples(*[positive] * 5), st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1e4))
def test_predictions_are_sane_everywhere(theta, x, share, T):
    model, table = model_of(theta), one(x, share * T if x else 0.0, T)
    assert 0 <= model.predict_alive(table)[0] <= 1
    near, far, endless = (model.predict_purchases(table, h)[0] for h in (1.0, 1e4, np.inf))
    assert 0 <= near <= far * (1 + 1e-11) + 1e-300
    assert far <= endless * (1 + 1e-11) + 1e-300
    assert np.isfinite([endless, model.score(table)]).all()
    assert model.predict_discounted_purchases(table, 1e4, 0.01)[0] <= far * (1 + 1e-8) + 1e-300


def test_new_customers_and_value():
    model = model_of((0.55, 10.6, 0.02, 0.6, 0.25))
    found = model.expected_purchases_new_customer([0.0, 10.0, np.inf])
    assert found[0] == 0
    assert found[1] < found[2] < np.inf
    assert LifetimeValue(purchases=model, spend=10.0).predict(one(3, 10.0, 20.0))[0] > 0
