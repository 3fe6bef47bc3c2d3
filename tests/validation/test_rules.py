"""Every rule, on a log that breaks it and nothing else; and values that look wrong but are not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pytest

from custanalytics.validation import TransactionValidator, ValidationRule

AS_OF = "2024-12-31"
SOUND = {"customer_id": "ann", "timestamp": "2024-05-01T10:00", "amount": 5.0}


def validate(rows: list[dict[str, Any]], **params: Any) -> tuple[pd.DataFrame, list[str], TransactionValidator]:
    """The clean log, and the reasons of every row ('' for a clean one)."""
    validator = TransactionValidator(**{"as_of": AS_OF, **params})
    names = dict.fromkeys(name for row in rows for name in row)
    log = pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names})
    clean = validator.fit(log).transform(log)
    reasons = dict(zip(validator.quarantine_["row"], validator.quarantine_["reasons"], strict=True))
    return clean, [reasons.get(row, "") for row in range(len(rows))], validator


def reasons(column: str, values: list[Any], **params: Any) -> list[str]:
    """The reasons of rows that are sound but for one column."""
    return validate([SOUND | {"order_id": row, column: value} for row, value in enumerate(values)], **params)[1]


BREAKERS = [
    ("missing_customer_id", {"customer_id": None}),
    ("missing_customer_id", {"customer_id": float("nan")}),
    ("missing_customer_id", {"customer_id": pd.NA}),
    ("missing_customer_id", {"customer_id": Decimal("nan")}),
    *(
        ("blank_customer_id", {"customer_id": text})
        for text in ("", "  ", "\t", "\u200b ", "NaN", "None", " null", "NaT")
    ),
    *(
        ("placeholder_customer", {"customer_id": text})
        for text in ("unknown", " Guest ", "TEST", "N/A", "anonymous", "-1")
    ),
    ("invalid_customer_id", {"customer_id": ["ann"]}),
    ("invalid_customer_id", {"customer_id": {"id": 1}}),
    ("invalid_customer_id", {"customer_id": np.array([1, 2])}),
    ("invalid_customer_id", {"customer_id": float("inf")}),
    ("mixed_id_types", {"customer_id": 7}),
    ("mixed_id_types", {"customer_id": True}),
    ("mixed_id_types", {"customer_id": b"ann"}),
    ("mixed_id_types", {"customer_id": 10**5000}),
    ("missing_timestamp", {"timestamp": None}),
    ("missing_timestamp", {"timestamp": pd.NaT}),
    ("missing_timestamp", {"timestamp": np.datetime64("NaT")}),
    ("missing_timestamp", {"timestamp": " nat "}),
    *(
        ("unparsable_timestamp", {"timestamp": value})
        for value in (
            "soon",
            "2024-02-30",
            "2024-13-01",
            "1/2/24",
            "10:00",
            1714521600,
            1714521600000,
            "1612051200000",
            True,
            [2024],
            timedelta(1),
            "31/31/2024",
            "2024-05-01 25:00",
            "1 May 2024 13:00 pm",
            "٢٠٢٤-٠١-٠١",
        )
    ),
    ("ambiguous_timestamp", {"timestamp": "05/06/2024"}),
    ("mixed_time_zones", {"timestamp": "2024-05-01T10:00+02:00"}),
    ("mixed_time_zones", {"timestamp": datetime(2024, 5, 1, tzinfo=ZoneInfo("Europe/Berlin"))}),
    ("implausible_timestamp", {"timestamp": "1970-01-01"}),
    ("implausible_timestamp", {"timestamp": date(1900, 1, 1)}),
    ("future_timestamp", {"timestamp": "2025-01-01"}),
    ("future_timestamp", {"timestamp": pd.Timestamp("2025-01-01")}),
    ("missing_amount", {"amount": None}),
    ("missing_amount", {"amount": float("nan")}),
    ("missing_amount", {"amount": " "}),
    *(
        ("unparsable_amount", {"amount": value})
        for value in ("free", "1,234", "10,05", "$5", "1_000", "5-", "0x10", "1.2.3", "1,23.4", True, [5], 1j)
    ),
    ("non_finite_amount", {"amount": float("-inf")}),
    ("non_finite_amount", {"amount": "Infinity"}),
    ("non_finite_amount", {"amount": "1e999"}),
    ("non_finite_amount", {"amount": 10**400}),
    *(("huge_amount", {"amount": value}) for value in (1.1e15, -1e308, "1e300", 10**16, Decimal("1e20"))),
    ("unparsable_quantity", {"quantity": float("inf")}),
    ("unparsable_quantity", {"quantity": "two"}),
]


@pytest.mark.parametrize(("rule", "wrong"), BREAKERS, ids=[f"{rule}-{row}" for row, (rule, _) in enumerate(BREAKERS)])
def test_a_row_breaks_exactly_one_rule(rule: str, wrong: dict[str, Any]) -> None:
    rows = [SOUND | {"order_id": row} for row in range(4)]
    rows[2] |= wrong
    clean, found, validator = validate(rows)
    assert found == ["", "", rule, ""]
    assert clean["order_id"].tolist() == [0, 1, 3]
    assert {name for name, rows in validator.report_.counts.items() if rows} == {rule}


WARNINGS = [
    *(
        ("untidy_customer_id", {"customer_id": text})
        for text in (" ann", "ann\t", "ann\u200b", "\ufeffann", "cafe\u0301")
    ),
    *(("timestamp_format", {"timestamp": text}) for text in ("31/12/2023", "2024/1/31", "May 1, 2024", "1-May-2024")),
    *(("amount_format", {"amount": text}) for text in ("1,234.50", "1.234,50", "-1,234,567.8")),
    ("quantity_format", {"quantity": "1,234.50"}),
    ("sign_mismatch", {"quantity": -1}),
    ("sign_mismatch", {"quantity": 1, "amount": -5.0}),
]


@pytest.mark.parametrize(("rule", "odd"), WARNINGS, ids=[f"{rule}-{row}" for row, (rule, _) in enumerate(WARNINGS)])
def test_a_row_is_kept_with_a_warning(rule: str, odd: dict[str, Any]) -> None:
    rows = [SOUND | {"order_id": row} for row in range(4)]
    rows[2] |= odd
    clean, found, validator = validate(rows)
    assert found == [""] * 4
    assert len(clean) == 4
    report = validator.report_
    assert {name for name, count in report.counts.items() if count} - {"return"} == {rule}
    assert (report.score, report.scores[rule]) == (0.875, 0.75)
    assert f"  {rule}: " in str(report)


def test_the_end_of_time_is_implausible_and_in_the_future() -> None:
    assert reasons("timestamp", ["9999-12-31", "2024-01-01"]) == ["implausible_timestamp;future_timestamp", ""]


def test_a_copy_breaks_the_rule_of_duplicates_once_for_each_copy_after_the_first() -> None:
    _, found, validator = validate([SOUND, SOUND | {"amount": 6.0}, SOUND, SOUND])
    assert found == ["", "", "duplicate", "duplicate"]
    assert validator.report_.counts["duplicate"] == 2
    assert validator.report_.notes == ()


def test_a_copy_must_agree_in_every_column_even_in_lists() -> None:
    rows = [
        SOUND | {"basket": basket, "day": day}
        for basket, day in [([1], 1), ([1], 1), ([2], 1), ([1], None), ([1], None)]
    ]
    assert validate(rows)[1] == ["", "duplicate", "", "", "duplicate"]


def test_a_copy_of_a_wrong_row_has_the_fault_and_is_no_duplicate() -> None:
    rows = [SOUND, SOUND | {"amount": "x"}, SOUND | {"amount": "x"}]
    assert validate(rows)[1] == ["", "unparsable_amount", "unparsable_amount"]


def test_copies_are_found_on_clean_values() -> None:
    rows = [
        SOUND | {"timestamp": stamp, "amount": amount}
        for stamp, amount in [("2024-05-01T10:00", "10.0"), ("May 1, 2024 10:00 AM", "10.00")]
    ]
    assert validate(rows)[1] == ["", "duplicate"]


@pytest.mark.parametrize(
    ("extra", "stamp", "policy", "kept"),
    [
        ({}, "2024-05-01", "quarantine", False),
        ({}, "2024-05-01", "auto", True),
        ({}, "2024-05-01", "flag", True),
        ({}, "2024-05-01T10:00", "auto", False),
        ({}, "2024-05-01T10:00", "flag", True),
        ({"order_id": "a"}, "2024-05-01", "auto", False),
        ({"order_id": None}, "2024-05-01", "auto", True),
    ],
)
def test_what_becomes_of_copies_is_a_choice(extra: dict[str, Any], stamp: str, policy: str, kept: bool) -> None:
    row = SOUND | {"timestamp": stamp} | extra
    clean, found, validator = validate([row, row], duplicates=policy)
    assert len(clean) == (2 if kept else 1)
    assert found == ["", "" if kept else "duplicate"]
    assert validator.report_.counts["duplicate"] == 1
    assert ("duplicate" in validator.report_.flagged) == kept
    doubtful = stamp == "2024-05-01" and extra.get("order_id") is None
    assert len(validator.report_.notes) == doubtful
    if doubtful:
        assert "1 of 2 rows copy an earlier one, but the log has neither order ids nor times of day" in str(
            validator.report_
        )


def test_returns_are_kept_and_flagged() -> None:
    rows = [
        SOUND | {"amount": a, "quantity": q} for a, q in [(5, 1), (-5, 1), (5, -1), (-5, -1), (0, None), (-0.0, "0")]
    ]
    clean, found, validator = validate(rows)
    assert found == [""] * 6
    assert clean["is_return"].tolist() == [False, True, True, True, False, False]
    assert clean["is_return"].dtype == bool
    assert validator.report_.counts["return"] == 3


def test_ids_that_only_look_wrong_are_kept() -> None:
    assert (
        reasons("customer_id", ["0", "99999", "Testino", "nancy", " 17", "id\u200b5", "x" * 10**5, "中文", "🎁"])
        == [""] * 9
    )
    clean, found, _ = validate([SOUND | {"customer_id": 0}, SOUND | {"customer_id": 99999}])
    assert found == ["", ""]
    assert clean["customer_id"].dtype == np.int64


def test_placeholders_are_the_callers_choice() -> None:
    assert reasons("customer_id", ["99999", "guest"], placeholder_ids=(99999,)) == ["placeholder_customer", ""]
    assert reasons("customer_id", ["99999", "guest"], placeholder_ids=None) == ["", ""]
    for dtype in ("int64", "int32", "Int64", "float64", object):
        log = pd.DataFrame(
            {"customer_id": pd.Series([-1, 5, 99999], dtype=dtype), "timestamp": "2024-05-01", "amount": 1}
        )
        validator = TransactionValidator(as_of=AS_OF, placeholder_ids=[99999, -1]).fit(log)
        assert validator.transform(log)["customer_id"].tolist() == [5]
        assert validator.report_.counts["placeholder_customer"] == 2


def test_ids_that_differ_only_by_type_are_never_merged() -> None:
    clean, found, _ = validate([SOUND | {"customer_id": value} for value in (1, "1", 1.0, 2)], duplicates="flag")
    assert found == ["", "mixed_id_types", "", ""]
    assert clean["customer_id"].tolist() == [1, 1, 2]
    assert validate([SOUND | {"customer_id": 3}, SOUND | {"customer_id": "3"}, SOUND | {"customer_id": 4}])[1][1:] == [
        "mixed_id_types",
        "",
    ]


@pytest.mark.filterwarnings("ignore:All 2 rows are quarantined")
def test_without_a_majority_nobody_can_tell_which_type_or_zone_is_right() -> None:
    assert reasons("customer_id", [1, "1"]) == ["mixed_id_types"] * 2
    assert reasons("timestamp", ["2024-05-01T10:00Z", "2024-05-01T10:00+02:00"]) == ["mixed_time_zones"] * 2


def test_a_mixed_type_far_down_the_column_is_found() -> None:
    assert reasons("customer_id", ["a"] * 200 + [1])[-1] == "mixed_id_types"


def test_whole_float_ids_become_integers_and_others_stay() -> None:
    log = pd.DataFrame({"customer_id": [17850.0, np.nan, 3.0, np.inf], "timestamp": "2024-05-01", "amount": 1.0})
    validator = TransactionValidator(as_of=AS_OF).fit(log)
    clean = validator.transform(log)
    assert clean["customer_id"].tolist() == [17850, 3]
    assert clean["customer_id"].dtype == np.int64
    assert validator.quarantine_["reasons"].tolist() == ["missing_customer_id", "invalid_customer_id"]
    log["customer_id"] = [0.5, 0.25, 1.0, 1e300]
    assert TransactionValidator(as_of=AS_OF).fit_transform(log)["customer_id"].tolist() == [0.5, 0.25, 1.0, 1e300]


AMOUNTS = [
    ("10.05", 10.05), (" -3 ", -3.0), ("+.5", 0.5), ("1e3", 1000.0), ("5.", 5.0), ("1,234.50", 1234.5),
    ("1.234,50", 1234.5), ("-1,234,567.8", -1234567.8), (Decimal("0.1"), 0.1), (np.float32(0.5), 0.5), (7, 7.0),
    ("10.0", 10.0),
]  # fmt: skip


def test_amounts_are_read_from_text_and_objects() -> None:
    clean, found, _ = validate([SOUND | {"amount": value, "order_id": row} for row, (value, _) in enumerate(AMOUNTS)])
    assert found == [""] * len(AMOUNTS)
    assert clean["amount"].tolist() == [number for _, number in AMOUNTS]


def test_as_of_and_earliest_are_included() -> None:
    stamps = ["2024-06-30T23:59:59.999999", "2024-07-01", "2000-01-01", "1999-12-31T23:59:59"]
    expected = ["", "future_timestamp", "", "implausible_timestamp"]
    for as_of in (
        "2024-06-30",
        date(2024, 6, 30),
        datetime(2024, 6, 30),
        pd.Timestamp("2024-06-30"),
        np.datetime64("2024-06-30"),
    ):
        assert reasons("timestamp", stamps, as_of=as_of, earliest="2000-01-01") == expected
    assert reasons("timestamp", ["2024-06-30T10:00", "2024-06-30T10:00:01"], as_of="2024-06-30T10:00") == [
        "",
        "future_timestamp",
    ]


def test_the_future_starts_after_now_by_default() -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    assert reasons("timestamp", [now, now + timedelta(days=2)], as_of=None) == ["", "future_timestamp"]


def test_zone_names_of_the_same_clock_are_one_zone() -> None:
    utc = [datetime(2024, 5, 1, tzinfo=zone) for zone in (UTC, ZoneInfo("UTC"), timezone(timedelta(0)))]
    assert (
        reasons("timestamp", [*utc, "2024-05-01T00:00Z", "2024-05-01 00:00 +0000", "2024-05-01 00:00 UTC"]) == [""] * 6
    )


def test_the_rules_are_listed_with_what_to_do() -> None:
    rules = TransactionValidator.rules()
    assert all(isinstance(rule, ValidationRule) for rule in rules)
    assert [rule.bit for rule in rules] == [1 << place for place in range(len(rules))]
    assert len({rule.name for rule in rules}) == len(rules)
    assert {rule.name for rule in rules if rule.severity == "flag"} == {"return"}
    assert all(rule.message and rule.remedy.endswith(".") for rule in rules)
    tested = {rule for rule, _ in [*BREAKERS, *WARNINGS]} | {"duplicate", "return"}
    assert {rule.name for rule in rules} == tested


def test_objects_of_polars_are_read_too() -> None:
    log = pl.DataFrame(
        {
            "customer_id": pl.Series([1, "1", 2, [3]], dtype=pl.Object),
            "timestamp": pl.Series([date(2024, 5, 1), "2024-05-02", datetime(2024, 5, 3), None], dtype=pl.Object),
            "amount": pl.Series([1, "2", Decimal(3), {}], dtype=pl.Object),
        }
    )
    validator = TransactionValidator(as_of=AS_OF).fit(log)
    clean = validator.transform(log)
    assert clean["customer_id"].to_list() == [1, 2]
    assert clean["timestamp"].dtype == pl.Datetime("us")
    assert validator.quarantine_["reasons"].to_list() == [
        "mixed_id_types",
        "invalid_customer_id;missing_timestamp;unparsable_amount",
    ]
