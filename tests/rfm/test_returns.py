from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from tests.reference import returns as slow
from tests.reference import rfm as plain
from tests.strategies import transaction_logs

from custanalytics import _jit
from custanalytics._columns import SUMMARY_COLUMNS
from custanalytics.exceptions import DataQualityWarning, InvalidDataError
from custanalytics.rfm import Ledger, OrderPolicy, RFMSummary, _returns
from custanalytics.rfm._contenders import contenders
from custanalytics.rfm._kernels_pairing import SHORT, sort_index
from custanalytics.rfm._ledger import exact_sum

START = np.datetime64("2024-01-01", "us")
NUMBERS = ["frequency", "recency", "monetary_value", "n_orders", "total_value"]


def log_of(*rows: tuple[float, float], **columns: Any) -> pd.DataFrame:
    """A log of customer 1 from (day, amount) pairs."""
    days, amounts = zip(*rows, strict=True)
    times = START + (np.array(days, float) * 86_400e6).astype("timedelta64[us]")
    return pd.DataFrame({"customer_id": 1, "timestamp": times, "amount": np.array(amounts, float)}).assign(**columns)


def row_of(log: pd.DataFrame, policy: Any = "default") -> list[float]:
    return RFMSummary(time_unit="D", policy=policy).fit_transform(log)[NUMBERS].iloc[0].tolist()


def fates_of(log: pd.DataFrame, policy: Any = "default", **params: Any) -> list[str]:
    return RFMSummary(policy=policy, **params).fit(log).ledger(log)["fate"].tolist()


def partners_of(log: pd.DataFrame, policy: Any = "default") -> list[int]:
    return RFMSummary(policy=policy).fit(log).ledger(log)["partner"].tolist()


def quietly(summary: RFMSummary, log: pd.DataFrame) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        return summary.fit_transform(log)


# What it is for


def test_a_purchase_that_was_returned_is_none() -> None:
    log = log_of((0, 100), (7, 50), (14, -50))
    assert row_of(log) == [0, 0.0, 0.0, 1, 100.0]
    assert row_of(log, OrderPolicy()) == [0, 0.0, 0.0, 1, 100.0]
    assert row_of(log, None) == [1, 7.0, 50.0, 2, 100.0]
    assert row_of(log, OrderPolicy(match=())) == [1, 7.0, 50.0, 2, 100.0]


def test_the_first_purchase_may_be_the_one_that_was_returned() -> None:
    log = log_of((0, 100), (7, 50), (8, 30), (14, -100))
    table = RFMSummary(time_unit="D").fit_transform(log)
    assert table.loc[0, ["frequency", "recency", "T", "total_value"]].tolist() == [1, 1.0, 7.0, 80.0]
    assert table.loc[0, "first_seen"] == pd.Timestamp("2024-01-08")


def test_a_return_never_takes_back_a_later_purchase() -> None:
    assert row_of(log_of((0, 100), (5, -50), (7, 50))) == [1, 7.0, 50.0, 2, 100.0]
    assert partners_of(log_of((7, 50), (7, -50))) == [1, 0]  # of one moment: the purchase comes first


def test_each_purchase_is_returned_once() -> None:
    log = log_of((0, 100), (7, 50), (8, -50), (9, -50))
    assert row_of(log) == [0, 0.0, 0.0, 1, 50.0]
    assert fates_of(log) == ["kept", "returned", "paired return", "unmatched return"]


def test_the_latest_or_the_earliest_purchase_is_chosen() -> None:
    log = log_of((0, 50), (3, 50), (7, 50), (8, -50))
    assert partners_of(log) == [-1, -1, 3, 2]
    assert partners_of(log, OrderPolicy(choose="earliest")) == [3, -1, -1, 0]
    assert row_of(log)[:2] == [1, 3.0]
    assert row_of(log, OrderPolicy(choose="earliest"))[:2] == [1, 4.0]


def test_a_time_limit_for_returns() -> None:
    log = log_of((0, 50), (20, -50), (30, 60), (61, -60))
    assert fates_of(log, OrderPolicy(within=20))[:2] == ["returned", "paired return"]
    assert fates_of(log, OrderPolicy(within=19.99)) == ["kept", "unmatched return", "kept", "unmatched return"]
    assert fates_of(log, OrderPolicy(within=30, choose="earliest"))[2:] == ["kept", "unmatched return"]
    assert fates_of(log, OrderPolicy(within=1e300)) == ["returned", "paired return"] * 2


def test_the_shop_that_sells_to_the_tenth_of_a_cent() -> None:
    log = log_of((0, 3 * 6.67), (1, 0.1 + 0.2), (2, -20.01), (3, -0.3), (4, 1e-7), (5, -1e-7))
    assert fates_of(log) == ["returned", "returned", "paired return", "paired return", "returned", "paired return"]
    log = log_of((0, 1e9), (1, -1e9 - 0.01))
    assert fates_of(log) == ["kept", "unmatched return"]


# Orders, products, parts


