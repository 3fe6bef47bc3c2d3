"""Covariates that change with time: likelihoods and expectations from the story, recovery, and what is refused."""

from __future__ import annotations

import pickle

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from tests.reference.covariates import Varying, seasonal_days

from custanalytics import _jit
from custanalytics.clv import (
    BetaGeoModel,
    LifetimeValue,
    ParetoNBDModel,
    TimeVaryingBetaGeoModel,
    TimeVaryingParetoNBDModel,
    likelihood_ratio_test,
)
from custanalytics.clv._windows import Objective
from custanalytics.datasets import load_cdnow
from custanalytics.exceptions import FitWarning, InvalidDataError, MissingColumnError
from custanalytics.rfm import RFMSummary

DAY = np.timedelta64(1, "D")
ZERO = np.datetime64("2020-01-01", "us")
BG = {"r": 0.6, "alpha": 6.0, "a": 0.8, "b": 2.5}
PARETO = {"r": 0.6, "alpha": 6.0, "s": 0.6, "beta": 10.0}
KINDS = {TimeVaryingBetaGeoModel: BG, TimeVaryingParetoNBDModel: PARETO}
STILL = {TimeVaryingBetaGeoModel: BetaGeoModel, TimeVaryingParetoNBDModel: ParetoNBDModel}
INTERVALS = pd.DataFrame(
    {
        "start": ZERO + DAY * np.array([0, 56, 70, 140, 180]),
        "sale": [0.0, 1.0, 0.0, 1.0, 0.0],
        "season": [0.2, -0.4, 0.9, 0.0, -1.0],
    }
)
# weeks since ZERO of the purchases of each customer
PURCHASES = {
    "ada": [1, 3, 9, 11, 19],
    "bob": [2],
    "eve": [0, 8, 20],
    "kim": [12, 13],
    "lea": [15],
    "sam": [5, 9, 10, 23],
}
NOW = 24


def log_of(purchases):
    rows = [(name, ZERO + DAY * (7 * week), 10.0) for name, weeks in purchases.items() for week in weeks]
    return pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"])


LOG = log_of(PURCHASES)
TABLE = RFMSummary(as_of=pd.Timestamp(ZERO) + pd.Timedelta(weeks=NOW)).fit_transform(LOG)


def coefficients(kind):
    rate = {"rate": {"sale": 0.7, "season": -0.3}}
    return rate if kind is TimeVaryingBetaGeoModel else {**rate, "dropout": {"season": 0.5}}


def known(kind, intervals=INTERVALS, **more):
    model = kind.from_params(**KINDS[kind], coefficients=coefficients(kind), intervals=intervals)
    return model.set_params(**{"log": LOG, **more})


def story(kind, name):
    """The customer as the reference sees them, with x, t_x and T in weeks and the log of the speeds at purchases."""
    first, *later = PURCHASES[name]
    begin = np.array([0, 8, 10, 20, 180 / 7]) - first
    given = coefficients(kind)
    log_speed = 0.7 * INTERVALS["sale"] - 0.3 * INTERVALS["season"]
    log_hazard = given.get("dropout", {"season": 0.0})["season"] * INTERVALS["season"]
    at = max(np.searchsorted(begin, 0, side="right") - 1, 0)
    customer = Varying([0.0, *begin[at + 1 :]], np.exp(log_speed[at:]), np.exp(log_hazard[at:]))
    bought = sum(log_speed[np.searchsorted(begin, week - first, side="right") - 1] for week in later)
    last = max(later, default=first) - first
    return customer, len(later), last, NOW - first, bought


