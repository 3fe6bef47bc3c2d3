"""What a validation found: counts that balance, for a terminal, a notebook and a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from custanalytics.validation._rules import RULES


@dataclass(frozen=True, repr=False)
class ValidationReport:
    """Counts of a validation: rows in = rows clean + rows quarantined, and how many rows broke each rule.

    Printed, it is a table; in a notebook, one in HTML. A row that breaks several rules counts once for each.

    Parameters
    ----------
    rows_in, rows_clean, rows_quarantined : int
        Rows given, rows in the clean log, rows in `quarantine_`.
    counts : dict of str to int
        Rows per rule, zero counts included, in the order of `TransactionValidator.rules()`.
    flagged : tuple of str
        The rules whose rows were kept.
    patterns : dict of tuple of str to int
        Quarantined rows per combination of rules broken together.
    notes : tuple of str
        What a reader should know and no count says.

    See Also
    --------
    TransactionValidator : Makes the report.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.validation import TransactionValidator
    >>> log = pd.DataFrame({"customer_id": [1, None], "timestamp": "2024-05-01", "amount": [9.5, 3.0]})
    >>> validator = TransactionValidator(as_of="2024-12-31").fit(log)
    >>> clean = validator.transform(log)
    >>> report = validator.report_
    >>> report.rows_in, report.rows_clean, report.rows_quarantined
    (2, 1, 1)
    >>> report.counts["missing_customer_id"]
    1
    >>> report.to_dict()["patterns"]
    [{'rules': ['missing_customer_id'], 'rows': 1}]
    """

    rows_in: int
    rows_clean: int
    rows_quarantined: int
    counts: Mapping[str, int]
    flagged: tuple[str, ...] = ()
    patterns: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts, lists, strings and integers, ready for JSON.

        Returns
        -------
        dict
            Keys `rows_in`, `rows_clean`, `rows_quarantined`, `rules` (name to count), `flagged`, `patterns`
            (a list of `rules` and `rows`) and `notes`.
        """
        return {
            "rows_in": self.rows_in,
            "rows_clean": self.rows_clean,
            "rows_quarantined": self.rows_quarantined,
            "rules": dict(self.counts),
            "flagged": list(self.flagged),
            "patterns": [{"rules": list(rules), "rows": rows} for rules, rows in self.patterns.items()],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        width = max(map(len, self.counts), default=4)
        lines = [self._headline(), f"  {'rule':<{width}}  {'rows':>12}  what became of them"]
        lines += [f"  {name:<{width}}  {rows:>12,}  {fate}".rstrip() for name, rows, fate in self._rows()]
        lines += [f"  {rule.name}: {rule.description}. {rule.remedy}" for rule in self._broken()]
        lines += [f"  Note: {note}" for note in self.notes]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td style='text-align:right'>{rows:,}</td><td>{fate}</td></tr>"
            for name, rows, fate in self._rows()
        )
        advice = [
            f"<b>{escape(rule.name)}</b>: {escape(f'{rule.description}. {rule.remedy}')}" for rule in self._broken()
        ]
        advice += [f"Note: {escape(note)}" for note in self.notes]
        return (
            f"<div><p>{escape(self._headline())}</p><table><thead><tr><th>rule</th><th>rows</th>"
            f"<th>what became of them</th></tr></thead><tbody>{rows}</tbody></table>"
            f"<ul>{''.join(f'<li>{line}</li>' for line in advice)}</ul></div>"
        )

    def _headline(self) -> str:
        share = self.rows_clean / self.rows_in if self.rows_in else 1.0
        return (
            f"{self.rows_in:,} rows in = {self.rows_clean:,} clean ({share:.2%}) "
            f"+ {self.rows_quarantined:,} quarantined"
        )

    def _rows(self) -> list[tuple[str, int, str]]:
        fates = {name: "kept" if name in self.flagged else "quarantined" for name in self.counts}
        return [(name, rows, fates[name] if rows else "") for name, rows in self.counts.items()]

    def _broken(self) -> list[Any]:
        return [rule for rule in RULES if self.counts.get(rule.name, 0) and rule.name not in self.flagged]