def test_a_return_belongs_to_the_order_that_it_names() -> None:
    log = log_of((0, 50), (1, 50), (2, -50), (3, -50), order_id=["a", "b", "a", "a"])
    assert partners_of(log) == [2, -1, 0, -1]
    assert row_of(log)[3:] == [1, 0.0]


def test_a_discount_line_lowers_its_own_order() -> None:
    log = log_of((0, 10), (5, 60), (5, 40), (5, -10), order_id=[1, 2, 2, 2], product_id=["x", "y", "z", "coupon"])
    assert row_of(log) == [1, 5.0, 90.0, 2, 100.0]
    log = log_of((0, 10), (5, 60), (5, 40), (5, -100), order_id=[1, 2, 2, 2])
    assert row_of(log) == [0, 0.0, 0.0, 1, 10.0]
    assert fates_of(log) == ["kept", "returned", "returned", "paired return"]


def test_part_of_an_order_is_returned() -> None:
    log = log_of((0, 10), (5, 60), (5, 40), (9, -40), order_id=[1, 2, 2, 2])
    assert row_of(log) == [1, 5.0, 60.0, 2, 70.0]
    log = log_of((0, 10), (5, 60), (5, 40), (9, -15), order_id=[1, 2, 2, 2])
    assert row_of(log) == [1, 5.0, 85.0, 2, 95.0]
    assert row_of(log, OrderPolicy(partial=False)) == [1, 5.0, 100.0, 2, 95.0]


def test_an_order_of_which_nothing_is_left_takes_its_free_lines_along() -> None:
    log = log_of((0, 10), (5, 60), (5, 0), (9, -60), order_id=[1, 2, 2, 2])
    assert row_of(log) == [0, 0.0, 0.0, 1, 10.0]


def test_one_unit_of_three_goes_back() -> None:
    log = log_of((0, 1), (5, 60), (6, 50), (9, -20), product_id=["a", "p", "p", "p"], quantity=[1, 3, 2, -1])
    assert partners_of(log) == [-1, 3, -1, 1]  # 20 a unit, where the later purchase was at 25
    assert row_of(log) == [2, 6.0, 45.0, 3, 91.0]
    positive = log.assign(amount=log["amount"].abs())
    assert row_of(positive) == row_of(log)


def test_a_return_of_a_product_takes_back_that_product_only() -> None:
    log = log_of((0, 20), (5, 20), (9, -20), product_id=["p", "q", "p"])
    assert partners_of(log) == [2, -1, 0]
    log = log_of((0, 20), (5, 20), (9, -20), product_id=["p", "q", "r"])
    assert partners_of(log) == [-1, -1, -1]
    log = log_of((0, 20), (5, 20), (9, -20), product_id=["p", "q", None])
    assert partners_of(log) == [-1, 2, 1]


def test_a_return_bigger_than_its_purchase_is_flagged_for_the_rest() -> None:
    log = log_of((0, 5), (3, 30), (9, -50), product_id=["p", "q", "q"])
    assert fates_of(log) == ["kept", "returned", "partly paired return"]
    assert row_of(log) == [0, 0.0, 0.0, 1, -15.0]
    log = log_of((0, 40), (3, 30), (9, -50), product_id="q")
    assert row_of(log) == [0, 0.0, 0.0, 1, 20.0]
    assert row_of(log_of((0, 5), (3, 30), (9, -50))) == [1, 3.0, 30.0, 2, -15.0]


def test_a_refund_of_a_whole_order_without_its_id() -> None:
    log = log_of((0, 80), (3, 50), (3, 30), (5, 80.0), (5, 1.0), (9, -80), order_id=[1, 2, 2, 3, 3, 4])
    assert partners_of(log) == [-1, -1, -1, 5, -1, 3]  # one row of that amount first
    log = log_of((0, 10), (3, 50.1), (3, 30.2), (9, -80.3), order_id=[1, 2, 2, None])
    assert row_of(log) == [0, 0.0, 0.0, 1, 10.0]


def test_what_is_left_of_an_order_may_be_too_little() -> None:
    log = log_of((0, 10), (5, 60), (5, 5), (9, -60), order_id=[1, 2, 2, 2])
    assert row_of(log) == [1, 5.0, 5.0, 2, 15.0]
    assert row_of(log, OrderPolicy(min_kept_value=5)) == [0, 0.0, 0.0, 1, 10.0]
    assert fates_of(log, OrderPolicy(min_kept_value=5)) == ["kept", "returned", "too little kept", "paired return"]
    assert row_of(log_of((0, 3), (5, 4)), OrderPolicy(min_kept_value=5))[0] == 1  # nothing was returned