@pytest.mark.parametrize("kind", KINDS)
def test_likelihood_is_that_of_the_story(kind):
    expected = mp.mpf(0)
    for name in PURCHASES:
        customer, x, t_x, T, bought = story(kind, name)
        form = customer.beta_geo if kind is TimeVaryingBetaGeoModel else customer.pareto
        expected += mp.log(form(x, t_x, T, *KINDS[kind].values())[0]) + bought
    assert known(kind).score(TABLE) * len(TABLE) == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_those_of_the_story(kind):
    model = known(kind)
    alive = model.predict_alive(TABLE)
    ahead = model.predict_purchases(TABLE, 6.0)
    worth = model.predict_discounted_purchases(TABLE, 6.0, 0.05)
    for at, name in enumerate(TABLE["customer_id"]):
        customer, x, t_x, T, _ = story(kind, name)
        if kind is TimeVaryingBetaGeoModel:
            form, expected = customer.beta_geo, customer.beta_geo_purchases
        else:
            form, expected = customer.pareto, customer.pareto_purchases
        whole, part = form(x, t_x, T, *KINDS[kind].values())
        assert alive[at] == pytest.approx(float(part / whole), rel=1e-10)
        assert ahead[at] == pytest.approx(float(expected(x, t_x, T, 6.0, 0.0, *KINDS[kind].values())), rel=1e-9)
        assert worth[at] == pytest.approx(float(expected(x, t_x, T, 6.0, 0.05, *KINDS[kind].values())), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_exact(kind):
    model = known(kind, covariate_penalty=0.1)
    calendar = model._calendar()
    weight = np.array([1.0, 2, 1, 3, 1, 1])
    watched = model._watch(calendar, TABLE, weight)
    units = model._units(10.0)
    objective = Objective(model, calendar, watched, model._penalty(10.0), units)
    point = np.append(np.log(np.array(list(KINDS[kind].values())) / units), model._coefficients())
    step = 1e-3
    for at, slope in enumerate(objective(point)[1]):
        move = step * np.eye(point.size)[at]
        near = objective(point + move)[0] - objective(point - move)[0]
        far = objective(point + 2 * move)[0] - objective(point - 2 * move)[0]
        assert slope == pytest.approx((8 * near - far) / (12 * step), rel=1e-7, abs=1e-8)


@pytest.fixture(scope="module")
def cdnow():
    log = load_cdnow()
    return log, RFMSummary(as_of="1997-09-30").fit_transform(log)


@pytest.mark.parametrize("kind", KINDS)
def test_covariates_that_say_nothing_change_nothing(kind, cdnow):
    log, table = cdnow
    weeks = pd.date_range("1996-12-30", "1999-01-04", freq="7D")
    still = STILL[kind]().fit(table)
    bare = kind(intervals=pd.DataFrame({"start": weeks})).fit(table)
    with pytest.warns(FitWarning, match="do not determine rate:nothing"):
        nothing = kind(
            intervals=pd.DataFrame({"start": weeks, "nothing": 0.0}), log=log, rate_covariates=("nothing",)
        ).fit(table)
    for model in (bare, nothing):
        assert model.log_likelihood_ == pytest.approx(still.log_likelihood_, abs=1e-7)
        for name, value in still.params_.items():
            assert model.params_[name] == pytest.approx(value, rel=1e-5)
            assert model.standard_errors_[name] == pytest.approx(still.standard_errors_[name], rel=1e-4)
        np.testing.assert_allclose(model.predict_alive(table), still.predict_alive(table), rtol=1e-5)
        model.params_ = still.params_
        np.testing.assert_allclose(model.predict_alive(table), still.predict_alive(table), rtol=1e-10)
        np.testing.assert_allclose(model.predict_purchases(table, 39), still.predict_purchases(table, 39), rtol=1e-10)
        np.testing.assert_allclose(
            model.predict_discounted_purchases(table, 39, 0.01),
            still.predict_discounted_purchases(table, 39, 0.01),
            rtol=1e-9,
        )
    assert likelihood_ratio_test(bare, nothing).degrees_of_freedom == 1
    assert likelihood_ratio_test(still, nothing).degrees_of_freedom == 1
    with pytest.raises(ValueError, match="is not a special case of"):
        likelihood_ratio_test(nothing, bare)


WEEKLY = np.sin(2 * np.pi * np.arange(80) / 26.0)


def simulated(kind, n, seed, winter=WEEKLY, alpha=6.0):
    """A log, its table, intervals, and the true parameters and coefficients."""
    dropout = kind is TimeVaryingParetoNBDModel
    theta = (1.5, alpha, 0.8, 20.0) if dropout else (1.5, alpha, 0.8, 4.0)
    sale = (np.arange(80) // 6) % 3 == 1
    days = seasonal_days(np.random.default_rng(seed), n, theta, sale, winter, 0.7 if dropout else None)
    log = pd.DataFrame({"customer_id": days[:, 0], "timestamp": ZERO + DAY * days[:, 1], "amount": 1.0})
    table = RFMSummary(as_of=pd.Timestamp(ZERO) + pd.Timedelta(days=7 * 78 - 1)).fit_transform(log)
    intervals = pd.DataFrame({"start": ZERO + 7 * DAY * np.arange(80), "sale": sale * 1.0, "winter": winter})
    truth = {**dict(zip(KINDS[kind], theta, strict=True)), "rate:sale": 0.8, "rate:winter": -0.4}
    return log, table, intervals, {**truth, "dropout:winter": 0.7} if dropout else truth


def seasonal(kind, log, intervals):
    given = {"dropout_covariates": ("winter",)} if kind is TimeVaryingParetoNBDModel else {}
    return kind(intervals=intervals, log=log, rate_covariates=("sale", "winter"), **given)


@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_is_recovered(kind):
    log, table, intervals, truth = simulated(kind, 1500, 1)
    model = seasonal(kind, log, intervals).fit(table)
    assert model.converged_
    for name, value in model._estimates().items():
        # daily steps leave out second purchases of a day: shapes are off by a few per cent, coefficients are not
        slack = 0.0 if ":" in name else 0.1 * truth[name]
        assert abs(value - truth[name]) < 4.0 * model.standard_errors_[name] + slack, name
    assert model.standard_errors_["rate:sale"] < 0.06
    still = kind(intervals=intervals).fit(table)
    assert likelihood_ratio_test(still, model).p_value < 1e-12
    assert model.log_likelihood_ == pytest.approx(model.score(table) * len(table), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_of_each_customer_can_be_those_of_everybody(kind):
    rng = np.random.default_rng(2)
    copies = [INTERVALS.assign(customer_id=name) for name in PURCHASES]
    shuffled = pd.concat(copies).sample(frac=1.0, random_state=rng)
    one, each = known(kind), known(kind, intervals=shuffled)
    np.testing.assert_allclose(each.predict_purchases(TABLE, 6.0), one.predict_purchases(TABLE, 6.0), rtol=1e-12)
    assert each.score(TABLE) == pytest.approx(one.score(TABLE), rel=1e-12)
    other = shuffled.assign(sale=shuffled["sale"].where(shuffled["customer_id"] != "sam", 0.0))
    changed = known(kind, intervals=other).predict_purchases(TABLE, 6.0) != each.predict_purchases(TABLE, 6.0)
    assert TABLE["customer_id"][changed].tolist() == ["sam"]


@pytest.mark.parametrize("kind", KINDS)
def test_order_threads_weights_and_finer_intervals_change_nothing(kind):
    weight = np.array([1.0, 2, 1, 3, 1, 1])
    model = known(kind, penalty=0.05).fit(TABLE, sample_weight=weight)
    order = [3, 1, 5, 0, 2, 4]
    again = known(kind, penalty=0.05, log=LOG.iloc[::-1]).fit(TABLE.iloc[order], sample_weight=weight[order])
    assert again.log_likelihood_ == pytest.approx(model.log_likelihood_, rel=1e-13)
    assert again.coefficients_["rate"]["sale"] == pytest.approx(model.coefficients_["rate"]["sale"], rel=1e-8)
    with _jit.threads(1):
        assert known(kind, penalty=0.05).fit(TABLE, sample_weight=weight).params_ == model.params_
    daily = ZERO + DAY * np.arange(0, 260)
    at = np.searchsorted(INTERVALS["start"], daily, side="right") - 1
    fine = INTERVALS.iloc[at].assign(start=daily)
    assert known(kind, intervals=fine).score(TABLE) == pytest.approx(known(kind).score(TABLE), rel=1e-11)
    np.testing.assert_allclose(
        known(kind, intervals=fine).predict_discounted_purchases(TABLE, 6.0, 0.05),
        known(kind).predict_discounted_purchases(TABLE, 6.0, 0.05),
        rtol=1e-10,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_frames_json_pickle_and_clone(kind, to_frame):
    model = known(kind)
    expected = model.predict_purchases(TABLE, 6.0)
    other = known(kind, intervals=to_frame(INTERVALS), log=to_frame(LOG))
    np.testing.assert_array_equal(other.predict_purchases(to_frame(TABLE), 6.0), expected)
    assert other.score(to_frame(TABLE)) == model.score(TABLE)
    again = kind.from_json(model.to_json())
    assert len(model.to_json()) < 2000
    with pytest.raises(ValueError, match=r"needs the covariates: set_params\(intervals=...\)"):
        again.predict_alive(TABLE)
    np.testing.assert_array_equal(again.set_params(intervals=INTERVALS).predict_purchases(TABLE, 6.0), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_purchases(TABLE, 6.0), expected)
    assert clone(model).rate_covariates == model.rate_covariates


def test_a_new_customer_is_a_row_of_zeros():
    row = {"customer_id": ["new"], "frequency": [0], "recency": [0.0], "T": [0.0]}
    row["first_seen"] = np.array([ZERO + 140 * DAY])
    model = known(TimeVaryingBetaGeoModel)
    plain = BetaGeoModel.from_params(**BG)
    inside = model.predict_purchases(row, 40 / 7)[0]  # 40 days within one interval: 0.7 and 0 are its covariates
    assert inside == pytest.approx(plain.expected_purchases_new_customer(40 / 7 * np.exp(0.7)), rel=1e-12)


def test_an_open_end_reaches_to_infinity():
    model = known(TimeVaryingParetoNBDModel)
    far = model.set_params(rate_covariates=("sale", "season")).predict_purchases(TABLE, 1e6)
    assert np.isinf(model.predict_purchases(TABLE, np.inf)).all()  # s < 1
    assert (far > model.predict_purchases(TABLE, 100.0)).all()
    worth = model.predict_discounted_purchases(TABLE, np.inf, 0.01)
    np.testing.assert_allclose(worth, model.predict_discounted_purchases(TABLE, 5000.0, 0.01), rtol=1e-9)


@pytest.mark.parametrize("start", ["1970-01-01", "2021-03-01"])
def test_an_end_that_is_that_of_the_observation_reaches_to_it(start):
    start, days = np.datetime64(start, "us"), np.arange(700, 900)
    ends = start + days * np.timedelta64(1, "D")
    intervals = pd.DataFrame({"customer_id": days, "start": start, "end": ends, "sale": 0.5})
    rows = {
        "customer_id": days,
        "first_seen": np.full(days.size, start),
        "frequency": 0.0 * days,
        "recency": 0.0 * days,
    }
    model = TimeVaryingBetaGeoModel.from_params(
        r=0.5, alpha=2.0, a=0.8, b=2.5, coefficients={"rate": {"sale": 0.5}}, intervals=intervals, time_unit="Y"
    )
    assert (model.predict_alive(pd.DataFrame(rows | {"T": days / 365.25})) == 1.0).all()
    with pytest.raises(InvalidDataError, match="200 of 200 customers are not covered"):
        model.predict_alive(pd.DataFrame(rows | {"T": (days + 1e-9) / 365.25}))


def with_end(ends):
    return INTERVALS.assign(end=pd.to_datetime(ends))


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        (INTERVALS.iloc[1:], r"4 of 6 customers are not covered by the intervals from their first purchase to the end"),
        (with_end([*INTERVALS["start"][1:], "2020-06-29 12:00"]), "up to 6 ahead"),
        (
            with_end([*INTERVALS["start"][1:], "2020-07-05"]),
            r"6 of 6 .* up to 6 ahead .* to 2020-07-05T00:00:00: add rows",
        ),
        (with_end([*INTERVALS["start"][1:4], "2020-06-28", None]), "1 of 5 intervals do not end when the next starts"),
        (with_end([None, *INTERVALS["start"][2:], None]), "have no end though another follows"),
        (with_end([*INTERVALS["start"][1:], "2020-01-01"]), "do not end after their start"),
        (INTERVALS.assign(start=INTERVALS["start"].iloc[[0, 1, 1, 3, 4]].to_numpy()), "start when another does"),
        (INTERVALS.assign(sale=[0.0, np.nan, 0.0, 1.0, 0.0]), "1 of 5 intervals have a missing or infinite sale"),
        (INTERVALS.assign(start=[None, *INTERVALS["start"][1:]]), "1 of 5 intervals have no start"),
        (INTERVALS.assign(customer_id="ada"), r"5 of 6 customers have no intervals \(first: bob, eve"),
        (INTERVALS.assign(customer_id=["ada"] * 4 + [None]), "1 of 5 intervals have no customer_id"),
        (INTERVALS.iloc[:0], "has no rows"),
    ],
)
def test_intervals_that_cannot_be_are_refused(intervals, message):
    with pytest.raises(InvalidDataError, match=message):
        known(TimeVaryingBetaGeoModel, intervals=intervals).predict_purchases(TABLE, 6.0)


def test_other_misunderstandings_are_refused():
    with pytest.raises(MissingColumnError, match=r"intervals of TimeVarying.* needs the columns \['season'\]"):
        known(TimeVaryingBetaGeoModel, intervals=INTERVALS[["start", "sale"]]).predict_alive(TABLE)
    with pytest.raises(
        InvalidDataError, match=r"1 of 6 customers have another frequency than the log shows \(first: ada"
    ):
        known(TimeVaryingBetaGeoModel, log=LOG.iloc[[0, *range(2, len(LOG))]]).fit(TABLE)
    with pytest.raises(ValueError, match="needs the log"):
        known(TimeVaryingBetaGeoModel, log=None).fit(TABLE)
    with pytest.raises(ValueError, match=r"has the processes \['rate'\]; got \['dropout'\]"):
        TimeVaryingBetaGeoModel.from_params(**BG, coefficients={"dropout": {"sale": 1.0}})
    with pytest.raises(ValueError, match="are distinct names of columns"):
        known(TimeVaryingBetaGeoModel, rate_covariates=("sale", "sale")).fit(TABLE)
    with pytest.raises(InvalidDataError, match="takes one row per customer; 1 are repeated"):
        known(TimeVaryingBetaGeoModel).fit(pd.concat([TABLE, TABLE.iloc[:1]]))
    with pytest.raises(ValueError, match="no sandwich covariance"):
        known(TimeVaryingBetaGeoModel, penalty=0.05).fit(TABLE).sandwich_covariance(TABLE)
    with pytest.raises(InvalidDataError, match="at least one customer"):
        known(TimeVaryingBetaGeoModel).fit(TABLE, sample_weight=np.zeros(6))
    with pytest.raises(InvalidDataError, match="1 of 6 customers have no first_seen"):
        known(TimeVaryingBetaGeoModel).predict_alive(TABLE.assign(first_seen=[None, *TABLE["first_seen"][1:]]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"coefficients": [1]}, r"'coefficients' parameter of TimeVaryingBetaGeoModel must be an instance"),
        ({"coefficients": {"rate": None}}, r"coefficients\['rate'\]. parameter .* must be an instance"),
        ({"coefficients": {"rate": "sale"}}, r"coefficients\['rate'\]. parameter .* must be an instance"),
        ({"coefficients": {"rate": {3: 1.0}}}, r"a column of coefficients\['rate'\]. parameter"),
        ({"time_unit": "Q"}, "'time_unit' parameter of TimeVaryingBetaGeoModel must be a str among"),
        ({"period": "W"}, "'period' parameter of TimeVaryingBetaGeoModel must be a str among"),
    ],
)
def test_parameters_that_cannot_be_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        TimeVaryingBetaGeoModel.from_params(**BG, intervals=INTERVALS, **given)


