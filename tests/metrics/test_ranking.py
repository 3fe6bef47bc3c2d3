from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.model_selection import cross_val_score
from tests.reference import metrics as reference

from custanalytics.exceptions import InvalidDataError
from custanalytics.metrics import gains_curve, gini_score, lift_curve, lift_score

RANKING = (lift_score, gini_score)
CURVES = (gains_curve, lift_curve)


@st.composite
def ranked(draw, binary=False, max_size=6, levels=3):
    n = draw(st.integers(2, max_size))
    y = draw(st.lists(st.integers(0, 1 if binary else 9), min_size=n, max_size=n))
    scores = draw(st.lists(st.integers(0, levels), min_size=n, max_size=n))
    assume(sum(y) > 0 and len(set(y)) > 1)
    return y, scores


@given(ranked(), st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.9, 1.0]))
def test_lift_is_the_mean_over_all_orders_of_tied_rows(data, fraction):
    y, scores = data
    assert lift_score(y, scores, fraction=fraction) == pytest.approx(float(reference.lift(y, scores, fraction)))


@given(ranked())
def test_gini_is_the_mean_over_all_orders_of_tied_rows(data):
    y, scores = data
    plain, perfect = reference.gini(y, scores), reference.gini(y, y)
    assert gini_score(y, scores, normalize=False) == pytest.approx(float(plain), abs=1e-14)
    assert gini_score(y, scores) == pytest.approx(float(plain / perfect), abs=1e-13)


@given(ranked())
def test_gains_curve_passes_through_the_mean_at_every_distinct_score(data):
    y, scores = data
    fraction, gain, thresholds = gains_curve(y, scores)
    assert thresholds.tolist() == [np.inf, *sorted(set(scores), reverse=True)]
    assert (fraction[0], gain[0], fraction[-1], gain[-1]) == (0, 0, 1, 1)
    for share, found, threshold in zip(fraction, gain, thresholds, strict=True):
        targeted = sum(score >= threshold for score in scores)
        assert share == pytest.approx(targeted / len(y))
        assert found == pytest.approx(float(reference.captured(y, scores, targeted)))


@given(ranked(binary=True, max_size=30, levels=6))
def test_gini_of_labels_is_twice_auc_less_one(data):
    y, scores = data
    assert gini_score(y, scores) == pytest.approx(2 * roc_auc_score(y, scores) - 1, abs=1e-13)
    assert gini_score(y, scores) == pytest.approx(float(reference.pairwise_gini(y, scores)), abs=1e-13)


def test_weighted_gini_agrees_with_weighted_auc():
    rng = np.random.default_rng(0)
    y, scores, weight = rng.integers(2, size=500), rng.integers(20, size=500), rng.random(500)
    wanted = 2 * roc_auc_score(y, scores, sample_weight=weight) - 1
    assert gini_score(y, scores, sample_weight=weight) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_a_constant_score_is_worth_nothing(n):
    y = np.arange(n) % 3 == 0
    for fraction in (0.01, 0.1, 1 / 3, 1.0):
        assert lift_score(y, np.full(n, 0.3), fraction=fraction) == 1.0
    assert gini_score(y, np.zeros(n), normalize=False) == 0.0
    if n > 1:
        assert gini_score(y, np.zeros(n)) == 0.0
    assert lift_curve(y, np.zeros(n))[1].tolist() == [1.0, 1.0]


def test_the_perfect_and_the_reversed_ranking():
    y = np.r_[np.ones(10), np.zeros(90)]
    assert lift_score(y, y) == pytest.approx(10)
    assert lift_score(y, y, fraction=0.05) == pytest.approx(10)
    assert lift_score(y, -y) == 0
    assert gini_score(y, y) == 1
    assert gini_score(y, -y) == pytest.approx(-1)
    spend = np.array([0.0, 5.0, 5.0, 90.0])
    assert gini_score(spend, spend) == 1
    assert gini_score(spend, spend, normalize=False) == pytest.approx((-3 * 0 - 5 + 5 + 3 * 90) / (4 * 100))


@given(ranked(max_size=12), st.randoms(use_true_random=False))
def test_row_order_and_monotone_transforms_change_nothing(data, rng):
    y, scores = map(np.array, data)
    order = list(range(y.size))
    rng.shuffle(order)
    for transform in (lambda s: s, np.exp, lambda s: -1.0 / (s + 1), lambda s: s * 1e-300, lambda s: s**3 - 1e9):
        moved = transform(scores.astype(float))
        for metric in RANKING:
            assert metric(y[order], moved[order]) == pytest.approx(metric(y, scores), abs=1e-13)
        for curve in CURVES:
            for ours, theirs in zip(curve(y[order], moved[order])[:2], curve(y, scores)[:2], strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-13)


