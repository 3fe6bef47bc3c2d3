"""Whether the purchases that models expected came, by how often customers had bought before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from custanalytics import _frames
from custanalytics._columns import FREQUENCY
from custanalytics._holdouts import holdout_counts
from custanalytics._params import POSITIVE, check_value, integer
from custanalytics.plotting._models import by_name, weights
from custanalytics.plotting._style import (
    BLUE,
    GREY,
    INK,
    SERIES,
    Display,
    bare,
    check_counts,
    finite,
    literal,
    numbers,
    same_length,
)


class PurchasesDisplay(Display):
    """Mean actual and expected purchases in a holdout, by frequency before it: conditional expectations.

    Made by `from_estimator`, of one fitted model or several, or by `from_predictions`. The lines lie together where a
    model is right for customers of every frequency; apart at the right end, it misjudges the best.

    Parameters
    ----------
    frequency : ndarray of shape (n_groups,)
        Repeat purchase periods before the holdout; the last group holds all above too.
    counts : ndarray of shape (n_groups,)
        Customers.
    actual : ndarray of shape (n_groups,)
        Mean purchases in the holdout.
    expected : ndarray of shape (n_groups,), or mapping of str to such arrays
        Mean purchases expected, or those of each model.
    open_ended : bool
        Whether the last group holds more than its own frequency.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    actual_line_, expected_line_ : matplotlib Line2D
        The line of what came, and that of the (first) model.
    expected_lines_ : dict of str to matplotlib Line2D
        The line of each model.

    See Also
    --------
    FrequencyDisplay : Whether a model explains the purchases before.
    TrackingDisplay : Purchases over time.
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
        expected: np.ndarray | Mapping[str, np.ndarray],
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
        expected : array-like of shape (n_customers,), or mapping of str to such arrays
            Purchases expected for the length of the holdout, or those of several models by name.
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
            If a number is missing, or a frequency is no whole number.
        """
        several = isinstance(expected, Mapping)
        named = dict(expected) if several else {"expected": expected}
        given = {"actual": actual, **named, "frequency": frequency}
        arrays = {name: numbers(values, name, cls.__name__) for name, values in given.items()}
        same_length(cls.__name__, **arrays)
        before, came = arrays.pop("frequency"), arrays.pop("actual")
        return cls._averaged(before, came, arrays if several else arrays["expected"], max_frequency).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        table: Any,
        holdout: Any,
        *,
        horizon: float,
        max_frequency: int = 7,
        sample_weight: Any = None,
        ax: Any = None,
    ) -> Self:
        """Ask fitted models, average by frequency, and draw.

        Parameters
        ----------
        estimator : fitted model, or mapping of str to fitted model
            With `predict_purchases(table, horizon)`; fitted to nothing that came after the table.
        table : frame or mapping of arrays
            One row per customer as of the start of the holdout, with `frequency` and what the models need.
        holdout : str, array-like of shape (n_customers,) or frame
            Purchases of each customer in the holdout: the name of a column, an array, or the log of the holdout, of
            which each distinct day with a purchase counts.
        horizon : float
            Length of the holdout, in the time unit of the models.
        max_frequency : int, default=7
            The last group: this frequency and all above.
        sample_weight : array-like of shape (n_customers,) or str, optional
            How many customers each row stands for, or the column that says so.
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        PurchasesDisplay

        Raises
        ------
        InvalidDataError
            If a count is missing or is no whole number.
        """
        models = by_name(estimator, ("predict_purchases",), cls.__name__)
        check_value("horizon", horizon, (POSITIVE,), cls.__name__)
        frame = _frames.read(table, (FREQUENCY,), cls.__name__, "RFMSummary makes such a table from a log.")
        came = holdout_counts(frame, holdout, cls.__name__, float(horizon))
        expected = {
            name: numbers(model.predict_purchases(frame.to_native(), horizon), name, cls.__name__)
            for name, model in models.items()
        }
        before, weight = finite(frame, FREQUENCY, cls.__name__), weights(frame, sample_weight, cls.__name__)
        return cls._averaged(before, came, expected, max_frequency, weight).plot(ax=ax)

    @classmethod
    def _averaged(
        cls, frequency: np.ndarray, actual: np.ndarray, expected: Any, max_frequency: int, weight: Any = None
    ) -> Self:
        check_value("max_frequency", max_frequency, (integer(1),), cls.__name__)
        check_counts(frequency, FREQUENCY, np.arange(frequency.size), cls.__name__)
        weight = np.ones(frequency.size) if weight is None else weight
        labels, codes = np.unique(np.minimum(frequency, max_frequency), return_inverse=True)
        counts = np.bincount(codes, weight)
        some = counts > 0

        def means(values: np.ndarray) -> np.ndarray:
            return np.bincount(codes, weight * values)[some] / counts[some]

        several = isinstance(expected, Mapping)
        return cls(
            frequency=labels[some].astype(np.int64),
            counts=counts[some].astype(np.int64) if (counts % 1 == 0).all() else counts[some],
            actual=means(actual),
            expected={name: means(each) for name, each in expected.items()} if several else means(expected),
            open_ended=bool((frequency[weight > 0] > max_frequency).any()),
        )

    def plot(self, ax: Any = None) -> Self:
        """Draw the lines.

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
        given = self.expected if isinstance(self.expected, Mapping) else {"Expected": self.expected}
        if len(given) == 1:
            ax.vlines(at, self.actual, next(iter(given.values())), color=GREY, linewidth=1)
        (self.actual_line_,) = ax.plot(at, self.actual, "o-", color=BLUE, linewidth=2, label="Actual")
        self.expected_lines_ = {}
        for place, (name, values) in enumerate(given.items()):
            color, mark = SERIES[1 + place % (len(SERIES) - 1)], "sD^vP"[place % 5]
            (self.expected_lines_[name],) = ax.plot(
                at, values, f"{mark}--", color=color, linewidth=2, markersize=5, label=literal(name)
            )
        self.expected_line_ = next(iter(self.expected_lines_.values()))
        names = [str(value) for value in self.frequency]
        if self.open_ended:
            names[-1] += "+"
        ax.set_xticks(at, [f"{name}\n({count:,})" for name, count in zip(names, self.counts, strict=True)])
        bare(ax, "Purchases in the holdout", "Repeat purchases before it (customers)", "Mean purchases per customer")
        ax.set_ylim(bottom=0)
        ax.legend(frameon=False, loc="upper left", labelcolor=INK)
        return self
