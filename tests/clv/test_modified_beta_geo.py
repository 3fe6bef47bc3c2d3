"""MBG/NBD: likelihood and predictions against mpmath, published figures, hard arithmetic, recovery."""

from __future__ import annotations

import json
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline
from tests.reference import clv as bg_reference
from tests.reference import clv_families as reference

from custanalytics import _jit
from custanalytics.clv import BetaGeoModel, LifetimeValue, ModifiedBetaGeoModel

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "clv_families.json").read_text())
NAMES = ("r", "alpha", "a", "b")
ROUNDED = ModifiedBetaGeoModel.from_params(**GOLDEN["rounded"])


def model_of(theta):
    return ModifiedBetaGeoModel.from_params(**dict(zip(NAMES, theta, strict=True)))


def one(x, t_x, T):
    return {"frequency": [x], "recency": [t_x], "T": [T]}


def exact_purchases(x, t_x, T, horizon, r, alpha, a, b):
    if_alive = bg_reference.bg_purchases_if_alive(r + x, horizon / (alpha + T), a, b + x + 1)
    return reference.alive(1, 1, x, t_x, T, r, alpha, a, b) * if_alive


def test_cdnow_fit_is_the_published_one():
    table, _ = bg_reference.cdnow()
    model = ModifiedBetaGeoModel().fit(table)
    for name in NAMES:
        assert model.params_[name] == pytest.approx(GOLDEN["mbg"][name], rel=2e-6)
    assert model.log_likelihood_ == pytest.approx(GOLDEN["mbg"]["log_likelihood"], abs=1e-4)
    assert model.converged_
    assert model.undetermined_ == ()


@pytest.mark.parametrize("case", ["technical_note", "hard"])
def test_published_expectations(case):
    case = GOLDEN[case]
    table = one(case["frequency"], case["recency"], case["T"])
    assert ROUNDED.predict_purchases(table, case["horizon"])[0] == pytest.approx(case["expected"], rel=5e-7)


def test_likelihood_alive_and_purchases_at_random_extremes():
    rng = np.random.default_rng(1)
    with mp.workdps(reference.DIGITS):
        for _ in range(60):
            x, T = int(rng.choice([0, 1, 2, 7, 50, 400, 10_000])), 10 ** rng.uniform(-2, 4)
            t_x = T * rng.choice([rng.uniform(), 1.0, 1e-6]) if x else 0.0
            theta = (10 ** rng.uniform(-3, 3, 4)).tolist()
            theta[2] = float(rng.choice([theta[2], 1.0, 1.0 + 1e-12]))
            model, table = model_of(theta), one(x, t_x, T)
            exact = float(reference.log_likelihood(1, 1, x, t_x, T, *theta))
            assert model.score(table) == pytest.approx(exact, rel=1e-12), (x, t_x, T, theta)
            alive = float(reference.alive(1, 1, x, t_x, T, *theta))
            if alive > 1e-300:
                assert model.predict_alive(table)[0] == pytest.approx(alive, rel=1e-9)
                expected = float(exact_purchases(x, t_x, T, 50.0, *theta))
                assert model.predict_purchases(table, 50.0)[0] == pytest.approx(expected, rel=1e-9)


def test_the_likelihood_keeps_its_digits_where_hardly_anything_can_happen():
    # 1 - P(no purchase) is 1e-10 here: the usual form loses six digits of its logarithm
    model, theta = model_of((0.5, 1000.0, 2.0, 3.0)), (0.5, 1000.0, 2.0, 3.0)
    with mp.workdps(reference.DIGITS):
        exact = float(reference.log_likelihood(1, 1, 0, 0.0, 1e-7, *theta))
    assert -1e-10 < exact < 0
    assert model.score(one(0, 0.0, 1e-7)) == pytest.approx(exact, rel=1e-12, abs=0)


def test_the_story_gives_the_same_likelihood():
    with mp.workdps(20):
        for chances, who in ((1, (0, 0, 9)), (0, (2, 5, 9)), (1, (2, 5, 9))):
            told = reference.likelihood_by_integration(1, chances, *who, 0.5, 2.0, 0.8, 2.5)
            formula = mp.exp(reference.log_likelihood(1, chances, *who, 0.5, 2.0, 0.8, 2.5))
            assert float(told / formula) == pytest.approx(1.0, rel=1e-9)


