"""BG/BB: likelihood and predictions against mpmath, the published donations, recovery, messages."""

from __future__ import annotations

import json
from pathlib import Path

import mpmath as mp
import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.reference import contract as reference
from tests.reference.differences import hessian_by_logs, symmetric

from custanalytics.clv import BetaGeoBetaBinomModel, LifetimeValue, _fit
from custanalytics.clv import _kernels_beta_geo_beta_binom as kernels
from custanalytics.datasets import load_donations
from custanalytics.exceptions import FitWarning, InvalidDataError

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "contract.json").read_text())["donations"]
NAMES = ("alpha", "beta", "gamma", "delta")
TRUTH = {"alpha": 1.2, "beta": 0.75, "gamma": 0.66, "delta": 2.8}
MODEL = BetaGeoBetaBinomModel.from_params(**TRUTH)


def one(x, t_x, T):
    return {"frequency": [x], "recency": [t_x], "T": [T]}


def evaluate(x, t_x, T, theta, second=False):
    sample = _fit.Sample(tuple(np.array([float(value)]) for value in (x, t_x, T)), np.ones(1))
    return _fit.total(BetaGeoBetaBinomModel._loglik_loop, sample, np.asarray(theta, float), second)


def random_cases(n, seed):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        T = int(rng.choice([0, 1, 2, 6, 30, 120]))
        t_x = int(rng.integers(0, T + 1))
        x = int(rng.integers(1, t_x + 1)) if t_x else 0
        yield x, t_x, T, (10 ** rng.uniform(-3, 3, 4)).tolist()


@pytest.fixture(scope="module")
def donors():
    return load_donations()


@pytest.fixture(scope="module")
def fitted(donors):
    return BetaGeoBetaBinomModel().fit(donors, sample_weight="customers")


def test_the_donations_are_the_published_ones(donors):
    assert donors["customers"].sum() == 11_104
    assert list(donors.columns) == ["frequency", "recency", "T", "customers"]
    assert (donors["T"] == 6).all()


def test_donations_fit_is_the_published_one_or_better(fitted, donors):
    assert fitted.log_likelihood_ == pytest.approx(GOLDEN["log_likelihood"], abs=5e-3)
    # the published digits end a little short of the maximum
    published = BetaGeoBetaBinomModel.from_params(**GOLDEN["params"]).score(donors, sample_weight="customers")
    assert published * 11_104 < fitted.log_likelihood_ < published * 11_104 + 2e-6
    for name in NAMES:
        assert fitted.params_[name] == pytest.approx(GOLDEN["params"][name], rel=2e-4)
    assert fitted.converged_
    assert fitted.undetermined_ == ()


def test_published_expectations(donors):
    model = BetaGeoBetaBinomModel.from_params(**GOLDEN["params"])
    assert model.expected_purchases_new_customer(10) == pytest.approx(GOLDEN["new_customer_10_years"], rel=1e-6)
    for case in GOLDEN["conditional_10_years"]:
        found = model.predict_purchases(one(case["frequency"], case["recency"], 6), 10)[0]
        assert found == pytest.approx(case["expected"], rel=1e-6)
    annual = 11_104 * np.diff(model.expected_purchases_new_customer(np.arange(12)))
    np.testing.assert_allclose(annual, GOLDEN["annual"], rtol=1e-6)


def test_likelihood_and_gradient_at_random_extremes():
    with mp.workdps(reference.DIGITS):
        for x, t_x, T, theta in random_cases(40, 0):
            found = evaluate(x, t_x, T, theta)
            exact = float(reference.bgbb_log_likelihood(x, t_x, T, *theta))
            assert found[0] == pytest.approx(exact, rel=1e-10, abs=1e-14), (x, t_x, T, theta)
            slopes = reference.complex_step(lambda *t, w=(x, t_x, T): reference.bgbb_log_likelihood(*w, *t), theta)
            np.testing.assert_allclose(found[1:], slopes, rtol=1e-9, atol=1e-13 * (1 + T) / min(theta))


