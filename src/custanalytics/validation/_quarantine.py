"""From fault bits to counts, reasons, the rows set aside, and the wording of a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics.validation import _kernels as k
from custanalytics.validation._report import ValidationReport
from custanalytics.validation._rules import ERROR, RULES, WRONG, ValidationRule
from custanalytics.validation._screening import Screened

_FEW = 256
_BUILT_IN = k.OWN_MENDED - 1


@dataclass(frozen=True)
class Tally:
    """The rows that break some rule (a return breaks none), and what became of them: arrays of shape (n_broken,).

    `masks` are bits of the rules broken as the rows came, `mended` of those that were repaired, `errors` of those that
    set the row aside. `copied` says which rows were dropped as copies.
    """

    rules: tuple[ValidationRule, ...]
    rows: np.ndarray
    masks: np.ndarray
    mended: np.ndarray
    errors: np.ndarray
    copied: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """The rows that are set aside, ascending."""
        return self.rows[self.errors != 0]

    @property
    def dropped(self) -> np.ndarray:
        """The rows that are dropped as copies, ascending."""
        return self.rows[self.copied]

    def reasons(self) -> list[str]:
        """The errors of every row that is set aside, names joined by ";"."""
        masks, which = np.unique(self.errors[self.errors != 0], return_inverse=True)
        texts = np.array([";".join(names(self.rules, int(mask))) for mask in masks], dtype=object)
        return texts[which].tolist() if which.size else []


def tally(screened: Screened, keep_copies: bool, drop_copies: bool) -> Tally:
    """Gather the rows that break some rule."""
    faults, mended = screened.faults, screened.mended
    rows = np.flatnonzero(faults if mended is None else faults | mended)
    found = faults[rows].astype(np.uint64)
    repaired = (
        np.zeros(rows.size, np.uint64) if mended is None else mended[rows].astype(np.uint64) & np.uint64(_BUILT_IN)
    )
    errors: np.ndarray = found & np.uint64(WRONG & _BUILT_IN)
    masks = (found & np.uint64(_BUILT_IN)) | repaired
    for verdict in screened.own:
        bit = np.uint64(verdict.rule.bit)
        now = verdict.broken[rows] * bit
        before = np.zeros_like(now) if verdict.mended is None else verdict.mended[rows] * bit
        masks |= now | before
        repaired |= before
        if verdict.rule.severity == ERROR:
            errors |= now
    copied = np.zeros(rows.size, bool)
    if keep_copies or drop_copies:
        copied = (errors == np.uint64(k.DUPLICATE)) & drop_copies
        errors &= ~np.uint64(k.DUPLICATE)
    repaired[(errors != 0) | copied] = 0
    rules = (*RULES, *(verdict.rule for verdict in screened.own))
    return Tally(rules, rows, masks, repaired, errors, copied)


def count(
    found: Tally, returns: np.ndarray, keep_copies: bool, notes: tuple[str, ...], more: dict[str, Any]
) -> ValidationReport:
    """The report of a validation."""
    kept = (found.errors == 0) & ~found.copied
    back = returns[found.rows]
    masks = found.masks | np.where(back & kept, np.uint64(k.RETURN), np.uint64(0))
    combinations = _sizes(masks, found.rules)
    alone = int(np.count_nonzero(returns)) - int(np.count_nonzero(back))
    if alone:
        combinations[("return",)] = combinations.get(("return",), 0) + alone
    quarantined, merged = int(np.count_nonzero(found.errors)), int(np.count_nonzero(found.copied))
    counts = {rule.name: 0 for rule in found.rules}
    for broken, size in combinations.items():
        for name in broken:
            counts[name] += size
    repaired: dict[str, int] = {}
    for broken, size in _sizes(found.mended[found.mended != 0], found.rules).items():
        for name in broken:
            repaired[name] = repaired.get(name, 0) + size
    flagged = [
        rule.name for rule in found.rules if rule.severity != ERROR or (rule.name == "duplicate" and keep_copies)
    ]
    return ValidationReport(
        rows_in=returns.size,
        rows_clean=returns.size - quarantined - merged,
        rows_quarantined=quarantined,
        counts=counts,
        flagged=tuple(flagged),
        patterns=_sizes(found.errors[found.errors != 0], found.rules),
        notes=notes,
        rows_merged=merged,
        rows_repaired=int(np.count_nonzero(found.mended)),
        repaired={name: repaired[name] for name in counts if name in repaired},
        combinations=combinations,
        rules=tuple(replace(rule, check=None, repair=None) for rule in found.rules),
        **more,
    )


def _sizes(masks: np.ndarray, rules: tuple[ValidationRule, ...]) -> dict[tuple[str, ...], int]:
    distinct, sizes = np.unique(masks, return_counts=True)
    return {names(rules, int(mask)): int(size) for mask, size in zip(distinct, sizes, strict=True) if mask}


def names(rules: Sequence[ValidationRule], mask: int) -> tuple[str, ...]:
    """The names of the rules whose bits are set."""
    return tuple(rule.name for rule in rules if mask & rule.bit)


def judge_copies(screened: Screened, duplicates: str, mend: bool) -> tuple[bool, tuple[str, ...]]:
    """Whether copies are kept, and what a reader should know about them."""
    copies = len(screened.first)
    if not copies or screened.identified:
        return duplicates == "flag", ()
    kept, what = duplicates != "quarantine", "dropped" if mend else "set aside"
    fate = f"kept; duplicates='quarantine' has them {what}." if kept else f"{what}; duplicates='auto' keeps them."
    return kept, (
        f"{copies:,} of {screened.faults.size:,} rows copy an earlier one, but the log has neither order ids nor "
        f"times of day, so they may be purchases of their own. They are {fate}",
    )


def without(frame: nw.DataFrame[Any], rows: np.ndarray) -> nw.DataFrame[Any]:
    """The frame without some rows, ascending. What lies between a few of them is copied whole, which is faster."""
    if rows.size == 0:
        return frame
    if rows.size <= _FEW:
        starts, ends = [0, *(rows + 1).tolist()], [*rows.tolist(), len(frame)]
        runs = [frame[start:end] for start, end in zip(starts, ends, strict=True) if start < end]
        return nw.concat(runs, how="vertical") if runs else frame[0:0]
    sound = np.ones(len(frame), bool)
    sound[rows] = False
    return frame[np.flatnonzero(sound)]


def set_aside(raw: nw.DataFrame[Any], rows: np.ndarray, reasons: Sequence[str]) -> Any:
    """The rows as they came, with their position and reasons."""
    row, why = "row", "reasons"
    while row in raw.columns:
        row += "_"
    while why in raw.columns:
        why += "_"
    texts = nw.new_series(why, reasons, dtype=nw.String, backend=raw.implementation)
    return _frames.extend(raw[rows], {row: rows, why: texts}).to_native()


def broken(report: ValidationReport) -> str:
    """The rules that set rows aside, with their counts."""
    sizes: dict[str, int] = {}
    for rules, rows in report.patterns.items():
        for name in rules:
            sizes[name] = sizes.get(name, 0) + rows
    return ", ".join(f"{name} {sizes[name]:,}" for name in report.counts if name in sizes)


def complaint(report: ValidationReport, found: Tally) -> str:
    """What is wrong, where, and what to do: one line a rule."""
    lines = [
        f"{report.rows_quarantined:,} of {report.rows_in:,} rows break the rules of TransactionValidator.",
    ]
    for rule in found.rules:
        at = found.rows[(found.errors & np.uint64(rule.bit)) != 0]
        if at.size:
            first = ", ".join(map(str, at[:5].tolist())) + (", …" if at.size > 5 else "")
            lines.append(f"{rule.name}: {at.size:,} (rows {first}). {rule.remedy or rule.message}".rstrip())
    return "\n".join([*lines, "Pass on_error='quarantine' to set them aside and go on."])
