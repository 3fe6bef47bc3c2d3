"""Why a customer is in a segment: every promise is kept when it is applied, and none is nearer."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from tests.strategies import customer_tables

from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.rfm import RFMScorer, RFMSegmenter, RuleTable, SegmentExplanation

SCORES = ["r_score", "f_score", "m_score"]
NAMES = ["inactivity", "frequency", "monetary_value"]
ENDS = pd.DataFrame(
    {"customer_id": [-1, -2], "inactivity": [1e4, 0.0], "frequency": [0, 99], "monetary_value": [0.0, 9e4]}
)


def reachable(scorer: RFMScorer, table: pd.DataFrame) -> dict[tuple[int, ...], pd.DataFrame]:
    """Score triples of a fine net of values around every cut, which has a point in every cell that is not empty."""
    points = []
    for name, column in zip(SCORES, NAMES, strict=True):
        cuts = np.unique(scorer.cut_points_[name])
        whole = (table[column] == table[column].round()).all()
        near = np.concatenate([cuts - 1, cuts, cuts + 1] if whole else [cuts - 1e-6, cuts, cuts + 1e-6, [1e9]])
        points.append(np.unique(np.maximum(near, 0.0)))
    net = pd.DataFrame(list(itertools.product(*points)), columns=NAMES)
    return dict(list(scorer.transform(net).groupby(SCORES)))


@settings(max_examples=12)
@given(
    table=customer_tables(max_rows=12),
    method=st.sampled_from(["quantile", "nested"]),
    apart=st.booleans(),
    rules=st.sampled_from(["eleven-segments", "ten-segments"]),
)
def test_promises_are_kept_and_none_is_nearer(table: pd.DataFrame, method: str, apart: bool, rules: str) -> None:
    table = pd.concat([table, ENDS], ignore_index=True)
    scorer = RFMScorer(method=method, zero_apart=("f_score",) if apart else ()).fit(table)
    segmenter = RFMSegmenter(rules=rules, on_unreachable="ignore").fit(scorer.transform(table))
    used, rule_table = list(segmenter.scores_), RuleTable.from_preset(rules)
    customer = table["customer_id"].iloc[0]
    explained = segmenter.explain(customer, table, scorer=scorer)
    row = table.iloc[[0]]
    scored = scorer.transform(row)
    assert explained.scores == {name: int(scored[name].iloc[0]) for name in used}
    assert explained.segment == segmenter.transform(scored)["segment"].iloc[0]
    for move in explained.moves:
        changed = row.copy()
        for change in move.changes:
            assert change.value == row[change.column].iloc[0] or abs(change.value - row[change.column].iloc[0]) < 1e-9
            changed[change.column] = change.to
        there = scorer.transform(changed)
        assert segmenter.transform(there)["segment"].iloc[0] == move.segment
        assert {name: int(there[name].iloc[0]) for name in used} == move.scores
        assert move.steps == sum(abs(move.scores[name] - explained.scores[name]) for name in used)
    assert [move.steps for move in explained.moves] == sorted(move.steps for move in explained.moves)
    # Against every cell that any values can reach:
    nearest: dict[str, int] = {}
    for cell in reachable(scorer, table) if rules == "eleven-segments" else []:
        segment = rule_table.lookup(*map(int, cell))
        steps = sum(abs(int(to) - explained.scores[name]) for name, to in zip(SCORES, cell, strict=True))
        nearest[segment] = min(steps, nearest.get(segment, 99))
    promised = {move.segment: move.steps for move in explained.moves}
    for segment, steps in nearest.items():
        if segment != explained.segment:
            assert promised[segment] <= steps
    for after, segment in explained.silence:
        later = row.assign(inactivity=row["inactivity"] + after)
        assert segmenter.transform(scorer.transform(later))["segment"].iloc[0] == segment
    before = [explained.segment, *(segment for _, segment in explained.silence)]
    for (after, _), segment in zip(explained.silence, before[:-1], strict=True):
        if after > 1e-6:
            just = row.assign(inactivity=row["inactivity"] + after - 1e-7)
            assert segmenter.transform(scorer.transform(just))["segment"].iloc[0] == segment


@pytest.mark.parametrize("cell", list(itertools.product((1, 3, 5), repeat=3)))
def test_moves_by_scores_alone_against_all_cells(cell: tuple[int, int, int]) -> None:
    table = pd.DataFrame([{"customer_id": "x", **dict(zip(SCORES, cell, strict=True))}])
    rules = RuleTable.from_preset("eleven-segments")
    explained = RFMSegmenter(rules=rules).fit(table).explain("x", table)
    nearest: dict[str, int] = {}
    for other in itertools.product(range(1, 6), repeat=3):
        steps = sum(abs(a - b) for a, b in zip(other, cell, strict=True))
        segment = rules.lookup(*other)
        nearest[segment] = min(steps, nearest.get(segment, 99))
    assert explained.segment == rules.lookup(*cell)
    assert nearest.pop(explained.segment) == 0
    assert {move.segment: move.steps for move in explained.moves} == nearest
    for move in explained.moves:
        assert rules.lookup(*move.scores.values()) == move.segment


def shop() -> tuple[pd.DataFrame, RFMScorer, RFMSegmenter]:
    table = pd.DataFrame(
        {"customer_id": [7, 8, 9, 10], "inactivity": [2.0, 9.5, 20.0, 30.0], "frequency": [1, 6, 2, 0],
         "monetary_value": [20.5, 25.0, 60.0, 0.0]}
    )  # fmt: skip
    scorer = RFMScorer(n_bins=2).fit(table)
    rules = {"best": "222", "fresh": ["221", "21*"], "sleeping": "1[1-2]*"}
    return table, scorer, RFMSegmenter(rules=rules).fit(scorer.transform(table))


def test_words_and_plain_data(to_frame: Any) -> None:
    table, scorer, segmenter = shop()
    explained = segmenter.explain(7, to_frame(table), scorer=scorer)
    assert isinstance(explained, SegmentExplanation)
    assert str(explained).splitlines() == [
        "Customer 7 is in 'fresh': the rule 21* fits r_score 2, f_score 1, m_score 1.",
        "  r_score 2 of 2: inactivity 2 is less than 20",
        "  f_score 1 of 2: frequency 1 is at most 1",
        "  m_score 1 of 2: monetary_value 20.5 is at most 20.5",
        "The smallest change that leads to each other segment:",
        "  sleeping  1 step   inactivity from 2 to 20 (18 more)",
        "  best      2 steps  frequency from 1 to 2 (1 more); monetary_value from 20.5 to more than 20.5",
        "Without a purchase: in 18 to 'sleeping'.",
    ]
    content = json.loads(json.dumps(explained.to_dict(), default=float))
    assert content["moves"][1]["changes"][0] == {
        "column": "frequency", "value": 1.0, "to": 2.0, "bound": None, "falling": False
    }  # fmt: skip
    assert content["silence"] == [{"after": 18.0, "segment": "sleeping"}]
    assert explained._repr_html_().startswith("<pre>Customer 7")
    by_week = segmenter.explain(7, table, scorer=scorer, time_unit="W")
    assert "Without a purchase: in 18 weeks to 'sleeping'." in str(by_week)
    with pytest.raises(ValueError, match=r"The 'time_unit' parameter of RFMSegmenter.explain must be a str among"):
        segmenter.explain(7, table, scorer=scorer, time_unit="weeks")
    sleeper = segmenter.explain(10, table, scorer=scorer)
    assert "inactivity from 30 to less than 20 (by a purchase)" in str(sleeper)
    assert sleeper.silence == ()
    by_scores = segmenter.explain(7, scorer.transform(table))
    assert "r_score from 2 to 1" in str(by_scores)
    assert by_scores.values == {}


def test_any_change_from_0_is_a_whole_one() -> None:
    """Money of just more than 0 is the nearest value with m_score 2, and as far from 0 as 51: the days decide."""
    table = pd.DataFrame(
        {
            "customer_id": [1, 2, 3],
            "inactivity": [10.0, 20.0, 40.0],
            "frequency": [1, 2, 3],
            "monetary_value": [0.0, 20.5, 51.0],
        }
    )
    scorer = RFMScorer(cut_points={"r_score": [20, 40], "f_score": [1], "m_score": [0, 50]}).fit(table)
    rules = RuleTable(
        {"here": "**1", "there": ["1*2", "2*3"], "elsewhere": ["[2-3]*2", "1*3", "3*3"]}, n_bins=(3, 2, 3)
    )
    segmenter = RFMSegmenter(rules=rules, on_unreachable="ignore").fit(scorer.transform(table))
    move = next(each for each in segmenter.explain(1, table, scorer=scorer).moves if each.segment == "there")
    assert move.steps == 3
    assert (move.scores["r_score"], move.scores["m_score"]) == (2, 3)


def test_refusals() -> None:
    table, scorer, segmenter = shop()
    with pytest.raises(KeyError, match=r"There is no customer '7' among the 4 of the table .ids: 7, 8, 9"):
        segmenter.explain("7", table, scorer=scorer)
    with pytest.raises(ValueError, match=r"The 'scorer' parameter of RFMSegmenter.explain must be an instance of"):
        segmenter.explain(7, table, scorer="quantile")
    with pytest.raises(NotFittedError):
        segmenter.explain(7, table, scorer=RFMScorer())
    gaps = table.assign(customer_id=pd.array([7, None, 9, 10], "Int64"))
    assert segmenter.explain(9, gaps, scorer=scorer).customer == 9
    with pytest.raises(InvalidDataError, match="Customer 7 has 2 rows"):
        segmenter.explain(7, pd.concat([table, table]), scorer=scorer)
    with pytest.raises(MissingColumnError, match=r"RFMSegmenter.explain needs the columns \['customer_id'\]"):
        segmenter.explain(7, table.drop(columns="customer_id"), scorer=scorer)
    with pytest.raises(MissingColumnError, match="Make the scores with RFMScorer"):
        segmenter.explain(7, table)
    with pytest.raises(InvalidDataError, match=r"The table has r_score 1 where the scorer gives 2: .*another scorer"):
        segmenter.explain(7, scorer.transform(table).assign(r_score=1), scorer=scorer)
    with pytest.raises(InvalidDataError, match=r"The rules are for scores up to .*and the scorer gives"):
        segmenter.explain(7, table, scorer=RFMScorer(n_bins=3).fit(table))
