from __future__ import annotations

import importlib.util
import pickle
import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from tests.reference import rfm as reference
from tests.strategies import STRING_IDS, transaction_logs

from custanalytics import _jit
from custanalytics._columns import DAYS_PER_UNIT, SUMMARY_COLUMNS
from custanalytics.exceptions import DataQualityWarning, InvalidDataError, MissingColumnError
from custanalytics.rfm import RFMScorer, RFMSummary, _pieces
from custanalytics.rfm._kernels_distinct import FEW, n_distinct
from custanalytics.rfm._kernels_money import SHORT, sort_pairs

PERIODS = ("h", "D", "W", "M", "Y")


def log_of(*rows: tuple[Any, str, float], **columns: list[Any]) -> pd.DataFrame:
    log = pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"])
    log["timestamp"] = pd.to_datetime(log["timestamp"], format="ISO8601").astype("datetime64[us]")
    return log.assign(**columns)


def bits(table: pd.DataFrame) -> list[bytes]:
    return [table[name].to_numpy().tobytes() for name in table.columns if name != "customer_id"]


@pytest.fixture(scope="module")
def cdnow() -> pd.DataFrame:
    home = importlib.util.find_spec("lifetimes")
    assert home is not None
    assert home.submodule_search_locations is not None
    path = Path(next(iter(home.submodule_search_locations))) / "datasets" / "CDNOW_sample.txt"
    log = pd.read_csv(path, sep=r"\s+", header=None, names=["master", "customer_id", "date", "quantity", "amount"])
    log["timestamp"] = pd.to_datetime(log["date"].astype(str), format="%Y%m%d").astype("datetime64[us]")
    return log[["customer_id", "timestamp", "amount"]]


@pytest.fixture(scope="module")
def large() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n = _pieces.ROWS_A_SLICE + 5 * _pieces.ROWS_A_PIECE
    share = rng.random(n)
    return pd.DataFrame(
        {
            # one customer with a third of the rows, the others with a few
            "customer_id": np.where(share < 0.33, 5, rng.integers(-30_000, 30_000, n) * 1_000_003),
            "timestamp": np.datetime64("2023-11-01", "us") + rng.integers(0, 200 * 24, n) * np.timedelta64(1, "h"),
            "amount": np.round(rng.gamma(2, 20, n) - 8, 2),
            "order_id": rng.integers(0, 50_000, n),
        }
    )


# The definitions, against plain Python


def check_against_reference(log: pd.DataFrame, period: str, time_unit: str, as_of: datetime) -> None:
    rows = log.to_dict("records")
    expected = pd.DataFrame(reference.summary(rows, as_of, period, time_unit), columns=list(SUMMARY_COLUMNS))
    summary = RFMSummary(period=period, time_unit=time_unit, as_of=as_of, policy=None)
    with_purchases = set(expected["customer_id"])
    end = reference.next_start(reference.period_start(as_of, period), period)
    seen = set(log.loc[log["timestamp"] < end, "customer_id"])
    if seen - with_purchases:
        with pytest.warns(DataQualityWarning, match=f"^{len(seen - with_purchases)} customers have returns"):
            table = summary.fit_transform(log)
    else:
        table = summary.fit_transform(log)
    assert list(table.columns) == list(SUMMARY_COLUMNS)
    assert table["customer_id"].tolist() == expected["customer_id"].tolist()
    for name in ("frequency", "n_orders"):
        assert table[name].tolist() == expected[name].tolist(), name
    for name in ("recency", "T", "inactivity"):  # a duration is rounded once: the correctly rounded quotient
        assert table[name].tolist() == expected[name].tolist(), name
    for name in ("monetary_value", "total_value"):
        np.testing.assert_allclose(table[name], expected[name].astype(float), rtol=1e-12, atol=1e-9)
    for name in ("first_seen", "last_seen"):
        assert table[name].dt.to_pydatetime().tolist() == [*expected[name]], name


