"""How many customers, and how much value, sit in each cell of recency and frequency scores, or in each segment."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from custanalytics import _frames
from custanalytics._params import NONE, TEXT, OneOf, check_value, require_extra
from custanalytics.exceptions import InvalidDataError
from custanalytics.plotting._style import INK, SEQUENTIAL, SMALL, Display, bare, finite, literal, short, spoken
from custanalytics.plotting._treemap import fit_label, squarify

R_SCORE, F_SCORE = "r_score", "f_score"


class RFMDisplay(Display):
    """Heat map of recency score by frequency score, or treemap of segments.

    Made by `from_table`. On the heat map good customers are at the top right; a heavy left column at high frequency
    is the customers to win back. On the treemap the area of a segment is its number of customers, exactly, and the
    colour its value per customer.

    Parameters
    ----------
    counts : ndarray of shape (n_f_scores, n_r_scores) or (n_segments,)
        Customers by frequency score (rows, the lowest first) and recency score (columns); or by segment.
    values : ndarray of the same shape or None
        Total of the value column in each cell, in the currency of the log.
    value_name : str or None
        Name of the value column.
    segments : list of str or None
        Names of the segments, the largest first, for a treemap.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    texts_ : list of list of matplotlib Text, or dict of str to matplotlib Text
        Annotations, as `counts`; of a treemap by segment, those too small for one left out.
    tiles_ : ndarray of shape (n_segments, 4)
        x, y, width and height of each tile of a treemap; their areas are the shares of customers.

    See Also
    --------
    SegmentDisplay : Customers and value of named segments.

    Examples
    --------
    >>> from custanalytics.plotting import RFMDisplay
    >>> display = RFMDisplay.from_table({"r_score": [1, 2, 2, 1], "f_score": [1, 2, 2, 2]})
    >>> display.counts
    array([[1, 0],
           [1, 2]])
    """

    def __init__(
        self,
        *,
        counts: np.ndarray,
        values: np.ndarray | None = None,
        value_name: str | None = None,
        segments: list[str] | None = None,
    ) -> None:
        self.counts = counts
        self.values = values
        self.value_name = value_name
        self.segments = segments

    @classmethod
    def from_table(
        cls, table: Any, *, value: str | None = None, kind: str = "grid", by: str = "segment", ax: Any = None
    ) -> Self:
        """Count the customers in each cell or segment, and draw.

        Parameters
        ----------
        table : frame
            Scored customer table with the columns `r_score` and `f_score`, or for a treemap with segments.
        value : str or None, default=None
            Column to add up; the colour is then value, not customers.
        kind : {"grid", "treemap"}, default="grid"
            The heat map of scores, or the treemap of segments.
        by : str, default="segment"
            Column of the segments, for a treemap.
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        RFMDisplay

        Raises
        ------
        MissingColumnError
            If a column is missing.
        InvalidDataError
            If a score is not a whole number from 1, or there are no customers.
        """
        check_value("kind", kind, (OneOf(("grid", "treemap")),), cls.__name__)
        check_value("value", value, (TEXT, NONE), cls.__name__)
        worth = [] if value is None else [value]
        if kind == "treemap":
            frame = _frames.read(table, [by, *worth], cls.__name__, "Add the segments with RFMSegmenter.")
            if len(frame) == 0:
                raise InvalidDataError(f"{cls.__name__} has no customers to draw: the table has 0 rows.")
            words = ["(none)" if name is None or name != name else str(name) for name in frame[by].to_list()]
            names, cells, sizes = np.unique(np.array(words), return_inverse=True, return_counts=True)
            order = np.argsort(-sizes, kind="stable")
            total = None if value is None else np.bincount(cells, finite(frame, value, cls.__name__))[order]
            return cls(counts=sizes[order], values=total, value_name=value, segments=names[order].tolist()).plot(ax=ax)
        frame = _frames.read(table, [R_SCORE, F_SCORE, *worth], cls.__name__, "Add the scores with RFMScorer.")
        r, f = (_scores(finite(frame, name, cls.__name__), name) for name in (R_SCORE, F_SCORE))
        n_bins = int(max(r.max(), f.max()))
        cells, size = (f - 1) * n_bins + r - 1, n_bins * n_bins
        counts = np.bincount(cells, minlength=size).reshape(n_bins, n_bins)
        values = None
        if value is not None:
            weights = finite(frame, value, cls.__name__)
            values = np.bincount(cells, weights, minlength=size).reshape(n_bins, n_bins)
        return cls(counts=counts, values=values, value_name=value).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the heat map or the treemap.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        self
        """
        if self.segments is not None:
            return self._plot_treemap(self._canvas(ax, 8.4, 5.2))
        return self._plot_grid(self._canvas(ax, 6.6, 5.4))

    def _plot_grid(self, ax: Any) -> Self:
        shown = self.counts if self.values is None else self.values
        n_bins, top = len(shown), max(float(shown.max()), 1e-300)
        edges = np.arange(n_bins + 1) + 0.5
        ax.pcolormesh(edges, edges, shown, cmap=SEQUENTIAL, vmin=0, vmax=1.15 * top, edgecolor="white", linewidth=2)
        share = self.counts / self.counts.sum()
        self.texts_: Any = []
        for row in range(n_bins):
            line = []
            for column in range(n_bins):
                dark = shown[row, column] > 0.7 * top
                line.append(
                    ax.text(
                        column + 1,
                        row + 1,
                        self._words(row, column, share[row, column]),
                        ha="center",
                        va="center",
                        fontsize=SMALL,
                        linespacing=1.4,
                        color="white" if dark else INK,
                    )
                )
            self.texts_.append(line)
        what = "Customers" if self.values is None else spoken(str(self.value_name)).capitalize()
        bare(ax, f"{what} by recency and frequency", "Recency score", "Frequency score", None)
        _ends(ax, n_bins)
        return self

    def _plot_treemap(self, ax: Any) -> Self:
        pyplot = require_extra("matplotlib.pyplot", "plot", type(self).__name__)
        names, share = self.segments or [], self.counts / self.counts.sum()
        box = ax.get_window_extent()
        width, height = box.width * 72 / ax.figure.dpi, box.height * 72 / ax.figure.dpi  # in points
        self.tiles_ = squarify(share, 1.0, height / width) / np.array([1.0, height / width] * 2)
        mean = share if self.values is None else self.values / self.counts
        low, top = min(float(mean.min()), 0.0), float(mean.max())
        depth = (mean - low) / max(top - low, 1e-300)
        labels: dict[str, Any] = {}
        unnamed = []
        for at, (name, (x, y, across, up)) in enumerate(zip(names, self.tiles_, strict=True)):
            color = pyplot.get_cmap(SEQUENTIAL)(0.12 + 0.72 * depth[at])
            ax.add_patch(pyplot.Rectangle((x, y), across, up, facecolor=color, edgecolor="white", linewidth=2))
            lines = [literal(name), f"{int(self.counts[at]):,} · {100 * share[at]:.1f} %"]
            if self.values is not None:
                lines.append(f"{short(float(mean[at]))} each")
            label = fit_label(lines, 0.92 * across * width, 0.92 * up * height)
            if label is None:
                unnamed.append(f"{literal(name)} ({int(self.counts[at]):,})")
                continue
            text, size, rotation = label
            dark = "white" if depth[at] > 0.6 else INK
            place = {"ha": "center", "va": "center", "rotation": rotation, "linespacing": 1.25}
            labels[name] = ax.text(x + across / 2, y + up / 2, "\n".join(text), color=dark, fontsize=size, **place)
        self.texts_ = labels
        what = "" if self.values is None else f", darker by {spoken(str(self.value_name))} per customer"
        note = f"Too small to name: {', '.join(unnamed)}" if unnamed else ""
        bare(ax, "Segments by customers", f"Area: customers{what}" + (f"\n{note}" if note else ""), "", None)
        ax.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        return self

    def _words(self, row: int, column: int, share: float) -> str:
        count = int(self.counts[row, column])
        if not count:
            return "–"
        if self.values is None:
            return f"{count:,}\n{100 * share:.1f} %"
        return f"{short(float(self.values[row, column]))}\n{short(count)} cust."


def _scores(values: np.ndarray, name: str) -> np.ndarray:
    scores = values.astype(np.int64)
    if values.size == 0 or np.any(scores != values) or scores.min() < 1:
        raise InvalidDataError(f"The column {name!r} must hold whole scores from 1, for at least one customer.")
    return scores


def _ends(ax: Any, n_bins: int) -> None:
    ticks = np.arange(1, n_bins + 1)
    low, high = {1: "\n(long ago)", n_bins: "\n(recent)"}, {1: "1\n(rare)", n_bins: f"{n_bins}\n(often)"}
    ax.set_xticks(ticks, [f"{tick}{low.get(int(tick), '')}" for tick in ticks])
    ax.set_yticks(ticks, [high.get(int(tick), str(tick)) for tick in ticks])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_aspect("equal")