@pytest.mark.parametrize("kind", KINDS)
def test_lifetime_value_refuses_a_model_in_another_unit(kind):
    value = LifetimeValue(purchases=known(kind, time_unit="D"), spend=5.0)
    for ask in (value.fit, value.predict, value.transform):
        with pytest.raises(ValueError, match=rf"LifetimeValue counts time in weeks, .* {kind.__name__}, in days"):
            ask(TABLE)


def test_returns_are_no_purchases():
    returned = pd.concat([LOG, LOG.iloc[1:2].assign(timestamp=LOG["timestamp"].iloc[1] + DAY, amount=-3.0)])
    model = known(TimeVaryingParetoNBDModel)
    assert model.set_params(log=returned).score(TABLE) == known(TimeVaryingParetoNBDModel).score(TABLE)


def test_texts_name_moments_and_lifetime_value_takes_the_models():
    texts = {name: INTERVALS[name].to_numpy() for name in ("sale", "season")}
    texts["start"] = INTERVALS["start"].dt.strftime("%Y-%m-%d").tolist()
    model = known(TimeVaryingParetoNBDModel, intervals=texts)
    expected = known(TimeVaryingParetoNBDModel).predict_purchases(TABLE, 6.0)
    np.testing.assert_array_equal(model.predict_purchases(TABLE, 6.0), expected)
    value = LifetimeValue(purchases=model, spend=5.0, horizon=6.0, discount_rate=0.0)
    np.testing.assert_allclose(value.predict(TABLE), 5.0 * expected, rtol=1e-12)
    for text in ("in March", "2020-02-26T00:00:00+05:00"):
        texts["start"][1] = text
        with pytest.raises(InvalidDataError, match="The column 'start' of intervals must hold dates or datetimes"):
            model.predict_alive(TABLE)
    with pytest.raises(MissingColumnError, match=r"needs the columns \['weight'\]"):
        known(TimeVaryingParetoNBDModel).fit(TABLE, sample_weight="weight")
