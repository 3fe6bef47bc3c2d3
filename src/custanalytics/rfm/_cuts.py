"""Cut points between scores, alone or nested in another score, and scoring by them; larger is better throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Scale:
    """One score: its cuts where they are given, else the shares of customers at which to cut."""

    n_bins: int
    marks: tuple[Fraction, ...]
    zero_apart: bool
    fixed: np.ndarray | None


@dataclass(frozen=True)
class Nests:
    """In which of `count` nests each customer is."""

    at: np.ndarray
    count: int


def cut_points(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Fitted values that part the scores at the wanted shares of customers: shape (n_bins - 1,), ascending.

    The best value is above every cut, unless all are equal. Where zero is apart, the first cut is 0 and the shares
    are of the customers above it.
    """
    divided = np.sort(values[values > 0] if scale.zero_apart else values)
    ranks = [-(-divided.size * mark.numerator // mark.denominator) for mark in scale.marks]
    cuts = divided[np.array(ranks, np.int64) - 1] if divided.size else np.zeros(len(ranks))
    if scale.zero_apart:
        cuts = np.concatenate([[0.0], cuts])
    below_best = values[values < values.max()]
    if below_best.size == 0:
        return cuts
    return np.minimum(cuts, max(below_best.max(), 0.0) if scale.zero_apart else below_best.max())


def fitted_cuts(values: np.ndarray, nesting: Sequence[Nests], scale: Scale) -> np.ndarray:
    """Cut points within each nest of the last nesting: shape (n_nests, n_bins - 1).

    `nesting` goes from the widest, the whole table, to the narrowest. A nest without a customer takes the cuts of
    the nest around it.
    """
    if scale.fixed is not None:
        return np.tile(scale.fixed, (nesting[-1].count, 1))
    cuts = cut_points(values, scale)[None]
    for nests in nesting[1:]:
        cuts = np.repeat(cuts, nests.count // len(cuts), axis=0)
        order = np.argsort(nests.at, kind="stable")
        bounds = np.searchsorted(nests.at[order], np.arange(nests.count + 1))
        for nest in np.flatnonzero(np.diff(bounds)):
            cuts[nest] = cut_points(values[order[bounds[nest] : bounds[nest + 1]]], scale)
    return cuts


def score_by(values: np.ndarray, cuts: np.ndarray, nests: np.ndarray) -> np.ndarray:
    """One more than the number of cuts below each value, among those of its nest: int64 of shape (n_customers,)."""
    if len(cuts) == 1:
        return 1 + np.searchsorted(cuts[0], values, side="left").astype(np.int64)
    scores = np.ones(values.size, np.int64)
    for column in cuts.T:
        scores += column[nests] < values
    return scores


def empty_scores(cuts: np.ndarray) -> tuple[int, ...]:
    """Scores that nobody can get in any nest, since the cuts on both sides of them are equal."""
    empty = (cuts[:, 1:] <= cuts[:, :-1]).all(axis=0)
    return tuple((np.flatnonzero(empty) + 2).tolist())
