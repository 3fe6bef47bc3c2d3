"""Segments of a scored customer table that stays in its engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from custanalytics import _engine_checks, _engines
from custanalytics._engine_checks import Check

OWNER, HINT = "RFMSegmenter", "Make the scores with RFMScorer."


def count_cells(X: Any, scores: Sequence[str], shape: Sequence[int]) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    """The cells that occur, as positions from 0 along each axis, the customers in each, and the table's columns.

    Scores that the rules do not know are passed over.
    """
    lazy = _engines.read_table(X, scores, OWNER, HINT)
    values = _engine_checks.numbers(lazy, scores)
    found, customers = _engines.counts(lazy.select(*values), scores)
    known = np.ones(customers.size, bool)
    for name, n_bins in zip(scores, shape, strict=True):
        score = found[name]
        known &= (score >= 1) & (score <= n_bins) & (score == np.floor(score))
    cells = [found[name][known].astype(np.int64) - 1 for name in scores]
    return cells, customers[known], lazy.collect_schema().names()


def name_in_engine(X: Any, scores: Sequence[str], grid: np.ndarray, segments: np.ndarray, column: str) -> Any:
    """The table, checked at once, with the segment of each customer added where the rows are."""
    lazy = _engines.read_table(X, scores, OWNER, HINT)
    _engine_checks.refuse(lazy, _checks(scores, grid.shape), *_engine_checks.numbers(lazy, scores))
    named = partial(_names, tuple(scores), grid, segments, column)
    return _engines.native(_engines.map_columns(lazy, scores, named, {column: str}))


def _names(
    scores: Sequence[str], grid: np.ndarray, segments: np.ndarray, column: str, values: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    cells = tuple(np.asarray(values[name], np.int64) - 1 for name in scores)
    return {column: segments[grid[cells]].astype(object)}


def _checks(scores: Sequence[str], shape: Sequence[int]) -> list[Check]:
    return [
        Check(
            f"have a {name} that is no whole number from 1 to {n_bins}",
            f"The rules are for RFMScorer(n_bins={n_bins}): score with it, or pass rules for your scores.",
            partial(_is_no_score, at, n_bins),
        )
        for at, (name, n_bins) in enumerate(zip(scores, shape, strict=True))
    ]


def _is_no_score(at: int, n_bins: int, *values: Any) -> Any:
    score = values[at]
    return _engine_checks.absent(score) | (score < 1) | (score > n_bins) | (score % 1.0 != 0)
