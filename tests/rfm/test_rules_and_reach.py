"""Rules from text, mappings and TOML and back, and segments that ties put out of reach."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custanalytics import Customer360
from custanalytics.datasets import load_cdnow
from custanalytics.exceptions import DataQualityWarning, InvalidDataError, RuleTableError
from custanalytics.rfm import RFMScorer, RFMSegmenter, RFMSummary, RuleTable

PRESETS = ("eleven-segments", "ten-segments", "value-usage")
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "rfm_segments.json").read_text())
SCORES = ["r_score", "f_score", "m_score"]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_the_golden_tables_and_come_back_from_every_form(name: str, tmp_path: Path) -> None:
    table = RuleTable.from_preset(name)
    cells = {code: segment for segment, codes in table for code in codes}
    golden = GOLDEN[name]["segments"]
    assert cells == {code: segment for segment, codes in golden.items() for code in codes.split()}
    path = tmp_path / "rules.toml"
    path.write_text(table.to_toml(), encoding="utf-8")
    for again in (
        RuleTable.from_dict(json.loads(json.dumps(table.to_dict()))),
        RuleTable.from_toml(table.to_toml()),
        RuleTable.from_toml(path),
        RuleTable.from_toml(str(path)),
    ):
        assert again == table
        assert (again.source, again.codes, again.scores) == (table.source, table.codes, table.scores)
    assert RFMSegmenter(rules=path)._table() == table
    assert table.source in table.describe()
    assert all(segment in table.describe() for segment in table.segments)


@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), min_size=1, max_size=4, unique=True
    ),
    data=st.data(),
)
def test_any_names_and_any_grid_survive_toml(names: list[str], data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(2, 3), st.integers(2, 12)))
    cells = [f"[{r}][{f}]" for r in range(1, shape[0] + 1) for f in range(1, shape[1] + 1)]
    owners = data.draw(st.lists(st.sampled_from(names), min_size=len(cells), max_size=len(cells)))
    rules = {name: [cell for cell, owner in zip(cells, owners, strict=True) if owner == name] for name in set(owners)}
    table = RuleTable(rules, n_bins=shape, source=names[0])
    assert table.grid.shape == shape
    assert sum(table.counts.values()) == shape[0] * shape[1]
    assert RuleTable.from_toml(table.to_toml()) == table
    for cell in itertools.product(range(1, shape[0] + 1), range(1, shape[1] + 1)):
        assert f"[{cell[0]}][{cell[1]}]" in rules[table.lookup(*cell)]


def test_a_small_readable_table() -> None:
    text = """
    # what the shop calls its customers
    core: [4-5][3-5]
    new: the first month: [4-5][1-2]   # a name may have a colon

    lost: [1-3]*
    """
    table = RuleTable.from_text(text, source="The shop.")
    assert table.segments == ("core", "new: the first month", "lost")
    assert table.counts == {"core": 6, "new: the first month": 4, "lost": 15}
    for line, why in (("core", "write 'segment: code code ...'"), ("core: 11", "the segment is there twice")):
        with pytest.raises(RuleTableError, match=rf"Cannot read line 7 of the rules, '{line}': {why}"):
            RuleTable.from_text(text.rstrip() + f"\n{line}")


def test_codes_as_mappings_of_the_scores_that_matter() -> None:
    table = RuleTable(
        {"a": {"r": "4-5", "m": [1, 3, "5"]}, "b": {"r": "4-5", "m": "2,4"}, "c": [{"r": "1-3", "f": "*"}]}
    )
    assert (table.n_scores, table.n_bins) == (3, 5)
    assert table.lookup(5, 1, 3) == "a"
    assert table.lookup(4, 5, 4) == "b"
    two = RuleTable({"a": {"r_score": 2}, "b": {"r": 1, "f": 2}, "c": "11"}, n_bins=2)
    assert (two.n_scores, two.lookup(1, 2)) == (2, "b")
    own = RuleTable({"a": {"m": 2}, "b": {"m_score": 1, "f": "1-2"}}, scores=("m_score", "f_score"))
    assert (own.scores, own.lookup(1, 2)) == (("m_score", "f_score"), "b")
    frame = pd.DataFrame({"f_score": [1, 2], "m_score": [2, 1]})
    assert RFMSegmenter(rules=own).fit_transform(frame)["segment"].tolist() == ["a", "b"]
    assert RFMSegmenter(rules=own.to_dict()).fit_transform(frame)["segment"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"a": {"x": 5}}, r"Cannot read \{'x': 5\} of 'a': \['x'\] are none of the scores \['r_score', 'f_score'\]"),
        ({"a": {"r": 5, "r_score": 4}}, "'r_score': 4} of 'a': it names a score twice"),
        ({"a": {"r": "5-"}}, "Cannot read the scores '5-' of 'a': write 5, '4-5'"),
        ({"a": {"r": True}}, "Cannot read the scores True of 'a'"),
        ({"a": {"r": -1}}, "Cannot read the scores -1 of 'a'"),
        ({"a": {"r": "5-4"}}, r"The range \[5-4\] in the code .* of 'a' is empty"),
        ({"a": ["[1-2,5-4]*"]}, r"The range \[1-2,5-4\] in the code .* is empty"),
        ({1: "1*", "1": "2*"}, "Two segments have the same name"),
        ({"segments": {"a": "**"}, "bins": 5}, r"Rules have the keys .*; found \['bins'\] too"),
        ({"segments": {"a": "1*"}, "n_bins": [2, 3]}, r"missing: 3 of 6 cells \(21, 22, 23\)"),
    ],
)
def test_rules_that_mean_nothing_are_refused(rules: Any, message: str) -> None:
    with pytest.raises(RuleTableError, match=message):
        RuleTable.from_dict(rules)


def test_other_refusals() -> None:
    with pytest.raises(RuleTableError, match="The rules are no TOML: "):
        RuleTable.from_toml("[segments]\na = [\n")
    with pytest.raises(RuleTableError, match="The rules are no TOML: "):
        RuleTable.from_toml("[segments]\na = '1*'\na = '2*'\n")
    with pytest.raises(FileNotFoundError):
        RuleTable.from_toml("nowhere.toml")
    with pytest.raises(ValueError, match="The 'scores' parameter of RuleTable must be 2 or 3 column names"):
        RuleTable({"a": "**"}, n_bins=2, scores=("f_score",))
    with pytest.raises(ValueError, match="The 'n_bins' parameter of RuleTable must be one int or 2"):
        RuleTable({"a": "**"}, n_bins=(2, 2, 2))
    with pytest.raises(ValueError, match=r"The 'name' parameter of RFMScorer.from_preset must be a str among"):
        RFMScorer.from_preset("twelve")
    with pytest.raises(ValueError, match="The 'on_unreachable' parameter of RFMSegmenter must be a str among"):
        RFMSegmenter(on_unreachable="shout").fit(pd.DataFrame({name: [1] for name in SCORES}))


# Reach


def one_time_buyers(n: int = 1000) -> pd.DataFrame:
    """Nine in ten never came back."""
    frequency = np.where(np.arange(n) < 0.9 * n, 0, 1 + np.arange(n) % 7)
    spend = np.where(frequency > 0, 10.0 + np.arange(n) % 13, 0.0)
    return pd.DataFrame({"inactivity": np.arange(n) * 1.0, "frequency": frequency, "monetary_value": spend})


def test_segments_that_ties_put_out_of_reach_are_named_with_the_reason() -> None:
    scored = RFMScorer().fit_transform(one_time_buyers())
    assert set(scored["f_score"]) == {1, 5}
    with pytest.warns(DataQualityWarning, match="segments are out of reach on these 1,000 customers") as caught:
        segmenter = RFMSegmenter().fit(scored)
    assert caught[0].filename == __file__
    segments = set(segmenter.transform(scored)["segment"])
    assert segments.isdisjoint(segmenter.unreachable_)
    assert "nobody has f_score 2 or 3 or 4" in segmenter.unreachable_["Need Attention"]
    assert "f_score 1 always goes with m_score 1" in segmenter.unreachable_["Promising"]
    assert all(segment in str(caught[0].message) for segment in segmenter.unreachable_)
    with pytest.raises(InvalidDataError, match=r"Need Attention \(nobody has f_score"):
        RFMSegmenter(on_unreachable="raise").fit(scored)
    assert RFMSegmenter(on_unreachable="ignore").fit(scored).unreachable_ == segmenter.unreachable_
    with pytest.warns(DataQualityWarning, match=r"end at 4, where .* up to 5: .*Champions .*RFMScorer\(n_bins=5\)"):
        RFMSegmenter().fit(RFMScorer(n_bins=4).fit_transform(one_time_buyers()))


@pytest.mark.parametrize("rules", PRESETS)
def test_nobody_is_in_a_segment_out_of_reach_and_reasons_hold_for_all(rules: str) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        frequency = rng.poisson(0.6, 300)
        table = pd.DataFrame({"inactivity": rng.integers(0, 9, 300) * 1.0, "frequency": frequency})
        table["monetary_value"] = np.where(frequency > 0, rng.integers(1, 6, 300) * 5.0, 0.0)
        table["total_value"] = table["monetary_value"] * frequency + 5
        scored = RFMScorer.from_preset(rules).fit_transform(table)
        segmenter = RFMSegmenter(rules=rules, on_unreachable="ignore").fit(scored)
        assert segmenter.unreachable_.keys().isdisjoint(segmenter.transform(scored)["segment"])


def test_cdnow_and_its_remedy() -> None:
    table = RFMSummary(as_of="1997-09-30").fit_transform(load_cdnow())
    with pytest.warns(DataQualityWarning, match="2 of 11 segments are out of reach.*Promising.*About To Sleep"):
        RFMSegmenter().fit(RFMScorer().fit_transform(table))
    RFMSegmenter(rules="ten-segments").fit(RFMScorer().fit_transform(table))  # no money, no warning
    apart = RFMScorer(zero_apart=("f_score", "m_score")).fit_transform(table)
    assert [apart[name].nunique() for name in SCORES] == [5, 5, 5]


def test_few_customers_and_full_grids_say_nothing() -> None:
    few = pd.DataFrame({"r_score": [5] * 19, "f_score": [1] * 19, "m_score": [1] * 19})
    assert RFMSegmenter().fit(few).unreachable_ == {}
    full = pd.DataFrame(list(itertools.product(range(1, 6), repeat=3)), columns=SCORES)
    assert RFMSegmenter().fit(full).unreachable_ == {}


def test_customer360_says_so_in_its_report(tmp_path: Path) -> None:
    c360 = Customer360(churn=None, clusterer=None, value=None, offers=None).fit(load_cdnow())
    page = c360.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Out of reach, since values are tied: Promising (f_score 1 always goes with m_score 1" in page


@pytest.mark.parametrize("codes", [["[1-99999999999999]*"], ["[9999999999]1"], [{"r": "1-99999999999999"}]])
def test_a_score_beyond_all_is_refused_before_it_is_counted_to(codes: list[Any]) -> None:
    with pytest.raises(RuleTableError, match="of 'all' has a score beyond all: they end at 100"):
        RuleTable({"all": codes})
