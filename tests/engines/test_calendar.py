"""Predictions on a calendar of a table in an engine: those in memory, added where the rows are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.engines.services import Engine, Engines
from tests.engines.tables import customers

from custanalytics.clv import GammaGammaModel, LifetimeValue, TimeVaryingBetaGeoModel, TimeVaryingParetoNBDModel
from custanalytics.exceptions import InvalidDataError

START = np.datetime64("2020-01-06", "us")
WEEK = np.timedelta64(7, "D")
TABLE = customers(60, seed=6)
TABLE["first_seen"] = START + np.timedelta64(1, "D") * np.round(7 * (39 - TABLE["T"])).astype(int).to_numpy()
INTERVALS = pd.DataFrame({"start": START + WEEK * np.arange(90), "sale": np.sin(np.arange(90.0))})
EFFECTS = {"rate": {"sale": 0.5}}


def of_each(ids: Any) -> pd.DataFrame:
    """Intervals of each customer, no two alike."""
    parts = [INTERVALS.assign(customer_id=each, sale=INTERVALS["sale"] * at) for at, each in enumerate(ids)]
    return pd.concat(parts, ignore_index=True)


def pareto(intervals: pd.DataFrame) -> TimeVaryingParetoNBDModel:
    return TimeVaryingParetoNBDModel.from_params(
        r=0.55, alpha=10.6, s=0.6, beta=11.7, coefficients=EFFECTS, intervals=intervals
    )


def test_predictions_are_those_in_memory(engine: Engine) -> None:
    model = pareto(INTERVALS)
    value = LifetimeValue(purchases=model, spend=GammaGammaModel.from_params(p=6.25, q=3.74, v=15.4), horizon=26)
    for column, predict in (
        ("p_alive", lambda table: model.predict_alive(table, ahead=4.0)),
        ("expected_purchases", lambda table: model.predict_purchases(table, 26.0, start=2.0)),
        ("lifetime_value", value.predict),
    ):
        if engine.name == "pyspark" and column != "p_alive":
            continue  # by the same way
        found = predict(engine.make(TABLE))
        if engine.lazy:
            found = engine.rows(found)[column].to_numpy()
        np.testing.assert_allclose(found, predict(TABLE), rtol=1e-12)


@pytest.mark.parametrize("name", ["polars-lazy", "duckdb", "ibis-duckdb", "dask"])
@pytest.mark.parametrize("ids", [2**60 + np.arange(60), [f"no. {at}" for at in range(60)]], ids=["numbers", "texts"])
def test_customers_with_intervals_of_their_own_are_found(engines: Engines, name: str, ids: Any) -> None:
    table = TABLE.assign(customer_id=ids)
    model = TimeVaryingBetaGeoModel.from_params(
        r=0.243, alpha=4.414, a=0.793, b=2.426, coefficients=EFFECTS, intervals=of_each(table["customer_id"])
    )
    value = LifetimeValue(purchases=model, spend=5.0, horizon=10)
    there = engines[name].make(table)
    found = value.transform(there)
    assert type(found) is type(there)
    rows = engines[name].rows(found)
    expected = value.transform(table).sort_values("customer_id", ignore_index=True)
    assert list(rows) == list(expected)
    for column in ("p_alive", "expected_purchases", "expected_spend", "lifetime_value"):
        np.testing.assert_allclose(rows[column], expected[column], rtol=1e-12)


@pytest.mark.parametrize("name", ["polars-lazy", "duckdb"])
def test_faults_of_a_table_in_an_engine_are_told(engines: Engines, name: str) -> None:
    model, make = pareto(INTERVALS), engines[name].make
    with pytest.raises(InvalidDataError, match=r"60 of 60 customers have recency > T"):
        model.predict_alive(make(TABLE.assign(recency=500.0, frequency=1)))
    with pytest.raises(InvalidDataError, match=r"1 of 60 customers have no first_seen \(first: 0\)"):
        model.predict_purchases(make(TABLE.assign(first_seen=TABLE["first_seen"].where(TABLE.index > 0))), 4.0)
    with pytest.raises(TypeError, match="gives many numbers a customer and takes no table in an engine"):
        model.sample(make(TABLE), 2, 4.0)