def test_free_orders_count_or_do_not() -> None:
    log = log_of((0, 10), (5, 0), (6, 0), (6, 3), order_id=[1, 2, 3, 3])
    assert row_of(log) == [2, 6.0, 1.5, 3, 13.0]
    assert row_of(log, OrderPolicy(count_free=False)) == [1, 6.0, 3.0, 2, 13.0]
    assert fates_of(log, OrderPolicy(count_free=False)) == ["kept", "free order", "kept", "merged into order"]
    log = log_of((0, 10), (5, 0), (6, 0), product_id=["a", "gift", "gift"], quantity=[1, 2, -2])
    assert row_of(log) == [0, 0.0, 0.0, 1, 10.0]  # a gift that came back


@pytest.mark.parametrize(
    ("orders", "pairs"),
    [
        (["5001", "5002", "C5001"], [2, -1, 0]),
        (["C5001", "5001", "C5001"], [2, -1, 0]),  # bought under the longer id
        (["5001", "5002", "C7777"], [-1, 2, 1]),  # no such order: by amount
        (["5001", "5002", "c5001"], [-1, 2, 1]),
    ],
)
def test_a_cancellation_bears_a_prefix(orders: list[str], pairs: list[int], to_frame: Any) -> None:
    log = log_of((0, 50), (1, 50), (2, -50), order_id=orders)
    ledger = RFMSummary().fit(log).ledger(to_frame(log))
    assert list(np.asarray(ledger["partner"])) == pairs
    if orders[2] == "C5001" and orders[0] == "5001":
        assert partners_of(log, OrderPolicy(cancellation_prefix=None)) == [-1, 2, 1]


def test_an_order_id_of_somebody_else_says_nothing() -> None:
    log = log_of((0, 50), (1, 50), (2, -50), order_id=["5001", "5002", "C5001"])
    other = log_of((0, 9), (1, 7), order_id=["C5001", "5002"]).assign(customer_id=2)
    both = pd.concat([other, log, log_of((3, -1)).assign(customer_id=2, order_id="x")], ignore_index=True)
    assert partners_of(both)[2:5] == [4, -1, 2]


def test_unmatched_returns_are_flagged_dropped_or_refused() -> None:
    log = log_of((0, 100), (7, 50), (9, -7), (14, -50))
    assert row_of(log) == [0, 0.0, 0.0, 1, 93.0]
    assert row_of(log, OrderPolicy(unmatched="drop")) == [0, 0.0, 0.0, 1, 100.0]
    message = r"1 of 4 rows are returns without a purchase, of customers 1 \(first: 2\)\. .*unmatched=\"flag\""
    with pytest.raises(InvalidDataError, match=message):
        row_of(log, OrderPolicy(unmatched="raise"))
    assert row_of(log[log["amount"] != -7], OrderPolicy(unmatched="raise")) == [0, 0.0, 0.0, 1, 100.0]


def test_events_after_the_cutoff_change_nothing() -> None:
    log = log_of((0, 100), (7, 50), (14, -50))
    before = RFMSummary(as_of="2024-01-14").fit(log)
    pd.testing.assert_frame_equal(before.transform(log), before.transform(log[:2]))
    assert before.ledger(log)["fate"].tolist() == ["kept", "kept", "after cutoff"]
    assert before.ledger_.fates["after cutoff"]["rows"] == 0  # of the log that transform saw last
    before.transform(log)
    assert before.ledger_.fates["after cutoff"]["set_aside"] == -50


def test_customers_who_returned_everything_are_left_out_and_named() -> None:
    log = pd.concat([log_of((0, 100), (7, -100)), log_of((0, 5), (1, -9)).assign(customer_id=2)], ignore_index=True)
    summary = RFMSummary().fit(log)
    with pytest.warns(DataQualityWarning, match=r"1 customers have returns but no purchase .*\(first: 1\)"):
        table = summary.transform(log)
    assert table["customer_id"].tolist() == [2]
    only = log_of((0, 100), (7, -100), (8, -3))
    with pytest.warns(DataQualityWarning, match="Their purchases were returned, or may lie before"):
        assert len(summary.fit_transform(only)) == 0
    assert summary.ledger_.fates["return left out"] == {
        "rows": 1, "amount": -3.0, "paired": 0.0, "set_aside": -3.0, "counted": 0.0,
    }  # fmt: skip
    summary.ledger_.check()


# Against plain Python

POLICIES = st.fixed_dictionaries(
    {
        "match": st.lists(st.sampled_from(["order", "product", "amount"]), max_size=3, unique=True).map(tuple)
        | st.just(("order", "product", "amount")),
        "choose": st.sampled_from(["latest", "earliest"]),
        "within": st.sampled_from([None, None, 1, 7, 30]),
        "partial": st.booleans(),
        "unmatched": st.sampled_from(["flag", "drop"]),
        "min_kept_value": st.sampled_from([0.0, 0.0, 3.0]),
        "count_free": st.booleans(),
        "cancellation_prefix": st.sampled_from(["C", None]),
    }
)
FEW_AMOUNTS = st.sampled_from([5.0, 5.0, 10.0, 10.0, 2.5, 15.0, 0.0, 0.1, 0.3, 12.34])