@given(
    log=st.booleans().flatmap(lambda flag: transaction_logs(order_id=flag, quantity=flag)),
    period=st.sampled_from(PERIODS),
    time_unit=st.sampled_from(list(DAYS_PER_UNIT)),
    share=st.floats(0, 1),
)
def test_table_is_that_of_the_plain_definition(log: pd.DataFrame, period: str, time_unit: str, share: float) -> None:
    first, last = log["timestamp"].min(), log["timestamp"].max()
    as_of = (first + share * (last - first)).floor("us").to_pydatetime()
    check_against_reference(log, period, time_unit, as_of)


@given(log=transaction_logs(ids=STRING_IDS), period=st.sampled_from(PERIODS))
def test_string_ids_give_the_same_table(log: pd.DataFrame, period: str) -> None:
    check_against_reference(log, period, "D", log["timestamp"].max().to_pydatetime())


@pytest.mark.parametrize(("piece", "rows"), [(64, 100), (1, 7), (10_000, 1)])
def test_many_pieces_and_slices_give_the_table_of_the_plain_definition(
    large: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, piece: int, rows: int
) -> None:
    monkeypatch.setattr(_pieces, "ROWS_A_PIECE", piece)
    monkeypatch.setattr(_pieces, "ROWS_A_SLICE", rows)
    few = pd.concat([large.iloc[:3000], large[large["customer_id"] % 100 == 0].iloc[:2000]])
    check_against_reference(few, "D", "W", datetime(2024, 2, 29, 12))


def test_month_and_year_numbers_are_those_of_the_calendar() -> None:
    days = np.arange("1890-01-01", "2110-01-01", 17, dtype="datetime64[D]")
    ends = np.array(["1899-12-31", "1900-02-28", "1900-03-01", "1969-12-31", "1970-01-01"], dtype="datetime64[D]")
    leaps = np.array(["2000-02-29", "2000-03-01", "2100-02-28", "2100-03-01"], dtype="datetime64[D]")
    days = np.concatenate([days, ends, leaps])
    log = pd.DataFrame({"customer_id": np.arange(days.size), "timestamp": days.astype("datetime64[us]"), "amount": 1.0})
    table = RFMSummary(period="M", time_unit="M", as_of="2120-01").fit_transform(log)
    months = (np.datetime64("2120-01", "M") - days.astype("datetime64[M]")).astype(float)
    assert table["T"].tolist() == months.tolist()
    table = RFMSummary(period="Y", time_unit="Y", as_of="2120").fit_transform(log)
    assert table["T"].tolist() == (np.datetime64("2120", "Y") - days.astype("datetime64[Y]")).astype(float).tolist()


def test_weeks_start_on_monday() -> None:
    log = log_of((1, "1969-12-28 23:59", 1), (1, "1969-12-29", 1), (1, "1970-01-04 23:59:59", 1), (1, "1970-01-05", 1))
    summary = RFMSummary(period="W").fit(log)
    assert summary.as_of_ == np.datetime64("1970-01-05")
    assert summary.transform(log).loc[0, ["frequency", "recency"]].tolist() == [2, 2.0]


# Published data


def test_cdnow(cdnow: pd.DataFrame) -> None:
    table = RFMSummary(as_of="1997-09-30").fit_transform(cdnow)
    assert len(table) == 2357
    assert table["frequency"].sum() == 2457
    assert (table["frequency"] == 0).sum() == 1411
    first = table.set_index("customer_id").loc[1]
    assert (first["frequency"], first["recency"], first["T"]) == (2, 213 / 7, 272 / 7)
    days = np.rint(table["T"] * 7)
    assert (table["T"] == days / 7).all()
    assert (table["recency"] == np.rint(table["recency"] * 7) / 7).all()


def test_cdnow_on_every_frame(cdnow: pd.DataFrame, to_frame: Any) -> None:
    expected = RFMSummary(as_of="1997-09-30").fit_transform(cdnow)
    given_frame = to_frame(cdnow)
    table = RFMSummary(as_of="1997-09-30").fit_transform(given_frame)
    assert type(table) is type(given_frame)
    table = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    pd.testing.assert_frame_equal(table, expected, check_exact=True)


# The faults of others


