"""The treemap of segments and the picture of their moves: areas, counts, bars and words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot

from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.plotting import MigrationDisplay, RFMDisplay
from custanalytics.plotting._treemap import fit_label, squarify
from custanalytics.rfm import RFMScorer, RFMSegmenter, migration


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30), st.floats(0.2, 5))
def test_tiles_have_exactly_their_areas_and_fill_the_box(sizes: list[float], height: float) -> None:
    weights = np.sort(np.array(sizes))[::-1]
    x, y, across, up = squarify(weights, 1.0, height).T
    np.testing.assert_allclose(across * up, height * weights / weights.sum(), rtol=1e-9)
    assert min(x.min(), y.min()) >= -1e-9
    assert (x + across).max() <= 1 + 1e-9
    assert (y + up).max() <= height * (1 + 1e-9)
    for at in range(weights.size):  # no two overlap
        wide = np.minimum(x + across, x[at] + across[at]) - np.maximum(x, x[at])
        tall = np.minimum(y + up, y[at] + up[at]) - np.maximum(y, y[at])
        both = (wide > 1e-9) & (tall > 1e-9 * height)
        assert both.sum() <= 1


def test_equal_tiles_are_near_square() -> None:
    tiles = squarify(np.ones(12), 4.0, 3.0)
    np.testing.assert_allclose(tiles[:, 2:], 1.0)


def test_labels_shrink_turn_and_give_up() -> None:
    assert fit_label(["Lost", "12"], 500, 500) == (["Lost", "12"], 13.0, 0)
    assert fit_label(["Hibernating", "12"], 20, 200)[2] == 90
    assert fit_label(["Potential Loyalist"], 60, 60)[0] == ["Potential", "Loyalist"]
    assert fit_label(["Hibernating", "1,000 · 9 %"], 70, 16)[0] == ["Hibernating"]
    assert fit_label(["Hibernating"], 12, 12) is None


def segmented() -> pd.DataFrame:
    names = np.repeat(["big", "mid", "a segment of a long name", "tiny"], [700, 290, 9, 1])
    return pd.DataFrame({"segment": names, "total_value": np.repeat([1.0, 5.0, 40.0, 80.0], [700, 290, 9, 1])})


def test_treemap_of_segments(to_frame: Any) -> None:
    display = RFMDisplay.from_table(to_frame(segmented()), value="total_value", kind="treemap")
    assert display.segments == ["big", "mid", "a segment of a long name", "tiny"]
    assert display.counts.tolist() == [700, 290, 9, 1]
    assert display.values.tolist() == [700, 1450, 360, 80]
    np.testing.assert_allclose(display.tiles_[:, 2] * display.tiles_[:, 3], display.counts / 1000)
    assert display.texts_["big"].get_text() == "big\n700 · 70.0 %\n1 each"
    assert "Too small to name: " in display.ax_.get_xlabel()
    assert "tiny (1)" in display.ax_.get_xlabel()
    shades = [patch.get_facecolor()[0] for patch in display.ax_.patches]
    assert shades == sorted(shades, reverse=True)  # more value, darker
    _, ax = pyplot.subplots()
    assert display.plot(ax=ax).ax_ is ax
    ax.figure.canvas.draw()
    plain = RFMDisplay.from_table(segmented().rename(columns={"segment": "tier"}), kind="treemap", by="tier")
    assert plain.texts_["big"].get_text() == "big\n700 · 70.0 %"


def test_labels_lie_inside_their_tiles() -> None:
    display = RFMDisplay.from_table(segmented(), value="total_value", kind="treemap")
    display.figure_.canvas.draw()
    for name, text in display.texts_.items():
        x, y, across, up = display.tiles_[display.segments.index(name)]
        corners = display.ax_.transData.transform([[x, y], [x + across, y + up]])
        box, (low, high) = text.get_window_extent(), (corners.min(axis=0), corners.max(axis=0))
        assert (box.min >= low).all()
        assert (box.max <= high).all()


def moves() -> Any:
    then = pd.DataFrame(
        {"customer_id": np.arange(40), "inactivity": np.arange(40.0), "T": np.arange(40.0) + 60,
         "frequency": np.arange(40) % 9, "monetary_value": np.arange(40.0) * 3}
    )  # fmt: skip
    now = then.assign(T=then["T"] + 10, inactivity=np.where(np.arange(40) % 3, then["inactivity"] + 10, 0.0))
    now = pd.concat([now.iloc[5:], now.iloc[:3].assign(customer_id=[100, 101, 102])])
    rules = RFMSegmenter(rules={"hot": "2*", "cold": "1*"})
    return migration(then, now, scorer=RFMScorer(n_bins=2), segmenter=rules, value=None)


def test_moves_and_their_causes() -> None:
    found = moves()
    display = MigrationDisplay.from_migration(found)
    assert display.figure_ is display.ax_.figure is display.bars_ax_.figure
    words = [[text.get_text() for text in line] for line in display.texts_]
    assert words == [[f"{n:,}" if n else "" for n in line] for line in found.counts.tolist()]
    for cause, bars in display.bars_.items():
        assert [bar.get_width() for bar in bars] == found.components[cause].tolist()
    assert set(display.bars_) == {cause for cause, change in found.components.items() if change.any()}
    assert display.net.tolist() == (found.counts.sum(axis=0)[:-1] - found.counts.sum(axis=1)[:-1]).tolist()
    assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == ["hot", "cold", "(new)"]
    display.figure_.canvas.draw()


@pytest.mark.parametrize("kind", ["both", "matrix", "decomposition"])
def test_on_axes_given(kind: str) -> None:
    _, ax = pyplot.subplots()
    display = MigrationDisplay.from_migration(moves(), kind=kind, ax=ax)
    assert display.ax_ is ax
    assert (display.bars_ax_ is ax) == (kind == "decomposition")
    assert display.ax_.get_title(loc="left")
    assert display.plot(kind=kind).figure_ is not ax.figure


def test_messages() -> None:
    with pytest.raises(InvalidDataError, match="RFMDisplay has no customers to draw"):
        RFMDisplay.from_table(segmented().iloc[:0], kind="treemap")
    with pytest.raises(MissingColumnError, match=r"RFMDisplay needs the columns \['segment'\].*RFMSegmenter"):
        RFMDisplay.from_table({"r_score": [1]}, kind="treemap")
    with pytest.raises(
        ValueError, match=r"The 'kind' parameter of RFMDisplay must be a str among \{'grid', 'treemap'\}"
    ):
        RFMDisplay.from_table(segmented(), kind="pie")
    with pytest.raises(ValueError, match="The 'kind' parameter of MigrationDisplay must be a str among"):
        MigrationDisplay.from_migration(moves(), kind="flow")
    with pytest.raises(ValueError, match="The 'migration' parameter of MigrationDisplay must be an object with"):
        MigrationDisplay.from_migration(pd.DataFrame())
    with pytest.raises(InvalidDataError, match="MigrationDisplay has no customers to draw"):
        MigrationDisplay(segments=("a",), counts=np.zeros((2, 2)), components={"new": np.zeros(1)}).plot()
