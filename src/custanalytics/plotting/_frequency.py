"""Whether a model explains how often customers have bought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID, FREQUENCY, T
from custanalytics._params import check_value, integer, offenders
from custanalytics.exceptions import InvalidDataError
from custanalytics.plotting._models import by_name, expected_counts, needed, weights
from custanalytics.plotting._style import BLUE, INK, SERIES, Display, bare, check_counts, finite, literal, short


class FrequencyDisplay(Display):
    """Customers by number of repeat purchases: as many as there are, and as many as models expect.

    Made by `from_estimator`. The picture of the fit itself, on the customers that the models were fitted to: bars of
    unequal height show what a model cannot explain. It says nothing of the future.

    Parameters
    ----------
    frequency : ndarray of shape (n_groups,)
        Repeat purchase periods 0, 1, …; the last group holds all above too.
    actual : ndarray of shape (n_groups,)
        Customers.
    expected : mapping of str to ndarray of shape (n_groups,)
        For each model the number of customers expected.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    actual_bars_ : matplotlib BarContainer
        Bars of the customers.
    expected_bars_ : dict of str to matplotlib BarContainer
        Bars of each model.

    See Also
    --------
    PurchasesDisplay : Whether the purchases that models expected came.
    TrackingDisplay : Purchases over time.

    Notes
    -----
    The expected number of customers with n repeat purchases is :math:`\\sum_i P(X(T_i) = n)` over all customers, each
    with their own T [1]_; the last bar is what is left of their number. Where there are more than 512 different T,
    neighbours are taken together.

    References
    ----------
    .. [1] Fader, P. S., Hardie, B. G. S., Lee, K. L. (2005). "Counting your customers" the easy way: an
       alternative to the Pareto/NBD model. Marketing Science, 24(2), 275-284; equation 8 and figure 1.
       https://doi.org/10.1287/mksc.1040.0098

    Examples
    --------
    >>> from custanalytics.clv import BetaGeoModel
    >>> from custanalytics.plotting import FrequencyDisplay
    >>> model = BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> table = {"frequency": [0, 0, 0, 1, 4], "T": [39.0, 39.0, 30.0, 39.0, 35.0]}
    >>> display = FrequencyDisplay.from_estimator({"BG/NBD": model}, table, max_frequency=3)
    >>> display.actual
    array([3., 1., 0., 1.])
    >>> display.expected["BG/NBD"].round(2)
    array([2.92, 0.99, 0.42, 0.68])
    """

    def __init__(self, *, frequency: np.ndarray, actual: np.ndarray, expected: Mapping[str, np.ndarray]) -> None:
        self.frequency = frequency
        self.actual = actual
        self.expected = expected

    @classmethod
    def from_estimator(
        cls, estimator: Any, table: Any, *, max_frequency: int = 7, sample_weight: Any = None, ax: Any = None
    ) -> Self:
        """Count customers, ask fitted models, and draw.

        Parameters
        ----------
        estimator : fitted model, or mapping of str to fitted model
            With `probability_of_purchases` or `predict_count_probabilities`.
        table : frame or mapping of arrays
            One row per customer, with `frequency`, `T` and covariates that the models have: the table of the fit.
            Models on a calendar look at `customer_id` and `first_seen` too.
        max_frequency : int, default=7
            The last group: this frequency and all above.
        sample_weight : array-like of shape (n_customers,) or str, optional
            How many customers each row stands for, or the column that says so.
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        FrequencyDisplay

        Raises
        ------
        InvalidDataError
            If there are no customers, or a number is missing or cannot be.
        """
        check_value("max_frequency", max_frequency, (integer(1),), cls.__name__)
        models = by_name(estimator, ("probability_of_purchases", "predict_count_probabilities"), cls.__name__)
        columns = list(dict.fromkeys([FREQUENCY, T, *(name for each in models.values() for name in needed(each))]))
        frame = _frames.read(table, columns, cls.__name__, "RFMSummary makes such a table from a log.")
        if len(frame) == 0:
            raise InvalidDataError(f"{cls.__name__} has no customers to draw: the table has 0 rows.")
        x, ages = (finite(frame, name, cls.__name__) for name in (FREQUENCY, T))
        ids = frame[CUSTOMER_ID] if CUSTOMER_ID in frame.columns else np.arange(x.size)
        check_counts(x, FREQUENCY, ids, cls.__name__)
        if (ages < 0).any():
            phrase = offenders(ages < 0, ids, f"have a negative {T}")
            raise InvalidDataError(f"{phrase}. It is the time from the first purchase to the end of the observation.")
        weight = weights(frame, sample_weight, cls.__name__)
        groups = np.minimum(x, max_frequency).astype(np.int64)
        n = np.arange(max_frequency)
        expected = {}
        for name, model in models.items():
            found = expected_counts(model, frame, ages, weight, n)
            expected[name] = np.append(found, max(weight.sum() - found.sum(), 0.0))
        actual = np.bincount(groups, weight, max_frequency + 1)
        return cls(frequency=np.arange(max_frequency + 1), actual=actual, expected=expected).plot(ax=ax)

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
        ax = self._canvas(ax)
        at, width = np.arange(self.frequency.size), 0.84 / (1 + len(self.expected))
        left = at - 0.42 + width / 2
        self.actual_bars_ = ax.bar(left, self.actual, width, color=BLUE, label="Actual")
        self.expected_bars_ = {}
        for place, (name, values) in enumerate(self.expected.items(), start=1):
            color = SERIES[1 + (place - 1) % (len(SERIES) - 1)]
            self.expected_bars_[name] = ax.bar(left + place * width, values, width, color=color, label=literal(name))
        names = [str(value) for value in self.frequency]
        ax.set_xticks(at, [*names[:-1], f"{names[-1]}+"])
        ax.tick_params(axis="x", length=0)
        bare(ax, "How often customers bought", "Repeat purchases", "Customers")
        ax.yaxis.set_major_formatter(lambda value, _: short(float(value)))
        ax.legend(frameon=False, loc="upper right", labelcolor=INK)
        return self
