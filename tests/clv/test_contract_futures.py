"""Distributions, draws and scores of renewals under contract: against many digits, and against each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import mpmath as mp
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import contract as reference

from custanalytics.clv import BetaDiscreteWeibullModel, LifetimeValue, ShiftedBetaGeoModel
from custanalytics.exceptions import InvalidDataError

GEOMETRIC = ShiftedBetaGeoModel.from_params(alpha=0.7, beta=1.2)
WEIBULL = BetaDiscreteWeibullModel.from_params(alpha=0.5, beta=0.9, c=1.3)
MODELS = [GEOMETRIC, WEIBULL]
TABLE = {"recency": [0, 4, 2], "T": [0, 4, 4]}


@pytest.mark.parametrize("model", MODELS)
def test_chances_of_counts_renewal_by_renewal(model):
    theta = tuple(model.params_.values())
    found = model.predict_count_probabilities(TABLE, np.arange(8), horizon=6.9)
    with mp.workdps(30):
        for row, age in ((0, 0), (1, 4)):
            left = [reference.survival(age + n, *theta) / reference.survival(age, *theta) for n in range(7)]
            exact = [float(left[n] - left[n + 1]) for n in range(6)] + [float(left[6]), 0.0]
            np.testing.assert_allclose(found[row], exact, rtol=1e-12)
    assert found[2].tolist() == [1.0] + [0.0] * 7
    np.testing.assert_array_equal(model.probability_of_purchases(np.arange(8), 6), found[0])
    assert model.probability_of_purchases(2, np.inf) == pytest.approx(float(found[0, 2]), rel=1e-14)
    assert model.predict_count_probabilities(TABLE, 0, horizon=0.5).tolist() == [1.0, 1.0, 1.0]


@given(
    st.sampled_from([(), (0.4,), (2.5,)]),
    st.floats(-3, 3),
    st.floats(-3, 3),
    st.integers(0, 10_000),
    st.integers(0, 60),
)
def test_distributions_are_those_of_the_expectations(c, log_alpha, log_beta, age, horizon):
    kind = BetaDiscreteWeibullModel if c else ShiftedBetaGeoModel
    params = dict(zip(kind._names, (10**log_alpha, 10**log_beta, *c), strict=True))
    model, table = kind.from_params(**params), {"recency": [age], "T": [age]}
    n = np.arange(horizon + 1)
    chances = model.predict_count_probabilities(table, n, horizon)[0]
    assert chances.sum() == pytest.approx(1.0, rel=1e-12)
    assert chances @ n == pytest.approx(model.predict_purchases(table, horizon)[0], rel=1e-9, abs=1e-300)
    levels = np.array([0.0, 0.05, 0.5, 0.95])
    quantiles = model.predict_count_quantiles(table, levels, horizon)[0]
    below = np.concatenate([[0.0], np.cumsum(chances)])
    assert (below[quantiles] <= levels + 1e-12).all()
    assert (below[quantiles + 1] >= levels - 1e-12).all()


@pytest.mark.parametrize("model", MODELS)
def test_draws_follow_the_chances(model):
    draws = model.sample(TABLE, n_draws=40_000, horizon=6, rng=1)
    assert draws.shape == (3, 40_000)
    assert draws.dtype == np.int64
    chances = model.predict_count_probabilities(TABLE, np.arange(7), horizon=6)
    for row in range(3):
        share = np.bincount(draws[row], minlength=7) / 40_000
        assert (np.abs(share - chances[row]) <= 4.5 * np.sqrt(chances[row] * (1 - chances[row]) / 40_000)).all()
    again = model.sample({name: values[1:] for name, values in TABLE.items()}, 5, 6, rng=1)
    assert again.shape == (2, 5)
    np.testing.assert_array_equal(model.sample(TABLE, 5, 6, rng=1), draws[:, :5])
    assert model.sample(TABLE, 3, horizon=0.9, rng=0).tolist() == [[0] * 3] * 3


def test_draws_are_those_of_the_uniform_numbers_step_by_step():
    """Searched by doubling and halving; here each renewal is asked for."""
    long = ShiftedBetaGeoModel.from_params(alpha=0.3, beta=50.0)
    table = {"recency": [7], "T": [7]}
    draws = long.sample(table, 400, horizon=1e6, rng=3)[0]
    some = long.sample(table, 400, horizon=100, rng=3)[0]
    np.testing.assert_array_equal(some, np.minimum(draws, 100))  # the same chance, cut at the horizon
    assert draws.max() > 1000


def test_counts_beyond_all_whole_numbers_are_refused():
    model = ShiftedBetaGeoModel.from_params(alpha=1e-9, beta=1.0)
    with pytest.raises(ValueError, match="fewer than 2\\^63 purchases"):
        model.sample({"recency": [3], "T": [3]}, 4, horizon=1e300, rng=0)
    with pytest.raises(ValueError, match="fewer than 2\\^63 purchases"):
        model.predict_count_quantiles({"recency": [3], "T": [3]}, 0.5, horizon=1e300)


@pytest.mark.parametrize("model", MODELS)
def test_drawn_values_are_worth_what_is_expected(model):
    value = LifetimeValue(purchases=model, spend=20.0, horizon=30, discount_rate=0.1, time_unit="Y", margin=0.4)
    drawn = value.sample(TABLE, n_draws=20_000, rng=5)
    error = drawn.std(axis=1) / np.sqrt(20_000)
    assert (np.abs(drawn.mean(axis=1) - value.predict(TABLE)) <= 4.5 * error).all()
    assert not drawn[2].any()


def test_what_a_subscriber_is_worth_has_intervals():
    years, customers = {"recency": np.arange(8), "T": np.full(8, 7)}, [131, 126, 90, 60, 42, 34, 26, 491]
    model = ShiftedBetaGeoModel().fit(years, sample_weight=customers)
    value = LifetimeValue(purchases=model, spend=100.0, horizon=5, discount_rate=0.1, time_unit="Y")
    found = value.posterior(years, sample_weight=customers, rng=0, n_draws=500).predict(years)
    expected = value.predict(years)
    assert (found.lower[7] <= expected[7]) & (expected[7] <= found.upper[7])
    assert not expected[:7].any()
    assert not found.value_upper[:7].any()
    fees = np.cumsum(100.0 / 1.1 ** np.arange(1, 6))
    assert found.value_upper[7] == pytest.approx(fees[-1], rel=1e-9)
    assert np.abs(np.append(fees, 0.0) - found.value_lower[7]).min() < 1e-9  # a whole number of fees


@pytest.mark.parametrize("model", MODELS)
def test_one_customer_at_a_time(model):
    alive, ahead = model.predict_alive(TABLE), model.predict_purchases(TABLE, 5)
    for row in range(3):
        score = model.score_one(TABLE["recency"][row], TABLE["T"][row], horizon=5)
        assert score == (alive[row], ahead[row])
    assert model.score_one(2, 2, horizon=np.inf).expected_purchases == model.predict_purchases(
        {"recency": [2], "T": [2]}, np.inf
    )
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: model.score_one(n, n, 9.0), range(400)))
    together = model.predict_purchases({"recency": np.arange(400), "T": np.arange(400)}, 9.0)
    assert [score.expected_purchases for score in found] == together.tolist()


def test_messages():
    for recency, T, horizon in ((3, 2, 1.0), (0.5, 2, 1.0), (1, np.inf, 1.0), (1, 2, -1.0), (np.nan, 2, 1.0)):
        with pytest.raises(ValueError, match="both count renewals, 0 <= recency <= T"):
            GEOMETRIC.score_one(recency, T, horizon)
    with pytest.raises(TypeError, match="score_one takes numbers"):
        GEOMETRIC.score_one([1], [2], 3.0)
    with pytest.raises(InvalidDataError, match="recency > T"):
        GEOMETRIC.sample({"recency": [3], "T": [2]}, 2, 1)
    with pytest.raises(TypeError, match="takes no table in an engine"):
        GEOMETRIC.sample(pl.DataFrame(TABLE).lazy(), 2, 1)
