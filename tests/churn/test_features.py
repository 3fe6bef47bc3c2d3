from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.base import clone
from tests.churn.cases import CUTOFFS, events
from tests.reference import churn as reference
from tests.strategies import STRING_IDS, transaction_logs

from custanalytics import _jit
from custanalytics.churn import ChurnFeatures, churn_labels
from custanalytics.exceptions import InvalidDataError, MissingColumnError

FAR = datetime(2025, 1, 1)
FULL = {"order_id": True, "quantity": True, "product_id": True}
LOGS = transaction_logs(**FULL)
MANY = st.lists(CUTOFFS, min_size=1, max_size=4, unique=True)


def asked(log: pd.DataFrame, cutoffs: Any) -> Any:
    return churn_labels(log, cutoffs, 30, observed_until=FAR)


def features(log: Any, table: Any, **params: Any) -> Any:
    return ChurnFeatures(log=log, **params).fit_transform(table)


def assert_same_bits(left: pd.DataFrame, right: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True), check_exact=True)


@pytest.fixture
def log() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": ["ann", "ann", "bob", "ann", "bob"],
            "timestamp": pd.to_datetime(["2024-01-05", "2024-03-02", "2024-01-20", "2024-03-09", "2024-03-04"]),
            "amount": [20.0, 35.0, 10.0, 50.0, -10.0],
        }
    )


@pytest.fixture
def table(log: pd.DataFrame) -> pd.DataFrame:
    return churn_labels(log, ["2024-02-01", "2024-03-09"], 30)


@given(
    log=LOGS,
    cutoffs=MANY,
    windows=st.lists(st.sampled_from([1, 5, 7.5, 30, 365]), unique=True),
    unit=st.sampled_from("hDWMY"),
)
def test_features_are_those_of_the_definition(
    log: pd.DataFrame, cutoffs: list[datetime], windows: list[float], unit: str
) -> None:
    found = features(log, asked(log, cutoffs), windows=windows, time_unit=unit)
    past = events(log)
    for row in found.to_dict("records"):
        cutoff = row["cutoff"].to_pydatetime()
        for name, value in reference.features(past, row["customer_id"], cutoff, windows, unit).items():
            assert row[name] == pytest.approx(value, rel=1e-12, abs=1e-12 if "trend" in name else 1e-9), name


@given(log=LOGS, other=LOGS, cutoffs=MANY, seed=st.integers(0, 99))
def test_nothing_at_or_after_the_cutoff_leaks(
    log: pd.DataFrame, other: pd.DataFrame, cutoffs: list[datetime], seed: int
) -> None:
    cutoff = min(cutoffs)
    table = asked(log, cutoff)
    truth = features(log, table)
    past = log["timestamp"] < cutoff
    rng = np.random.default_rng(seed)
    deleted = log[past | (rng.random(len(log)) < 0.5)]
    mutated = log.copy()
    mutated.loc[~past, "amount"] = rng.normal(0, 1e6, (~past).sum())
    mutated.loc[~past, "customer_id"] = rng.permutation(mutated.loc[~past, "customer_id"].to_list())
    added = pd.concat([other[other["timestamp"] >= cutoff], log, log.assign(timestamp=cutoff)[~past]])
    for changed in (log[past], deleted, mutated, added):
        assert_same_bits(features(changed, table), truth)


def test_an_event_at_the_cutoff_is_the_future(log: pd.DataFrame, table: pd.DataFrame) -> None:
    found = features(log, table).set_index(["customer_id", "cutoff"])
    ann = found.loc[("ann", "2024-03-09")]  # buys on that very day
    assert ann["churned"] == 0.0
    assert ann["n_orders"] == 2
    assert ann["last_day_value"] == 35.0
    late = table.assign(cutoff=table["cutoff"] + pd.Timedelta(microseconds=1))
    assert features(log, late).set_index("customer_id")["n_orders"].iloc[2] == 3


