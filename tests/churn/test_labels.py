from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.churn.cases import CUTOFFS, cdnow, events
from tests.reference import churn as reference
from tests.strategies import STRING_IDS, transaction_logs

from custanalytics.churn import churn_labels
from custanalytics.exceptions import InvalidDataError, MissingColumnError

FAR = datetime(2025, 1, 1)


@pytest.fixture
def log() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": ["ann", "ann", "bob", "cyd", "bob"],
            "timestamp": pd.to_datetime(["2024-01-05", "2024-03-02", "2024-01-20", "2024-03-09", "2024-03-04"]),
            "amount": [20.0, 35.0, 10.0, 50.0, -10.0],
        }
    )


def rows(table: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in nw.from_native(table).select("customer_id", "cutoff", "state").iter_rows()]


@given(
    log=transaction_logs(quantity=True),
    cutoffs=st.lists(CUTOFFS, min_size=1, max_size=4, unique=True),
    horizon=st.integers(1, 60),
    lead=st.sampled_from([0, 0, 1, 10]),
    observed_after=st.integers(0, 90),
)
def test_labels_are_those_of_the_definition(
    log: pd.DataFrame, cutoffs: list[datetime], horizon: int, lead: int, observed_after: int
) -> None:
    until = max(cutoffs) + timedelta(days=observed_after)
    found = churn_labels(log, cutoffs, horizon, lead=lead, observed_until=until)
    assert rows(found) == reference.labels(events(log), cutoffs, timedelta(days=horizon), timedelta(days=lead), until)
    number = {"churned": 1.0, "retained": 0.0, "not yet knowable": np.nan}
    np.testing.assert_array_equal(found["churned"], found["state"].map(number))


@given(
    log=transaction_logs(), cutoff=CUTOFFS, horizon=st.integers(1, 60), days=st.lists(st.integers(0, 120), min_size=2)
)
def test_observing_for_longer_only_settles_what_was_unknown(
    log: pd.DataFrame, cutoff: datetime, horizon: int, days: list[int]
) -> None:
    before: list[tuple[Any, ...]] = []
    for day in sorted(days):
        now = rows(churn_labels(log, cutoff, horizon, observed_until=cutoff + timedelta(days=day)))
        for old, new in zip(before, now, strict=bool(before)):
            assert old == new or (old[2] == "not yet knowable" and old[:2] == new[:2])
        before = now


@given(
    log=transaction_logs(ids=STRING_IDS),
    cutoffs=st.lists(CUTOFFS, min_size=1, max_size=4, unique=True),
    seed=st.integers(0, 9),
)
def test_order_of_rows_and_number_of_cutoffs_change_nothing(
    log: pd.DataFrame, cutoffs: list[datetime], seed: int
) -> None:
    whole = churn_labels(log, cutoffs, 30, observed_until=FAR)
    shuffled = churn_labels(log.sample(frac=1, random_state=seed), cutoffs[::-1], 30, observed_until=FAR)
    pd.testing.assert_frame_equal(whole, shuffled)
    alone = [churn_labels(log, cutoff, 30, observed_until=FAR) for cutoff in sorted(cutoffs)]
    assert rows(whole) == [row for each in alone for row in rows(each)]


def test_states_at_the_edges_of_the_window(log: pd.DataFrame) -> None:
    # Ann's purchase of 2 March lies on either edge of the window; Bob's return of 4 March is no purchase.
    assert churn_labels(log, "2024-02-01", 30)["state"].tolist() == ["churned", "churned"]
    assert churn_labels(log, "2024-02-01", 31)["state"].tolist() == ["retained", "churned"]
    assert churn_labels(log, "2024-03-02", 7)["state"].tolist() == ["retained", "churned"]
    assert churn_labels(log, "2024-03-02", 7, lead=1)["state"].tolist() == ["churned"] * 2
    assert churn_labels(log, "2024-03-02", 8, lead=1)["state"].tolist() == ["not yet knowable"] * 2


