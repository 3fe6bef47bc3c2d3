"""How much of what happened a prediction puts first."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from custanalytics.exceptions import InvalidDataError
from custanalytics.plotting._style import GREY, INK, SERIES, Display, bare, literal, numbers, percent, same_length

_TOP = 0.2
_CURVE = "gains"  # marks curves, so that the next one on the same axes takes the next colour


def gains_curve(y_true: np.ndarray, y_score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of customers and of outcome above each score, from (0, 0) to (1, 1).

    Customers of equal score enter together. Between two points the curve is straight, which is what it is on
    average if ties are broken at random.
    """
    scores, codes, counts = np.unique(-y_score, return_inverse=True, return_counts=True)
    gained = np.bincount(codes, y_true, minlength=scores.size)
    customers = np.cumsum(counts) / y_score.size
    outcome = np.cumsum(gained) / gained.sum()
    return np.append(0.0, customers), np.append(0.0, outcome)


class GainsDisplay(Display):
    """Share of the outcome in the best-scored customers, against their share.

    Made by `from_predictions`. The further the curve rises above the diagonal, the better the order; the thin
    line is that of perfect foresight. The order is all that counts: a prediction of the wrong size can have a
    perfect curve.

    Parameters
    ----------
    customer_share : ndarray of shape (n_points,)
        Share of customers, from 0 to 1.
    outcome_share : ndarray of shape (n_points,)
        Share of the outcome they hold.
    perfect : tuple of two ndarray or None
        The same for perfect foresight.
    name : str
        Name of the prediction in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    line_ : matplotlib Line2D
        The curve.

    See Also
    --------
    PurchasesDisplay : Whether the size of a prediction is right.

    Examples
    --------
    >>> from custanalytics.plotting import GainsDisplay
    >>> display = GainsDisplay.from_predictions([1, 1, 0, 0], [0.9, 0.4, 0.4, 0.1])
    >>> display.customer_share
    array([0.  , 0.25, 0.75, 1.  ])
    >>> display.outcome_share
    array([0. , 0.5, 1. , 1. ])
    """

    def __init__(
        self,
        *,
        customer_share: np.ndarray,
        outcome_share: np.ndarray,
        perfect: tuple[np.ndarray, np.ndarray] | None = None,
        name: str = "Prediction",
    ) -> None:
        self.customer_share = customer_share
        self.outcome_share = outcome_share
        self.perfect = perfect
        self.name = name

    @classmethod
    def from_predictions(cls, y_true: Any, y_score: Any, *, name: str = "Prediction", ax: Any = None) -> Self:
        """Order customers by score, and draw.

        Parameters
        ----------
        y_true : array-like of shape (n_customers,)
            What happened: 0 or 1, a count, or an amount; not negative.
        y_score : array-like of shape (n_customers,)
            Prediction; higher comes first.
        name : str, default="Prediction"
            Name in the legend.
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        GainsDisplay

        Raises
        ------
        ValueError
            If the arrays differ in length.
        InvalidDataError
            If a number is missing, an outcome is negative, or nothing happened to anybody.
        """
        outcome, score = numbers(y_true, "y_true", cls.__name__), numbers(y_score, "y_score", cls.__name__)
        same_length(cls.__name__, y_true=outcome, y_score=score)
        if outcome.min() < 0 or outcome.sum() == 0:
            raise InvalidDataError(
                "'y_true' must hold outcomes of which none is negative and one is positive; the lowest is "
                f"{outcome.min():g}, their sum {outcome.sum():g}. Clip returns first: numpy.maximum(y_true, 0)."
            )
        customers, gained = gains_curve(outcome, score)
        return cls(
            customer_share=customers, outcome_share=gained, perfect=gains_curve(outcome, outcome), name=name
        ).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None. Curves of several predictions can share axes.

        Returns
        -------
        self
        """
        before = 0 if ax is None else sum(line.get_gid() == _CURVE for line in ax.get_lines())
        ax = self._canvas(ax, 5.6, 5.2)
        if not before:
            if self.perfect is not None:
                ax.plot(*self.perfect, color=GREY, linewidth=1.2, label="Perfect foresight")
            ax.plot([0, 1], [0, 1], color=GREY, linewidth=1.2, linestyle="--", label="Random order")
        top = float(np.interp(_TOP, self.customer_share, self.outcome_share))
        label = f"{literal(self.name)}: {100 * top:.0f} % in the first {100 * _TOP:.0f} %"
        color = SERIES[before % len(SERIES)]
        (self.line_,) = ax.plot(
            self.customer_share, self.outcome_share, color=color, linewidth=2.2, label=label, gid=_CURVE
        )
        ax.plot([_TOP], [top], "o", color=color)
        bare(ax, "Cumulative gains", "Share of customers, best score first", "Share of the outcome", "both")
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1.02)
        percent(ax.xaxis)
        percent(ax.yaxis)
        ax.legend(frameon=False, loc="lower right", labelcolor=INK)
        return self
