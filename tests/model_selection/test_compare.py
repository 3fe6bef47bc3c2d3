"""Comparisons of models: scores by their definitions, origins without leaks, and what changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import BaseEstimator
from tests.reference import comparison as reference

from custanalytics.clv import BetaGeoModel, NBDModel, ParetoNBDModel
from custanalytics.datasets import load_cdnow, simulate_transactions
from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.metrics import gini_score, total_calibration
from custanalytics.model_selection import ModelComparison, compare_models, temporal_split
from custanalytics.rfm import OrderPolicy, RFMSummary

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "clv.json").read_text())
BINS = GOLDEN["holdout_bins"]


class PoissonModel(BaseEstimator):
    """Everybody buys at the same rate: the slowest learner with a distribution."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def fit(self, table: Any) -> PoissonModel:
        table = pd.DataFrame({name: np.asarray(table[name]) for name in ("frequency", "T")})
        self.rate_ = self.factor * table["frequency"].sum() / table["T"].sum()
        self.feature_names_in_ = np.array(["frequency", "T"])
        return self

    def predict_purchases(self, table: Any, horizon: float) -> np.ndarray:
        return np.full(len(np.asarray(table["T"])), self.rate_ * horizon)

    def predict_count_probabilities(self, table: Any, n: np.ndarray, horizon: float) -> np.ndarray:
        return stats.poisson.pmf(np.asarray(n)[None, :], self.predict_purchases(table, horizon)[:, None])


class Oracle(BaseEstimator):
    """Knows what comes: it is in the table."""

    def fit(self, table: Any) -> Oracle:
        return self

    def predict_purchases(self, table: Any, horizon: float) -> np.ndarray:
        return np.asarray(table["came"], dtype=float)

    def predict_count_probabilities(self, table: Any, n: np.ndarray, horizon: float) -> np.ndarray:
        return (np.asarray(n)[None, :] == self.predict_purchases(table, horizon)[:, None]).astype(float)


TABLE = pd.DataFrame(
    {
        "customer_id": list("abcdefgh"),
        "frequency": [0, 0, 1, 2, 2, 4, 7, 9],
        "recency": [0.0, 0.0, 3.0, 10.0, 20.0, 30.0, 25.0, 38.0],
        "T": [39.0, 30.0, 38.0, 39.0, 25.0, 35.0, 39.0, 39.0],
        "came": [0, 1, 0, 3, 1, 4, 2, 11],
    }
)


@pytest.fixture(scope="module")
def cdnow() -> tuple[pd.DataFrame, pd.DataFrame]:
    past, future = temporal_split(load_cdnow(), "1997-10-01", horizon=39, time_unit="W")
    return RFMSummary(as_of="1997-09-30").fit_transform(past), future


