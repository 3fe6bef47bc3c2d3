"""Lifetime value: against quadrature, at its limits, with any pair of models, and the year it discounts by."""

from __future__ import annotations

import itertools

import mpmath as mp
import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted
from tests.reference import clv as reference

from custanalytics.clv import BetaGeoModel, GammaGammaModel, LifetimeValue
from custanalytics.clv._discounting import discounting, force_of_discount
from custanalytics.exceptions import FitWarning

PARAMS = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
PURCHASES = BetaGeoModel.from_params(**PARAMS)
SPEND = GammaGammaModel.from_params(p=6.25, q=3.74, v=15.4)
TABLE = {
    "frequency": [0, 2, 26],
    "recency": [0.0, 30.43, 30.86],
    "T": [38.86, 38.86, 31.0],
    "monetary_value": [0.0, 25.0, 60.0],
}


class Steady(BaseEstimator):
    """Purchases at one rate for ever: the least that LifetimeValue asks of a model."""

    def fit(self, table, y=None, sample_weight=None):
        self.params_ = {"rate": 0.5}
        return self

    def predict_purchases(self, table, horizon):
        return np.full(len(table["T"]), 0.5 * horizon)


@pytest.mark.parametrize(("horizon", "discount_rate"), [(52.0, 0.1), (520.0, 0.15), (4.0, 0.01)])
def test_value_is_the_discounted_integral(horizon, discount_rate):
    value = LifetimeValue(purchases=PURCHASES, spend=SPEND, horizon=horizon, discount_rate=discount_rate, margin=0.3)
    found = value.predict(TABLE)
    force = np.log1p(discount_rate) / (365.25 / 7)
    spend = SPEND.predict_spend(TABLE)
    with mp.workdps(20):
        for i in range(3):
            who = (TABLE["frequency"][i], TABLE["recency"][i], TABLE["T"][i])
            exact = float(reference.bg_discounted(*who, horizon, force, *PARAMS.values()))
            assert found[i] == pytest.approx(0.3 * spend[i] * exact, rel=1e-10)


def test_draws_and_posteriors_are_of_models_that_have_them():
    value = LifetimeValue(purchases=Steady().fit(TABLE), spend=20.0)
    with pytest.raises(TypeError, match=r"LifetimeValue.sample needs a model of purchases that draws futures"):
        value.sample(TABLE, 1)
    with pytest.raises(TypeError, match=r"LifetimeValue.posterior needs a model of purchases of this library"):
        value.posterior(TABLE)


def test_without_a_discount_it_is_purchases_times_spend():
    value = LifetimeValue(purchases=PURCHASES, spend=SPEND, horizon=39.0, discount_rate=0)
    expected = PURCHASES.predict_purchases(TABLE, 39.0) * SPEND.predict_spend(TABLE)
    np.testing.assert_array_equal(value.predict(TABLE), expected)
    nearly = clone(value).set_params(discount_rate=1e-9, purchases=PURCHASES, spend=SPEND)
    np.testing.assert_allclose(nearly.predict(TABLE), expected, rtol=1e-8)
    assert (clone(value).set_params(horizon=0, purchases=PURCHASES, spend=SPEND).predict(TABLE) == 0).all()


def test_the_rate_is_per_year_whatever_the_unit():
    days = {**TABLE, "recency": np.multiply(TABLE["recency"], 7), "T": np.multiply(TABLE["T"], 7)}
    daily = BetaGeoModel.from_params(**{**PARAMS, "alpha": PARAMS["alpha"] * 7})
    weekly = LifetimeValue(purchases=PURCHASES, spend=SPEND, horizon=52.0, discount_rate=0.2)
    in_days = LifetimeValue(purchases=daily, spend=SPEND, horizon=364.0, discount_rate=0.2, time_unit="D")
    np.testing.assert_allclose(in_days.predict(days), weekly.predict(TABLE), rtol=1e-9)
    assert force_of_discount(0.1, "Y") == pytest.approx(np.log(1.1))
    assert force_of_discount(0.1, "M") == pytest.approx(np.log(1.1) / 12)