def test_it_is_the_bg_nbd_with_one_more_toss():
    # for buyers the two differ by the chance to survive the first toss and by b
    theta = {"r": 0.5, "alpha": 6.0, "a": 0.8, "b": 2.5}
    table = {"frequency": [1, 5, 30], "recency": [3.0, 9.0, 30.0], "T": [30.0, 20.0, 31.0]}
    modified, plain = ModifiedBetaGeoModel.from_params(**theta), BetaGeoModel.from_params(**{**theta, "b": 3.5})
    assert modified.score(table) == pytest.approx(plain.score(table) + np.log(2.5 / 3.3), rel=1e-13)
    np.testing.assert_allclose(modified.predict_purchases(table, 9.0), plain.predict_purchases(table, 9.0), rtol=1e-13)
    np.testing.assert_allclose(modified.predict_alive(table), plain.predict_alive(table), rtol=1e-13)


def test_somebody_who_never_came_back_may_have_left():
    alive = ROUNDED.predict_alive({"frequency": [0, 0, 0], "recency": [0, 0, 0], "T": [0.0, 10.0, 1e4]})
    assert alive[0] == pytest.approx(1.614 / (1.614 + 0.891), rel=1e-14)
    assert alive[0] > alive[1] > alive[2] > 0


def test_counts_of_new_customers():
    n = np.arange(4000)
    chances = ROUNDED.probability_of_purchases(n, 52.0)
    assert chances.sum() == pytest.approx(1.0, abs=1e-12)
    assert chances @ n == pytest.approx(ROUNDED.expected_purchases_new_customer(52.0), rel=1e-9)
    assert ROUNDED.probability_of_purchases([0, 1], 0.0).tolist() == [1.0, 0.0]
    assert ROUNDED.expected_purchases_new_customer([[0.0], [52.0]]).shape == (2, 1)
    with pytest.raises(ValueError, match="The 'n' parameter of probability_of_purchases"):
        ROUNDED.probability_of_purchases(-1, 1.0)
    with pytest.raises(ValueError, match="The 'horizon' parameter of probability_of_purchases"):
        ROUNDED.probability_of_purchases(1, np.nan)
    assert ROUNDED.probability_of_purchases(0, np.inf) == pytest.approx(0.891 / (0.891 + 1.614))


def test_every_true_parameter_is_recovered():
    truth, rng = {"r": 0.6, "alpha": 6.0, "a": 0.8, "b": 2.0}, np.random.default_rng(2)
    table, later = reference.simulate(rng, 1, 1, rng.uniform(20, 40, 60_000), **truth, ahead=20.0)
    model = ModifiedBetaGeoModel().fit(table)
    for name, true in truth.items():
        assert abs(model.params_[name] - true) < 4 * model.standard_errors_[name]
        assert model.standard_errors_[name] < 0.1 * true
    errors = later - ModifiedBetaGeoModel.from_params(**truth).predict_purchases(table, 20.0)
    assert abs(errors.sum()) < 4 * np.sqrt((errors**2).sum())


def test_discounting_adds_up_purchases():
    table = one(3, 10.0, 20.0)
    times = np.append(np.linspace(0, 20, 101), np.linspace(21, 400, 200))
    so_far = np.array([ROUNDED.predict_purchases(table, t)[0] for t in times])
    rest = CubicSpline(times, 0.02 * np.exp(-0.02 * times) * so_far).integrate(0, 400)
    found = ROUNDED.predict_discounted_purchases(table, 400.0, 0.02)[0]
    assert found == pytest.approx(rest + np.exp(-0.02 * 400) * so_far[-1], rel=1e-7)
    assert LifetimeValue(purchases=ROUNDED, spend=10.0).predict(table)[0] > 0


positive = st.floats(1e-3, 1e3)


@given(st.tuples(positive, positive, positive, positive), st.integers(0, 300), st.floats(0, 1), st.floats(0, 1e4))
def test_predictions_are_sane_everywhere(theta, x, share, T):
    model, table = model_of(theta), one(x, share * T if x else 0.0, T)
    alive = model.predict_alive(table)[0]
    assert 0 <= alive <= 1
    near, far = (model.predict_purchases(table, h)[0] for h in (10.0, 1e5))
    assert 0 <= near <= far * (1 + 1e-11)
    assert np.isfinite([far, model.score(table)]).all()


def test_threads_and_order_change_no_bit():
    rng = np.random.default_rng(0)
    table, _ = reference.simulate(rng, 1, 1, rng.uniform(20, 40, 40_000), 0.5, 6.0, 0.8, 2.5)
    shuffle = rng.permutation(40_000)
    with _jit.threads(1):
        first = ModifiedBetaGeoModel().fit(table)
    with _jit.threads(3):
        second = ModifiedBetaGeoModel().fit({name: column[shuffle] for name, column in table.items()})
    assert first.params_ == second.params_
    np.testing.assert_array_equal(first.covariance_, second.covariance_)
    np.testing.assert_array_equal(first.predict_purchases(table, 9.0), second.predict_purchases(table, 9.0))
