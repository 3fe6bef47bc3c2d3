from __future__ import annotations

from datetime import UTC, date, datetime

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custanalytics.datasets import load_cdnow
from custanalytics.exceptions import DataQualityWarning, InvalidDataError, MissingColumnError
from custanalytics.model_selection import rolling_cutoffs, temporal_split
from custanalytics.rfm import RFMSummary


def small_log():
    times = ["2024-01-30 23:59:59.999999", "2024-01-31", "2024-02-01", "2024-02-29 12:00", "2024-03-01", "2024-03-02"]
    return pd.DataFrame({"customer_id": range(6), "timestamp": pd.to_datetime(times, format="ISO8601"), "amount": 1.0})


def rows(frame):
    return nw.from_native(frame)["customer_id"].to_list()


def test_cdnow_splits_as_published():
    log = load_cdnow()
    train, test = temporal_split(log, "1997-10-01", horizon=39, time_unit="W")
    assert train.groupby("customer_id")["timestamp"].nunique().sub(1).sum() == 2457
    assert test.groupby("customer_id")["timestamp"].nunique().sum() == 1882
    assert len(train) + len(test) == len(log)
    assert test["timestamp"].min() == pd.Timestamp("1997-10-01")


def test_the_boundary_is_half_open(to_frame):
    log = to_frame(small_log())
    train, test = temporal_split(log, "2024-01-31", horizon=30)
    assert rows(train) == [0]
    assert rows(test) == [1, 2, 3]  # the 30 days end before 1 March
    assert rows(temporal_split(log, "2024-01-31")[1]) == [1, 2, 3, 4, 5]
    assert type(train) is type(log)
    assert nw.from_native(test).columns == nw.from_native(log).columns


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=40),
    st.integers(-5, 60),
    st.integers(1, 30) | st.none(),
    st.sampled_from(["h", "D", "W"]),
)
@pytest.mark.filterwarnings("ignore:The .* log has no rows:custanalytics.exceptions.DataQualityWarning")
def test_every_event_is_on_exactly_one_side(hours, cut, horizon, time_unit):
    start = pd.Timestamp("2024-05-01")
    log = pd.DataFrame({"customer_id": range(len(hours)), "timestamp": start + pd.to_timedelta(hours, unit="h")})
    cutoff = start + pd.Timedelta(hours=cut)
    train, test = temporal_split(log, cutoff, horizon=horizon, time_unit=time_unit)
    length = np.inf if horizon is None else horizon * {"h": 1, "D": 24, "W": 168}[time_unit]
    assert rows(train) == [row for row, hour in enumerate(hours) if hour < cut]
    assert rows(test) == [row for row, hour in enumerate(hours) if cut <= hour < cut + length]
    if horizon is None:
        pd.testing.assert_frame_equal(pd.concat([train, test]).sort_index(), log)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_a_cutoff_with_a_time_zone_is_put_on_the_clock_of_the_log(zone, to_frame):
    zoned = small_log().assign(timestamp=lambda log: log["timestamp"].dt.tz_localize(zone))
    log = to_frame(zoned)
    midnight = pd.Timestamp("2024-01-31", tz=zone)
    for cutoff in ("2024-01-31", midnight, midnight.tz_convert("UTC"), midnight.isoformat()):
        train, test = temporal_split(log, cutoff, horizon=30)
        assert rows(train) == [0]
        assert rows(test) == [1, 2, 3]
    end = pd.Timestamp("2024-03-03", tz=zone)
    aware, naive = (rolling_cutoffs(log, horizon=10, n_cutoffs=2, end=each) for each in (end, "2024-03-03"))
    assert aware.tolist() == naive.tolist()


def test_a_cutoff_goes_with_the_day_before_as_as_of():
    log = load_cdnow()
    train, _ = temporal_split(log, "1997-10-01")
    summary = RFMSummary(as_of="1997-09-30")
    table = summary.fit_transform(train)
    pd.testing.assert_frame_equal(table, summary.fit_transform(log))
    assert (len(table), table["frequency"].sum(), (table["frequency"] == 0).sum()) == (2357, 2457, 1411)


def test_consecutive_splits_share_nothing_and_lose_nothing():
    log = load_cdnow()
    first = temporal_split(log, "1997-05-01", horizon=61)[1]
    second = temporal_split(log, "1997-07-01")[1]
    both = pd.concat([first, second]).sort_index()
    assert both.index.is_unique
    assert both.index.tolist() == log.index[log["timestamp"] >= "1997-05-01"].tolist()


@pytest.mark.parametrize(
    "cutoff",
    [
        "2024-02-01",
        "2024-02-01 00:00",
        date(2024, 2, 1),
        datetime(2024, 2, 1),
        np.datetime64("2024-02-01"),
        np.datetime64("2024-02-01T00", "ns"),
        pd.Timestamp("2024-02-01"),
    ],
)
def test_a_cutoff_may_be_written_in_many_ways(cutoff):
    assert rows(temporal_split(small_log(), cutoff)[0]) == [0, 1]


