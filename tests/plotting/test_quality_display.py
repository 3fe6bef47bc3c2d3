"""What QualityDisplay draws: scores of the rules that are broken, and rows that break two together."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from custanalytics.exceptions import InvalidDataError
from custanalytics.plotting import QualityDisplay
from custanalytics.validation import TransactionValidator

LOG = pd.DataFrame(
    {
        "customer_id": ["a", "b", "guest", " c", "guest", "d"],
        "timestamp": ["2024-01-05", "2024-01-06", "2024-02-01", "2024-02-02", "2024-04-01", None],
        "amount": [5.0, None, 3.0, 4.0, None, 1.0],
    }
)


@pytest.fixture
def validator() -> TransactionValidator:
    validator = TransactionValidator(as_of="2024-12-31").fit(LOG)
    validator.transform(LOG)
    return validator


def words(display: Any) -> list[str]:
    return [text.get_text() for text in display.texts_]


def test_scores_over_time(validator: TransactionValidator) -> None:
    display = QualityDisplay.from_report(validator.report_)
    assert display.columns == ["2024-01", "2024-02", "2024-04"]
    assert display.rules == ["score", "placeholder_customer", "missing_amount", "untidy_customer_id"]
    assert display.values.tolist() == [[0.5, 0.25, 0.0], [1, 0.5, 0], [0.5, 1, 0], [1, 0.5, 1]]
    assert words(display)[:3] == ["50.0", "25.0", "0"]
    drawn = display.ax_.collections[0].get_array().reshape(display.values.shape)
    assert np.array_equal(drawn, 1 - display.values)
    assert [tick.get_text() for tick in display.ax_.get_yticklabels()][:2] == ["overall score", "placeholder customer"]
    assert display.ax_.get_ylim()[0] > display.ax_.get_ylim()[1]  # the overall score is on top
    assert QualityDisplay.from_report(validator.report_, period="Q").columns == ["2024-01-01", "2024-04-01"]


def test_rows_that_break_two_rules(validator: TransactionValidator) -> None:
    display = QualityDisplay.from_report(validator.report_, kind="together")
    names = ["placeholder_customer", "missing_timestamp", "missing_amount", "untidy_customer_id"]
    assert display.rules == display.columns == names
    assert display.values.tolist() == [[2, 0, 1, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 1]]
    assert words(display)[:3] == ["2", "–", "1"]


@pytest.mark.parametrize("kind", ["time", "together"])
def test_the_convention(validator: TransactionValidator, kind: str) -> None:
    display = QualityDisplay.from_validator(validator, kind=kind)
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_title(loc="left")
    display.figure_.canvas.draw()
    _, ax = pyplot.subplots()
    assert display.plot(ax=ax) is display
    assert display.ax_ is ax
    assert QualityDisplay.from_validator(validator, LOG, kind=kind, ax=ax).ax_ is ax
    fresh = QualityDisplay(values=display.values, rules=display.rules, columns=display.columns, kind=kind)
    assert pickle.loads(pickle.dumps(fresh)).rules == display.rules


def test_many_periods_have_no_figures_and_few_ticks() -> None:
    log = pd.DataFrame(
        {"customer_id": "a", "timestamp": pd.date_range("2022-01-01", periods=40, freq="MS"), "amount": 1.0}
    )
    log.loc[3, "amount"] = np.nan
    validator = TransactionValidator().fit(log)
    validator.transform(log)
    display = QualityDisplay.from_report(validator.report_)
    assert (display.values.shape, display.texts_) == ((2, 40), [])
    assert len(display.ax_.get_xticks()) == 10
    display.figure_.canvas.draw()


def test_a_score_just_below_one_is_no_hundred() -> None:
    display = QualityDisplay(values=np.array([[0.99999, 1.0, np.nan, 0.0]]), rules=["score"], columns=list("abcd"))
    assert words(display.plot()) == ["99.9", "100", "", "0"]


def test_a_log_without_a_fault_is_drawn_in_one_colour() -> None:
    log = LOG.iloc[:1]
    validator = TransactionValidator().fit(log)
    validator.transform(log)
    display = QualityDisplay.from_report(validator.report_)
    assert (display.rules, display.values.tolist()) == (["score"], [[1.0]])
    display.figure_.canvas.draw()
    with pytest.raises(InvalidDataError, match="nothing to draw: no row breaks a rule"):
        QualityDisplay.from_report(validator.report_, kind="together")


@pytest.mark.filterwarnings("ignore:All 1 rows are quarantined")
def test_what_cannot_be_drawn(validator: TransactionValidator) -> None:
    with pytest.raises(ValueError, match=r"an object with quality_over_time\(\), cooccurrence\(\)"):
        QualityDisplay.from_report(LOG)
    with pytest.raises(ValueError, match="The 'kind' parameter of QualityDisplay must be a str among"):
        QualityDisplay.from_report(validator.report_, kind="pie")
    with pytest.raises(ValueError, match="needs a validator with a report_: call transform first"):
        QualityDisplay.from_validator(TransactionValidator())
    with pytest.raises(InvalidDataError, match="no row has a usable time"):
        QualityDisplay.from_validator(validator, LOG.iloc[5:])
