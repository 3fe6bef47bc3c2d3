"""Posteriors of models on a calendar: against models without one, against their own likelihood, over simulated data."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from tests.clv.test_time_varying import INTERVALS, KINDS, STILL, TABLE, WEEKLY, ZERO, known, seasonal, simulated

from custanalytics import _jit
from custanalytics.clv import (
    GammaGammaModel,
    LifetimeValue,
    ParameterPosterior,
    TimeVaryingParetoNBDModel,
    _posterior_predictions,
)
from custanalytics.clv._calendar import Calendar
from custanalytics.clv._posterior_target import target_of
from custanalytics.clv._time_varying_pareto_nbd import customers, seen
from custanalytics.exceptions import FitWarning, InvalidDataError

DAY = np.timedelta64(1, "D")
HALVES = np.sign(WEEKLY) + 0.0  # of a year: few changes, for speed


@pytest.fixture(params=KINDS, scope="module")
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def data(kind):
    return simulated(kind, 300, 7, HALVES)


@pytest.fixture(scope="module")
def model(kind, data):
    return seasonal(kind, data[0], data[2]).fit(data[1])


@pytest.fixture(scope="module")
def posterior(model, data):
    return model.posterior(data[1], n_draws=2000, rng=1)


def alike(found, plain, slack=0.0):
    """Whether means and deviations are the same within 4 Monte-Carlo errors (those of deviations by the kurtosis)."""
    for name in plain.names:
        values, mean, sd = plain.draws[:, plain.names.index(name)], plain.mean()[name], plain.sd()[name]
        kurtosis = plain.weights @ ((values - mean) / sd) ** 4
        error = np.sqrt(1.0 / found.effective_sample_size + 1.0 / plain.effective_sample_size)
        assert abs(found.mean()[name] - mean) < 4.0 * sd * error
        assert abs(found.sd()[name] - sd) < 4.0 * sd * error * 0.5 * np.sqrt(kurtosis - 1.0)


# --- where covariates say nothing ------------------------------------------------------------------------------------


def test_covariates_that_say_nothing_leave_the_posterior_of_the_plain_model(kind, data):
    log, table, intervals, _ = data
    plain = STILL[kind](penalty=0.02).fit(table).posterior(table, n_draws=4000, rng=1)
    bare = kind(intervals=intervals, penalty=0.02).fit(table).posterior(table, n_draws=2000, rng=2)
    assert bare.names == plain.names
    alike(bare, plain)
    fixed = {"rate_covariates": ("sale",), "covariate_penalty": 1e8, "penalty": 0.02}
    small = kind(intervals=intervals, log=log, **fixed).fit(table).posterior(table, n_draws=2000, rng=3)
    assert small.sd()["rate:sale"] == pytest.approx(np.sqrt(0.5e-8), rel=0.05)
    alike(small, plain)


def test_the_same_draws_predict_what_the_plain_model_does(kind, data):
    _, table, intervals, _ = data
    plain = STILL[kind](penalty=0.02).fit(table).posterior(table, n_draws=500, rng=1)
    quality = {"k_hat": plain.k_hat, "effective_sample_size": plain.effective_sample_size}
    bare = kind.from_params(**plain.mean(), intervals=intervals)
    same = ParameterPosterior(bare, plain.draws, plain.weights, **quality)
    for method, args in (("predict_alive", ()), ("predict_purchases", (8.0,))):
        expected = getattr(plain, method)(table, *args, n_draws=100)
        found = getattr(same, method)(table, *args, n_draws=100)
        for one, other in zip(found[:3], expected[:3], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9)
        for one, other in zip(found[3:], expected[3:], strict=True):  # from draws of other random numbers
            assert np.abs(one - other).mean() < 0.1


def test_a_column_of_zeros_is_held(kind, data):
    log, table, intervals, _ = data
    given = {"log": log, "rate_covariates": ("nothing",), "penalty": 0.02}
    nothing = kind(intervals=intervals.assign(nothing=0.0), **given)
    with pytest.warns(FitWarning, match="do not determine rate:nothing"):
        nothing.fit(table)
    with pytest.warns(FitWarning, match="do not determine rate:nothing, held at the fitted values"):
        found = nothing.posterior(table, n_draws=4000, rng=1)
    assert found.held == ("rate:nothing",)
    assert found.sd()["rate:nothing"] == 0.0
    alike(found, STILL[kind](penalty=0.02).fit(table).posterior(table, n_draws=4000, rng=4))


# --- the density and its draws ---------------------------------------------------------------------------------------


def test_log_density_is_the_likelihood_and_the_prior(kind):
    name, *_ = KINDS[kind]
    weight = np.array([1.0, 2, 1, 3, 1, 1])
    model = known(kind, penalty={name: (1.0, 0.5)}, covariate_penalty=2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # six customers leave much open
        target = target_of(model, TABLE, weight)
    z = np.random.default_rng(0).normal(size=(5, target.root.shape[1]))
    found = target.log_density(z)
    for row, value in zip(z, found, strict=True):
        theta = target.natural(target.at(row))
        twin = _posterior_predictions.model_at(model, theta)
        assert list(twin._estimates().values()) == theta.tolist()
        prior = -0.5 * np.log(theta[0]) ** 2 / 0.5**2 - 2.0 * (theta[4:] ** 2).sum()
        assert value == pytest.approx(twin.score(TABLE, sample_weight=weight) * 9 + prior, rel=1e-10)
        assert -target.objective(target.at(row))[0] == pytest.approx(value, rel=1e-10)


def test_points_without_a_likelihood_have_no_density(model, data):
    target = target_of(model, data[1], None)
    far = np.zeros((2, target.root.shape[1]))
    far[1] = 1e6
    assert np.isneginf(target.log_density(far)).tolist() == [False, True]


def test_much_data_make_the_posterior_normal(model, data):
    table = data[1]
    weight = np.full(len(table), 40.0)
    many = seasonal(type(model), data[0], data[2]).fit(table, sample_weight=weight)
    found = many.posterior(table, sample_weight=weight, n_draws=4000, rng=0)
    assert found.k_hat < 0.5
    deviations = np.array(list(many.standard_errors_.values()))
    assert (np.abs(np.array(list(found.mean().values())) - list(many._estimates().values())) < 0.3 * deviations).all()
    np.testing.assert_allclose(list(found.sd().values()), deviations, rtol=0.1)
    scale = np.outer(deviations, deviations)
    np.testing.assert_allclose(found.covariance() / scale, many.covariance_ / scale, atol=0.15)


def test_the_truth_is_within(posterior, data):
    assert posterior.k_hat < 0.7
    assert posterior.effective_sample_size > 500
    for name, (low, high) in posterior.interval(0.999).items():
        assert low < data[3][name] < high, name


def coverage(kind, n, repeats):
    inside = []
    for seed in range(repeats):
        # few purchases each: two on a day are one, which takes from busy seasons what a larger alpha leaves them
        log, table, intervals, truth = simulated(kind, n, 300 + seed, HALVES, alpha=30.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            found = seasonal(kind, log, intervals).fit(table).posterior(table, n_draws=500, rng=seed).interval(0.9)
        inside.append([found[name][0] <= truth[name] <= found[name][1] for name in found])
    return np.array(inside)


@pytest.mark.thorough
def test_intervals_cover_as_often_as_they_say(kind):
    # of 400 customers those of a and b cover 81 % in the plain BG/NBD too: the likelihood is skewed, not the method
    inside = coverage(kind, 1500, 40)
    print("90 % intervals of", kind.__name__, "cover", inside.mean(axis=0).round(3))
    assert (stats.binom.cdf(inside.sum(axis=0), 40, 0.9) > 0.001).all()  # within 3 standard errors
    assert 0.86 <= inside.mean() <= 0.94


def test_nuts_agrees_with_laplace(kind):
    pytest.importorskip("nutpie")
    pytest.importorskip("arviz", exc_type=ImportError)
    model = known(kind, penalty=2.0, covariate_penalty=2.0)
    weight = np.full(6, 10.0)
    posterior = model.posterior(TABLE, sample_weight=weight, rng=3)
    chains = model.posterior(TABLE, sample_weight=weight, method="nuts", n_draws=400, rng=3)
    error = np.sqrt(1 / chains.effective_sample_size + 1 / posterior.effective_sample_size)
    for name, sd in posterior.sd().items():
        assert chains.mean()[name] == pytest.approx(posterior.mean()[name], abs=4 * sd * error)
    assert chains.to_arviz().posterior["rate:sale"].shape == (4, 100)


def test_threads_and_order_change_nothing(model, data, posterior):
    table = data[1]
    results = []
    for threads in (1, 3):
        with _jit.threads(threads):
            found = model.posterior(table, n_draws=300, rng=1)
            results.append([found.draws, found.weights, *found.predict_purchases(table, 2.0, n_draws=20)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    expected = posterior.predict_purchases(table, 2.0, n_draws=20)
    back = posterior.predict_purchases(table.iloc[::-1], 2.0, n_draws=20)
    np.testing.assert_allclose(back.mean[::-1], expected.mean, rtol=1e-12)


# --- customers -------------------------------------------------------------------------------------------------------


def test_predictions_are_those_of_the_draws(posterior, data):
    some = data[1].iloc[::9]
    models = posterior._models(50)
    for method, args in (("predict_alive", ()), ("predict_purchases", (2.0,))):
        each = np.array([getattr(model, method)(some, *args) for model in models])
        found = getattr(posterior, method)(some, *args, n_draws=50)
        np.testing.assert_allclose(found.mean, each.mean(axis=0), rtol=1e-12)
        low, high = np.quantile(each, [0.05, 0.95], axis=0)
        np.testing.assert_allclose(found.lower, low, rtol=1e-12)
        np.testing.assert_allclose(found.upper, high, rtol=1e-12)


def test_counts_are_within_their_intervals(posterior, data):
    some = data[1].iloc[::3]
    found = posterior.predict_purchases(some, 26.0 / 7, coverage="each", n_draws=100)
    models = enumerate(posterior._models(100, seed=5), 1000)
    counts = np.hstack([model.sample(some, 20, 26.0 / 7, seed) for seed, model in models])
    inside = ((counts >= found.count_lower[:, None]) & (counts <= found.count_upper[:, None])).mean(axis=1)
    assert inside.min() > 0.85  # of 1000 draws that made them and 2000 others
    assert 0.9 < inside.mean() < 0.99


def test_customers_have_intervals_of_their_own(kind):
    copies = pd.concat([INTERVALS.assign(customer_id=name) for name in TABLE["customer_id"]])
    own = copies.assign(sale=copies["sale"].where(copies["customer_id"] != "sam", 0.0))
    twice = pd.concat([TABLE, TABLE.assign(customer_id="sam").iloc[[0, 2]]], ignore_index=True)
    draws = np.array([*known(kind)._estimates().values()]) * np.exp(np.random.default_rng(0).normal(0.0, 0.1, (200, 1)))
    quality = {"k_hat": 0.0, "effective_sample_size": 200.0}
    results = {
        name: ParameterPosterior(known(kind, intervals=intervals), draws, np.full(200, 1 / 200), **quality)
        for name, intervals in (("all", INTERVALS), ("own", own))
    }
    everybody, sam = (results[name].predict_alive(twice).mean for name in ("all", "own"))
    changed = twice["customer_id"] == "sam"
    np.testing.assert_allclose(sam[~changed], everybody[~changed], rtol=1e-12)
    assert (sam[changed] != everybody[changed]).all()


def test_value_is_that_of_the_draws(kind, data, model):
    rng, repeats = np.random.default_rng(0), np.maximum(data[1]["frequency"], 1.0)
    spend = rng.gamma(6.0 * repeats, 1.0 / (repeats * rng.gamma(4.0, 1.0 / 15.0, repeats.size)))
    table = data[1].assign(monetary_value=np.where(data[1]["frequency"] > 0, spend, 0.0))
    lifetime = LifetimeValue(purchases=model, spend=GammaGammaModel().fit(table), horizon=2.0)
    found = lifetime.posterior(table, n_draws=400, rng=0)
    some = table.iloc[::25]
    value = found.predict(some, n_draws=20)
    each = np.array([twin.predict(some) for twin in found._models(20)])
    np.testing.assert_allclose(value.mean, each.mean(axis=0), rtol=1e-12)
    drawn = np.hstack([twin.sample(some, 100, seed) for seed, twin in enumerate(found._models(20), 50)])
    inside = (drawn >= value.value_lower[:, None]) & (drawn <= value.value_upper[:, None])
    assert inside.mean() > 0.85
    assert found.purchases.names == tuple(model._estimates())


# --- what it holds and refuses ---------------------------------------------------------------------------------------


def test_it_holds_no_customers_and_can_be_pickled(posterior, model, data):
    assert posterior.model.log is None
    assert model.log is not None
    again = pickle.loads(pickle.dumps(posterior))
    some = data[1].iloc[:5]
    np.testing.assert_array_equal(again.predict_alive(some).mean, posterior.predict_alive(some).mean)
    assert "rate:sale" in repr(posterior)
    assert posterior.predict_alive(data[1].iloc[:0]).mean.shape == (0,)


def test_misunderstandings_are_refused(kind, posterior, data):
    with pytest.raises(TypeError, match="collect the table first"):
        posterior.predict_alive(pl.LazyFrame({"customer_id": [1]}))
    ends = posterior.model.intervals.assign(end=posterior.model.intervals["start"] + 7 * DAY)
    posterior = pickle.loads(pickle.dumps(posterior))
    posterior.model.set_params(intervals=ends)
    with pytest.raises(InvalidDataError, match="are not covered by the intervals up to 60 ahead"):
        posterior.predict_purchases(data[1], 60.0)
    with pytest.raises(Exception, match="not fitted"):
        kind(intervals=INTERVALS).posterior(TABLE)
    with pytest.raises(ValueError, match="needs the log"):
        known(kind, log=None).posterior(TABLE)
    with pytest.raises(InvalidDataError, match="have no intervals"):
        known(kind, intervals=INTERVALS.assign(customer_id="ada")).posterior(TABLE)


# --- what makes it fast ----------------------------------------------------------------------------------------------


def test_values_alone_are_those_with_derivatives():
    model = known(TimeVaryingParetoNBDModel)
    calendar = model._calendar()
    watched = model._watch(calendar, TABLE, None)
    inputs = (watched.x, watched.before, watched.after, *model._weights(calendar, model._coefficients()))
    rows, _ = customers(*inputs, model._theta())
    values, alive = seen(*inputs, model._theta())
    np.testing.assert_allclose(values, rows[:, 0], rtol=1e-14)
    np.testing.assert_allclose(alive, rows[:, 7], rtol=1e-14)


def test_neighbours_that_are_alike_are_one_interval():
    daily = ZERO + DAY * np.arange(0, 260)
    at = np.searchsorted(INTERVALS["start"], daily, side="right") - 1
    fine = INTERVALS.iloc[at].assign(start=daily, end=daily + DAY)
    names = ("sale", "season")
    whole, read = Calendar.read(INTERVALS, names, "test"), Calendar.read(fine, names, "test")
    np.testing.assert_array_equal(read.start, whole.start)
    np.testing.assert_array_equal(read.values, whole.values)
    assert read.end.tolist() == [*whole.end[:-1], (ZERO + 260 * DAY).astype(np.int64)]
    two = pd.concat([fine.assign(customer_id=name) for name in ("ada", "bob")])
    both = Calendar.read(two, names, "test")
    assert both.first.tolist() == [0, 5, 10]
    np.testing.assert_array_equal(both.values, np.vstack([whole.values] * 2))
    assert Calendar.read(two, (), "test").first.tolist() == [0, 1, 2]
