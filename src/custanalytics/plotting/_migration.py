"""Who moved from which segment to which, and what moved them."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from custanalytics._params import Having, OneOf, check_value, require_extra
from custanalytics.exceptions import InvalidDataError
from custanalytics.plotting._style import GREY, INK, SEQUENTIAL, SERIES, SMALL, Display, bare, literal

COLORS = {
    "gone": "#5B6770",
    "moved": SERIES[0],
    "ageing": SERIES[1],
    "behaviour": SERIES[0],
    "new": SERIES[2],
    "thresholds": SERIES[3],
}


class MigrationDisplay(Display):
    """Heat map of moves between segments, beside bars of what made each segment grow or shrink.

    Made by `from_migration`. A row of the map says where the customers of a segment went: the darker, the larger
    the part of the row. Those who stayed are framed. A bar to the right is gain, to the left loss; the dot is their
    sum.

    Parameters
    ----------
    segments : sequence of str
        Names of the segments.
    counts : ndarray of shape (n_segments + 1, n_segments + 1)
        Customers by segment then (rows; the last is new customers) and now (columns; the last is those gone).
    components : dict of str to ndarray of shape (n_segments,)
        Change of each segment's customers by cause.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the heat map, or of the bars where they are drawn alone.
    bars_ax_ : matplotlib Axes or None
        Axes of the bars.
    figure_ : matplotlib Figure
        Figure of the axes.
    texts_ : list of list of matplotlib Text
        Counts on the map, as `counts`.
    bars_ : dict of str to matplotlib BarContainer
        Bars of each cause.

    See Also
    --------
    SegmentDisplay : Customers and value of segments at one date.

    Examples
    --------
    >>> from custanalytics.plotting import MigrationDisplay
    >>> from custanalytics.rfm import migration
    >>> then = {"customer_id": [1, 2, 3], "tier": ["low", "high", "low"]}
    >>> now = {"customer_id": [1, 2, 4], "tier": ["high", "high", "low"]}
    >>> display = MigrationDisplay.from_migration(migration(then, now, by="tier", value=None))
    >>> display.net
    array([ 1, -1])
    """

    def __init__(self, *, segments: Any, counts: np.ndarray, components: dict[str, np.ndarray]) -> None:
        self.segments = segments
        self.counts = counts
        self.components = components

    @property
    def net(self) -> np.ndarray:
        """Change of each segment's customers: shape (n_segments,)."""
        return np.sum(list(self.components.values()), axis=0)

    @classmethod
    def from_migration(cls, migration: Any, *, kind: str = "both", ax: Any = None) -> Self:
        """Draw what ``custanalytics.rfm.migration`` found.

        Parameters
        ----------
        migration : Migration
            Moves between segments.
        kind : {"both", "matrix", "decomposition"}, default="both"
            The heat map, the bars, or both side by side.
        ax : matplotlib Axes or None
            Axes to draw on; "both" then draws the heat map alone. A new figure if None.

        Returns
        -------
        MigrationDisplay

        Raises
        ------
        InvalidDataError
            If there are no customers.
        """
        check_value("migration", migration, (Having(("segments", "counts", "components")),), cls.__name__)
        display = cls(segments=migration.segments, counts=migration.counts, components=migration.components)
        return display.plot(kind=kind, ax=ax)

    def plot(self, *, kind: str = "both", ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        kind : {"both", "matrix", "decomposition"}, default="both"
            What to draw.
        ax : matplotlib Axes or None
            Axes to draw on; "both" then draws the heat map alone. A new figure if None.

        Returns
        -------
        self
        """
        check_value("kind", kind, (OneOf(("both", "matrix", "decomposition")),), type(self).__name__)
        if self.counts.sum() == 0:
            raise InvalidDataError(f"{type(self).__name__} has no customers to draw.")
        n, self.bars_ax_ = len(self.segments), None
        self.bars_: dict[str, Any] = {}
        self.texts_: list[list[Any]] = []
        if kind == "both" and ax is None:
            pyplot = require_extra("matplotlib.pyplot", "plot", type(self).__name__)
            width = max(5.0, 2.6 + 0.62 * n)
            figure, (left, right) = pyplot.subplots(
                1, 2, figsize=(width + 5.2, 2.6 + 0.42 * n), layout="constrained", width_ratios=(width, 5.2)
            )
            figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
            self.ax_, self.figure_ = left, figure
            self._draw_matrix(left)
            self._draw_bars(right)
        elif kind == "decomposition":
            self._draw_bars(self._canvas(ax, 7.0, 2.2 + 0.42 * n))
        else:
            self._draw_matrix(self._canvas(ax, max(5.0, 2.6 + 0.62 * n), 2.6 + 0.42 * n))
        return self

    def _draw_matrix(self, ax: Any) -> None:
        n = len(self.segments)
        sums = self.counts.sum(axis=1, keepdims=True)
        shares = np.divide(self.counts, sums, out=np.zeros(self.counts.shape), where=sums > 0)
        edges = np.arange(n + 2) - 0.5
        ax.pcolormesh(edges, edges, shares, cmap=SEQUENTIAL, vmin=0, vmax=1.1, edgecolor="white", linewidth=1.5)
        for row in range(n + 1):
            line = []
            for column in range(n + 1):
                count = int(self.counts[row, column])
                color = "white" if shares[row, column] > 0.6 else INK
                weight = "bold" if row == column and row < n else "normal"
                text = ax.text(column, row, f"{count:,}" if count else "", ha="center", va="center", color=color)
                text.set(fontsize=SMALL - (n > 8), fontweight=weight)
                line.append(text)
            self.texts_.append(line)
            if row < n:
                frame = {"fill": False, "edgecolor": INK, "linewidth": 1.2}
                ax.add_patch(_rectangle(row - 0.47, row - 0.47, 0.94, **frame))
        bare(ax, "Where the customers went", "Segment now", "Segment then", None)
        names = [*map(literal, self.segments)]
        ax.set_xticks(range(n + 1), [*names, "(gone)"], rotation=45, ha="right", rotation_mode="anchor")
        ax.set_yticks(range(n + 1), [*names, "(new)"])
        ax.invert_yaxis()
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)

    def _draw_bars(self, ax: Any) -> None:
        self.bars_ax_ = ax
        at, n = np.arange(len(self.segments)), len(self.segments)
        right, left = np.zeros(n), np.zeros(n)
        for cause, change in self.components.items():
            if not change.any():
                continue
            gain, loss = np.maximum(change, 0), np.minimum(change, 0)
            start = np.where(change > 0, right, left)
            self.bars_[cause] = ax.barh(at, change, 0.62, left=start, color=COLORS.get(cause, GREY), label=cause)
            right, left = right + gain, left + loss
        ax.plot(
            self.net,
            at,
            "o",
            color="white",
            markeredgecolor=INK,
            markeredgewidth=1.4,
            markersize=7,
            label="sum of them",
        )
        for place, net in zip(at, self.net, strict=True):
            where = {"textcoords": "offset points", "xytext": (8, 0), "va": "center"}
            ax.annotate(
                f"{int(net):+,}".replace("-", "−") if net else "0",
                (right[place], place),
                fontsize=SMALL,
                color=INK,
                **where,
            )
        ax.axvline(0, color=INK, linewidth=0.8)
        bare(ax, "What made it so", "Change in customers", "", "x")
        ax.set_yticks(at, [*map(literal, self.segments)])
        ax.set_ylim(n - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.margins(x=0.14)
        ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, labelcolor=INK)


def _rectangle(x: float, y: float, size: float, **style: Any) -> Any:
    patches = require_extra("matplotlib.patches", "plot", "MigrationDisplay")
    return patches.Rectangle((x, y), size, size, **style)
