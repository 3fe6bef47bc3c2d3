"""BG/NBD: kernels against mpmath, published figures, hard arithmetic, what predictions must keep."""

from __future__ import annotations

import json
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.reference import clv as reference

from custanalytics import _jit
from custanalytics.clv import BetaGeoModel, _fit
from custanalytics.clv import _kernels_beta_geo as kernels
from custanalytics.clv import _kernels_beta_geo_purchases as purchases

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "clv.json").read_text())
FIT = {name: GOLDEN["bg_nbd"][name] for name in ("r", "alpha", "a", "b")}
CDNOW = BetaGeoModel.from_params(**FIT)
ROUNDED = BetaGeoModel.from_params(**GOLDEN["rounded"])


@pytest.fixture(autouse=True)
def _many_digits():
    with mp.workdps(reference.DIGITS):
        yield


def one(x, t_x, T):
    return {"frequency": [x], "recency": [t_x], "T": [T]}


def kernel_likelihood(x, t_x, T, theta):
    sample = _fit.Sample(tuple(np.array([float(value)]) for value in (x, t_x, T)), np.ones(1))
    return _fit.total(kernels.log_likelihood_loop, sample, np.array(theta, float))


def random_customers(n, seed):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        x = int(rng.choice([0, 1, 2, 7, 50, 400, 10_000]))
        T = 10 ** rng.uniform(-2, 4)
        t_x = T * rng.choice([rng.uniform(), 1.0, 1e-6]) if x else 0.0
        theta = (10 ** rng.uniform(-3, 3, 4)).tolist()
        yield x, float(t_x), float(T), theta


# --- likelihood -------------------------------------------------------------------------------------------------


def test_likelihood_and_gradient_are_those_of_the_paper_at_random_extremes():
    for x, t_x, T, theta in random_customers(60, 1):
        mine = kernel_likelihood(x, t_x, T, theta)
        exact = float(reference.bg_log_likelihood(x, t_x, T, *theta))
        assert mine[0] == pytest.approx(exact, rel=1e-12, abs=1e-9)
        gradient = reference.bg_gradient(x, t_x, T, *theta)
        # both terms of a derivative may be far larger than their difference
        size = max(1.0, x) / np.array(theta)
        np.testing.assert_allclose(mine[1:], gradient, rtol=1e-9, atol=1e-12 * size.max())


@pytest.mark.parametrize("odds_sign", [-1, 1])
def test_both_sides_of_the_switch_in_the_likelihood(odds_sign):
    # alive far more likely than dead, and the other way round
    x, t_x, T = (5, 10.0, 10.5) if odds_sign < 0 else (300, 5.0, 50.0)
    theta = [0.5, 1.0, 0.5, 2.0]
    assert np.sign(kernels.log_odds_of_dropout(float(x), t_x, T, *theta)) == odds_sign
    assert kernel_likelihood(x, t_x, T, theta)[0] == pytest.approx(
        float(reference.bg_log_likelihood(x, t_x, T, *theta)), rel=1e-13
    )


def test_likelihood_does_not_depend_on_the_order_of_the_rows():
    theta = np.array(list(FIT.values()))
    columns = (np.array([3.0, 0.0, 7.0, 1.0]), np.array([5.0, 0.0, 9.0, 2.0]), np.full(4, 10.0))
    together = _fit.total(kernels.log_likelihood_loop, _fit.Sample(columns, np.ones(4)), theta)
    apart = sum(kernel_likelihood(*(column[i] for column in columns), theta) for i in range(4))
    np.testing.assert_allclose(together, apart, rtol=1e-14)


# --- expectations -----------------------------------------------------------------------------------------------

SHAPES = [0.001, 0.03, 0.5, 1.0, 1.0 + 1e-12, 3.0, 40.0, 1000.0]


def test_purchases_if_alive_at_random_extremes():
    rng = np.random.default_rng(7)
    for _ in range(120):
        s, c = 10 ** rng.uniform(-3, 4, 2)
        u, a = 10 ** rng.uniform(-6, 6), rng.choice(SHAPES)
        exact = float(reference.bg_purchases_if_alive(s, u, a, c))
        assert purchases.purchases_if_alive(s, u, a, c) == pytest.approx(exact, rel=1e-11), (s, u, a, c)


