"""What a validation found: counts that balance, for a terminal, a notebook and a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from custanalytics import _frames
from custanalytics._params import OneOf, check_value
from custanalytics.validation._history import NO_DAY, History, period_starts
from custanalytics.validation._rules import FLAG, RULES, WARNING, WEIGHTS, ValidationRule

_PERIODS = OneOf(("D", "W", "M", "Q", "Y"))


@dataclass(frozen=True, repr=False)
class ValidationReport:
    """Counts of a validation: rows in = rows clean + rows quarantined + rows merged; scores; what was repaired.

    Printed, it is a table; in a notebook, one in HTML. A row that breaks several rules counts once for each. Counts
    and scores are of the log as it came: a row that was repaired broke its rule. What is no fault (a return) is
    counted among the clean rows, and has no score.

    Parameters
    ----------
    rows_in, rows_clean, rows_quarantined : int
        Rows given, rows in the clean log, rows in `quarantine_`.
    counts : dict of str to int
        Rows per rule, zero counts included, in the order of the rules.
    flagged : tuple of str
        The rules whose rows were kept.
    patterns : dict of tuple of str to int
        Quarantined rows per combination of errors that they have together.
    notes : tuple of str
        What a reader should know and no count says.
    rows_merged : int
        Rows dropped because they copy another, where `on_error` is "repair".
    rows_repaired : int
        Rows of the clean log in which a value was repaired.
    repaired : dict of str to int
        Rows of the clean log that broke a rule until they were repaired.
    combinations : dict of tuple of str to int
        Rows per combination of all the rules that they break, warnings and flags included.
    rules : tuple of ValidationRule
        The rules, yours last.
    repairs : frame or None
        Every value changed, where `on_error` is "repair", of the kind that came in: `row` (position in the log, from
        0), `column` (its standard name), `rule`, and the value `before` and `after` as text. A row that was dropped
        because it copies another has no column. None otherwise.
    history : History or None
        Rows and broken rules by day, for `quality_over_time`.
    kind : str
        The library of the frames that the report gives.

    See Also
    --------
    TransactionValidator : Makes the report.
    custanalytics.plotting.QualityDisplay : Draws it.

    Notes
    -----
    The score of a rule is the share of rows that do not break it. The overall score is the mean over all rows of 1
    less the weight of the worst rule that a row breaks: 1 for an error, 1/2 for a warning. So it is the share of rows
    without a fault, where a row with nothing worse than warnings counts half. An empty log has the score 1.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.validation import TransactionValidator
    >>> log = pd.DataFrame({"customer_id": ["1", None, " 2", "3"], "timestamp": "2024-05-01", "amount": [9.5, 3, 4, 5]})
    >>> validator = TransactionValidator(as_of="2024-12-31").fit(log)
    >>> clean = validator.transform(log)
    >>> report = validator.report_
    >>> report.rows_in, report.rows_clean, report.rows_quarantined
    (4, 3, 1)
    >>> report.counts["missing_customer_id"]
    1
    >>> report.to_dict()["patterns"]
    [{'rules': ['missing_customer_id'], 'rows': 1}]
    >>> report.scores["missing_customer_id"], report.score
    (0.75, 0.625)
    """

    rows_in: int
    rows_clean: int
    rows_quarantined: int
    counts: Mapping[str, int]
    flagged: tuple[str, ...] = ()
    patterns: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    rows_merged: int = 0
    rows_repaired: int = 0
    repaired: Mapping[str, int] = field(default_factory=dict)
    combinations: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    rules: tuple[ValidationRule, ...] = field(default_factory=lambda: RULES)
    repairs: Any = field(default=None, compare=False)
    history: History | None = field(default=None, compare=False)
    kind: str = field(default="pandas", compare=False)

    @property
    def scores(self) -> dict[str, float]:
        """The score of each rule: the share of rows that do not break it."""
        judged = [rule.name for rule in self.rules if rule.severity != FLAG]
        return {name: 1 - self.counts.get(name, 0) / self.rows_in if self.rows_in else 1.0 for name in judged}

    @property
    def score(self) -> float:
        """The overall score, between 0 and 1: see the notes."""
        lost = sum(self._weight(names) * rows for names, rows in self.combinations.items())
        return 1 - lost / self.rows_in if self.rows_in else 1.0

    def cooccurrence(self) -> Any:
        """How many rows break two rules together.

        Returns
        -------
        frame
            A row and a column for each rule, after the column `rule`. The diagonal holds `counts`.
        """
        names = list(self.counts)
        place = {name: at for at, name in enumerate(names)}
        matrix = np.zeros((len(names), len(names)), np.int64)
        for together, rows in self.combinations.items():
            at = [place[name] for name in together]
            matrix[np.ix_(at, at)] += rows
        return _frames.table({"rule": np.array(names), **{name: matrix[place[name]] for name in names}}, self.kind)

    def quality_over_time(self, period: str = "M") -> Any:
        """The scores of each period.

        Parameters
        ----------
        period : {"D", "W", "M", "Q", "Y"}, default="M"
            Days, weeks (from Monday), months, quarters or years.

        Returns
        -------
        frame
            One row per period that has rows, in order: `period` (its first day), `rows`, the overall `score`, and
            the score of each rule. Rows whose time is missing, implausible or in the future come last, without a
            period.
        """
        check_value("period", period, (_PERIODS,), "quality_over_time")
        names = list(self.scores)
        past = self.history
        if past is None:
            raise ValueError("This report was not made by TransactionValidator: it has no history to divide.")
        starts, of_day = np.unique(period_starts(past.days, period), return_inverse=True)
        rows = np.zeros(starts.size, np.int64)
        np.add.at(rows, of_day, past.sizes)
        at = np.searchsorted(starts, period_starts(past.broken_days, period))
        bits = {rule.name: np.uint64(rule.bit) for rule in self.rules}
        lost = {name: np.zeros(starts.size) for name in ("score", *names)}
        weights = np.array([self._weight(self._names(int(mask))) for mask in past.broken_masks], np.float64)
        np.add.at(lost["score"], at, weights * past.broken_sizes)
        for name in names:
            np.add.at(lost[name], at, ((past.broken_masks & bits[name]) != 0) * past.broken_sizes)
        order = np.argsort(np.where(starts == NO_DAY, np.iinfo(np.int64).max, starts))
        days = np.where(starts == NO_DAY, np.datetime64("NaT"), starts.astype("datetime64[D]")).astype("datetime64[us]")
        columns = {name: (1 - gone / np.maximum(rows, 1))[order] for name, gone in lost.items()}
        return _frames.table({"period": days[order], "rows": rows[order], **columns}, self.kind)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts, lists, strings and numbers, ready for JSON.

        Returns
        -------
        dict
            Keys `rows_in`, `rows_clean`, `rows_quarantined`, `rows_merged`, `rows_repaired`, `score`, `rules` (name
            to count), `scores`, `repaired`, `flagged`, `patterns` (a list of `rules` and `rows`) and `notes`.
        """
        return {
            "rows_in": self.rows_in,
            "rows_clean": self.rows_clean,
            "rows_quarantined": self.rows_quarantined,
            "rows_merged": self.rows_merged,
            "rows_repaired": self.rows_repaired,
            "score": self.score,
            "rules": dict(self.counts),
            "scores": self.scores,
            "repaired": dict(self.repaired),
            "flagged": list(self.flagged),
            "patterns": [{"rules": list(rules), "rows": rows} for rules, rows in self.patterns.items()],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        width = max(map(len, self.counts), default=4)
        lines = [
            self._headline(),
            self._summary(),
            f"  {'rule':<{width}}  {'rows':>12}  {'score':>8}  what became of them",
        ]
        lines += [
            f"  {name:<{width}}  {rows:>12,}  {score:>8}  {fate}".rstrip() for name, rows, score, fate in self._rows()
        ]
        lines += [f"  {line}" for line in self._advice()]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td style='text-align:right'>{rows:,}</td>"
            f"<td style='text-align:right'>{score}</td><td>{fate}</td></tr>"
            for name, rows, score, fate in self._rows()
        )
        advice = "".join(f"<li>{escape(line)}</li>" for line in self._advice())
        return (
            f"<div><p>{escape(self._headline())}<br>{escape(self._summary())}</p><table><thead><tr><th>rule</th><th>rows</th><th>score</th>"
            f"<th>what became of them</th></tr></thead><tbody>{rows}</tbody></table><ul>{advice}</ul></div>"
        )

    def _headline(self) -> str:
        share = self.rows_clean / self.rows_in if self.rows_in else 1.0
        merged = f" + {self.rows_merged:,} merged as copies" if self.rows_merged else ""
        return (
            f"{self.rows_in:,} rows in = {self.rows_clean:,} clean ({share:.2%}) "
            f"+ {self.rows_quarantined:,} quarantined{merged}"
        )

    def _summary(self) -> str:
        repaired = f"; {self.rows_repaired:,} clean rows repaired" if self.rows_repaired else ""
        return f"quality score {_percent(self.score)}{repaired}"

    def _rows(self) -> list[tuple[str, int, str, str]]:
        scores = self.scores
        return [
            (name, rows, _percent(scores[name]) if name in scores else "", self._fate(name, rows))
            for name, rows in self.counts.items()
        ]

    def _fate(self, name: str, rows: int) -> str:
        mended = self.repaired.get(name, 0)
        merged = self.rows_merged if name == "duplicate" else 0
        left = rows - mended - merged
        words = [f"{mended:,} repaired"] if mended else []
        words += ["merged"] if merged else []
        if left:
            warned = any(rule.name == name and rule.severity == WARNING for rule in self.rules)
            fate = "warning" if warned else "kept" if name in self.flagged else "quarantined"
            words.append(f"{left:,} {fate}" if words else fate)
        return ", ".join(words)

    def _advice(self) -> list[str]:
        worth = [
            rule
            for rule in self.rules
            if rule.severity != FLAG
            and (rule.message or rule.remedy)
            and self.counts.get(rule.name, 0) > self.repaired.get(rule.name, 0)
        ]
        lines = [
            f"{rule.name}: {rule.message}. {rule.remedy}".replace(": . ", ": ").rstrip(". ") + "." for rule in worth
        ]
        return lines + [f"Note: {note}" for note in self.notes]

    def _weight(self, names: tuple[str, ...]) -> float:
        severity = {rule.name: rule.severity for rule in self.rules}
        return max((WEIGHTS[severity[name]] for name in names), default=0.0)

    def _names(self, mask: int) -> tuple[str, ...]:
        return tuple(rule.name for rule in self.rules if mask & rule.bit)


def _percent(share: float) -> str:
    """A share in percent, cut and not rounded: 100 % is all."""
    return f"{np.floor(share * 10_000) / 100:.2f} %"