@pytest.mark.parametrize("theta", [(1.3, 3.0, 4e6, 1e10), (0.7, 0.2, 1e-10, 1e-8), (1e-3, 2e-3, 0.4, 9.0)])
def test_long_silences_are_summed_as_far_as_they_matter(theta):
    who = (300, 400, 900)
    found = evaluate(*who, theta)
    with mp.workdps(reference.DIGITS):
        exact = float(reference.bgbb_log_likelihood(*who, *theta))
        slopes = reference.complex_step(lambda *t: reference.bgbb_log_likelihood(*who, *t), theta)
        alive = float(reference.bgbb_alive(*who, 0, *theta))
    assert found[0] == pytest.approx(exact, rel=1e-12)
    np.testing.assert_allclose(found[1:], slopes, rtol=1e-9, atol=1e-13 * 900 / min(theta))
    model = BetaGeoBetaBinomModel.from_params(**dict(zip(NAMES, theta, strict=True)))
    assert model.predict_alive(one(*who))[0] == pytest.approx(alive, rel=1e-10, abs=1e-300)


def test_sums_of_squares():
    for base in (1e-3, 0.7, 40.0, 1e10):
        for n in (0.0, 1.0, 32.0, 33.0, 400.0, 1e7):
            with mp.workdps(40):
                exact = mp.zeta(2, base) - mp.zeta(2, mp.mpf(base) + n)
            assert kernels.squares(base, n) == pytest.approx(float(exact), rel=1e-13)


def test_exact_second_derivatives_are_those_of_the_gradient():
    for x, t_x, T, theta in random_cases(100, 1):
        exactly = symmetric(evaluate(x, t_x, T, theta, second=True)[5:])
        differences = hessian_by_logs(lambda at, w=(x, t_x, T): evaluate(*w, at)[1:], theta)
        np.testing.assert_allclose(exactly, differences, rtol=1e-7, atol=1e-9 * (1 + np.abs(exactly).max()))


@pytest.mark.parametrize("who", [(0, 0, 6), (4, 5, 6), (6, 6, 6), (1, 1, 20), (0, 0, 0)])
def test_predictions_opportunity_by_opportunity(who):
    table, theta = one(*who), list(TRUTH.values())
    with mp.workdps(30):
        for ahead in (0, 1, 7):
            exact = float(reference.bgbb_alive(*who, ahead, *theta))
            assert MODEL.predict_alive(table, ahead=ahead)[0] == pytest.approx(exact, rel=1e-11)
        for horizon in (1, 10, 60):
            exact = float(reference.bgbb_purchases(*who, horizon, *theta))
            assert MODEL.predict_purchases(table, horizon)[0] == pytest.approx(exact, rel=1e-11)
            exact = float(reference.bgbb_purchases(*who, horizon, *theta, rate=0.1))
            assert MODEL.predict_discounted_purchases(table, horizon, 0.1)[0] == pytest.approx(exact, rel=1e-11)
    assert MODEL.predict_purchases(table, 3.9)[0] == MODEL.predict_purchases(table, 3)[0]


def test_long_histories_and_horizons():
    table = one(9000, 10_000, 10_000)
    found = MODEL.predict_purchases(table, 1e7)[0]
    assert np.isfinite(found)
    assert found > 1e4
    assert MODEL.predict_purchases(table, np.inf)[0] == np.inf  # gamma < 1
    leaving = BetaGeoBetaBinomModel.from_params(**{**TRUTH, "gamma": 3.0})
    assert leaving.predict_purchases(table, 1e12)[0] == pytest.approx(leaving.predict_purchases(table, np.inf)[0])
    assert MODEL.predict_discounted_purchases(table, np.inf, 1e-5)[0] < 1e5
    gone = one(3000, 3000, 10_000)
    assert 0 < MODEL.predict_alive(gone)[0] < 1e-300


def test_counts_of_new_customers():
    n = np.arange(12)
    chances = MODEL.probability_of_purchases(n, 10)
    assert chances[11] == 0
    assert chances.sum() == pytest.approx(1.0, abs=1e-13)
    assert chances @ n == pytest.approx(MODEL.expected_purchases_new_customer(10), rel=1e-12)
    np.testing.assert_array_equal(MODEL.probability_of_purchases(n, 10.0), chances)
    assert MODEL.probability_of_purchases(0, 0) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="The 'horizon' parameter of probability_of_purchases must be an int"):
        MODEL.probability_of_purchases(0, 2.5)


