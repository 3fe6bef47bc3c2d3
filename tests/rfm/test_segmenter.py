from __future__ import annotations

import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from tests.strategies import transaction_logs

from custanalytics.exceptions import InvalidDataError, MissingColumnError, RuleTableError
from custanalytics.rfm import RFMScorer, RFMSegmenter, RFMSummary, RuleTable

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "rfm_segments.json").read_text())
SCORES = ["r_score", "f_score", "m_score"]


def scored_grid(n_scores: int = 3, n_bins: int = 5) -> pd.DataFrame:
    cells = list(itertools.product(range(1, n_bins + 1), repeat=n_scores))
    return pd.DataFrame(cells, columns=SCORES[:n_scores])


# Rule tables


@pytest.mark.parametrize("name", ["eleven-segments", "ten-segments"])
def test_presets_are_the_published_tables_and_complete(name: str) -> None:
    table = RuleTable.from_preset(name)
    published = GOLDEN[name]["segments"]
    found = {code: segment for segment, codes in table for code in codes}
    expected = {code: segment for segment, codes in published.items() for code in codes.split()}
    assert found == expected
    assert len(found) == table.grid.size == GOLDEN[name]["cells"]
    assert table.segments == tuple(published)
    assert table.counts == {segment: len(codes.split()) for segment, codes in published.items()}
    assert table.source


@pytest.mark.parametrize("name", ["eleven-segments", "ten-segments"])
def test_every_cell_has_the_segment_that_lookup_gives(name: str) -> None:
    table = RuleTable.from_preset(name)
    grid = scored_grid(table.n_scores)
    segments = RFMSegmenter(rules=name).fit_transform(grid)["segment"]
    assert segments.tolist() == [table.lookup(*map(int, row)) for row in grid.to_numpy()]
    assert set(segments) == set(table.segments)


def test_missing_cells_are_named() -> None:
    damaged = {name: [code for code in codes if code not in ("231", "241", "251")]
               for name, codes in RuleTable.from_preset("eleven-segments")}  # fmt: skip
    with pytest.raises(RuleTableError, match=r"missing: 3 of 125 cells \(231, 241, 251\)\. Change"):
        RuleTable(damaged)


def test_many_faults_are_named_at_once_and_shortened() -> None:
    with pytest.raises(RuleTableError, match=r"missing: 20 of 25 cells \(11, 12, 13, 14, 15, …\)"):
        RuleTable({"best": "5*"})
    rules = {"best": "5*", "good": ["[3-4]*", "5[4-5]"], "never": ["51", "33"], "none": [], "rest": "[1-2][1-4]"}
    with pytest.raises(RuleTableError) as caught:
        RuleTable(rules)
    message = str(caught.value)
    assert "missing: 2 of 25 cells (15, 25)" in message
    assert "doubled: 4 of 25 cells (33: good, never; 51: best, never; 54: best, good; 55: best, good)" in message
    assert "dead: 2 of 5 segments (never, none)" in message


def test_the_overlapping_ranges_of_public_scripts_are_refused() -> None:
    ranges = {
        "Champions": "[4-5][4-5]", "Loyal": "[2-5][3-5]", "Potential": "[3-5][1-3]", "Recent": "[4-5]1",
        "Promising": "[3-4]1", "Need Attention": "[2-3][2-3]", "About To Sleep": "[2-3][1-2]",
        "At Risk": "[1-2][2-5]", "Can't Lose": "1[4-5]", "Hibernating": "[1-2][1-2]", "Lost": "[1-2][1-2]",
    }  # fmt: skip
    with pytest.raises(RuleTableError, match="doubled: 20 of 25 cells") as caught:
        RuleTable(ranges)
    assert "dead: 4 of 11 segments (Recent, Promising, Can't Lose, Lost)" in str(caught.value)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"a": ["421 412"]}, "Cannot read the code '421 412' of 'a'"),
        ({"a": ["5x"]}, "Cannot read the code '5x' of 'a'"),
        ({"a": [""]}, "Cannot read the code '' of 'a'"),
        ({"a": [55]}, "Cannot read the code 55 of 'a'"),
        ({"a": 55}, "Cannot read the code 55 of 'a'"),
        ({"a": None}, "Cannot read the code None of 'a'"),
        ({"a": ["[5-4]1"]}, r"The range \[5-4\] in the code '\[5-4\]1' of 'a' is empty"),
        ({"a": ["01", "**"]}, "The code '01' of 'a' lies outside the scores 1 to"),
        ({"a": ["**"], "b": ["111"]}, "A code of 'b' has 3 parts where 2 scores are needed"),
        ({}, "A rule table needs a mapping"),
        (["55"], "A rule table needs a mapping"),
    ],
)
def test_codes_that_mean_nothing_are_refused(rules: Any, message: str) -> None:
    with pytest.raises(RuleTableError, match=message):
        RuleTable(rules, n_bins=5)