@given(log=LOGS, cutoffs=MANY)
def test_cutoffs_together_equal_one_at_a_time(log: pd.DataFrame, cutoffs: list[datetime]) -> None:
    together = features(log, asked(log, cutoffs))
    alone = [features(log, asked(log, cutoff)) for cutoff in sorted(cutoffs)]
    assert_same_bits(together, pd.concat([each for each in alone if len(each)]) if len(together) else together)


@given(log=LOGS, cutoffs=MANY, seed=st.integers(0, 99))
def test_order_of_rows_changes_no_bit(log: pd.DataFrame, cutoffs: list[datetime], seed: int) -> None:
    log["amount"] *= 1.1  # not whole cents: sums depend on their order
    table = asked(log, cutoffs)
    shuffled = features(log.sample(frac=1, random_state=seed), table.sample(frac=1, random_state=seed))
    assert_same_bits(shuffled.sort_index(), features(log, table))


@given(log=transaction_logs(ids=STRING_IDS), cutoffs=MANY, days=st.integers(-400, 400))
def test_names_of_customers_and_place_in_the_calendar_change_nothing(
    log: pd.DataFrame, cutoffs: list[datetime], days: int
) -> None:
    table = asked(log, cutoffs)
    moved = timedelta(days=days)
    names = {name: code for code, name in enumerate(["zz", "é", "a b", "a", "B", "9", "10"])}
    other = features(
        log.assign(customer_id=log["customer_id"].map(names), timestamp=log["timestamp"] + moved),
        table.assign(customer_id=table["customer_id"].map(names), cutoff=table["cutoff"] + moved),
    )
    here = features(log, table)
    assert_same_bits(other.drop(columns=["customer_id", "cutoff"]), here.drop(columns=["customer_id", "cutoff"]))


@given(log=LOGS, other=LOGS, cutoffs=MANY)
def test_other_customers_change_nothing(log: pd.DataFrame, other: pd.DataFrame, cutoffs: list[datetime]) -> None:
    log["customer_id"] = "mine " + log["customer_id"].astype(str)
    other["customer_id"] = "other " + other["customer_id"].astype(str)
    table = asked(log, cutoffs)
    assert_same_bits(features(pd.concat([other, log]), table), features(log, table))


@given(log=LOGS, cutoffs=MANY)
def test_all_features_are_finite_and_consistent(log: pd.DataFrame, cutoffs: list[datetime]) -> None:
    found = features(log, asked(log, cutoffs), windows=(7, 30, 5000))
    assume(len(found))
    assert np.isfinite(found.drop(columns=["customer_id", "cutoff", "churned", "state"])).all(axis=None)
    assert (found["recency"] + found["inactivity"] == found["T"]).all()
    assert found["overdue"].gt(0).all()
    assert found["overdue"].le(found["frequency"] + 1).all()
    assert (found["orders_7D"] <= found["orders_30D"]).all()
    assert (found["orders_5000D"] == found["n_orders"]).all()
    assert (found["value_5000D"] == found["total_value"]).all()
    assert found["value_trend_7D"].between(-1, 1).all()


def test_sums_do_not_drift() -> None:
    # A huge order long ago, then 20,000 small ones: a running sum would carry its rounding error along.
    n = 20_000
    log = pd.DataFrame(
        {
            "customer_id": 1,
            "timestamp": np.datetime64("2000-01-01", "us") + np.arange(n + 1) * np.timedelta64(6, "h"),
            "amount": np.r_[1e15, np.full(n, 0.1)],
        }
    )
    cutoff = datetime(2013, 1, 1)
    table = churn_labels(log, [cutoff - timedelta(days=back) for back in range(0, 4000, 400)], 30)
    found = features(log, table, windows=(10,))
    np.testing.assert_array_equal(found["value_10D"], 4.0)
    assert found["value_10D"].nunique() == 1


