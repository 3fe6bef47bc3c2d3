"""From fault bits to counts, reasons, the rows set aside, and the wording of a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics.validation._report import ValidationReport
from custanalytics.validation._rules import RULES, names
from custanalytics.validation._screening import WRONG


def count(
    faults: np.ndarray, rows: np.ndarray, flags: int, notes: tuple[str, ...]
) -> tuple[ValidationReport, Sequence[str]]:
    """The report, and the reasons of every quarantined row."""
    clean = faults.copy()
    clean[rows] = 0
    kept = np.unique(clean[clean > 0], return_counts=True)
    masks, which, sizes = np.unique(faults[rows] & np.uint32(WRONG & ~flags), return_inverse=True, return_counts=True)
    counts = {}
    for rule in RULES:
        of_masks, of_sizes = kept if rule.bit & flags else (masks, sizes)
        counts[rule.name] = int(of_sizes[(of_masks & np.uint32(rule.bit)) != 0].sum())
    report = ValidationReport(
        rows_in=faults.size,
        rows_clean=faults.size - rows.size,
        rows_quarantined=rows.size,
        counts=counts,
        flagged=tuple(rule.name for rule in RULES if rule.bit & flags),
        patterns={names(int(mask)): int(size) for mask, size in zip(masks, sizes, strict=True)},
        notes=notes,
    )
    texts = np.array([";".join(names(int(mask))) for mask in masks], dtype=object)
    return report, texts[which].tolist()


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
    found = {name: rows for name, rows in report.counts.items() if rows and name not in report.flagged}
    return ", ".join(f"{name} {rows:,}" for name, rows in found.items())


def complaint(report: ValidationReport, faults: np.ndarray) -> str:
    """What is wrong, where, and what to do: one line a rule."""
    lines = [
        f"{report.rows_quarantined:,} of {report.rows_in:,} rows break the rules of TransactionValidator.",
    ]
    for rule in RULES:
        if report.counts[rule.name] and rule.name not in report.flagged:
            at = np.flatnonzero(faults & np.uint32(rule.bit))
            first = ", ".join(map(str, at[:5].tolist())) + (", …" if at.size > 5 else "")
            lines.append(f"{rule.name}: {at.size:,} (rows {first}). {rule.remedy}")
    return "\n".join([*lines, "Pass on_error='quarantine' to set them aside and go on."])