def by_model(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_index("model")


def test_scores_are_those_of_their_definitions() -> None:
    found = by_model(compare_models({"p": PoissonModel()}, TABLE, "came", horizon=39, baseline=False).scores).loc["p"]
    mean = 39 * TABLE["frequency"].sum() / TABLE["T"].sum()
    chances = [reference.poisson(k, mean) for k in range(200)]
    assert found["log_score"] == pytest.approx(np.mean([np.log(chances[k]) for k in TABLE["came"]]), rel=1e-12)
    assert found["crps"] == pytest.approx(np.mean([reference.crps(chances, k) for k in TABLE["came"]]), rel=1e-9)
    assert found["mae"] == pytest.approx(sum(abs(k - mean) for k in TABLE["came"]) / 8)
    assert found["rmse"] == pytest.approx((sum((k - mean) ** 2 for k in TABLE["came"]) / 8) ** 0.5)
    assert (found["predicted"], found["actual"]) == (pytest.approx(8 * mean), 22)
    assert found["predicted_to_actual"] == pytest.approx(8 * mean / 22)
    assert (found["n_customers"], found["horizon"], found["gini"]) == (8, 39.0, 0.0)


def test_the_baseline_goes_on_as_before() -> None:
    found = by_model(compare_models([PoissonModel()], TABLE, TABLE["came"], horizon=13).scores)
    assert list(found.index) == ["PoissonModel", "past rate"]
    assert found.loc["past rate", "predicted"] == pytest.approx(sum(13 * TABLE["frequency"] / TABLE["T"]))
    now = TABLE.assign(T=0.0, frequency=0, recency=0.0)  # everybody came today: no rate, no division by 0
    assert (
        by_model(compare_models([PoissonModel()], now.assign(T=1.0), "came", horizon=13).scores).loc[
            "past rate", "predicted"
        ]
        == 0
    )
    mixed = TABLE.assign(T=np.where(TABLE["frequency"] == 0, 0.0, TABLE["T"]))
    rate = mixed["frequency"].sum() / mixed["T"].sum()
    expected = 13 * (2 * rate + (TABLE["frequency"] / TABLE["T"]).sum())
    found = by_model(compare_models([PoissonModel()], mixed, "came", horizon=13).scores)
    assert found.loc["past rate", "predicted"] == pytest.approx(expected)


def test_a_perfect_forecast_has_the_best_score_of_each_kind() -> None:
    found = compare_models({"p": PoissonModel(), "oracle": Oracle()}, TABLE, "came", horizon=39)
    best = by_model(found.scores).loc["oracle"]
    assert [best[name] for name in ("log_score", "crps", "mae", "rmse")] == [0, 0, 0, 0]
    assert (best["gini"], best["predicted_to_actual"]) == (pytest.approx(1), 1)
    assert found.best == "oracle"
    assert found.ranking["model"].tolist() == ["oracle", "p", "past rate"]
    assert (found.by_group.query("model == 'oracle'")["standard_error"].dropna() == 0).all()


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 12)), min_size=2, max_size=20), st.floats(0.1, 3))
def test_differences_are_paired_over_customers(rows: list[tuple[int, int]], factor: float) -> None:
    table = pd.DataFrame(rows, columns=["frequency", "came"]).assign(T=20.0)
    models = {"one": PoissonModel(), "two": PoissonModel(factor)}
    if not table["frequency"].any():
        return
    found = compare_models(models, table, "came", horizon=10, baseline=False, ranked_by="crps")
    first, second = found.ranking["model"]
    mean = 10 * table["frequency"].mean() / 20
    means = {"one": mean, "two": factor * mean}
    chances = {name: [reference.poisson(k, each) for k in range(300)] for name, each in means.items()}
    gaps = [reference.crps(chances[second], k) - reference.crps(chances[first], k) for k in table["came"]]
    wanted = reference.clustered(list(enumerate(gaps)))
    gap = found.differences.query("score == 'crps'").iloc[0]
    assert (gap["model"], gap["better"]) == (second, first)
    assert gap["difference"] == pytest.approx(wanted[0], abs=1e-8)
    assert gap["standard_error"] == pytest.approx(wanted[1], abs=1e-8)
    assert gap["difference"] >= -1e-12
    assert found.ranking["difference"].tolist() == [0, gap["difference"]]


def test_origins_of_a_customer_are_taken_together() -> None:
    from custanalytics.model_selection._scoring import paired

    rng = np.random.default_rng(0)
    customers, gaps = rng.integers(0, 30, 200), rng.normal(1, 2, 200)
    wanted = reference.clustered(list(zip(customers.tolist(), gaps.tolist(), strict=True)))
    assert paired(gaps, customers) == pytest.approx(wanted)
    doubled = paired(np.tile(gaps, 2), np.tile(customers, 2))  # the same again tells nothing new
    assert doubled == pytest.approx(wanted)


