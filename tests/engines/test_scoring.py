"""Predictions, scores and segments of a table in an engine: those in memory, added where the rows are."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from tests.engines.services import Engine, Engines
from tests.engines.tables import customers

from custanalytics import _engines
from custanalytics.clv import BetaGeoModel, GammaGammaModel, LifetimeValue, ParetoNBDModel
from custanalytics.exceptions import DataQualityWarning, FitWarning, InvalidDataError, MissingColumnError
from custanalytics.rfm import RFMScorer, RFMSegmenter, RFMSummary
from custanalytics.rfm._lazy_scores import rounded
from custanalytics.rfm._order_statistics import Bracket, order_statistics

TABLE = customers(2000, seed=5)
LAZY = ("polars-lazy", "duckdb", "ibis-duckdb", "dask")
QUICK = ("polars-lazy", "duckdb")  # Dask takes a second for what these do at once
PURCHASES = BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426)
SPEND = GammaGammaModel.from_params(p=6.25, q=3.74, v=15.4)
PREDICTIONS = {
    "p_alive": PURCHASES.predict_alive,
    "expected_purchases": lambda table: PURCHASES.predict_purchases(table, 26.0),
    "discounted_purchases": lambda table: PURCHASES.predict_discounted_purchases(table, 52.0, 0.002),
    "expected_spend": SPEND.predict_spend,
    "lifetime_value": LifetimeValue(purchases=PURCHASES, spend=SPEND).predict,
}
SCORERS: dict[str, dict[str, Any]] = {
    "quantile": {},
    "weighted": {"n_bins": (3, 10, 4), "weights": (2, 1, 0.5)},
    "fixed": {"cut_points": {"r_score": [1.0000000004, 5, 20], "f_score": [0, 2]}, "shares": {"m_score": [0.8, 0.2]}},
    "zero apart": {"zero_apart": ("f_score", "m_score")},
    "nested": {"method": "nested", "n_bins": 3, "weights": (1, 1, 1)},
}


def quietly(action: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        return action()


def predicted(engine: Engine, predict: Any, table: Any, column: str) -> np.ndarray:
    """The column that was added at the end of a table of the same kind, whose other columns are as they were."""
    there = engine.make(table)
    found = predict(there)
    assert type(found) is type(there)
    rows = engine.rows(found)
    assert list(rows) == [*(name for name in table.columns if name != column), column]
    kept = rows[[name for name in table.columns if name != column]]
    pd.testing.assert_frame_equal(kept, table[list(kept)], check_dtype=False)
    return rows[column].to_numpy()


# --- predictions --------------------------------------------------------------------------------------------------


def test_predictions_are_those_in_memory(engine: Engine) -> None:
    table = TABLE[:500].assign(note="as it was")
    for column, predict in PREDICTIONS.items():
        if engine.name == "pyspark" and column in ("expected_purchases", "discounted_purchases"):
            continue  # as `p_alive`, by the same way
        if not engine.lazy:
            np.testing.assert_array_equal(predict(engine.make(table)), predict(table))
            continue
        found = predicted(engine, predict, table, column)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, predict(table), rtol=1e-12)


@pytest.mark.parametrize("name", QUICK)
def test_what_is_predicted_replaces_a_column_of_its_name_and_needs_no_rows(engines: Engines, name: str) -> None:
    for column, predict in PREDICTIONS.items():
        table = TABLE[:50].assign(**{column: -1.0})[[column, *TABLE.columns]]
        np.testing.assert_allclose(predicted(engines[name], predict, table, column), predict(table), rtol=1e-12)
        assert len(predicted(engines[name], predict, TABLE[:0], column)) == 0


class MeanSpend(BaseEstimator):
    """Spend of another kind: an estimator of somebody else's."""

    def fit(self, table: Any, y: Any = None, sample_weight: Any = None) -> MeanSpend:
        self.params_: dict[str, float] = {}
        return self

    def predict_spend(self, table: Any) -> np.ndarray:
        return 1.0 + np.asarray(table["monetary_value"])


@pytest.mark.parametrize("name", LAZY)
@pytest.mark.parametrize("spend", [0.0, 12.5, MeanSpend().fit(None)], ids=["nothing", "number", "estimator"])
def test_values_by_other_kinds_of_spend(engines: Engines, name: str, spend: Any) -> None:
    value = LifetimeValue(purchases=ParetoNBDModel.from_params(r=0.55, alpha=10.6, s=0.6, beta=11.7), spend=spend)
    found = predicted(engines[name], value.predict, TABLE[:300], "lifetime_value")
    np.testing.assert_allclose(found, value.predict(TABLE[:300]), rtol=1e-12)


@pytest.mark.parametrize("name", QUICK)
def test_amounts_that_one_time_buyers_lack_are_not_needed(engines: Engines, name: str) -> None:
    table = TABLE[:200].copy()
    table.loc[table["frequency"] == 0, "monetary_value"] = np.nan
    wanted = LifetimeValue(purchases=PURCHASES, spend=SPEND)
    there = wanted.predict(engines[name].make(table))
    np.testing.assert_allclose(engines[name].rows(there)["lifetime_value"], wanted.predict(table), rtol=1e-12)