def test_parameters_are_recovered_and_purchases_foretold():
    table, later = reference.bgbb_simulate(np.random.default_rng(3), 40_000, 12, **TRUTH, ahead=5)
    model = BetaGeoBetaBinomModel().fit(table)
    for name, true in TRUTH.items():
        assert abs(model.params_[name] - true) < 4 * model.standard_errors_[name]
        assert model.standard_errors_[name] < 0.15 * true
    for x in range(0, 13, 3):
        group = table["frequency"] == x
        errors = later[group] - MODEL.predict_purchases(table, 5)[group]
        assert abs(errors.sum()) < 4 * np.sqrt((errors**2).sum())


def test_weights_are_repeated_rows_in_every_frame(donors, fitted, to_frame):
    rows = donors.loc[donors.index.repeat(donors["customers"])]
    by_row = BetaGeoBetaBinomModel().fit(to_frame(rows.reset_index(drop=True)))
    assert by_row.params_ == fitted.params_
    assert by_row.log_likelihood_ == fitted.log_likelihood_


def test_a_table_in_an_engine():
    table = pd.DataFrame({"frequency": [0, 4], "recency": [0, 5], "T": [6, 6]})
    found = MODEL.predict_alive(pl.from_pandas(table).lazy(), ahead=2).collect()
    np.testing.assert_array_equal(found["p_alive"], MODEL.predict_alive(table, ahead=2))
    found = MODEL.predict_discounted_purchases(pl.from_pandas(table).lazy(), 9, 0.1).collect()
    np.testing.assert_array_equal(found["discounted_purchases"], MODEL.predict_discounted_purchases(table, 9, 0.1))


def test_lifetime_value_in_years():
    value = LifetimeValue(purchases=MODEL, spend=50.0, horizon=np.inf, discount_rate=0.1, time_unit="Y")
    expected = 50 * MODEL.predict_discounted_purchases(one(4, 5, 6), np.inf, np.log(1.1))
    np.testing.assert_allclose(value.predict(one(4, 5, 6)), expected, rtol=1e-12)


def test_nobody_leaves_is_recognised():
    rng = np.random.default_rng(0)
    buys = rng.random((3000, 8)) < rng.beta(2, 3, 3000)[:, None]
    recency = np.where(buys.any(axis=1), 8 - buys[:, ::-1].argmax(axis=1), 0)
    with pytest.warns(FitWarning, match="do not determine"):
        model = BetaGeoBetaBinomModel().fit({"frequency": buys.sum(axis=1), "recency": recency, "T": np.full(3000, 8)})
    assert {"gamma", "delta"} & set(model.undetermined_)
    assert model.params_["gamma"] / (model.params_["gamma"] + model.params_["delta"]) < 5e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recency": [0.0, 4.5]}, r"1 of 2 rows have a recency that is no whole number \(first: 1\)"),
        ({"T": [6, 6.5]}, "have a T that is no whole number .*divide durations by the time between opportunities"),
        ({"frequency": [0, 6]}, "have frequency > recency .*At most one purchase counts per opportunity"),
        ({"recency": [0, 7]}, "have recency > T"),
    ],
)
def test_impossible_rows_are_named(change, message):
    with pytest.raises(InvalidDataError, match=message):
        BetaGeoBetaBinomModel().fit({"frequency": [0, 4], "recency": [0, 5], "T": [6, 6], **change})
    with pytest.raises(ValueError, match=r"The 'ahead' parameter of BetaGeoBetaBinomModel.predict_alive"):
        MODEL.predict_alive(one(0, 0, 6), ahead=-1)
    assert MODEL.predict_alive(one(0, 0, 6), ahead=2.9) == MODEL.predict_alive(one(0, 0, 6), ahead=2)


def test_chances_of_counts_without_end_are_refused():
    # the sum over the opportunities ahead never ended
    with pytest.raises(ValueError, match=r"BetaGeoBetaBinomModel.predict_count_probabilities must be a float in the"):
        MODEL.predict_count_probabilities(one(0, 0, 6), [0, 1], np.inf)