def test_nobody_is_called_churned_before_the_window_is_over(log: pd.DataFrame) -> None:
    # One observed day of a 60-day window is no churn, and no event in 60 observed days is.
    early = churn_labels(log, "2024-03-09", 60)
    assert set(early["state"]) == {"not yet knowable"}
    assert early["churned"].isna().all()
    late = churn_labels(log, "2024-03-09", 60, observed_until="2024-06-01")
    assert dict(zip(late["customer_id"], late["state"], strict=True)) == {"ann": "churned", "bob": "churned"}


def test_observation_ends_at_the_midnight_after_the_last_event(log: pd.DataFrame) -> None:
    late_evening = log.assign(timestamp=log["timestamp"] + pd.Timedelta(hours=22))
    for frame in (log, late_evening):
        assert churn_labels(frame, "2024-03-03", 7)["state"].tolist() == ["churned", "churned"]
        assert churn_labels(frame, "2024-03-03", 8)["state"].tolist() == ["not yet knowable"] * 2
    assert len(churn_labels(log, "2024-03-10", 7)) == 3  # scoring on the day after the last event


def test_events_after_the_end_of_observation_are_ignored(log: pd.DataFrame) -> None:
    found = churn_labels(log, "2024-02-01", 31, observed_until="2024-03-02")
    assert found["state"].tolist() == ["not yet knowable"] * 2


def test_every_kind_of_frame_comes_back_with_its_own_missing_values(
    log: pd.DataFrame, to_frame: Callable[[pd.DataFrame], Any]
) -> None:
    frame = to_frame(log)
    found = nw.from_native(churn_labels(frame, ["2024-02-01", "2024-03-03"], 31))
    assert found.implementation == nw.from_native(frame).implementation
    assert found["customer_id"].to_list() == ["ann", "bob", "ann", "bob"]
    assert found["cutoff"].dtype == nw.Datetime("us")
    assert found["state"].to_list() == ["retained", "churned", "not yet knowable", "not yet knowable"]
    assert found["churned"].null_count() == 2
    assert found["churned"].to_list()[:2] == [0.0, 1.0]


@pytest.mark.parametrize(
    "cutoff",
    [
        "2024-02-01",
        date(2024, 2, 1),
        datetime(2024, 2, 1),
        pd.Timestamp("2024-02-01"),
        np.datetime64("2024-02-01"),
        [np.datetime64("2024-02-01T00:00", "ns")],
        pd.DatetimeIndex(["2024-02-01"]),
        pl.Series([datetime(2024, 2, 1)]),
    ],
)
def test_instants_may_be_written_in_many_ways(log: pd.DataFrame, cutoff: Any) -> None:
    assert churn_labels(log, cutoff, 31)["cutoff"].tolist() == [pd.Timestamp("2024-02-01")] * 2


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_instants_with_a_time_zone_are_read_on_the_clock_of_the_log(log: pd.DataFrame, zone: str) -> None:
    zoned = log.assign(timestamp=log["timestamp"].dt.tz_localize(zone))
    naive = churn_labels(zoned, "2024-03-02", 7)
    aware = churn_labels(zoned, pd.Timestamp("2024-03-02", tz=zone).tz_convert("UTC"), 7)
    pd.testing.assert_frame_equal(naive, aware)
    assert str(naive["cutoff"].dt.tz) == zone
    assert naive["state"].tolist() == ["retained", "churned"]
    with pytest.raises(ValueError, match="'cutoff' parameter of churn_labels has a time zone and the log has none"):
        churn_labels(log, datetime(2024, 3, 2, tzinfo=UTC), 7)


@pytest.mark.parametrize(
    ("unit", "length"), [("h", 720), ("D", 30), ("W", 30 / 7), ("M", 30 / 30.4375), ("Y", 30 / 365.25)]
)
def test_units_are_fixed_durations(log: pd.DataFrame, unit: str, length: float) -> None:
    # Thirty days end exactly at Ann's purchase, which is then outside.
    found = churn_labels(log, "2024-02-01", length, time_unit=unit)
    assert found["state"].tolist() == ["churned", "churned"]
    found = churn_labels(log, "2024-02-01", length + 1e-6, time_unit=unit)
    assert found["state"].tolist() == ["retained", "churned"]


