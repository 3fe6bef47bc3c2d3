from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from tests.reference import rfm as reference
from tests.strategies import customer_tables

from custanalytics.exceptions import DataQualityWarning, InvalidDataError, MissingColumnError
from custanalytics.rfm import RFMScorer

SCORES = ["r_score", "f_score", "m_score"]
COLUMNS = {"r_score": "inactivity", "f_score": "frequency", "m_score": "monetary_value"}


def table_of(values: Any) -> pd.DataFrame:
    values = np.asarray(values, np.float64)
    return pd.DataFrame(
        {
            "customer_id": np.arange(values.size),
            "inactivity": -values,
            "frequency": values,
            "monetary_value": values,
        }
    )


def fit(table: pd.DataFrame, n_bins: int = 5) -> RFMScorer:
    """Fit, and expect the warning exactly where a column is constant."""
    constant = [column for column in COLUMNS.values() if table[column].round(9).nunique() == 1]
    if not constant:
        return RFMScorer(n_bins=n_bins).fit(table)
    with pytest.warns(DataQualityWarning, match="for every one of them") as caught:
        scorer = RFMScorer(n_bins=n_bins).fit(table)
    assert len(caught) == len(constant)
    assert {entry.filename for entry in caught} == {__file__}
    return scorer


@given(table=customer_tables(), n_bins=st.integers(2, 7))
def test_scores_are_those_of_the_plain_definition(table: pd.DataFrame, n_bins: int) -> None:
    scored = fit(table, n_bins).transform(table)
    for score, column in COLUMNS.items():
        sign = -1 if score == "r_score" else 1
        values = (sign * table[column].round(9)).tolist()
        below_best = [value for value in values if value < max(values)]
        cuts = reference.cut_points(values, n_bins)
        cuts = [min(cut, max(below_best)) for cut in cuts] if below_best else cuts
        assert scored[score].tolist() == [reference.score(value, cuts) for value in values]
        assert scored[score].dtype == np.int64


@given(table=customer_tables(), n_bins=st.integers(2, 7), data=st.data())
def test_ties_order_and_chunks(table: pd.DataFrame, n_bins: int, data: st.DataObject) -> None:
    scorer = fit(table, n_bins)
    scored = scorer.transform(table)
    for score, column in COLUMNS.items():
        assert (scored.groupby(column)[score].nunique() == 1).all()  # equal values, equal scores
        by_value = scored.sort_values(column, ascending=score != "r_score")[score]
        assert by_value.is_monotonic_increasing
        assert by_value.iloc[0] == 1
        assert by_value.iloc[-1] == (n_bins if table[column].round(9).nunique() > 1 else 1)
    order = data.draw(st.permutations(range(len(table))))
    pd.testing.assert_frame_equal(fit(table.iloc[order], n_bins).transform(table), scored)
    cut = data.draw(st.integers(0, len(table)))
    parts = pd.concat([scorer.transform(table.iloc[:cut]), scorer.transform(table.iloc[cut:])])
    pd.testing.assert_frame_equal(parts[SCORES], scored[SCORES])


@given(table=customer_tables(), factor=st.sampled_from([0.01, 3.7, 1e6]))
def test_scoring_commutes_with_increasing_transformations(table: pd.DataFrame, factor: float) -> None:
    scored = fit(table).transform(table)
    other = table.assign(
        monetary_value=factor * table["monetary_value"],
        frequency=np.log1p(table["frequency"]),
        inactivity=table["inactivity"] ** 2 + 1,
    )
    pd.testing.assert_frame_equal(fit(other).transform(other)[SCORES], scored[SCORES])


def test_equal_values_in_hundreds_are_cut_at_hundreds() -> None:
    scorer = RFMScorer().fit(table_of(np.arange(1, 101)))
    assert scorer.cut_points_["f_score"].tolist() == [20, 40, 60, 80]
    assert scorer.cut_points_["r_score"].tolist() == [-20, -40, -60, -80]
    scored = scorer.transform(table_of([-5, 20, 20.5, 100, 1000]))
    for score in SCORES:
        assert scored[score].tolist() == [1, 1, 2, 5, 5]


def test_nine_in_ten_buy_once() -> None:
    values = np.repeat([0.0, 1.0, 2.0], [900, 60, 40])
    scored = RFMScorer().fit_transform(table_of(values))
    assert scored.groupby("frequency")["f_score"].first().tolist() == [1, 5, 5]
    shuffled = scored.sample(frac=1, random_state=0)
    again = RFMScorer().fit_transform(shuffled[["customer_id", "inactivity", "frequency", "monetary_value"]])
    assert (again["f_score"].to_numpy() == shuffled["f_score"].to_numpy()).all()


def test_many_customers_share_the_best_value() -> None:
    scored = RFMScorer().fit_transform(table_of(np.repeat([0.0, 1.0], [50, 50])))
    assert scored.groupby("frequency")["f_score"].unique().map(list).tolist() == [[1], [5]]


