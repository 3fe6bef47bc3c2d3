"""Covariates of a calendar with one coefficient for purchases and dropout."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from custanalytics.clv import ParetoNBDModel, TimeVaryingParetoNBDModel, likelihood_ratio_test
from custanalytics.datasets import load_cdnow
from custanalytics.exceptions import FitWarning
from custanalytics.rfm import RFMSummary

PARETO = {"r": 0.55, "alpha": 10.0, "s": 0.6, "beta": 11.0}
WEEKS = pd.date_range("1996-12-30", "1999-01-04", freq="28D")
INTERVALS = pd.DataFrame({"start": WEEKS, "wave": np.sin(np.arange(len(WEEKS))), "late": np.arange(len(WEEKS)) % 3.0})


@pytest.fixture(scope="module")
def log():
    return load_cdnow()


@pytest.fixture(scope="module")
def table(log):
    return RFMSummary(as_of="1997-09-30").fit_transform(log)


def known(log, **coefficients):
    return TimeVaryingParetoNBDModel.from_params(**PARETO, intervals=INTERVALS, coefficients=coefficients).set_params(
        log=log
    )


def test_one_coefficient_is_two_that_are_equal(log, table):
    both = known(log, rate={"late": -0.1}, equal={"wave": 0.3})
    apart = known(log, rate={"late": -0.1, "wave": 0.3}, dropout={"wave": 0.3})
    assert both.score(table) == pytest.approx(apart.score(table), rel=1e-13)
    some = table.iloc[:50]
    np.testing.assert_allclose(both.predict_alive(some), apart.predict_alive(some), rtol=1e-12)
    for method, arguments in (
        ("predict_purchases", (26.0,)),
        ("predict_discounted_purchases", (26.0, 0.01)),
        ("predict_count_probabilities", ([0, 1, 2], 26.0)),
    ):
        expected = getattr(apart, method)(some, *arguments)
        np.testing.assert_allclose(getattr(both, method)(some, *arguments), expected, rtol=1e-11)


def test_the_gradient_is_exact(log, table):
    model = known(log, rate={"late": -0.1}, dropout={"late": 0.2}, equal={"wave": 0.3})
    model.set_params(covariate_penalty=0.5)
    objective, point = model._log_posterior(table.iloc[:200], None)
    value, gradient = objective(point)
    log_likelihood = objective.log_likelihoods(objective.natural(point)[None])[0]
    assert objective.penalty.value(point) - value == pytest.approx(log_likelihood, rel=1e-13)
    step = 1e-3
    for slope, move in zip(gradient, step * np.eye(point.size), strict=True):
        near, far = (objective(point + k * move)[0] - objective(point - k * move)[0] for k in (1, 2))
        assert slope == pytest.approx((8 * near - far) / (12 * step), rel=1e-7, abs=1e-7)


def test_a_fit_lies_between_none_and_two(log, table):
    given = {"intervals": INTERVALS, "log": log}
    none = ParetoNBDModel().fit(table)
    one = TimeVaryingParetoNBDModel(equal_covariates=("late",), **given).fit(table)
    two = TimeVaryingParetoNBDModel(rate_covariates=("late",), dropout_covariates=("late",), **given).fit(table)
    assert one.converged_
    assert list(one.coefficients_) == ["equal"]
    assert list(one.standard_errors_) == ["r", "alpha", "s", "beta", "equal:late"]
    pairs = {(none, one): 1, (one, two): 1, (none, two): 2}
    assert {pair: likelihood_ratio_test(*pair).degrees_of_freedom for pair in pairs} == pairs
    assert none.log_likelihood_ <= one.log_likelihood_ <= two.log_likelihood_
    with pytest.raises(ValueError, match="is not a special case of"):
        likelihood_ratio_test(two, one)
    again = TimeVaryingParetoNBDModel.from_json(one.to_json()).set_params(intervals=INTERVALS)
    np.testing.assert_array_equal(again.predict_purchases(table, 13.0), one.predict_purchases(table, 13.0))
    low, high = one.posterior(table, n_draws=1000, rng=0).interval(0.9)["equal:late"]
    assert low < one.coefficients_["equal"]["late"] < high


def test_one_that_says_nothing_changes_nothing(log, table):
    still = ParetoNBDModel().fit(table)
    with pytest.warns(FitWarning, match="do not determine equal:nothing"):
        model = TimeVaryingParetoNBDModel(
            intervals=INTERVALS.assign(nothing=0.0), log=log, equal_covariates=("nothing",)
        ).fit(table)
    assert model.log_likelihood_ == pytest.approx(still.log_likelihood_, abs=1e-7)
    for name, value in still.params_.items():
        assert model.params_[name] == pytest.approx(value, rel=1e-5)


def test_a_covariate_cannot_be_both(log, table):
    model = TimeVaryingParetoNBDModel(
        intervals=INTERVALS, log=log, rate_covariates=("wave",), equal_covariates=("wave",)
    )
    with pytest.raises(ValueError, match=r"\['wave'\] of TimeVaryingParetoNBDModel have one coefficient for both"):
        model.fit(table)