@pytest.mark.parametrize("name", QUICK)
def test_infinite_expectations_are_given_with_the_same_warning(engines: Engines, name: str) -> None:
    heavy = GammaGammaModel.from_params(p=0.4, q=0.5, v=10.0)
    words = "q <= 1, so that the mean spend over all customers is infinite: [0-9,]+ of 2,000 customers"
    with pytest.warns(FitWarning, match=words) as in_memory:
        wanted = heavy.predict_spend(TABLE)
    with pytest.warns(FitWarning, match=words) as caught:
        found = predicted(engines[name], heavy.predict_spend, TABLE, "expected_spend")
    np.testing.assert_array_equal(found, wanted)
    mine = [str(each.message) for each in caught if each.category is FitWarning]
    assert mine == [str(each.message) for each in in_memory]


@pytest.mark.parametrize("name", LAZY)
def test_bad_rows_are_refused_at_once_in_the_same_words(engines: Engines, name: str) -> None:
    late = TABLE.copy()
    late.loc[[40, 7], "recency"] = 99.0
    for predict in (PREDICTIONS["p_alive"], PREDICTIONS["lifetime_value"]):
        with pytest.raises(InvalidDataError, match=r"^2 of 2,000 customers have recency > T \(first: 7, 40\)\. Was"):
            predict(engines[name].make(late))
    poor = TABLE.copy()
    poor.loc[poor.index[poor["frequency"] > 0][:6], "monetary_value"] = np.inf
    with pytest.raises(InvalidDataError, match=r"^6 of 2,000 customers have repeat purchases but .* \(first: .*, …\)"):
        SPEND.predict_spend(engines[name].make(poor))
    with pytest.raises(MissingColumnError, match="BetaGeoModel needs the columns"):
        PURCHASES.predict_alive(engines[name].make(TABLE[["customer_id"]]))
    with pytest.raises(NotFittedError):
        BetaGeoModel().predict_alive(engines[name].make(TABLE))
    with pytest.raises(ValueError, match="'horizon' parameter"):
        PURCHASES.predict_purchases(engines[name].make(TABLE), -1)