def test_a_constant_column_scores_one_and_warns() -> None:
    table = table_of(np.arange(10)).assign(frequency=3)
    with pytest.warns(DataQualityWarning, match="All 10 customers have frequency = 3, so that f_score is 1 for"):
        scored = RFMScorer().fit_transform(table)
    assert scored["f_score"].tolist() == [1] * 10
    assert set(scored["r_score"]) == {1, 2, 3, 4, 5}


def test_tables_of_lifetimes_have_no_inactivity() -> None:
    days = np.array([[10, 0], [75, 65], [114, 104], [205, 195], [300, 2], [400, 1]])
    table = pd.DataFrame(
        {"frequency": np.arange(6), "recency": days[:, 1] / 7, "T": days[:, 0] / 7, "monetary_value": np.arange(6.0)}
    )
    assert (table["T"] - table["recency"]).head(4).nunique() > 1  # ten days, but for rounding
    direct = table.assign(inactivity=(days[:, 0] - days[:, 1]) / 7)
    scored = RFMScorer().fit_transform(table)
    assert scored["r_score"].tolist() == [5, 5, 5, 5, 1, 1]
    assert "inactivity" not in scored
    assert RFMScorer().fit(direct).transform(table)["r_score"].tolist() == [5, 5, 5, 5, 1, 1]
    assert RFMScorer().fit(table).transform(direct)["r_score"].tolist() == [5, 5, 5, 5, 1, 1]


def test_other_columns_may_be_scored(to_frame: Any) -> None:
    table = pd.DataFrame({"days_ago": [1, 2, 3], "visits": [4, 5, 6], "spent": [0.5, 0.7, 0.6]})
    scorer = RFMScorer(n_bins=3, recency="days_ago", frequency="visits", monetary="spent")
    scored = scorer.fit_transform(to_frame(table))
    assert type(scored) is type(to_frame(table))
    columns = {name: scored[name].to_numpy().tolist() for name in SCORES}
    assert columns == {"r_score": [3, 2, 1], "f_score": [1, 2, 3], "m_score": [1, 3, 2]}
    assert scorer.get_feature_names_out().tolist() == [*table.columns, *SCORES]
    assert scorer.n_features_in_ == 3
    again = scorer.fit(scored)
    assert again.get_feature_names_out().tolist() == [*table.columns, *SCORES]


def test_the_callers_frame_and_index_stay_as_they_were() -> None:
    table = table_of(np.arange(6)).set_index(np.array([5, 3, 3, 1, 0, 9]))
    kept = table.copy(deep=True)
    scored = RFMScorer(n_bins=3).fit_transform(table)
    pd.testing.assert_frame_equal(table, kept)
    assert scored.index.equals(table.index)
    assert scored["f_score"].tolist() == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_holes_are_refused_by_customer(hole: float) -> None:
    table = table_of(np.arange(8)).assign(customer_id=list("abcdefgh"))
    scorer = RFMScorer().fit(table)
    table.loc[[2, 5], "monetary_value"] = hole
    for attempt in (scorer.transform, RFMScorer().fit):
        with pytest.raises(InvalidDataError, match=r"2 of 8 customers have no finite monetary_value \(first: c, f\)"):
            attempt(table)
    with pytest.raises(InvalidDataError, match=r"2 of 8 rows have no finite monetary_value \(first: 2, 5\)"):
        scorer.transform(table.drop(columns="customer_id"))


def test_refusals() -> None:
    table = table_of(np.arange(5))
    with pytest.raises(InvalidDataError, match="The customer table is empty"):
        RFMScorer().fit(table.iloc[:0])
    with pytest.raises(MissingColumnError, match=r"RFMScorer needs the columns \['frequency'\].*RFMSummary"):
        RFMScorer().fit(table.drop(columns="frequency"))
    with pytest.raises(MissingColumnError, match=r"needs the columns \['T', 'recency'\]"):
        RFMScorer().fit(table.drop(columns="inactivity"))
    with pytest.raises(ValueError, match=r"'n_bins' parameter of RFMScorer must be an int in the range \[2, 100\]"):
        RFMScorer(n_bins=1).fit(table)
    with pytest.raises(NotFittedError):
        RFMScorer().transform(table)


def test_an_empty_table_is_scored() -> None:
    table = table_of(np.arange(5))
    scored = RFMScorer().fit(table).transform(table.iloc[:0])
    assert len(scored) == 0
    assert [scored[name].dtype for name in SCORES] == [np.int64] * 3


def test_clone_pickle_and_output_kinds() -> None:
    table = table_of(np.arange(20))
    scorer = RFMScorer(n_bins=4)
    assert clone(scorer).get_params() == scorer.get_params()
    expected = scorer.fit_transform(table)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(scorer)).transform(table), expected)
    wider = clone(scorer).set_output(transform="polars").fit(table).transform(table.assign(more=1))
    assert isinstance(wider, pl.DataFrame)
    assert wider.columns == [*table.columns, "more", *SCORES]
