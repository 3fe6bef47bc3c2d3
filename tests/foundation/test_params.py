"""Parameter rules speak scikit-learn's language."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from custanalytics import _params
from custanalytics._columns import DAYS_PER_UNIT, units_per_year
from custanalytics.exceptions import MissingExtraError


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (_params.integer(1), [1, np.int64(7)], [0, 1.0, True, "1", None]),
        (_params.Number(0, closed="neither"), [1e-9, 3], [0, -1, math.nan, math.inf, True]),
        (_params.Number(0, 1), [0, 1, 0.5], [-0.1, 1.1]),
        (_params.Number(0), [2**1000], [2**1100, -(2**1100), np.timedelta64(3, "D")]),
        (_params.Number(0, 1, closed="left"), [0], [1]),
        (_params.Number(0, 1, closed="right"), [1], [0]),
        (_params.OneOf(("a", "b")), ["a"], ["c", 1, None]),
        (_params.NONE, [None], [0, ""]),
        (_params.BOOLEAN, [True, np.True_], [0, 1]),
        (_params.InstanceOf((int,)), [3], [True, 1.5]),
        (_params.Having(("fit",)), [BaseEstimator.__new__(type("E", (), {"fit": None}))], [object(), dict]),
    ],
)
def test_rules(rule: Any, good: list[Any], bad: list[Any]) -> None:
    assert all(rule.accepts(value) for value in good)
    assert not any(rule.accepts(value) for value in bad)


class Model(BaseEstimator):
    def __init__(self, *, n_bins: Any = 5, share: Any = 0.5) -> None:
        self.n_bins = n_bins
        self.share = share


RULES = {"n_bins": (_params.integer(2),), "share": (_params.Number(0, 1, closed="right"), _params.NONE)}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_bins": 1}, r"The 'n_bins' parameter of Model must be an int in the range \[2, inf\). Got 1 instead."),
        ({"share": 0}, r"The 'share' parameter of Model must be a float in the range \(0, 1\] or an instance of None."),
    ],
)
def test_the_wording(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _params.check_params(Model(**params), RULES)
    _params.check_params(Model(share=None), RULES)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Model, r"Got the class Model and no instance of it, which is Model\(\), instead\."),
        (np.zeros((9, 9)), r"Got a ndarray instead\."),
        ("x" * 500, r"Got a str instead\."),
        ([1, 2], r"Got \[1, 2\] instead\."),
    ],
)
def test_what_was_given_is_told_in_a_few_words(value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        _params.check_value("share", value, (_params.BOOLEAN,), "Model")


@pytest.mark.parametrize("good", [3, [1, 2.5], np.arange(4), [], [[0.5], [np.inf]], [2**70, 1], np.float32(2)])
def test_numbers_of_any_shape_are_floats(good: Any) -> None:
    found = _params.check_values("horizon", good, (_params.Number(0),), "Model.predict")
    np.testing.assert_array_equal(found, np.asarray(good, float), strict=True)


@pytest.mark.parametrize(
    "bad", ["2", ["a"], None, True, [True], 1j, [0, -1], [1, math.nan], [[1, 2], [3]], [2**1100], np.datetime64("2024")]
)
def test_what_are_no_such_numbers_is_refused_by_name(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"The 'horizon' parameter of Model\.predict must be a float in the range"):
        _params.check_values("horizon", bad, (_params.Number(0),), "Model.predict")


def test_offenders_name_the_first_five() -> None:
    bad = np.zeros(4000, bool)
    bad[[3, 5, 7, 9, 11, 13]] = True
    text = _params.offenders(bad, np.arange(4000), "have recency > T")
    assert text == "6 of 4,000 customers have recency > T (first: 3, 5, 7, 9, 11, …)"


def test_a_missing_extra_is_named() -> None:
    with pytest.raises(MissingExtraError, match=r"needs the package 'nowhere'.*custanalytics\[plot\]"):
        _params.require_extra("nowhere.sub", "plot", "Drawing")
    assert _params.require_extra("math", "plot", "Drawing") is math


def test_units() -> None:
    assert units_per_year("M") == 12
    assert units_per_year("W") == pytest.approx(365.25 / 7)
    assert DAYS_PER_UNIT["W"] == 7
