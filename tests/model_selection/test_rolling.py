from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, check_cv, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.model_selection import RollingOriginSplit

START = np.datetime64("2024-01-01T00:00", "us")
DAY = np.timedelta64(1, "D")


def table_of(days):
    return pd.DataFrame({"cutoff": START + np.asarray(days) * DAY, "feature": np.arange(len(days), dtype=float)})


def backtest(n_customers=60, n_cutoffs=8):
    rng = np.random.default_rng(0)
    days = np.repeat(np.arange(n_cutoffs) * 30, n_customers)
    X = rng.normal(size=(days.size, 2))
    y = (X[:, 0] + rng.normal(size=days.size) > 0).astype(int)
    order = rng.permutation(days.size)
    table = pd.DataFrame({"cutoff": START + days * DAY, "a": X[:, 0], "b": X[:, 1]})
    return table.iloc[order].reset_index(drop=True), pd.Series(y[order])


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=60),
    st.integers(1, 5),
    st.sampled_from([0.5, 1, 3, 7]),
    st.sampled_from([0, 1, 2.5]),
    st.sampled_from([None, 1, 4]),
    st.sampled_from([None, 2, 10]),
)
def test_no_training_label_ends_after_the_test_cutoff(days, n_splits, horizon, lead, step, window):
    table = table_of(days)
    splitter = RollingOriginSplit(n_splits=n_splits, horizon=horizon, lead=lead, step=step, train_window=window)
    day = np.array(days, float)
    eligible = []  # test cutoffs by the definition, row by row, from the last backwards
    for cutoff in sorted(set(days), reverse=True):
        trained = (day + lead + horizon <= cutoff) & (day >= cutoff - (np.inf if window is None else window))
        if trained.any() and (not eligible or cutoff <= eligible[-1] - (step or 0)) and len(eligible) < n_splits:
            eligible.append(cutoff)
    if len(eligible) < n_splits:
        with pytest.raises(InvalidDataError, match=rf"finds {len(eligible)} of n_splits={n_splits} cutoffs to test"):
            list(splitter.split(table))
        return
    splits = list(splitter.split(table))
    assert len(splits) == splitter.get_n_splits(table) == n_splits
    for (train, test), cutoff in zip(splits, reversed(eligible), strict=True):
        assert test.tolist() == np.flatnonzero(day == cutoff).tolist()
        assert (day[train] + lead + horizon).max() <= cutoff
        early = day + lead + horizon <= cutoff
        wanted = early if window is None else early & (day >= cutoff - window)
        assert train.tolist() == np.flatnonzero(wanted).tolist()
    tests = np.concatenate([test for _, test in splits])
    assert np.unique(tests).size == tests.size


@given(st.lists(st.integers(0, 12), min_size=8, max_size=40), st.randoms(use_true_random=False))
def test_row_order_and_the_calendar_change_nothing(days, rng):
    days = sorted([*days, 0, 12])
    order = list(range(len(days)))
    rng.shuffle(order)
    splitter = RollingOriginSplit(n_splits=1, horizon=5)
    plain = next(splitter.split(table_of(days)))
    moved = table_of(days)
    moved["cutoff"] += pd.Timedelta(days=1000)
    mixed = next(splitter.split(moved.iloc[order]))
    for ours, theirs in zip(plain, mixed, strict=True):
        assert sorted(np.array(order)[theirs]) == ours.tolist()


