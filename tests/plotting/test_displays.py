"""What is drawn, not how it looks: bars, cells, lines and words."""

from __future__ import annotations

import builtins
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import cbook, pyplot
from matplotlib.text import Text

from custanalytics.exceptions import InvalidDataError, MissingColumnError, MissingExtraError
from custanalytics.plotting import (
    AliveDisplay,
    GainsDisplay,
    MigrationDisplay,
    PurchasesDisplay,
    QualityDisplay,
    RFMDisplay,
    SegmentDisplay,
    TierDisplay,
)
from custanalytics.plotting._style import short
from custanalytics.rfm import migration
from custanalytics.validation import TransactionValidator

SCORED = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c", "d", "e"],
        "r_score": [1, 3, 3, 2, 3],
        "f_score": [1, 2, 2, 1, 3],
        "segment": ["lost", "loyal", "loyal", "lost", "best"],
        "value_tier": [10, 2, 2, 10, 1],
        "usage_tier": ["infrequent", "heavy", "heavy", "infrequent", "moderate"],
        "total_value": [10.0, 200.0, 100.0, 40.0, 650.0],
    }
)


class Model:
    """P(alive) grows with recency and falls with frequency."""

    def predict_alive(self, table: Any) -> np.ndarray:
        self.asked = table
        return np.asarray(table["recency"] / table["T"] / table["frequency"])


def drawings() -> dict[str, Callable[..., Any]]:
    return {
        "rfm": lambda **to: RFMDisplay.from_table(SCORED, **to),
        "rfm value": lambda **to: RFMDisplay.from_table(SCORED, value="total_value", **to),
        "segments": lambda **to: SegmentDisplay.from_table(SCORED, **to),
        "tiers": lambda **to: TierDisplay.from_table(SCORED, **to),
        "alive": lambda **to: AliveDisplay.from_predictions([0.1, 0.9], **to),
        "map": lambda **to: AliveDisplay.from_estimator(Model(), **to),
        "purchases": lambda **to: PurchasesDisplay.from_predictions([1, 2], [1, 3], [0, 1], **to),
        "gains": lambda **to: GainsDisplay.from_predictions([1, 0], [0.7, 0.1], **to),
    }


@pytest.mark.parametrize("name", drawings())
def test_every_display_draws_on_a_figure_of_its_own_or_on_axes_given(name: str) -> None:
    draw = drawings()[name]
    display = draw()
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_title(loc="left")
    display.figure_.canvas.draw()
    _, ax = pyplot.subplots()
    assert display.plot(ax=ax) is display
    assert display.ax_ is ax
    assert draw(ax=ax).figure_ is ax.figure
    ax.figure.canvas.draw()


@pytest.mark.parametrize("name", [name for name in drawings() if name != "map"])
def test_axes_say_what_they_measure(name: str) -> None:
    ax = drawings()[name]().ax_
    assert ax.get_xlabel()
    assert ax.get_ylabel() or name == "segments"  # its ticks are the names of the segments


def test_rfm_counts_and_words() -> None:
    display = RFMDisplay.from_table(SCORED)
    assert display.counts.tolist() == [[1, 1, 0], [0, 0, 2], [0, 0, 1]]
    words = [[text.get_text() for text in line] for line in display.texts_]
    assert words[0] == ["1\n20.0 %", "1\n20.0 %", "–"]
    assert words[1][2] == "2\n40.0 %"
    assert [tick.get_text() for tick in display.ax_.get_xticklabels()] == ["1\n(long ago)", "2", "3\n(recent)"]


def test_rfm_value() -> None:
    display = RFMDisplay.from_table(SCORED, value="total_value")
    assert display.values.tolist() == [[10, 40, 0], [0, 0, 300], [0, 0, 650]]
    assert display.texts_[1][2].get_text() == "300\n2 cust."
    assert display.ax_.collections[0].get_array().ravel().tolist() == display.values.ravel().tolist()
    assert display.ax_.get_title(loc="left") == "Total value by recency and frequency"