@st.composite
def logs_with_returns(draw: st.DrawFn, max_rows: int = 25, customers: int = 2) -> pd.DataFrame:
    """Few amounts, orders and products, so that returns find purchases in every way; ties in time; ids missing."""
    fields: dict[str, Any] = {
        "customer_id": st.integers(1, customers),
        "timestamp": st.integers(0, 12).map(lambda half: START + half * np.timedelta64(12, "h")),
        "amount": st.tuples(FEW_AMOUNTS, st.sampled_from([1, 1, -1])).map(lambda pair: pair[0] * pair[1]),
    }
    if draw(st.booleans()):
        fields["order_id"] = st.sampled_from(["1", "2", "3", "C1", "C2", "C9", None])
    if draw(st.booleans()):
        fields["product_id"] = st.sampled_from(["apple", "bread", "cheese", None])
    if draw(st.booleans()):
        fields["quantity"] = st.sampled_from([1, 1, 1, 2, 3, -1, -2])
    rows = draw(st.lists(st.tuples(*fields.values()), min_size=1, max_size=max_rows))
    log = pd.DataFrame(rows, columns=list(fields))
    return log.assign(timestamp=log["timestamp"].to_numpy(dtype="datetime64[us]"), amount=log["amount"] + 0.0)


def python_rows(log: pd.DataFrame) -> list[dict[str, Any]]:
    rows = log.to_dict("records")
    return [{**row, "timestamp": row["timestamp"].to_pydatetime()} for row in rows]


def check_ledger(summary: RFMSummary, log: pd.DataFrame, expected: list[dict[str, Any]]) -> pd.DataFrame:
    ledger = summary.ledger(log)
    merged = {"kept": "purchase", "merged into order": "purchase", "merged into period": "purchase"}
    assert len(ledger) == len(log)
    for name in ("amount", "paired", "set_aside", "counted"):
        np.testing.assert_allclose(ledger[name], [float(row[name]) for row in expected], rtol=0, atol=1e-9)
    assert ledger["fate"].replace(merged).tolist() == [row["fate"] for row in expected]
    assert ledger["amount"].tolist() == pytest.approx(ledger[["paired", "set_aside", "counted"]].sum(axis=1).tolist())
    assert ledger["paired"].sum() == pytest.approx(0, abs=1e-9)
    return ledger


@given(log=logs_with_returns(), policy=POLICIES, days=st.integers(1, 8))
def test_pairing_is_that_of_the_plain_definition(log: pd.DataFrame, policy: dict[str, Any], days: int) -> None:
    as_of = datetime(2024, 1, 1) + timedelta(days=days - 1)
    end = datetime(2024, 1, 1) + timedelta(days=days)
    expected = slow.settle(python_rows(log), end, **policy)
    summary = RFMSummary(as_of=as_of, time_unit="D", policy=OrderPolicy(**policy))
    if log["timestamp"].min() >= end:
        return
    table = quietly(summary, log)
    check_ledger(summary, log, expected)
    net = slow.net_log(python_rows(log), end, **policy)
    rows = pd.DataFrame(plain.summary(net, as_of, "D", "D"), columns=list(SUMMARY_COLUMNS))
    assert table["customer_id"].tolist() == rows["customer_id"].tolist()
    for name in ("frequency", "n_orders", "recency", "T", "inactivity"):
        assert table[name].tolist() == rows[name].tolist(), name
    for name in ("monetary_value", "total_value"):
        np.testing.assert_allclose(table[name], rows[name].astype(float), rtol=1e-12, atol=1e-9)
    summary.ledger_.check()
    assert summary.ledger_.n_rows == len(log)
    assert summary.ledger_.total_value == pytest.approx(sum(float(row["counted"]) for row in expected), abs=1e-9)
    for fate, entry in summary.ledger_.fates.items():
        mine = [row for row in expected if row["fate"] == fate]
        assert entry["rows"] == len(mine)
        for name in ("amount", "paired", "set_aside", "counted"):
            assert entry[name] == pytest.approx(sum(float(row[name]) for row in mine), abs=1e-9)


@given(log=logs_with_returns(max_rows=30), policy=POLICIES)
def test_the_row_each_is_paired_with_is_one_of_the_plain_definition(log: pd.DataFrame, policy: dict[str, Any]) -> None:
    # rows that are equal in every column are interchangeable: the log without them has one answer
    log = log.drop_duplicates().reset_index(drop=True)
    expected = slow.settle(python_rows(log), **policy)
    partners = partners_of(log, OrderPolicy(**policy))
    for partner, row in zip(partners, expected, strict=True):
        assert partner in row["partners"] if row["partners"] else partner == -1


# What must not matter


def contents(log: pd.DataFrame, ledger: pd.DataFrame) -> list[str]:
    """What becomes of the rows; of purchases at one time in one period, whichever comes first in the log is kept."""
    money = ledger[["fate", "amount", "paired", "set_aside", "counted"]]
    money = money.replace({"fate": {"merged into order": "kept", "merged into period": "kept"}})
    return sorted(
        f"{row} {entry}" for row, entry in zip(log.to_numpy().tolist(), money.to_numpy().tolist(), strict=True)
    )


