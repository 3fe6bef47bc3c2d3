"""Intervals for customers: against the draws one by one, against every interval tried, over simulated holdouts."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from tests.reference import clv as reference
from tests.reference import posterior as slow

from custanalytics import _frames, _jit
from custanalytics.clv import (
    BetaGeoModel,
    CorrelatedGammaGammaModel,
    GammaGammaModel,
    LifetimeValue,
    NBDModel,
    ParetoNBDModel,
    ShiftedBetaGeoModel,
    ValuePosterior,
    _count_intervals,
)
from custanalytics.clv._kernels_posterior import BINS
from custanalytics.exceptions import FitWarning

TRUTH = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}


@pytest.fixture(scope="module")
def cdnow():
    return reference.cdnow()


@pytest.fixture(scope="module")
def posterior(cdnow):
    return BetaGeoModel().fit(cdnow[0]).posterior(cdnow[0], n_draws=1000, rng=0)


@pytest.fixture(scope="module")
def value(cdnow):
    table = cdnow[0]
    return LifetimeValue(horizon=39).fit(table).posterior(table, n_draws=1000, rng=0)


def test_expected_values_are_those_of_the_draws(posterior, cdnow):
    some = cdnow[0][::97]
    draws = posterior.draws[np.random.default_rng(1).choice(1000, 400, p=posterior.weights)]
    models = [BetaGeoModel.from_params(**dict(zip(posterior.names, theta, strict=True))) for theta in draws]
    for method, args in (("predict_alive", ()), ("predict_purchases", (39.0,))):
        each = np.array([getattr(model, method)(some, *args) for model in models])
        found = getattr(posterior, method)(some, *args)
        spread = each.std(axis=0)
        assert (np.abs(found.mean - each.mean(axis=0)) <= 0.3 * spread + 1e-12).all()
        bounds = np.quantile(each, [0.05, 0.95], axis=0)
        assert (np.abs(found.lower - bounds[0]) <= 0.5 * spread + 1e-12).all()
        assert (np.abs(found.upper - bounds[1]) <= 0.5 * spread + 1e-12).all()
        assert (found.lower <= found.mean).all()
        assert (found.mean <= found.upper).all()


def test_a_table_is_read_and_checked_once_for_all_draws(posterior, value, cdnow, monkeypatch):
    reads, numbers = [], _frames.numbers
    monkeypatch.setattr(_frames, "numbers", lambda *args: reads.append(args) or numbers(*args))
    some = cdnow[0][::97]
    for predict in (partial(posterior.predict_purchases, some, 39), partial(value.predict, some)):
        for n_draws in (10, 40):
            predict(n_draws=n_draws)
        half = len(reads) // 2
        assert 0 < half == len(reads) - half < 10
        reads.clear()


def test_a_wider_level_contains_a_narrower_one(posterior, cdnow):
    wide, narrow = (posterior.predict_purchases(cdnow[0], 39, level, coverage="each") for level in (0.95, 0.5))
    assert (wide.lower <= narrow.lower).all()
    assert (wide.upper >= narrow.upper).all()
    assert (wide.count_upper - wide.count_lower >= narrow.count_upper - narrow.count_lower).all()


def test_an_interval_belongs_to_the_customer(posterior, cdnow, to_frame):
    table = cdnow[0].iloc[::9].reset_index(drop=True)
    found = posterior.predict_purchases(table, 39)
    shuffle = np.random.default_rng(0).permutation(len(table))
    again = posterior.predict_purchases(to_frame(table.iloc[shuffle].reset_index(drop=True)), 39)
    with _jit.threads(1):
        alone = posterior.predict_purchases(table, 39)
    for one, other, third in zip(found, again, alone, strict=True):
        np.testing.assert_array_equal(one[shuffle], other)
        np.testing.assert_array_equal(one, third)
    assert found.count_lower.dtype == found.count_upper.dtype == np.int64


def test_cdnow_holdout_is_covered(posterior, cdnow):
    table, holdout = cdnow
    for coverage, low, high in (("average", 0.88, 0.92), ("each", 0.90, 0.96)):
        found = posterior.predict_purchases(table, 39, coverage=coverage)
        covered = ((found.count_lower <= holdout) & (holdout <= found.count_upper)).mean()
        assert low <= covered <= high


def coverage_of_counts(simulate, model, seeds, horizon):
    covered = []
    for seed in seeds:
        table, later = simulate(np.random.default_rng(seed), horizon)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            posterior = model().fit(table).posterior(table, n_draws=500, rng=seed)
        each = []
        for coverage in ("average", "each"):
            found = posterior.predict_purchases(table, horizon, coverage=coverage)
            each.append(((found.count_lower <= later) & (later <= found.count_upper)).mean())
        covered.append(each)
    return np.mean(covered, axis=0)


def bg(rng, horizon, n=1200, truth=TRUTH):
    return slow.simulate_bg_nbd(rng, n, **truth, shortest=27, longest=39, horizon=horizon)


def pareto(rng, horizon, n=600):
    return slow.simulate_pareto_nbd(rng, n, 0.8, 8.0, 0.7, 15.0, longest=50, horizon=horizon)


@pytest.mark.parametrize("coverage", ["average", "each"])
def test_the_narrowest_interval_still_holds_something(posterior, cdnow, coverage):
    found = posterior.predict_purchases(cdnow[0][::9], 39.0, level=1e-12, n_draws=20, coverage=coverage)
    assert (found.count_lower <= found.count_upper).all()


@pytest.mark.parametrize(("simulate", "model", "horizon"), [(bg, BetaGeoModel, 39), (pareto, ParetoNBDModel, 26)])
def test_intervals_of_purchases_cover_what_comes(simulate, model, horizon):
    average, each = coverage_of_counts(simulate, model, range(2), horizon)
    assert 0.87 <= average <= 0.93
    assert each >= 0.89


@pytest.mark.thorough
@pytest.mark.parametrize("horizon", [13, 39])
def test_intervals_of_purchases_cover_as_often_as_they_say(horizon):
    often = {"r": 2.0, "alpha": 4.0, "a": 0.5, "b": 6.0}
    for simulate in (bg, lambda rng, ahead: bg(rng, ahead, truth=often)):
        average, each = coverage_of_counts(simulate, BetaGeoModel, range(15), horizon)
        print(f"horizon {horizon}: average {average:.3f}, each {each:.3f}")
        assert 0.88 <= average <= 0.92
        assert each >= 0.895
    average, each = coverage_of_counts(pareto, ParetoNBDModel, range(8), horizon)
    assert 0.88 <= average <= 0.92


@given(st.lists(st.lists(st.integers(0, 12), min_size=7, max_size=7), min_size=1, max_size=4), st.integers(1, 7))
def test_counts_have_the_shortest_interval(rows, needed):
    counts = np.array(rows, dtype=np.int64)
    lower, upper = _count_intervals.shortest([counts], np.full(len(rows), 1 / len(rows)), needed / 7, False)
    for row, low, high in zip(rows, lower, upper, strict=True):
        assert (low, high) == slow.shortest_interval(row, needed)[:2]


def test_huge_counts_are_told_apart_in_steps():
    counts = np.arange(1000, dtype=np.int64)[None] * 1000
    lower, upper = _count_intervals.shortest([counts], np.ones(1), 0.9, False)
    step = 999_000 // BINS + 1
    assert 899_000 - 2 * step <= upper[0] - lower[0] <= 899_000 + 2 * step


def test_amounts_have_the_shortest_interval():
    rng = np.random.default_rng(0)
    amounts = np.where(rng.random((5, 400)) < 0.4, 0.0, rng.gamma(2.0, 10.0, (5, 400)))
    lower, upper = _count_intervals.shortest([amounts], np.full(5, 0.2), 0.8, False)
    for row, low, high in zip(np.sort(amounts), lower, upper, strict=True):
        assert ((row >= low) & (row <= high)).sum() >= 320
        assert high - low == pytest.approx((row[319:] - row[:81]).min())
        assert low == 0.0


def test_an_average_is_met_by_lowering_all_alike():
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(1.0, 2.0, (300, 1)), (300, 1000))
    share = np.full(300, 1 / 300)
    for average, expected in ((True, 0.9), (False, 0.95)):
        low, high = _count_intervals.shortest([counts[:100], counts[100:]], share, 0.9, average)
        held = ((counts >= low[:, None]) & (counts <= high[:, None])).mean(axis=1)
        assert held.mean() == pytest.approx(expected, abs=0.01 if average else 0.05)
        assert average or held.min() >= 0.9


def test_contracts_have_whole_renewals():
    years, customers = {"recency": np.arange(8), "T": np.full(8, 7)}, [131, 126, 90, 60, 42, 34, 26, 491]
    model = ShiftedBetaGeoModel().fit(years, sample_weight=customers)
    found = model.posterior(years, sample_weight=customers, rng=0, n_draws=500).predict_purchases(years, 5)
    assert (found.count_upper[:7] == 0).all()  # they have left
    stays = np.array([1.0, *(model.predict_alive(years, ahead=ahead)[7] for ahead in range(1, 6)), 0.0])
    chances = -np.diff(stays)
    inside = chances[found.count_lower[7] : found.count_upper[7] + 1].sum()
    assert found.count_upper[7] == 5
    assert inside == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize("model", [GammaGammaModel, CorrelatedGammaGammaModel])
def test_spend_has_intervals(cdnow, model):
    table = cdnow[0]
    fitted = model().fit(table)
    found = fitted.posterior(table, n_draws=500, rng=0).predict_spend(table[:200])
    expected = fitted.predict_spend(table[:200])
    assert (found.lower < found.upper).all()
    assert np.mean((found.lower <= expected) & (expected <= found.upper)) > 0.95


def test_value_has_intervals(value, cdnow):
    table = cdnow[0]
    assert isinstance(value, ValuePosterior)
    assert "GammaGammaModel" in repr(value)
    found = value.predict(table[:300])
    expected = LifetimeValue(horizon=39).fit(table).predict(table[:300])
    assert np.mean((found.lower <= expected) & (expected <= found.upper)) > 0.95
    np.testing.assert_allclose(found.mean, expected, rtol=0.1)
    assert (found.value_lower >= 0).all()
    buys = found.value_upper > 0
    assert (found.value_upper[buys] > found.upper[buys]).mean() > 0.8
    again = value.predict(table[:300][::-1])
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one[::-1], other)


def test_intervals_of_value_cover_what_comes():
    rng = np.random.default_rng(4)
    table, later = bg(rng, 39, n=1000)
    p, q, v = 6.0, 4.0, 15.0
    scale = rng.gamma(q, 1.0 / v, 1000)
    x = np.maximum(table["frequency"], 1.0)
    table["monetary_value"] = np.where(table["frequency"] > 0, rng.gamma(p * x, 1.0 / (scale * x)), 0.0)
    worth = np.where(later > 0, rng.gamma(p * np.maximum(later, 1.0), 1.0 / scale), 0.0)
    model = LifetimeValue(horizon=39, discount_rate=0.0).fit(table)
    found = model.posterior(table, n_draws=500, rng=0).predict(table)
    covered = ((found.value_lower <= worth) & (worth <= found.value_upper)).mean()
    assert 0.87 <= covered <= 0.93


def test_value_needs_models_with_posteriors(cdnow):
    table = cdnow[0]

    class Everybody(LinearRegression):
        def fit(self, table, y=None, sample_weight=None):
            return self

        def predict_purchases(self, table, horizon):
            return np.ones(len(table))

        def predict_spend(self, table):
            return np.ones(len(table))

    with pytest.raises(TypeError, match="needs a model of purchases of this library"):
        LifetimeValue(purchases=Everybody()).fit(table).posterior(table)
    with pytest.raises(TypeError, match="is neither"):
        LifetimeValue(purchases=NBDModel(), spend=Everybody()).fit(table).posterior(table)


def test_covariates_have_intervals():
    rng = np.random.default_rng(0)
    table, _ = bg(rng, 1, n=800)
    frame = pd.DataFrame(table).assign(wealth=rng.normal(size=800).round(1))
    model = BetaGeoModel(rate_covariates=("wealth",)).fit(frame)
    posterior = model.posterior(frame, n_draws=500, rng=0)
    assert len(posterior.names) == 5
    name = posterior.names[-1]
    assert posterior.sd()[name] == pytest.approx(model.standard_errors_[name], rel=0.2)
    found = posterior.predict_alive(frame[:50], n_draws=50)
    assert (np.abs(found.mean - model.predict_alive(frame[:50])) < 0.1).all()
    assert posterior.predict_purchases(frame[:50], 10, n_draws=50).count_upper.shape == (50,)


def test_wrong_requests(posterior, value, cdnow):
    table = cdnow[0]
    with pytest.raises(ValueError, match="'horizon' parameter"):
        posterior.predict_purchases(table, np.inf)
    with pytest.raises(ValueError, match="'coverage' parameter"):
        posterior.predict_purchases(table, 5, coverage="some")
    with pytest.raises(ValueError, match="'level' parameter"):
        posterior.predict_alive(table, 90)
    with pytest.raises(ValueError, match="'n_draws' parameter"):
        posterior.predict_alive(table, n_draws=3)
    with pytest.raises(ValueError, match="BetaGeoModel has no predict_spend"):
        posterior.predict_spend(table)
    with pytest.raises(TypeError, match="collect the table first"):
        posterior.predict_alive(pl.from_pandas(table).lazy())
    with pytest.raises(TypeError, match="collect the table first"):
        value.predict(pl.from_pandas(table).lazy())
    with pytest.raises(ValueError, match="'coverage' parameter"):
        value.predict(table, coverage="some")


def test_no_customers(posterior):
    nobody = {"frequency": [], "recency": [], "T": []}
    assert all(each.shape == (0,) for each in posterior.predict_alive(nobody))
    assert all(each.shape == (0,) for each in posterior.predict_purchases(nobody, 5))