def test_segments_by_customers_and_value() -> None:
    display = SegmentDisplay.from_table(SCORED)
    assert display.segments == ["best", "loyal", "lost"]
    assert display.counts.tolist() == [1, 2, 2]
    assert [bar.get_width() for bar in display.customer_bars_] == [0.2, 0.4, 0.4]
    assert [bar.get_width() for bar in display.value_bars_] == pytest.approx([0.65, 0.3, 0.05])
    assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == display.segments
    assert {"20 %  (1)", "65 %  (650)"} <= {text.get_text() for text in display.ax_.texts}


def test_segments_by_customers_alone_and_those_without_one() -> None:
    table = pd.DataFrame({"cluster": [0, 2, 2], "segment": ["x", None, None]})
    display = SegmentDisplay.from_table(table, by="cluster", value=None)
    assert (display.segments, display.counts.tolist(), display.value_bars_) == (["2", "0"], [2, 1], None)
    assert SegmentDisplay.from_table(table, value=None).segments == ["(none)", "x"]


def test_tiers_and_their_cumulative_share() -> None:
    display = TierDisplay.from_table(SCORED)
    assert display.tiers == ["1", "2", "10"]
    assert [bar.get_height() for bar in display.bars_] == pytest.approx([0.65, 0.3, 0.05])
    assert display.line_.get_ydata().tolist() == pytest.approx([0.65, 0.95, 1.0])
    assert display.ax_.get_title(loc="left") == "Value tier 1 holds 65 % of total value"
    assert [text.get_text() for text in display.ax_.texts] == ["65 %", "30 %", "5 %"]
    assert display.ax_.get_xticklabels()[2].get_text() == "10\n(2)"


def test_named_tiers_are_ordered_by_mean_value() -> None:
    assert TierDisplay.from_table(SCORED, tier="usage_tier").tiers == ["moderate", "heavy", "infrequent"]


def test_tiers_with_refunds_stay_in_view() -> None:
    display = TierDisplay.from_table({"value_tier": [1, 2], "total_value": [12.0, -2.0]})
    low, high = display.ax_.get_ylim()
    assert low < -0.2 < 1.2 < high


def test_alive_histogram() -> None:
    display = AliveDisplay.from_predictions([0.0, 0.1, 0.26, 1.0], bins=4)
    assert [bar.get_height() for bar in display.bars_] == [2, 1, 0, 1]
    assert display.ax_.texts[0].get_text() == "mean 34 %"
    display.plot(bins=2)
    assert [bar.get_height() for bar in display.bars_] == [3, 1]


def test_alive_map_asks_for_possible_histories_only() -> None:
    model = Model()
    display = AliveDisplay.from_estimator(model, max_frequency=3, T=39, time_unit="W")
    assert (model.asked["frequency"] >= 1).all()
    assert (model.asked["recency"] > 0).all()
    assert model.asked["recency"].max() == 39
    assert (model.asked["T"] == 39).all()
    assert display.recency.tolist() == list(range(1, 40))
    assert display.p_alive.shape == (3, 39)
    assert display.p_alive[1, 12] == pytest.approx(13 / 39 / 2)
    assert display.mesh_.get_array().ravel().tolist() == display.p_alive.ravel().tolist()
    assert display.ax_.get_xlabel() == "Recency: weeks from first to last purchase"
    assert AliveDisplay.from_estimator(model, max_frequency=1, T=400.0).p_alive.shape == (1, 52)