def test_a_higher_rate_and_a_shorter_horizon_are_worth_less():
    values = [
        LifetimeValue(purchases=PURCHASES, spend=SPEND, horizon=h, discount_rate=d).predict(TABLE)
        for h, d in ((52, 0.0), (52, 0.1), (52, 0.5), (26, 0.5), (1, 0.5))
    ]
    for more, less in itertools.pairwise(values):
        assert (more > less).all()


def test_any_model_with_predict_purchases_will_do():
    value = LifetimeValue(purchases=Steady().fit(TABLE), spend=10.0, horizon=100.0, discount_rate=0.3)
    force = np.log1p(0.3) / (365.25 / 7)
    exact = 10.0 * 0.5 * -np.expm1(-force * 100.0) / force
    np.testing.assert_allclose(value.predict(TABLE), exact, rtol=1e-12)


@pytest.mark.parametrize("memory", [np.inf, 1.0, 1e-4])
@pytest.mark.parametrize("rate", [1e-6, 0.01, 1.0, 50.0])
def test_the_discounting_rule_on_a_known_integral(memory, rate):
    # E[X(t)] = t / (t + m) bends at t = m; the integral of exp(-rate t) dE is known by quadrature in many digits
    times, weights = discounting(100.0, rate, memory)
    bend = 1.0 if np.isinf(memory) else max(memory, 1e-3)
    found = weights @ (times / (times + bend))
    with mp.workdps(25):
        points = [0, bend / 10, bend, 10 * bend, 1, 10, 100]
        density = lambda t: mp.exp(-rate * t) * bend / (t + bend) ** 2  # noqa: E731
        exact = float(mp.quad(density, sorted(point for point in points if point <= 100)))
    assert found == pytest.approx(exact, rel=1e-9)


def test_fit_leaves_the_given_models_alone():
    table, _ = reference.cdnow()
    value = LifetimeValue(horizon=39).fit(table)
    assert value.purchases is None
    assert value.purchases_.params_ == BetaGeoModel().fit(table).params_
    assert value.spend_.params_ == GammaGammaModel().fit(table).params_
    assert list(value.feature_names_in_) == ["frequency", "recency", "T", "monetary_value"]
    assert value.n_features_in_ == 4
    given = LifetimeValue(purchases=PURCHASES, spend=30.0).fit(table)
    assert PURCHASES.params_ == PARAMS
    assert given.purchases_.params_ != PARAMS
    assert given.spend_ == 30.0
    assert not hasattr(clone(given), "purchases_")
    assert (value.predict(table) > 0).all()


def test_every_frame_library_gives_the_same(to_frame):
    table, _ = reference.cdnow()
    value = LifetimeValue().fit(to_frame(table))
    np.testing.assert_array_equal(value.predict(to_frame(table)), LifetimeValue().fit(table).predict(table))


def test_fitted_or_not():
    with pytest.raises(NotFittedError, match=r"Call fit\(table\), or pass fitted models"):
        LifetimeValue().predict(TABLE)
    with pytest.raises(NotFittedError):
        LifetimeValue(purchases=PURCHASES).predict(TABLE)
    check_is_fitted(LifetimeValue(purchases=PURCHASES, spend=12))


def test_no_purchases_are_worth_nothing_even_at_infinite_spend():
    endless = GammaGammaModel.from_params(p=2.0, q=0.6, v=5.0)
    value = LifetimeValue(purchases=PURCHASES, spend=endless, horizon=0)
    with pytest.warns(FitWarning, match="infinite expectation"):
        assert (value.predict(TABLE) == 0).all()


@pytest.mark.parametrize(
    ("name", "bad"),
    [("horizon", -1), ("discount_rate", -0.1), ("time_unit", "fortnight"), ("margin", None), ("spend", -1.0)],
)
def test_bad_parameters_are_refused(name, bad):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of LifetimeValue must be"):
        LifetimeValue(**{"purchases": PURCHASES, "spend": SPEND, name: bad}).predict(TABLE)
    with pytest.raises(ValueError, match="The 'purchases' parameter of LifetimeValue must be an object with fit"):
        LifetimeValue(purchases=3).fit(TABLE)