def test_a_zone_without_a_name_still_has_a_clock(log: pd.DataFrame) -> None:
    zoned = log.assign(timestamp=log["timestamp"].dt.tz_localize(timezone(timedelta(hours=2))))
    with pytest.raises(ValueError, match=r"none that is known by name: 2024-03-02.* Give it without one"):
        churn_labels(zoned, datetime(2024, 3, 2, tzinfo=UTC), 7)


def test_column_names_and_integer_ids_are_kept(log: pd.DataFrame) -> None:
    mine = log.assign(customer_id=[7, 7, -2, 9, -2]).rename(columns={"customer_id": "household"})
    found = churn_labels(mine, "2024-02-01", 31, columns={"customer_id": "household"})
    assert found["customer_id"].tolist() == [-2, 7]
    assert found["customer_id"].dtype == np.int64


def test_an_empty_log_gives_an_empty_table(log: pd.DataFrame) -> None:
    found = churn_labels(log.iloc[:0], "2024-02-01", 30)
    assert list(found.columns) == ["customer_id", "cutoff", "churned", "state"]
    assert len(found) == 0
    assert len(churn_labels(log, "2020-01-01", 30)) == 0


def test_nothing_of_the_callers_is_changed(log: pd.DataFrame) -> None:
    before = log.copy(deep=True)
    churn_labels(log, "2024-02-01", 30)
    pd.testing.assert_frame_equal(log, before)


def test_a_cutoff_after_the_end_of_observation_is_refused(log: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"2024-04-01.* lies after the end of observation, 2024-03-10.*observed_until"):
        churn_labels(log, ["2024-02-01", "2024-04-01"], 30)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"customer_id": [None, "ann", "bob", "cyd", "bob"]}, "1 of 5 rows of the log have no customer_id"),
        ({"timestamp": pd.to_datetime([None, "2024-03-02", None, None, None])}, "4 of 5 rows .* have no timestamp"),
        ({"amount": [1.0, np.inf, 2.0, np.nan, 3.0]}, r"have no finite amount \(first: 1, 3\).*TransactionValidator"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(log: pd.DataFrame, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        churn_labels(log.assign(**change), "2024-02-01", 30)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"horizon": 0}, "'horizon' parameter of churn_labels must be a float in the range"),
        ({"lead": -1}, "'lead' parameter of churn_labels must be a float in the range"),
        ({"time_unit": "d"}, "'time_unit' parameter of churn_labels must be a str among"),
        ({"cutoff": "soon"}, "'cutoff' parameter of churn_labels must be a date, .* Got 'soon' instead"),
        ({"cutoff": pd.NaT}, "'cutoff' parameter of churn_labels must be a date"),
        ({"cutoff": 19_000}, "'cutoff' parameter of churn_labels must be a date"),
        ({"cutoff": []}, "must hold at least one instant"),
        ({"cutoff": ["2024-02-01", date(2024, 2, 1)]}, "holds the same instant twice"),
        ({"observed_until": "never"}, "'observed_until' parameter of churn_labels must be a date"),
    ],
)
def test_parameters_out_of_range_are_named(log: pd.DataFrame, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        churn_labels(log, **{"cutoff": "2024-02-01", "horizon": 30} | changed)


def test_missing_columns_are_named(log: pd.DataFrame) -> None:
    with pytest.raises(MissingColumnError, match=r"churn_labels needs the columns \['timestamp'\]"):
        churn_labels(log.drop(columns="timestamp"), "2024-02-01", 30)


def test_share_that_churned_on_cdnow() -> None:
    found = churn_labels(cdnow(), "1998-04-02", 90)
    assert len(found) == 23_570
    assert round(found["churned"].mean(), 3) == 0.860
