from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from tests.churn.cases import cdnow

from custanalytics.churn import ChurnClassifier, ChurnFeatures, churn_labels
from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.model_selection import RollingOriginSplit

QUICK = LogisticRegression()

EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": "it gives cv as a list of row positions, which is not taken: rows "
    "without a label are left out first. Trees also count rows, not weights, against min_samples_leaf",
}


@parametrize_with_checks(
    [
        ChurnClassifier(calibration=None),
        ChurnClassifier(estimator=LogisticRegression()),
        ChurnClassifier(estimator=LogisticRegression(), calibration="isotonic", cv=2),
    ],
    expected_failed_checks=lambda model: EXPECTED_FAILURES,
)
def test_scikit_learn_conventions(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """Buyers with rates of their own, some of whom stop."""
    rng = np.random.default_rng(5)
    people, most = 400, 60
    gaps = rng.gamma(2, 12, people)
    days = np.cumsum(rng.exponential(gaps[:, None], (people, most)), axis=1)
    alive = np.cumsum(rng.random((people, most)) < 0.04, axis=1) == 0
    kept = alive & (days < 500)
    return pd.DataFrame(
        {
            "customer_id": np.repeat(np.arange(people), most)[kept.ravel()],
            "timestamp": np.datetime64("2023-01-01", "us") + days[kept].astype("timedelta64[D]"),
            "amount": rng.gamma(2, 20, kept.sum()).round(2),
        }
    )


@pytest.fixture(scope="module")
def table(log: pd.DataFrame) -> pd.DataFrame:
    labels = churn_labels(log, ["2023-06-01", "2023-09-01", "2023-12-01", "2024-04-01"], 60)
    return ChurnFeatures(log=log).fit_transform(labels)


@pytest.fixture(scope="module")
def mature(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["cutoff"] < "2024-04-01"].reset_index(drop=True)


def test_cdnow_reaches_the_published_scores() -> None:
    log = cdnow()
    cutoffs = pd.date_range(end="1998-01-02", periods=6, freq="30D")
    build = ChurnFeatures(log=log)
    train = build.fit_transform(churn_labels(log, cutoffs, 90, observed_until="1998-04-02"))
    test = build.transform(churn_labels(log, "1998-04-02", 90))
    assert (train["state"] != "not yet knowable").all()
    assert test["churned"].mean() == pytest.approx(0.860, abs=5e-4)
    assert roc_auc_score(test["churned"], test["inactivity"]) == pytest.approx(0.8280, abs=5e-5)
    risk = ChurnClassifier(cv=2).fit(train).predict_proba(test)[:, 1]
    # Published for the same trees: .8392 and .2976; BG/NBD has .8304 and .3029, recency alone .8280.
    assert roc_auc_score(test["churned"], risk) >= 0.838
    assert log_loss(test["churned"], risk) <= 0.2985
    assert risk.mean() == pytest.approx(0.860, abs=0.02)


def test_columns_that_are_no_features_are_set_aside(table: pd.DataFrame, mature: pd.DataFrame) -> None:
    wider = mature.assign(first_seen=mature["cutoff"], last_seen=mature["cutoff"], city="Lyon", member=True)
    model = ChurnClassifier(estimator=DummyClassifier(), calibration=None).fit(wider)
    assert model.feature_names_in_.tolist() == [*table.columns[4:], "member"]
    assert model.n_features_in_ == len(table.columns) - 3
    assert model.classes_.tolist() == [0.0, 1.0]


def test_scores_are_of_rows_whose_label_is_known(table: pd.DataFrame, mature: pd.DataFrame) -> None:
    model = ChurnClassifier(estimator=KNeighborsClassifier(), calibration=None).fit(mature)
    known = table[table["churned"].notna()]
    assert len(known) < len(table)
    truth = (model.predict(known) == known["churned"]).mean()
    assert model.score(table) == model.score(table, table["churned"]) == model.score(known) == pytest.approx(truth)
    weight = np.arange(len(table)) % 3.0
    kept = table.assign(weight=weight).loc[known.index, "weight"].to_numpy()
    expected = np.average(model.predict(known) == known["churned"], weights=kept)
    assert model.score(table, sample_weight=weight) == pytest.approx(expected)
    assert np.isnan(model.score(table.assign(churned=np.nan)))
    search = GridSearchCV(
        ChurnClassifier(estimator=KNeighborsClassifier()),
        {"calibration": [None, "sigmoid"]},
        cv=RollingOriginSplit(n_splits=2, horizon=60),
    ).fit(table)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_columns_are_read_by_name(mature: pd.DataFrame) -> None:
    model = ChurnClassifier(estimator=QUICK, feature_columns=["overdue", "frequency"], calibration=None).fit(mature)
    truth = model.predict_proba(mature)
    other = mature[mature.columns[::-1]].assign(city="Lyon").drop(columns=["T", "churned"])
    np.testing.assert_array_equal(model.predict_proba(other), truth)
    np.testing.assert_array_equal(model.predict(other), (truth[:, 1] > 0.5).astype(float))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        np.testing.assert_array_equal(model.predict_proba(mature[["overdue", "frequency"]].to_numpy()), truth)
    with pytest.raises(MissingColumnError, match="Feature names seen at fit time, yet now missing:\n- overdue"):
        model.predict(mature.drop(columns="overdue"))


def test_every_kind_of_frame_gives_the_same(mature: pd.DataFrame, to_frame: Callable[[pd.DataFrame], Any]) -> None:
    truth = ChurnClassifier(estimator=QUICK, feature_columns=["overdue", "T"]).fit(mature).predict_proba(mature)
    frame = to_frame(mature)
    model = ChurnClassifier(estimator=QUICK, feature_columns=["overdue", "T"]).fit(frame)
    np.testing.assert_array_equal(model.predict_proba(frame), truth)
    again = model.fit(frame, frame["churned"])
    np.testing.assert_array_equal(again.predict_proba(frame), truth)


def test_labels_that_are_unknown_or_only_known_early_are_left_out(table: pd.DataFrame, mature: pd.DataFrame) -> None:
    young = table[table["cutoff"] == "2024-04-01"]
    assert set(young["state"]) == {"retained", "not yet knowable"}
    model = ChurnClassifier(calibration=None).fit(table)
    assert model.n_unknown_ == (young["state"] == "not yet knowable").sum()
    assert model.n_immature_ == (young["state"] == "retained").sum()
    truth = ChurnClassifier(calibration=None).fit(mature).predict_proba(table)
    np.testing.assert_array_equal(model.predict_proba(table), truth)


def test_labels_missing_here_and_there_cost_only_their_rows(mature: pd.DataFrame) -> None:
    y = mature["churned"].where(mature.index % 7 > 0)
    model = ChurnClassifier(estimator=QUICK, calibration=None, feature_columns=["overdue"]).fit(mature, y)
    assert model.n_unknown_ == y.isna().sum()
    assert model.n_immature_ == 0
    numbers = np.array([None if np.isnan(each) else int(each) for each in y], dtype=object)
    same = ChurnClassifier(estimator=QUICK, calibration=None, feature_columns=["overdue"]).fit(mature, numbers)
    np.testing.assert_array_equal(same.predict_proba(mature), model.predict_proba(mature))
    words = y.map({0.0: "stays", 1.0: "goes"}).astype(object).where(y.notna(), None)
    other = ChurnClassifier(estimator=QUICK, calibration=None, feature_columns=["overdue"]).fit(mature, words)
    assert other.classes_.tolist() == ["goes", "stays"]
    np.testing.assert_allclose(other.predict_proba(mature), model.predict_proba(mature)[:, ::-1], atol=1e-9)


class Recorder(DummyClassifier):
    """Notes which rows it is trained on."""

    seen: list[np.ndarray] = []  # noqa: RUF012

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        Recorder.seen.append(np.asarray(X)[:, 0])
        return super().fit(X, y, sample_weight=sample_weight)


def test_no_customer_is_on_both_sides_of_a_calibration_fold(mature: pd.DataFrame) -> None:
    Recorder.seen = []
    marked = mature.assign(marker=mature["customer_id"].astype(float))
    ChurnClassifier(estimator=Recorder(), feature_columns=["marker"], cv=4).fit(marked)
    *folds, whole = Recorder.seen
    assert len(folds) == 4
    assert whole.size == len(mature)
    held_out = [set(whole) - set(fold) for fold in folds]
    assert sum(map(len, held_out)) == len(set(whole)) == len(set.union(*held_out))


def test_calibration_mends_a_distorted_score(mature: pd.DataFrame) -> None:
    # One's own row is among the three nearest: these scores are far too sure of themselves.
    names = ["overdue", "inactivity", "T"]
    nearest = make_pipeline(StandardScaler(), KNeighborsClassifier(3))
    train, test = mature[mature["customer_id"] < 250], mature[mature["customer_id"] >= 250]
    loss = {
        calibration: log_loss(
            test["churned"],
            ChurnClassifier(estimator=nearest, feature_columns=names, calibration=calibration)
            .fit(train)
            .predict_proba(test),
        )
        for calibration in (None, "sigmoid", "isotonic")
    }
    assert loss["sigmoid"] < 0.6 * loss[None]
    assert loss["isotonic"] < 0.6 * loss[None]


def test_fits_repeat_to_the_bit(mature: pd.DataFrame) -> None:
    truth = ChurnClassifier(cv=2).fit(mature).predict_proba(mature)
    np.testing.assert_array_equal(ChurnClassifier(cv=2).fit(mature).predict_proba(mature), truth)
    other = ChurnClassifier(cv=2, random_state=7).fit(mature).predict_proba(mature)
    assert (other != truth).any()
    assert ((truth > 0) & (truth < 1)).all()
    np.testing.assert_allclose(truth.sum(axis=1), 1)


def test_parts_are_the_ones_documented(mature: pd.DataFrame) -> None:
    calibrated = ChurnClassifier(cv=2).fit(mature).model_
    assert isinstance(calibrated, CalibratedClassifierCV)
    assert len(calibrated.calibrated_classifiers_) == 1
    plain = ChurnClassifier(calibration=None).fit(mature).model_
    assert isinstance(plain, HistGradientBoostingClassifier)
    by_splitter = ChurnClassifier(estimator=QUICK, feature_columns=["T"], cv=GroupKFold(5)).fit(mature)
    by_number = ChurnClassifier(estimator=QUICK, feature_columns=["T"]).fit(mature)
    np.testing.assert_array_equal(by_splitter.predict_proba(mature), by_number.predict_proba(mature))


def test_weights_count_rows_and_zero_leaves_out(mature: pd.DataFrame) -> None:
    half = mature.index.to_numpy() % 2 == 0
    model = ChurnClassifier(cv=2).fit(mature, sample_weight=half)
    truth = ChurnClassifier(cv=2).fit(mature[half], sample_weight=np.ones(half.sum()))
    np.testing.assert_array_equal(model.predict_proba(mature), truth.predict_proba(mature))
    assert model.n_unknown_ == 0
    heavy = np.where(mature["churned"] == 1, 5.0, 1.0)
    risk = ChurnClassifier(calibration=None).fit(mature, sample_weight=heavy).predict_proba(mature)[:, 1]
    weighted_mean = np.average(mature["churned"], weights=heavy)
    assert np.average(risk, weights=heavy) == pytest.approx(weighted_mean, abs=0.02)
    assert risk.mean() > mature["churned"].mean() + 0.05


def test_whole_weights_equal_repeated_rows(mature: pd.DataFrame) -> None:
    weight = mature.index.to_numpy() % 3
    model = ChurnClassifier(estimator=LogisticRegression(tol=1e-10), feature_columns=["overdue"], calibration=None)
    weighted = clone(model).fit(mature, sample_weight=weight).predict_proba(mature)
    repeated = clone(model).fit(mature.loc[mature.index.repeat(weight)]).predict_proba(mature)
    np.testing.assert_allclose(weighted, repeated, atol=1e-6)


def test_pipeline_search_clone_and_pickle(log: pd.DataFrame) -> None:
    labels = churn_labels(log, ["2023-09-01", "2023-12-01"], 60)
    y = labels["churned"]
    pipe = make_pipeline(ChurnFeatures(log=log), ChurnClassifier(estimator=QUICK, feature_columns=["overdue", "T"]))
    search = GridSearchCV(
        pipe, {"churnclassifier__calibration": [None, "isotonic"]}, cv=KFold(2), scoring="neg_log_loss"
    )
    search.fit(labels.drop(columns=["churned", "state"]), y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    scores = cross_val_score(pipe, labels, y, cv=GroupKFold(3), groups=labels["customer_id"], scoring="roc_auc")
    assert scores.min() > 0.6
    fitted = clone(pipe).fit(labels)  # the labels are in the table
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(labels), fitted.predict_proba(labels))


def test_nothing_of_the_callers_is_changed(mature: pd.DataFrame) -> None:
    before, estimator = mature.copy(deep=True), LogisticRegression()
    ChurnClassifier(estimator=estimator, feature_columns=["T"]).fit(mature).predict(mature)
    pd.testing.assert_frame_equal(mature, before)
    assert not hasattr(estimator, "coef_")


def test_missing_features_are_taken_where_the_estimator_takes_them(mature: pd.DataFrame) -> None:
    holes = mature.assign(income=np.where(mature.index % 3 > 0, 1.0, np.nan))
    assert ChurnClassifier(calibration=None).fit(holes).predict_proba(holes).shape == (len(holes), 2)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        ChurnClassifier(estimator=QUICK, calibration=None).fit(holes)


def test_one_class_is_refused(mature: pd.DataFrame, table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"needs two classes .* hold one class: \[1.0\]\. Choose other cutoffs"):
        ChurnClassifier().fit(mature[mature["churned"] == 1])
    young = table[table["cutoff"] == "2024-04-01"]
    with pytest.raises(ValueError, match=r"the 0 usable labels hold one class: \[\].*still open"):
        ChurnClassifier().fit(young)


def test_too_few_rows_to_calibrate_are_refused(mature: pd.DataFrame) -> None:
    few = pd.concat([mature[mature["churned"] == 1][:30], mature[mature["churned"] == 0][:3]])
    message = r"Too few labels to calibrate with cv=5: the classes \[0.0, 1.0\] have \[3, 30\] customers"
    with pytest.raises(ValueError, match=message):
        ChurnClassifier().fit(few)
    assert ChurnClassifier(calibration=None).fit(few).classes_.size == 2
    with pytest.raises(ValueError, match=r"have \[3, 30\] rows .*a smaller cv, or calibration=None"):
        ChurnClassifier().fit(few.drop(columns="customer_id"))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"calibration": "platt"},
            "'calibration' parameter of ChurnClassifier must be a str among .*'isotonic'.* or an",
        ),
        (
            {"cv": 1},
            r"'cv' parameter of ChurnClassifier must be an int in the range \[2, inf\) or an object with split",
        ),
        (
            {"estimator": StandardScaler()},
            r"'estimator' parameter .* must be an object with fit\(\), predict_proba\(\)",
        ),
        ({"feature_columns": "T"}, "'feature_columns' parameter of ChurnClassifier must be an instance of list or"),
        ({"feature_columns": ["nonsense"]}, r"told to use the columns \['nonsense'\]; found"),
        ({"random_state": -1}, "'random_state' parameter of ChurnClassifier must be an int in the range"),
    ],
)
def test_parameters_out_of_range_are_named(mature: pd.DataFrame, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChurnClassifier(**params).fit(mature)


def test_what_cannot_be_learned_from_is_refused(mature: pd.DataFrame) -> None:
    plain = mature[["T", "overdue"]]
    with pytest.raises(InvalidDataError, match=r"finds no numeric feature column beside .* Add features first"):
        ChurnClassifier().fit(mature[["customer_id", "cutoff", "churned"]])
    with pytest.raises(ValueError, match=r"the target y is None and X has no column 'churned'\. churn_labels"):
        ChurnClassifier().fit(plain)
    with pytest.raises(ValueError, match="'feature_columns' parameter of ChurnClassifier needs X to be a frame"):
        ChurnClassifier(feature_columns=["T"]).fit(plain.to_numpy(), mature["churned"])
    with pytest.raises(ValueError, match="sample_weight has 1 negative values"):
        ChurnClassifier().fit(mature, sample_weight=np.r_[-1.0, np.ones(len(mature) - 1)])
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(3,\), expected"):
        ChurnClassifier().fit(mature, sample_weight=[1, 2, 3])
    with pytest.raises(ValueError, match="All sample weights are zero"):
        ChurnClassifier().fit(mature, sample_weight=np.zeros(len(mature)))
    with pytest.raises(ValueError, match="KNeighborsClassifier takes no sample_weight"):
        ChurnClassifier(estimator=KNeighborsClassifier(), calibration=None).fit(
            mature, sample_weight=np.ones(len(mature))
        )
