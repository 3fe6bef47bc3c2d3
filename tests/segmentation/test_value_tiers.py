from __future__ import annotations

import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from tests.reference import segmentation as reference

from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.segmentation import ValueTiers

USAGES = ["heavy", "moderate", "infrequent"]

amounts = st.one_of(
    st.integers(-3, 6).map(float),  # ties everywhere
    st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: round(x, 2)),
)
tables = st.lists(st.tuples(amounts, st.integers(0, 5)), min_size=1, max_size=40).map(
    lambda rows: pd.DataFrame(
        {
            "customer_id": np.arange(len(rows)),
            "frequency": [frequency for _, frequency in rows],
            "total_value": [float(value) for value, _ in rows],
        }
    )
)


@pytest.fixture
def table() -> pd.DataFrame:
    random = np.random.default_rng(3)
    frequency = random.geometric(0.5, 300) - 1
    return pd.DataFrame(
        {
            "customer_id": [f"c{at}" for at in range(300)],
            "frequency": frequency,
            "total_value": np.round(random.lognormal(3, 1, 300) * (1 + frequency), 2),
        }
    )


@given(tables, st.integers(1, 12), st.lists(amounts, max_size=5))
def test_tiers_are_those_of_the_reference(table: pd.DataFrame, n_tiers: int, unseen: list[float]) -> None:
    tiers = ValueTiers(n_tiers=n_tiers).fit(table)
    values = table["total_value"].tolist()
    asked = values + unseen
    got = tiers.transform(pd.DataFrame({"total_value": asked, "frequency": 0}))["value_tier"]
    marks = [Fraction(k, n_tiers) for k in range(1, n_tiers)]
    assert got.tolist() == [reference.tier(values, marks, value) for value in asked]
    assert got.dtype == np.int64


@given(tables, st.sampled_from([(0.2, 0.3, 0.5), (0.1, 0.2, 0.7), (0.25, 0.25, 0.5)]))
def test_usage_tiers_are_those_of_the_reference(table: pd.DataFrame, shares: tuple[float, float, float]) -> None:
    tiers = ValueTiers(usage_shares=shares).fit(table)
    marks = [Fraction(str(shares[0])), Fraction(str(shares[0])) + Fraction(str(shares[1]))]
    usage = table["frequency"].tolist()
    expected = [USAGES[reference.tier(usage, marks, value) - 1] for value in usage]
    assert tiers.transform(table)["usage_tier"].tolist() == expected


@given(tables, st.integers(1, 12))
def test_the_tier_tables_are_those_of_the_reference(table: pd.DataFrame, n_tiers: int) -> None:
    tiers = ValueTiers(n_tiers=n_tiers).fit(table)
    given_tiers = tiers.transform(table)
    values, usage = table["total_value"].tolist(), table["frequency"].tolist()
    for found, labels, by in [
        (tiers.tier_table(), given_tiers["value_tier"].tolist(), values),
        (tiers.tier_table("usage"), [1 + USAGES.index(name) for name in given_tiers["usage_tier"]], usage),
    ]:
        expected = pd.DataFrame(reference.tier_rows(labels, len(found), by, values))
        pd.testing.assert_frame_equal(found[expected.columns], expected, check_dtype=False, rtol=1e-9, atol=1e-6)


@given(tables)
def test_equal_values_share_a_tier_and_more_is_never_worse(table: pd.DataFrame) -> None:
    given_tiers = ValueTiers().fit_transform(table).sort_values("total_value")
    assert (given_tiers.groupby("total_value")["value_tier"].nunique() == 1).all()
    assert given_tiers["value_tier"].is_monotonic_decreasing
    by_usage = given_tiers.assign(rank=given_tiers["usage_tier"].map(USAGES.index)).sort_values("frequency")
    assert (by_usage.groupby("frequency")["rank"].nunique() == 1).all()
    assert by_usage["rank"].is_monotonic_decreasing


@given(tables, st.randoms(use_true_random=False))
def test_shuffling_changes_nothing(table: pd.DataFrame, random: Any) -> None:
    order = list(range(len(table)))
    random.shuffle(order)
    tiers, shuffled = ValueTiers().fit(table), ValueTiers().fit(table.iloc[order])
    pd.testing.assert_frame_equal(tiers.transform(table).iloc[order], shuffled.transform(table.iloc[order]))
    pd.testing.assert_frame_equal(tiers.tier_table(), shuffled.tier_table(), check_exact=True)
    pd.testing.assert_frame_equal(tiers.tier_table("usage"), shuffled.tier_table("usage"), check_exact=True)


