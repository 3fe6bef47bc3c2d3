"""How many customers, and how much value, sit in each cell of recency and frequency scores."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from custanalytics import _frames
from custanalytics.exceptions import InvalidDataError
from custanalytics.plotting._style import INK, SEQUENTIAL, SMALL, Display, bare, finite, short, spoken

R_SCORE, F_SCORE = "r_score", "f_score"


class RFMDisplay(Display):
    """Heat map of recency score by frequency score.

    Made by `from_table`. Good customers are at the top right; a heavy left column at high frequency is the
    customers to win back.

    Parameters
    ----------
    counts : ndarray of shape (n_bins, n_bins)
        Customers by frequency score (rows, the lowest first) and recency score (columns).
    values : ndarray of shape (n_bins, n_bins) or None
        Total of the value column in each cell, in the currency of the log.
    value_name : str or None
        Name of the value column.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    texts_ : list of list of matplotlib Text
        Annotations, as `counts`.

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

    def __init__(self, *, counts: np.ndarray, values: np.ndarray | None = None, value_name: str | None = None) -> None:
        self.counts = counts
        self.values = values
        self.value_name = value_name

    @classmethod
    def from_table(cls, table: Any, *, value: str | None = None, ax: Any = None) -> Self:
        """Count the customers in each cell, and draw.

        Parameters
        ----------
        table : frame
            Scored customer table with the columns `r_score` and `f_score`.
        value : str or None, default=None
            Column to add up; the colour is then value, not customers.
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
            If a score is not a whole number from 1.
        """
        needed = [R_SCORE, F_SCORE] + ([] if value is None else [value])
        frame = _frames.read(table, needed, cls.__name__, "Add the scores with RFMScorer.")
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
        """Draw the heat map.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        self
        """
        ax = self._canvas(ax, 6.6, 5.4)
        shown = self.counts if self.values is None else self.values
        n_bins, top = len(shown), max(float(shown.max()), 1e-300)
        edges = np.arange(n_bins + 1) + 0.5
        ax.pcolormesh(edges, edges, shown, cmap=SEQUENTIAL, vmin=0, vmax=1.15 * top, edgecolor="white", linewidth=2)
        share = self.counts / self.counts.sum()
        self.texts_ = []
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
