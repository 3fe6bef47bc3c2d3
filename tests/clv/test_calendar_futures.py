"""What customers on a calendar do next: against integrals in many digits, against models without one, and by draws."""

from __future__ import annotations

from itertools import pairwise

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from tests.clv.test_time_varying import BG, INTERVALS, KINDS, NOW, PARETO, STILL, TABLE, ZERO, known, story
from tests.reference import calendar as slow
from tests.reference import futures

from custanalytics import _jit
from custanalytics.clv import LifetimeValue, TimeVaryingBetaGeoModel, TimeVaryingParetoNBDModel, _futures
from custanalytics.exceptions import InvalidDataError

DAY = np.timedelta64(1, "D")
COUNTS = np.arange(120)
HORIZON = 6.0
LATER = [*INTERVALS["start"].tolist(), ZERO + DAY * 200]
CHANGING = pd.DataFrame({"start": LATER, "sale": [0.0, 1, 0, 1, 0, 1], "season": [0.2, -0.4, 0.9, 0.0, -1.0, 0.6]})


@pytest.fixture(params=KINDS, scope="module")
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model(kind):
    return known(kind, intervals=CHANGING)


def ahead_of(kind, name, intervals=CHANGING):
    """What a customer is like who is alive, and the pieces of six weeks ahead, by the reference."""
    customer, x, _, T, _ = story(kind, name)
    bought, aged = (float(customer.passed(T, each)) for each in (customer.speeds, customer.hazards))
    edges = [NOW, *(week for week in (np.array([180, 200]) / 7).tolist() if NOW < week < NOW + HORIZON), NOW + HORIZON]
    pieces = []
    for low, high in pairwise(edges):
        row = CHANGING[CHANGING["start"] <= pd.Timestamp(ZERO) + pd.Timedelta(weeks=low)].iloc[-1]
        hazard = 0.5 * row["season"] if kind is TimeVaryingParetoNBDModel else 0.0
        pieces.append((high - low, np.exp(0.7 * row["sale"] - 0.3 * row["season"]), np.exp(hazard)))
    return x, bought, aged, pieces


# --- distributions ---------------------------------------------------------------------------------------------------


def test_counts_are_those_of_the_story(kind, model):
    counts = [0, 1, 3, 8]
    found = model.predict_count_probabilities(TABLE, counts, HORIZON)
    alive = model.predict_alive(TABLE)
    for at in (0, 1, 5):
        x, bought, aged, pieces = ahead_of(kind, TABLE["customer_id"][at])
        with mp.workdps(25):
            if kind is TimeVaryingBetaGeoModel:
                r, alpha, a, b = BG.values()
                time = sum(length * rate for length, rate, _ in pieces)
                chances = [futures.coin_counts(n, r + x, alpha + bought, a, b + x, time) for n in counts]
            else:
                r, alpha, s, beta = PARETO.values()
                chances = [slow.lifetime_counts(n, r + x, alpha + bought, s, beta + aged, pieces, 2) for n in counts]
        expected = alive[at] * np.array(chances, float)
        expected[0] += 1.0 - alive[at]
        np.testing.assert_allclose(found[at], expected, rtol=1e-10)