def test_workers_are_sent_little(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    map_columns = _engines.map_columns

    def watched(lazy: Any, columns: Any, function: Any, added: Any) -> Any:
        sent.append(pickle.dumps(function))
        return map_columns(lazy, columns, pickle.loads(sent[-1]), added)

    monkeypatch.setattr(_engines, "map_columns", watched)
    value = LifetimeValue().fit(TABLE)
    there = pl.from_pandas(TABLE).lazy()
    found = value.predict(value.purchases_.predict_alive(there)).collect()
    np.testing.assert_array_equal(found["lifetime_value"].to_numpy(), value.predict(TABLE))
    nested = RFMScorer(method="nested").fit(TABLE)
    quietly(lambda: RFMSegmenter().fit_transform(nested.transform(TABLE)))
    scored = nested.transform(there)
    segmented = quietly(lambda: RFMSegmenter().fit(nested.transform(TABLE)).transform(scored)).collect()
    assert segmented.height == len(TABLE)
    assert len(sent) == 4
    assert max(map(len, sent)) < 20_000


def test_a_later_fit_does_not_change_what_was_asked_before() -> None:
    model = BetaGeoModel().fit(TABLE)
    wanted = model.predict_alive(TABLE)
    asked = model.predict_alive(pl.from_pandas(TABLE).lazy())
    model.fit(TABLE[:700])
    np.testing.assert_array_equal(asked.collect()["p_alive"].to_numpy(), wanted)


# --- scores and segments ------------------------------------------------------------------------------------------


def check_scorer(engine: Engine, table: pd.DataFrame, **params: Any) -> None:
    there = engine.make(table)
    wanted, found = RFMScorer(**params).fit(table), RFMScorer(**params).fit(there)
    assert found.n_bins_ == wanted.n_bins_
    assert found.unreachable_scores_ == wanted.unreachable_scores_
    assert list(found.feature_names_in_) == list(wanted.feature_names_in_)
    for score, cuts in wanted.cut_points_.items():
        np.testing.assert_array_equal(found.cut_points_[score], cuts)
    scored = wanted.transform(there)
    assert type(scored) is type(there)
    rows, expected = engine.rows(scored), wanted.transform(table)
    assert list(rows) == list(expected)
    for score in (name for name in expected if name.endswith("_score")):
        assert rows[score].dtype == expected[score].dtype
        assert rows[score].tolist() == expected[score].tolist()


def test_scores_and_segments_are_those_in_memory(engine: Engine) -> None:
    table = TABLE[:300].drop(columns="inactivity")
    check_scorer(engine, table)
    scored = RFMScorer().fit_transform(table)
    there = engine.make(scored)
    wanted, found = quietly(lambda: (RFMSegmenter().fit(scored), RFMSegmenter().fit(there)))
    assert found.unreachable_ == wanted.unreachable_
    segmented = found.transform(there)
    assert type(segmented) is type(there)
    rows, expected = engine.rows(segmented), wanted.transform(scored)
    assert list(rows) == list(expected)
    assert rows["segment"].tolist() == expected["segment"].tolist()


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("case", SCORERS)
def test_every_way_of_scoring(engines: Engines, name: str, case: str) -> None:
    check_scorer(engines[name], TABLE, **SCORERS[case])


@pytest.mark.parametrize("name", QUICK)
def test_scores_are_refused_and_doubted_in_the_same_words(engines: Engines, name: str) -> None:
    make = engines[name].make
    bad = TABLE.copy()
    bad.loc[[3, 30], "monetary_value"] = np.nan
    words = r"^2 of 2,000 customers have no finite monetary_value \(first: 3, 30\)\. Drop them, or make"
    for action in (RFMScorer().fit, RFMScorer().fit(TABLE).transform):
        for table in (bad, make(bad)):
            with pytest.raises(InvalidDataError, match=words):
                action(table)
    with pytest.raises(InvalidDataError, match="customer table is empty"):
        RFMScorer().fit(make(TABLE[:0]))
    with pytest.raises(MissingColumnError, match="Make the customer table with RFMSummary"):
        RFMScorer().fit(make(TABLE[["customer_id"]]))
    with pytest.warns(DataQualityWarning, match=r"All 2,000 customers have inactivity = 7, so that r_score is 1"):
        RFMScorer().fit(make(TABLE.assign(inactivity=7.0)))
    scored = RFMScorer().fit_transform(TABLE)
    segmenter = quietly(lambda: RFMSegmenter().fit(scored))
    scored.loc[[5, 6], "f_score"] = [9, 0]
    words = r"^2 of 2,000 customers have a f_score that is no whole number from 1 to 5 \(first: 5, 6\)\. The rules"
    for table in (scored, make(scored)):
        with pytest.raises(InvalidDataError, match=words):
            segmenter.transform(table)
    here, there = (quietly(lambda table=table: RFMSegmenter().fit(table)) for table in (scored, make(scored)))
    assert there.unreachable_ == here.unreachable_
    assert len(engines[name].rows(segmenter.transform(make(scored[:0])))) == 0


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from(["ties", "heavy", "wide", "tiny"]))
def test_order_statistics_are_exact_in_few_steps(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    n = 9000
    values = {
        "ties": lambda: rng.integers(0, 30, n).astype(float),
        "heavy": lambda: np.exp(rng.normal(0, 8, n)) * rng.choice([-1, 1], n),
        "wide": lambda: rng.choice([-1.7e308, -1.0, 0.0, 1e-300, 1.7e308], n),
        "tiny": lambda: rng.random(n) * 1e-310,
    }[kind]()
    ranks = tuple(np.unique(rng.integers(1, n + 1, 6)).tolist())
    lazy = nw.from_native(pl.DataFrame({"value": values}).lazy())
    ordered = np.sort(values)
    found = order_statistics(lazy, "value", Bracket(float(ordered[0]), float(ordered[-1]), 0, n, ranks))
    assert found == {rank: ordered[rank - 1] for rank in ranks}


@pytest.mark.parametrize("name", LAZY)
def test_durations_are_rounded_as_by_numpy(engines: Engines, name: str) -> None:
    rng = np.random.default_rng(0)
    halves = (rng.integers(0, 10**6, 500) + 0.5) * 1e-9
    values = np.concatenate([halves, rng.random(500) * 1e4, rng.integers(0, 4000, 500) / 7, [0.0, 3e6, 1e17]])
    frame = pd.DataFrame({"customer_id": np.arange(values.size), "value": values})
    lazy = _engines.wrap(engines[name].make(frame))
    found = engines[name].rows(_engines.native(lazy.with_columns(rounded(nw.col("value")).alias("rounded"))))
    np.testing.assert_array_equal(found["rounded"], np.round(values, 9))


@pytest.mark.parametrize("name", LAZY)
def test_from_the_log_to_the_segment_without_leaving_the_engine(engines: Engines, name: str) -> None:
    rng = np.random.default_rng(0)
    days = rng.integers(0, 300, 3000) * np.timedelta64(86_400, "s")
    log = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 400, 3000),
            "timestamp": np.datetime64("2024-01-01", "us") + days,
            "amount": np.ceil(rng.gamma(2, 20, 3000)),  # sums of whole numbers are exact in any order
        }
    )
    steps = (RFMSummary(), RFMScorer(), RFMSegmenter(on_unreachable="ignore"))
    here, there = log, engines[name].make(log)
    for step in steps:
        here, there = step.fit(here).transform(here), step.fit(there).transform(there)
    there = LifetimeValue(purchases=PURCHASES, spend=SPEND).predict(there)
    rows = engines[name].rows(there)
    assert rows["segment"].tolist() == here["segment"].tolist()
    np.testing.assert_allclose(
        rows["lifetime_value"], LifetimeValue(purchases=PURCHASES, spend=SPEND).predict(here), rtol=1e-9
    )
