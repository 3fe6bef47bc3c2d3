"""How good a log is, rule by rule: over time, or which rules are broken together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from custanalytics import _frames
from custanalytics._params import Having, OneOf, check_value
from custanalytics.exceptions import InvalidDataError
from custanalytics.plotting._style import INK, SEQUENTIAL, SMALL, Display, bare, short, spoken

OVERALL = "score"
_KINDS = OneOf(("time", "together"))
_REPORT = Having(("quality_over_time", "cooccurrence"))
_WORDS = 14  # columns whose cells have room for a figure
_TICKS = 12


class QualityDisplay(Display):
    """Heat map of data quality: the score of each rule over time, or the rows that break two rules together.

    Made by `from_report` or `from_validator`. A dark cell is a bad one. A dark column is a bad load, a dark row is a
    rule that the source breaks all the time; a rule that starts to be dark points at a change of the source.

    Parameters
    ----------
    values : ndarray of shape (n_rules, n_columns)
        Scores between 0 and 1 (NaN for a period without rows), or numbers of rows.
    rules : list of str
        Names of the rows. The first row of scores is the overall score.
    columns : list of str
        Periods, or names of the rules once more.
    kind : {"time", "together"}
        Which of the two it is.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    texts_ : list of matplotlib Text
        Figures in the cells, row by row; empty where there is no room.

    See Also
    --------
    custanalytics.validation.ValidationReport : What is drawn.

    Examples
    --------
    >>> from custanalytics.plotting import QualityDisplay
    >>> from custanalytics.validation import TransactionValidator
    >>> log = {
    ...     "customer_id": ["a", "b", "guest", "c"],
    ...     "timestamp": ["2024-01-05", "2024-01-06", "2024-02-01", "2024-02-02"],
    ...     "amount": [5.0, None, 3.0, 4.0],
    ... }
    >>> validator = TransactionValidator(as_of="2024-12-31").fit(log)
    >>> clean = validator.transform(log)
    >>> display = QualityDisplay.from_report(validator.report_)
    >>> display.rules, display.columns
    (['score', 'placeholder_customer', 'missing_amount'], ['2024-01', '2024-02'])
    >>> display.values
    array([[0.5, 0.5],
           [1. , 0.5],
           [0.5, 1. ]])
    """

    def __init__(self, *, values: np.ndarray, rules: list[str], columns: list[str], kind: str = "time") -> None:
        self.values = values
        self.rules = rules
        self.columns = columns
        self.kind = kind

    @classmethod
    def from_report(cls, report: Any, *, kind: str = "time", period: str = "M", ax: Any = None) -> Self:
        """Draw a report of a validation.

        Parameters
        ----------
        report : ValidationReport
            The `report_` of a `TransactionValidator`.
        kind : {"time", "together"}, default="time"
            Scores over time, or rows that break two rules together. Rules that no row breaks are left out.
        period : {"D", "W", "M", "Q", "Y"}, default="M"
            Days, weeks, months, quarters or years; of no use where `kind` is "together".
        ax : matplotlib Axes or None
            Axes to draw on; a new figure if None.

        Returns
        -------
        QualityDisplay

        Raises
        ------
        InvalidDataError
            If the log had no rows with a usable time, or no row breaks a rule and `kind` is "together".
        """
        check_value("report", report, (_REPORT,), cls.__name__)
        check_value("kind", kind, (_KINDS,), cls.__name__)
        values, rules, columns = _scores(report, period) if kind == "time" else _together(report)
        return cls(values=values, rules=rules, columns=columns, kind=kind).plot(ax=ax)

    @classmethod
    def from_validator(
        cls, validator: Any, log: Any = None, *, kind: str = "time", period: str = "M", ax: Any = None
    ) -> Self:
        """Draw the report of a validator.

        Parameters
        ----------
        validator : TransactionValidator
            It has transformed a log, unless one is given here.
        log : frame or None
            A log to validate first, with a fitted validator.
        kind, period, ax
            As in `from_report`.

        Returns
        -------
        QualityDisplay
        """
        if log is not None:
            validator.transform(log)
        report = getattr(validator, "report_", None)
        if report is None:
            raise ValueError(f"{cls.__name__} needs a validator with a report_: call transform first, or pass log=...")
        return cls.from_report(report, kind=kind, period=period, ax=ax)

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
        n_rules, n_columns = self.values.shape
        ax = self._canvas(ax, min(4.0 + 0.55 * n_columns, 14.0), 1.8 + 0.42 * n_rules)
        timely = self.kind == "time"
        bad = 1 - self.values if timely else self.values.astype(np.float64)
        top = max(float(np.nanmax(bad)), 1e-300)
        edges = [np.arange(size + 1) - 0.5 for size in (n_columns, n_rules)]
        ax.pcolormesh(*edges, bad, cmap=SEQUENTIAL, vmin=0, vmax=1.15 * top, edgecolor="white", linewidth=1)
        ax.invert_yaxis()
        self.texts_ = []
        for row, column in np.ndindex(self.values.shape) if n_columns <= _WORDS else ():
            words = _words(float(self.values[row, column]), timely)
            color = "white" if bad[row, column] > 0.7 * top else INK
            self.texts_.append(ax.text(column, row, words, ha="center", va="center", fontsize=SMALL, color=color))
        title = "Data quality over time: rows that pass, in %" if timely else "Rows that break two rules together"
        bare(ax, title, "First day of the period" if timely else "", "", None)
        step = 1 if not timely else -(-n_columns // _TICKS)
        ticks = np.arange(0, n_columns, step)
        slanted = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        ax.set_xticks(ticks, [_name(self.columns[tick]) for tick in ticks], **slanted)
        ax.set_yticks(np.arange(n_rules), [_name(rule) for rule in self.rules])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        return self


def _scores(report: Any, period: str) -> tuple[np.ndarray, list[str], list[str]]:
    frame = _frames.read(report.quality_over_time(period))
    days = _frames.times(frame, "period").view("datetime64[us]")
    known = np.flatnonzero(~np.isnat(days))
    if known.size == 0:
        raise InvalidDataError("QualityDisplay has no period to draw: no row has a usable time.")
    names = [name for name in frame.columns if name not in ("period", "rows", OVERALL)]
    scores = {name: _frames.floats(frame, name)[known] for name in (OVERALL, *names)}
    rules = [OVERALL, *(name for name in names if (scores[name] < 1).any())]
    unit = {"M": "M", "Y": "Y"}.get(period, "D")
    return (
        np.array([scores[name] for name in rules]),
        rules,
        [str(day.astype(f"datetime64[{unit}]")) for day in days[known]],
    )


def _together(report: Any) -> tuple[np.ndarray, list[str], list[str]]:
    frame = _frames.read(report.cooccurrence())
    names = [name for name in frame.columns if name != "rule"]
    matrix = np.array([_frames.integers(frame[name]) for name in names])
    broken = np.flatnonzero(np.diag(matrix))
    if broken.size == 0:
        raise InvalidDataError("QualityDisplay has nothing to draw: no row breaks a rule.")
    rules = [names[at] for at in broken]
    return matrix[np.ix_(broken, broken)], rules, list(rules)


_NAMES: Mapping[str, str] = {OVERALL: "overall score"}


def _name(rule: str) -> str:
    return _NAMES.get(rule, spoken(rule))


def _words(value: float, timely: bool) -> str:
    if not timely:
        return short(value) if value else "–"
    percent = 100 * value
    return "" if np.isnan(value) else f"{percent:.0f}" if percent in (0, 100) else f"{min(percent, 99.9):.1f}"
