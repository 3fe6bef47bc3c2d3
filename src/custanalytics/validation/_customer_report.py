"""What a validation of customers found: counts that balance, and who can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from custanalytics.validation._customer_rules import QUARANTINE, RULES, CustomerRule, names


@dataclass(frozen=True, repr=False)
class CustomerReport:
    """Counts of a validation of customers: rows in = rows clean + rows quarantined, and who can be reached.

    Printed, it is a table; in a notebook, one in HTML. A row that breaks several rules counts once for each.

    Parameters
    ----------
    rows_in, rows_clean, rows_quarantined : int
        Rows given, rows in the clean table, rows in `quarantine_`.
    reachable : dict of str to int
        Rows of the clean table that can be reached, by channel.
    counts : dict of str to int
        Rows per rule, zero counts included, in the order of `CustomerValidator.rules()`. Rules that set rows aside
        count quarantined rows, the others rows of the clean table.
    patterns : dict of tuple of str to int
        Quarantined rows per combination of rules broken together.

    See Also
    --------
    CustomerValidator : Makes the report.

    Examples
    --------
    >>> from custanalytics.validation import CustomerValidator
    >>> table = {"customer_id": [1, 2, 2], "email": ["ann@shop.de", "bob@shop", "n/a"]}
    >>> validator = CustomerValidator().fit(table)
    >>> clean = validator.transform(table)
    >>> report = validator.report_
    >>> report.rows_clean, report.rows_quarantined, report.reachable
    (2, 1, {'email': 1})
    >>> print(report)
    3 rows in = 2 clean (66.67%) + 1 quarantined
      reachable by email: 1 of 2 (50.00%)
      rule                    rows  what became of them
      duplicate_customer_id      1  quarantined
      invalid_email              1  not reachable by email
      duplicate_customer_id: another row has the same customer id. Decide in ...
      invalid_email: no mail can be sent there: ...
    """

    rows_in: int
    rows_clean: int
    rows_quarantined: int
    reachable: Mapping[str, int]
    counts: Mapping[str, int]
    patterns: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dicts, lists, strings and integers, ready for JSON.

        Returns
        -------
        dict
            Keys `rows_in`, `rows_clean`, `rows_quarantined`, `reachable` (channel to count), `rules` (name to count)
            and `patterns` (a list of `rules` and `rows`).
        """
        return {
            "rows_in": self.rows_in,
            "rows_clean": self.rows_clean,
            "rows_quarantined": self.rows_quarantined,
            "reachable": dict(self.reachable),
            "rules": dict(self.counts),
            "patterns": [{"rules": list(rules), "rows": rows} for rules, rows in self.patterns.items()],
        }

    def __str__(self) -> str:
        broken = self._broken()
        width = max((len(rule.name) for rule in broken), default=4)
        lines = [self._headline(), *(f"  {line}" for line in self._reach())]
        if broken:
            lines.append(f"  {'rule':<{width}}  {'rows':>6}  what became of them")
        lines += [f"  {rule.name:<{width}}  {self.counts[rule.name]:>6,}  {_fate(rule)}" for rule in broken]
        lines += [f"  {rule.name}: {rule.description}. {rule.remedy}" for rule in broken]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(rule.name)}</td><td style='text-align:right'>{self.counts[rule.name]:,}</td>"
            f"<td>{escape(_fate(rule))}</td><td>{escape(f'{rule.description}. {rule.remedy}')}</td></tr>"
            for rule in self._broken()
        )
        reach = "".join(f"<li>{escape(line)}</li>" for line in self._reach())
        return (
            f"<div><p>{escape(self._headline())}</p><ul>{reach}</ul><table><thead><tr><th>rule</th><th>rows</th>"
            f"<th>what became of them</th><th>what to do</th></tr></thead><tbody>{rows}</tbody></table></div>"
        )

    def _headline(self) -> str:
        share = self.rows_clean / self.rows_in if self.rows_in else 1.0
        clean = f"{self.rows_clean:,} clean ({share:.2%})"
        return f"{self.rows_in:,} rows in = {clean} + {self.rows_quarantined:,} quarantined"

    def _reach(self) -> list[str]:
        of = max(self.rows_clean, 1)
        return [
            f"reachable by {channel}: {rows:,} of {self.rows_clean:,} ({rows / of:.2%})"
            for channel, rows in self.reachable.items()
        ]

    def _broken(self) -> list[CustomerRule]:
        return [rule for rule in RULES if self.counts.get(rule.name, 0)]


def count(faults: np.ndarray, wrong: np.ndarray, reachable: Mapping[str, np.ndarray]) -> CustomerReport:
    """The report of rows with their fault bits; `wrong` ones are set aside."""
    masks, sizes = np.unique(faults[wrong], return_counts=True)
    counts = {}
    for rule in RULES:
        rows = wrong if rule.severity == QUARANTINE else ~wrong
        counts[rule.name] = int(np.count_nonzero(faults[rows] & np.uint32(rule.bit)))
    return CustomerReport(
        rows_in=faults.size,
        rows_clean=int((~wrong).sum()),
        rows_quarantined=int(wrong.sum()),
        reachable={channel: int(rows[~wrong].sum()) for channel, rows in reachable.items()},
        counts=counts,
        patterns={names(int(bits)): int(size) for bits, size in zip(masks, sizes, strict=True)},
    )


def texts(masks: np.ndarray) -> list[str]:
    """The names of the rules of each mask, joined by ";"."""
    found, which = np.unique(masks, return_inverse=True)
    words = np.array([";".join(names(int(bits))) for bits in found], object)
    return words[which].tolist() if masks.size else []


def _fate(rule: CustomerRule) -> str:
    if rule.severity == QUARANTINE:
        return "quarantined"
    return "flagged" if rule.severity == "flag" else "not reachable by " + ", ".join(rule.channels)