@given(ranked(max_size=8), st.data())
def test_integer_weights_are_repeated_rows(data, more):
    y, scores = map(np.array, data)
    weight = np.array(more.draw(st.lists(st.integers(0, 3), min_size=y.size, max_size=y.size)))
    repeated = np.repeat(y, weight), np.repeat(scores, weight)
    assume(np.unique(repeated[0]).size > 1)
    for metric in RANKING:
        assert metric(y, scores, sample_weight=weight) == pytest.approx(metric(*repeated), abs=1e-13)
    for curve in CURVES:
        for ours, theirs in zip(curve(y, scores, sample_weight=weight), curve(*repeated), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-13)


@given(ranked(max_size=12), st.sampled_from([1e-150, 0.01, 7.0, 1e150]))
def test_currency_and_weight_scale_change_nothing(data, scale):
    y, scores = map(np.array, data)
    for metric in RANKING:
        assert metric(y * scale, scores) == pytest.approx(metric(y, scores), abs=1e-13)
        weighted = metric(y, scores, sample_weight=np.full(y.size, scale))
        assert weighted == pytest.approx(metric(y, scores), abs=1e-13)


def test_lift_curve_divides_the_gains_curve():
    rng = np.random.default_rng(1)
    y, scores = rng.random(300), rng.integers(50, size=300)
    fraction, gain, thresholds = gains_curve(y, scores)
    same, lift, again = lift_curve(y, scores)
    np.testing.assert_array_equal(fraction, same)
    np.testing.assert_array_equal(thresholds, again)
    np.testing.assert_allclose(lift[1:], gain[1:] / fraction[1:])
    assert lift[0] == lift[1]
    assert lift[-1] == 1
    for share in fraction[1:]:
        assert lift_score(y, scores, fraction=share) == pytest.approx(np.interp(share, fraction, gain) / share)


def test_infinite_scores_are_ranked():
    assert gini_score([1, 0, 0], [np.inf, 0, -np.inf]) == 1


@pytest.mark.parametrize("kind", [list, tuple, pd.Series, pl.Series, lambda v: np.array(v, ndmin=2).T])
def test_any_array_like_will_do(kind):
    y, scores = [1, 0, 1, 0, 0], [0.9, 0.5, 0.5, 0.1, 0.3]
    assert lift_score(kind(y), kind(scores), fraction=0.4) == pytest.approx(5 / 2 * 0.75)


def test_a_boolean_target_and_a_shifted_pandas_index_will_do():
    y = pd.Series([True, False, True], index=[7, 8, 9])
    assert gini_score(y, pd.Series([3, 2, 1])) == 0


def test_works_as_a_scorer():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(400, 2))
    y = (X[:, 0] + rng.normal(size=400) > 1).astype(int)
    scorer = make_scorer(lift_score, response_method="predict_proba", fraction=0.2)
    assert (cross_val_score(LogisticRegression(), X, y, scoring=scorer) > 1.5).all()


@pytest.mark.parametrize("metric", [*RANKING, *CURVES])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "needs at least one row; y_true is empty"),
        (([0, 1], [0.5]), r"one length; got 2, 1 and 2"),
        (([0, 1], [0.5, np.nan]), r"1 of 2 values of y_score are NaN \(first rows: 1\)"),
        (([np.nan, 1], [1, 2]), r"1 of 2 values of y_true are not finite"),
        (([-1] * 6 + [1], range(7)), r"6 of 7 values of y_true are negative \(first rows: 0, 1, 2, 3, 4, …\)"),
        (([0, 0], [1, 2]), r"undefined: y_true is 0 in every row"),
        ((["a", "b"], [1, 2]), r"needs numbers in y_true. Make labels 0 and 1"),
        (([0, 1], [[0.1, 0.9], [0.2, 0.8]]), r"got the shape \(2, 2\). Take the second column of predict_proba"),
        (([0, 1], np.zeros((2, 1, 1))), r"one-dimensional y_score; got the shape \(2, 1, 1\)\.$"),
    ],
)
def test_bad_data_are_named(metric, arguments, message):
    with pytest.raises(InvalidDataError, match=message):
        metric(*arguments)


@pytest.mark.parametrize("metric", [*RANKING, *CURVES])
@pytest.mark.parametrize(
    ("weight", "message"),
    [([1, -1], "sample_weight are negative or not finite"), ([0, 0], "row of positive weight; got none")],
)
def test_bad_weights_are_named(metric, weight, message):
    with pytest.raises(InvalidDataError, match=message):
        metric([0, 1], [1, 2], sample_weight=weight)


def test_undefined_gini_and_bad_parameters_are_named():
    with pytest.raises(InvalidDataError, match="the same in every row, so every ranking is perfect"):
        gini_score([2, 2], [1, 2])
    assert gini_score([2, 2], [1, 2], normalize=False) == pytest.approx(0)
    with pytest.raises(ValueError, match=r"'normalize' parameter of gini_score must be"):
        gini_score([0, 1], [1, 2], normalize="yes")
    for fraction in (0, 1.1, None):
        with pytest.raises(
            ValueError, match=r"'fraction' parameter of lift_score must be a float in the range \(0, 1\]"
        ):
            lift_score([0, 1], [1, 2], fraction=fraction)