@pytest.mark.thorough
def test_purchases_if_alive_at_more_random_extremes():
    rng = np.random.default_rng(8)
    for _ in range(2000):
        s, c = 10 ** rng.uniform(-3, 4.04, 2)
        u, a = 10 ** rng.uniform(-8, 10), 10 ** rng.uniform(-3, 3)
        exact = float(reference.bg_purchases_if_alive(s, u, a, c))
        assert purchases.purchases_if_alive(s, u, a, c) == pytest.approx(exact, rel=1e-10), (s, u, a, c)


@pytest.mark.parametrize("u", [25.0, 40.0, 54.0, 56.0])
@pytest.mark.parametrize("a", [0.001, 1.0, 20.0])
def test_series_and_integral_agree_on_both_sides_of_the_switch(u, a):
    series, integral = purchases.purchases_series(0.7, u, a, 2.0), purchases.purchases_integral(0.7, u, a, 2.0)
    assert series == pytest.approx(integral, rel=1e-12)
    assert purchases.purchases_if_alive(0.7, u, a, 2.0) in (series, integral)


@pytest.mark.parametrize("p_u", [0.02, 0.2])
def test_both_ways_to_take_the_slope_of_the_integrand(p_u):
    # growth below and above 0.1; the integrand by its definition in many digits
    s, u, a, c, y = 0.5, 2.0, 0.7, 1.5, float(np.log(p_u / 2.0 / (1.0 - p_u / 2.0)))
    with mp.workdps(40):
        p = 1 / (1 + mp.exp(-mp.mpf(y)))
        g = lambda q: (1 - (1 + q * u) ** (-mp.mpf(s))) / q  # noqa: E731
        exact = (g(p) - g(mp.mpf(1))) / (1 - p) - mp.diff(g, p) / (mp.mpf(a) + mp.mpf(c))
    last = -np.expm1(-s * np.log1p(u))
    assert purchases.integrand(s, u, a, c, y, last, 0.0) == pytest.approx(float(exact), rel=1e-11)


@pytest.mark.parametrize(
    ("theta", "customer", "horizon"),
    [
        ((0.11, 2.24, 0.31, 0.5), (0, 0.0, 1.0), 30.0),
        (tuple(FIT.values()), (400, 30.0, 31.0), 520.0),
        ((0.242595, 4.413602, 1 + 1e-12, 2.425907), (3, 10.0, 20.0), 30.0),
        ((0.242595, 4.413602, 1.0, 2.425907), (3, 10.0, 20.0), 30.0),
        ((1e-3, 1.0, 1e-3, 1e-3), (0, 0.0, 0.0), 1e6),
        ((1e3, 10.0, 1e3, 1e3), (10_000, 9999.0, 10_000.0), 1e7),
    ],
)
def test_hard_cases_against_mpmath(theta, customer, horizon):
    model = BetaGeoModel.from_params(**dict(zip(("r", "alpha", "a", "b"), theta, strict=True)))
    exact = float(reference.bg_purchases(*customer, horizon, *theta))
    assert model.predict_purchases(one(*customer), horizon)[0] == pytest.approx(exact, rel=1e-9)
    assert model.predict_alive(one(*customer))[0] == pytest.approx(
        float(reference.bg_alive(*customer, *theta)), rel=1e-9
    )


def test_a_named_hard_case_to_its_printed_digits():
    model = BetaGeoModel.from_params(r=0.11, alpha=2.24, a=0.31, b=0.5)
    assert model.predict_purchases(one(0, 0.0, 1.0), 30.0)[0] == pytest.approx(0.5645886, abs=5e-8)


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.5])
def test_discounted_purchases_against_quadrature(rate):
    for x, t_x, T, horizon in [(0, 0.0, 0.0, 52.0), (3, 10.0, 20.0, 52.0), (26, 30.0, 31.0, 520.0)]:
        with mp.workdps(20):
            exact = float(reference.bg_discounted(x, t_x, T, horizon, rate, *FIT.values()))
        found = CDNOW.predict_discounted_purchases(one(x, t_x, T), horizon, rate)[0]
        assert found == pytest.approx(exact, rel=1e-10)