def test_purchases_by_frequency() -> None:
    display = PurchasesDisplay.from_predictions([0, 2, 1, 9, 5], [1, 1, 2, 4, 6], [0, 0, 2, 3, 8], max_frequency=3)
    assert display.frequency.tolist() == [0, 2, 3]
    assert display.counts.tolist() == [2, 1, 2]
    assert display.actual_line_.get_ydata().tolist() == [1, 1, 7]
    assert display.expected_line_.get_ydata().tolist() == [1, 2, 5]
    labels = [tick.get_text() for tick in display.ax_.get_xticklabels()]
    assert labels == ["0\n(2)", "2\n(1)", "3+\n(2)"]
    assert not PurchasesDisplay.from_predictions([1], [1], [3], max_frequency=3).open_ended


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=25).filter(
        lambda rows: any(outcome for outcome, _ in rows)
    )
)
def test_gains_are_the_mean_over_all_orders_of_the_ties(rows: list[tuple[int, int]]) -> None:
    outcome, score = (np.array(side, float) for side in zip(*rows, strict=True))
    display = GainsDisplay.from_predictions(outcome, score)
    pyplot.close("all")
    for taken in range(len(rows) + 1):
        wanted, left = 0.0, float(taken)
        for value in sorted(set(score), reverse=True):  # a tie enters in proportion
            tied = outcome[score == value]
            part = min(1.0, left / tied.size)
            wanted, left = wanted + part * tied.sum(), left - part * tied.size
        got = np.interp(taken / len(rows), display.customer_share, display.outcome_share)
        assert got == pytest.approx(wanted / outcome.sum())
    assert np.all(np.interp(display.customer_share, *display.perfect) >= display.outcome_share - 1e-12)


def test_gains_share_axes() -> None:
    outcome = [3, 0, 1, 0, 0]
    first = GainsDisplay.from_predictions(outcome, [5, 4, 3, 2, 1], name="A")
    second = GainsDisplay.from_predictions(outcome, [1, 2, 3, 4, 5], name="B", ax=first.ax_)
    labels = [text.get_text() for text in second.ax_.get_legend().get_texts()]
    assert labels == [
        "Perfect foresight",
        "Random order",
        "A: 75 % in the first 20 %",
        "B: 0 % in the first 20 %",
    ]
    assert first.line_.get_color() != second.line_.get_color()
    assert first.line_.get_ydata().tolist() == [0, 0.75, 0.75, 1, 1, 1]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (7, "7"),
        (99.4, "99"),
        (847, "847"),
        (999.9, "1.0k"),
        (12_400, "12.4k"),
        (117_960, "118k"),
        (-3.14e6, "-3.1M"),
        (2e9, "2.0bn"),
    ],
)
def test_numbers_are_short(number: float, words: str) -> None:
    assert short(number) == words


@pytest.mark.parametrize("draw", [RFMDisplay.from_table, SegmentDisplay.from_table, TierDisplay.from_table])
def test_any_library_and_nothing_changed(draw: Any, to_frame: Callable[[pd.DataFrame], Any]) -> None:
    before = SCORED.copy(deep=True)
    found, wanted = draw(to_frame(SCORED)), draw(SCORED)
    assert found.counts.tolist() == wanted.counts.tolist()
    pd.testing.assert_frame_equal(SCORED, before)


def test_displays_pickle() -> None:
    display = TierDisplay(
        tiers=["1"], counts=np.array([1]), values=np.array([2.0]), value_name="v", tier_name="value_tier"
    )
    assert pickle.loads(pickle.dumps(display)).plot().value_share.tolist() == [1.0]


def test_messages_about_tables() -> None:
    with pytest.raises(MissingColumnError, match=r"RFMDisplay needs the columns \['f_score'\].*RFMScorer"):
        RFMDisplay.from_table(SCORED.drop(columns="f_score"))
    with pytest.raises(InvalidDataError, match="'r_score' must hold whole scores from 1"):
        RFMDisplay.from_table(SCORED.assign(r_score=0))
    with pytest.raises(InvalidDataError, match="'f_score' must hold whole scores from 1"):
        RFMDisplay.from_table(SCORED.assign(f_score=1.5))
    with pytest.raises(InvalidDataError, match=r"1 of 5 customers have a missing or infinite total_value \(first: c\)"):
        SegmentDisplay.from_table(SCORED.assign(total_value=[1.0, 2.0, np.nan, 4.0, 5.0]))
    for empty in (SegmentDisplay, TierDisplay):
        with pytest.raises(InvalidDataError, match=f"{empty.__name__} has no customers to draw"):
            empty.from_table(SCORED.iloc[:0])
        with pytest.raises(InvalidDataError, match=f"is 0: {empty.__name__} cannot draw shares of it"):
            empty.from_table(SCORED.assign(total_value=0.0))


