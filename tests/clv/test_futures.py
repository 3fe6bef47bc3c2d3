"""Later windows, distributions of counts and random futures: against many digits, and against each other."""

from __future__ import annotations

from itertools import pairwise

import mpmath as mp
import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.exceptions import NotFittedError
from tests.reference import clv as reference
from tests.reference import futures as slow
from tests.reference.phases import by_counting

from custanalytics import _jit
from custanalytics.clv import (
    BetaGeoBetaBinomModel,
    BetaGeoCNBDModel,
    BetaGeoModel,
    GammaGompertzNBDModel,
    ModifiedBetaGeoCNBDModel,
    ModifiedBetaGeoModel,
    NBDModel,
    ParetoNBDModel,
    _futures,
)
from custanalytics.clv._kernels_counts import life_integral
from custanalytics.clv._kernels_futures import purchases_between, still_active
from custanalytics.exceptions import InvalidDataError

MODELS = {
    "bg": BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426),
    "mbg": ModifiedBetaGeoModel.from_params(r=0.525, alpha=6.183, a=0.891, b=1.614),
    "pareto": ParetoNBDModel.from_params(r=0.553, alpha=10.58, s=0.606, beta=11.656),
    "gompertz": GammaGompertzNBDModel.from_params(r=0.55, alpha=10.6, b=0.02, s=0.6, beta=2.5),
    "nbd": NBDModel.from_params(r=0.385, alpha=12.072),
    "bg_cnbd": BetaGeoCNBDModel.from_params(k=3, r=0.9, alpha=1.5, a=0.8, b=2.4),
    "mbg_cnbd": ModifiedBetaGeoCNBDModel.from_params(k=2, r=0.9, alpha=1.5, a=0.8, b=2.4),
    "bgbb": BetaGeoBetaBinomModel.from_params(alpha=1.204, beta=0.75, gamma=0.657, delta=2.784),
}
TABLE = {"frequency": [26.0, 2.0, 0.0, 2.0], "recency": [30.0, 20.0, 0.0, 39.0], "T": [31.0, 39.0, 39.0, 39.0]}
HORIZON = 12
COUNTS = np.arange(400)


@pytest.fixture(params=MODELS, scope="module")
def model(request):
    return MODELS[request.param]


