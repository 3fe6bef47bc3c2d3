"""Scores, scores over time and rules broken together, against counting in plain Python."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custanalytics.validation import TransactionValidator, ValidationReport

AS_OF = "2024-12-31"
WEIGHTS = {"error": 1.0, "warning": 0.5, "flag": 0.0}
RULES = {rule.name: rule.severity for rule in TransactionValidator.rules()}
IDS, AMOUNTS = ["ann", " ann", "guest", ""], [1.0, -1.0, float("nan"), 1e300]
DAYS = [None, "1969-01-01", "2023-12-31", "2024-01-01", "2024-02-29", "2024-03-04", "2026-01-01"]
ROWS = st.lists(
    st.tuples(st.sampled_from(IDS), st.sampled_from(DAYS), st.sampled_from(AMOUNTS), st.sampled_from([1, -1])),
    max_size=25,
)


def broken_by(rows: list[Any]) -> list[set[str]]:
    """The rules that each row breaks."""
    found = []
    for who, day, amount, quantity in rows:
        broken = {" ann": {"untidy_customer_id"}, "guest": {"placeholder_customer"}, "": {"blank_customer_id"}}.get(
            who, set()
        )
        broken |= {"missing_timestamp"} if day is None else set()
        broken |= {"implausible_timestamp"} if day == "1969-01-01" else set()
        broken |= {"future_timestamp"} if day == "2026-01-01" else set()
        broken |= {"missing_amount"} if amount != amount else {"huge_amount"} if amount > 1e15 else set()
        broken |= {"sign_mismatch"} if amount * quantity < 0 else set()
        aside = any(RULES[name] == "error" for name in broken)
        broken |= {"return"} if not aside and (amount < 0 or quantity < 0) else set()
        found.append(broken)
    return found


def start(day: str | None, period: str) -> date | None:
    """The first day of a period; None where the time is no use."""
    if day is None or not "1970-01-02" <= day <= AS_OF:
        return None
    when = date.fromisoformat(day)
    if period == "W":
        return when - timedelta(days=when.weekday())
    month = {"D": when.month, "M": when.month, "Q": 3 * ((when.month - 1) // 3) + 1, "Y": 1}[period]
    return when if period == "D" else date(when.year, month, 1)


@pytest.mark.filterwarnings("ignore:All [0-9,]+ rows are quarantined")
@given(rows=ROWS, period=st.sampled_from("DWMQY"), mode=st.sampled_from(["quarantine", "repair"]))
def test_scores_are_those_of_counting(rows: list[Any], period: str, mode: str) -> None:
    log = pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount", "quantity"]).assign(line=range(len(rows)))
    log = log.astype({"customer_id": "str", "timestamp": "datetime64[us]", "amount": float, "quantity": "int64"})
    validator = TransactionValidator(as_of=AS_OF, on_error=mode).fit(log)
    validator.transform(log)
    report, broken = validator.report_, broken_by(rows)

    def score(of: list[set[str]]) -> float:
        return 1 - sum(max((WEIGHTS[RULES[name]] for name in names), default=0) for names in of) / max(len(of), 1)

    assert report.counts == {name: sum(name in names for names in broken) for name in RULES}
    assert report.score == pytest.approx(score(broken), abs=1e-12)
    judged = [name for name in RULES if RULES[name] != "flag"]
    assert report.scores == pytest.approx({n: 1 - sum(n in b for b in broken) / max(len(rows), 1) for n in judged})

    matrix = report.cooccurrence()
    assert matrix["rule"].tolist() == list(RULES)
    for one in RULES:
        assert matrix[one].tolist() == [sum(one in b and other in b for b in broken) for other in RULES]

    times = report.quality_over_time(period)
    groups: dict[date | None, list[set[str]]] = {}
    for row, names in zip(rows, broken, strict=True):
        groups.setdefault(start(row[1], period), []).append(names)
    order = sorted(each for each in groups if each is not None) + ([None] if None in groups else [])
    assert [None if pd.isna(each) else each.date() for each in times["period"]] == order
    assert times["rows"].tolist() == [len(groups[each]) for each in order]
    assert times["score"].tolist() == pytest.approx([score(groups[each]) for each in order])
    for name in judged:
        assert times[name].tolist() == pytest.approx(
            [1 - sum(name in b for b in groups[each]) / len(groups[each]) for each in order]
        )


def test_frames_of_the_report_are_of_the_kind_that_came_in(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    log = to_frame(pd.DataFrame({"customer_id": ["a", " b"], "timestamp": [datetime(2024, 5, 1)] * 2, "amount": 1.0}))
    validator = TransactionValidator(as_of=AS_OF, on_error="repair").fit(log)
    validator.transform(log)
    report = validator.report_
    assert {type(report.cooccurrence()), type(report.quality_over_time()), type(report.repairs)} == {type(log)}
    times = nw.from_native(report.quality_over_time(), eager_only=True)
    assert times["period"].to_list() == [datetime(2024, 5, 1)]
    assert times["score"].to_list() == [0.75]
    assert report.to_dict()["repaired"] == {"untidy_customer_id": 1}
    json.dumps(report.to_dict())
    again = pickle.loads(pickle.dumps(report))
    assert again == report
    assert nw.from_native(again.quality_over_time("W"), eager_only=True)["rows"].to_list() == [2]


def test_periods_are_checked_and_a_report_made_by_hand_has_no_history() -> None:
    log = pd.DataFrame({"customer_id": [1], "timestamp": ["2024-05-01"], "amount": [1.0]})
    report = TransactionValidator().fit(log)
    report.transform(log)
    with pytest.raises(ValueError, match="The 'period' parameter of quality_over_time must be a str among"):
        report.report_.quality_over_time("month")
    with pytest.raises(ValueError, match="it has no history to divide"):
        ValidationReport(1, 1, 0, {}).quality_over_time()


def test_a_score_just_short_of_all_is_not_shown_as_all() -> None:
    log = pd.DataFrame({"customer_id": 1, "timestamp": pd.Timestamp("2024-05-01"), "amount": np.arange(100_000.0)})
    log.loc[5, "amount"] = np.nan
    validator = TransactionValidator(as_of=AS_OF).fit(log)
    validator.transform(log)
    assert str(validator.report_).splitlines()[1] == "quality score 99.99 %"