def test_messages_about_arrays() -> None:
    with pytest.raises(ValueError, match="takes 'p_alive' as a one-dimensional array that is not empty"):
        AliveDisplay.from_predictions([])
    with pytest.raises(InvalidDataError, match=r"'p_alive' must hold probabilities; they go from 0.5 to 1.5"):
        AliveDisplay.from_predictions([0.5, 1.5])
    with pytest.raises(ValueError, match=r"an object with predict_alive\(\)"):
        AliveDisplay.from_estimator("model")
    with pytest.raises(ValueError, match="'T' parameter of AliveDisplay must be a float"):
        AliveDisplay.from_estimator(Model(), T=0)
    with pytest.raises(ValueError, match="'time_unit' parameter of AliveDisplay must be a str among"):
        AliveDisplay.from_estimator(Model(), time_unit="w")
    with pytest.raises(ValueError, match=r"takes arrays of one length.*got actual 1, expected 2, frequency 1"):
        PurchasesDisplay.from_predictions([1], [1, 2], [1])
    with pytest.raises(InvalidDataError, match=r"1 of 2 values of 'y_score' are missing or infinite \(first at 1\)"):
        GainsDisplay.from_predictions([1, 0], [1, np.nan])
    for outcome in ([0, 0], [2, -1]):
        with pytest.raises(InvalidDataError, match="none is negative and one is positive"):
            GainsDisplay.from_predictions(outcome, [1, 2])


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def broken(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(MissingExtraError, match=r"TierDisplay needs the package 'matplotlib'.*custanalytics\[plot\]"):
        TierDisplay.from_table(SCORED)


def test_matplotlib_is_imported_at_the_first_drawing() -> None:
    code = "import sys, custanalytics.plotting; assert not any(m.startswith('matplotlib') for m in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


DOLLARS = ["$10-$20", r"$\frac{$", "over $20 ($)", "$"]


def named_in_dollars() -> dict[str, Callable[[], Any]]:
    names = DOLLARS * 3
    table = pd.DataFrame({"customer_id": range(12), "segment": names, "total_value": np.arange(1.0, 13), "$v$": 1.0})
    log = pd.DataFrame({"customer_id": [1, 2], "timestamp": "2024-01-01", "amount": [1.0, 2.0]})
    validator = TransactionValidator(custom_rules={name: lambda log: [True, False] for name in DOLLARS})
    validator.fit(log).transform(log)
    moves = migration(table, table.assign(segment=names[::-1]), by="segment")
    return {
        "segments": lambda: SegmentDisplay.from_table(table, value="$v$"),
        "treemap": lambda: RFMDisplay.from_table(table, kind="treemap", value="$v$"),
        "tiers": lambda: TierDisplay.from_table(table, tier="segment"),
        "migration": lambda: MigrationDisplay.from_migration(moves),
        "quality": lambda: QualityDisplay.from_report(validator.report_),
        "together": lambda: QualityDisplay.from_report(validator.report_, kind="together"),
        "gains": lambda: GainsDisplay.from_predictions(np.arange(5.0), np.arange(5.0), name="$a$"),
    }


@pytest.mark.parametrize("kind", ["segments", "treemap", "tiers", "migration", "quality", "together", "gains"])
def test_dollar_signs_in_names_are_no_mathematics(kind: str) -> None:
    figure = named_in_dollars()[kind]().figure_
    figure.canvas.draw()
    words = [text.get_text() for text in figure.findobj(Text)]
    assert [word for word in words if "$" in word]
    assert not [word for word in words if cbook.is_math_text(word)]
