"""Spend that depends on the rate of purchase: recovery, gradient, its limit of independence, and what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest
from scipy import stats
from tests.reference import clv as reference

from custanalytics import _jit
from custanalytics.clv import (
    CorrelatedGammaGammaModel,
    GammaGammaModel,
    NBDModel,
    likelihood_ratio_test,
    spend_independence_test,
)
from custanalytics.clv._kernels_correlated_spend import log_likelihood_loop
from custanalytics.exceptions import DataQualityWarning, FitWarning, InvalidDataError

PARAMS = {"p": 6.0, "q": 4.0, "v": 15.0, "c": -0.35, "r": 0.8, "alpha": 8.0}


def customers(seed, n, c):
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 60, n)
    x = rng.poisson(rng.gamma(0.8, 1 / 8.0, n) * age).astype(float)
    scale = 15.0 * ((1.0 + x / 0.8) / (1.0 + age / 8.0)) ** c
    level = rng.gamma(4.0, 1.0, n) / scale
    mean = np.where(x > 0, rng.gamma(np.maximum(6.0 * x, 1.0)) / level / np.maximum(x, 1.0), 0.0)
    return {"frequency": x, "recency": np.where(x > 0, age / 2, 0.0), "T": age, "monetary_value": mean}


@pytest.mark.parametrize("c", [-0.35, 0.0, 0.4])
def test_the_parameters_are_found_again(c):
    table = customers(1, 6000, c)
    model = CorrelatedGammaGammaModel().fit(table)
    assert model.converged_
    for name, true in {"p": 6.0, "q": 4.0, "v": 15.0, "c": c}.items():
        assert abs(model.params_[name] - true) < 4.0 * model.standard_errors_[name]
    rates = NBDModel().fit(table)
    assert model.rate_params_ == pytest.approx(rates.params_, rel=1e-6)
    plain = GammaGammaModel().fit(table)
    test = likelihood_ratio_test(plain, model)
    assert test.degrees_of_freedom == 1
    assert (test.p_value < 1e-6) == (c != 0)
    assert model.log_likelihood_ >= plain.log_likelihood_
    assert model.score(table) * model.n_customers_ == pytest.approx(model.log_likelihood_, rel=1e-9)


def test_at_c_0_it_is_the_gamma_gamma():
    plain = GammaGammaModel.from_params(p=6.0, q=4.0, v=15.0)
    model = CorrelatedGammaGammaModel.from_params(**{**PARAMS, "c": 0.0})
    table = customers(2, 50, 0.2)
    np.testing.assert_allclose(model.predict_spend(table), plain.predict_spend(table), rtol=1e-13)
    assert model.score(table) == pytest.approx(plain.score(table), rel=1e-13)


def test_likelihood_and_gradient_agree_with_many_digits():
    x, g, m = np.array([[1.0, 3.0, 40.0], [0.3, -0.7, 1.9], [12.0, 55.0, 3.0]])
    theta = np.array([6.0, 4.0, 15.0, -0.35])
    out = np.zeros((1, 5))
    _jit.run(log_likelihood_loop, 3, x, g, m, np.ones(3), theta, out=(out,))
    scales = 15.0 * np.exp(-0.35 * g)
    rows = list(zip(x, m, scales, strict=True))
    expected = sum(float(reference.gg_log_likelihood(n, mean, 6.0, 4.0, v)) for n, mean, v in rows)
    slopes = np.array([reference.gg_gradient(n, mean, 6.0, 4.0, v) for n, mean, v in rows])
    by_log = slopes[:, 2] * scales
    found = [expected, slopes[:, 0].sum(), slopes[:, 1].sum(), by_log.sum() / 15.0, by_log @ g]
    np.testing.assert_allclose(out[0], found, rtol=1e-11)


def test_the_unit_of_time_and_the_currency_change_what_they_should():
    table = customers(3, 800, 0.3)
    model = CorrelatedGammaGammaModel().fit(table)
    other = {**table, "T": table["T"] * 7.0, "monetary_value": table["monetary_value"] * 100.0}
    again = CorrelatedGammaGammaModel().fit(other)
    assert again.params_["c"] == pytest.approx(model.params_["c"], abs=1e-5)
    assert again.params_["v"] == pytest.approx(100.0 * model.params_["v"], rel=1e-4)
    np.testing.assert_allclose(again.predict_spend(other), 100.0 * model.predict_spend(table), rtol=1e-5)


def test_it_is_saved_and_weighted():
    table = customers(4, 300, 0.3)
    model = CorrelatedGammaGammaModel().fit(table, sample_weight=np.full(300, 2.0))
    twice = {name: np.tile(values, 2) for name, values in table.items()}
    assert model.params_ == pytest.approx(CorrelatedGammaGammaModel().fit(twice).params_, rel=1e-6)
    again = CorrelatedGammaGammaModel.from_json(model.to_json())
    np.testing.assert_array_equal(again.predict_spend(table), model.predict_spend(table))


def test_what_it_refuses():
    table = customers(5, 30, 0.3)
    with pytest.raises(InvalidDataError, match=r"1 of 30 rows have a missing or infinite T"):
        CorrelatedGammaGammaModel().fit({**table, "T": np.append(np.nan, table["T"][1:])})
    with pytest.raises(InvalidDataError, match=r"30 of 30 rows have a negative T"):
        CorrelatedGammaGammaModel.from_params(**PARAMS).predict_spend({**table, "T": -table["T"]})
    with pytest.raises(ValueError, match=r"from_params takes exactly \['p', 'q', 'v', 'c', 'r', 'alpha'\]"):
        CorrelatedGammaGammaModel.from_params(p=1.0, q=2.0, v=3.0)
    with pytest.raises(ValueError, match=r"The 'c' parameter of CorrelatedGammaGammaModel.from_params must be a float"):
        CorrelatedGammaGammaModel.from_params(**{**PARAMS, "c": np.inf})
    with pytest.raises(ValueError, match=r"c may be negative: use a number for it"):
        CorrelatedGammaGammaModel(penalty={"c": (1.0, 1.0)}).fit(table)
    with pytest.raises(TypeError, match=r"CorrelatedGammaGammaModel is fitted in memory: collect the customers"):
        CorrelatedGammaGammaModel().fit(pl.DataFrame(table).lazy())


def test_independence_is_rejected_where_it_does_not_hold():
    independent = spend_independence_test(customers(6, 4000, 0.0))
    assert independent.p_value > 0.01
    assert abs(independent.statistic) < 0.05
    related = customers(6, 4000, 0.4)
    assert spend_independence_test(related).p_value < 1e-6
    used = related["frequency"] > 0
    found = spend_independence_test(related, method="spearman")
    expected = stats.spearmanr(related["frequency"][used], related["monetary_value"][used])
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.n_customers == used.sum()


def test_independence_needs_customers_who_differ():
    with pytest.raises(InvalidDataError, match=r"needs at least three repeat buyers who differ .* found 1 with"):
        spend_independence_test({"frequency": [0, 1], "monetary_value": [0.0, 5.0]})
    with pytest.raises(ValueError, match=r"The 'method' parameter of spend_independence_test must be a str among"):
        spend_independence_test({"frequency": [1], "monetary_value": [5.0]}, method="kendall")
    with pytest.raises(TypeError, match=r"spend_independence_test takes no table in an engine"):
        spend_independence_test(pl.DataFrame({"frequency": [1], "monetary_value": [5.0]}).lazy())


def test_warnings_name_the_model():
    table = {"frequency": [1, 2, 0], "T": [9.0, 9.0, 9.0], "monetary_value": [5.0, -1.0, 0.0]}
    model = CorrelatedGammaGammaModel.from_params(p=6.0, q=0.5, v=15.0, c=0.3, r=0.4, alpha=12.0)
    with pytest.warns(FitWarning, match="^CorrelatedGammaGammaModel: q <= 1.* 1 of 3 customers"):
        assert np.isinf(model.predict_spend(table)[2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        with pytest.warns(DataQualityWarning, match="^CorrelatedGammaGammaModel leaves out 1 of 2"):
            CorrelatedGammaGammaModel().fit(table)