def test_counts_are_a_distribution_with_the_expectation(model):
    chance = model.predict_count_probabilities(TABLE, COUNTS, HORIZON)
    assert (chance >= 0).all()
    np.testing.assert_allclose(chance.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(chance @ COUNTS, model.predict_purchases(TABLE, HORIZON), rtol=1e-10)
    np.testing.assert_array_equal(model.predict_count_probabilities(TABLE, 2, HORIZON).shape, (6,))
    shuffled = model.predict_count_probabilities(TABLE, [7, 0, 2], HORIZON)
    np.testing.assert_allclose(shuffled, chance[:, [7, 0, 2]], rtol=1e-12)


def test_quantiles_are_those_of_the_distribution(model):
    levels = [0.0, 0.05, 0.5, 0.9, 0.999]
    below = np.cumsum(model.predict_count_probabilities(TABLE, COUNTS, HORIZON), axis=1)
    expected = np.array([[np.argmax(row >= level) for level in levels] for row in below])
    np.testing.assert_array_equal(model.predict_count_quantiles(TABLE, levels, HORIZON), expected)


def test_counts_of_a_new_customer_depend_on_the_date(kind, model):
    new = {"customer_id": ["before", "in"], "frequency": [0, 0], "recency": [0.0, 0.0], "T": [0.0, 0.0]}
    new["first_seen"] = np.array([ZERO + 110 * DAY, ZERO + 140 * DAY])  # the sale begins on day 140
    chance = model.predict_count_probabilities(new, COUNTS, 4.0)
    np.testing.assert_allclose(chance @ COUNTS, model.predict_purchases(new, 4.0), rtol=1e-10)
    assert chance[1, 0] < chance[0, 0]
    # within one interval a new customer is that of the plain model, at an alpha and a beta of the interval
    speed = np.exp(0.7)
    params = {**KINDS[kind], "alpha": KINDS[kind]["alpha"] / speed}
    plain = STILL[kind].from_params(**params)
    np.testing.assert_allclose(chance[1], plain.probability_of_purchases(COUNTS, 4.0), rtol=1e-10)


def test_faster_purchases_are_more_and_faster_dropout_leaves_fewer(kind):
    def at_least(rate, dropout):
        effects = {"rate": {"sale": rate}}
        if kind is TimeVaryingParetoNBDModel:
            effects["dropout"] = {"sale": dropout}
        intervals = CHANGING.assign(sale=(CHANGING["start"] > pd.Timestamp(ZERO) + pd.Timedelta(weeks=NOW)) * 1.0)
        model = kind.from_params(**KINDS[kind], coefficients=effects, intervals=intervals)
        chance = model.predict_count_probabilities(TABLE, np.arange(12), HORIZON)
        return 1.0 - np.cumsum(chance, axis=1)

    assert (at_least(0.5, 0.0) > at_least(0.0, 0.0)).all()
    assert (at_least(-0.5, 0.0) < at_least(0.0, 0.0)).all()
    if kind is TimeVaryingParetoNBDModel:
        assert (at_least(0.0, 0.5) < at_least(0.0, 0.0)).all()


# --- draws -----------------------------------------------------------------------------------------------------------


def test_draws_have_the_mean_and_the_variance_of_the_distribution(model):
    size = 40_000
    draws = model.sample(TABLE, size, HORIZON, rng=5)
    chance = model.predict_count_probabilities(TABLE, COUNTS, HORIZON)
    mean = chance @ COUNTS
    moments = [(chance * (COUNTS - mean[:, None]) ** power).sum(axis=1) for power in (2, 4)]
    assert (np.abs(draws.mean(axis=1) - mean) < 4.0 * np.sqrt(moments[0] / size)).all()
    spread = np.sqrt((moments[1] - moments[0] ** 2) / size)
    assert (np.abs(draws.var(axis=1) - moments[0]) < 4.0 * spread).all()
    none = (draws == 0).mean(axis=1)
    assert (np.abs(none - chance[:, 0]) < 4.0 * np.sqrt(chance[:, 0] * (1.0 - chance[:, 0]) / size)).all()


@pytest.mark.parametrize(("horizon", "rate"), [(30.0, 0.0), (30.0, 4.0), (np.inf, 30.0)])
def test_drawn_values_are_worth_what_is_expected(model, horizon, rate):
    value = LifetimeValue(purchases=model, spend=5.0, horizon=horizon, discount_rate=rate)
    draws = value.sample(TABLE, 40_000, rng=6)
    away = (draws.mean(axis=1) - value.predict(TABLE)) / (draws.std(axis=1) / 200.0)
    assert (np.abs(away) < 4.0).all()


def test_purchases_are_dated_within_their_intervals():
    # nobody buys but in one week, 10 weeks ahead, so that the discount of all purchases is that of this week
    start = ZERO + DAY * 7 * np.array([0, NOW + 10, NOW + 11])
    intervals = pd.DataFrame({"start": start, "open": [0.0, 1.0, 0.0]})
    effects = {"rate": {"open": 40.0}}
    model = TimeVaryingBetaGeoModel.from_params(
        r=2.0, alpha=1e17, a=0.8, b=2.5, coefficients=effects, intervals=intervals
    )
    first, later = (
        LifetimeValue(purchases=model, spend=1.0, horizon=20.0, discount_rate=rate).sample(TABLE, 500, rng=1)
        for rate in (0.0, 1.0)
    )
    seen = first > 0
    assert seen.any()
    ratio = later[seen] / first[seen]
    year = 365.25 / 7
    assert (ratio < 2.0 ** (-10 / year)).all()
    assert (ratio > 2.0 ** (-11 / year)).all()


# --- what changes nothing --------------------------------------------------------------------------------------------


def test_a_covariate_without_effect_gives_what_the_plain_model_gives(kind):
    model = known(kind, intervals=CHANGING)
    model.coefficients_ = {process: dict.fromkeys(each, 0.0) for process, each in model.coefficients_.items()}
    plain = STILL[kind].from_params(**KINDS[kind])
    for ask in (
        lambda model: model.predict_count_probabilities(TABLE, [0, 1, 5, 40], 30.0),
        lambda model: model.predict_count_probabilities(TABLE, [0, 1, 5, 40], np.inf),
        lambda model: model.predict_alive(TABLE, ahead=30.0),
        lambda model: model.predict_alive(TABLE, ahead=np.inf),
        lambda model: model.predict_purchases(TABLE, 5.0, start=20.0),
        lambda model: model.predict_purchases(TABLE, 1e-7, start=700.0),  # not by a difference of times
    ):
        np.testing.assert_allclose(ask(model), ask(plain), rtol=1e-12)
    for ask in (
        lambda model: model.predict_count_probabilities(TABLE, [0, 1], 0.0),
        lambda model: model.predict_count_quantiles(TABLE, [0.1, 0.9, 0.99], 30.0),
        lambda model: model.sample(TABLE, 200, 30.0, rng=4),
        lambda model: model.sample(TABLE, 2, 0.0, rng=4),
    ):
        np.testing.assert_array_equal(ask(model), ask(plain))
    ours, theirs = (
        LifetimeValue(purchases=each, spend=3.0, horizon=40.0).sample(TABLE, 50, rng=2) for each in (model, plain)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def asked_of(model, table):
    return (
        model.predict_count_probabilities(table, [0, 3], HORIZON),
        model.predict_count_quantiles(table, [0.5, 0.95], HORIZON),
        model.predict_alive(table, ahead=4.0),
        model.predict_purchases(table, 4.0, start=2.0),
        model.sample(table, 5, HORIZON, rng=3),
        LifetimeValue(purchases=model, spend=2.0, horizon=9.0).sample(table, 5, rng=3),
    )


def test_threads_chunks_and_other_rows_change_nothing(model, monkeypatch):
    many = pd.concat([TABLE] * 200, ignore_index=True)
    whole = asked_of(model, many)
    with _jit.threads(1):
        for found, expected in zip(asked_of(model, many), whole, strict=True):
            np.testing.assert_array_equal(found, expected)
    monkeypatch.setattr(_futures, "CHUNK", 7)
    for found, expected in zip(asked_of(model, many.iloc[:40]), whole, strict=True):
        np.testing.assert_array_equal(found, expected[:40])


def test_finer_intervals_and_those_of_each_customer_change_nothing(kind, model):
    whole = asked_of(model, TABLE)
    daily = ZERO + DAY * np.arange(0, 400)
    at = np.searchsorted(CHANGING["start"], daily, side="right") - 1
    fine = known(kind, intervals=CHANGING.iloc[at].assign(start=daily))
    own = pd.concat([CHANGING.assign(customer_id=name) for name in TABLE["customer_id"]])
    for other in (fine, known(kind, intervals=own)):
        for found, expected in zip(asked_of(other, TABLE), whole, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_a_horizon_falls_apart_into_windows(kind, model):
    whole = model.predict_purchases(TABLE, 12.0)
    parts = sum(model.predict_purchases(TABLE, 3.0, start=start) for start in (0, 3, 6, 9))
    np.testing.assert_allclose(parts, whole, rtol=1e-10)
    assert (model.predict_purchases(TABLE, 0.0, start=5) == 0).all()
    late = model.predict_alive(TABLE, ahead=HORIZON)
    for at in (0, 4):
        x, bought, aged, pieces = ahead_of(kind, TABLE["customer_id"][at])
        if kind is TimeVaryingBetaGeoModel:
            time = sum(length * rate for length, rate, _ in pieces)
            stays = futures.still_active(BG["r"] + x, time / (BG["alpha"] + bought), BG["a"], BG["b"] + x)
        else:
            older = sum(length * hazard for length, _, hazard in pieces)
            stays = (1.0 + older / (PARETO["beta"] + aged)) ** -PARETO["s"]
        assert late[at] == pytest.approx(model.predict_alive(TABLE)[at] * float(stays), rel=1e-10)


# --- edges and words -------------------------------------------------------------------------------------------------


def test_an_empty_table_has_an_empty_future(model):
    none = TABLE.iloc[:0]
    assert model.predict_count_probabilities(none, [0, 1], HORIZON).shape == (0, 2)
    assert model.predict_count_quantiles(none, [0.5], HORIZON).shape == (0, 1)
    assert model.sample(none, 3, HORIZON).shape == (0, 3)
    assert model.predict_alive(none, ahead=1).shape == (0,)
    assert model.predict_purchases(none, 1.0, start=1).shape == (0,)


def test_futures_beyond_the_intervals_are_refused(kind):
    ends = [*INTERVALS["start"][1:], ZERO + DAY * 190]
    model = known(kind, intervals=INTERVALS.assign(end=ends))
    inside = 22.0 / 7.0
    assert model.sample(TABLE, 2, inside, rng=1).shape == (6, 2)
    for ask in (
        lambda: model.sample(TABLE, 2, HORIZON),
        lambda: model.predict_count_probabilities(TABLE, [0], HORIZON),
        lambda: model.predict_count_probabilities(TABLE, [0], np.inf),
        lambda: model.predict_count_quantiles(TABLE, 0.5, HORIZON),
        lambda: model.predict_alive(TABLE, ahead=HORIZON),
        lambda: model.predict_purchases(TABLE, 3.0, start=3.0),
        lambda: LifetimeValue(purchases=model, spend=1.0, horizon=HORIZON).sample(TABLE, 2),
    ):
        with pytest.raises(
            InvalidDataError, match=r"6 of 6 .* up to (6|inf) ahead .* to 2020-07-09T00:00:00: add rows"
        ):
            ask()


def test_what_knows_no_dates_says_what_to_ask_instead(model):
    value = LifetimeValue(purchases=model, spend=5.0, horizon=4.0)
    with pytest.raises(TypeError, match=r"score_one knows no dates, and what TimeVarying\w+ expects depends on them"):
        value.score_one(1, 2.0, 3.0)
    with pytest.raises(TypeError, match=r"Call predict or transform with a table of a new customer, .* first_seen"):
        value.predict_new_customer()
    with pytest.raises(ValueError, match=r"The 'ahead' parameter of TimeVarying\w+.predict_alive must be"):
        model.predict_alive(TABLE, ahead=-1.0)
    with pytest.raises(ValueError, match=r"The 'start' parameter of TimeVarying\w+.predict_purchases must be"):
        model.predict_purchases(TABLE, 1.0, start=np.inf)
    with pytest.raises(ValueError, match=r"The 'horizon' parameter of TimeVarying\w+.predict_purchases must be"):
        model.predict_purchases(TABLE, -1.0, start=1.0)
    with pytest.raises(ValueError, match=r"needs a finite horizon where discount_rate is 0"):
        LifetimeValue(purchases=model, spend=5.0, horizon=np.inf, discount_rate=0.0).sample(TABLE, 1)


@pytest.mark.parametrize("start", [0.0, 5.0])
def test_customers_long_gone_are_expected_to_buy_for_ever(kind, start):
    """As without a calendar: however unlikely it is that they are active, it is no 0 for infinity to be times."""
    weeks = np.array([3000.0, 3000.0])
    first = np.datetime64("2024-01-01") - (weeks * 7).astype("timedelta64[D]")
    gone = {"customer_id": [1, 2], "first_seen": first, "frequency": [900, 2], "recency": [0.3, 1.0], "T": weeks}
    always = pd.DataFrame({"start": [np.datetime64("1950-01-01")], "sale": [1.0], "season": [0.0]})
    model = known(kind, intervals=always)
    assert (model.predict_alive(gone) > 0).all()
    assert (model.predict_purchases(gone, np.inf, start=start) == np.inf).all()


@pytest.mark.parametrize("horizon", [26.0, np.inf])
def test_customers_who_are_alike_are_discounted_once(kind, horizon, monkeypatch):
    model, asked = known(kind, intervals=CHANGING), []
    once, if_alive = model.predict_discounted_purchases(TABLE, horizon, 0.002), kind._if_alive

    def counted(self, x, bought, aged, window, times, *rest):
        asked.append((x.size, times.size))
        return if_alive(self, x, bought, aged, window, times, *rest)

    monkeypatch.setattr(kind, "_if_alive", counted)
    thrice = model.predict_discounted_purchases(pd.concat([TABLE] * 3), horizon, 0.002)
    np.testing.assert_array_equal(thrice, np.tile(once, 3))
    assert sum(customers for customers, _ in asked) == len(TABLE)
    assert max(times for _, times in asked) < 350  # for ever: at 0.2 % a week it is 30,000 weeks


@pytest.mark.parametrize("horizon", [1e-308, 1e-310, 5e-324])
def test_next_to_no_time_is_enough_for_no_purchase(model, horizon):
    chances = model.predict_count_probabilities(TABLE, [0, 1, 3], horizon)
    np.testing.assert_allclose(chances, np.tile([1.0, 0.0, 0.0], (len(TABLE), 1)), atol=1e-250)
    assert (model.predict_count_quantiles(TABLE, [0.5, 0.999], horizon) == 0).all()
    np.testing.assert_allclose(model.predict_alive(TABLE, ahead=horizon), model.predict_alive(TABLE), rtol=1e-14)
