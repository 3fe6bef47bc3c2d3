"""Criteria, the sandwich covariance and likelihood ratios."""

from __future__ import annotations

import json
import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy import optimize
from sklearn.exceptions import NotFittedError
from tests.reference import clv as reference
from tests.reference import covariates

from custanalytics.clv import (
    BetaDiscreteWeibullModel,
    BetaGeoModel,
    CorrelatedGammaGammaModel,
    GammaGompertzNBDModel,
    ModifiedBetaGeoModel,
    NBDModel,
    ParetoNBDModel,
    ShiftedBetaGeoModel,
    TimeVaryingBetaGeoModel,
    TimeVaryingParetoNBDModel,
    likelihood_ratio_test,
)
from custanalytics.exceptions import FitWarning

TRUTH = {"r": 0.5, "alpha": 6.0, "a": 0.8, "b": 2.5}


def simulated(n, seed=0):
    rng = np.random.default_rng(seed)
    return reference.simulate_bg_nbd(rng, n, rng.uniform(20.0, 40.0, n), **TRUTH)


def test_criteria():
    model = BetaGeoModel().fit(simulated(300))
    assert model.aic_ == 8.0 - 2.0 * model.log_likelihood_
    assert model.bic_ == pytest.approx(4.0 * np.log(300) - 2.0 * model.log_likelihood_, rel=1e-14)
    weighted = BetaGeoModel().fit(simulated(300), sample_weight=np.full(300, 2.0))
    assert weighted.n_customers_ == 600


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_summary_without_skewness_has_wald_intervals_on_the_scale_of_each_estimate(level):
    table = simulated(2_000) | {"shop": np.tile([0.0, 1.0], 1_000)}
    model = BetaGeoModel(rate_covariates=("shop",)).fit(table)
    written = json.loads(model.to_json())
    assert set(written["learned"].pop("_skewness")["map"]) == set(model.standard_errors_)  # earlier versions had none
    found = BetaGeoModel.from_json(json.dumps(written)).summary(level)
    assert BetaGeoModel.from_json(model.to_json()).summary(level).equals(model.summary(level))
    assert list(found.columns) == ["parameter", "estimate", "standard_error", "lower", "upper"]
    assert dict(zip(found["parameter"], found["standard_error"], strict=True)) == model.standard_errors_
    assert found["estimate"].tolist() == [*model.params_.values(), model.coefficients_["rate"]["shop"]]
    wide = NormalDist().inv_cdf(0.5 + 0.5 * level)
    for row in found.itertuples():
        if row.parameter == "rate:shop":
            ends = [row.estimate - wide * row.standard_error, row.estimate + wide * row.standard_error]
        else:
            ends = [row.estimate * math.exp(side * wide * row.standard_error / row.estimate) for side in (-1, 1)]
        assert [row.lower, row.upper] == pytest.approx(ends, rel=1e-12)


def mbg_table(n, seed):
    truth = {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}
    return covariates.simulate(np.random.default_rng(seed), "ModifiedBetaGeoModel", [truth] * n)


def bdw_table(n, seed):
    rng = np.random.default_rng(seed)
    T = rng.integers(4, 8, n)
    years = np.ceil((np.log(rng.random(n)) / np.log1p(-rng.beta(0.9, 1.6, n))) ** (1 / 1.2))
    return {"recency": np.minimum(years - 1, T), "T": T}


def drop(model, table, name, value):
    """Twice the fall of the profile log-likelihood from its maximum to a value of one parameter."""
    others = [each for each in model.params_ if each != name]
    n = len(table["T"])

    def deviance(logs):
        params = dict(zip(others, np.exp(logs).tolist(), strict=True)) | {name: value}
        return 2.0 * (model.log_likelihood_ - n * type(model).from_params(**params).score(table))

    best = [math.log(model.params_[each]) for each in others]
    return optimize.minimize(deviance, best, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-4}).fun


@pytest.mark.parametrize(("kind", "table"), [(ModifiedBetaGeoModel, mbg_table), (BetaDiscreteWeibullModel, bdw_table)])
def test_summary_is_close_to_the_profile_likelihood(kind, table):
    table = table(2_500, seed=4)
    model = kind().fit(table)
    straight = kind().fit(table)
    del straight._skewness
    ends, before = (each.summary(0.9).set_index("parameter")[["lower", "upper"]].stack() for each in (model, straight))
    wanted = NormalDist().inv_cdf(0.95) ** 2
    falls = [drop(model, table, name, value) for (name, _), value in ends.items()]
    assert falls == pytest.approx([wanted] * len(falls), abs=0.3)
    assert max(abs(drop(model, table, name, value) - wanted) for (name, _), value in before.items()) > 0.8