def test_an_infinite_horizon():
    faithful = BetaGeoModel.from_params(r=1.0, alpha=5.0, a=3.0, b=2.0)
    table = one(2, 5.0, 10.0)
    # E[1 / p] for p ~ Beta(3, 4): 6 / 2
    assert faithful.predict_purchases(table, np.inf)[0] == pytest.approx(3.0 * faithful.predict_alive(table)[0])
    assert faithful.predict_purchases(table, 1e12)[0] == pytest.approx(faithful.predict_purchases(table, np.inf)[0])
    assert np.isinf(CDNOW.predict_purchases(table, np.inf))[0]  # a < 1
    long = CDNOW.predict_discounted_purchases(table, 1e5, 0.01)[0]
    assert CDNOW.predict_discounted_purchases(table, np.inf, 0.01)[0] == pytest.approx(long, rel=1e-9)


# --- published --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    return BetaGeoModel().fit(reference.cdnow()[0])


def test_the_table_is_the_published_one():
    table, holdout = reference.cdnow()
    found = [len(table), table["frequency"].sum(), (table["frequency"] == 0).sum(), holdout.sum()]
    assert found == list(GOLDEN["summary"].values())


def test_cdnow_fit_is_the_published_one(fitted):
    for name, value in FIT.items():
        assert fitted.params_[name] == pytest.approx(value, rel=1e-4)
    assert fitted.log_likelihood_ == pytest.approx(GOLDEN["bg_nbd"]["log_likelihood"], abs=1e-3)
    assert fitted.converged_
    assert fitted.undetermined_ == ()


def test_cdnow_predictions_are_the_published_ones(fitted):
    case = GOLDEN["customer_1516"]
    table = one(case["frequency"], case["recency"], case["T"])
    # the optimum behind these figures is about 3e-5 away from ours
    assert fitted.predict_purchases(table, case["horizon"])[0] == pytest.approx(case["expected"], rel=5e-5)
    assert fitted.predict_alive(table)[0] == pytest.approx(case["alive"], rel=5e-6)
    case = GOLDEN["silent_for_19_weeks"]
    table = {"frequency": case["frequency"], "recency": [case["recency"]] * 4, "T": [case["T"]] * 4}
    np.testing.assert_allclose(fitted.predict_purchases(table, case["horizon"]), case["expected"], rtol=1e-4)
    assert fitted.expected_purchases_new_customer(52) == pytest.approx(GOLDEN["new_customer_52_weeks"], rel=1e-5)
    case = GOLDEN["technical_note"]
    table = one(case["frequency"], case["recency"], case["T"])
    assert ROUNDED.predict_purchases(table, case["horizon"])[0] == pytest.approx(case["expected"], abs=5e-4)


def test_cdnow_holdout_means_by_frequency(fitted):
    table, holdout = reference.cdnow()
    bins = np.minimum(table["frequency"], 7)
    expected = fitted.predict_purchases(table, 39.0)
    for k in range(8):
        here = (bins == k).to_numpy()
        assert here.sum() == GOLDEN["holdout_bins"]["customers"][k]
        assert expected[here].mean() == pytest.approx(GOLDEN["holdout_bins"]["expected"][k], rel=5e-5)
        assert holdout[here].mean() == pytest.approx(GOLDEN["holdout_bins"]["actual"][k], abs=5.1e-4)


@pytest.mark.parametrize("case", GOLDEN["pmf"])
def test_published_probabilities(case):
    found = ROUNDED.probability_of_purchases(case["n"], case["horizon"])
    assert found == pytest.approx(case["probability"], rel=1e-6)


# --- what predictions must keep ---------------------------------------------------------------------------------

positive = st.floats(1e-3, 1e3)
customer = st.tuples(st.integers(0, 300), st.floats(0, 1), st.floats(0.0, 1e4))


def build(theta, who):
    x, share, T = who
    model = BetaGeoModel.from_params(**dict(zip(("r", "alpha", "a", "b"), theta, strict=True)))
    return model, x, (share * T if x else 0.0), T


@given(st.tuples(positive, positive, positive, positive), customer, st.floats(0, 1e6), st.floats(1, 1e3))
def test_predictions_are_sane_everywhere(theta, who, horizon, factor):
    model, x, t_x, T = build(theta, who)
    table = one(x, t_x, T)
    alive = model.predict_alive(table)[0]
    assert 0 <= alive <= 1
    assert model.predict_purchases(table, 0.0)[0] == 0
    near, far = (model.predict_purchases(table, h)[0] for h in (horizon, horizon * factor))
    assert 0 <= near <= far * (1 + 1e-11)
    assert np.isfinite(far)
    discounted = model.predict_discounted_purchases(table, horizon, 0.01)[0]
    assert 0 <= discounted <= near * (1 + 1e-9)


