"""Criteria, the sandwich covariance and likelihood ratios."""

from __future__ import annotations

import numpy as np
import pytest
from tests.reference import clv as reference

from custanalytics.clv import (
    BetaDiscreteWeibullModel,
    BetaGeoModel,
    ParetoNBDModel,
    ShiftedBetaGeoModel,
    likelihood_ratio_test,
)

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