def test_distributions_of_a_fitted_model(cdnow: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table, future = cdnow
    model = BetaGeoModel().fit(table)
    ids = future.drop_duplicates(["customer_id", "timestamp"]).value_counts("customer_id")
    came = table["customer_id"].map(ids).fillna(0).astype(int).to_numpy()
    chances = model.predict_count_probabilities(table, np.arange(400), 39)
    found = by_model(compare_models({"bg": model}, table, future, horizon=39, refit=False).scores).loc["bg"]
    logs = [np.log(row[k]) for row, k in zip(chances, came, strict=True)]
    assert found["log_score"] == pytest.approx(np.mean(logs), rel=1e-9)
    assert found["crps"] == pytest.approx(
        np.mean([reference.crps(row, k) for row, k in zip(chances, came, strict=True)]), rel=1e-8
    )
    models = {"bg": BetaGeoModel(), "pareto": ParetoNBDModel(), "nbd": NBDModel()}
    ranking = by_model(compare_models(models, table, future, horizon=39).ranking)
    gap, error = ranking.loc["pareto", ["difference", "standard_error"]]
    assert gap < 2 * error  # on CDNOW the two cannot be told apart, and dropout is there beyond doubt
    assert ranking.loc["nbd", "difference"] > 4 * ranking.loc["nbd", "standard_error"]


def test_the_truth_comes_first() -> None:
    log, truth = simulate_transactions(n_customers=3000, holdout=26, seed=3)
    table = RFMSummary().fit_transform(log)
    models = {"bg": BetaGeoModel(), "nbd": NBDModel(), "pareto": ParetoNBDModel()}
    found = compare_models(models, table, truth["n_future"], horizon=26)
    assert found.ranking["model"].tolist() == ["pareto", "bg", "nbd", "past rate"]
    first = by_model(found.ranking).loc["bg"]
    assert first["difference"] > 2 * first["standard_error"] > 0
    groups = found.by_group.query("model == 'pareto' and n_customers > 50")
    assert (np.abs(groups["expected"] - groups["actual"]) < 3.5 * groups["standard_error"]).all()


def test_customers_with_other_covariates_are_told_apart(cdnow: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table = cdnow[0].head(300).assign(big=np.arange(300) % 2.0)
    model = ParetoNBDModel.from_params(r=0.553, alpha=10.58, s=0.606, beta=11.66, coefficients={"rate": {"big": 0.7}})
    found = compare_models({"p": model}, table, np.arange(300) % 3, horizon=39, refit=False, baseline=False)
    chances = model.predict_count_probabilities(table, np.arange(3), 39)[np.arange(300), np.arange(300) % 3]
    assert found.ranking["log_score"].item() == pytest.approx(np.log(chances).mean(), rel=1e-9)


def test_ranks_and_totals_are_those_of_the_metrics(cdnow: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table, future = cdnow
    model = BetaGeoModel().fit(table)
    found = by_model(compare_models({"bg": model}, table, future, horizon=39, refit=False).scores).loc["bg"]
    came = table["customer_id"].map(future.drop_duplicates(["customer_id", "timestamp"]).value_counts("customer_id"))
    expected = model.predict_purchases(table, 39)
    assert found["gini"] == pytest.approx(gini_score(came.fillna(0), expected), rel=1e-12)
    assert found["predicted_to_actual"] == pytest.approx(1 / total_calibration(came.fillna(0), expected), rel=1e-12)
    assert found["actual"] == GOLDEN["summary"]["holdout"]


def test_groups_as_published(cdnow: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    found = compare_models({"bg": BetaGeoModel()}, *cdnow, horizon=39).by_group.query("model == 'bg'")
    assert found["n_customers"].tolist() == BINS["customers"]
    assert found["label"].tolist() == [*map(str, range(7)), "7+"]
    np.testing.assert_allclose(found["actual"], BINS["actual"], atol=5.1e-4)
    np.testing.assert_allclose(found["expected"], BINS["expected"], rtol=1e-4)
    zeros = cdnow[0]["frequency"] == 0
    ids = cdnow[1].drop_duplicates(["customer_id", "timestamp"]).value_counts("customer_id")
    came = cdnow[0].loc[zeros, "customer_id"].map(ids).fillna(0)
    gap = came - BetaGeoModel().fit(cdnow[0]).predict_purchases(cdnow[0], 39)[zeros]
    assert found["standard_error"].iloc[0] == pytest.approx(gap.std(ddof=1) / np.sqrt(zeros.sum()))


def test_rolling_origins_know_only_their_past() -> None:
    log = load_cdnow()
    models = {"bg": BetaGeoModel(), "nbd": NBDModel()}
    cutoffs = ["1997-10-01", "1997-12-31", "1998-04-01"]
    found = compare_models(models, log=log, summary=RFMSummary(), cutoffs=3, horizon=13, ranked_by="rmse")
    named = compare_models(models, log=log, summary=RFMSummary(), cutoffs=cutoffs, horizon=13, ranked_by="rmse")
    pd.testing.assert_frame_equal(found.scores, named.scores)
    assert found.scores["origin"].unique().tolist() == cutoffs
    total = found.scores.groupby("origin")["actual"].first()
    assert total.sum() == GOLDEN["summary"]["holdout"]
    for cutoff in cutoffs:
        past, future = temporal_split(log, cutoff, horizon=13, time_unit="W")
        eve = pd.Timestamp(cutoff) - pd.Timedelta(days=1)
        table = RFMSummary(as_of=eve.date()).fit_transform(past)
        alone = compare_models(models, table, future, horizon=13, ranked_by="rmse")
        columns = [name for name in alone.scores if name != "origin"]
        there = found.scores[found.scores["origin"] == cutoff].reset_index(drop=True)
        pd.testing.assert_frame_equal(there[columns], alone.scores[columns], rtol=1e-9)
    pooled = by_model(found.ranking).loc["bg", "mae"]
    each = found.scores.query("model == 'bg'")["mae"]
    assert pooled == pytest.approx(each.mean())  # as many customers at each origin


def test_periods_and_units_are_those_of_the_summary() -> None:
    log = load_cdnow()
    summary = RFMSummary(period="M", time_unit="M", columns={"customer_id": "who"})
    renamed = log.rename(columns={"customer_id": "who"})
    found = compare_models(
        {"p": PoissonModel()}, log=renamed, summary=summary, cutoffs=["1998-01-01"], horizon=3
    ).scores
    months = log.assign(month=log["timestamp"].dt.to_period("M"))
    pairs = months[(months["timestamp"] >= "1998-01-01") & (months["timestamp"] < "1998-04-01")]
    assert found["actual"].iloc[0] == len(pairs.drop_duplicates(["customer_id", "month"]))
    assert found["horizon"].iloc[0] == pytest.approx(3)
    assert summary.get_params()["as_of"] is None


def test_a_cancelled_order_makes_no_negative_holdout() -> None:
    log = pd.DataFrame(
        {
            "customer_id": [1, 1, 1, 2, 2],
            "timestamp": pd.to_datetime(["2024-01-01", "2024-01-10", "2024-02-05", "2024-01-02", "2024-02-20"]),
            "amount": [10.0, 7.0, -7.0, 5.0, 6.0],
        }
    )
    summary = RFMSummary(policy=OrderPolicy(), time_unit="D")
    found = compare_models(
        {"p": PoissonModel()}, log=log, summary=summary, cutoffs=["2024-02-01"], horizon=20, ranked_by="mae"
    )
    assert found.scores["actual"].tolist() == [1, 1]


def test_the_order_of_customers_changes_nothing(cdnow: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table, future = cdnow
    models = {"pareto": ParetoNBDModel().fit(table), "p": PoissonModel().fit(table)}
    straight = compare_models(models, table, future, horizon=39, refit=False)
    shuffled = compare_models(
        models, table.sample(frac=1, random_state=1), future.sample(frac=1, random_state=2), horizon=39, refit=False
    )
    for name in ("scores", "by_group", "ranking", "differences"):
        pd.testing.assert_frame_equal(getattr(straight, name), getattr(shuffled, name), rtol=1e-9)


def test_any_frame_in_and_the_same_out(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    before = TABLE.copy(deep=True)
    found = compare_models({"p": PoissonModel()}, to_frame(TABLE), "came", horizon=39)
    wanted = compare_models({"p": PoissonModel()}, TABLE, TABLE["came"].to_list(), horizon=39)
    for name in ("scores", "by_group", "ranking", "differences"):
        assert type(getattr(found, name)) is type(to_frame(TABLE))
    assert found.to_dict() == wanted.to_dict()
    log = pd.DataFrame({"customer_id": ["b", "b", "z"], "timestamp": pd.to_datetime(["2024-01-01"] * 3)})
    log.loc[1, "timestamp"] = pd.Timestamp("2024-01-02 10:00")
    counted = compare_models({"p": PoissonModel()}, to_frame(TABLE), to_frame(log), horizon=39).to_dict()
    assert counted["scores"]["actual"] == [2.0, 2.0]
    pd.testing.assert_frame_equal(TABLE, before)


def test_models_are_copied_or_taken_as_they_are() -> None:
    model = PoissonModel()
    compare_models({"p": model}, TABLE, "came", horizon=39)
    assert not hasattr(model, "rate_")
    model.rate_ = 0.5
    found = compare_models({"p": model}, TABLE, "came", horizon=10, refit=False)
    assert by_model(found.scores).loc["p", "predicted"] == pytest.approx(40)


def test_what_is_missing_is_said_and_why() -> None:
    found = compare_models({"p": PoissonModel()}, TABLE, "came", horizon=39)
    assert found.notes == {"past rate": ("no log score and no CRPS, as it has no predict_count_probabilities()",)}
    assert found.ranking["model"].tolist() == ["p", "past rate"]
    assert np.isnan(by_model(found.ranking).loc["past rate", "log_score"])
    assert "past rate: no log score" in str(found)
    assert "–" in str(found)
    nothing = compare_models({"p": PoissonModel()}, TABLE.assign(came=0), "came", horizon=39)
    assert "no Gini" in nothing.notes["p"][0]
    sure = Oracle()
    wrong = compare_models({"oracle": sure}, TABLE, TABLE["came"] + 1, horizon=39, baseline=False)
    assert wrong.notes["oracle"] == ("held what came impossible for 8 customers: its log score is -inf",)
    assert wrong.to_dict()["scores"]["log_score"] == [None]
    lone = compare_models(
        {"bg": BetaGeoModel.from_params(r=0.2, alpha=4.0, a=0.8, b=2.4), "p": PoissonModel(2.0).fit(TABLE)},
        TABLE,
        "came",
        horizon=39,
        refit=False,
        ranked_by="gini",
    )
    assert lone.best == "bg"
    assert "worse by" not in str(lone)


def test_without_distributions_the_squared_error_ranks() -> None:
    class Plain(BaseEstimator):
        def fit(self, table: Any) -> Plain:
            return self

        def predict_purchases(self, table: Any, horizon: float) -> np.ndarray:
            return np.ones(len(table))

    found = compare_models({"plain": Plain()}, TABLE, "came", horizon=39)
    assert found.ranked_by == "rmse"
    assert found.ranking["rmse"].is_monotonic_increasing
    gap = found.differences.query("score == 'squared_error'")["difference"].iloc[0]
    assert found.ranking["difference"].iloc[1] == pytest.approx(gap)
    assert gap == pytest.approx(np.diff(np.square(found.ranking["rmse"])).item())


def test_it_can_be_read_and_stored() -> None:
    found = compare_models({"<p>": PoissonModel()}, TABLE, "came", horizon=39)
    assert isinstance(found, ModelComparison)
    assert str(found).startswith("Forecasts of purchases: one origin, 8 customers, horizon 39\nmodel ")
    assert "&lt;p&gt;" in found._repr_html_()
    assert "<p>:" not in found._repr_html_()
    assert repr(found) == "ModelComparison(2 models, 1 origins, best by log_score: '<p>')"
    content = json.loads(json.dumps(found.to_dict()))
    assert content["best"] == "<p>"
    assert content["scores"]["model"] == ["<p>", "past rate"]
    alone = compare_models({"p": PoissonModel()}, TABLE, "came", horizon=39, baseline=False)
    assert len(alone.differences) == 0
    one = compare_models({"p": PoissonModel()}, TABLE.tail(1), "came", horizon=39)
    assert np.isnan(one.ranking["standard_error"]).all()


def test_long_tails_are_added_up_to_the_end() -> None:
    many = TABLE.assign(frequency=400, recency=38.0, T=39.0, came=700)
    found = compare_models({"p": PoissonModel()}, many, "came", horizon=39, baseline=False).scores.iloc[0]
    chances = [reference.poisson(k, 400) for k in range(1500)]
    assert found["crps"] == pytest.approx(reference.crps(chances, 700), rel=1e-9)
    assert found["log_score"] == pytest.approx(np.log(chances[700]), rel=1e-9)


def test_messages() -> None:
    models = {"p": PoissonModel()}
    with pytest.raises(ValueError, match="needs a table and its holdout, or a log with a summary"):
        compare_models(models, horizon=39)
    with pytest.raises(ValueError, match="takes a table with its holdout or a log, not both"):
        compare_models(models, TABLE, "came", horizon=39, log=load_cdnow(), summary=RFMSummary())
    with pytest.raises(ValueError, match="'summary' parameter of compare_models with a log must be"):
        compare_models(models, log=load_cdnow(), horizon=39)
    with pytest.raises(ValueError, match="makes tables with the summary from a log"):
        compare_models(models, TABLE, "came", horizon=39, summary=RFMSummary())
    with pytest.raises(
        ValueError, match=r"'models' parameter of compare_models, at 'x', must be an object with fit\(\)"
    ):
        compare_models({"x": 3}, TABLE, "came", horizon=39)
    for wrong, what in ((PoissonModel(), "PoissonModel"), (TABLE, "DataFrame")):
        with pytest.raises(ValueError, match=f"takes models as .* before the table. Got {what} instead"):
            compare_models(wrong, TABLE, "came", horizon=39)
    with pytest.raises(InvalidDataError, match=r"20 cutoffs do not fit.* Pass cutoffs=5, a smaller step"):
        compare_models(models, log=load_cdnow(), summary=RFMSummary(), cutoffs=20, horizon=13)
    with pytest.raises(ValueError, match="needs a name for each model of one class"):
        compare_models([PoissonModel(), PoissonModel(2)], TABLE, "came", horizon=39)
    with pytest.raises(ValueError, match="needs at least one model"):
        compare_models({}, TABLE, "came", horizon=39)
    with pytest.raises(ValueError, match="The name 'past rate' is that of the baseline"):
        compare_models({"past rate": PoissonModel()}, TABLE, "came", horizon=39)
    with pytest.raises(ValueError, match="'cutoffs' parameter of compare_models must be an int in the range"):
        compare_models(models, log=load_cdnow(), summary=RFMSummary(), cutoffs=0, horizon=39)
    with pytest.raises(ValueError, match="'cutoffs' parameter of compare_models must be a date"):
        compare_models(models, log=load_cdnow(), summary=RFMSummary(), cutoffs=["then"], horizon=39)
    with pytest.raises(ValueError, match="'horizon' parameter of compare_models must be a float"):
        compare_models(models, TABLE, "came", horizon=0)
    with pytest.raises(ValueError, match="'ranked_by' parameter of compare_models must be a str among"):
        compare_models(models, TABLE, "came", horizon=39, ranked_by="r2")
    with pytest.raises(MissingColumnError, match=r"compare_models needs the columns \['later'\]"):
        compare_models(models, TABLE, "later", horizon=39)
    with pytest.raises(ValueError, match=r"an array of 8 counts, one per customer.*the shape \(2,\)"):
        compare_models(models, TABLE, [1, 2], horizon=39)
    with pytest.raises(InvalidDataError, match=r"1 of 8 customers have holdout purchases that are no whole .*first: c"):
        compare_models(models, TABLE.assign(came=[0, 0, -1, 0, 0, 0, 0, 0]), "came", horizon=39)
    with pytest.raises(InvalidDataError, match="at least one customer"):
        compare_models(models, TABLE.iloc[:0], "came", horizon=39)
    strangers = pd.DataFrame({"customer_id": [1], "timestamp": pd.to_datetime(["2024-01-01"])})
    with pytest.raises(InvalidDataError, match=r"None of the 1 customers of the holdout is in the table"):
        compare_models(models, TABLE, strangers, horizon=39)
    with pytest.raises(InvalidDataError, match=r"1 of 1 rows have no timestamp"):
        compare_models(models, TABLE, strangers.assign(timestamp=pd.NaT), horizon=39)
    late = {"log": load_cdnow(), "summary": RFMSummary(), "cutoffs": ["1998-05-01"]}
    with pytest.raises(
        InvalidDataError, match=r"horizon of 13 W after the cutoff 1998-05-01 reaches beyond the end of"
    ):
        compare_models(models, horizon=13, **late)
    assert compare_models(models, horizon=13, end="1999-01-01", **late).best == "p"


def test_a_model_that_fails_is_named() -> None:
    class Broken(PoissonModel):
        def predict_purchases(self, table: Any, horizon: float) -> np.ndarray:
            return np.full(3, np.nan)

    class Short(PoissonModel):
        def predict_count_probabilities(self, table: Any, n: np.ndarray, horizon: float) -> np.ndarray:
            return -super().predict_count_probabilities(table, n, horizon)

    with pytest.raises(InvalidDataError, match="predict_purchases of 'b' must give a finite number") as error:
        compare_models({"b": Broken()}, TABLE, "came", horizon=39)
    assert error.value.__notes__ == ["This happened in compare_models, to the model 'b' at the origin table."]
    with pytest.raises(InvalidDataError, match="predict_count_probabilities of 's' must give probabilities"):
        compare_models({"s": Short()}, TABLE, "came", horizon=39)
