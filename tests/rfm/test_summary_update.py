from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import STRING_IDS, transaction_logs

from custanalytics._columns import DAYS_PER_UNIT, SUMMARY_COLUMNS
from custanalytics.exceptions import DataQualityWarning, InvalidDataError, MissingColumnError
from custanalytics.rfm import RFMSummary

PERIODS = ("h", "D", "W", "M", "Y")
UNITS = list(DAYS_PER_UNIT)


def log_of(*rows: tuple[Any, str, float], **columns: list[Any]) -> pd.DataFrame:
    log = pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"])
    log["timestamp"] = pd.to_datetime(log["timestamp"], format="ISO8601").astype("datetime64[us]")
    return log.assign(**columns)


def parts_of(log: pd.DataFrame, period: str, shares: list[float]) -> tuple[list[pd.DataFrame], list[Any]]:
    """The log cut at the ends of periods, and the last period of each part but the last."""
    first, last = log["timestamp"].min(), log["timestamp"].max()
    wanted = sorted((first + share * (last - first)).floor("us") for share in shares)
    ends = [RFMSummary(period=period, as_of=moment).fit(log).as_of_ for moment in wanted]
    after = [(end + 7 * (period == "W") + (period != "W")).astype("datetime64[us]") for end in ends]
    edges = [pd.Timestamp.min, *after, pd.Timestamp.max]
    moments = log["timestamp"]
    return [log[(moments >= low) & (moments < high)] for low, high in pairwise(edges)], ends


@given(
    log=st.booleans().flatmap(lambda text: transaction_logs(ids=STRING_IDS, returns=False) if text else
                              transaction_logs(returns=False)),
    period=st.sampled_from(PERIODS),
    time_unit=st.sampled_from(UNITS),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=3),
)  # fmt: skip
def test_updates_give_the_table_of_the_whole_log_to_the_bit(
    log: pd.DataFrame, period: str, time_unit: str, shares: list[float]
) -> None:
    summary = RFMSummary(period=period, time_unit=time_unit)
    parts, ends = parts_of(log, period, shares)
    expected = summary.fit_transform(log)
    last = summary.as_of_
    table = RFMSummary(period=period, time_unit=time_unit, as_of=ends[0]).fit_transform(parts[0])
    for part, end in zip(parts[1:], [*ends[1:], last], strict=True):
        table = summary.update(table, part, as_of=end)
    pd.testing.assert_frame_equal(table, expected, check_exact=True)


@given(log=transaction_logs(), period=st.sampled_from(PERIODS), share=st.floats(0, 1), order_id=st.booleans())
@pytest.mark.filterwarnings("ignore::custanalytics.exceptions.DataQualityWarning")
def test_with_returns_the_history_of_their_customers_makes_it_exact(
    log: pd.DataFrame, period: str, share: float, order_id: bool
) -> None:
    log = log.assign(order_id=np.arange(len(log)) % 5) if order_id else log
    summary = RFMSummary(period=period)
    (before, after), ends = parts_of(log, period, [share])
    expected = summary.fit_transform(log)
    table = RFMSummary(period=period, as_of=ends[0]).fit_transform(before)
    wanted = set(after["customer_id"]) if order_id else set(after.loc[after["amount"] < 0, "customer_id"])
    left_out = set(before["customer_id"]) - set(table["customer_id"])
    history = before[before["customer_id"].isin(wanted | left_out)]
    updated = summary.update(table, after, as_of=summary.as_of_, history=history)
    pd.testing.assert_frame_equal(updated, expected, check_exact=True)


@given(log=transaction_logs(), share=st.floats(0, 1))
@pytest.mark.filterwarnings("ignore::custanalytics.exceptions.DataQualityWarning")
def test_without_a_policy_returns_are_added_up(log: pd.DataFrame, share: float) -> None:
    summary = RFMSummary(policy=None, time_unit="D")
    (before, after), ends = parts_of(log, "D", [share])
    expected = summary.fit_transform(log)
    table = RFMSummary(policy=None, time_unit="D", as_of=ends[0]).fit_transform(before)
    history = before[~before["customer_id"].isin(table["customer_id"])]
    updated = summary.update(table, after, as_of=summary.as_of_, history=history)
    pd.testing.assert_frame_equal(updated, expected, check_exact=True)


