"""Covariates far from 0 or of any scale, and small samples with several maxima: what a fit must find all the same."""

from __future__ import annotations

import warnings

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from tests.reference.covariates import Varying

from custanalytics import clv
from custanalytics.clv import _fit
from custanalytics.clv._design import Design
from custanalytics.clv._grouped_loop import GroupedLoop
from custanalytics.exceptions import FitWarning
from custanalytics.rfm import RFMSummary

DAY = np.timedelta64(1, "D")
ZERO = np.datetime64("2020-01-01", "us")
STATIC = (clv.BetaGeoModel, clv.ModifiedBetaGeoModel, clv.ParetoNBDModel, clv.NBDModel)
VARYING = (clv.TimeVaryingBetaGeoModel, clv.TimeVaryingParetoNBDModel)


def cohorts():
    """Customers of seven years who buy more often from year to year."""
    rng = np.random.default_rng(0)
    year = rng.integers(2014, 2021, 300)
    T = np.full(year.size, 40.0)
    live = np.minimum(T, rng.exponential(60.0, year.size))
    x = rng.poisson(rng.gamma(0.8, 1 / 6.0, year.size) * np.exp(0.1 * (year - 2017)) * live)
    recency = np.where(x > 0, live * rng.random(year.size) ** (1.0 / np.maximum(x, 1)), 0.0)
    return {"frequency": x, "recency": recency, "T": T, "year": year.astype(float)}


def settings(kind):
    return {"rate_covariates": ("year",), **({} if kind is clv.NBDModel else {"dropout_covariates": ("year",)})}


