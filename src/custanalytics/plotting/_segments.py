"""Customers and value of each segment, side by side."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from custanalytics import _frames
from custanalytics._columns import TOTAL_VALUE
from custanalytics.exceptions import InvalidDataError
from custanalytics.plotting._style import (
    BLUE,
    INK,
    ORANGE,
    SMALL,
    Display,
    bare,
    finite,
    literal,
    percent,
    shares,
    short,
    spoken,
)


class SegmentDisplay(Display):
    """Bars of each segment's share of customers and of value.

    Made by `from_table`. Where the bar of value is longer than that of customers, the segment is worth more
    than its size.

    Parameters
    ----------
    segments : list of str
        Names, the segment of most value first.
    counts : ndarray of shape (n_segments,)
        Customers.
    values : ndarray of shape (n_segments,) or None
        Total of the value column, in the currency of the log.
    value_name : str or None
        Name of the value column.

    Attributes
    ----------
    customer_share : ndarray of shape (n_segments,)
        Share of customers.
    value_share : ndarray of shape (n_segments,) or None
        Share of value.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    customer_bars_ : matplotlib BarContainer
        Bars of customers.
    value_bars_ : matplotlib BarContainer or None
        Bars of value.

    See Also
    --------
    TierDisplay : Share of value by value tier.

    Examples
    --------
    >>> from custanalytics.plotting import SegmentDisplay
    >>> table = {"segment": ["new", "loyal", "loyal", "new", "new"], "total_value": [5.0, 60.0, 20.0, 10.0, 5.0]}
    >>> display = SegmentDisplay.from_table(table)
    >>> display.segments
    ['loyal', 'new']
    >>> display.value_share
    array([0.8, 0.2])
    """

    def __init__(
        self,
        *,
        segments: list[str],
        counts: np.ndarray,
        values: np.ndarray | None = None,
        value_name: str | None = None,
    ) -> None:
        self.segments = segments
        self.counts = counts
        self.values = values
        self.value_name = value_name
        self.customer_share = counts / counts.sum()
        self.value_share = None if values is None else shares(values, str(value_name), type(self).__name__)

    @classmethod
    def from_table(cls, table: Any, *, by: str = "segment", value: str | None = TOTAL_VALUE, ax: Any = None) -> Self:
        """Add up customers and value by segment, and draw.

        Parameters
        ----------
        table : frame
            Customer table with a column of segments.
        by : str, default="segment"
            Column of the segments: text or numbers.
        value : str or None, default="total_value"
            Column to add up; None draws customers alone.
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        SegmentDisplay

        Raises
        ------
        MissingColumnError
            If a column is missing.
        InvalidDataError
            If there are no customers, or their value does not add up to more than zero.
        """
        needed = [by] if value is None else [by, value]
        frame = _frames.read(table, needed, cls.__name__, "Name the column of the segments with by='...'.")
        if len(frame) == 0:
            raise InvalidDataError(f"{cls.__name__} has no customers to draw: the table has 0 rows.")
        names = ["(none)" if name is None or name != name else str(name) for name in frame[by].to_list()]
        segments, codes, counts = np.unique(np.array(names), return_inverse=True, return_counts=True)
        values = None if value is None else np.bincount(codes, finite(frame, value, cls.__name__))
        order = np.argsort(-(counts if values is None else values), kind="stable")
        return cls(
            segments=segments[order].tolist(),
            counts=counts[order],
            values=None if values is None else values[order],
            value_name=value,
        ).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        self
        """
        ax = self._canvas(ax, 8.0, 1.4 + 0.55 * len(self.segments))
        at, height = np.arange(len(self.segments)), 0.38
        offset = 0.0 if self.value_share is None else height / 2
        self.customer_bars_ = ax.barh(at - offset, self.customer_share, height, color=BLUE, label="Customers")
        self._label(ax, self.customer_bars_, self.customer_share, [f"{count:,}" for count in self.counts])
        self.value_bars_ = None
        if self.values is not None and self.value_share is not None:
            self.value_bars_ = ax.barh(
                at + offset, self.value_share, height, color=ORANGE, label=spoken(str(self.value_name)).capitalize()
            )
            self._label(ax, self.value_bars_, self.value_share, [short(float(value)) for value in self.values])
            ax.legend(
                frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, labelcolor=INK, borderaxespad=0.6
            )
        bare(
            ax,
            "Segments by customers and value" if self.values is not None else "Customers by segment",
            "Share",
            "",
            "x",
        )
        ax.set_yticks(at, [*map(literal, self.segments)])
        ax.tick_params(axis="y", length=0)
        ax.invert_yaxis()
        ax.margins(x=0.14)
        percent(ax.xaxis)
        return self

    def _label(self, ax: Any, bars: Any, share: np.ndarray, figures: list[str]) -> None:
        words = [f"{100 * part:.0f} %  ({figure})" for part, figure in zip(share, figures, strict=True)]
        ax.bar_label(bars, words, padding=4, fontsize=SMALL, color=INK)
