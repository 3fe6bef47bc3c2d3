"""Purchases over time, as they came and as models expected them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from custanalytics import _frames
from custanalytics._columns import DAYS_PER_UNIT, TIMESTAMP, UNIT_NAMES
from custanalytics._holdouts import purchases
from custanalytics._instants import DAY, instant, microseconds
from custanalytics._params import POSITIVE, UNITS, OneOf, check_value
from custanalytics.exceptions import InvalidDataError
from custanalytics.plotting._models import by_name, covariates, newcomers
from custanalytics.plotting._style import BLUE, GREY, INK, SERIES, SMALL, Display, bare, literal, short

KINDS = OneOf(("incremental", "cumulative"))
PERIODS = OneOf(("h", "D", "W", "M", "Y"))


class TrackingDisplay(Display):
    """Repeat purchases of a cohort week by week, or added up, against what models expected.

    Made by `from_estimator`. Up to the cutoff the lines show whether a model explains what it was fitted to, and after
    it whether it forecasts. Waves that no model follows are seasons and campaigns; a gap that widens is a model that
    lets customers leave too early or too late.

    Parameters
    ----------
    ends : ndarray of shape (n_steps,)
        Ends of the steps, in `time_unit` after the start of the first purchase's period.
    actual : ndarray of shape (n_steps,)
        Repeat purchases in each step.
    expected : mapping of str to ndarray of shape (n_steps,)
        For each model the repeat purchases expected in each step.
    cutoff : float or None
        Where the holdout begins, as `ends`.
    time_unit : {"h", "D", "W", "M", "Y"}
        Unit of the times.

    Attributes
    ----------
    cumulative_actual : ndarray of shape (n_steps,)
        Repeat purchases up to the end of each step.
    cumulative_expected : dict of str to ndarray of shape (n_steps,)
        The same, as expected.
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    actual_line_ : matplotlib Line2D
        What came.
    expected_lines_ : dict of str to matplotlib Line2D
        What each model expected.

    See Also
    --------
    PurchasesDisplay : The holdout by customers' frequency.
    FrequencyDisplay : The fit by frequency.

    Notes
    -----
    With :math:`b_i` the start of the period of customer i's first purchase, a model expects
    :math:`\\sum_{i: b_i < t} E[X(t - b_i)]` repeat purchases up to t [1]_; a step has the difference of two such sums.
    It holds the purchases from its start, included, to its end, excluded. The cohort is everybody who first bought
    before the cutoff: later customers are no part of the forecast.

    References
    ----------
    .. [1] Fader, P. S., Hardie, B. G. S., Lee, K. L. (2005). "Counting your customers" the easy way: an
       alternative to the Pareto/NBD model. Marketing Science, 24(2), 275-284; equation 9, figures 2 and 3.
       https://doi.org/10.1287/mksc.1040.0098

    Examples
    --------
    >>> from custanalytics.clv import ParetoNBDModel
    >>> from custanalytics.datasets import load_cdnow
    >>> from custanalytics.plotting import TrackingDisplay
    >>> model = ParetoNBDModel.from_params(r=0.5533, alpha=10.5777, s=0.6062, beta=11.6687)
    >>> display = TrackingDisplay.from_estimator({"Pareto/NBD": model}, load_cdnow(), cutoff="1997-10-01")
    >>> week = 25
    >>> int(display.cumulative_actual[week - 1]), round(float(display.cumulative_expected["Pareto/NBD"][week - 1]))
    (1672, 1674)
    """

    def __init__(
        self,
        *,
        ends: np.ndarray,
        actual: np.ndarray,
        expected: Mapping[str, np.ndarray],
        cutoff: float | None = None,
        time_unit: str = "W",
    ) -> None:
        self.ends = ends
        self.actual = actual
        self.expected = expected
        self.cutoff = cutoff
        self.time_unit = time_unit
        self.cumulative_actual = np.cumsum(actual)
        self.cumulative_expected = {name: np.cumsum(values) for name, values in expected.items()}

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        log: Any,
        *,
        table: Any = None,
        cutoff: Any = None,
        end: Any = None,
        time_unit: str = "W",
        step: float = 1.0,
        period: str = "D",
        columns: Mapping[str, str] | None = None,
        kind: str = "incremental",
        ax: Any = None,
    ) -> Self:
        """Count purchases, ask fitted models, and draw.

        Parameters
        ----------
        estimator : fitted model, or mapping of str to fitted model
            With `expected_purchases_new_customer`; where that depends on the customer, by covariates, with
            `predict_purchases`.
        log : frame
            Transaction log with `customer_id` and `timestamp`: past and holdout together. Rows with a negative `amount`
            or `quantity` are left out.
        table : frame or mapping of arrays, default=None
            One row per customer, with `customer_id` and the columns that models with covariates need; not needed for
            those that change with time.
        cutoff : str, date or datetime, default=None
            The first instant of the holdout; None where there is none.
        end : str, date or datetime, default=None
            The instant up to which the log was observed, itself excluded; None is the end of the day of its last event.
        time_unit : {"h", "D", "W", "M", "Y"}, default="W"
            Unit of the models and of `step`.
        step : float, default=1.0
            Length of a step, in `time_unit`. An unfinished step at the end is left out.
        period : {"h", "D", "W", "M", "Y"}, default="D"
            Purchases of a customer within one period count as one, as in the ``RFMSummary`` of the fit.
        columns : mapping, default=None
            Maps standard names to those of the log.
        kind : {"incremental", "cumulative"}, default="incremental"
            Purchases in each step, or up to its end.
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        TrackingDisplay

        Raises
        ------
        InvalidDataError
            If nobody bought before the cutoff, or the log is shorter than a step.
        """
        owner = cls.__name__
        models = by_name(estimator, ("expected_purchases_new_customer", "predict_purchases"), owner)
        for name, value, rule in (
            ("time_unit", time_unit, UNITS),
            ("step", step, POSITIVE),
            ("period", period, PERIODS),
            ("kind", kind, KINDS),
        ):
            check_value(name, value, (rule,), owner)
        customers, starts = purchases(log, period, owner, columns)
        frame = _frames.read_log(log, columns, (TIMESTAMP,), owner)
        zone = _frames.zone_of(frame, TIMESTAMP)
        split = None if cutoff is None else instant(cutoff, "cutoff", owner, zone)
        ids, first, repeats = _cohort(customers, starts, split, owner)
        last = int(_frames.times(frame).max())
        stop = (last // DAY + 1) * DAY if end is None else instant(end, "end", owner, zone)
        ends = _ends(int(first.min()), stop, step, time_unit, owner)
        actual = np.diff(np.searchsorted(np.sort(repeats), ends, side="left"), prepend=0)
        unit = DAYS_PER_UNIT[time_unit] * DAY

        def expected(model: Any) -> np.ndarray:
            if hasattr(model, "expected_purchases_new_customer") and not covariates(model):
                return _expected(model, first, ends, unit)
            return _expected_each(model, newcomers(model, ids, first, table, owner), first, ends, unit)

        return cls(
            ends=(ends - first.min()) / unit,
            actual=actual,
            expected={name: np.diff(expected(model), prepend=0.0) for name, model in models.items()},
            cutoff=None if split is None else float((split - first.min()) / unit),
            time_unit=time_unit,
        ).plot(ax=ax, kind=kind)

    def plot(self, ax: Any = None, *, kind: str = "incremental") -> Self:
        """Draw the lines.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.
        kind : {"incremental", "cumulative"}, default="incremental"
            Purchases in each step, or up to its end.

        Returns
        -------
        self
        """
        check_value("kind", kind, (KINDS,), type(self).__name__)
        ax = self._canvas(ax, 8.4, 4.4)
        added = kind == "cumulative"
        actual, expected = (self.cumulative_actual, self.cumulative_expected) if added else (self.actual, self.expected)
        (self.actual_line_,) = ax.plot(self.ends, actual, color=BLUE, linewidth=1.8, label="Actual")
        self.expected_lines_ = {}
        for place, (name, values) in enumerate(expected.items()):
            color = SERIES[1 + place % (len(SERIES) - 1)]
            (self.expected_lines_[name],) = ax.plot(
                self.ends, values, "--", color=color, linewidth=2, label=f"{literal(name)}{self._error(name)}"
            )
        unit = UNIT_NAMES[self.time_unit]
        step = float(self.ends[0])
        each = unit.removesuffix("s") if step == 1 else f"{step:g} {unit}"
        title = "Repeat purchases, cumulative" if added else f"Repeat purchases per {each}"
        bare(ax, title, f"{unit.capitalize()} since the first purchase in the log", "Repeat purchases")
        ax.set_xlim(0, self.ends[-1])
        room = 1.06 if added else 1.06 + 0.075 * (1 + len(expected))  # for the legend
        ax.set_ylim(0, room * max(1.0, *(float(np.max(each)) for each in (actual, *expected.values()))))
        ax.yaxis.set_major_formatter(lambda value, _: short(float(value)))
        self._mark(ax, 0.92 if added else 0.02)
        ax.legend(frameon=False, loc="lower right" if added else "upper right", labelcolor=INK)
        return self

    def _mark(self, ax: Any, height: float) -> None:
        """The holdout in grey, its name so far up."""
        if self.cutoff is not None and self.cutoff < self.ends[-1]:
            ax.axvspan(self.cutoff, self.ends[-1], color=GREY, alpha=0.18, linewidth=0, zorder=0)
            place = {"xycoords": ("data", "axes fraction"), "xytext": (5, 0), "textcoords": "offset points"}
            ax.annotate("holdout", (self.cutoff, height), va="bottom", color=INK, fontsize=SMALL, **place)

    def _error(self, name: str) -> str:
        """By how much a model missed the holdout, in words."""
        if self.cutoff is None:
            return ""
        later = self.ends > self.cutoff
        came = float(self.actual[later].sum())
        return f" ({100 * (self.expected[name][later].sum() / came - 1):+.0f} % in the holdout)" if came else ""


def _cohort(customers: Any, starts: np.ndarray, split: int | None, owner: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """Customers who came before the split, the start of the first purchase of each, and the starts of their repeats."""
    codes, ids = _frames.codes(customers.alias("customer").to_frame(), "customer")
    order = np.lexsort((starts, codes))
    codes, starts = codes[order], starts[order]
    opening = np.ones(codes.size, bool)
    opening[1:] = codes[1:] != codes[:-1]
    first = starts[opening]
    known = np.ones(first.size, bool) if split is None else first < split
    if not known.any():
        before = "" if split is None else " before the cutoff"
        raise InvalidDataError(f"{owner} has no customers to draw: nobody bought{before}.")
    return _frames.take(ids, np.flatnonzero(known)), first[known], starts[~opening & known[np.cumsum(opening) - 1]]


def _ends(start: int, stop: int, step: float, time_unit: str, owner: str) -> np.ndarray:
    """The ends of the steps in microseconds: shape (n_steps,)."""
    length = microseconds(step, time_unit)
    count = (stop - start) // length
    if count < 1:
        raise InvalidDataError(f"{owner} needs a log of at least one step, {step:g} {time_unit}; pass a smaller step.")
    return start + length * np.arange(1, count + 1)


def _expected(model: Any, first: np.ndarray, ends: np.ndarray, unit: float) -> np.ndarray:
    """Repeat purchases expected up to each end."""
    born, counts = np.unique(first, return_counts=True)
    ages = np.maximum(ends[:, None] - born, 0)
    distinct, codes = np.unique(ages, return_inverse=True)
    each = np.asarray(model.expected_purchases_new_customer(distinct / unit), dtype=np.float64)
    return each[codes].reshape(ages.shape) @ counts


def _expected_each(model: Any, frame: Any, first: np.ndarray, ends: np.ndarray, unit: float) -> np.ndarray:
    """The same where customers differ, from what the model expects of each on the day they came."""
    total = np.zeros(ends.size)
    born = np.unique(first)
    for age in np.unique(ends[:, None] - born).tolist():
        rows = np.flatnonzero(np.isin(first + age, ends)) if age > 0 else np.empty(0, np.int64)
        if rows.size:
            ahead = np.asarray(model.predict_purchases(frame[rows].to_native(), age / unit), dtype=np.float64)
            total += np.bincount(np.searchsorted(ends, first[rows] + age), ahead, ends.size)
    return total
