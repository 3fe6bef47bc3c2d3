from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.strategies import customer_tables

from custanalytics.exceptions import DataQualityWarning, InvalidDataError, MissingColumnError
from custanalytics.rfm import Migration, RFMScorer, RFMSegmenter, RFMSummary, RuleTable, migration

CUTS = {"r_score": [60, 40, 20, 5], "f_score": [0, 1, 3, 6], "m_score": [5, 20, 50, 200]}
LATER = {"r_score": [50, 30, 10, 4], "f_score": [0, 2, 4, 6], "m_score": [5, 25, 60, 100]}
ELEVEN = RuleTable.from_preset("eleven-segments")
NAMES = ["segment_then", "segment_aged", "segment_before_thresholds", "segment_now"]


def fixed(table: pd.DataFrame, cuts: dict[str, list[float]] = CUTS) -> RFMScorer:
    fake = pd.DataFrame({"inactivity": [0.0, 99.0], "frequency": [0, 9], "monetary_value": [0.0, 999.0]})
    return RFMScorer(cut_points=cuts).fit(fake)


def segment_of(row: Any, cuts: dict[str, list[float]], older: float = 0.0) -> str:
    """By the definition, one customer at a time."""
    scores = (
        1 + sum(cut > round(row["inactivity"] + older, 9) for cut in cuts["r_score"]),
        1 + sum(cut < row["frequency"] for cut in cuts["f_score"]),
        1 + sum(cut < row["monetary_value"] for cut in cuts["m_score"]),
    )
    return ELEVEN.lookup(*map(int, scores))