def test_sizes_are_inferred_or_given() -> None:
    rules = {"high": "[3,4][1-4]", "low": "[1-2]*"}
    table = RuleTable(rules, source="ours")
    assert (table.n_bins, table.n_scores, len(table)) == (4, 2, 2)
    with pytest.raises(RuleTableError, match="missing: 7 of 25 cells"):
        RuleTable(rules, n_bins=5)
    with pytest.raises(RuleTableError, match="lies outside the scores 1 to 3"):
        RuleTable(rules, n_bins=3)
    with pytest.raises(RuleTableError, match="has 2 parts where 3 scores are needed"):
        RuleTable(rules, n_scores=3)
    with pytest.raises(ValueError, match="The 'n_scores' parameter of RuleTable must be an int in the range"):
        RuleTable({"a": "****"})
    with pytest.raises(ValueError, match="The 'n_bins' parameter of RuleTable must be an int in the range"):
        RuleTable({"a": "***"}, n_bins=1)
    for rules in ({"all": "**"}, {"all": ["1*"]}):
        with pytest.raises(RuleTableError, match="The rules name no score above 1: pass n_bins=5"):
            RuleTable(rules)
    wide = RuleTable({"top": "[10]*", "rest": "[1-9]*"})
    assert wide.lookup(10, 1) == "top"
    assert next(iter(wide))[1][0] == "[10][10]"


@given(st.lists(st.integers(0, 3), min_size=9, max_size=9))
def test_what_a_table_lists_makes_the_same_table(owners: list[int]) -> None:
    cells = [f"{r}{f}" for r in (1, 2, 3) for f in (1, 2, 3)]
    rules: dict[str, list[str]] = {}
    for owner, cell in zip(owners, cells, strict=True):
        rules.setdefault(f"segment {owner}", []).append(cell)
    table = RuleTable(rules)
    again = RuleTable(dict(table), n_bins=3)
    assert again == table
    assert hash(again) == hash(table)
    assert sum(table.counts.values()) == 9


def test_a_table_cannot_be_changed_and_compares_by_content() -> None:
    table = RuleTable({"a": "1*", "b": "2*"}, n_bins=2)
    with pytest.raises(ValueError, match="read-only"):
        table.grid[0, 0] = 1
    assert table != RuleTable({"b": "1*", "a": "2*"}, n_bins=2)
    assert table != "a"


def test_a_table_reads_well() -> None:
    table = RuleTable({"good": "2*", "bad": "1*"}, n_bins=2, source="Made up.")
    assert repr(table) == "RuleTable({'good': 2, 'bad': 2}, n_bins=2, n_scores=2)"
    assert str(table) == "2 segments, 4 cells, scores 1 to 2\nMade up.\ngood     2  22 21\nbad      2  12 11"


@pytest.mark.parametrize("scores", [(5, 5), (0, 1, 1), (6, 1, 1), (1.5, 1, 1)])
def test_lookup_outside_the_grid_is_refused(scores: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="lookup takes 3 scores from 1 to 5"):
        RuleTable.from_preset("eleven-segments").lookup(*scores)


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(ValueError, match=r"The 'name' parameter of RuleTable.from_preset must be a str among"):
        RuleTable.from_preset("twelve")
    with pytest.raises(ValueError, match=r"The 'rules' parameter of RFMSegmenter must be .*'ten-segments'"):
        RFMSegmenter(rules="twelve").fit(scored_grid())


# The segmenter


def test_every_frame_gets_a_column_of_text(to_frame: Any) -> None:
    table = scored_grid().assign(customer_id=np.arange(125))
    segmented = RFMSegmenter().fit_transform(to_frame(table))
    assert type(segmented) is type(to_frame(table))
    as_pandas = segmented if isinstance(segmented, pd.DataFrame) else segmented.to_pandas()
    assert as_pandas["segment"].tolist() == RFMSegmenter().fit_transform(table)["segment"].tolist()
    empty = RFMSegmenter().fit(table).transform(to_frame(table.iloc[:0]))
    kind = (
        (lambda t: t.schema.field("segment").type) if hasattr(empty, "column_names") else (lambda t: t["segment"].dtype)
    )
    assert kind(empty) == kind(segmented)