@pytest.mark.thorough
def test_intervals_of_parameters_cover_as_often_as_they_say():
    truth, inside = {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}, []
    for seed in range(1_000):
        found = ModifiedBetaGeoModel().fit(mbg_table(2_500, seed)).summary(0.9).set_index("parameter")
        inside.append([found.loc[name, "lower"] <= value <= found.loc[name, "upper"] for name, value in truth.items()])
    covered = np.mean(inside, axis=0)
    print("90 % intervals of", list(truth), "cover", covered.round(3))
    assert (np.abs(covered - 0.9) < 0.03).all()  # 3 standard errors
    assert 0.88 <= covered.mean() <= 0.92


def test_summary_of_coefficients_goes_with_the_unit_of_the_covariate():
    table = simulated(2_000) | {"age": np.random.default_rng(1).gamma(4.0, 10.0, 2_000)}
    found, scaled = (
        BetaGeoModel(rate_covariates=("age",), dropout_covariates=("age",))
        .fit(table | {"age": table["age"] * factor})
        .summary()
        .set_index("parameter")
        for factor in (1.0, 0.01)
    )
    factors = np.array([1.0, 1.0, 1.0, 1.0, 0.01, 0.01])
    for end in ("lower", "upper"):
        assert (scaled[end] * factors).tolist() == pytest.approx(found[end].tolist(), rel=1e-5)
    middle = 0.5 * (found["lower"] + found["upper"])[4:]
    assert (abs(middle - found["estimate"][4:]) > 1e-4 * found["standard_error"][4:]).all()  # coefficients, too


def test_summary_is_endless_where_the_data_hardly_contradict_a_limit():
    found = NBDModel.from_json(NBDModel().fit(simulated(300)).to_json())
    found._skewness = {"r": 2.0, "alpha": -2.0}
    rows = found.summary(0.9).set_index("parameter")
    assert rows.loc["r", "upper"] == np.inf
    assert 0.0 < rows.loc["r", "lower"] < rows.loc["r", "estimate"]
    assert rows.loc["alpha", "lower"] == 0.0
    assert rows.loc["alpha", "estimate"] < rows.loc["alpha", "upper"] < np.inf
    narrow = found.summary(0.5).set_index("parameter")
    assert np.isfinite(narrow).all(axis=None)
    assert (narrow["lower"] > rows["lower"]).all()
    assert (narrow["upper"] < rows["upper"]).all()


def test_summary_is_endless_around_what_the_data_leave_open():
    table = {"frequency": [3, 1, 2, 5], "recency": [10.0, 10.0, 10.0, 10.0], "T": [10.0] * 4}
    with pytest.warns(FitWarning):
        model = BetaGeoModel().fit(table)
    found = model.summary().set_index("parameter")
    assert set(model.undetermined_) <= set(found.index[(found["lower"] == 0.0) & np.isinf(found["upper"])])
    assert not found.isna().any(axis=None)


@pytest.mark.filterwarnings("error::RuntimeWarning", "ignore::custanalytics.exceptions.FitWarning")
def test_summary_of_a_covariate_that_does_not_vary_does_not_warn():
    model = BetaGeoModel(rate_covariates=("shop",)).fit(simulated(300) | {"shop": np.ones(300)})
    found = model.summary().set_index("parameter").loc["rate:shop"]
    assert found.tolist() == [0.0, np.inf, -np.inf, np.inf]


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_errors_and_intervals_go_with_the_unit_where_variances_are_beyond_floats(unit):
    table = simulated(300)
    scaled = table | {name: unit * table[name] for name in ("recency", "T")}
    found, moved = (NBDModel().fit(each).summary().set_index("parameter") for each in (table, scaled))
    assert moved.loc["alpha"].tolist() == pytest.approx((unit * found.loc["alpha"]).tolist(), rel=1e-6, abs=0.0)


@pytest.mark.filterwarnings("ignore::custanalytics.exceptions.FitWarning")
def test_curvature_that_rounding_leaves_without_an_inverse_leaves_all_open():
    table = {"frequency": [0.0, 0.0], "recency": [0.0, 0.0], "T": [7.0, 1.0]}
    model = ParetoNBDModel().fit(table, sample_weight=[1e100, 1e100])
    assert not model.summary().isna().any(axis=None)


def test_summary_of_spend_that_goes_with_the_rate():
    rng = np.random.default_rng(5)
    table = simulated(400, seed=5) | {"monetary_value": rng.gamma(3.0, 10.0, 400)}
    table["monetary_value"] = np.where(table["frequency"] > 0, table["monetary_value"], 0.0)
    found = CorrelatedGammaGammaModel().fit(table).summary().set_index("parameter")
    middle, error = 0.5 * (found["lower"] + found["upper"]), found["standard_error"]
    assert abs(middle["c"] - found["estimate"]["c"]) < 0.05 * error["c"]  # on its own scale: it may be negative
    positive = found.loc["p":"v"]
    off = np.sqrt(positive["lower"] * positive["upper"]) / positive["estimate"] - 1.0
    assert (abs(off) < 0.5 * error["p":"v"] / positive["estimate"]).all()


