from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.reference import metrics as reference

from custanalytics.exceptions import InvalidDataError
from custanalytics.metrics import expected_maximum_profit, expected_profit_fraction

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text())["empc"]
DEFAULTS = {"clv": 200.0, "incentive": 10.0, "contact": 1.0, "alpha": 6.0, "beta": 14.0}
METRICS = (expected_maximum_profit, expected_profit_fraction)


@st.composite
def churn(draw, max_size=10, levels=4):
    n = draw(st.integers(2, max_size))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    scores = draw(st.lists(st.integers(0, levels), min_size=n, max_size=n))
    assume(0 < sum(y) < n)
    return np.array(y), np.array(scores)


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_published_values(case):
    assert expected_maximum_profit(case["y"], case["score"]) == pytest.approx(case["profit"], rel=1e-13)
    if case["fraction"] is not None:
        assert expected_profit_fraction(case["y"], case["score"]) == pytest.approx(case["fraction"], rel=1e-12)


@pytest.mark.parametrize("costs", [{}, {"clv": 40.0, "incentive": 15.0, "contact": 0.5, "alpha": 2.0, "beta": 3.0}])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_the_integral_of_the_best_threshold(seed, costs):
    rng = np.random.default_rng(seed)
    y, scores = rng.permutation([1, 1, 1, 0, 0, 0, 0, 0]).tolist(), rng.integers(5, size=8).tolist()
    profit, fraction = reference.empc(y, scores, **(DEFAULTS | costs))
    assert expected_maximum_profit(y, scores, **costs) == pytest.approx(profit, rel=1e-6)
    assert expected_profit_fraction(y, scores, **costs) == pytest.approx(fraction, rel=1e-4)


@given(churn())
def test_never_below_the_profit_at_the_mean_nor_below_zero(data):
    y, scores = data
    best, _ = reference.best_campaign(y.tolist(), scores.tolist(), 0.3, 200.0, 10.0, 1.0)
    profit = expected_maximum_profit(y, scores)
    assert profit >= best - 1e-12
    assert profit >= 0
    assert 0 <= expected_profit_fraction(y, scores) <= 1
    assert profit <= expected_maximum_profit(y, y) + 1e-12


@given(churn(), st.randoms(use_true_random=False))
def test_row_order_and_monotone_transforms_change_nothing(data, rng):
    y, scores = data
    order = list(range(y.size))
    rng.shuffle(order)
    for metric in METRICS:
        assert metric(y[order], np.exp(scores[order])) == pytest.approx(metric(y, scores), rel=1e-12)


@settings(max_examples=25)
@given(churn(), st.data())
def test_integer_weights_are_repeated_rows(data, more):
    y, scores = data
    weight = np.array(more.draw(st.lists(st.integers(0, 3), min_size=y.size, max_size=y.size)))
    repeated = np.repeat(y, weight), np.repeat(scores, weight)
    assume(np.unique(repeated[0]).size > 1)
    for metric in METRICS:
        assert metric(y, scores, sample_weight=weight) == pytest.approx(metric(*repeated), rel=1e-12)


def test_money_scales():
    y, scores = [1, 0, 0, 1], [0.7, 0.6, 0.1, 0.5]
    cents = expected_maximum_profit(y, scores, clv=20_000.0, incentive=1000.0, contact=100.0)
    assert cents == pytest.approx(100 * expected_maximum_profit(y, scores))


def test_free_campaigns_reach_all_churners_and_hopeless_ones_nobody():
    y, scores = [1, 0, 0, 1], [4, 3, 2, 1]
    assert expected_maximum_profit(y, scores, incentive=0, contact=0) == pytest.approx(0.5 * 200 * 0.3)
    assert expected_maximum_profit(y, scores, contact=1000) == 0
    assert expected_profit_fraction(y, scores, contact=1000) == 0


def test_bad_data_are_named():
    for metric in METRICS:
        name = metric.__name__
        with pytest.raises(InvalidDataError, match=f"{name} is undefined: y_true is 0 in every row"):
            metric([0, 0], [1, 2])
        with pytest.raises(InvalidDataError, match=f"{name} is undefined: y_true is 1 in every row"):
            metric([1, 1], [1, 2])
        with pytest.raises(InvalidDataError, match="1 of 2 values of y_true are neither 0 nor 1"):
            metric([1, 2], [1, 2])
        for wrong in ({"clv": 0}, {"incentive": 200.0}, {"contact": -1}, {"alpha": 0}, {"beta": np.nan}):
            with pytest.raises(ValueError, match=rf"'{next(iter(wrong))}' parameter of {name} must be a float"):
                metric([0, 1], [1, 2], **wrong)