def test_amounts_that_are_no_decimals_agree_closely() -> None:
    rng = np.random.default_rng(3)
    n = 4000
    log = pd.DataFrame({
        "customer_id": rng.integers(0, 300, n),
        "timestamp": np.datetime64("2024-01-01", "us") + np.sort(rng.integers(0, 200 * 24, n)) * np.timedelta64(1, "h"),
        "amount": rng.gamma(2, 20, n),
    })  # fmt: skip
    summary = RFMSummary()
    (before, after), ends = parts_of(log, "D", [0.5])
    updated = summary.update(RFMSummary(as_of=ends[0]).fit_transform(before), after)
    pd.testing.assert_frame_equal(updated, summary.fit_transform(log), rtol=1e-12)


LOG = log_of((1, "2024-01-01", 10.1), (2, "2024-01-02", 20.2), (1, "2024-01-05", 0.1), (3, "2024-01-06 18:00", 5))


def test_the_kind_of_frame_is_that_of_the_table(to_frame: Any) -> None:
    summary = RFMSummary(time_unit="D")
    table = to_frame(summary.fit_transform(LOG.iloc[:2]))
    updated = summary.update(table, to_frame(LOG.iloc[2:]))
    assert type(updated) is type(table)
    expected = to_frame(summary.fit_transform(LOG))
    assert updated.equals(expected)


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("int8", [1, 2, 257]),
        ("int32", [1, 2, 2**32 + 1]),
        ("uint8", [1, 2, -1]),
        ("uint64", [1, 2**63 + 5, 2**63 + 7]),
        ("int64", [1, 2, 2**63 + 5]),
    ],
)
def test_ids_keep_their_value_in_any_width(kind: str, ids: list[int], to_frame: Any) -> None:
    dates = ["2024-01-01", "2024-01-02", "2024-01-03"]
    log = log_of(*((0, date, 1.0) for date in dates)).assign(customer_id=pd.Series(ids, dtype=object))
    old = log.iloc[:1].assign(customer_id=pd.Series(ids[:1], dtype=kind))
    wide = "uint64" if max(ids) >= 2**63 else "int64"
    new = log.iloc[1:].assign(customer_id=pd.Series(ids[1:], index=[1, 2], dtype=wide))
    summary = RFMSummary()
    found = summary.update(summary.fit_transform(to_frame(old)), to_frame(new))
    whole = summary.fit_transform(to_frame(log.assign(customer_id=pd.Series(ids, dtype=wide))))
    names = [name for name in SUMMARY_COLUMNS if name != "customer_id"]
    assert list(found["customer_id"].to_numpy()) == sorted(ids) == list(whole["customer_id"].to_numpy())
    for name in names:
        assert list(found[name].to_numpy()) == list(whole[name].to_numpy())


def test_ids_that_no_type_holds_together_are_refused() -> None:
    summary = RFMSummary()
    table = summary.fit_transform(log_of((-1, "2024-01-01", 1.0)))
    new = log_of((0, "2024-01-02", 1.0)).assign(customer_id=np.array([2**63], np.uint64))
    with pytest.raises(InvalidDataError, match="from -1 to 9223372036854775808, fit no integer of 64 bits"):
        summary.update(table, new)


def test_customers_without_a_purchase_that_is_left_are_named() -> None:
    summary = RFMSummary()
    log = log_of((1, "2024-01-01", 1.0), (2, "2024-01-02", 2.0), (3, "2024-01-03", 5.0), (3, "2024-01-04", -5.0))
    table = summary.fit_transform(log.iloc[:2])
    with pytest.warns(DataQualityWarning, match=r"no purchase up to the last period and are left out \(first: 3\)"):
        assert summary.update(table, log.iloc[2:])["customer_id"].tolist() == [1, 2]
    with pytest.warns(DataQualityWarning, match=r"left out \(first: 1\)"):
        found = summary.update(table, log_of((1, "2024-01-03", -1.0)), history=log.iloc[:1])
    assert found["customer_id"].tolist() == [2]


def test_sums_without_end_are_refused() -> None:
    summary = RFMSummary()
    table = summary.fit_transform(log_of((1, "2024-01-01", 1e300)))
    with pytest.raises(InvalidDataError, match="Amounts are too large to be added up"):
        summary.update(table, log_of((1, "2024-01-03", 1e308), (1, "2024-01-04", 1e308)))


