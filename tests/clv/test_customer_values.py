"""Lifetime value of one customer, of a new one, as columns of the table, and as random futures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pytest

from custanalytics import _jit
from custanalytics.clv import (
    BetaGeoBetaBinomModel,
    BetaGeoCNBDModel,
    BetaGeoModel,
    CorrelatedGammaGammaModel,
    GammaGammaModel,
    LifetimeValue,
    ParetoNBDModel,
)

PURCHASES = {
    "bg": BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426),
    "pareto": ParetoNBDModel.from_params(r=0.553, alpha=10.58, s=0.606, beta=11.656),
    "cnbd": BetaGeoCNBDModel.from_params(k=3, r=0.9, alpha=1.5, a=0.8, b=2.4),
    "bgbb": BetaGeoBetaBinomModel.from_params(alpha=1.204, beta=0.75, gamma=0.657, delta=2.784),
}
SPEND = GammaGammaModel.from_params(p=6.25, q=3.74, v=15.4)
CORRELATED = CorrelatedGammaGammaModel.from_params(p=6.25, q=3.74, v=15.4, c=0.3, r=0.385, alpha=12.07)
TABLE = {
    "frequency": [26.0, 2.0, 0.0, 2.0],
    "recency": [30.0, 20.0, 0.0, 39.0],
    "T": [31.0, 39.0, 39.0, 39.0],
    "monetary_value": [30.0, 80.0, 0.0, -4.0],
}
COLUMNS = ["p_alive", "expected_purchases", "expected_spend", "lifetime_value"]


@pytest.fixture(params=PURCHASES, scope="module")
def value(request):
    return LifetimeValue(purchases=PURCHASES[request.param], spend=SPEND, margin=0.4)


@pytest.mark.parametrize("spend", [SPEND, CORRELATED, 20.0, 0.0])
def test_one_customer_has_the_numbers_of_the_table(value, spend):
    value = LifetimeValue(purchases=value.purchases, spend=spend, margin=0.4)
    added = value.transform(pd.DataFrame(TABLE))
    assert value.get_feature_names_out().tolist() == COLUMNS
    np.testing.assert_array_equal(added["lifetime_value"], value.predict(TABLE))
    for row in range(4):
        one = value.score_one(*(TABLE[name][row] for name in TABLE))
        assert list(one) == added.loc[row, COLUMNS].tolist()
        assert list(one._fields) == COLUMNS


def test_one_customer_from_many_threads():
    value = LifetimeValue(purchases=PURCHASES["pareto"], spend=SPEND)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda at: value.score_one(2, 20.0, 39.0 + at % 5, 80.0), range(400)))
    assert found == [value.score_one(2, 20.0, 39.0 + at % 5, 80.0) for at in range(400)]


def test_one_customer_who_cannot_be():
    value = LifetimeValue(purchases=PURCHASES["bg"], spend=SPEND)
    with pytest.raises(ValueError, match=r"No customer has frequency=2, recency=50, T=40"):
        value.score_one(2, 50, 40, 10.0)
    with pytest.raises(ValueError, match=r"monetary_value must be a finite number"):
        value.score_one(2, 20, 40, np.nan)


def test_columns_are_added_to_the_same_kind_of_frame(to_frame):
    value = LifetimeValue(purchases=PURCHASES["bg"], spend=SPEND)
    table = to_frame(pd.DataFrame(TABLE))
    added = value.transform(table)
    assert type(added) is type(table)
    frame = pd.DataFrame({name: np.asarray(added[name]) for name in [*TABLE, *COLUMNS]})
    np.testing.assert_allclose(frame["p_alive"], PURCHASES["bg"].predict_alive(TABLE))
    np.testing.assert_allclose(frame["expected_purchases"], PURCHASES["bg"].predict_purchases(TABLE, 52))
    np.testing.assert_allclose(frame["expected_spend"], SPEND.predict_spend(TABLE))


@pytest.mark.parametrize("spend", [SPEND, CORRELATED, 20.0])
def test_columns_are_added_to_a_lazy_table(spend):
    value = LifetimeValue(purchases=PURCHASES["pareto"], spend=spend)
    added = value.transform(pl.DataFrame(TABLE).lazy())
    assert isinstance(added, pl.LazyFrame)
    expected = value.transform(pl.DataFrame(TABLE))
    for name in COLUMNS:
        np.testing.assert_allclose(added.collect()[name].to_numpy(), expected[name].to_numpy(), rtol=1e-13)


@pytest.mark.parametrize("spend", [SPEND, CORRELATED, 20.0])
def test_draws_have_the_expected_value(value, spend):
    value = LifetimeValue(purchases=value.purchases, spend=spend, margin=0.4)
    draws = value.sample(TABLE, 20_000, rng=5)
    assert draws.shape == (4, 20_000)
    errors = draws.std(axis=1) / np.sqrt(20_000)
    assert (np.abs(draws.mean(axis=1) - value.predict(TABLE)) < 4.5 * errors).all()
    with _jit.threads(1):
        np.testing.assert_array_equal(value.sample(TABLE, 20, rng=5), draws[:, :20])


def test_draws_without_an_end_are_discounted_to_nothing():
    value = LifetimeValue(purchases=PURCHASES["pareto"], spend=20.0, horizon=np.inf, discount_rate=0.5)
    draws = value.sample(TABLE, 4000, rng=5)
    errors = draws.std(axis=1) / np.sqrt(4000)
    assert (np.abs(draws.mean(axis=1) - value.predict(TABLE)) < 4.5 * errors).all()
    value.set_params(discount_rate=0.0)
    with pytest.raises(ValueError, match=r"LifetimeValue.sample needs a finite horizon where discount_rate is 0"):
        value.sample(TABLE, 1)


def test_a_new_customer_begins_with_a_purchase(value):
    worth = 6.25 * 15.4 / 2.74
    new = {name: [0.0] for name in TABLE}
    repeats = value.predict(new)[0] / (0.4 * worth)
    assert value.predict_new_customer() == pytest.approx(0.4 * worth * (1.0 + repeats), rel=1e-12)
    assert value.predict_new_customer(30.0) == pytest.approx(value.predict_new_customer() - 30.0, rel=1e-12)
    undiscounted = LifetimeValue(purchases=value.purchases, spend=2.0, discount_rate=0.0)
    expected = 2.0 * (1.0 + value.purchases.expected_purchases_new_customer(52))
    assert undiscounted.predict_new_customer() == pytest.approx(expected, rel=1e-10)
    with pytest.raises(ValueError, match=r"The 'acquisition_cost' parameter of LifetimeValue.predict_new_customer"):
        value.predict_new_customer(-1.0)
