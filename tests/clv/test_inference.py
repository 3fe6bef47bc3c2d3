"""Criteria, the sandwich covariance and likelihood ratios."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from tests.reference import clv as reference

from custanalytics.clv import (
    BetaDiscreteWeibullModel,
    BetaGeoModel,
    CorrelatedGammaGammaModel,
    GammaGompertzNBDModel,
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
def test_summary_has_intervals_on_the_scale_of_each_estimate(level):
    table = simulated(2_000) | {"shop": np.tile([0.0, 1.0], 1_000)}
    model = BetaGeoModel(rate_covariates=("shop",)).fit(table)
    found = model.summary(level)
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


def test_summary_is_endless_around_what_the_data_leave_open():
    table = {"frequency": [3, 1, 2, 5], "recency": [10.0, 10.0, 10.0, 10.0], "T": [10.0] * 4}
    with pytest.warns(FitWarning):
        model = BetaGeoModel().fit(table)
    found = model.summary().set_index("parameter")
    assert set(model.undetermined_) <= set(found.index[(found["lower"] == 0.0) & np.isinf(found["upper"])])
    assert not found.isna().any(axis=None)


def test_summary_of_spend_that_goes_with_the_rate():
    rng = np.random.default_rng(5)
    table = simulated(400, seed=5) | {"monetary_value": rng.gamma(3.0, 10.0, 400)}
    table["monetary_value"] = np.where(table["frequency"] > 0, table["monetary_value"], 0.0)
    found = CorrelatedGammaGammaModel().fit(table).summary().set_index("parameter")
    middle = 0.5 * (found["lower"] + found["upper"])
    assert middle["c"] == pytest.approx(found["estimate"]["c"], rel=1e-9)  # it may be negative
    positive = found.loc["p":"v"]
    assert np.sqrt(positive["lower"] * positive["upper"]).tolist() == pytest.approx(
        positive["estimate"].tolist(), rel=1e-9
    )


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