@st.composite
def two_tables(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """A table, and one of later: some bought, some were silent, some are gone, some are new."""
    then, fresh = draw(customer_tables(max_rows=12)), draw(customer_tables(max_rows=4))
    older = draw(st.integers(0, 300)) / 7
    now = then.copy()
    now["T"] += older
    bought = np.array(draw(st.lists(st.booleans(), min_size=len(then), max_size=len(then))))
    now["inactivity"] = np.where(bought, older / 2, now["inactivity"] + older)
    now["frequency"] += bought
    now["monetary_value"] += 10.0 * bought
    now["total_value"] += 30.0 * bought
    gone = np.array(draw(st.lists(st.booleans(), min_size=len(then), max_size=len(then))))
    gone[0] = False  # nobody in both is a warning of its own
    fresh = fresh.assign(customer_id=fresh["customer_id"] + 1000)
    return then, pd.concat([now[~gone], fresh], ignore_index=True), older


@given(two_tables())
def test_paths_are_those_of_the_definition_and_everything_adds_up(tables: Any) -> None:
    then, now, older = tables
    moves = migration(then, now, scorer=fixed(then), now_scorer=fixed(now, LATER), elapsed=older)
    paths = moves.customers.set_index("customer_id")
    old, new = then.set_index("customer_id"), now.set_index("customer_id")
    for one, path in paths.iterrows():
        expected = [
            segment_of(old.loc[one], CUTS) if one in old.index else None,
            segment_of(old.loc[one], CUTS, older) if one in old.index and one in new.index else None,
            segment_of(new.loc[one], CUTS) if one in new.index else None,
            segment_of(new.loc[one], LATER) if one in new.index else None,
        ]
        assert [None if pd.isna(name) else name for name in path[NAMES]] == expected
        ended = "gone" if one not in new.index else "new" if one not in old.index else None
        assert path["status"] == (ended or ("stayed" if expected[0] == expected[3] else "moved"))
        for cause, (a, b) in zip(("ageing", "behaviour", "thresholds"), itertools.pairwise(expected), strict=True):
            assert path[f"by_{cause}"] == (a is not None and b is not None and a != b)
    check_sums(moves, then, now)


def check_sums(moves: Migration, then: pd.DataFrame, now: pd.DataFrame) -> None:
    sizes = moves.customers["segment_then"].value_counts()
    late = moves.customers["segment_now"].value_counts()
    for at, name in enumerate(moves.segments):
        assert moves.counts[at].sum() == sizes.get(name, 0)  # rows sum to the earlier sizes
        assert moves.counts[:, at].sum() == late.get(name, 0)
    assert moves.counts[:-1].sum() == len(then)
    assert moves.counts[:, :-1].sum() == len(now)
    table = moves.decomposition
    parts = list(moves.components)
    assert (table["then"] + table[parts].sum(axis=1) == table["now"]).all()
    assert moves.values_then.sum() == pytest.approx(then["total_value"].sum())
    assert moves.values_now.sum() == pytest.approx(now["total_value"].sum())
    values = table["value_then"] + table[[f"value_{part}" for part in parts]].sum(axis=1)
    np.testing.assert_allclose(values, table["value_now"], rtol=1e-12, atol=1e-6)
    flows = moves.flows
    assert flows["n_customers"].sum() == len(moves.customers)
    assert flows["value_then"].sum() == pytest.approx(then["total_value"].sum())


@settings(max_examples=15)
@given(two_tables(), st.randoms(use_true_random=False), st.sampled_from([0.01, 7.0, 1e4]))
def test_order_names_currency_and_unit_change_nothing(tables: Any, random: Any, factor: float) -> None:
    then, now, older = tables
    scorer, other = RFMScorer(n_bins=5), {"frequency": [0], "monetary_value": [0.0], "total_value": [0.0]}
    low = {"customer_id": [-1], "inactivity": [1e4], "T": [1e4], "recency": [0.0], **other}
    then, now = (pd.concat([side, pd.DataFrame(low)], ignore_index=True) for side in (then, now))
    high = {"customer_id": [-2], "inactivity": [0.0], "T": [1e4], "recency": [1e4]}
    high |= {"frequency": [99], "monetary_value": [9e4], "total_value": [9e4]}
    then, now = (pd.concat([side, pd.DataFrame(high)], ignore_index=True) for side in (then, now))
    moves = migration(then, now, scorer=scorer, elapsed=older)
    check_sums(moves, then, now)

    def changed(side: pd.DataFrame) -> pd.DataFrame:
        order = list(range(len(side)))
        random.shuffle(order)
        money = side[["monetary_value", "total_value"]] * factor
        days = side[["inactivity", "T", "recency"]] * 7
        return side.assign(**money, **days, customer_id=side["customer_id"].map(lambda one: f"c{one}")).iloc[order]

    again = migration(changed(then), changed(now), scorer=scorer, elapsed=older * 7)
    assert again.counts.tolist() == moves.counts.tolist()
    assert {k: v.tolist() for k, v in again.components.items()} == {k: v.tolist() for k, v in moves.components.items()}


def small() -> tuple[pd.DataFrame, pd.DataFrame]:
    then = pd.DataFrame(
        {"customer_id": [1, 2, 3, 4], "inactivity": [1.0, 2.0, 3.0, 9.0], "T": [10.0, 20.0, 30.0, 40.0],
         "frequency": [5, 3, 2, 0], "monetary_value": [50.0, 40.0, 30.0, 0.0], "total_value": [300.0, 160, 90, 7]}
    )  # fmt: skip
    now = then.assign(T=then["T"] + 4, inactivity=then["inactivity"] + 4)
    return then, now


def test_time_alone_is_all_ageing_and_a_refit_turns_it_into_thresholds() -> None:
    then, now = small()
    rules = RFMSegmenter(rules={"hot": "2*", "cold": "1*"})
    frozen = migration(then, now, scorer=RFMScorer(n_bins=2).fit(then), segmenter=rules)
    assert frozen.elapsed == 4
    assert frozen.components["ageing"].tolist() == [-2, 2]
    assert not frozen.components["behaviour"].any()
    assert not frozen.components["thresholds"].any()
    refitted = migration(then, now, scorer=RFMScorer(n_bins=2), segmenter=rules)
    assert refitted.components["ageing"].tolist() == [-2, 2]
    assert refitted.components["thresholds"].tolist() == [2, -2]
    assert (refitted.customers["status"] == "stayed").all()  # nobody moved, for two reasons that cancel
    assert refitted.customers["by_ageing"].sum() == refitted.customers["by_thresholds"].sum() == 2


def test_a_purchase_holds_a_customer_who_would_have_slipped() -> None:
    then, now = small()
    now.loc[0, ["inactivity", "frequency"]] = [0.0, 6]
    moves = migration(
        then, now, scorer=RFMScorer(n_bins=2).fit(then), segmenter=RFMSegmenter(rules={"hot": "2*", "cold": "1*"})
    )
    first = moves.customers.iloc[0]
    assert (first["status"], first["by_ageing"], first["by_behaviour"]) == ("stayed", True, True)
    assert moves.components["behaviour"].tolist() == [1, -1]


def test_any_kind_of_frame(to_frame: Any) -> None:
    then, now = small()
    expected = migration(then, now)
    moves = migration(to_frame(then), to_frame(now))
    assert moves.to_dict() == expected.to_dict()
    for name in ("matrix", "flows", "decomposition", "customers"):
        assert type(getattr(moves, name)) is type(to_frame(then))
    mixed = migration(then, to_frame(now))
    assert mixed.counts.tolist() == expected.counts.tolist()


def test_other_rules_now_and_segments_of_one_side() -> None:
    then, now = small()
    scorer = RFMScorer(n_bins=2).fit(then)
    old, new = RFMSegmenter(rules={"hot": "2*", "cold": "1*"}), RFMSegmenter(rules={"hot": "2*", "icy": "1*"})
    moves = migration(then, now, scorer=scorer, segmenter=old, now_segmenter=new)
    assert moves.segments == ("hot", "cold", "icy")
    assert moves.matrix.columns.tolist() == ["segment", "hot", "cold", "icy", "(gone)"]
    assert moves.components["thresholds"].tolist() == [0, -4, 4]
    assert moves.matrix["icy"].tolist() == [2, 2, 0, 0]


def test_segments_of_a_column_and_nobody() -> None:
    then, now = small()
    tiers = [side.assign(tier=tier) for side, tier in ((then, ["a", "a", "b", None]), (now, ["a", "b", "b", "b"]))]
    moves = migration(*tiers, by="tier")
    assert moves.segments == ("(none)", "a", "b")
    assert list(moves.components) == ["gone", "moved", "new"]
    assert moves.customers.columns.tolist() == ["customer_id", "status", "segment_then", "segment_now"]
    assert moves.counts[:3, :3].tolist() == [[0, 0, 1], [0, 1, 1], [0, 0, 1]]
    nobody = migration(tiers[0].iloc[:0], tiers[1], by="tier")
    assert nobody.counts[-1].tolist() == [1, 3, 0]
    everybody_gone = migration(tiers[0], tiers[1].iloc[:0], by="tier", value=None)
    assert everybody_gone.counts[:, -1].tolist() == [1, 2, 1, 0]
    assert migration(tiers[0].iloc[:0], tiers[1].iloc[:0], by="tier").segments == ()


def test_real_moves_from_a_log() -> None:
    rng = np.random.default_rng(5)
    days = rng.integers(0, 300, 1500)
    log = pd.DataFrame({"customer_id": rng.integers(0, 200, 1500), "amount": rng.gamma(2, 20, 1500).round(2)})
    log["timestamp"] = np.datetime64("2024-01-01", "us") + days * np.timedelta64(1, "D")
    then, now = (RFMSummary(as_of=day).fit_transform(log) for day in ("2024-07-31", "2024-10-20"))
    moves = migration(then, now)
    assert moves.elapsed == pytest.approx(81 / 7)
    check_sums(moves, then, now)
    silent = then.merge(now, on="customer_id", suffixes=("", "_now")).query("frequency == frequency_now")["customer_id"]
    paths = moves.customers.set_index("customer_id").loc[silent]
    assert (paths["segment_aged"] == paths["segment_before_thresholds"]).all()  # to the last bit


def test_words_and_plain_data() -> None:
    then, now = small()
    moves = migration(
        then, now, scorer=RFMScorer(n_bins=2).fit(then), segmenter=RFMSegmenter(rules={"hot": "2*", "cold": "1*"})
    )
    assert repr(moves) == "Migration(2 of 4 customers moved among 2 segments, 0 new, 0 gone)"
    assert "4 time units later" in str(moves)
    assert moves._repr_html_().count("<table>") == 2
    assert moves.to_dict()["counts"] == [[0, 2, 0], [0, 2, 0], [0, 0, 0]]
    assert moves.to_dict()["value_components"]["ageing"] == [-460.0, 460.0]


def test_refusals_and_warnings() -> None:
    then, now = small()
    with pytest.raises(InvalidDataError, match="2 of 5 rows share their customer_id"):
        migration(pd.concat([then, then.iloc[:1]]), now)
    with pytest.raises(InvalidDataError, match=r"1 of 4 rows have no customer_id \(first: 1\)"):
        migration(then.assign(customer_id=["a", None, "b", "c"]), now)
    with pytest.raises(InvalidDataError, match="1 of 4 rows have no customer_id"):
        migration(then, now.assign(customer_id=pd.array([1, 2, None, 4], "Int64")))
    with pytest.raises(MissingColumnError, match=r"migration needs the columns \['tier'\]; found .*\]\.$"):
        migration(then, now, by="tier")
    with pytest.raises(InvalidDataError, match=r"T grew by -4 .*wrong order"):
        migration(now, then)
    with pytest.raises(InvalidDataError, match=r"time between the tables is unknown.*elapsed="):
        migration(then.drop(columns="T"), now)
    assert migration(then.drop(columns="T"), now, elapsed=4).elapsed == 4
    with pytest.raises(InvalidDataError, match=r"T grew by another time than .* for 4 of 4 customers.*one time unit"):
        migration(then, now.assign(T=now["T"] * 7))
    with pytest.warns(DataQualityWarning, match=r"1 of 4 customers have a T that did not grow by 4 \(first: 4\)"):
        migration(then, now.assign(T=[14.0, 24.0, 34.0, 60.0]))
    with pytest.warns(DataQualityWarning, match="No customer is in both tables: 4 are gone and 4 are new.*types"):
        moves = migration(then, now.assign(customer_id=now["customer_id"].astype(str)))
    assert moves.counts[:-1, :-1].sum() == 0
    with pytest.raises(MissingColumnError, match=r"migration needs the columns \['total_value'\].*value=None"):
        migration(then.drop(columns="total_value"), now)
    with pytest.raises(InvalidDataError, match="1 of 4 customers have no finite total_value"):
        migration(then.assign(total_value=[1, np.nan, 2, 3]), now)
    with pytest.raises(InvalidDataError, match=r"Segments cannot be called \['\(new\)'\]"):
        migration(then.assign(tier="(new)"), now.assign(tier="x"), by="tier")
    with pytest.raises(ValueError, match="The 'scorer' parameter of migration must be an instance of RFMScorer"):
        migration(then, now, scorer="quantile")
    with pytest.raises(ValueError, match="The 'elapsed' parameter of migration must be a float in the range"):
        migration(then, now, elapsed=-1)