@settings(max_examples=20)
@given(log=logs_with_returns(customers=4), policy=POLICIES, data=st.data())
def test_shuffling_relabelling_and_other_customers_change_nothing(
    log: pd.DataFrame, policy: dict[str, Any], data: st.DataObject
) -> None:
    summary = RFMSummary(as_of="2024-02-01", policy=OrderPolicy(**policy))
    table = quietly(summary, log)
    ledger = summary.ledger(log)
    order = data.draw(st.permutations(range(len(log))))
    pd.testing.assert_frame_equal(quietly(summary, log.iloc[order]), table, check_exact=True)
    moved = summary.ledger(log.iloc[order])
    assert contents(log, ledger) == contents(log.iloc[order], moved)
    renamed = quietly(summary, log.assign(customer_id=9 - log["customer_id"]))
    renamed = renamed.assign(customer_id=9 - renamed["customer_id"]).sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(renamed, table, check_exact=True)
    alone = [quietly(summary, log[log["customer_id"] == name]) for name in sorted(set(log["customer_id"]))]
    pd.testing.assert_frame_equal(pd.concat(alone, ignore_index=True), table, check_exact=True)


@given(log=logs_with_returns(), policy=POLICIES)
def test_the_settled_log_settles_to_itself(log: pd.DataFrame, policy: dict[str, Any]) -> None:
    summary = RFMSummary(as_of="2024-02-01", policy=OrderPolicy(**policy))
    table = quietly(summary, log)
    ledger = summary.ledger(log)
    kept = ledger["fate"].isin(["kept", "merged into order", "merged into period"]).to_numpy()
    again = log[kept].assign(amount=ledger["counted"][kept].to_numpy())
    settled = quietly(summary, again) if kept.any() else table
    free = [name for name in SUMMARY_COLUMNS if name != "total_value"]
    pd.testing.assert_frame_equal(settled[free], table[free], check_exact=True)


@given(log=logs_with_returns(customers=1), refund=st.tuples(st.integers(0, 12), FEW_AMOUNTS), policy=POLICIES)
def test_a_refund_never_raises_frequency_or_money(
    log: pd.DataFrame, refund: tuple[int, float], policy: dict[str, Any]
) -> None:
    bought = log[(log["amount"] > 0) & (log.get("quantity", pd.Series(1, index=log.index)) > 0)]
    if bought.empty:
        return
    row = bought.iloc[[0]].assign(timestamp=START + refund[0] * np.timedelta64(12, "h"), amount=-refund[1])
    row["quantity"] = -1
    summary = RFMSummary(as_of="2024-02-01", policy=OrderPolicy(**policy))
    before, after = summary.fit_transform(bought), quietly(summary, pd.concat([bought, row]))
    if after.empty:
        return
    for name in ("frequency", "recency", "n_orders", "total_value"):
        assert (after[name] <= before[name]).all(), name
    total = after["monetary_value"] * after["frequency"]
    assert (total <= bought["amount"].sum() + 1e-9).all()


@given(log=transaction_logs(returns=False, order_id=True, product_id=True))
def test_a_log_without_returns_is_left_as_it_is(log: pd.DataFrame) -> None:
    summary = RFMSummary()
    pd.testing.assert_frame_equal(
        summary.fit_transform(log), RFMSummary(policy=None).fit_transform(log), check_exact=True
    )
    summary.ledger_.check()
    assert summary.ledger_.fates["purchase"]["rows"] == len(log)


@given(log=logs_with_returns(), policy=POLICIES, factor=st.sampled_from([0.25, 1024.0]))
def test_currency_scales_money_and_nothing_else(log: pd.DataFrame, policy: dict[str, Any], factor: float) -> None:
    table = quietly(RFMSummary(as_of="2024-02-01", policy=OrderPolicy(**policy)), log)
    policy = policy | {"min_kept_value": policy["min_kept_value"] * factor}
    scaled = quietly(
        RFMSummary(as_of="2024-02-01", policy=OrderPolicy(**policy)), log.assign(amount=log["amount"] * factor)
    )
    money = ["monetary_value", "total_value"]
    np.testing.assert_allclose(scaled[money], table[money] * factor, rtol=1e-12, atol=1e-9)
    pd.testing.assert_frame_equal(scaled.drop(columns=money), table.drop(columns=money), check_exact=True)