def test_summary_needs_a_fit_and_a_level():
    with pytest.raises(NotFittedError):
        BetaGeoModel().summary()
    with pytest.raises(NotFittedError):  # there is nothing that parameters of elsewhere are uncertain by
        BetaGeoModel.from_params(**TRUTH).summary()
    with pytest.raises(ValueError, match="level"):
        BetaGeoModel().fit(simulated(300)).summary(1.0)


@pytest.mark.parametrize("kind", [BetaGeoModel, ParetoNBDModel])
def test_sandwich_is_made_of_the_gradients_of_customers(kind):
    table = simulated(60)
    model = kind(penalty=0.05).fit(table)
    theta = np.array(list(model.params_.values()))
    spread = np.zeros((4, 4))
    for row in range(60):
        one = {name: column[row : row + 1] for name, column in table.items()}
        slopes = []
        for at, value in enumerate(theta):
            steps = []
            for side in (1.0, -1.0):
                moved = theta.copy()
                moved[at] = value * (1 + side * 1e-5)
                steps.append(kind.from_params(**dict(zip(model.params_, moved, strict=True))).score(one))
            slopes.append((steps[0] - steps[1]) / (2e-5 * value))
        spread += np.outer(slopes, slopes)
    expected = model.covariance_ @ spread @ model.covariance_
    np.testing.assert_allclose(model.sandwich_covariance(table), expected, rtol=1e-4)


def test_sandwich_agrees_with_the_information_where_the_model_holds():
    table = simulated(20_000)
    model = BetaGeoModel().fit(table)
    ratio = np.sqrt(np.diag(model.sandwich_covariance(table)) / np.diag(model.covariance_))
    np.testing.assert_allclose(ratio, 1.0, atol=0.1)
    doubled = model.sandwich_covariance(table, sample_weight=np.full(20_000, 2.0))
    np.testing.assert_allclose(doubled, 2.0 * model.sandwich_covariance(table), rtol=1e-9)


def test_likelihood_ratio():
    years = {"recency": [0, 1, 2, 3, 4, 5, 6, 7, 7], "T": [7] * 9}  # the high-end customers of Fader and Hardie (2007)
    customers = [131, 126, 90, 60, 42, 34, 26, 18, 473]
    small = ShiftedBetaGeoModel().fit(years, sample_weight=customers)
    large = BetaDiscreteWeibullModel().fit(years, sample_weight=customers)
    found = likelihood_ratio_test(small, large)
    assert found.statistic == pytest.approx(2 * (large.log_likelihood_ - small.log_likelihood_))
    assert found.degrees_of_freedom == 1
    assert 0 < found.p_value < 1e-3


@pytest.mark.filterwarnings("ignore:.*do not determine:custanalytics.exceptions.FitWarning")
def test_what_is_contained_in_a_part_is_contained_in_the_whole():
    table = simulated(500)
    nobody_leaves, gompertz = NBDModel().fit(table), GammaGompertzNBDModel().fit(table)
    found = likelihood_ratio_test(nobody_leaves, gompertz)
    assert found.degrees_of_freedom == 3
    assert found.statistic == pytest.approx(2 * (gompertz.log_likelihood_ - nobody_leaves.log_likelihood_))
    dates = {"customer_id": np.arange(500), "first_seen": np.full(500, "2020-01-01", "datetime64[us]")}
    intervals = {"start": np.array(["2020-01-01"], "datetime64[us]")}
    for kind in (TimeVaryingBetaGeoModel, TimeVaryingParetoNBDModel):
        model = kind(intervals=intervals).fit(table | dates)
        assert likelihood_ratio_test(nobody_leaves, model).degrees_of_freedom == 2


def test_what_cannot_be_compared_is_refused():
    table = simulated(200)
    small, other = BetaGeoModel().fit(table), ParetoNBDModel().fit(table)
    with pytest.raises(ValueError, match="BetaGeoModel is not a special case of ParetoNBDModel: compare them by aic_"):
        likelihood_ratio_test(small, other)
    with pytest.raises(ValueError, match="needs fits without penalty"):
        likelihood_ratio_test(BetaGeoModel(penalty=1.0).fit(table), other)
    customers = np.array([131, 126, 90, 60, 42, 34, 26, 18, 473])
    years = {"recency": np.minimum(np.arange(9), 7), "T": np.full(9, 7)}
    small = ShiftedBetaGeoModel().fit(years, sample_weight=customers)
    with pytest.raises(ValueError, match="different customers: 1,000 and 2,000"):
        likelihood_ratio_test(small, BetaDiscreteWeibullModel().fit(years, sample_weight=2 * customers))
