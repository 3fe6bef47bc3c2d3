from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import metrics as reference

from custanalytics.exceptions import InvalidDataError
from custanalytics.metrics import calibration_table, expected_calibration_error, total_calibration

LEVELS = st.integers(0, 8).map(lambda k: k / 8)
ROWS = st.lists(st.tuples(st.integers(0, 3), LEVELS), min_size=1, max_size=25)


@given(ROWS, st.integers(1, 12))
def test_the_table_is_the_reference_binning(rows, n_bins):
    y, predictions = zip(*rows, strict=True)
    table = calibration_table(y, predictions, n_bins=n_bins)
    bins = reference.calibration(y, predictions, n_bins)
    assert len(table) == len(bins) <= n_bins
    assert table["weight"].tolist() == [len(rows) for rows in bins]
    assert table["low"].tolist() == [min(predictions[row] for row in rows) for rows in bins]
    assert table["high"].tolist() == [max(predictions[row] for row in rows) for rows in bins]
    observed = [sum(y[row] for row in rows) / len(rows) for rows in bins]
    predicted = [sum(predictions[row] for row in rows) / len(rows) for rows in bins]
    np.testing.assert_allclose(table["observed"], observed)
    np.testing.assert_allclose(table["predicted"], predicted)
    gaps = [len(rows) * abs(o - p) for rows, o, p in zip(bins, observed, predicted, strict=True)]
    assert expected_calibration_error(y, predictions, n_bins=n_bins) == pytest.approx(sum(gaps) / len(y))


@given(ROWS, st.integers(1, 12), st.randoms(use_true_random=False))
def test_row_order_changes_nothing_and_ties_are_never_split(rows, n_bins, rng):
    shuffled = rows.copy()
    rng.shuffle(shuffled)
    first, second = (calibration_table(*zip(*each, strict=True), n_bins=n_bins) for each in (rows, shuffled))
    np.testing.assert_allclose(first, second)
    assert (first["low"].to_numpy()[1:] > first["high"].to_numpy()[:-1]).all()


@given(ROWS, st.integers(1, 6), st.data())
def test_integer_weights_are_repeated_rows(rows, n_bins, data):
    y, predictions = map(np.array, zip(*rows, strict=True))
    weight = np.array(data.draw(st.lists(st.integers(1, 3), min_size=y.size, max_size=y.size)))
    repeated = np.repeat(y, weight), np.repeat(predictions, weight)
    weighted = calibration_table(y, predictions, n_bins=n_bins, sample_weight=weight)
    np.testing.assert_allclose(weighted, calibration_table(*repeated, n_bins=n_bins))
    error = expected_calibration_error(y, predictions, n_bins=n_bins, sample_weight=weight)
    assert error == pytest.approx(expected_calibration_error(*repeated, n_bins=n_bins))


def test_distinct_predictions_fall_in_equal_bins():
    predictions = np.random.default_rng(0).permutation(1000) / 1000
    table = calibration_table(np.zeros(1000), predictions)
    assert table["weight"].tolist() == [100.0] * 10


def test_a_constant_prediction_has_one_bin():
    table = calibration_table([0, 0, 1, 0], [0.25] * 4)
    assert table.to_numpy().tolist() == [[0.25, 0.25, 4.0, 0.25, 0.25]]
    assert expected_calibration_error([0, 0, 1, 0], [0.25] * 4) == 0
    assert total_calibration([0, 0, 1, 0], [0.25] * 4) == 1


def test_a_calibrated_model_errs_by_chance_alone_and_a_biased_one_by_its_bias():
    rng = np.random.default_rng(3)
    chance = rng.uniform(0.1, 0.8, 200_000)
    y = rng.random(chance.size) < chance
    assert expected_calibration_error(y, chance) < 0.006
    assert expected_calibration_error(y, chance + 0.1) == pytest.approx(0.1, abs=0.005)
    assert total_calibration(y, chance / 2) == pytest.approx(2, rel=0.01)


def test_total_calibration_weighs_rows():
    assert total_calibration([1, 4], [2, 2], sample_weight=[3, 1]) == pytest.approx((3 + 4) / (6 + 2))


def test_bad_data_are_named():
    for metric in (calibration_table, expected_calibration_error, total_calibration):
        with pytest.raises(InvalidDataError, match=f"{metric.__name__} needs finite predictions"):
            metric([0, 1], [0.5, np.inf])
        with pytest.raises(InvalidDataError, match="y_true is empty"):
            metric([], [])
    with pytest.raises(InvalidDataError, match="predictions add up to 0"):
        total_calibration([0, 1], [0, 0])
    with pytest.raises(ValueError, match=r"'n_bins' parameter of calibration_table must be an int"):
        calibration_table([0, 1], [0, 1], n_bins=0)
    with pytest.raises(ValueError, match=r"'n_bins' parameter of expected_calibration_error"):
        expected_calibration_error([0, 1], [0, 1], n_bins=2.5)