def test_units_are_durations():
    table = table_of(np.arange(0, 120, 7))
    weeks = list(RollingOriginSplit(n_splits=3, horizon=4, lead=1, step=2, train_window=9, time_unit="W").split(table))
    days = list(RollingOriginSplit(n_splits=3, horizon=28, lead=7, step=14, train_window=63).split(table))
    for ours, theirs in zip(weeks, days, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_any_frame_library_and_dates_give_the_same_rows(to_frame):
    table, _ = backtest()
    splitter = RollingOriginSplit(n_splits=3, horizon=45)
    wanted = list(splitter.split(table))
    dates = pl.from_pandas(table).with_columns(pl.col("cutoff").cast(pl.Date))
    for frame in (to_frame(table), dates):
        for ours, theirs in zip(wanted, splitter.split(frame), strict=True):
            np.testing.assert_array_equal(ours[0], theirs[0])
            np.testing.assert_array_equal(ours[1], theirs[1])


@pytest.mark.parametrize("kind", [np.asarray, pd.Series, lambda v: pl.Series(np.asarray(v)), list])
def test_groups_stand_in_for_the_column(kind):
    table, _ = backtest()
    splitter = RollingOriginSplit(n_splits=2, horizon=30)
    wanted = list(splitter.split(table))
    found = list(splitter.split(table[["a", "b"]].to_numpy(), groups=kind(table["cutoff"])))
    for ours, theirs in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


class OnFrames(ClassifierMixin, BaseEstimator):
    """Logistic regression on two columns of any frame, remembering the cutoffs it has seen."""

    def __init__(self, C=1.0):
        self.C = C

    def fit(self, X, y):
        self.last_ = np.asarray(X["cutoff"]).max()
        self.model_ = LogisticRegression(C=self.C).fit(self._matrix(X), np.asarray(y))
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        assert np.asarray(X["cutoff"]).min() >= self.last_ + 30 * DAY
        return self.model_.predict_proba(self._matrix(X))

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    @staticmethod
    def _matrix(X):
        return np.column_stack([X["a"], X["b"]])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_works_in_cross_validation_and_grid_search(library):
    table, y = backtest()
    if library == "polars":
        table, y = pl.from_pandas(table), pl.from_pandas(y)
    cv = RollingOriginSplit(n_splits=4, horizon=30)
    scores = cross_val_score(OnFrames(), table, y, cv=cv, scoring="roc_auc")
    assert scores.shape == (4,)
    assert (scores > 0.6).all()
    search = GridSearchCV(OnFrames(), {"C": [0.01, 1.0]}, cv=cv, refit=False).fit(table, y)
    assert search.n_splits_ == 4
    assert len(search.cv_results_["mean_test_score"]) == 2


def test_groups_pass_through_cross_validation_with_and_without_routing():
    table, y = backtest()
    X, cv = table[["a", "b"]], RollingOriginSplit(n_splits=3, horizon=30)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    plain = cross_val_score(model, X, y, groups=table["cutoff"], cv=cv)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_validate(model, X, y, params={"groups": table["cutoff"]}, cv=cv)["test_score"]
    np.testing.assert_array_equal(plain, routed)


def test_is_a_splitter_like_any_other():
    cv = RollingOriginSplit(horizon=30, n_splits=3)
    assert check_cv(cv) is cv
    assert clone(cv, safe=False).n_splits == 3
    assert repr(cv).startswith("RollingOriginSplit(")
    assert "horizon=30" in repr(cv)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"horizon": 0}, r"'horizon' parameter of RollingOriginSplit must be a float"),
        ({"n_splits": 0}, r"'n_splits' parameter"),
        ({"lead": -1}, r"'lead' parameter"),
        ({"step": 0}, r"'step' parameter"),
        ({"train_window": -3}, r"'train_window' parameter"),
        ({"time_unit": "d"}, r"'time_unit' parameter"),
        ({"cutoff_column": 3}, r"'cutoff_column' parameter"),
    ],
)
def test_parameters_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        next(RollingOriginSplit(**({"horizon": 1} | wrong)).split(table_of([0, 5])))


def test_bad_tables_are_named():
    splitter = RollingOriginSplit(horizon=1, n_splits=1)
    with pytest.raises(MissingColumnError, match=r"needs the columns \['cutoff'\].*groups=table\['cutoff'\]"):
        next(splitter.split(pd.DataFrame({"a": [1]})))
    with pytest.raises(TypeError, match="RollingOriginSplit takes one table with named columns"):
        next(splitter.split(np.zeros((3, 2))))
    table = table_of([0, 5, 9])
    table.loc[1, "cutoff"] = pd.NaT
    with pytest.raises(InvalidDataError, match=r"1 of 3 rows have no cutoff \(first: 1\)"):
        next(splitter.split(table))
    with pytest.raises(InvalidDataError, match="must hold dates or datetimes"):
        next(splitter.split(table, groups=[1, 2, 3]))
    with pytest.raises(InvalidDataError, match=r"finds 0 of n_splits=1 .* of the 1 cutoffs given"):
        next(splitter.split(table_of([4, 4])))