@pytest.mark.filterwarnings("ignore:.*do not determine")
@pytest.mark.parametrize("kind", STATIC)
def test_years_are_as_good_as_years_since(kind):
    table = cohorts()
    since = {**table, "year": table["year"] - 2017}
    far, near = kind(**settings(kind)).fit(table), kind(**settings(kind)).fit(since)
    assert far.log_likelihood_ == pytest.approx(near.log_likelihood_, abs=1e-8)
    assert far.score(table) == pytest.approx(near.score(since), rel=1e-9)
    assert far.coefficients_["rate"]["year"] == pytest.approx(near.coefficients_["rate"]["year"], rel=1e-5)
    np.testing.assert_allclose(far.predict_purchases(table, 9.0), near.predict_purchases(since, 9.0), rtol=1e-5)
    one = far.with_covariates({"year": 2019.0}).predict_alive(table)
    np.testing.assert_allclose(one, near.with_covariates({"year": 2.0}).predict_alive(since), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*do not determine")
@pytest.mark.parametrize("kind", STATIC)
@pytest.mark.parametrize("offset", [2017.0, 1e6, -1e9])
def test_far_covariates_that_tell_buyers_from_others_stay_within_floats(kind, offset):
    """The coefficient runs off; at 0, parameters would be beyond what a float holds."""
    table = cohorts()
    table["year"] = offset + (table["frequency"] > 0)
    model = kind(**settings(kind))
    with pytest.warns(FitWarning, match=r"coefficients of year are bounded, .*Subtract a typical value"):
        model.fit(table)
    assert np.isfinite(list(model._estimates().values())).all()
    assert not np.isnan(model.covariance_).any()
    assert np.isfinite(model.predict_purchases(table, 9.0)).all()
    assert model.score(table) * 300 == pytest.approx(model.log_likelihood_, rel=1e-9)


def test_parameters_that_are_cut_have_no_slope():
    """Beyond some size nothing changes, and the derivatives say so."""
    design = Design.of({"a": ("z",)}, {"a": {"a": 1}}, clv.BetaGeoModel._names)
    loop = GroupedLoop(clv.BetaGeoModel._grouped_loop, design, np.zeros(1), np.ones(1))
    columns = (np.array([0.0, 2, 1]), np.array([0.0, 5, 3]), np.full(3, 9.0), np.array([0.0, 1.0, 400.0]))
    likelihood = _fit.Likelihood(loop, _fit.Sample(columns, np.ones(3)), coefficients=1, exact=True)
    point = np.array([0.2, 1.0, -0.3, 0.5, 0.9])
    gradient, hessian = likelihood(point)[1], likelihood.hessian(point)
    for at, move in enumerate(1e-5 * np.eye(5)):
        (up, above), (down, below) = likelihood(point + move), likelihood(point - move)
        assert gradient[at] == pytest.approx((up - down) / 2e-5, abs=1e-6)
        np.testing.assert_allclose(hessian[at], (above - below) / 2e-5, atol=1e-6)


@pytest.mark.parametrize(("a", "b"), [(2.9e33, 1.1e33), (1e16, 3e15), (4e20, 1e18)])
def test_purchases_of_a_chance_of_dropping_out_that_is_the_same_for_all(a, b):
    """The steps of the rule of integration were lost in rounding, and it did not end."""
    theta, table = {"r": 0.6, "alpha": 1e-4}, {"frequency": [0, 3], "recency": [0.0, 2.0], "T": [1e-3, 3.0]}
    result = clv.BetaGeoModel.from_params(**theta, a=a, b=b).predict_purchases(table, 7.0)
    p = a / (a + b)
    for value, x, T in zip(result, table["frequency"], table["T"], strict=True):
        with mp.workdps(40):
            bought = (1 - (1 + p * 7 / (mp.mpf("1e-4") + T)) ** -(mp.mpf("0.6") + x)) / p
        alive = clv.BetaGeoModel.from_params(**theta, a=a, b=b).predict_alive(
            {"frequency": [x], "recency": [2.0 * (x > 0)], "T": [T]}
        )
        assert value == pytest.approx(float(alive[0] * bought), rel=1e-11)


def test_covariates_may_explain_all_that_differs():
    """Without heterogeneity beyond them the likelihood is higher than at the maximum that has it in place of them."""
    table = {
        "frequency": [0, 0, 2558],
        "recency": [0.0, 0.0, 0.65784688],
        "T": [0.0600486, 0.31054346, 0.71818526],
        "age": [0.0600486, 0.31054346, 0.71818526],
        "size": [1.12009721, 1.62108692, 2.43637052],
    }
    model = clv.NBDModel(rate_covariates=("age", "size"), covariate_penalty=0.1)
    with pytest.warns(FitWarning, match="all customers buy at the same rate"):
        model.fit(table)
    penalty = 0.1 * sum(value**2 for value in model.coefficients_["rate"].values())
    assert model.log_likelihood_ - penalty > 18354.5958


def test_coefficients_of_both_shapes_of_dropout_may_be_large_either_way():
    table = {"frequency": [22, 79, 142], "recency": [0.593, 0.998, 0.996], "T": [1.0] * 3, "z": [0.253, 0.841, -1.044]}
    model = clv.BetaGeoModel(rate_covariates=("z",), dropout_covariates=("z",), dropout_effect="apart")
    with pytest.warns(FitWarning, match="do not determine"):
        model.fit(table)
    assert model.coefficients_["a"]["z"] < -10  # with coefficients above 0 the log-likelihood is 875.344
    assert model.log_likelihood_ > 876.005


def test_a_variance_that_rounding_hides_is_none():
    direction = np.array([0.996, np.sqrt(1 - 0.996**2)])
    across = direction[::-1] * (1.0, -1.0)
    hessian = -0.5 * np.outer(direction, direction) + 0.002 * np.outer(across, across)
    optimum = _fit.Optimum(np.zeros(2), 0.0, 0.0, hessian, 1, True)
    assert _fit.undetermined(optimum).all()
    assert (np.diag(_fit.shape(optimum).covariance) == np.inf).all()


def log_of(purchases):
    rows = [(name, ZERO + DAY * day, 10.0) for name, days in enumerate(purchases) for day in days]
    return pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"])


def table_of(log, days):
    return RFMSummary(as_of=pd.Timestamp(ZERO) + pd.Timedelta(days=days)).fit_transform(log)


def varying(kind, log, intervals, **more):
    names = tuple(name for name in intervals if name != "start")
    dropout = {"dropout_covariates": names} if kind is clv.TimeVaryingParetoNBDModel else {}
    return kind(intervals=intervals, log=log, rate_covariates=names, **{**dropout, **more})


@pytest.fixture(scope="module")
def seasons():
    """A log of a year and a half, its table, and intervals with a covariate that lifts the rate of purchase."""
    rng = np.random.default_rng(5)
    heat = np.sin(np.arange(80) / 4.0)
    purchases = []
    for _ in range(120):
        first, end = int(rng.integers(0, 200)), 200 + rng.exponential(300.0)
        chance = rng.gamma(1.2, 1 / 30.0) * np.exp(0.6 * np.repeat(heat, 7)[first + 1 : min(int(end), 540)])
        purchases.append([first, *(first + 1 + np.flatnonzero(rng.random(chance.size) < chance))])
    log = log_of(purchases)
    return log, table_of(log, 540), pd.DataFrame({"start": ZERO + 7 * DAY * np.arange(80), "heat": heat})


@pytest.mark.parametrize("kind", VARYING)
@pytest.mark.parametrize(("offset", "scale"), [(293.0, 1.0), (2020.0, 10.0), (0.0, 1e6), (0.0, 1e-7), (-5e3, 80.0)])
def test_units_and_origin_of_covariates_over_time_change_nothing(kind, offset, scale, seasons):
    log, table, intervals = seasons
    moved = intervals.assign(heat=offset + scale * intervals["heat"])
    given, other = (
        varying(kind, log, each, dropout_covariates=()) if kind is VARYING[1] else varying(kind, log, each)
        for each in (intervals, moved)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        given.fit(table), other.fit(table)
    assert other.log_likelihood_ == pytest.approx(given.log_likelihood_, abs=1e-7)
    assert other.score(table) * len(table) == pytest.approx(given.log_likelihood_, abs=1e-6)
    assert other.coefficients_["rate"]["heat"] * scale == pytest.approx(given.coefficients_["rate"]["heat"], rel=1e-4)
    expected = given.predict_purchases(table, 2.0)
    np.testing.assert_allclose(other.predict_purchases(table, 2.0), expected, rtol=1e-4)


@pytest.mark.parametrize("kind", VARYING)
def test_covariates_that_stay_as_they_are_leave_parameters_alone(kind, seasons):
    log, table, intervals = seasons
    model = varying(kind, log, intervals[["start"]].assign(still=1e6))
    with pytest.warns(FitWarning, match="do not determine .*rate:still"):
        model.fit(table)
    assert model.coefficients_["rate"]["still"] == 0.0
    assert not {"r", "alpha"} & set(model.undetermined_)


def test_everybody_alike_is_no_noise():
    """Where r and s are huge, powers of them cancel: what is left is still exact, and so are its derivatives."""
    intervals = pd.DataFrame({"start": ZERO + DAY * np.array([0, 21, 70]), "sale": [0.0, 1.0, 0.5]})
    log = log_of([[0, 7, 35], [14], [0, 70, 77]])
    table, theta = table_of(log, 112), {"r": 1e10, "alpha": 3e10, "s": 4e9, "beta": 9e10}
    given = {"rate": {"sale": 0.7}, "dropout": {"sale": 0.4}}
    model = clv.TimeVaryingParetoNBDModel.from_params(**theta, coefficients=given, intervals=intervals)
    model.set_params(log=log)
    total = mp.mpf(0)
    with mp.workdps(40):
        for first, x, last, bought in ((0, 2, 5, 0.7), (2, 0, 0, 0.0), (0, 2, 11, 0.5 * 0.7 * 2)):
            begin = [0.0, *(edge - first for edge in (3.0, 10.0))]
            sale = np.array([0.0, 1.0, 0.5])
            customer = Varying(begin, np.exp(0.7 * sale), np.exp(0.4 * sale))
            total += mp.log(customer.pareto(x, last, 16 - first, *theta.values())[0]) + bought
    assert model.score(table) * 3 == pytest.approx(float(total), abs=1e-8)
    objective = model._objective(table, None)
    point = np.append(np.log(np.array(list(theta.values())) / objective.units), [0.7, 0.4])
    value, gradient = objective(point)
    assert value == pytest.approx(-float(total), abs=1e-8)
    for at in range(point.size):
        move = 1e-4 * np.eye(point.size)[at]
        slope = (objective(point + move)[0] - objective(point - move)[0]) / 2e-4
        assert gradient[at] == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "days", "starts", "values", "purchases", "reached"),
    [
        (  # everybody buys alike, and some leave at once while the covariate is 1; or all leave at the same hazard
            clv.TimeVaryingParetoNBDModel,
            31,
            [-5, 7],
            [0.0, 1.0],
            [[0], [13, 28, 27], [17, 28, 27], [7], [17, 20], [10], [6], [0, 7, 7], [19], [24]],
            -13.654739,
        ),
    ],
)
def test_the_higher_of_several_maxima_is_found(kind, days, starts, values, purchases, reached):
    log = log_of(purchases)
    intervals = pd.DataFrame({"start": ZERO + DAY * np.array(starts), "sale": values})
    model = varying(kind, log, intervals, dropout_covariates=("sale",)).set_params(rate_covariates=())
    with pytest.warns(FitWarning, match="do not determine"):
        model.fit(table_of(log, days))
    assert model.converged_
    assert model.log_likelihood_ > reached - 1e-4
