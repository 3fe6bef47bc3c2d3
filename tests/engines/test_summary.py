"""One summary on every engine: the table is that of the kernel, row for row."""

from __future__ import annotations

import datetime
import decimal
import uuid
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.services import IN_PROCESS, Engine, arrow
from tests.strategies import STRING_IDS, transaction_logs

from custanalytics import _engines, _frames
from custanalytics._columns import SUMMARY_COLUMNS
from custanalytics.exceptions import DataQualityWarning, InvalidDataError, MissingColumnError
from custanalytics.rfm import OrderPolicy, RFMSummary

MONEY = ("monetary_value", "total_value")


def log_of(n: int = 800, seed: int = 0, returns: bool = False) -> pd.DataFrame:
    """A log with several rows a day, orders of several rows and rows without one, before 1970 and after."""
    rng = np.random.default_rng(seed)
    seconds = rng.integers(0, 900 * 86_400, n) * np.timedelta64(1, "s")
    orders = rng.integers(0, 300, n)
    log = pd.DataFrame(
        {
            "customer_id": rng.integers(-60, 60, n) * 1_000_000_007,
            "timestamp": np.datetime64("1968-11-01", "us") + seconds + np.timedelta64(123_457, "us"),
            "amount": np.round(rng.gamma(2, 20, n), 2) * np.where(rng.random(n) < 0.05, 0, 1),
            "order_id": np.where(orders % 5 == 0, None, "o" + pd.Series(orders).astype(str)),
            "shop": "here",
        }
    )
    if returns:
        back = log.sample(n // 8, random_state=seed).assign(amount=lambda rows: -rows["amount"])
        alone = pd.DataFrame({"customer_id": [-5, -9], "timestamp": log["timestamp"].max(), "amount": [-3.5, -1.0]})
        log = pd.concat([log, back, alone.assign(order_id="x", shop="there")], ignore_index=True)
        log["order_id"] = log["order_id"].where(log["order_id"].notna(), None)
        log["product_id"] = "p" + (log.index % 3).astype(str)
    return log


def summarised(summary: RFMSummary, log: Any) -> tuple[Any, list[str]]:
    """The table, and the warnings of ours on the way to it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", DataQualityWarning)
        table = summary.fit_transform(log)
    return table, [str(warning.message) for warning in caught]


def check_same(engine: Engine, log: Any, expected_log: pd.DataFrame | None = None, **params: Any) -> Any:
    """The engine's table, after it was held against that of the kernel on the pandas log."""
    mapped = {name: value for name, value in params.items() if name != "columns" or expected_log is None}
    expected, words = summarised(RFMSummary(**mapped), log if expected_log is None else expected_log)
    given_log = engine.make(log)
    summary = RFMSummary(**params)
    table, found_words = summarised(summary, given_log)
    assert type(table) is type(given_log)
    rows = engine.rows(table)
    assert list(rows) == list(SUMMARY_COLUMNS)
    assert rows["customer_id"].tolist() == expected["customer_id"].tolist()
    for name in ("frequency", "n_orders", "recency", "T", "inactivity"):
        assert rows[name].dtype == expected[name].dtype, name
        assert rows[name].tolist() == expected[name].tolist(), name
    for name in MONEY:
        assert rows[name].dtype == np.float64
        np.testing.assert_allclose(rows[name], expected[name], rtol=1e-9, atol=1e-9)
    for name in ("first_seen", "last_seen"):
        assert rows[name].astype("datetime64[us]").tolist() == expected[name].astype("datetime64[us]").tolist(), name
    assert found_words == words
    return summary


@pytest.mark.parametrize(
    ("period", "time_unit", "as_of"),
    [
        ("D", "W", None),
        ("W", "D", "1970-06-03"),
        ("M", "Y", "1970-07"),
        ("h", "M", "1970-12-31T12:30:00"),
        ("Y", "Y", "1972"),
    ],
)
def test_the_table_is_that_of_the_kernel(engine: Engine, period: str, time_unit: str, as_of: str | None) -> None:
    check_same(engine, log_of(), period=period, time_unit=time_unit, as_of=as_of)


@pytest.mark.parametrize("policy", ["default", None])
def test_returns_are_settled_as_in_memory(engine: Engine, policy: Any) -> None:
    log = log_of(300, returns=True)
    check_same(engine, log, policy=policy, as_of="1971-03-01")
    assert "left out" in summarised(RFMSummary(policy=policy), log)[1][0]


def test_free_orders_that_do_not_count(engines: Any) -> None:
    for name in ("polars-lazy", "duckdb", "dask"):
        check_same(engines[name], log_of(300), policy=OrderPolicy(count_free=False))


def test_ids_are_text_amounts_are_decimal_and_times_are_zoned(engine: Engine) -> None:
    log = log_of(200)
    names = log["customer_id"].map(lambda number: f"Käufer {number}")
    cents = (log["amount"] * 100).round().astype(int)
    amounts = pa.array([decimal.Decimal(int(each)) / 100 for each in cents], pa.decimal128(12, 2))
    zoned = pa.array(log["timestamp"].dt.tz_localize("UTC"))
    table = pa.table({"who": names, "when": zoned, "paid": amounts, "customer_id": log["order_id"]})
    columns = {"customer_id": "who", "timestamp": "when", "amount": "paid", "order_id": "customer_id"}
    plain = log.assign(customer_id=names, amount=cents / 100).drop(columns="shop")
    check_same(engine, table, plain, columns=columns)


@pytest.mark.parametrize("name", ["duckdb", "postgresql"])
def test_ids_of_a_type_of_the_database_become_text(engines: Any, name: str) -> None:
    days = [datetime.datetime(2024, 1, day) for day in (1, 8, 15)]
    ids = [uuid.UUID(int=number) for number in (7, 7, 8)]
    plain = pa.table({"customer_id": [str(each) for each in ids], "timestamp": days, "amount": [5.0, -2.0, 1.0]})
    log = engines[name].make(plain)
    if name == "duckdb":
        log = log.query("log", "SELECT * REPLACE (customer_id::UUID AS customer_id) FROM log")
    else:
        log = log.mutate(customer_id=log.customer_id.cast("uuid"))
    rows = engines[name].rows(RFMSummary().fit_transform(log))
    assert rows["customer_id"].tolist() == [str(ids[0]), str(ids[2])]
    assert rows["total_value"].tolist() == [3.0, 1.0]


def test_ids_of_enumerated_texts_have_returns(engines: Any) -> None:
    log = log_of(200, returns=True)
    log["customer_id"] = "c" + log["customer_id"].astype(str)
    engine = engines["duckdb"]
    relation = engine.make(log)
    texts = ", ".join(f"'{each}'" for each in log["customer_id"].unique())
    enumerated = relation.project(f"* REPLACE (customer_id::ENUM({texts}) AS customer_id)")
    found, expected = (engine.rows(summarised(RFMSummary(), each)[0]) for each in (enumerated, relation))
    pd.testing.assert_frame_equal(found.astype({"customer_id": str}), expected.astype({"customer_id": str}))


@pytest.mark.parametrize("end", ["infinity", "-infinity"])
def test_infinite_times_are_refused(engines: Any, end: str) -> None:
    relation = engines["duckdb"].make(log_of(20))
    endless = relation.project(f"* REPLACE (if(amount > 30, '{end}'::timestamp, timestamp) AS timestamp)")
    with pytest.raises(InvalidDataError, match="has infinite times"):
        RFMSummary().fit(endless)
    with pytest.raises(InvalidDataError, match="has infinite times"):
        RFMSummary().fit(relation).transform(endless)


@pytest.mark.parametrize("policy", ["default", None])
def test_orders_and_products_that_are_not_a_number_are_missing(engine: Engine, policy: Any) -> None:
    log = log_of(returns=True)
    for name in ("order_id", "product_id"):
        numbers = log[name].str.extract(r"(\d+)", expand=False).astype("float64")
        log[name] = numbers.where(numbers > (5 if name == "order_id" else 0))
    table = arrow(log[["customer_id", "timestamp", "amount"]])
    for name in ("order_id", "product_id"):
        table = table.append_column(name, pa.array(log[name].to_numpy()))  # no nulls
    check_same(engine, table, log, policy=policy)


def test_dates_are_days(engine: Engine) -> None:
    log = log_of(200)
    days = log["timestamp"].dt.floor("D")
    table = arrow(log).set_column(1, "timestamp", pa.array(days.dt.date, pa.date32()))
    summary = check_same(engine, table, log.assign(timestamp=days), period="W")
    assert summary.as_of_ == np.datetime64("1971-04-12")
    assert summary.feature_names_in_.tolist() == list(log)


def test_quantities_below_zero_are_returns(engine: Engine) -> None:
    log = log_of(120)
    quantity = pa.array([None if n % 7 == 0 else -1 if n % 11 == 0 else 2 for n in range(120)], pa.int32())
    check_same(engine, arrow(log).append_column("quantity", quantity), log.assign(quantity=quantity.to_pandas()))


def test_rows_that_cannot_be_used_are_counted(engine: Engine) -> None:
    bad = {
        "customer_id": pa.array(["a", None, "b", "c"]),
        "timestamp": pa.array([datetime.datetime(2024, 1, day) for day in range(1, 5)], pa.timestamp("us")),
        "amount": pa.array([1.0, 2.0, float("nan"), None]),
    }
    summary = RFMSummary().fit(engine.make(pa.table(bad)))
    with pytest.raises(InvalidDataError, match=r"1 of 4 rows have no customer_id.*; 2 of 4 rows have no finite amount"):
        summary.transform(engine.make(pa.table(bad)))
    times = pa.array([None, None, datetime.datetime(2024, 1, 1), None], pa.timestamp("us"))
    with pytest.raises(InvalidDataError, match=r"3 of 4 rows have no timestamp.*Run the log through Transaction"):
        summary.fit(engine.make(pa.table(bad | {"timestamp": times})))


def test_returns_without_a_purchase_are_refused_in_words(engine: Engine) -> None:
    log = log_of(300, returns=True).sample(frac=1, random_state=0, ignore_index=True)
    fates = RFMSummary().fit(log).ledger(log)["fate"]
    unmatched = fates.isin(["unmatched return", "partly paired return", "return left out"])
    summary = RFMSummary(policy=OrderPolicy(unmatched="raise"))
    words = rf"^{unmatched.sum()} of {len(log)} rows are returns without a purchase, of customers -?\d+, .*, …"
    with pytest.raises(InvalidDataError, match=words + r".*OrderPolicy\(unmatched=\"flag\"\) lets them lower total"):
        summary.fit_transform(engine.make(log))
    of_others = log[~log["customer_id"].isin(log["customer_id"][unmatched])]
    check_same(engine, of_others, policy=OrderPolicy(unmatched="raise"))


def test_amounts_that_no_double_adds_up_are_refused(engine: Engine) -> None:
    log = log_of(20)
    log.loc[[3, 4], "amount"] = 1.7e308
    with pytest.raises(InvalidDataError, match=r"^Amounts are too large to be added up: up to 1.7e\+308, in 20 rows"):
        RFMSummary(policy=None if engine.name == "pyspark" else "default").fit_transform(engine.make(log))


def test_logs_that_are_no_logs_are_refused(engine: Engine) -> None:
    log = arrow(log_of(4))
    with pytest.raises(InvalidDataError, match="The log is empty"):
        RFMSummary().fit(engine.make(log.slice(0, 0)))
    with pytest.raises(InvalidDataError, match="lies before the first event"):
        RFMSummary(as_of="1950-01-01").fit(engine.make(log))
    with pytest.raises(MissingColumnError, match=r"needs the columns \['amount'\]; found"):
        RFMSummary().fit(engine.make(log.drop_columns(["amount"])))
    with pytest.raises(InvalidDataError, match="'timestamp' must hold dates or datetimes"):
        RFMSummary().fit(engine.make(log.set_column(1, "timestamp", pa.array([1, 2, 3, 4]))))
    words = engine.make(log.set_column(2, "amount", pa.array(["1", "2", "3", "4"])))
    with pytest.raises(InvalidDataError, match="'amount' must be numeric"):
        RFMSummary().fit(words).transform(words)


@pytest.mark.parametrize("name", ["shop.city", "shop`city"])
def test_names_that_are_syntax_to_an_engine_are_read_or_refused(engine: Engine, name: str) -> None:
    log = log_of(50)
    if engine.name != "pyspark":
        check_same(engine, log.rename(columns={"amount": name}), log, columns={"amount": name})
        return
    for columns, renamed in (({"amount": name}, {"amount": name}), (None, {"shop": name})):
        with pytest.raises(InvalidDataError, match=rf"'{name}'.* for syntax. Rename them: .*'shop_city'\)"):
            RFMSummary(columns=columns).fit(engine.make(log.rename(columns=renamed)))


@pytest.mark.parametrize("name", ["polars-lazy", "duckdb", "dask", "postgresql"])
def test_the_table_is_collected_where_another_kind_is_asked_for(engines: Any, name: str) -> None:
    for kind, library in (("pandas", pd.DataFrame), ("polars", pl.DataFrame)):
        summary = RFMSummary().set_output(transform=kind)
        assert isinstance(summary.fit_transform(engines[name].make(log_of(100))), library)


@pytest.mark.parametrize("name", ["polars-lazy", "duckdb", "ibis-duckdb", "postgresql"])
def test_one_row_leaves_the_engine(engines: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = []
    gather = _frames.gather

    def counting(lazy: Any) -> Any:
        frame = gather(lazy)
        moved.append(len(frame))
        return frame

    monkeypatch.setattr(_frames, "gather", counting)
    log = log_of(500)
    RFMSummary().fit_transform(engines[name].make(log))
    assert moved == [1, 1]
    moved.clear()
    back = log.iloc[:1].assign(amount=-1.0)
    theirs = int((log["customer_id"] == back["customer_id"].iloc[0]).sum()) + 1
    RFMSummary().fit_transform(engines[name].make(pd.concat([log, back], ignore_index=True)))
    assert moved == [1, 1, theirs]


def test_any_frame_of_an_engine_can_be_read_into_memory(engine: Engine) -> None:
    log = log_of(50)
    frame = _frames.read(engine.make(log), ("customer_id",), "This test")
    assert sorted(frame["customer_id"].to_list()) == sorted(log["customer_id"])
    assert _engines.is_lazy(engine.make(log)) == engine.lazy


@pytest.mark.parametrize("name", IN_PROCESS)
@settings(max_examples=10)
@given(
    log=st.one_of(
        transaction_logs(order_id=True, quantity=True, product_id=True),
        transaction_logs(ids=STRING_IDS),
        transaction_logs(returns=False, order_id=True),
    ),
    period=st.sampled_from(["h", "D", "W", "M", "Y"]),
    time_unit=st.sampled_from(["h", "D", "W", "M", "Y"]),
    policy=st.sampled_from(["default", None]),
    data=st.data(),
)
def test_any_log_gives_the_table_of_the_kernel(
    engines: Any, name: str, log: pd.DataFrame, period: str, time_unit: str, policy: Any, data: st.DataObject
) -> None:
    as_of = data.draw(st.sampled_from(list(log["timestamp"])))
    check_same(engines[name], log, period=period, time_unit=time_unit, policy=policy, as_of=as_of)