def test_shuffling_changes_no_digit_of_a_sum() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"frequency": 0, "total_value": random.lognormal(3, 2, 5000)})
    shuffled = table.iloc[random.permutation(5000)]
    for by in ("value", "usage"):
        found, wanted = (ValueTiers().fit(one).tier_table(by) for one in (shuffled, table))
        pd.testing.assert_frame_equal(found, wanted, check_exact=True)


@given(tables, st.sampled_from([0.25, 2.0, 100.0]))
def test_the_currency_changes_nothing(table: pd.DataFrame, rate: float) -> None:
    dearer = table.assign(total_value=table["total_value"] * rate)
    columns = ["value_tier", "usage_tier"]
    pd.testing.assert_frame_equal(
        ValueTiers().fit_transform(table)[columns], ValueTiers().fit_transform(dearer)[columns]
    )


@given(tables, st.integers(1, 39))
def test_frozen_cuts_give_parts_what_they_give_the_whole(table: pd.DataFrame, at: int) -> None:
    tiers = ValueTiers().fit(table)
    parts = pd.concat([tiers.transform(part) for part in (table.iloc[:at], table.iloc[at:]) if len(part)])
    pd.testing.assert_frame_equal(parts, tiers.transform(table))


@given(tables, st.integers(1, 12))
def test_shares_deviate_by_half_a_block_at_most(table: pd.DataFrame, n_tiers: int) -> None:
    tiers = ValueTiers(n_tiers=n_tiers).fit(table).tier_table()
    block = table["total_value"].value_counts().max()
    wanted = np.arange(1, n_tiers + 1) / n_tiers * len(table)
    assert np.all(np.abs(tiers["n_customers"].cumsum() - wanted) <= block / 2 + 1e-9)


def test_without_ties_tiers_are_equal_and_shares_sum_to_one(table: pd.DataFrame) -> None:
    table["total_value"] = np.random.default_rng(0).permutation(300) + 1.0
    tiers = ValueTiers().fit(table).tier_table()
    assert tiers["n_customers"].tolist() == [30] * 10
    assert tiers["value_share"].sum() == pytest.approx(1, abs=1e-12)
    assert tiers["cumulative_value_share"].iloc[-1] == pytest.approx(1, abs=1e-12)
    assert tiers["value_tier"].tolist() == list(range(1, 11))


def test_one_time_buyers_stay_infrequent_together() -> None:
    table = pd.DataFrame({"frequency": [0] * 90 + [1] * 6 + [5] * 4, "total_value": np.arange(100.0)})
    tiers = ValueTiers().fit(table)
    assert tiers.tier_table("usage")["n_customers"].tolist() == [10, 0, 90]
    assert tiers.tier_table("usage")["wanted_share"].tolist() == [0.2, 0.3, 0.5]
    assert tiers.tier_table("usage")["customer_share"].tolist() == [0.1, 0.0, 0.9]


def test_one_value_for_all_is_the_middle_tier_and_others_fall_to_either_side() -> None:
    tiers = ValueTiers().fit(pd.DataFrame({"frequency": [2, 2, 2], "total_value": [7.0, 7.0, 7.0]}))
    given_tiers = tiers.transform(pd.DataFrame({"frequency": [2, 3, 1], "total_value": [7.0, 7.01, 6.99]}))
    assert given_tiers["value_tier"].tolist() == [6, 1, 10]
    assert given_tiers["usage_tier"].tolist() == ["infrequent", "heavy", "infrequent"]


def test_refunds_make_cumulative_shares_pass_one() -> None:
    table = pd.DataFrame({"frequency": [0, 0, 0, 0], "total_value": [60.0, 60.0, 0.0, -20.0]})
    tiers = ValueTiers(n_tiers=2).fit(table).tier_table()
    assert tiers["value_share"].tolist() == [1.2, -0.2]
    assert tiers["cumulative_value_share"].tolist() == pytest.approx([1.2, 1.0])


@pytest.mark.parametrize("values", [[0.0, 0.0], [5.0, -5.0], [-1.0, -2.0]])
def test_shares_of_no_value_are_undefined(values: list[float]) -> None:
    tiers = ValueTiers(n_tiers=2).fit(pd.DataFrame({"frequency": [0, 1], "total_value": values})).tier_table()
    assert tiers["value_share"].isna().all()
    assert tiers["n_customers"].sum() == 2