@given(st.tuples(positive, positive, positive, positive), customer, st.floats(0, 1))
def test_a_later_last_purchase_makes_alive_more_likely(theta, who, earlier):
    model, x, t_x, T = build(theta, who)
    both = {"frequency": [x, x], "recency": [t_x * earlier, t_x], "T": [T, T]}
    before, after = model.predict_alive(both)
    assert before <= after * (1 + 1e-12)


@given(st.tuples(positive, positive, positive, positive), st.floats(0, 1e3))
@example((1.0, 1.0, 1.0, 1.0), 2.2e-311)  # so short that its share of alpha has no reciprocal
def test_the_counts_of_a_new_customer_are_a_distribution(theta, horizon):
    model, *_ = build(theta, (0, 0.0, 0.0))
    chances = model.probability_of_purchases(np.arange(200), horizon)
    assert np.all((chances >= 0) & (chances <= 1))
    assert chances.sum() <= 1 + 1e-9


def test_the_mean_of_the_counts_is_the_expectation():
    n = np.arange(3000)
    chances = ROUNDED.probability_of_purchases(n, 52.0)
    assert chances.sum() == pytest.approx(1.0, abs=1e-12)
    assert chances @ n == pytest.approx(ROUNDED.expected_purchases_new_customer(52.0), rel=1e-9)
    assert ROUNDED.probability_of_purchases([0, 1], 0.0).tolist() == [1.0, 0.0]
    shape = ROUNDED.expected_purchases_new_customer([[0.0, 1.0], [2.0, 52.0]])
    assert shape.shape == (2, 2)
    assert shape[0, 0] == 0.0


@pytest.mark.parametrize(("n", "horizon"), [(-1, 1.0), (0.5, 1.0), (1, -1.0), (1, np.nan)])
def test_impossible_questions_are_refused(n, horizon):
    with pytest.raises(ValueError, match="parameter of probability_of_purchases must be"):
        ROUNDED.probability_of_purchases(n, horizon)


def test_impossible_horizons_are_refused():
    with pytest.raises(ValueError, match=r"'horizon' parameter of BetaGeoModel.predict_purchases"):
        ROUNDED.predict_purchases(one(0, 0, 1), -1.0)
    with pytest.raises(ValueError, match="'horizon' parameter of expected_purchases_new_customer"):
        ROUNDED.expected_purchases_new_customer([1.0, -1.0])
    with pytest.raises(ValueError, match=r"'rate' parameter of BetaGeoModel.predict_discounted_purchases"):
        ROUNDED.predict_discounted_purchases(one(0, 0, 1), 1.0, -0.1)


def test_the_same_bits_for_any_number_of_threads_and_any_order():
    rng = np.random.default_rng(0)
    table = reference.simulate_bg_nbd(rng, 40_000, rng.uniform(20, 40, 40_000), *FIT.values())
    shuffle = rng.permutation(40_000)
    shuffled = {name: column[shuffle] for name, column in table.items()}
    results = []
    for threads in (1, 2, 5):
        with _jit.threads(threads):
            results.append((CDNOW.predict_alive(table), CDNOW.predict_purchases(table, 52.0)))
    for alive, expected in results[1:]:
        np.testing.assert_array_equal(alive, results[0][0])
        np.testing.assert_array_equal(expected, results[0][1])
    np.testing.assert_array_equal(CDNOW.predict_purchases(shuffled, 52.0), results[0][1][shuffle])


def test_grouping_equal_customers_changes_nothing():
    rng = np.random.default_rng(0)
    days = {"frequency": rng.integers(0, 5, 40_000), "T": rng.integers(10, 20, 40_000) / 7}
    days["recency"] = np.where(days["frequency"] > 0, days["T"] * 0.5, 0.0)
    assert _fit.distinct((days["frequency"] * 1.0, days["T"]), most=0.5) is not None
    few = {name: column[:50] for name, column in days.items()}
    np.testing.assert_array_equal(CDNOW.predict_purchases(days, 9.0)[:50], CDNOW.predict_purchases(few, 9.0))
    varied = (rng.random(40_000), rng.random(40_000))
    assert _fit.distinct(varied, most=0.5) is None
