"""Whether the purchases that a model expected came, by how often customers had bought before."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from custanalytics._params import check_value, integer
from custanalytics.plotting._style import BLUE, GREY, INK, ORANGE, Display, bare, numbers, same_length


class PurchasesDisplay(Display):
    """Mean actual and expected purchases in a holdout, by frequency before it.

    Made by `from_predictions`. The two lines lie together where a model is right for customers of every
    frequency; apart at the right end, it misjudges the best.

    Parameters
    ----------
    frequency : ndarray of shape (n_groups,)
        Repeat purchase periods before the holdout; the last group holds all above too.
    counts : ndarray of shape (n_groups,)
        Customers.
    actual : ndarray of shape (n_groups,)
        Mean purchases in the holdout.
    expected : ndarray of shape (n_groups,)
        Mean purchases expected.
    open_ended : bool
        Whether the last group holds more than its own frequency.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    actual_line_, expected_line_ : matplotlib Line2D
        The two lines.

    See Also
    --------
    GainsDisplay : Whether a prediction puts the right customers first.

    Notes
    -----
    This is the picture of conditional expectations in [1]_. Groups without customers are left out.

    References
    ----------
    .. [1] Fader, P. S., Hardie, B. G. S., Lee, K. L. (2005). "Counting your customers" the easy way: an
       alternative to the Pareto/NBD model. Marketing Science, 24(2), 275-284.
       https://doi.org/10.1287/mksc.1040.0098

    Examples
    --------
    >>> from custanalytics.plotting import PurchasesDisplay
    >>> display = PurchasesDisplay.from_predictions([0, 1, 2, 6], [0.2, 0.4, 3.0, 4.0], [0, 0, 1, 9])
    >>> display.frequency
    array([0, 1, 7])
    >>> display.actual
    array([0.5, 2. , 6. ])
    """

    def __init__(
        self,
        *,
        frequency: np.ndarray,
        counts: np.ndarray,
        actual: np.ndarray,
        expected: np.ndarray,
        open_ended: bool = False,
    ) -> None:
        self.frequency = frequency
        self.counts = counts
        self.actual = actual
        self.expected = expected
        self.open_ended = open_ended

    @classmethod
    def from_predictions(
        cls, actual: Any, expected: Any, frequency: Any, *, max_frequency: int = 7, ax: Any = None
    ) -> Self:
        """Average by frequency, and draw.

        Parameters
        ----------
        actual : array-like of shape (n_customers,)
            Purchases in the holdout.
        expected : array-like of shape (n_customers,)
            Purchases expected for the length of the holdout.
        frequency : array-like of shape (n_customers,)
            Repeat purchase periods before it.
        max_frequency : int, default=7
            The last group: this frequency and all above.
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        PurchasesDisplay

        Raises
        ------
        ValueError
            If the arrays differ in length.
        InvalidDataError
            If a number is missing.
        """
        check_value("max_frequency", max_frequency, (integer(1),), cls.__name__)
        given = {"actual": actual, "expected": expected, "frequency": frequency}
        arrays = {name: numbers(values, name, cls.__name__) for name, values in given.items()}
        same_length(cls.__name__, **arrays)
        groups = np.minimum(arrays["frequency"], max_frequency)
        labels, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
        return cls(
            frequency=labels.astype(np.int64),
            counts=counts,
            actual=np.bincount(codes, arrays["actual"]) / counts,
            expected=np.bincount(codes, arrays["expected"]) / counts,
            open_ended=bool(arrays["frequency"].max() > max_frequency),
        ).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the two lines.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        self
        """
        ax = self._canvas(ax)
        at = np.arange(self.frequency.size)
        ax.vlines(at, self.actual, self.expected, color=GREY, linewidth=1)
        (self.actual_line_,) = ax.plot(at, self.actual, "o-", color=BLUE, linewidth=2, label="Actual")
        (self.expected_line_,) = ax.plot(at, self.expected, "s--", color=ORANGE, linewidth=2, label="Expected")
        names = [str(value) for value in self.frequency]
        if self.open_ended:
            names[-1] += "+"
        ax.set_xticks(at, [f"{name}\n({count:,})" for name, count in zip(names, self.counts, strict=True)])
        bare(ax, "Purchases in the holdout", "Repeat purchases before it (customers)", "Mean purchases per customer")
        ax.set_ylim(bottom=0)
        ax.legend(frameon=False, loc="upper left", labelcolor=INK)
        return self