def test_counts_are_a_distribution_with_the_expectation(model):
    chance = model.predict_count_probabilities(TABLE, COUNTS, HORIZON)
    assert chance.shape == (4, COUNTS.size)
    assert (chance >= 0).all()
    np.testing.assert_allclose(chance.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(chance @ COUNTS, model.predict_purchases(TABLE, HORIZON), rtol=1e-10)
    np.testing.assert_array_equal(model.predict_count_probabilities(TABLE, 2, HORIZON), chance[:, 2])
    new = model.probability_of_purchases(COUNTS, HORIZON)
    assert new.sum() == pytest.approx(1.0, rel=1e-12)
    assert new @ COUNTS == pytest.approx(model.expected_purchases_new_customer(HORIZON), rel=1e-10)


def test_a_horizon_falls_apart_into_windows(model):
    whole = model.predict_purchases(TABLE, HORIZON)
    parts = sum(model.predict_purchases(TABLE, 3.0, start=start) for start in (0, 3, 6, 9))
    np.testing.assert_allclose(parts, whole, rtol=1e-10)
    assert (model.predict_purchases(TABLE, 0.0, start=5) == 0).all()


def test_windows_far_away_are_shares_of_larger_ones(model):
    # no cancellation: expectations until the start are larger by orders of magnitude
    start = 400 if "CNBD" in type(model).__name__ else 4000
    whole = model.predict_purchases(TABLE, 8.0, start=start)
    parts = sum(model.predict_purchases(TABLE, 4.0, start=start + later) for later in (0, 4))
    np.testing.assert_allclose(parts, whole, rtol=1e-9)


def test_quantiles_are_those_of_the_distribution(model):
    levels = [0.0, 0.05, 0.5, 0.9, 0.999]
    below = np.cumsum(model.predict_count_probabilities(TABLE, COUNTS, HORIZON), axis=1)
    expected = np.array([[np.argmax(row >= level) for level in levels] for row in below])
    found = model.predict_count_quantiles(TABLE, levels, HORIZON)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(model.predict_count_quantiles(TABLE, 0.9, HORIZON), expected[:, 3])


def test_draws_have_the_distribution(model):
    draws = model.sample(TABLE, 20_000, HORIZON, rng=7)
    assert draws.shape == (4, 20_000)
    chance = model.predict_count_probabilities(TABLE, COUNTS, HORIZON)
    for row, expected in zip(draws, chance, strict=True):
        last = int(np.flatnonzero(expected * row.size > 20)[-1])
        seen = np.bincount(np.minimum(row, last + 1), minlength=last + 2)
        wanted = row.size * np.append(expected[: last + 1], 1.0 - expected[: last + 1].sum())
        keep = wanted > 5
        pooled = np.append(seen[keep], seen[~keep].sum()), np.append(wanted[keep], wanted[~keep].sum())
        if pooled[1][-1] < 5:
            pooled = pooled[0][:-1], pooled[1][:-1]
        statistic = ((pooled[0] - pooled[1]) ** 2 / pooled[1]).sum()
        assert stats.chi2.sf(statistic, pooled[0].size - 1) > 1e-4


def test_draws_do_not_depend_on_threads_or_chunks_or_other_rows(model, monkeypatch):
    many = {name: np.tile(values, 300) for name, values in TABLE.items()}
    draws = model.sample(many, 5, HORIZON, rng=3)
    with _jit.threads(1):
        np.testing.assert_array_equal(model.sample(many, 5, HORIZON, rng=3), draws)
    monkeypatch.setattr(_futures, "CHUNK", 7)
    np.testing.assert_array_equal(model.sample(many, 5, HORIZON, rng=3), draws)
    some = {name: values[:10] for name, values in many.items()}
    np.testing.assert_array_equal(model.sample(some, 3, HORIZON, rng=3), draws[:10, :3])
    assert (model.sample(many, 5, HORIZON, rng=4) != draws).any()
    first, second = (model.sample(TABLE, 9, HORIZON, rng=np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert model.sample(TABLE, 9, HORIZON).shape == (4, 9)


def test_chunks_change_nothing(model, monkeypatch):
    many = {name: np.tile(values, 5) for name, values in TABLE.items()}
    asked = (
        lambda: model.predict_count_probabilities(many, [0, 3], HORIZON),
        lambda: model.predict_count_quantiles(many, [0.5], HORIZON),
        lambda: model.predict_alive(many, ahead=4),
        lambda: model.predict_purchases(many, 4.0, start=4),
    )
    whole = [ask() for ask in asked]
    monkeypatch.setattr(_futures, "CHUNK", 3)
    for ask, expected in zip(asked, whole, strict=True):
        np.testing.assert_array_equal(ask(), expected)


def test_an_empty_table_has_an_empty_future(model):
    none = {name: [] for name in TABLE}
    assert model.predict_count_probabilities(none, [0, 1], HORIZON).shape == (0, 2)
    assert model.predict_count_quantiles(none, [0.5], HORIZON).shape == (0, 1)
    assert model.sample(none, 3, HORIZON).shape == (0, 3)
    assert model.predict_alive(none, ahead=1).shape == (0,)
    assert model.predict_purchases(none, 1.0, start=1).shape == (0,)


def test_limits_of_time(model):
    assert (model.predict_alive(TABLE, ahead=0) == model.predict_alive(TABLE)).all()
    nothing = model.predict_count_probabilities(TABLE, [0, 1], 0.0)
    np.testing.assert_allclose(nothing, [[1.0, 0.0]] * 4, atol=1e-12)
    assert (model.sample(TABLE, 3, 0.0) == 0).all()
    falling = [model.predict_alive(TABLE, ahead=ahead) for ahead in (0, 1, 10, 1000)]
    assert all((later <= earlier).all() for earlier, later in pairwise(falling))


@pytest.mark.parametrize("name", ["bg", "mbg", "pareto", "gompertz", "bg_cnbd"])
def test_in_the_end_everybody_leaves(name):
    model = MODELS[name]
    assert (model.predict_alive(TABLE, ahead=np.inf) == 0).all()
    chance = model.predict_count_probabilities(TABLE, np.arange(3000), np.inf)
    assert (chance.sum(axis=1) > 0.9).all()
    assert (chance.sum(axis=1) < 1.0 + 1e-9).all()


# --- against many digits ---------------------------------------------------------------------------------------------


def draws_of_beta_geo(rng, wide):
    s = 10 ** rng.uniform(-3, 3) + rng.integers(0, 10 ** rng.uniform(0, 4 if wide else 2))
    r, a, b = 10 ** rng.uniform(-3, 3, 3)
    return s, 10 ** rng.uniform(-6, 6), a, b + max(s - r, 0.0)


def check_beta_geo(seed, n):
    rng = np.random.default_rng(seed)
    with mp.workdps(60):
        for _ in range(n):
            s, u, a, c = draws_of_beta_geo(rng, True)
            expected = float(slow.still_active(s, u, a, c))
            assert still_active(s, u, a, c) == pytest.approx(expected, rel=1e-11, abs=1e-300)
            u = min(u, 1e4)
            ahead = u * 10 ** rng.uniform(-12, 3)
            ends = [reference.bg_purchases_if_alive(s, at, a, c) for at in (u, mp.mpf(u) + ahead)]
            expected = float(ends[1] - ends[0])
            lost = 1e-45 * float(ends[1])  # by the difference of 60 digits
            assert purchases_between(s, u, ahead, a, c) == pytest.approx(expected, rel=1e-9, abs=lost + 1e-300)


def test_staying_and_windows_of_the_beta_geo_agree_with_many_digits():
    check_beta_geo(1, 15)


@pytest.mark.thorough
def test_staying_and_windows_of_the_beta_geo_agree_with_many_digits_in_300_cases():
    check_beta_geo(2, 300)


def test_a_window_after_almost_everybody_has_left_comes_to_an_end():
    s, u, a, c = 307.568162057804, 17.97847323962344, 293.8073875123483, 263.8442955499041
    with mp.workdps(60):
        for at in (u, 1.1 * u, 1.2 * u):
            assert still_active(s, at, a, c) == pytest.approx(float(slow.still_active(s, at, a, c)), rel=1e-10)
    window = purchases_between(s, u, u, a, c)
    assert 0.0 < window < s * u * still_active(s, u, a, c)


@pytest.mark.parametrize("a", [1.0, 1.0 + 1e-12])
def test_windows_have_no_singularity_at_one(a):
    with mp.workdps(60):
        # half of each side of a = 1 in the reference
        ends = [reference.bg_purchases_if_alive(3.2, u, 1.0, 4.4) for u in (2.0, 2.5)]
        assert purchases_between(3.2, 2.0, 0.5, a, 4.4) == pytest.approx(float(ends[1] - ends[0]), rel=1e-10)


def check_lifetimes(seed, n):
    rng = np.random.default_rng(seed)
    with mp.workdps(25):
        for case in range(n):
            r, alpha, s, beta = 10 ** rng.uniform(-3, 3, 4)
            shape = r + float(rng.integers(0, 10 ** rng.uniform(0, 4)))
            age = 10 ** rng.uniform(0, 4)
            t, count = age * 10 ** rng.uniform(-2, 1), float(rng.integers(0, 10 ** rng.uniform(0, 3.5)))
            scale, b, beta = alpha + age, 0.0, beta + age
            survivor, density = slow.pareto_survivor(s, beta)
            if case % 2:
                b, beta = 10 ** rng.uniform(-4, 0), 10 ** rng.uniform(-3, 3)
                survivor, density = slow.gompertz_survivor(b, s, beta)
            if b * s * t > 1e4:  # nobody lives
                continue
            expected = float(slow.dies_after(count, shape, scale, survivor, density, t))
            found = life_integral(count, shape, scale, s, b, beta, t, 1.0)
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-290)
            if count > 0:
                expected = float(slow.lives_through(count, shape, scale, survivor, t))
                found = life_integral(count, shape, scale, s, b, beta, t, 0.0)
                assert found == pytest.approx(expected, rel=1e-9, abs=1e-290)


def test_counts_within_lifetimes_agree_with_many_digits():
    check_lifetimes(3, 3)


@pytest.mark.thorough
def test_counts_within_lifetimes_agree_with_many_digits_in_60_cases():
    check_lifetimes(4, 60)


def test_counts_of_a_customer_agree_with_many_digits():
    who = {"frequency": [5.0], "recency": [20.0], "T": [30.0]}
    counts = [0, 2, 7]
    with mp.workdps(30):
        model = MODELS["bg"]
        alive = reference.bg_alive(5, 20, 30, *model.params_.values())
        expected = [alive * slow.coin_counts(n, 5.243, 34.414, 0.793, 7.426, 12.0) for n in counts]
        expected[0] += 1 - alive
        found = model.predict_count_probabilities(who, counts, 12.0)[0]
        np.testing.assert_allclose(found, np.array(expected, float), rtol=1e-10)
        model = MODELS["pareto"]
        alive = float(model.predict_alive(who)[0])
        lives = slow.pareto_survivor(0.606, 41.656)
        expected = [alive * float(slow.lifetime_counts(n, 5.553, 40.58, *lives, 12.0)) for n in counts]
        expected[0] += 1 - alive
        np.testing.assert_allclose(model.predict_count_probabilities(who, counts, 12.0)[0], expected, rtol=1e-10)
        assert model.predict_alive(who, ahead=12)[0] == pytest.approx(alive * (41.656 / 53.656) ** 0.606, rel=1e-12)


@pytest.mark.parametrize("name", ["bg_cnbd", "mbg_cnbd"])
def test_regular_timing_agrees_with_a_sum_over_events(name):
    model = MODELS[name]
    x, t_x, age = 2.0, 20.0, 22.0
    who = {"frequency": [x], "recency": [t_x], "T": [age]}
    k, r, alpha, a, b = model.params_.values()
    c = b + x + (1.0 if name == "mbg_cnbd" else 0.0)
    given = (int(k), r + k * x, (age - t_x) / (alpha + age), alpha + age, a, c, 12.0)
    alive = float(model.predict_alive(who)[0])
    with mp.workdps(30):
        expected = [alive * float(slow.phased_counts(n, *given)) for n in (0, 1, 2, 6)]
        expected[0] += 1 - alive
        found = model.predict_count_probabilities(who, [0, 1, 2, 6], 12.0)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-11)
        stays = float(by_counting(int(k), r + k * x, 12.0 / (alpha + age), (age - t_x) / (alpha + age), a, c)[0])
        assert model.predict_alive(who, ahead=12)[0] == pytest.approx(alive * stays, rel=1e-11)


def test_opportunities_agree_with_steps():
    model, who = MODELS["bgbb"], {"frequency": [3], "recency": [5], "T": [6]}
    alive = float(model.predict_alive(who)[0])
    expected = alive * slow.opportunities(1.204 + 3, 0.75 + 3, 0.657, 2.784 + 6, 8)
    expected[0] += 1 - alive
    np.testing.assert_allclose(model.predict_count_probabilities(who, np.arange(9), 8)[0], expected, rtol=1e-11)
    assert (model.predict_count_probabilities(who, [9, 10], 8) == 0).all()
    later = [model.predict_alive(who, ahead=ahead)[0] for ahead in (3, 4, 5)]
    rate = (1.204 + 3) / (1.204 + 0.75 + 6)
    assert model.predict_purchases(who, 3, start=2)[0] == pytest.approx(rate * sum(later), rel=1e-11)


# --- over the whole range of parameters and customers ----------------------------------------------------------------

SHAPES = {BetaGeoModel: "r alpha a b", ModifiedBetaGeoModel: "r alpha a b", ParetoNBDModel: "r alpha s beta"}


def extremes(rng, kind, n):
    params = dict(zip(SHAPES[kind].split(), 10 ** rng.uniform(-3, 3, 4), strict=True))
    names = list(params)
    special = rng.integers(0, 5)
    if special == 0:
        params[names[2]] = 1.0  # a = 1, s = 1
    elif special == 1:
        params[names[2]] = params["r"]
    elif special == 2:
        params[names[3]] = params["alpha"]
    model = kind.from_params(**{name: float(value) for name, value in params.items()})
    x = np.floor(10 ** rng.uniform(0, 4, n)) - 1.0
    x[:3] = 0.0, 1.0, 1e4
    age = 10 ** rng.uniform(-2, 4, n)
    age[3] = 1e4
    recency = np.where(x > 0, age * rng.uniform(0, 1, n), 0.0)
    recency[4:6] = np.where(x[4:6] > 0, age[4:6], 0.0)
    return model, {"frequency": x, "recency": recency, "T": age}


def check_finite(seed, n_models, n_customers):
    rng = np.random.default_rng(seed)
    for _ in range(n_models):
        model, table = extremes(rng, list(SHAPES)[rng.integers(3)], n_customers)
        horizon = float(10 ** rng.uniform(-2, 4))
        alive = model.predict_alive(table)
        later = model.predict_alive(table, ahead=horizon)
        assert ((later >= 0) & (later <= alive * (1 + 1e-9))).all()
        near, far = (model.predict_purchases(table, horizon, start=start) for start in (0, horizon))
        assert np.isfinite(near).all()
        assert (near >= 0).all()
        assert ((far >= 0) & (far <= near * (1 + 1e-9))).all()
        discounted = model.predict_discounted_purchases(table, np.inf, 0.0027)
        assert (np.isfinite(discounted) & (discounted >= 0)).all()
        assert (model.predict_discounted_purchases(table, horizon, 0.0027) <= near * (1 + 1e-9)).all()
        chance = model.predict_count_probabilities(table, [0, 1, 5, 100, 10_000], horizon)
        assert ((chance >= 0) & (chance <= 1 + 1e-12)).all()
        few = {name: values[:20] for name, values in table.items()}
        quantiles = model.predict_count_quantiles(few, [0.1, 0.9], horizon)
        assert (quantiles[:, 0] <= quantiles[:, 1]).all()
        assert (model.sample(few, 2, horizon, rng=1) >= 0).all()


def test_everything_is_finite_at_the_extremes():
    check_finite(5, 15, 20)


@pytest.mark.thorough
def test_everything_is_finite_at_the_extremes_of_100_000_customers():
    check_finite(6, 500, 200)


# --- what is said ----------------------------------------------------------------------------------------------------


def test_parameters_are_checked():
    model = MODELS["bg"]
    with pytest.raises(ValueError, match=r"The 'ahead' parameter of BetaGeoModel.predict_alive must be a float in"):
        model.predict_alive(TABLE, ahead=-1)
    with pytest.raises(ValueError, match=r"The 'start' parameter of BetaGeoModel.predict_purchases must be"):
        model.predict_purchases(TABLE, 1.0, start=np.inf)
    with pytest.raises(
        ValueError, match=r"The 'horizon' parameter of BetaGeoModel.predict_count_probabilities must be"
    ):
        model.predict_count_probabilities(TABLE, 1, -1.0)
    for bad in ([0, -1], "2", [1.0], [[0, 1], [2]]):
        with pytest.raises(ValueError, match=r"The 'n' parameter of"):
            model.predict_count_probabilities(TABLE, bad, 1.0)
    for bad in (1.0, "0.5", [0.5, None], [True], np.nan):
        with pytest.raises(ValueError, match=r"The 'q' parameter of BetaGeoModel.predict_count_quantiles must be"):
            model.predict_count_quantiles(TABLE, bad, 1.0)
    for bad in ("4", [1.0, np.nan], 1j, True, 2**1100):
        with pytest.raises(ValueError, match=r"The 'horizon' parameter of expected_purchases_new_customer must be"):
            model.expected_purchases_new_customer(bad)
    with pytest.raises(ValueError, match=r"The 'horizon' parameter of BetaGeoModel.predict_count_quantiles must be"):
        model.predict_count_quantiles(TABLE, 0.5, np.inf)
    with pytest.raises(ValueError, match=r"The 'n_draws' parameter of BetaGeoModel.sample must be"):
        model.sample(TABLE, 0, 1.0)
    with pytest.raises(ValueError, match=r"The 'rng' parameter of BetaGeoModel.sample must be"):
        model.sample(TABLE, 1, 1.0, rng="seed")
    with pytest.raises(InvalidDataError, match="1 of 1 rows have recency > T"):
        model.sample({"frequency": [1], "recency": [5], "T": [4]}, 1, 1.0)
    with pytest.raises(NotFittedError):
        BetaGeoModel().sample(TABLE, 1, 1.0)


def test_tables_in_an_engine_get_columns_or_a_word():
    model, lazy = MODELS["pareto"], pl.DataFrame(TABLE).lazy()
    found = model.predict_alive(lazy, ahead=3).collect()["p_alive"].to_numpy()
    np.testing.assert_array_equal(found, model.predict_alive(TABLE, ahead=3))
    found = model.predict_purchases(lazy, 3.0, start=2).collect()["expected_purchases"].to_numpy()
    np.testing.assert_array_equal(found, model.predict_purchases(TABLE, 3.0, start=2))
    with pytest.raises(TypeError, match=r"ParetoNBDModel.sample gives many numbers a customer and takes no table in"):
        model.sample(lazy, 2, 3.0)


def test_customers_with_covariates_have_futures_of_their_own():
    model = BetaGeoModel.from_params(
        r=0.243, alpha=4.414, a=0.793, b=2.426, coefficients={"rate": {"web": 0.5}, "dropout": {"web": -0.3}}
    )
    table = {**TABLE, "web": [0.0, 1.0, 1.0, 0.0]}
    chance = model.predict_count_probabilities(table, [0, 1, 2], HORIZON)
    later = model.predict_purchases(table, 4.0, start=5)
    for value in (0.0, 1.0):
        rows = np.array(table["web"]) == value
        plain = model.with_covariates({"web": value})
        some = {name: np.array(TABLE[name])[rows] for name in TABLE}
        np.testing.assert_array_equal(chance[rows], plain.predict_count_probabilities(some, [0, 1, 2], HORIZON))
        np.testing.assert_array_equal(later[rows], plain.predict_purchases(some, 4.0, start=5))
    means = model.sample(table, 20_000, HORIZON, rng=0).mean(axis=1)
    np.testing.assert_allclose(means, model.predict_purchases(table, HORIZON), rtol=0.06)
