"""Scores by cuts of one's own, by shares, with zero apart, nested, and weighted."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from tests.strategies import customer_tables

from custanalytics.datasets import load_cdnow
from custanalytics.rfm import RFMScorer, RFMSummary

SCORES = ["r_score", "f_score", "m_score"]
COLUMNS = {"r_score": "inactivity", "f_score": "frequency", "m_score": "monetary_value"}
ENDS = pd.DataFrame(  # so that no column is constant
    {"customer_id": [-1, -2], "inactivity": [1e4, 0.0], "frequency": [0, 99], "monetary_value": [0.0, 9e4]}
)


def with_ends(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, ENDS], ignore_index=True)


def cuts_of(values: Sequence[float], n_bins: int) -> list[float]:
    """The cuts of the definition, in plain Python."""
    ordered, distinct = sorted(values), sorted(set(values))
    cuts = [ordered[math.ceil(Fraction(k * len(ordered), n_bins)) - 1] for k in range(1, n_bins)]
    return [min(cut, distinct[-2]) for cut in cuts] if len(distinct) > 1 else cuts


def score(value: float, cuts: Sequence[float]) -> int:
    return 1 + sum(cut < value for cut in cuts)


@given(table=customer_tables(), bins=st.tuples(st.integers(2, 4), st.integers(2, 4), st.integers(2, 4)))
def test_nested_scores_are_those_of_the_plain_definition(table: pd.DataFrame, bins: tuple[int, int, int]) -> None:
    table = with_ends(table)
    scored = RFMScorer(n_bins=bins, method="nested").fit_transform(table)
    better = {
        "r_score": (-table["inactivity"].round(9)).tolist(),
        "f_score": table["frequency"].astype(float).tolist(),
        "m_score": table["monetary_value"].tolist(),
    }
    nests: list[tuple[int, ...]] = [()] * len(table)
    for name, n_bins in zip(SCORES, bins, strict=True):
        values = better[name]
        found = [
            score(
                value, cuts_of([other for other, theirs in zip(values, nests, strict=True) if theirs == nest], n_bins)
            )
            for value, nest in zip(values, nests, strict=True)
        ]
        assert scored[name].tolist() == found
        nests = [(*nest, one) for nest, one in zip(nests, found, strict=True)]


@given(table=customer_tables(), unseen=customer_tables(), data=st.data())
def test_nested_scores_are_frozen_tie_safe_and_monotone_in_their_nest(
    table: pd.DataFrame, unseen: pd.DataFrame, data: st.DataObject
) -> None:
    table = with_ends(table)
    scorer = RFMScorer(n_bins=3, method="nested").fit(table)
    order = data.draw(st.permutations(range(len(table))))
    again = RFMScorer(n_bins=3, method="nested").fit(table.iloc[order])
    for name in SCORES:
        np.testing.assert_array_equal(again.cut_points_[name], scorer.cut_points_[name])
    both = scorer.transform(pd.concat([table, unseen], ignore_index=True))
    parts = [scorer.transform(table), scorer.transform(unseen)]
    assert both[SCORES].to_numpy().tolist() == pd.concat(parts)[SCORES].to_numpy().tolist()
    assert both[SCORES].isin([1, 2, 3]).all().all()
    for nest, name, column in ((["r_score"], "f_score", "frequency"), (SCORES[:2], "m_score", "monetary_value")):
        for _, group in both.groupby(nest):
            assert (group.groupby(column)[name].nunique() == 1).all()
            assert group.sort_values(column)[name].is_monotonic_increasing


def test_nests_without_a_customer_take_the_cuts_around_them() -> None:
    table = pd.DataFrame(
        {"inactivity": [1.0, 1, 1, 9, 9, 9], "frequency": [2, 2, 2, 0, 1, 3], "monetary_value": [1.0, 2, 3, 4, 5, 6]}
    )
    scorer = RFMScorer(n_bins=(2, 2, 2), method="nested").fit(table)
    assert scorer.cut_points_["f_score"].tolist() == [[1], [2]]
    # Nobody at r_score 2 has f_score 2: its customers are equal. Somebody who comes there is cut as all at r_score 2.
    assert scorer.cut_points_["m_score"].tolist() == [[[4], [6]], [[2], [2]]]
    late = pd.DataFrame({"inactivity": [0.0, 0.0], "frequency": [7, 7], "monetary_value": [2.0, 2.5]})
    assert scorer.transform(late)[SCORES].to_numpy().tolist() == [[2, 2, 1], [2, 2, 2]]
    mixed = RFMScorer(n_bins=2, method="nested", cut_points={"r_score": [0.5]}).fit(table)
    assert mixed.cut_points_["f_score"].tolist() == [[2], [2]]  # r_score 2 is empty: the cuts of the whole table
    assert mixed.cut_points_["f_score"].shape == (2, 1)


def test_nested_cells_fill_more_evenly() -> None:
    rng = np.random.default_rng(0)
    frequency = rng.poisson(8, 4000) + rng.random(4000) / 10
    table = pd.DataFrame({"inactivity": 50 - frequency + rng.random(4000), "frequency": frequency})
    table["monetary_value"] = frequency * rng.random(4000)
    sizes = {}
    for method in ("quantile", "nested"):
        scored = RFMScorer(method=method).fit_transform(table)
        sizes[method] = scored.groupby(SCORES).size()
    assert len(sizes["nested"]) == 125
    assert sizes["nested"].min() >= 25
    assert len(sizes["quantile"]) < 125


# Cuts of one's own


@pytest.mark.parametrize("r_cuts", [[30, 90], [90, 30], np.array([90.0, 30.0]), pd.Series([30, 90], index=[5, 7])])
def test_cuts_of_ones_own_in_the_unit_of_the_column(r_cuts: Any) -> None:
    table = pd.DataFrame(
        {
            "inactivity": [0.0, 29.9, 30, 89, 90, 500],
            "frequency": [0, 1, 2, 3, 4, 5],
            "monetary_value": [-5, 0, 1, 20, 21, 9],
        }
    )
    scorer = RFMScorer(n_bins=4, cut_points={"r_score": r_cuts, "f_score": (0, 3)}).fit(table)
    scored = scorer.transform(table)
    assert scored["r_score"].tolist() == [3, 3, 2, 2, 1, 1]
    assert scored["f_score"].tolist() == [1, 2, 2, 2, 3, 3]
    assert scorer.cut_points_["r_score"].tolist() == [90, 30]
    assert scorer.n_bins_ == (3, 3, 4)
    assert set(scored["m_score"]) == {1, 2, 3, 4}


@given(table=customer_tables(), other=customer_tables())
def test_fitted_cuts_given_back_score_alike(table: pd.DataFrame, other: pd.DataFrame) -> None:
    fitted = RFMScorer().fit(with_ends(table))
    fixed = RFMScorer(cut_points=fitted.cut_points_).fit(ENDS)
    pd.testing.assert_frame_equal(fixed.transform(other), fitted.transform(other))
    assert fixed.unreachable_scores_ == fitted.unreachable_scores_


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"cut_points": {"f_score": [1, 3, 2]}}, "give f_score cuts that rise or fall throughout"),
        ({"cut_points": {"f_score": []}}, "give f_score 1 to 99 finite numbers"),
        ({"cut_points": {"f_score": [1, np.nan]}}, "give f_score 1 to 99 finite numbers"),
        ({"cut_points": {"f_score": [1, np.inf]}}, "give f_score 1 to 99 finite numbers"),
        ({"cut_points": {"f_score": ["1", "2"]}}, "give f_score 1 to 99 finite numbers"),
        ({"cut_points": {"f_score": 3}}, "give f_score 1 to 99 finite numbers"),
        ({"cut_points": {"frequency": [3]}}, r"'cut_points' parameter of RFMScorer must name scores among \['r_score'"),
        ({"cut_points": {"f_score": [3]}, "zero_apart": ("f_score",)}, r"must leave out \['f_score'\]"),
        ({"cut_points": {"f_score": [3]}, "shares": {"f_score": [0.5, 0.5]}}, r"must leave out \['f_score'\]"),
        ({"shares": {"f_score": [0.5, 0.6]}}, "give f_score 2 to 99 positive shares that sum to 1"),
        ({"shares": {"f_score": [1.0]}}, "give f_score 2 to 99 positive shares that sum to 1"),
        ({"shares": {"f_score": [0.0, 1.0]}}, "give f_score 2 to 99 positive shares that sum to 1"),
        ({"zero_apart": ("r_score",)}, r"'zero_apart' parameter of RFMScorer must name scores among \['f_score'"),
        ({"zero_apart": "f_score"}, "'zero_apart' parameter of RFMScorer must be an instance of tuple or list"),
        ({"weights": (1, 2)}, "'weights' parameter of RFMScorer must be a sequence of three, for recency, frequency"),
        ({"weights": (1, -2, 1)}, "'weights' parameter of RFMScorer must be a sequence of three"),
        ({"weights": (1, np.nan, 1)}, "'weights' parameter of RFMScorer must be a sequence of three"),
        (
            {"n_bins": (5, 5)},
            r"'n_bins' parameter of RFMScorer must be an int in the range \[2, 100\] or a sequence of",
        ),
        ({"n_bins": (5, 1, 5)}, "'n_bins' parameter of RFMScorer must be an int"),
        ({"method": "fixed"}, r"'method' parameter of RFMScorer must be a str among \{'quantile', 'nested'\}"),
        ({"cut_points": [1, 2]}, "'cut_points' parameter of RFMScorer must be an instance of Mapping"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RFMScorer(**params).fit(ENDS)


# Shares, and zero apart


@pytest.mark.parametrize(
    ("shares", "sizes"),
    [
        ((0.23456789, 0.34567891, 0.4197532), [235, 346, 419]),  # no fractions of denominators below a million
        ((0.5, 0.5 - 1e-7, 1e-7), [500, 499, 1]),
        ((1e-8, 1 - 1e-8), [1, 999]),
        ((0.1,) * 10, [100] * 10),
    ],
)
def test_shares_are_those_that_were_given(shares: tuple[float, ...], sizes: list[int]) -> None:
    values = np.arange(1000.0)
    table = pd.DataFrame({"inactivity": values, "frequency": values, "monetary_value": values})
    scores = RFMScorer(shares={"m_score": shares}).fit_transform(table)["m_score"]
    assert scores.value_counts().sort_index().tolist() == sizes


def test_shares_from_the_worst_score_to_the_best() -> None:
    table = pd.DataFrame({"inactivity": np.arange(10.0), "frequency": np.arange(10), "monetary_value": np.arange(10.0)})
    shares = {"f_score": (0.5, 0.3, 0.2), "r_score": (0.7, 0.3)}
    scorer = RFMScorer(shares=shares).fit(table)
    scored = scorer.transform(table)
    assert scored["f_score"].tolist() == [1] * 5 + [2] * 3 + [3] * 2
    assert scored["r_score"].tolist() == [2] * 3 + [1] * 7
    assert scorer.n_bins_ == (2, 3, 5)


def test_zero_apart_divides_the_others_among_themselves() -> None:
    table = pd.DataFrame({"frequency": np.repeat([0, 1, 2, 3, 4], [900, 25, 25, 25, 25])})
    table = table.assign(inactivity=np.arange(1000.0), monetary_value=table["frequency"] * 10.0)
    tied = RFMScorer().fit(table)
    assert tied.unreachable_scores_ == {"r_score": (), "f_score": (2, 3, 4), "m_score": (2, 3, 4)}
    scorer = RFMScorer(zero_apart=("f_score", "m_score")).fit(table)
    assert scorer.transform(table).groupby("frequency")["f_score"].unique().map(list).tolist() == [
        [1],
        [2],
        [3],
        [4],
        [5],
    ]
    assert scorer.unreachable_scores_ == {"r_score": (), "f_score": (), "m_score": ()}
    assert scorer.cut_points_["m_score"].tolist() == [0, 10, 20, 30]


def test_zero_apart_at_its_ends() -> None:
    returns = pd.DataFrame({"inactivity": [1.0, 2], "frequency": [0, 1], "monetary_value": [-20.0, -5.0]})
    scored = (
        RFMScorer(zero_apart=("f_score", "m_score")).fit(returns).transform(returns.assign(monetary_value=[-5.0, 0.01]))
    )
    assert scored["m_score"].tolist() == [1, 5]
    assert scored["f_score"].tolist() == [1, 5]  # the best value seen has the best score
    two = RFMScorer(n_bins=2, zero_apart=("f_score",)).fit(ENDS).transform(ENDS.assign(frequency=[0, 1]))
    assert two["f_score"].tolist() == [1, 2]


def test_usage_tiers_of_the_preset_on_real_customers() -> None:
    table = RFMSummary(as_of="1997-09-30").fit_transform(load_cdnow())
    scored = RFMScorer.from_preset("value-usage").fit_transform(table)
    assert ((scored["f_score"] == 1) == (table["frequency"] == 0)).all()
    shares = scored.loc[scored["f_score"] > 1, "f_score"].value_counts(normalize=True)
    assert shares[2] >= 0.5  # ties go with the lighter users
    assert shares[[2, 3]].sum() >= 0.8
    value = scored["m_score"].value_counts(normalize=True)
    assert value.round(2).to_dict() == {1: 0.5, 2: 0.3, 3: 0.2}


# Weights


def test_the_weighted_score_is_the_sum_that_is_documented(to_frame: Any) -> None:
    table = with_ends(
        pd.DataFrame({"inactivity": [3.0], "frequency": [2], "monetary_value": [7.0], "customer_id": [5]})
    )
    scorer = RFMScorer(n_bins=3, weights=(100, 10, 1))
    scored = scorer.fit_transform(to_frame(table))
    scored = scored if isinstance(scored, pd.DataFrame) else scored.to_pandas()
    digits = (scored["r_score"].astype(str) + scored["f_score"].astype(str) + scored["m_score"].astype(str)).astype(
        float
    )
    assert scored["rfm_score"].tolist() == digits.tolist() == [222, 111, 333]
    assert scorer.get_feature_names_out().tolist() == scored.columns.tolist()
    half = clone(scorer).set_params(weights=[0.5, 0.25, 0]).fit_transform(table)
    assert half["rfm_score"].tolist() == (0.5 * half["r_score"] + 0.25 * half["f_score"]).tolist()
    empty = scorer.fit(table).transform(table.iloc[:0])
    assert empty["rfm_score"].dtype == np.float64


def test_every_way_is_cloned_and_pickled() -> None:
    table = with_ends(
        pd.DataFrame({"inactivity": [3.0], "frequency": [2], "monetary_value": [7.0], "customer_id": [5]})
    )
    for params in (
        {"method": "nested", "weights": (1, 1, 1)},
        {"cut_points": {"m_score": [5, 50]}, "n_bins": (2, 3, 4)},
        {"shares": {"m_score": (0.5, 0.5)}, "zero_apart": ["f_score"]},
    ):
        scorer = clone(RFMScorer(**params)).fit(table)
        assert {name: scorer.get_params()[name] for name in params} == params
        pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(scorer)).transform(table), scorer.transform(table))
