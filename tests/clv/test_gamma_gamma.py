"""Gamma-Gamma: kernel against mpmath, published figures, recovery, who is left out, infinite means."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import mpmath as mp
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import clv as reference

from custanalytics.clv import GammaGammaModel, _fit
from custanalytics.clv import _kernels_gamma_gamma as kernels
from custanalytics.exceptions import DataQualityWarning, FitWarning, InvalidDataError, MissingColumnError

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "clv.json").read_text())
FIT = {name: GOLDEN["gamma_gamma"][name] for name in ("p", "q", "v")}
TRUTH = {"p": 4.0, "q": 3.0, "v": 20.0}


def simulated(n, seed, p, q, v):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 8, n)
    nu = rng.gamma(q, 1.0 / v, n)
    spent = rng.gamma(np.maximum(p * x, 1e-9), 1.0 / nu)
    return {"frequency": x, "monetary_value": np.where(x > 0, spent / np.maximum(x, 1), 0.0)}


def kernel_likelihood(x, m, theta):
    sample = _fit.Sample((np.array([float(x)]), np.array([float(m)])), np.ones(1))
    return _fit.total(kernels.log_likelihood_loop, sample, np.array(theta, float))


def test_likelihood_and_gradient_are_those_of_the_paper_at_random_extremes():
    rng = np.random.default_rng(0)
    with mp.workdps(reference.DIGITS):
        for _ in range(60):
            x, m = int(rng.choice([1, 2, 10, 300, 10_000])), 10 ** rng.uniform(-3, 5)
            theta = (10 ** rng.uniform(-3, 3, 3)).tolist()
            mine = kernel_likelihood(x, m, theta)
            p, q, v = theta
            largest = max(1.0, abs(q * np.log1p(x * m / v)), p * x * np.log1p(v / (x * m)))
            exact = float(reference.gg_log_likelihood(x, m, *theta))
            assert mine[0] == pytest.approx(exact, rel=1e-12, abs=1e-13 * largest)
            gradient = reference.gg_gradient(x, m, *theta)
            np.testing.assert_allclose(mine[1:], gradient, rtol=1e-9, atol=1e-12 * largest * x / min(theta))


def test_cdnow_fit_is_the_published_one():
    table, _ = reference.cdnow()
    model = GammaGammaModel().fit(table)
    for name, value in FIT.items():
        assert model.params_[name] == pytest.approx(value, rel=1e-5)
    assert model.log_likelihood_ == pytest.approx(GOLDEN["gamma_gamma"]["log_likelihood"], abs=1e-3)
    assert (table["frequency"] > 0).sum() == GOLDEN["gamma_gamma"]["repeat_buyers"]
    np.testing.assert_allclose(model.predict_spend(table)[:10], GOLDEN["spend"], atol=0.1)
    assert model.converged_
    assert model.score(table) == pytest.approx(model.log_likelihood_ / 946, rel=1e-12)


def test_every_frame_library_gives_the_same(to_frame):
    table, _ = reference.cdnow()
    model = GammaGammaModel().fit(to_frame(table))
    assert model.params_ == GammaGammaModel().fit(table).params_
    np.testing.assert_array_equal(model.predict_spend(to_frame(table)), model.predict_spend(table))


def test_weights_are_repeated_rows_and_order_is_nothing():
    table = simulated(800, 3, **TRUTH)
    rng = np.random.default_rng(3)
    weight = rng.integers(0, 4, 800)
    rows = rng.permutation(np.repeat(np.arange(800), weight))
    weighted = GammaGammaModel().fit(table, sample_weight=weight)
    repeated = GammaGammaModel().fit({name: column[rows] for name, column in table.items()})
    assert weighted.params_ == repeated.params_
    assert weighted.standard_errors_ == repeated.standard_errors_


def test_the_currency_scales_v_alone():
    table = simulated(2000, 4, **TRUTH)
    cents = {**table, "monetary_value": table["monetary_value"] * 100}
    euro, cent = GammaGammaModel().fit(table), GammaGammaModel().fit(cents)
    for name, factor in (("p", 1), ("q", 1), ("v", 100)):
        assert cent.params_[name] == pytest.approx(euro.params_[name] * factor, rel=1e-7)
    np.testing.assert_allclose(cent.predict_spend(cents), 100 * euro.predict_spend(table), rtol=1e-7)


def test_every_true_parameter_is_recovered_from_many_customers():
    model = GammaGammaModel().fit(simulated(100_000, 1, **TRUTH))
    for name, true in TRUTH.items():
        assert abs(model.params_[name] - true) < 4 * model.standard_errors_[name]
        assert model.standard_errors_[name] < 0.05 * true


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("ignore::custanalytics.exceptions.FitWarning")
def test_tails_so_heavy_that_the_mean_says_nothing_of_the_size(seed):
    true = {"p": 5.0, "q": 0.25, "v": 300.0}
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 8, 2000)
    rate = rng.gamma(true["q"], 1 / true["v"], 2000)
    table = {"frequency": x, "monetary_value": rng.gamma(true["p"] * x) / (rate * x)}
    assert true["v"] < 1e-8 * table["monetary_value"].mean()
    model = GammaGammaModel().fit(table)
    assert model.converged_
    assert model.undetermined_ == ()
    assert model.log_likelihood_ >= 2000 * GammaGammaModel.from_params(**true).score(table)
    for name, value in true.items():
        log_error = model.standard_errors_[name] / model.params_[name]
        assert abs(np.log(model.params_[name] / value)) < 4 * log_error < 4.0
    lazy = GammaGammaModel().fit(pl.DataFrame(table).lazy())
    np.testing.assert_allclose(list(lazy.params_.values()), list(model.params_.values()), rtol=1e-6)


@pytest.mark.filterwarnings("ignore::custanalytics.exceptions.FitWarning")
def test_amounts_of_all_sizes_have_a_scale_in_their_middle():
    powers = [-4.463, 2.46, 1.444, 3.454, 3.53, 3.352, 4.198, -5.578, -0.526, -5.739, 5.98]
    table = {"frequency": [1] * len(powers), "monetary_value": 10.0 ** np.array(powers)}
    model = GammaGammaModel().fit(table)
    with mp.workdps(30):
        found, higher = (
            float(sum(reference.gg_log_likelihood(1, m, *theta) for m in table["monetary_value"]))
            for theta in (model.params_.values(), (0.104, 0.452, 13_725.0))  # found from random starts
        )
    assert model.converged_
    assert model.log_likelihood_ == pytest.approx(found, rel=1e-12)
    assert found >= higher


@pytest.mark.parametrize(("x", "m", "weight"), [(29, 2.23008786, [1, 4]), (3, 0.1, [1, 1]), (1, 40.0, [10, 3])])
def test_equal_amounts_lead_into_the_corner_of_the_search(x, m, weight):
    with pytest.warns(FitWarning, match="do not determine p, q"):
        model = GammaGammaModel().fit({"frequency": [x, x], "monetary_value": [m, m]}, sample_weight=weight)
    with mp.workdps(40):
        corner = float(sum(weight) * reference.gg_log_likelihood(x, m, 1e10, 1e10, m))
    assert model.converged_
    assert model.log_likelihood_ == pytest.approx(corner, abs=1e-6)


@pytest.mark.thorough
def test_ninety_percent_intervals_cover():
    inside = np.zeros(3)
    for seed in range(200):
        model = GammaGammaModel().fit(simulated(2000, 1000 + seed, **TRUTH))
        for k, (name, true) in enumerate(TRUTH.items()):
            inside[k] += abs(model.params_[name] - true) <= 1.6449 * model.standard_errors_[name]
    assert np.all((inside >= 0.82 * 200) & (inside <= 0.97 * 200)), inside


@given(
    st.tuples(st.floats(1e-3, 1e3), st.floats(1.01, 1e3), st.floats(1e-3, 1e3)),
    st.integers(0, 10_000),
    st.floats(0, 1e6),
)
def test_spend_lies_between_the_population_and_the_customer(theta, x, m):
    p, q, v = theta
    model = GammaGammaModel.from_params(p=p, q=q, v=v)
    population = p * v / (q - 1)
    found, one_time = model.predict_spend({"frequency": [x, 0], "monetary_value": [m, m]})
    assert one_time == pytest.approx(population)
    own = m if x > 0 else population
    assert min(own, population) * (1 - 1e-9) <= found <= max(own, population) * (1 + 1e-9)


def test_who_is_left_out_is_counted():
    table = simulated(500, 5, **TRUTH)
    doubtful = {
        "frequency": np.append(table["frequency"], [2, 3, 0]),
        "monetary_value": np.append(table["monetary_value"], [0.0, -5.0, np.nan]),
    }
    repeat = np.count_nonzero(doubtful["frequency"])
    with pytest.warns(DataQualityWarning, match=f"leaves out 2 of {repeat} repeat buyers") as record:
        model = GammaGammaModel().fit(doubtful)
    assert record[0].filename == __file__
    assert model.params_ == GammaGammaModel().fit(table).params_
    spend = model.predict_spend(doubtful)
    assert np.isfinite(spend).all()
    assert (spend > 0).all()


def test_an_infinite_mean_is_said_and_never_negative():
    model = GammaGammaModel.from_params(p=2.0, q=0.6, v=5.0)
    table = {"frequency": [0, 1, 5], "monetary_value": [0.0, 30.0, 30.0]}
    with pytest.warns(FitWarning, match=r"q <= 1.*1 of 3 customers.*given an infinite expectation") as record:
        spend = model.predict_spend(table)
    assert record[0].filename == __file__
    assert np.isinf(spend[0])
    np.testing.assert_allclose(spend[1:], [2 * (5 + 30) / (2 + 0.6 - 1), 2 * (5 + 150) / (10 + 0.6 - 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GammaGammaModel.from_params(p=2.0, q=1.5, v=5.0).predict_spend(table)
    with pytest.warns(FitWarning, match=r"the mean spend over all customers is infinite \(q = 0"):
        fitted = GammaGammaModel().fit(simulated(20_000, 6, p=3.0, q=0.6, v=10.0))
    assert fitted.params_["q"] == pytest.approx(0.6, abs=0.05)


@st.composite
def small_tables(draw):
    n = draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    x = rng.integers(1, draw(st.integers(2, 30)), n)
    m = draw(st.sampled_from([1e-6, 1.0, 1e6])) * draw(st.sampled_from([rng.random(n) + 1e-3, np.ones(n)]))
    return {"frequency": x, "monetary_value": m}


@given(small_tables())
def test_degenerate_tables_neither_raise_nor_give_nan(table):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        model = GammaGammaModel().fit(table)
        spend = model.predict_spend(table)
    assert np.isfinite([*model.params_.values(), model.log_likelihood_]).all()
    assert not np.isnan(list(model.standard_errors_.values())).any()
    assert not np.isnan(spend).any()


def test_messages():
    with pytest.raises(MissingColumnError, match=r"GammaGammaModel needs the columns \['monetary_value'\]"):
        GammaGammaModel().fit({"frequency": [1]})
    with pytest.raises(InvalidDataError, match="GammaGammaModel needs at least one customer to learn from"):
        GammaGammaModel().fit({"frequency": [0, 0], "monetary_value": [0.0, 0.0]})
    for bad, message in (
        ({"frequency": [1], "monetary_value": [np.nan]}, "have repeat purchases but a missing or infinite monetary"),
        ({"frequency": [np.nan], "monetary_value": [1.0]}, "have a missing or infinite frequency"),
        ({"frequency": [-1], "monetary_value": [1.0]}, "have a negative frequency"),
    ):
        with pytest.raises(InvalidDataError, match=message):
            GammaGammaModel().fit(bad)


def test_amounts_of_many_orders_of_magnitude_reach_the_higher_maximum():
    x = [307, 202, 65, 279, 264, 89, 940, 542, 358, 84]
    m = [4.2e-3, 191.22, 1.397, 1.0674e5, 9.3327e-6, 0.10102, 52.689, 2.8852e5, 1.792e-4, 10.0024]
    with pytest.warns(FitWarning, match="do not determine"), pytest.warns(FitWarning, match="q <= 1"):
        model = GammaGammaModel().fit({"frequency": x, "monetary_value": m})
    assert model.converged_
    assert model.log_likelihood_ > -43.806  # a scale near 0; the other maximum, with p near 0, is at -44.96