def test_a_refund_is_no_purchase() -> None:
    log = log_of((1, "2024-01-01", 100), (1, "2024-01-08", 50), (1, "2024-01-15", -50))
    row = RFMSummary(as_of="2024-01-22", policy=None).fit_transform(log).loc[0]
    assert (row["frequency"], row["monetary_value"], row["total_value"]) == (1, 50.0, 100.0)
    assert (row["n_orders"], row["recency"], row["inactivity"]) == (2, 1.0, 2.0)
    assert row["last_seen"] == pd.Timestamp("2024-01-08")


def test_a_negative_quantity_is_a_return_whatever_the_sign_of_its_amount() -> None:
    dates = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
    log = log_of(*[(1, day, amount) for day, amount in zip(dates, [10, 4, -3, 0], strict=True)])
    row = RFMSummary().fit_transform(log.assign(quantity=[1, -1, -1, -1])).loc[0]
    assert (row["frequency"], row["n_orders"], row["total_value"]) == (0, 1, 3.0)
    row = RFMSummary().fit_transform(log.assign(quantity=[np.nan, 1, -2, 1])).loc[0]
    assert (row["frequency"], row["n_orders"], row["total_value"]) == (2, 3, 11.0)


def test_a_free_purchase_is_a_purchase_of_zero_or_of_minus_zero() -> None:
    log = log_of((1, "2024-01-01", 0.0), (1, "2024-01-02", -0.0))
    for table in (RFMSummary().fit_transform(log), RFMSummary().fit_transform(log.assign(quantity=1))):
        assert table.loc[0, ["frequency", "n_orders"]].tolist() == [1, 2]


@given(log=transaction_logs(), amount=st.floats(0.01, 500), day=st.integers(0, 80))
def test_a_refund_never_raises_frequency(log: pd.DataFrame, amount: float, day: int) -> None:
    bought = log[log["amount"] >= 0]
    if bought.empty:
        return
    refund = pd.DataFrame(
        {
            "customer_id": bought["customer_id"].iloc[:1],
            "timestamp": bought["timestamp"].min() + pd.Timedelta(days=day),
            "amount": -amount,
        }
    )
    summary = RFMSummary(as_of="2024-12-31", policy=None)
    before, after = summary.fit_transform(bought), summary.fit_transform(pd.concat([bought, refund]))
    unchanged = [name for name in SUMMARY_COLUMNS if name != "total_value"]
    pd.testing.assert_frame_equal(before[unchanged], after[unchanged], check_exact=True)
    assert after["total_value"].sum() < before["total_value"].sum()


@pytest.mark.parametrize("refund", [-1.78125, -1 / 3, -(2.0**40)])
def test_a_refund_that_is_no_decimal_leaves_the_repeat_value_one(refund: float) -> None:
    log = log_of((1, "2024-01-01", 0), (1, "2024-01-02", 0.01), (1, "2024-01-02", 3.51), (1, "2024-01-02", refund))
    table = RFMSummary(policy=None).fit_transform(log)
    assert table["monetary_value"].tolist() == [3.52]
    assert table["total_value"].tolist() == [pytest.approx(3.52 + refund, rel=1e-15)]


def test_all_of_the_last_day_counts_and_nothing_after_it() -> None:
    log = log_of(
        (1, "2024-01-01", 1), (1, "2024-01-31 18:00", 2), (1, "2024-01-31 23:59:59.999999", 4), (1, "2024-02-01", 8)
    )
    row = RFMSummary(as_of="2024-01-31", time_unit="D").fit_transform(log).loc[0]
    assert (row["frequency"], row["recency"], row["T"], row["total_value"]) == (1, 30.0, 30.0, 7.0)


def test_customers_with_nothing_but_returns_are_left_out_and_named() -> None:
    log = log_of((1, "2024-01-01", 1), *[(number, "2024-01-02", -1) for number in range(9, 2, -1)])
    with pytest.warns(DataQualityWarning, match=r"^7 customers have returns but no .*\(first: 3, 4, 5, 6, 7, …\)"):
        table = RFMSummary().fit_transform(log)
    assert table["customer_id"].tolist() == [1]
    only = log.iloc[[1]].assign(customer_id="z")
    with pytest.warns(DataQualityWarning, match=r"1 customers .*\(first: z\)") as caught:
        table = RFMSummary().fit_transform(only)
    assert len(table) == 0
    assert caught[0].filename == __file__