@pytest.fixture(scope="module")
def retail() -> pd.DataFrame:
    """A log like Online Retail: orders of lines, partial and full cancellations under numbers of their own."""
    rng = np.random.default_rng(5)
    n_orders = 3000
    lines = rng.integers(1, 6, n_orders)
    order = np.repeat(np.arange(n_orders), lines)
    customer = np.repeat(rng.integers(12_000, 12_400, n_orders), lines)
    time = np.repeat(START + rng.integers(0, 300 * 1440, n_orders) * np.timedelta64(1, "m"), lines)
    price, quantity = rng.choice([0.85, 1.25, 2.95, 6.75], order.size), rng.integers(1, 13, order.size)
    bought = pd.DataFrame(
        {
            "customer_id": customer, "timestamp": time, "order_id": (536_000 + order).astype(str),
            "product_id": rng.integers(0, 40, order.size).astype(str), "quantity": quantity, "price": price,
        }
    )  # fmt: skip
    back = bought.sample(frac=0.08, random_state=1)
    back = back.assign(
        order_id=[f"C{600_000 + number}" for number in range(len(back))],
        timestamp=back["timestamp"] + pd.to_timedelta(rng.integers(-10, 40, len(back)), "D"),
        quantity=-rng.integers(1, back["quantity"].to_numpy() + 1),
    )
    postage = bought.drop_duplicates("order_id").sample(frac=0.2, random_state=2)
    postage = postage.assign(product_id="POST", quantity=1, price=4.0)
    log = pd.concat([bought, back, back.sample(40, random_state=3), postage], ignore_index=True)
    log["amount"] = log["quantity"] * log["price"]
    log.loc[log.sample(frac=0.1, random_state=4).index, "order_id"] = None
    return log.drop(columns="price").sample(frac=1, random_state=6, ignore_index=True)


def test_a_retail_log_is_settled_as_in_plain_python(retail: pd.DataFrame) -> None:
    summary = RFMSummary(as_of="2024-10-01").fit(retail)
    table = quietly(summary, retail)
    expected = slow.settle(python_rows(retail), datetime(2024, 10, 2))
    ledger = check_ledger(summary, retail, expected)
    assert (ledger["fate"] == "paired return").sum() > 500
    assert (ledger["fate"] == "unmatched return").sum() > 50
    summary.ledger_.check()
    assert round(ledger["counted"].sum(), 2) == round(table["total_value"].sum(), 2)
    assert (ledger["fate"] == "kept").sum() == (table["frequency"] + 1).sum() == summary.ledger_.n_periods
    gross = RFMSummary(as_of="2024-10-01", policy=None).fit_transform(retail).set_index("customer_id")
    net = table.set_index("customer_id")
    assert (net["frequency"] <= gross.loc[net.index, "frequency"]).all()
    assert (net["n_orders"] <= gross.loc[net.index, "n_orders"]).all()


def test_pieces_threads_and_frames_change_no_bit(
    retail: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, to_frame: Any
) -> None:
    expected = RFMSummary(as_of="2024-10-01").fit(retail).ledger(retail)
    given_frame = to_frame(retail)
    for rows in (1 << 13, 500, 1):
        monkeypatch.setattr(_returns, "ROWS_A_PIECE", rows)
        for n in (1, 2):
            with _jit.threads(n):
                ledger = RFMSummary(as_of="2024-10-01").fit(given_frame).ledger(given_frame)
            assert type(ledger) is type(given_frame)
            frame = ledger if isinstance(ledger, pd.DataFrame) else ledger.to_pandas()
            for name in ("fate", "partner", "amount", "paired", "set_aside", "counted"):
                assert frame[name].tolist() == expected[name].tolist()