def test_own_rules_as_a_mapping_or_a_table() -> None:
    rules = {"core": ["[2-3]*"], "rest": ["1*"]}
    table = scored_grid(3, 3)
    one = RFMSegmenter(rules=rules).fit(table)
    other = RFMSegmenter(rules=RuleTable(rules)).fit(table)
    assert one.transform(table)["segment"].tolist() == other.transform(table)["segment"].tolist()
    assert one.segments_.tolist() == ["core", "rest"]
    assert one.grid_.shape == (3, 3)
    fm = RFMSegmenter(rules=rules, scores=("f_score", "m_score")).fit_transform(table)
    assert ((fm["segment"] == "core") == (fm["f_score"] > 1)).all()
    with pytest.raises(RuleTableError, match="missing"):
        RFMSegmenter(rules={"core": "3*"}).fit(table)
    assert clone(other).fit_transform(table).equals(other.transform(table))


@pytest.mark.parametrize("score", [0, 6, np.nan, 2.5])
def test_scores_outside_the_rules_are_refused_by_customer(score: float) -> None:
    table = scored_grid().assign(customer_id=np.arange(1000, 1125))
    segmenter = RFMSegmenter().fit(table)
    bad = table.astype({"f_score": float})
    bad.loc[[3, 4, 5, 6, 7, 8], "f_score"] = score
    message = (
        r"6 of 125 customers have a f_score that is no whole number from 1 to 5 \(first: 1003, 1004, 1005, 1006, 1007, "
        r"…\)\. The rules are for RFMScorer\(n_bins=5\)"
    )
    with pytest.raises(InvalidDataError, match=message):
        segmenter.transform(bad)
    with pytest.raises(InvalidDataError, match="6 of 125 rows have a f_score"):
        segmenter.transform(bad.drop(columns="customer_id"))


def test_missing_columns_and_state_are_named() -> None:
    with pytest.raises(MissingColumnError, match=r"RFMSegmenter needs the columns \['m_score'\].*RFMScorer"):
        RFMSegmenter().fit(scored_grid(2))
    with pytest.raises(ValueError, match="must name 3 columns for these rules"):
        RFMSegmenter(scores=("r_score", "f_score")).fit(scored_grid())
    with pytest.raises(NotFittedError):
        RFMSegmenter().transform(scored_grid())


def test_pickle_output_kinds_and_names() -> None:
    table = scored_grid()
    segmenter = RFMSegmenter().fit(table)
    expected = segmenter.transform(table)
    assert segmenter.get_feature_names_out().tolist() == [*SCORES, "segment"]
    assert clone(segmenter).fit(expected).get_feature_names_out().tolist() == [*SCORES, "segment"]
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(segmenter)).transform(table), expected)
    turned = segmenter.set_output(transform="polars").transform(table)
    assert isinstance(turned, pl.DataFrame)
    assert turned["segment"].to_list() == expected["segment"].tolist()


# From the log to the segment


def test_the_pipeline_on_every_frame_and_with_other_parameters(to_frame: Any) -> None:
    rng = np.random.default_rng(3)
    log = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 200, 1200),
            "timestamp": np.datetime64("2024-01-01", "us") + rng.integers(0, 300, 1200) * np.timedelta64(1, "D"),
            "amount": np.round(rng.gamma(2, 20, 1200), 2),
        }
    )
    pipeline = make_pipeline(RFMSummary(as_of="2024-09-30"), RFMScorer(), RFMSegmenter())
    expected = pipeline.fit_transform(log)
    assert set(expected["segment"]) <= set(RuleTable.from_preset("eleven-segments").segments)
    result = pipeline.fit_transform(to_frame(log))
    result = result if isinstance(result, pd.DataFrame) else result.to_pandas()
    pd.testing.assert_frame_equal(result, expected, check_exact=True)
    assert pipeline.get_feature_names_out().tolist() == expected.columns.tolist()
    pipeline.set_params(rfmscorer__n_bins=4)
    four = pipeline.set_params(rfmsegmenter__rules={"top": "[3-4]*", "rest": "[1-2]*"}).fit_transform(log)
    assert set(four["segment"]) == {"top", "rest"}


@settings(max_examples=15)
@given(log=transaction_logs(returns=False, min_rows=3), data=st.data())
def test_shuffling_the_log_changes_nobodys_segment(log: pd.DataFrame, data: st.DataObject) -> None:
    marks = pd.DataFrame({"customer_id": [77, 77, 78], "timestamp": ["2024-03-10", "2024-03-11", "2023-12-01"]})
    marks["timestamp"] = pd.to_datetime(marks["timestamp"]).astype("datetime64[us]")
    log = pd.concat([log, marks.assign(amount=1e5)], ignore_index=True)  # so that no column is constant
    pipeline = make_pipeline(RFMSummary(), RFMScorer(), RFMSegmenter())
    expected = pipeline.fit_transform(log)
    order = data.draw(st.permutations(range(len(log))))
    pd.testing.assert_frame_equal(pipeline.fit_transform(log.iloc[order]), expected, check_exact=True)