def test_the_callers_frame_stays_as_it_was(to_frame: Any) -> None:
    log = log_of((2, "2024-01-02", -1.0), (2, "2024-01-01", 3.0), (1, "2024-01-01", -0.0)).assign(quantity=[1, -1, 1])
    ours = to_frame(log.rename(columns={"amount": "spent"}))
    kept = to_frame(log.rename(columns={"amount": "spent"}).copy())
    with pytest.warns(DataQualityWarning):
        RFMSummary(columns={"amount": "spent"}).fit_transform(ours)
    assert ours.equals(kept)


# Orders


def test_orders_are_counted_once_and_only_where_something_was_bought() -> None:
    log = log_of(
        (1, "2024-01-01", 5), (1, "2024-01-01", 6), (1, "2024-01-02", -5), (1, "2024-01-03", -6), (1, "2024-01-04", 7)
    )  # fmt: skip
    for orders in ([7, 7, 7, 8, 9], ["a", "a", "a", "b", "c"], [7.0, 7.0, 7.0, 8.0, np.nan]):
        table = RFMSummary(policy=None).fit_transform(log.assign(order_id=orders))
        assert table["n_orders"].tolist() == [2]
    table = RFMSummary(policy=None).fit_transform(log.assign(order_id=[None, None, None, "b", "a"]))
    assert table["n_orders"].tolist() == [3]