def test_threads_change_no_bit() -> None:
    rng = np.random.default_rng(3)
    n, people = 200_000, 40_000
    log = pd.DataFrame(
        {
            "customer_id": rng.integers(0, people, n),
            "timestamp": np.datetime64("2023-01-01", "us") + rng.integers(0, 365 * 24, n) * np.timedelta64(1, "h"),
            "amount": rng.gamma(2, 10, n),
        }
    )
    table = asked(log, ["2023-06-01", "2023-12-01"])
    found = []
    for n_threads in (1, 2, 5):
        with _jit.threads(n_threads):
            found.append(features(log, table))
    assert_same_bits(found[0], found[1])
    assert_same_bits(found[0], found[2])


def test_every_kind_of_frame_gives_the_same(
    log: pd.DataFrame, table: pd.DataFrame, to_frame: Callable[[pd.DataFrame], Any]
) -> None:
    truth = features(log, table)
    frame = to_frame(table.drop(columns="churned"))
    found = nw.from_native(features(to_frame(log), frame))
    assert found.implementation == nw.from_native(frame).implementation
    for name in truth.columns.drop(["churned", "cutoff"]):
        assert found[name].to_list() == truth[name].tolist()
    pd.testing.assert_frame_equal(features(to_frame(log), table), truth)  # log of another library than the table


def test_names_order_and_output_follow_scikit_learn(log: pd.DataFrame, table: pd.DataFrame) -> None:
    model = ChurnFeatures(log=log, windows=(2, 0.5), time_unit="W").fit(table)
    found = model.transform(table)
    assert model.get_feature_names_out().tolist() == found.columns.tolist()
    assert found.columns[-6:].tolist() == [
        *("orders_2W", "value_2W", "value_trend_2W"),
        *("orders_0.5W", "value_0.5W", "value_trend_0.5W"),
    ]
    assert model.n_features_in_ == 4
    assert model.feature_names_in_.tolist() == table.columns.tolist()
    assert "n_products" not in found
    again = pickle.loads(pickle.dumps(clone(model).fit(table)))
    assert_same_bits(again.transform(table), found)
    assert isinstance(model.set_output(transform="polars").transform(table), pl.DataFrame)


def test_products_and_orders_are_counted_where_the_log_has_them(log: pd.DataFrame, table: pd.DataFrame) -> None:
    mine = log.assign(order_id=[1, 1, 1, 2, 3], product=["a", "a", "b", "c", "b"])
    found = features(mine, table, columns={"product_id": "product"})
    assert found["n_products"].tolist() == [1, 1, 1, 1]
    assert found["n_orders"].tolist() == [1, 1, 1, 1]  # Ann's order 1 has two lines, of different days
    missing = mine.assign(order_id=[np.nan, np.nan, 1, 2, 3])
    assert features(missing, table)["n_orders"].tolist() == [1, 1, 2, 1]


def test_transforming_twice_replaces_the_features(log: pd.DataFrame, table: pd.DataFrame) -> None:
    once = features(log, table)
    assert_same_bits(features(log, once), once)
    assert ChurnFeatures(log=log).fit(once).get_feature_names_out().tolist() == once.columns.tolist()


def test_rows_may_repeat_and_the_index_stays(log: pd.DataFrame, table: pd.DataFrame) -> None:
    doubled = pd.concat([table, table]).set_index(pd.Index(list("abcdefgh"), name="row"))
    found = features(log, doubled)
    assert found.index.tolist() == list("abcdefgh")
    assert_same_bits(found[:4], features(log, table))
    assert_same_bits(found[4:], features(log, table))


def test_no_rows_and_no_windows(log: pd.DataFrame, table: pd.DataFrame) -> None:
    empty = features(log, table.iloc[:0])
    assert len(empty) == 0
    assert empty["orders_30D"].dtype == np.float64
    assert features(log, table, windows=()).columns[-1] == "last_day_value"


def test_windows_beyond_all_time_reach_to_the_start(log: pd.DataFrame, table: pd.DataFrame) -> None:
    found = features(log, table, windows=(1e30,), time_unit="Y")
    assert found["value_1e+30Y"].tolist() == found["total_value"].tolist()


