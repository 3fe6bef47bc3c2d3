"""Rules of the caller's: functions and expressions, warnings and repairs, and clear words where they fail."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from custanalytics.exceptions import InvalidDataError
from custanalytics.validation import TransactionValidator, ValidationRule

AS_OF = "2024-12-31"
LOG = pd.DataFrame(
    {
        "customer_id": [1, 2, 3, 4],
        "timestamp": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-02-02", "2024-03-01"]),
        "amount": [10.0, 2e6, np.nan, 50.0],
        "channel": ["web", "web", "shop", None],
    },
    index=[7, 7, 8, 9],
)


def in_a_shop(log: Any) -> Any:
    """The purchase was made in a shop.

    It has more than one line.
    """
    return nw.from_native(log)["channel"] == "shop"


def reasons(rules: Any, log: Any = LOG, **params: Any) -> tuple[dict[int, str], TransactionValidator]:
    validator = TransactionValidator(custom_rules=rules, as_of=AS_OF, **params).fit(log)
    validator.transform(log)
    aside = nw.from_native(validator.quarantine_, eager_only=True)
    return dict(zip(aside["row"].to_list(), aside["reasons"].to_list(), strict=True)), validator


def test_every_way_to_give_a_rule(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    log = to_frame(LOG)
    expected = {1: "absurd", 2: "missing_amount"}
    assert reasons({"absurd": nw.col("amount") > 1e6}, log)[0] == expected
    assert reasons([ValidationRule("absurd", nw.col("amount") > 1e6)], log)[0] == expected
    assert reasons(ValidationRule("absurd", lambda log: nw.from_native(log)["amount"] > 1e6), log)[0] == expected
    assert (
        reasons({"absurd": lambda log: np.asarray(nw.from_native(log)["amount"].to_numpy()) > 1e6}, log)[0] == expected
    )
    assert reasons({"absurd": lambda log: [False, True, None, False]}, log)[0] == expected
    assert reasons({"absurd": lambda log: nw.col("amount") > 1e6}, log)[0] == expected
    both = {1: "absurd", 2: "missing_amount;in_a_shop"}
    found, validator = reasons([ValidationRule("absurd", nw.col("amount") > 1e6), in_a_shop], log)
    assert found == both
    assert validator.report_.counts["in_a_shop"] == 1
    assert "  in_a_shop: The purchase was made in a shop." in str(validator.report_).splitlines()
    assert list(validator.report_.counts)[-2:] == ["absurd", "in_a_shop"]


def test_native_series_of_every_library() -> None:
    assert reasons({"absurd": lambda log: log["amount"] > 1e6})[0][1] == "absurd"
    assert reasons({"absurd": lambda log: log["amount"] > 1e6}, pl.from_pandas(LOG))[0][1] == "absurd"
    unknown = pd.array([False, True, None, None], dtype="boolean")
    for check in (lambda log: pd.Series(unknown, index=log.index), lambda log: unknown):
        assert reasons({"absurd": check})[0] == {1: "absurd", 2: "missing_amount"}
    table = pa.Table.from_pandas(LOG, preserve_index=False)
    assert reasons({"absurd": lambda log: pa.array([False, True, None, False])}, table)[0][1] == "absurd"


def test_rules_see_clean_values_under_standard_names() -> None:
    log = pd.DataFrame({"who": ["a", "b"], "timestamp": ["2024-05-01", "1 May 2024"], "amount": ["1,234.50", "3"]})
    rule = (nw.col("amount") > 1000) & (nw.col("timestamp").dt.month() == 5)
    assert reasons({"may": rule}, log, columns={"customer_id": "who"})[0] == {0: "may"}


def test_warnings_keep_the_row_and_raise_nothing() -> None:
    rule = ValidationRule("shop", in_a_shop, severity="warning", message="bought in a shop", remedy="Nothing to do.")
    found, validator = reasons([rule], LOG.fillna({"amount": 1.0}), on_error="raise")
    assert found == {}
    report = validator.report_
    assert (report.counts["shop"], report.rows_clean, report.score) == (1, 4, 0.875)
    assert "  shop: bought in a shop. Nothing to do." in str(report).splitlines()
    assert pickle.loads(pickle.dumps(report)) == report


def test_errors_are_raised_with_their_rows() -> None:
    message = r"2 of 4 rows break the rules .*\nmissing_amount: 1 \(rows 2\)\..*\nabsurd: 1 \(rows 1\)\. Ask the till\."
    rule = ValidationRule("absurd", nw.col("amount") > 1e6, remedy="Ask the till.")
    with pytest.raises(InvalidDataError, match=message):
        reasons([rule], on_error="raise")


def test_a_row_that_breaks_a_rule_copies_nothing_and_is_copied_by_none() -> None:
    log = pd.concat([LOG.iloc[[0]]] * 3).assign(channel="web", timestamp=pd.Timestamp("2024-01-01T10:00"))
    assert reasons({}, log)[0] == {1: "duplicate", 2: "duplicate"}
    assert reasons({"first": lambda log: [True, False, False]}, log)[0] == {0: "first", 2: "duplicate"}


def test_repairs_of_the_callers(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    log = to_frame(LOG)
    absent = nw.col("channel").is_null()
    rules = [
        ValidationRule("cents", nw.col("amount") > 1e6, repair={"amount": nw.col("amount") / 100}),
        ValidationRule("no_channel", absent, severity="warning", repair={"channel": nw.lit("web")}),
    ]
    found, validator = reasons(rules, log, on_error="repair")
    assert found == {2: "missing_amount"}
    clean = validator.transform(log)
    assert nw.from_native(clean, eager_only=True)["amount"].to_list()[:2] == [10.0, 20000.0]
    report = validator.report_
    assert report.repaired["cents"] == report.repaired["no_channel"] == 1
    repairs = nw.from_native(report.repairs, eager_only=True)
    assert repairs.filter(nw.col("rule") == "cents").rows() == [(1, "amount", "cents", "2000000.0", "20000.0")]
    back = nw.from_native(validator.restore(clean), eager_only=True)
    assert back["amount"].to_list()[:2] == [10.0, 2e6]
    assert pd.isna(back["channel"].to_list()[-1])


def test_a_repair_that_does_not_help_sets_the_row_aside() -> None:
    rule = ValidationRule("absurd", nw.col("amount") > 1e6, repair={"amount": nw.col("amount") / 1.5})
    found, validator = reasons([rule], on_error="repair")
    assert found == {1: "absurd", 2: "missing_amount"}
    assert validator.report_.repaired == {}
    rule = ValidationRule("absurd", nw.col("amount") > 1e6, repair={"amount": nw.lit(float("inf"))})
    assert reasons([rule], on_error="repair")[0][1] == "non_finite_amount;absurd"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([lambda log: log], "must hold a ValidationRule, a named function, or a mapping .* name it: ValidationRule"),
        ([nw.col("amount") > 1], "must hold a ValidationRule, a named function"),
        ([ValidationRule("duplicate", in_a_shop)], "names a rule 'duplicate', which is taken: names are unique"),
        ([in_a_shop, in_a_shop], "names a rule 'in_a_shop', which is taken"),
        *(
            ({name: in_a_shop}, f"names a rule '{name}', which is taken")
            for name in ("rule", "period", "rows", "score")
        ),
        ([ValidationRule("x")], "the check of 'x' must be a function or a Narwhals expression, such as"),
        ([ValidationRule("x", in_a_shop, "fatal")], "the severity of 'x' must be 'error' or 'warning'. Got 'fatal'"),
        ([ValidationRule("x", in_a_shop, "flag")], "the severity of 'x' must be 'error' or 'warning'. Got 'flag'"),
        ([ValidationRule("a;b", in_a_shop)], "must name every rule with a text without ';'"),
        ([ValidationRule("x", in_a_shop, repair="trim")], "the repair of 'x' must map columns to functions"),
        ({f"r{at}": in_a_shop for at in range(32)}, "holds 32 rules; 31 is the most"),
        (7, "The 'custom_rules' parameter of TransactionValidator must be an instance of list"),
    ],
)
def test_rules_that_make_no_sense_are_refused_in_fit(rules: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransactionValidator(custom_rules=rules).fit(LOG)


def fails(log: Any) -> Any:
    raise KeyError("till")


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (
            fails,
            r"The check of the rule 'mine' failed with KeyError: 'till'\. It was given a pandas DataFrame of shape",
        ),
        (nw.col("till") > 1, "The check of the rule 'mine' failed with ColumnNotFoundError"),
        (lambda log: True, r"it gave bool of shape \(\), not one value a row"),
        (lambda log: log, r"it gave DataFrame of shape \(4, 4\), not one value a row"),
        (lambda log: [True], "must give one value a row; it gave 1 for 4 rows"),
        (nw.col("amount").max() > 1, "must give one value a row; it gave 1 for 4 rows"),
        (lambda log: log["amount"], "must give booleans, one a row; it gave Float64"),
        (lambda log: log["channel"] == log["amount"].loc[[7, 9]], "failed with ValueError"),
        (
            lambda log: log["amount"].sort_index(ascending=False) > 1,
            "came back under another index or in another order",
        ),
    ],
)
def test_rules_that_fail_say_which_and_on_what(check: Any, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message) as caught:
        reasons({"mine": check})
    assert "of shape (4, 4) with the columns ['customer_id', 'timestamp', 'amount', 'channel']" in str(caught.value)


def test_repairs_that_fail_say_so() -> None:
    for repair, message in (
        ({"till": nw.lit(1)}, "The repair of the rule 'mine' names the column 'till', which is not there"),
        ({"amount": lambda log: [1.0]}, "The repair of the rule 'mine' must give one value a row; it gave 1 for 4"),
        ({"amount": fails}, "The repair of the rule 'mine' failed with KeyError"),
    ):
        with pytest.raises(InvalidDataError, match=message):
            reasons([ValidationRule("mine", nw.col("amount") > 1e6, repair=repair)], on_error="repair")


def test_a_rule_cannot_change_the_log_of_the_caller() -> None:
    def meddles(log: Any) -> Any:
        log["amount"] = 0.0
        log.loc[:, "channel"] = "x"
        return log["amount"] > 1

    log = LOG.copy(deep=True)
    assert reasons({"meddles": meddles}, log)[0] == {2: "missing_amount"}
    pd.testing.assert_frame_equal(log, LOG)


def test_thirty_one_rules_have_a_bit_each() -> None:
    rules = {f"r{at}": (lambda log, at=at: log["customer_id"] == at % 4 + 1) for at in range(31)}
    _, validator = reasons([ValidationRule(name, check, severity="warning") for name, check in rules.items()])
    assert [validator.report_.counts[f"r{at}"] for at in range(31)] == [1] * 31


def test_an_empty_log_breaks_no_rule() -> None:
    assert reasons({"absurd": nw.col("amount") > 1e6, "shop": in_a_shop}, LOG.iloc[:0])[0] == {}
    assert reasons({"absurd": lambda log: []}, LOG.iloc[:0])[0] == {}


def test_a_rule_without_words_has_no_line_of_advice() -> None:
    _, validator = reasons({"large": nw.col("amount") > 20})
    assert validator.report_.counts["large"] == 2
    assert not [line for line in str(validator.report_).splitlines() if line.strip().startswith("large:")]
