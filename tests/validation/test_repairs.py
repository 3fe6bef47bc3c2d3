"""Repairs: what is mended, that the log says so, that it can be undone, and that a second repair changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custanalytics.validation import TransactionValidator

AS_OF = "2024-12-31"
SOUND = {"customer_id": "ann", "timestamp": "2024-05-01T10:00", "amount": 5.0}


def rows_of(frame: Any) -> list[dict[str, Any]]:
    """Any frame as a list of rows, missing as None."""
    rows = frame.to_pylist() if isinstance(frame, pa.Table) else pl.DataFrame(frame).to_dicts()
    return [{name: None if value != value else value for name, value in row.items()} for row in rows]


def repaired(column: str, values: list[Any], **params: Any) -> tuple[list[Any], list[str]]:
    """The clean values of a column, None where the row is set aside, and the rules repaired."""
    log = pd.DataFrame([SOUND | {"order_id": row} for row in range(len(values))])
    log[column] = pd.Series(values, dtype=object)
    validator = TransactionValidator(**{"as_of": AS_OF, "on_error": "repair", **params}).fit(log)
    clean = validator.transform(log)
    found = dict(zip(clean["order_id"], clean[column], strict=True))
    rules = dict(zip(validator.report_.repairs["row"], validator.report_.repairs["rule"], strict=True))
    return [found.get(row) for row in range(len(values))], [rules.get(row, "") for row in range(len(values))]


MENDED = [
    ("$5", 5.0), ("€ 5.50", 5.5), ("5.50€", 5.5), ("USD 5", 5.0), ("5 EUR", 5.0), ("-$5", -5.0), ("$-5", -5.0),
    ("(5.00)", -5.0), ("($5.00)", -5.0), ("$(5.00)", -5.0), ("5.00-", -5.0), ("−5", -5.0), ("1 234.50", 1234.5),
    ("1\u00a0234.50", 1234.5), ("1'234.50", 1234.5), ("1,234,567", 1234567.0), ("£1,234.50", 1234.5),
    ("1,00,000.50", 100000.5), ("10,05", 10.05), ("0,123", 0.123), ("1234,567", 1234.567), ("1.234.567", 1234567.0),
    ("1.234,50 kr", 1234.5), ("R$ 1.234,50", 1234.5), ("+$3", 3.0), ("1.234.567,8", 1234567.8),
]  # fmt: skip


@pytest.mark.parametrize(("text", "number"), MENDED)
def test_numbers_as_people_write_them(text: str, number: float) -> None:
    for column in ("amount", "quantity"):
        other = {"amount": "quantity", "quantity": "amount"}[column]
        values, rules = repaired(column, [text, text])
        assert values == [number] * 2
        assert rules[0].startswith(f"unparsable_{column}") or rules[0] in (f"{column}_format", "sign_mismatch"), other


@pytest.mark.parametrize(
    "text",
    ["free", "1,234", "5 pcs", "--5", "(-5)", "1,2,3", "12,34.5", "1.2.3", "$", "5%", "1 2", "0x10", "1_000", "€$5€"],
)
def test_numbers_that_stay_unread(text: str) -> None:
    assert repaired("amount", [text, 1.0])[0] == [None, 1.0]


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1,234", "10.05"], [1234.0, 10.05]),
        (["1,234", "10,05"], [1.234, 10.05]),
        (["1.234", "10,05"], [1234.0, 10.05]),
        (["1.234", "1,234,567"], [1.234, 1234567.0]),
        (["1.234", "7"], [1.234, 7.0]),
        (["1,234", "7"], [None, 7.0]),
        (["1,234", "10.05", "10,05"], [None, 10.05, 10.05]),
        (["1.234", "10.05", "10,05"], [None, 10.05, 10.05]),
    ],
)
def test_a_column_proves_its_decimal_sign(texts: list[str], numbers: list[float | None]) -> None:
    assert repaired("amount", texts)[0] == numbers


def test_the_caller_may_say_the_decimal_sign() -> None:
    assert repaired("amount", ["1,234", "7"], decimal=",")[0] == [1.234, 7.0]
    assert repaired("amount", ["1,234", "7"], decimal=".")[0] == [1234.0, 7.0]
    assert repaired("amount", ["1.234", "10,05"], decimal=",")[0] == [1234.0, 10.05]
    assert repaired("amount", ["10,05", "7"], decimal=".")[0] == [None, 7.0]
    assert repaired("amount", ["10,05", "$7"], decimal=",", on_error="repair")[0] == [10.05, 7.0]
    log = {**{name: [value] * 2 for name, value in SOUND.items()}, "amount": ["10,05", "$7"]}
    validator = TransactionValidator(decimal=",", as_of=AS_OF)
    assert validator.fit_transform(log)["amount"].tolist() == [10.05]
    assert validator.quarantine_["reasons"].tolist() == ["unparsable_amount"]


def test_ids_are_trimmed_and_normalised() -> None:
    values, rules = repaired("customer_id", ["ann", " ann\t", "\u200bann", "cafe\u0301", "\ufeff", "guest "])
    assert values == ["ann", "ann", "ann", "café", None, None]
    assert rules == ["", *["untidy_customer_id"] * 3, "", ""]
    assert repaired("customer_id", [7, " 7", 8])[0] == [7, None, 8]


def test_zoned_times_move_to_one_clock() -> None:
    stamps = ["2024-05-01T10:00+02:00", "2024-05-02T10:00+02:00", "2024-05-01T22:30Z"]
    values, rules = repaired("timestamp", stamps)
    assert [str(value) for value in values] == ["2024-05-01 10:00:00", "2024-05-02 10:00:00", "2024-05-02 00:30:00"]
    assert rules == ["", "", "mixed_time_zones"]
    values, rules = repaired("timestamp", stamps[1:])
    assert [str(value) for value in values] == ["2024-05-02 08:00:00", "2024-05-01 22:30:00"]
    assert rules == ["mixed_time_zones"] * 2
    assert repaired("timestamp", [*stamps, "2024-05-01 10:00"])[0][3] is None
    assert repaired("timestamp", ["2024-05-01"] * 3 + stamps[1:])[0][3:] == [None, None]


def test_signs_agree_and_types_stay() -> None:
    base = {"customer_id": range(4), "timestamp": pd.Timestamp("2024-05-01T10:00")}
    log = pd.DataFrame(base | {"amount": [5, -5, 5, -5], "quantity": np.array([1, 2, -3, -4], np.int8)})
    for frame in (log, pl.from_pandas(log), pa.Table.from_pandas(log)):
        validator = TransactionValidator(on_error="repair", as_of=AS_OF).fit(frame)
        clean = rows_of(validator.transform(frame))
        assert [(row["amount"], row["quantity"]) for row in clean] == [(5, 1), (-5, -2), (-5, -3), (-5, -4)]
        found = [(row["row"], row["column"], row["before"], row["after"]) for row in rows_of(validator.report_.repairs)]
        assert found == [(1, "quantity", "2", "-2"), (2, "amount", "5", "-5")]
        assert validator.report_.repaired == {"sign_mismatch": 2}
        assert validator.report_.counts["return"] == 3


DIRTY = pd.DataFrame(
    {
        "who": ["ann", " bob", "cyd\u200b", "guest", "ann", "eve", "ann", "dan"],
        "day": [
            "2024-05-01T10:00", "31/12/2023", "May 1, 2024", "2024-01-01", "2024-05-01T10:00", None,
            "2024-05-01T10:00", "2024-02-02",
        ],
        "amount": ["10.05", "$1,234.50", "(5.00)", "3", "10.05", "7", "10.05", "1 234"],
        "quantity": [1, 2, 3, 1, 1, 1, 1, 1],
        "customer_id": list("abcdefgh"),
        "mine": list("xyzwxvxu"),
    }
)  # fmt: skip
NAMES = {"customer_id": "who", "timestamp": "day"}


def test_the_log_of_repairs_and_the_way_back(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    log = to_frame(DIRTY)
    validator = TransactionValidator(columns=NAMES, on_error="repair", as_of=AS_OF).fit(log)
    clean = validator.transform(log)
    report = validator.report_
    assert type(report.repairs) is type(clean) is type(log)
    assert [tuple(row.values()) for row in rows_of(report.repairs)] == [
        (1, "amount", "unparsable_amount", "$1,234.50", "1234.5"),
        (1, "customer_id", "untidy_customer_id", " bob", "bob"),
        (1, "timestamp", "timestamp_format", "31/12/2023", "2023-12-31T00:00:00"),
        (2, "amount", "unparsable_amount", "(5.00)", "-5.0"),
        (2, "customer_id", "untidy_customer_id", "cyd\u200b", "cyd"),
        (2, "timestamp", "timestamp_format", "May 1, 2024", "2024-05-01T00:00:00"),
        (2, "quantity", "sign_mismatch", "3", "-3"),
        (4, None, "duplicate", None, "dropped: copies row 0"),
        (6, None, "duplicate", None, "dropped: copies row 0"),
        (7, "amount", "unparsable_amount", "1 234", "1234.0"),
    ]
    assert [row["row"] for row in rows_of(validator.quarantine_)] == [3, 5]
    assert (report.rows_in, report.rows_clean, report.rows_quarantined, report.rows_merged) == (8, 4, 2, 2)
    assert report.rows_repaired == 3
    assert "+ 2 quarantined + 2 merged as copies" in str(report)
    back = validator.restore(clean)
    assert type(back) is type(log)
    expected = [row for at, row in enumerate(rows_of(log)) if at not in (3, 5)]
    assert rows_of(back) == expected
    if isinstance(log, pd.DataFrame):
        pd.testing.assert_frame_equal(back, DIRTY.drop(index=[3, 5]))
    with pytest.raises(ValueError, match="restore takes the clean log as transform gave it, with 4 rows; got 3"):
        validator.restore(clean[:3])
    first = np.array([1, 0, 2, 3])
    for wrong in (clean.take(first) if not isinstance(log, pl.DataFrame) else clean[first], cheaper(clean)):
        with pytest.raises(ValueError, match="has other times or amounts, or its rows in another order"):
            validator.restore(wrong)


def cheaper(clean: Any) -> Any:
    frame = nw.from_native(clean, eager_only=True)
    return frame.with_columns(nw.col("amount") / 2).to_native()


def test_restore_needs_repairs() -> None:
    validator = TransactionValidator(columns=NAMES, as_of=AS_OF).fit(DIRTY)
    clean = validator.transform(DIRTY)
    assert validator.report_.repairs is None
    with pytest.raises(ValueError, match=r"on_error='quarantine' makes none\. Pass on_error='repair'"):
        validator.restore(clean)


def test_copies_that_are_kept_are_not_dropped() -> None:
    log = DIRTY.iloc[[0, 4]].drop(columns=["customer_id"])
    validator = TransactionValidator(columns=NAMES, on_error="repair", duplicates="flag", as_of=AS_OF).fit(log)
    assert len(validator.transform(log)) == 2
    assert (validator.report_.rows_merged, validator.report_.counts["duplicate"]) == (0, 1)


WORDS = {
    "customer_id": ["ann", " ann", "bob", "", None, "guest", "e\u0301", "é"],
    "timestamp": ["2024-05-01T10:00", "1/5/2024", "13/5/2024", "5/13/2024", "2024-05-01T10:00Z", "x", None],
    "amount": ["1.5", "1,5", "1,234", "1.234", "$3", "(3)", "-3", "x", "", None],
    "quantity": ["1", "-1", "1,5", None, "x"],
}
LOGS = st.lists(
    st.tuples(*(st.sampled_from(values) for values in WORDS.values()), st.integers(0, 1)), min_size=1, max_size=12
)


@pytest.mark.filterwarnings("ignore:All [0-9,]+ rows are quarantined")
@given(rows=LOGS, library=st.sampled_from(["pandas", "polars", "pyarrow"]))
def test_repair_is_idempotent_reversible_and_accounts_for_every_row(rows: list[Any], library: str) -> None:
    log = pd.DataFrame(rows, columns=[*WORDS, "mine"]).astype(dict.fromkeys(WORDS, "str"))
    frame: Any = {"pandas": log, "polars": pl.from_pandas(log), "pyarrow": pa.Table.from_pandas(log)}[library]
    before = rows_of(frame)
    validator = TransactionValidator(on_error="repair", as_of=AS_OF).fit(frame)
    clean = validator.transform(frame)
    report = validator.report_
    assert report.rows_in == report.rows_clean + report.rows_quarantined + report.rows_merged == len(rows)
    assert rows_of(frame) == before

    aside = {row["row"] for row in rows_of(validator.quarantine_)} if report.rows_quarantined else set()
    assert rows_of(validator.restore(clean)) == [row for at, row in enumerate(before) if at not in aside]
    changed = {row["row"] for row in rows_of(report.repairs)} if len(report.repairs) else set()
    assert not aside & changed
    assert len(changed) == report.rows_repaired + report.rows_merged

    again = TransactionValidator(on_error="repair", as_of=AS_OF).fit(clean)
    assert rows_of(again.transform(clean)) == rows_of(clean)
    assert len(again.report_.repairs) == again.report_.rows_quarantined == again.report_.rows_merged == 0
