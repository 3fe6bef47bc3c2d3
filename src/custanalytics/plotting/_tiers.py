"""How value is spread over tiers of customers."""

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
    spoken,
)

_TALL = 0.12  # a share whose figure fits into its bar


class TierDisplay(Display):
    """Bars of the share of value each tier holds, with the cumulative share as a line.

    Made by `from_table`. The steeper the line starts, the fewer customers carry the business.

    Parameters
    ----------
    tiers : list of str
        Names of the tiers that have customers, in order.
    counts : ndarray of shape (n_tiers,)
        Customers.
    values : ndarray of shape (n_tiers,)
        Total of the value column, in the currency of the log.
    value_name : str
        Name of the value column.
    tier_name : str
        Name of the tier column.

    Attributes
    ----------
    value_share : ndarray of shape (n_tiers,)
        Share of value.
    cumulative_share : ndarray of shape (n_tiers,)
        Share of value of a tier and all before it.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    bars_ : matplotlib BarContainer
        Bars of the shares.
    line_ : matplotlib Line2D
        Line of the cumulative shares.

    See Also
    --------
    GainsDisplay : The same question asked of a prediction.

    Examples
    --------
    >>> from custanalytics.plotting import TierDisplay
    >>> display = TierDisplay.from_table({"value_tier": [1, 2, 2], "total_value": [75.0, 15.0, 10.0]})
    >>> display.value_share
    array([0.75, 0.25])
    >>> display.cumulative_share
    array([0.75, 1.  ])
    """

    def __init__(
        self, *, tiers: list[str], counts: np.ndarray, values: np.ndarray, value_name: str, tier_name: str
    ) -> None:
        self.tiers = tiers
        self.counts = counts
        self.values = values
        self.value_name = value_name
        self.tier_name = tier_name
        self.value_share = shares(values, value_name, type(self).__name__)
        self.cumulative_share = np.cumsum(self.value_share)

    @classmethod
    def from_table(cls, table: Any, *, tier: str = "value_tier", value: str = TOTAL_VALUE, ax: Any = None) -> Self:
        """Add up value by tier, and draw.

        Parameters
        ----------
        table : frame
            Customer table with a column of tiers.
        tier : str, default="value_tier"
            Column of the tiers. Numbers are drawn in ascending order; text, the tier of the highest mean value
            first.
        value : str, default="total_value"
            Column to add up.
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        TierDisplay

        Raises
        ------
        MissingColumnError
            If a column is missing.
        InvalidDataError
            If there are no customers, or their value does not add up to more than zero.
        """
        frame = _frames.read(table, [tier, value], cls.__name__, "Add the tiers with ValueTiers.")
        if len(frame) == 0:
            raise InvalidDataError(f"{cls.__name__} has no customers to draw: the table has 0 rows.")
        numeric = frame[tier].dtype.is_numeric()
        keys = finite(frame, tier, cls.__name__) if numeric else np.array([str(name) for name in frame[tier].to_list()])
        names, codes, counts = np.unique(keys, return_inverse=True, return_counts=True)
        values = np.bincount(codes, finite(frame, value, cls.__name__))
        order = np.arange(len(names)) if numeric else np.argsort(-values / counts, kind="stable")
        return cls(
            tiers=[f"{name:g}" if numeric else str(name) for name in names[order]],
            counts=counts[order],
            values=values[order],
            value_name=value,
            tier_name=tier,
        ).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw bars and line.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        self
        """
        ax = self._canvas(ax)
        at = np.arange(len(self.tiers))
        self.bars_ = ax.bar(at, self.value_share, 0.72, color=BLUE, label=f"Share of {spoken(self.value_name)}")
        words = [f"{100 * share:.0f} %" for share in self.value_share]
        self._label(ax, words)
        (self.line_,) = ax.plot(at, self.cumulative_share, "o-", color=ORANGE, linewidth=2, label="Cumulative")
        tier, value = spoken(self.tier_name), spoken(self.value_name)
        title = f"{tier.capitalize()} {literal(self.tiers[0])} holds {words[0]} of {value}"
        bare(ax, title, f"{tier.capitalize()} (customers)", f"Share of {value}")
        ax.set_xticks(
            at, [f"{literal(name)}\n({count:,})" for name, count in zip(self.tiers, self.counts, strict=True)]
        )
        ax.set_ylim(min(0.0, 1.1 * float(self.value_share.min())), 1.1 * max(1.0, float(self.cumulative_share.max())))
        percent(ax.yaxis)
        ax.legend(frameon=False, loc="center right", labelcolor=INK)
        return self

    def _label(self, ax: Any, words: list[str]) -> None:
        # Inside tall bars, so that the line, which starts at the top of the first, hides no figure.
        for at, (share, text) in enumerate(zip(self.value_share, words, strict=True)):
            tall = share > _TALL
            place = {"xytext": (0, -5 if tall else 4), "textcoords": "offset points", "ha": "center"}
            color, va = ("white", "top") if tall else (INK, "bottom")
            ax.annotate(text, (at, max(share, 0.0)), va=va, color=color, fontsize=SMALL, **place)