def test_one_customer_with_very_many_rows_is_settled_at_once() -> None:
    rng = np.random.default_rng(3)
    n = 200_000
    log = log_of(
        *zip(range(n), rng.integers(1, 4, n) * rng.choice([1, -1], n), strict=True), product_id="p", order_id=7
    )
    log["timestamp"] = START + rng.integers(0, 3, n) * np.timedelta64(1, "D")
    summary = RFMSummary()
    summary.fit_transform(log)
    summary.ledger_.check()
    log = log_of(*zip(range(n), np.repeat([1.0, -1.0], n // 2), strict=True))
    log["timestamp"] = START
    assert RFMSummary().fit(log).ledger(log)["fate"].value_counts().to_dict() == {
        "returned": n // 2, "paired return": n // 2,
    }  # fmt: skip


def test_products_of_several_types_are_told_apart() -> None:
    log = log_of((0, 20), (5, 20), (9, -20), (10, 1)).assign(
        product_id=pd.Series([85123, "85123", 85123, "M"], dtype=object)
    )
    assert partners_of(log) == [2, -1, 0, -1]


def test_order_ids_of_several_types_as_a_spreadsheet_gives_them() -> None:
    log = log_of((0, 50), (1, 50), (2, -50)).assign(order_id=pd.Series([536365, 536366, "C536365"], dtype=object))
    assert partners_of(log) == [2, -1, 0]
    assert row_of(log) == [0, 0.0, 0.0, 1, 50.0]


# Merged rows


def test_rows_merge_into_orders_and_orders_into_periods() -> None:
    log = log_of((0, 1), (0.1, 2), (0.2, 4), (1, 8), (1.1, 16), order_id=["a", "a", "b", "b", None])
    assert fates_of(log) == ["kept", "merged into order", "merged into period", "kept", "merged into period"]
    assert fates_of(log.drop(columns="order_id"), period="W") == ["kept", *["merged into period"] * 4]
    assert fates_of(log[::-1]) == fates_of(log)[::-1]


# The ledger


@pytest.fixture
def ledger() -> Ledger:
    log = log_of((0, 1000), (7, 50), (8, 0.25), (14, -50), (15, -7))
    summary = RFMSummary(as_of="2024-01-15").fit(log)
    summary.transform(log)
    return summary.ledger_


def test_ledger_reads_as_text_html_and_dict(ledger: Ledger) -> None:
    text = str(ledger)
    assert text.splitlines()[0].split() == ["fate", "rows", "amount", "paired", "set", "aside", "counted"]
    assert "after cutoff" in text
    assert "1,000.25" in text
    assert (
        text.splitlines()[-1] == "2 purchase rows in 2 orders in 2 periods of 1 customer, worth 1,000.25 after returns"
    )
    assert "<td>1,000.25</td>" in ledger._repr_html_()
    assert json.loads(json.dumps(ledger.to_dict()))["total"]["rows"] == 5
    assert pickle.loads(pickle.dumps(ledger)) == ledger


def test_a_ledger_that_lacks_a_cent_or_a_row_says_so(ledger: Ledger) -> None:
    from dataclasses import replace

    ledger.check()
    with pytest.raises(InvalidDataError, match=r"does not balance: values of the table by 0\.01"):
        replace(ledger, total_value=ledger.total_value + 0.01).check()
    with pytest.raises(InvalidDataError, match="does not balance: rows by 1"):
        replace(ledger, n_rows=4).check()
    broken = {**ledger.fates, "returned": {**ledger.fates["returned"], "paired": 60.0}}
    with pytest.raises(InvalidDataError, match="paired amounts by 10; amounts by 10"):
        replace(ledger, fates=broken).check()


def test_an_empty_log_has_an_empty_ledger() -> None:
    log = log_of((0, 1))
    summary = RFMSummary().fit(log)
    assert len(summary.transform(log[:0])) == 0
    assert summary.ledger_.total == {"rows": 0, "amount": 0, "paired": 0, "set_aside": 0, "counted": 0}
    summary.ledger_.check()
    assert len(summary.ledger(log[:0])) == 0


def test_without_a_policy_there_is_no_ledger_to_keep_but_one_to_ask_for() -> None:
    log = log_of((0, 100), (7, 50), (14, -50))
    summary = RFMSummary(policy=None).fit(log)
    summary.transform(log)
    assert not hasattr(summary, "ledger_")
    assert summary.ledger(log)["fate"].tolist() == ["kept", "kept", "unmatched return"]


@given(st.lists(st.floats(-1e9, 1e9), max_size=60), st.randoms())
def test_sums_do_not_hang_on_the_order(values: list[float], random: Any) -> None:
    ours = np.array(values)
    total = exact_sum(ours)
    assert total == pytest.approx(float(np.sum(ours.astype(np.longdouble))), rel=1e-14, abs=1e-6)
    random.shuffle(values)
    assert exact_sum(np.array(values)) == total


def test_rows_that_mean_nothing_are_refused_before_they_are_settled() -> None:
    log = log_of((0, 100), (7, -50))
    summary = RFMSummary(policy=OrderPolicy(unmatched="raise")).fit(log)
    for amount in (np.nan, -np.inf):
        with pytest.raises(InvalidDataError, match="1 of 2 rows have no finite amount"):
            summary.transform(log.assign(amount=[amount, -50]))
        with pytest.raises(InvalidDataError, match="1 of 2 rows have no finite amount"):
            summary.ledger(log.assign(amount=[amount, -50]))
    with pytest.raises(InvalidDataError, match="have no customer_id"):
        summary.transform(log.assign(customer_id=["a", None]))
    with pytest.raises(InvalidDataError, match="have no timestamp"):
        summary.transform(log.assign(timestamp=log["timestamp"].where([True, False])))


# The policy as an estimator


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"match": ("order", "date")}, r"The 'match' parameter of OrderPolicy must be a tuple of \{'order', 'product'"),
        ({"match": "order"}, "The 'match' parameter of OrderPolicy must be a tuple"),
        ({"choose": "last"}, "The 'choose' parameter of OrderPolicy must be a str among {'latest', 'earliest'}"),
        ({"within": 0}, "The 'within' parameter of OrderPolicy must be a float in the range"),
        ({"within": "30D"}, "The 'within' parameter of OrderPolicy must be a float in the range"),
        ({"partial": "yes"}, "The 'partial' parameter of OrderPolicy must be an instance of bool"),
        ({"unmatched": "warn"}, "The 'unmatched' parameter of OrderPolicy must be a str among"),
        ({"min_kept_value": -1}, "The 'min_kept_value' parameter of OrderPolicy must be a float in the range"),
        ({"count_free": 0}, "The 'count_free' parameter of OrderPolicy must be an instance of bool"),
        ({"cancellation_prefix": 7}, "The 'cancellation_prefix' parameter of OrderPolicy must be an instance of str"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RFMSummary(policy=OrderPolicy(**params)).fit(log_of((0, 1)))


def test_a_policy_is_a_parameter_like_any_other() -> None:
    for wrong in ("pair", 3, OrderPolicy):
        with pytest.raises(
            ValueError, match="The 'policy' parameter of RFMSummary must be an instance of OrderPolicy or"
        ):
            RFMSummary(policy=wrong).fit(log_of((0, 1)))
    summary = RFMSummary(policy=OrderPolicy(within=30))
    assert summary.get_params()["policy__within"] == 30
    copied = clone(summary).set_params(policy__within=10, policy__choose="earliest")
    assert (copied.policy.within, summary.policy.within) == (10, 30)
    log = log_of((0, 50), (20, -50), (21, 5))
    assert quietly(summary, log)["frequency"].tolist() == [0]
    assert quietly(copied, log)["frequency"].tolist() == [1]
    again = pickle.loads(pickle.dumps(summary.fit(log)))
    pd.testing.assert_frame_equal(again.transform(log), summary.transform(log))


# The kernel that sorts


def permutations() -> Iterator[np.ndarray]:
    rng = np.random.default_rng(2)
    for n in (0, 1, 2, SHORT, SHORT + 1, 5 * SHORT + 3, 300):
        yield rng.integers(0, 3, (n, 5))
        yield np.sort(rng.integers(0, 3, (n, 5)), axis=0)


@pytest.mark.parametrize("keys", list(permutations()), ids=lambda keys: str(keys.shape))
def test_an_index_is_sorted_by_five_keys_and_else_stays(keys: np.ndarray) -> None:
    n = len(keys)
    a, b, c, d, e = (keys[:, i].astype(float if i in (1, 3) else np.int64) for i in range(5))
    index = np.arange(n)
    sort_index(0, n, index, np.empty(n, np.int64), a, b, c, d, e)
    assert index.tolist() == sorted(range(n), key=lambda row: (*keys[row], row))


# Most purchases have no part in it


@pytest.mark.parametrize("columns", [(), ("orders",), ("products",), ("orders", "products", "quantities")])
@pytest.mark.parametrize(
    "policy", [{}, {"count_free": False}, {"min_kept_value": 6.0, "partial": False}, {"match": ("amount",)}]
)
def test_purchases_left_to_themselves_change_nothing(columns: tuple[str, ...], policy: dict[str, Any]) -> None:
    rng = np.random.default_rng(7)
    n = 6_000
    ids, times = rng.integers(0, 900, n), rng.integers(0, 10**6, n)
    sizes = rng.choice(np.r_[0.0, np.arange(1, 60) / 4, 10 + np.arange(4) * 9e-12, 2.0**20 * (1 - 2.0**-53)], n)
    amounts = np.copysign(sizes, rng.choice([1.0, -1.0], n, p=[0.9, 0.1]))
    details = {
        "orders": rng.integers(0, 4_000, n),
        "products": rng.integers(-1, 30, n),
        "quantities": rng.integers(1, 4, n).astype(float),
    }
    given = [details[each] if each in columns else np.empty(0, kind) for each, kind in _KINDS.items()]
    rules = OrderPolicy(**policy)
    wanted = rules._wanted(*(each.size > 0 for each in given))
    found = _returns.settle(ids, times, amounts, *given, policy=rules)
    expected = _returns._settle_all(ids, times, amounts, given, wanted, rules)
    for name in ("values", "fates", "partners", "left"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert (np.signbit(found.values) == np.signbit(expected.values)).all()
    assert contenders(ids, amounts, given[0], given[1], wanted, rules.count_free).mean() < 1.0


_KINDS = {"orders": np.int64, "products": np.int64, "quantities": np.float64}


def test_amounts_on_both_sides_of_a_key_are_still_the_same() -> None:
    price = np.nextafter(2.0**20, 0)  # the last double before the upper half of the bits changes
    assert fates_of(log_of((0, 2.0**20), (1, 3), (2, -price))) == ["returned", "kept", "paired return"]
    assert fates_of(log_of((0, price), (1, 3), (2, -(2.0**20)))) == ["returned", "kept", "paired return"]


# What is refused in words


@pytest.mark.parametrize("column", ["order_id", "product_id"])
def test_lists_are_no_ids_of_orders_and_products(column: str) -> None:
    log = log_of((0, 5.0), (1, -5.0)).assign(**{column: pd.Series([[1], [1]], dtype=object)})
    with pytest.raises(InvalidDataError, match=f"The ids in '{column}' are no ids"):
        RFMSummary().fit_transform(log)


@pytest.mark.parametrize("policy", ["default", None])
def test_amounts_whose_sum_no_double_holds_are_refused(policy: Any) -> None:
    with pytest.raises(InvalidDataError, match=r"Amounts are too large to be added up: .*max_amount"):
        RFMSummary(policy=policy).fit_transform(log_of((0, 1e308), (1, 1e308), (2, 1e308)))