def test_one_customer() -> None:
    table = pd.DataFrame({"frequency": [3], "total_value": [10.0]})
    assert ValueTiers(n_tiers=1).fit_transform(table)["value_tier"].tolist() == [1]
    assert ValueTiers().fit_transform(table)["value_tier"].tolist() == [6]


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_huge_and_tiny_values(size: float) -> None:
    table = pd.DataFrame({"frequency": [0, 0, 0, 0], "total_value": [4 * size, 3 * size, 2 * size, size]})
    assert ValueTiers(n_tiers=4).fit_transform(table)["value_tier"].tolist() == [1, 2, 3, 4]


def test_any_library_gives_the_same(table: pd.DataFrame, to_frame: Callable[[pd.DataFrame], Any]) -> None:
    frame = to_frame(table)
    tiers = ValueTiers().fit(frame)
    for found, expected in [
        (tiers.transform(frame), ValueTiers().fit_transform(table)),
        (tiers.tier_table(), ValueTiers().fit(table).tier_table()),
        (tiers.tier_table("usage"), ValueTiers().fit(table).tier_table("usage")),
    ]:
        assert type(found) is type(frame)
        pd.testing.assert_frame_equal(nw.from_native(found).to_pandas(), expected, check_dtype=False)


def test_the_table_given_is_left_alone(table: pd.DataFrame) -> None:
    table.index = pd.Index(range(1000, 1300))
    before = table.copy(deep=True)
    given_tiers = ValueTiers().fit_transform(table)
    pd.testing.assert_frame_equal(table, before)
    assert given_tiers.index.equals(before.index)


def test_it_is_an_estimator(table: pd.DataFrame) -> None:
    tiers = ValueTiers(n_tiers=4).fit(table)
    expected = tiers.transform(table)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(tiers)).transform(table), expected)
    pd.testing.assert_frame_equal(clone(tiers).fit_transform(table), expected)
    assert list(tiers.get_feature_names_out()) == list(expected.columns)
    assert list(tiers.get_feature_names_out(["a", "value_tier"])) == ["a", "value_tier", "usage_tier"]
    assert tiers.n_features_in_ == 3
    assert isinstance(ValueTiers().set_output(transform="polars").fit_transform(table), pl.DataFrame)
    piped = make_pipeline(ValueTiers(n_tiers=4)).set_output(transform="pandas").fit(table)
    assert piped[-1].tier_table().shape == (4, 8)
    with pytest.raises(NotFittedError):
        ValueTiers().tier_table()
    with pytest.raises(NotFittedError):
        ValueTiers().transform(table)


def test_usage_can_be_left_out(table: pd.DataFrame) -> None:
    tiers = ValueTiers(usage=None).fit(table.drop(columns="frequency"))
    assert list(tiers.transform(table).columns) == [*table.columns, "value_tier"]
    assert list(tiers.get_feature_names_out()) == ["customer_id", "total_value", "value_tier"]
    with pytest.raises(ValueError, match="no usage tiers: this ValueTiers was fitted with usage=None"):
        tiers.tier_table("usage")


@pytest.mark.parametrize("shares", [(0.2, 0.3), (0.2, 0.3, 0.4), (0.0, 0.5, 0.5), (0.2, "0.3", 0.5), (-0.2, 0.7, 0.5)])
def test_shares_must_be_three_and_sum_to_one(table: pd.DataFrame, shares: Any) -> None:
    with pytest.raises(ValueError, match="'usage_shares' parameter of ValueTiers must be three positive shares"):
        ValueTiers(usage_shares=shares).fit(table)


def test_messages(table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"The 'n_tiers' parameter of ValueTiers must be an int in the range \[1"):
        ValueTiers(n_tiers=0).fit(table)
    with pytest.raises(MissingColumnError, match=r"needs the columns \['clv'\].*usage=None leaves the usage"):
        ValueTiers(value="clv").fit(table)
    with pytest.raises(InvalidDataError, match="no customers to learn from: the table has 0 rows"):
        ValueTiers().fit(table.iloc[:0])
    with pytest.raises(ValueError, match="The 'by' parameter of tier_table must be a str among"):
        ValueTiers().fit(table).tier_table("month")
    holes = table.assign(total_value=table["total_value"].mask(table.index < 7))
    wanted = r"7 of 300 customers have a missing or infinite total_value \(first: c0, c1, c2, c3, c4, …\). ValueTiers"
    with pytest.raises(InvalidDataError, match=wanted):
        ValueTiers().fit(holes)
    with pytest.raises(InvalidDataError, match=r"1 of 2 customers have a missing or infinite frequency \(first: 1\)"):
        ValueTiers().fit(table).transform({"total_value": [1.0, 2.0], "frequency": [1.0, np.inf]})
