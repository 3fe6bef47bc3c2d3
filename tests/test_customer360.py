"""The composed estimator: one row per customer, each step replaceable, the caller's frames as they were."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from custanalytics import Customer360
from custanalytics.churn import ChurnClassifier
from custanalytics.clv import LifetimeValue, ParetoNBDModel
from custanalytics.datasets import load_cdnow, simulate_transactions
from custanalytics.exceptions import DataQualityWarning, InvalidDataError, MissingColumnError
from custanalytics.rfm import RFMSummary
from custanalytics.segmentation import ValueTiers

ADDED = {
    "scorer": ["r_score", "f_score", "m_score"],
    "segmenter": ["segment"],
    "value": ["p_alive", "expected_purchases", "expected_spend", "lifetime_value"],
    "churn": ["churn_risk"],
    "tiers": ["value_tier", "usage_tier"],
    "clusterer": ["cluster"],
    "offers": ["offer_1", "offer_2", "offer_3", "priority_1", "priority_2", "priority_3"],
}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return simulate_transactions(n_customers=400, seed=3).log


def quick(**params: Any) -> Customer360:
    """Without the steps that take longest."""
    return Customer360(**{"churn": None, "clusterer": None, **params})


@pytest.fixture(scope="module")
def fitted(log: pd.DataFrame) -> Customer360:
    linear = make_pipeline(StandardScaler(), LogisticRegression())
    return Customer360(churn=ChurnClassifier(estimator=linear, cv=3)).fit(log)


def test_every_customer_gets_every_score(fitted: Customer360, log: pd.DataFrame) -> None:
    table = fitted.table_
    assert table["customer_id"].tolist() == sorted(log["customer_id"].unique())
    assert fitted.skipped_ == {}
    wanted = [*fitted.summary_.get_feature_names_out(), *(name for names in ADDED.values() for name in names)]
    assert list(table.columns) == wanted == fitted.get_feature_names_out().tolist()
    numbers = table.drop(columns=[name for name in table if name.startswith(("offer_", "priority_"))])
    assert not numbers.isna().to_numpy().any()
    for share in ("p_alive", "churn_risk"):
        assert table[share].between(0, 1).all()
    for amount in ("expected_purchases", "expected_spend", "lifetime_value"):
        assert (table[amount] >= 0).all()


def test_transform_gives_what_fit_found(fitted: Customer360, log: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(fitted.transform(log), fitted.table_)


def test_part_of_the_customers_scores_as_in_the_whole(fitted: Customer360, log: pd.DataFrame) -> None:
    few = log[log["customer_id"] % 7 == 0]
    whole = fitted.table_.query("customer_id % 7 == 0").reset_index(drop=True)
    pd.testing.assert_frame_equal(fitted.transform(few), whole, rtol=1e-9)


def test_shuffling_events_changes_nothing(log: pd.DataFrame) -> None:
    mixed = log.sample(frac=1, random_state=0)
    before = mixed.copy()
    pd.testing.assert_frame_equal(quick().fit_transform(log), quick().fit_transform(mixed), rtol=1e-9)
    pd.testing.assert_frame_equal(mixed, before)


def test_frame_libraries_agree(log: pd.DataFrame, to_frame: Callable[[pd.DataFrame], Any]) -> None:
    native = to_frame(log)
    result = quick().fit_transform(native)
    assert type(result) is type(native)
    expected = quick().fit_transform(log)
    for name in expected.columns:
        found = result[name].to_pylist() if hasattr(result[name], "to_pylist") else result[name].to_list()
        if expected[name].dtype.kind == "f":
            np.testing.assert_allclose(np.array(found, float), expected[name].to_numpy(), rtol=1e-12)
        else:
            assert [str(value) for value in found] == [str(value) for value in expected[name].tolist()], name


def test_set_output(log: pd.DataFrame) -> None:
    assert isinstance(quick().set_output(transform="polars").fit_transform(log), pl.DataFrame)


def test_steps_are_switched_off_replaced_and_set(log: pd.DataFrame) -> None:
    off = Customer360(**dict.fromkeys(("scorer", "segmenter", "value", "churn", "clusterer", "offers")))
    assert list(off.fit_transform(log).columns)[-2:] == ["value_tier", "usage_tier"]
    replaced = quick(value=LifetimeValue(purchases=ParetoNBDModel(), horizon=26)).fit(log)
    assert isinstance(replaced.value_.purchases_, ParetoNBDModel)
    assert replaced.value_.horizon == 26
    changed = quick().set_params(tiers__n_tiers=4, offers__k=1, value__horizon=13)
    table = changed.fit_transform(log)
    assert set(table["value_tier"]) == {1, 2, 3, 4}
    assert "offer_2" not in table
    assert quick().tiers == "default"  # no other instance is touched
    given = ValueTiers(n_tiers=3)
    quick(tiers=given).fit(log)
    assert not hasattr(given, "tiers_")


def test_time_units_of_summary_and_value_go_together(log: pd.DataFrame) -> None:
    weeks = quick().fit_transform(log)
    days = quick(summary=RFMSummary(time_unit="D")).fit_transform(log)
    np.testing.assert_allclose(days["T"], 7 * weeks["T"])
    np.testing.assert_allclose(days["lifetime_value"], weeks["lifetime_value"], rtol=1e-5)
    with pytest.raises(ValueError, match="counts time in 'D' and the value step in 'W'"):
        quick(summary=RFMSummary(time_unit="D"), value=LifetimeValue()).fit(log)


def test_as_of_is_the_last_day_that_counts(log: pd.DataFrame) -> None:
    days = log["timestamp"].dt.normalize()
    middle = days.sort_values().iloc[len(days) * 4 // 5]
    early = quick().fit(log, as_of=middle)
    assert early.as_of_ == np.datetime64(middle, "D")
    until = log[days <= middle]
    pd.testing.assert_frame_equal(early.table_, quick().fit(until, as_of=middle).table_)
    assert early.table_["last_seen"].max() == until.loc[until["amount"] >= 0, "timestamp"].max()


def test_columns_are_mapped(log: pd.DataFrame) -> None:
    names = {"customer_id": "who", "timestamp": "when", "amount": "paid"}
    mapped = quick(columns=names).fit_transform(log.rename(columns=names))
    pd.testing.assert_frame_equal(mapped, quick().fit_transform(log))
    without = quick(columns=names, validator=None).fit_transform(log.rename(columns=names))
    pd.testing.assert_frame_equal(mapped, without)


def test_bad_rows_are_set_aside_and_the_rest_is_scored(log: pd.DataFrame) -> None:
    bad = log.iloc[:3].assign(amount=np.nan)
    c360 = quick().fit(pd.concat([log, bad], ignore_index=True))
    assert len(c360.validator_.quarantine_) == 3
    pd.testing.assert_frame_equal(c360.table_, quick().fit(log).table_)


def test_what_the_data_cannot_support_is_left_out_with_a_reason(log: pd.DataFrame) -> None:
    first = log["timestamp"].min()
    short = log[log["timestamp"] < first + pd.Timedelta(days=60)].drop(columns="product_id")
    with pytest.warns(DataQualityWarning, match="leaves out the step") as caught:
        c360 = Customer360(clusterer=None, value=None).fit(short)
    assert set(c360.skipped_) == {"churn", "offers"}
    assert "product_id" in c360.skipped_["offers"]
    assert "shorter churn_horizon" in c360.skipped_["churn"]
    assert all(Path(warning.filename).name == Path(__file__).name for warning in caught)
    assert not hasattr(c360, "offers_")
    pd.testing.assert_frame_equal(c360.transform(short), c360.table_)


def test_errors(log: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="The 'churn_horizon' parameter of Customer360 must be a float in the range"):
        Customer360(churn_horizon=0).fit(log)
    with pytest.raises(ValueError, match="The 'summary' parameter of Customer360"):
        Customer360(summary=None).fit(log)
    with pytest.raises(MissingColumnError, match=r"columns \['amount'\]"):
        Customer360().fit(log.drop(columns="amount"))
    with pytest.raises(InvalidDataError, match="empty"):
        Customer360(validator=None).fit(log.iloc[:0])
    nobody = log.assign(customer_id="guest")
    with (
        pytest.warns(DataQualityWarning, match="rows are quarantined"),
        pytest.raises(InvalidDataError, match=r"No row of the log is usable: all [0-9,]+ are set aside \(plac"),
    ):
        Customer360().fit(nobody)


def some_days(n_customers: int, n_rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "customer_id": random.integers(0, n_customers, n_rows),
            "timestamp": pd.Timestamp("2022-01-01") + pd.to_timedelta(random.integers(0, 600, n_rows), unit="D"),
            "amount": random.integers(1, 50, n_rows).astype(float),
        }
    )


@pytest.mark.filterwarnings("ignore::custanalytics.exceptions.FitWarning")
@pytest.mark.filterwarnings("ignore::custanalytics.exceptions.DataQualityWarning")
@pytest.mark.parametrize(
    ("log", "skipped", "reason"),
    [
        (some_days(1, 1), "clusterer", "at least two customers"),
        (some_days(1, 50), "churn", "hold one class"),
        (some_days(3, 30), "churn", "Too few labels to calibrate"),
        (some_days(60, 60).assign(customer_id=np.arange(60)), "churn", "hold one class"),
    ],
    ids=["one row", "one customer", "few customers", "nobody twice"],
)
def test_few_customers_are_scored_as_far_as_they_go(
    log: pd.DataFrame, skipped: str, reason: str, tmp_path: Path
) -> None:
    c360 = Customer360(value=None).fit(log)
    assert reason in c360.skipped_[skipped]
    assert len(c360.table_) == log["customer_id"].nunique()
    pd.testing.assert_frame_equal(c360.transform(log), c360.table_)
    assert c360.report(tmp_path / "page.html").exists()


def test_a_log_without_purchases_is_refused(log: pd.DataFrame) -> None:
    message = "No customer has a purchase up to 2021"
    with pytest.warns(DataQualityWarning, match="but no purchase"), pytest.raises(InvalidDataError, match=message):
        quick().fit(log.assign(amount=-1.0))


def test_nobody_to_score_gives_an_empty_table(fitted: Customer360, log: pd.DataFrame, tmp_path: Path) -> None:
    for nobody in (log.iloc[:0], log.assign(timestamp=log["timestamp"] + pd.Timedelta(days=999))):
        table = fitted.transform(nobody)
        assert len(table) == 0
        assert list(table.columns) == fitted.get_feature_names_out().tolist()
        with pytest.raises(InvalidDataError, match="nothing to report"):
            fitted.report(tmp_path / "page.html", table)
    page = fitted.report(tmp_path / "page.html", fitted.table_[["customer_id", "segment"]])
    assert "<h2>Segments</h2>" not in page.read_text(encoding="utf-8")


def test_segments_need_scores_that_fit_their_rules(log: pd.DataFrame) -> None:
    with pytest.warns(DataQualityWarning, match="Segments need scores, and the step 'scorer' is off or left out"):
        unscored = quick(scorer=None).fit(log)
    assert set(unscored.skipped_) == {"segmenter"}
    for n_bins in (3, 7):
        with pytest.warns(DataQualityWarning, match=f"scores run from 1 to {n_bins} and its rules from 1 to 5"):
            other = quick().set_params(scorer__n_bins=n_bins).fit(log)
        assert "segment" not in other.table_
    rules = {"low": ["1*", "2*"], "high": ["3*"]}
    fits = quick().set_params(scorer__n_bins=3, segmenter__rules=rules).fit(log)
    assert set(fits.table_["segment"]) == {"low", "high"}


def test_a_step_that_is_off_has_no_parameters_to_set() -> None:
    with pytest.raises(ValueError, match=r"step 'churn' of Customer360 is off.*set_params\(churn='default'\)"):
        Customer360(churn=None).set_params(churn__cv=3)


def test_the_report_draws_no_shares_of_nothing(log: pd.DataFrame, tmp_path: Path) -> None:
    returned = pd.concat([log, log.assign(amount=-2 * log["amount"])], ignore_index=True)
    c360 = quick(value=None, summary=RFMSummary(policy=None)).fit(returned)
    assert c360.table_["total_value"].sum() < 0
    page = c360.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h2>Segments</h2>" in page
    assert "no shares of value" in page


def test_clone_and_pickle_hold_no_customers(fitted: Customer360, log: pd.DataFrame, tmp_path: Path) -> None:
    assert clone(fitted).get_params()["churn_horizon"] == 90
    loaded = pickle.loads(pickle.dumps(fitted))
    assert not hasattr(loaded, "table_")
    pd.testing.assert_frame_equal(loaded.transform(log), fitted.table_)
    with pytest.raises(ValueError, match="holds no customers: pass a table"):
        loaded.report(tmp_path / "page.html")


def test_the_report_is_one_file_with_tables_and_plots(fitted: Customer360, log: pd.DataFrame, tmp_path: Path) -> None:
    path = fitted.report(tmp_path / "new" / "page.html")
    page = path.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") >= 4
    assert not re.search(r'(src|href)="(?!data:)', page)
    for title in ("Segments", "Who is still a customer", "Churn", "Next best offers", "The data behind this page"):
        assert f"<h2>{title}</h2>" in page
    assert f"<b>{len(fitted.table_):,}</b><span>customers" in page
    off = quick(segmenter=None, value=None, offers=None, tiers=None).fit(log)
    assert "<h2>Segments</h2>" not in off.report(tmp_path / "less.html").read_text(encoding="utf-8")


def test_text_from_the_log_is_escaped(log: pd.DataFrame, tmp_path: Path) -> None:
    nasty = log.assign(product_id="<script>alert(1)</script>")
    page = quick(value=None).fit(nasty).report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>" not in page


def test_notebook_card(fitted: Customer360) -> None:
    assert "not fitted" in Customer360()._repr_html_()
    assert f"as of {fitted.as_of_}" in fitted._repr_html_()
    assert "LifetimeValue" in fitted._repr_html_()
    assert "off" in quick()._repr_html_()


def test_progress_is_shown_when_asked_for(log: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    quick().fit(log)
    assert capsys.readouterr().err == ""
    quick(progress=True).fit(log)
    assert "Choose next best offers" in capsys.readouterr().err


def test_cdnow_end_to_end() -> None:
    with pytest.warns(DataQualityWarning, match="'offers': Offers need a column product_id"):
        table = quick().fit(load_cdnow(), as_of="1997-09-30").table_
    assert len(table) == 2357
    assert table["frequency"].sum() == 2457
    assert (table["frequency"] == 0).sum() == 1411
    # Fader, Hardie & Lee (2005): 39-week holdout at the published parameters, all customers
    assert table["expected_purchases"].sum() > 1882  # 52 weeks are more than the 39 observed