def test_huge_and_tiny_amounts(log: pd.DataFrame, table: pd.DataFrame) -> None:
    for scale in (1e300, 1e-300):
        found = features(log.assign(amount=log["amount"] * scale), table)
        np.testing.assert_allclose(found["total_value"] / scale, features(log, table)["total_value"], rtol=1e-12)


def test_zoned_cutoffs_must_be_on_the_clock_of_the_log(log: pd.DataFrame, table: pd.DataFrame) -> None:
    zoned = log.assign(timestamp=log["timestamp"].dt.tz_localize("America/New_York"))
    theirs = churn_labels(zoned, ["2024-02-01", "2024-03-09"], 30)
    found = features(zoned, theirs)
    assert_same_bits(found.iloc[:, 4:], features(log, table).iloc[:, 4:])
    assert_same_bits(features(zoned, table), features(log, table))
    with pytest.raises(
        InvalidDataError, match="'cutoff' is on the clock of America/New_York and the log on that of no"
    ):
        features(log, theirs)


def test_nothing_of_the_callers_is_changed(log: pd.DataFrame, table: pd.DataFrame) -> None:
    before = log.copy(deep=True), table.copy(deep=True)
    features(log, table)
    pd.testing.assert_frame_equal(log, before[0])
    pd.testing.assert_frame_equal(table, before[1])


def test_customers_without_a_past_are_named(log: pd.DataFrame, table: pd.DataFrame) -> None:
    stranger = table.assign(customer_id=["dan", "bob", "ann", "eve"])
    message = r"2 of 4 rows have no purchase before their cutoff \(first: dan, eve\)\. Leave them out"
    with pytest.raises(InvalidDataError, match=message):
        features(log, stranger)
    with pytest.raises(InvalidDataError, match=r"4 of 4 rows have no purchase"):
        features(log, table.assign(customer_id=[1, 2, 3, 4]))
    with pytest.raises(InvalidDataError, match=r"4 of 4 rows have no purchase"):
        features(log.assign(amount=-1.0), table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"customer_id": [None, "bob", "ann", "bob"]}, "1 of 4 rows have no customer_id"),
        (
            {"cutoff": pd.to_datetime([None, None, "2024-03-09", "2024-03-09"])},
            r"2 of 4 rows have no cutoff \(first: 0, 1",
        ),
        ({"cutoff": ["2024-02-01"] * 4}, "The column 'cutoff' must hold dates or datetimes"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(
    log: pd.DataFrame, table: pd.DataFrame, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidDataError, match=message):
        features(log, table.assign(**change))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"log": None}, r"ChurnFeatures needs the event log as a parameter: ChurnFeatures\(log=log\)"),
        ({"windows": (30, 30.0)}, "'windows' parameter of ChurnFeatures must be a sequence of distinct positive"),
        ({"windows": (0,)}, "'windows' parameter of ChurnFeatures must be a sequence of distinct positive"),
        ({"windows": "30"}, "'windows' parameter of ChurnFeatures must be a sequence of distinct positive"),
        ({"time_unit": "days"}, "'time_unit' parameter of ChurnFeatures must be a str among"),
        ({"columns": "customer"}, "'columns' parameter of ChurnFeatures must be an instance of Mapping"),
    ],
)
def test_parameters_out_of_range_are_named(
    log: pd.DataFrame, table: pd.DataFrame, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ChurnFeatures(**{"log": log} | params).fit(table)


def test_missing_columns_are_named(log: pd.DataFrame, table: pd.DataFrame) -> None:
    with pytest.raises(MissingColumnError, match=r"ChurnFeatures needs the columns \['cutoff'\].*churn_labels"):
        features(log, table.drop(columns="cutoff"))
    with pytest.raises(MissingColumnError, match=r"ChurnFeatures needs the columns \['amount'\]"):
        features(log.drop(columns="amount"), table)