@pytest.mark.parametrize("span", [1, 40, 64 * 500, 2**63 - 1])
@pytest.mark.parametrize("n", [0, 1, FEW, FEW + 1, 500])
def test_different_numbers_are_counted_near_and_far_apart(n: int, span: int) -> None:
    rng = np.random.default_rng(n)
    for low in (-span // 2, np.iinfo(np.int64).min, np.iinfo(np.int64).max - span):
        numbers = low + rng.integers(0, span, n, endpoint=True)
        numbers[:: max(n // 3, 1)] = numbers[:1]
        numbers[: min(n, 1)] = 0
        assert n_distinct(numbers.copy(), np.full(n, -1)) == np.unique(numbers).size


@pytest.mark.parametrize("step", [1, 10**15])
def test_one_customer_may_have_many_orders_and_hours(step: int) -> None:
    rng = np.random.default_rng(6)
    hours, orders = rng.integers(0, 100_000, (2, 3_000))
    log = log_of(*[(1, "1970-01-01", 1.0)] * hours.size)
    log = log.assign(
        timestamp=hours.astype("datetime64[h]").astype("datetime64[us]"), order_id=(orders - 50_000) * step
    )
    table = RFMSummary(period="h").fit_transform(log)
    assert table["frequency"].tolist() == [np.unique(hours).size - 1]
    assert table["n_orders"].tolist() == [np.unique(orders).size]


# What must not matter


def test_row_order_and_thread_count_change_no_bit(large: pd.DataFrame) -> None:
    summary = RFMSummary(as_of="2024-03-31")
    with pytest.warns(DataQualityWarning):
        expected = summary.fit_transform(large)
    for log in (large.sample(frac=1, random_state=3), large.sort_values("timestamp"), large[::-1]):
        for n in (1, 2):
            with _jit.threads(n), pytest.warns(DataQualityWarning):
                table = summary.transform(log)
            assert table["customer_id"].equals(expected["customer_id"])
            assert bits(table) == bits(expected)


@given(log=transaction_logs(returns=False, order_id=True), data=st.data())
def test_shuffling_relabelling_shifting_and_chunking_change_what_they_should(
    log: pd.DataFrame, data: st.DataObject
) -> None:
    summary = RFMSummary().fit(log)
    table = summary.transform(log)
    order = data.draw(st.permutations(range(len(log))))
    pd.testing.assert_frame_equal(summary.transform(log.iloc[order]), table, check_exact=True)
    named = summary.transform(log.assign(customer_id="c" + log["customer_id"].astype(str)))
    values = list(SUMMARY_COLUMNS[1:])
    relabelled = named.set_index("customer_id").loc["c" + table["customer_id"].astype(str)].reset_index()
    pd.testing.assert_frame_equal(relabelled[values], table[values], check_exact=True)
    later = log.assign(timestamp=log["timestamp"] + pd.Timedelta(days=1461))
    same = [name for name in SUMMARY_COLUMNS if not name.endswith("_seen")]
    pd.testing.assert_frame_equal(RFMSummary().fit_transform(later)[same], table[same], check_exact=True)
    mine = log["customer_id"] == log["customer_id"].iloc[0]
    chunks = pd.concat([summary.transform(log[mine]), summary.transform(log[~mine])])
    chunks = chunks.sort_values("customer_id").reset_index(drop=True)
    pd.testing.assert_frame_equal(chunks, table, check_exact=True)


@given(log=transaction_logs(returns=False), factor=st.sampled_from([0.25, 4.0, 1024.0]))
def test_currency_scales_money_and_nothing_else(log: pd.DataFrame, factor: float) -> None:
    table = RFMSummary().fit_transform(log)
    scaled = RFMSummary().fit_transform(log.assign(amount=log["amount"] * factor))
    money = ["monetary_value", "total_value"]
    pd.testing.assert_frame_equal(scaled[money], table[money] * factor, check_exact=True)
    pd.testing.assert_frame_equal(scaled.drop(columns=money), table.drop(columns=money), check_exact=True)


@given(log=transaction_logs(returns=False))
def test_the_unit_scales_durations_and_nothing_else(log: pd.DataFrame) -> None:
    weeks, days = (RFMSummary(time_unit=unit).fit_transform(log) for unit in ("W", "D"))
    durations = ["recency", "T", "inactivity"]
    pd.testing.assert_frame_equal(weeks[durations], days[durations] / 7, check_exact=True)
    pd.testing.assert_frame_equal(weeks.drop(columns=durations), days.drop(columns=durations), check_exact=True)


def test_two_python_threads_at_once_are_safe(large: pd.DataFrame) -> None:
    log = large[large["amount"] >= 0]
    summary = RFMSummary().fit(log)
    expected = bits(summary.transform(log))
    results: list[list[bytes]] = []
    workers = [threading.Thread(target=lambda: results.append(bits(summary.transform(log)))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == [expected, expected]


# Kinds of ids


@pytest.mark.parametrize(
    "ids",
    [
        np.array([3, -7, 3], np.int64),
        np.array([2**63 - 1, -(2**63), 2**63 - 1], np.int64),
        np.array([2**64 - 1, 2**63, 2**64 - 1], np.uint64),
        np.array([3, 1, 3], np.int32),
        np.array([3, 1, 3], np.uint8),
    ],
    ids=str,
)
def test_integer_ids_keep_their_type_and_order(ids: np.ndarray, to_frame: Any) -> None:
    log = log_of((0, "2024-01-01", 1.0), (0, "2024-01-02", 2.0), (0, "2024-01-03", 3.0)).assign(customer_id=ids)
    table = RFMSummary().fit_transform(to_frame(log))
    table = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    assert table["customer_id"].dtype == ids.dtype
    assert table["customer_id"].tolist() == sorted(set(ids.tolist()))
    assert table["frequency"].tolist() == [0, 1]


@pytest.mark.parametrize("kind", ["str", "object", "category", "string[pyarrow]"])
def test_ids_of_text_and_categories(kind: str, to_frame: Any) -> None:
    log = log_of(("b", "2024-01-01", 1.0), ("É", "2024-01-02", 2.0), ("a", "2024-01-03", 3.0), ("b", "2024-01-03", 3.0))
    log["customer_id"] = log["customer_id"].astype(kind)
    table = RFMSummary().fit_transform(to_frame(log))
    table = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    assert table["customer_id"].tolist() == ["a", "b", "É"]
    assert table["frequency"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("resolution", ["s", "ms", "us", "ns"])
def test_every_resolution_of_time_and_dates_alone(resolution: str, to_frame: Any) -> None:
    log = log_of((1, "2024-01-01", 1.0), (1, "1969-12-30", 2.0))
    coarse = log.assign(timestamp=log["timestamp"].astype(f"datetime64[{resolution}]"))
    table = RFMSummary(time_unit="D").fit_transform(to_frame(coarse))
    table = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    assert table["recency"].tolist() == [(date(2024, 1, 1) - date(1969, 12, 30)).days]
    assert table["first_seen"].tolist() == [pd.Timestamp("1969-12-30")]
    days = pl.from_pandas(log).with_columns(pl.col("timestamp").cast(pl.Date))
    assert RFMSummary(time_unit="D").fit_transform(days)["recency"].to_list() == table["recency"].tolist()


def test_the_wall_clock_of_a_time_zone_counts() -> None:
    log = log_of((1, "2024-01-01 23:30", 1.0), (1, "2024-01-02 00:30", 2.0))
    berlin = log.assign(timestamp=log["timestamp"].dt.tz_localize("Europe/Berlin"))  # one day in UTC, two in Berlin
    summary = RFMSummary(as_of=datetime(2024, 1, 2, tzinfo=UTC))
    table = summary.fit_transform(berlin)
    pd.testing.assert_frame_equal(table, summary.fit_transform(log), check_exact=True)
    assert table["frequency"].tolist() == [1]


# as_of


@pytest.mark.parametrize(
    "as_of",
    [
        "2024-02-29", "2024-02", "2024-02-29T18:00", "2024-02-29 18:00:00+09:00", date(2024, 2, 29),
        datetime(2024, 2, 29, 18), np.datetime64("2024-02-29"), np.datetime64("2024-02-29T23:59:59.999999999"),
        pd.Timestamp("2024-02-29 07:00", tz="Asia/Tokyo"),
    ],
    ids=str,
)  # fmt: skip
def test_as_of_names_its_day_in_every_form(as_of: Any) -> None:
    log = log_of((1, "2024-01-31", 1), (1, "2024-02-29 23:00", 1), (1, "2024-03-01", 1))
    summary = RFMSummary(as_of=as_of, time_unit="D").fit(log)
    assert summary.as_of_ == np.datetime64("2024-02-29")
    assert summary.transform(log).loc[0, ["frequency", "T"]].tolist() == [1, 29.0]


@pytest.mark.parametrize(
    ("period", "as_of", "name", "counted"),
    [
        ("h", "2024-02-29T18", "2024-02-29T18", 2),
        ("h", "2024-02-29", "2024-02-29T23", 3),
        ("W", "2024-02-29", "2024-02-26", 4),
        ("M", "2024-02-01", "2024-02", 3),
        ("M", "2024", "2024-12", 5),
        ("Y", "2024-02-01", "2024", 5),
        ("Y", "2024", "2024", 5),
    ],
)
def test_as_of_names_the_period_it_ends_in(period: str, as_of: str, name: str, counted: int) -> None:
    times = ["2024-02-29 17:10", "2024-02-29 18:59:59.999999", "2024-02-29 19:00", "2024-03-03 23:59", "2024-03-04"]
    log = log_of(*[(1, time, 1) for time in times])
    summary = RFMSummary(period=period, as_of=as_of).fit(log)
    assert summary.as_of_ == np.datetime64(name)
    assert summary.transform(log).loc[0, "total_value"] == counted
    again = RFMSummary(period=period, as_of=summary.as_of_).fit(log)
    assert again.as_of_ == summary.as_of_
    assert again.as_of_.dtype == summary.as_of_.dtype


def test_as_of_is_learned_once() -> None:
    log = log_of((1, "2024-01-01", 1), (1, "2024-01-31 12:00", 1))
    summary = RFMSummary(time_unit="D").fit(log)
    assert summary.as_of_ == np.datetime64("2024-01-31")
    later = pd.concat([log, log_of((1, "2024-02-10", 9), (2, "2024-02-10", 9))])
    pd.testing.assert_frame_equal(summary.transform(later), summary.transform(log))


def test_as_of_in_the_short_form_of_iso_8601_is_a_day() -> None:
    log = log_of((1, "2024-01-01", 1), (1, "2024-01-31 23:59", 1), (1, "2024-02-01", 9))
    assert RFMSummary(as_of="20240131").fit(log).as_of_ == np.datetime64("2024-01-31")
    assert RFMSummary(as_of="20240131").fit_transform(log).loc[0, "total_value"] == 2


@pytest.mark.parametrize("as_of", ["30/09/1997", "20241301", "2024-W05", "soon", "", pd.NaT, np.datetime64("NaT")])
def test_as_of_that_names_no_time_is_refused(as_of: Any) -> None:
    with pytest.raises(ValueError, match=r"names no time\. Give the last observed period as an ISO date"):
        RFMSummary(as_of=as_of).fit(log_of((1, "2024-01-01", 1)))


def test_as_of_before_the_first_event_is_refused() -> None:
    with pytest.raises(InvalidDataError, match=r"'2023-12-31' lies before the first event of the log \(2024-01-01\)"):
        RFMSummary(as_of="2023-12-31").fit(log_of((1, "2024-01-01", 1)))


# Refusals and empty logs


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"period": "Q"},
            r"The 'period' parameter of RFMSummary must be a str among \{'h', 'D', 'W', 'M', 'Y'\}. Got 'Q'",
        ),
        ({"time_unit": "days"}, "The 'time_unit' parameter of RFMSummary must be a str among"),
        ({"as_of": 20240101}, "The 'as_of' parameter of RFMSummary must be an instance of"),
        ({"columns": ["id"]}, "The 'columns' parameter of RFMSummary must be an instance of"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RFMSummary(**params).fit(log_of((1, "2024-01-01", 1)))


def test_missing_columns_are_named() -> None:
    with pytest.raises(MissingColumnError, match=r"RFMSummary needs the columns \['amount'\]; found"):
        RFMSummary().fit(log_of((1, "2024-01-01", 1)).drop(columns="amount"))


def test_rows_that_mean_nothing_are_refused_by_number(to_frame: Any) -> None:
    log = log_of(("a", "2024-01-01", 1.0), ("b", "2024-01-02", 2.0), ("c", "2024-01-03", 3.0))
    no_id = log.assign(customer_id=["a", None, "c"])
    no_time = log.assign(timestamp=log["timestamp"].where([True, True, False]))
    no_amount = log.assign(amount=[np.inf, 2.0, np.nan])
    summary = RFMSummary().fit(to_frame(log))
    cases = [
        (no_id, r"1 of 3 rows have no customer_id \(first: 1\)"),
        (no_time, r"1 of 3 rows have no timestamp \(first: 2\)"),
        (no_amount, r"2 of 3 rows have no finite amount \(first: 0, 2\)"),
        (no_id.assign(amount=np.nan), "no customer_id .*; 3 of 3 rows have no finite amount"),
    ]
    for bad, message in cases:
        with pytest.raises(InvalidDataError, match=message + ".*Run the log through TransactionValidator first"):
            summary.transform(to_frame(bad))
    with pytest.raises(InvalidDataError, match=r"1 of 3 rows have no timestamp \(first: 2\)"):
        RFMSummary().fit(to_frame(no_time))
    missing_integers = log.assign(customer_id=[1, np.nan, 2])
    with pytest.raises(InvalidDataError, match=r"1 of 3 rows have no customer_id \(first: 1\)"):
        summary.transform(to_frame(missing_integers))


def test_times_beyond_all_microseconds_are_refused(to_frame: Any) -> None:
    far = np.array(["2024-01-01", "2024-01-02"], "datetime64[us]").view(np.int64)  # read as seconds
    log = pd.DataFrame({"customer_id": [1, 2], "timestamp": far.view("datetime64[s]"), "amount": [1.0, 2.0]})
    frame = to_frame(log)
    if not isinstance(frame, pl.DataFrame):  # which has no seconds
        with pytest.raises(InvalidDataError, match=r"2 of 2 rows have a timestamp beyond the year 294246 .*too large"):
            RFMSummary().fit(frame)


def test_columns_of_one_name_are_refused() -> None:
    columns = [[1], pd.to_datetime(["2024-01-01"]), [1.0], [2.0]]
    names = ["customer_id", "timestamp", "amount", "amount"]
    for refused in (RFMSummary().fit, RFMScorer().fit):
        with pytest.raises(InvalidDataError, match="needs columns with distinct names"):
            refused(pa.table(list(map(pa.array, columns)), names=names))


def test_text_is_no_time() -> None:
    log = log_of((1, "2024-01-01", 1)).assign(timestamp="2024-01-01")
    with pytest.raises(InvalidDataError, match="'timestamp' must hold dates or datetimes"):
        RFMSummary().fit(log)


@pytest.mark.parametrize("kind", ["int64", "str"])
def test_an_empty_log_gives_an_empty_table_but_teaches_nothing(kind: str, to_frame: Any) -> None:
    log = log_of((1, "2024-01-01", 1.0))
    log["customer_id"] = log["customer_id"].astype(kind)
    summary = RFMSummary().fit(to_frame(log))
    table = summary.transform(to_frame(log.iloc[:0]))
    full = summary.transform(to_frame(log))
    assert len(table) == 0
    names = table.column_names if hasattr(table, "column_names") else list(table.columns)
    assert names == list(SUMMARY_COLUMNS)
    if hasattr(full, "schema"):
        assert table.schema == full.schema
    else:
        assert table.dtypes.equals(full.dtypes)
    with pytest.raises(InvalidDataError, match="The log is empty"):
        RFMSummary().fit(to_frame(log.iloc[:0]))


def test_a_log_that_lies_after_as_of_gives_an_empty_table() -> None:
    summary = RFMSummary().fit(log_of((1, "2024-01-01", 1.0)))
    assert len(summary.transform(log_of((1, "2024-01-02", 1.0)))) == 0


# The estimator


def test_columns_map_the_callers_names_both_ways_round() -> None:
    log = log_of((1, "2024-01-01", 1.0)).rename(columns={"customer_id": "household", "amount": "spent"})
    one = RFMSummary(columns={"customer_id": "household", "amount": "spent"}).fit(log)
    other = RFMSummary(columns={"household": "customer_id", "spent": "amount"}).fit(log)
    pd.testing.assert_frame_equal(one.transform(log), other.transform(log))
    assert one.feature_names_in_.tolist() == ["household", "timestamp", "spent"]
    assert one.n_features_in_ == 3
    assert one.get_feature_names_out().tolist() == list(SUMMARY_COLUMNS)


def test_clone_pickle_and_output_kinds(cdnow: pd.DataFrame) -> None:
    summary = RFMSummary(as_of="1997-09-30", time_unit="D")
    with pytest.raises(NotFittedError):
        summary.transform(cdnow)
    assert clone(summary).get_params() == summary.get_params()
    expected = summary.fit_transform(cdnow)
    again = pickle.loads(pickle.dumps(summary))
    pd.testing.assert_frame_equal(again.transform(cdnow), expected)
    turned = clone(summary).set_output(transform="polars").fit_transform(cdnow)
    assert isinstance(turned, pl.DataFrame)
    pd.testing.assert_frame_equal(turned.to_pandas(), expected)


# The kernels that sort


@given(
    keys=st.lists(st.integers(-4, 4), max_size=5 * SHORT),
    repeats=st.sampled_from([1, 7]),
    ascending=st.booleans(),
)
def test_pairs_are_sorted_in_place_between_their_bounds(keys: list[int], repeats: int, ascending: bool) -> None:
    rng = np.random.default_rng(len(keys))
    ours = np.array([99, *keys * repeats, -99], np.int64)
    ours[1:-1] = np.sort(ours[1:-1]) if ascending else ours[1:-1]
    values = rng.integers(0, 3, ours.size).astype(np.float64)
    expected = sorted(zip(ours[1:-1].tolist(), values[1:-1].tolist(), strict=True))
    sort_pairs(1, ours.size - 1, ours, values, np.empty_like(ours), np.empty_like(values))
    assert list(zip(ours[1:-1].tolist(), values[1:-1].tolist(), strict=True)) == expected
    assert (ours[0], ours[-1]) == (99, -99)