def test_zoned_logs_are_cut_on_their_wall_clock():
    log = small_log()
    log["timestamp"] = log["timestamp"].dt.tz_localize("America/New_York")
    assert rows(temporal_split(log, "2024-02-01")[0]) == [0, 1]


def test_dates_lazy_frames_and_own_names():
    log = pl.from_pandas(small_log()).with_columns(pl.col("timestamp").cast(pl.Date).alias("bought_on")).lazy()
    train, test = temporal_split(log.drop("timestamp"), "2024-02-01", columns={"timestamp": "bought_on"})
    assert isinstance(train, pl.DataFrame)
    assert (rows(train), rows(test)) == ([0, 1], [2, 3, 4, 5])
    assert "bought_on" in test.columns


def test_a_pandas_index_stays_and_the_log_is_not_changed():
    log = small_log().set_index(pd.Index(list("fedcba")))
    before = log.copy()
    train, test = temporal_split(log, "2024-02-01")
    assert (list(train.index), list(test.index)) == (["f", "e"], ["d", "c", "b", "a"])
    test.loc["d", "amount"] = 9.0
    pd.testing.assert_frame_equal(log, before)


def test_an_empty_side_is_said():
    with pytest.warns(
        DataQualityWarning, match=r"train log has no rows at the cutoff 2020-01-01. Its times are 2024"
    ) as seen:
        temporal_split(small_log(), "2020-01-01")
    assert seen[0].filename == __file__
    with pytest.warns(DataQualityWarning, match="test log has no rows"):
        temporal_split(small_log(), "2030-01-01")
    with pytest.warns(DataQualityWarning, match="The log is empty"):
        temporal_split(small_log()[:0], "2024-02-01")


@pytest.mark.parametrize("cutoff", ["soon", "", None, 20240201, np.datetime64("NaT"), pd.NaT])
def test_a_bad_cutoff_is_named(cutoff):
    with pytest.raises(ValueError, match=r"'cutoff' parameter of temporal_split must be a date, a datetime"):
        temporal_split(small_log(), cutoff)


def test_bad_arguments_are_named():
    log = small_log()
    with pytest.raises(ValueError, match=r"'cutoff' parameter of temporal_split has a time zone and the log has none"):
        temporal_split(log, datetime(2024, 2, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match=r"'horizon' parameter of temporal_split must be"):
        temporal_split(log, "2024-02-01", horizon=0)
    with pytest.raises(ValueError, match=r"'time_unit' parameter of temporal_split must be"):
        temporal_split(log, "2024-02-01", time_unit="weeks")
    with pytest.raises(MissingColumnError, match=r"temporal_split needs the columns \['timestamp'\].*Name yours with"):
        temporal_split(log.drop(columns="timestamp"), "2024-02-01")
    log.loc[[2, 4], "timestamp"] = pd.NaT
    with pytest.raises(InvalidDataError, match=r"2 of 6 rows have no timestamp \(first: 2, 4\). temporal_split"):
        temporal_split(log, "2024-02-01")


def test_cutoffs_are_even_and_the_last_is_as_late_as_can_be(to_frame):
    log = to_frame(small_log())
    found = rolling_cutoffs(log, horizon=3, lead=1, n_cutoffs=4, step=7)
    assert found.dtype == "datetime64[us]"
    assert found.astype("datetime64[D]").astype(str).tolist() == [
        "2024-02-07",
        "2024-02-14",
        "2024-02-21",
        "2024-02-28",
    ]
    assert rolling_cutoffs(log, horizon=3, lead=1, n_cutoffs=1, end="2024-04-01 06:00") == np.datetime64(
        "2024-03-28T06:00"
    )
    assert (np.diff(rolling_cutoffs(log, horizon=1, time_unit="W", n_cutoffs=3)) == np.timedelta64(7, "D")).all()
    assert rolling_cutoffs(load_cdnow(), horizon=90)[-1] == np.datetime64("1998-04-02")


def test_cutoffs_that_do_not_fit_are_refused():
    log = small_log()
    with pytest.raises(InvalidDataError, match=r"9 cutoffs do not fit: events start at 2024-01-30 .* Pass n_cutoffs=4"):
        rolling_cutoffs(log, horizon=7, n_cutoffs=9)
    assert rolling_cutoffs(log, horizon=7, n_cutoffs=4)[0] > np.datetime64("2024-01-30T23:59:59.999999")
    with pytest.raises(InvalidDataError, match=r"No cutoff fits: its label needs lead \+ horizon = 61 D"):
        rolling_cutoffs(log, horizon=60, lead=1)
    with pytest.raises(InvalidDataError, match="needs a log with at least one event"):
        rolling_cutoffs(log[:0], horizon=1)
    for wrong in ({"n_cutoffs": 0}, {"lead": -1}, {"step": 0}, {"time_unit": "x"}, {"horizon": None}):
        with pytest.raises(ValueError, match=rf"'{next(iter(wrong))}' parameter of rolling_cutoffs must be"):
            rolling_cutoffs(log, **({"horizon": 1} | wrong))
    with pytest.raises(ValueError, match=r"'end' parameter of rolling_cutoffs must be a date"):
        rolling_cutoffs(log, horizon=1, end=5)