def test_customers_without_events_move_on() -> None:
    summary = RFMSummary(time_unit="D")
    table = summary.fit_transform(LOG.iloc[:2])
    updated = summary.update(table, LOG.iloc[:0], as_of="2024-01-12")
    pd.testing.assert_frame_equal(updated, RFMSummary(time_unit="D", as_of="2024-01-12").fit_transform(LOG.iloc[:2]))
    assert updated["inactivity"].tolist() == [11.0, 10.0]


def test_the_table_and_the_estimator_stay_as_they_were_and_other_columns_go() -> None:
    summary = RFMSummary(time_unit="D")
    table = summary.fit_transform(LOG.iloc[:2]).assign(segment="A")
    kept, params = table.copy(), dict(vars(summary))
    assert list(summary.update(table, LOG.iloc[2:]).columns) == list(SUMMARY_COLUMNS)
    pd.testing.assert_frame_equal(table, kept)
    assert vars(summary) == params


def test_an_order_may_have_begun_before_unless_it_is_said_not_to() -> None:
    log = LOG.assign(order_id=["a", "b", "a", "c"])
    summary = RFMSummary(time_unit="D")
    table = summary.fit_transform(log.iloc[:2])
    with pytest.raises(InvalidDataError, match=r"1 customers .* order_id .*\(first: 1\).*whole_orders=True.*history="):
        summary.update(table, log.iloc[2:])
    exact = summary.update(table, log.iloc[2:], history=log.iloc[:1])
    pd.testing.assert_frame_equal(exact, summary.fit_transform(log), check_exact=True)
    assert exact["n_orders"].tolist() == [1, 1, 1]
    assert summary.update(table, log.iloc[2:], whole_orders=True)["n_orders"].tolist() == [2, 1, 1]


def test_what_cannot_be_known_is_refused() -> None:
    summary = RFMSummary(time_unit="D")
    table = summary.fit_transform(LOG.iloc[:2])
    new = LOG.iloc[2:]
    early = pd.concat([new, LOG.iloc[1:2]])
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        (table, early, {}, r"1 of 3 rows of new_events lie in periods .* closed \(first: 2\): .* table is 2024-01-02"),
        (table, new, {"as_of": "2024-01-01"}, "as_of names 2024-01-01, before the last period of the table"),
        (pd.concat([table, table]), new, {}, "share their customer_id with another row"),
        (table.assign(customer_id=table["customer_id"].astype(str)), new, {}, "are of different types"),
        (table.assign(T=table["T"] / 7), new, {}, "Was the table made with another period or time_unit than 'D'"),
        (table.assign(total_value=np.nan), new, {}, "have missing values in the table"),
        (table, new.assign(amount=-1.0), {}, r"1 customers .* have returns .*\(first: 1\).*history="),
        (table, new.assign(amount=np.nan), {}, "have no finite amount"),
        (table, new, {"history": LOG.iloc[1:2].assign(amount=1.0)}, "history that does not give their row"),
        (table, new, {"history": LOG.iloc[2:]}, "history has rows after 2024-01-02"),
    ]  # fmt: skip
    for frame, events, options, message in cases:
        with pytest.raises(InvalidDataError, match=message):
            summary.update(frame, events, **options)
    late = RFMSummary(time_unit="D", as_of="2024-01-03").fit_transform(LOG.iloc[1:2])
    with pytest.raises(InvalidDataError, match="summed up to another period than the first of the table"):
        summary.update(pd.concat([table.iloc[:1], late]), new)
    with pytest.raises(MissingColumnError, match="Pass a table that RFMSummary made"):
        summary.update(table.drop(columns="first_seen"), new)
    with pytest.raises(ValueError, match=r"The 'whole_orders' parameter of RFMSummary\.update must be"):
        summary.update(table, new, whole_orders="yes")
    empty = table.iloc[:0]
    with pytest.raises(InvalidDataError, match="there is nothing to update"):
        summary.update(empty, new.iloc[:0])
    pd.testing.assert_frame_equal(summary.update(empty, LOG), summary.fit_transform(LOG))
