"""Exact order statistics of a column that stays in its engine, by counting in ever narrower brackets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import narwhals as nw
import numpy as np

from custanalytics import _engines

BINS = 512  # of each bracket
FEW = 4_000  # values within all brackets that are rather collected


@dataclass(frozen=True)
class Bracket:
    """Values from `low` to `high`, both of which occur: `size` of them, after `below` smaller ones."""

    low: float
    high: float
    below: int
    size: int
    ranks: tuple[int, ...]  # those looked for in here


def order_statistics(lazy: nw.LazyFrame, column: str, whole: Bracket) -> dict[int, float]:
    """The values at the ranks of the bracket, from 1 for the smallest, of a float64 column without gaps."""
    found: dict[int, float] = {}
    brackets = [whole]
    while brackets:
        known = [bracket for bracket in brackets if bracket.low == bracket.high]
        found |= {rank: bracket.low for bracket in known for rank in bracket.ranks}
        brackets = [bracket for bracket in brackets if bracket.low < bracket.high]
        if not brackets:
            break
        inside = lazy.filter(nw.any_horizontal(*(_holds(each, column) for each in brackets), ignore_nulls=True))
        if sum(each.size for each in brackets) <= FEW or not all(np.isfinite(_scale(each)) for each in brackets):
            found |= _looked_up(inside, column, brackets)
            break
        brackets = _narrowed(inside, column, brackets)
    return found


def _looked_up(inside: nw.LazyFrame, column: str, brackets: Sequence[Bracket]) -> dict[int, float]:
    values, counts = _engines.counts(inside, [column])
    order = np.argsort(values[column])
    ordered, counts = values[column][order], counts[order]
    found: dict[int, float] = {}
    for each in brackets:
        mine = (ordered >= each.low) & (ordered <= each.high)
        up_to = each.below + np.cumsum(counts[mine])
        found |= {rank: float(ordered[mine][np.searchsorted(up_to, rank)]) for rank in each.ranks}
    return found


def _narrowed(inside: nw.LazyFrame, column: str, brackets: Sequence[Bracket]) -> list[Bracket]:
    """The bins of the brackets that hold the ranks."""
    value = nw.col(column)
    number = nw.lit(0)
    for at, each in enumerate(brackets):
        bin_ = ((value - each.low) * _scale(each)).floor().clip(0, BINS - 1).cast(nw.Int64) + at * BINS
        number = nw.when(_holds(each, column)).then(bin_).otherwise(number)
    bins = inside.with_columns(number.alias("bin"))
    asked = (nw.len().alias("size"), value.min().alias("low"), value.max().alias("high"))
    table = _engines.arrays(_engines.collect(bins.group_by("bin").agg(*asked)), ("bin", "size", "low", "high"))
    order = np.argsort(table["bin"])
    number_of, size, low, high = (table[name][order] for name in ("bin", "size", "low", "high"))
    narrower = []
    for at, each in enumerate(brackets):
        mine = np.flatnonzero(number_of // BINS == at)
        up_to = each.below + np.cumsum(size[mine]).astype(np.int64)
        for place in np.unique(np.searchsorted(up_to, each.ranks)):
            k, below = mine[place], int(up_to[place] - size[mine[place]])
            ranks = tuple(rank for rank in each.ranks if below < rank <= up_to[place])
            narrower.append(Bracket(float(low[k]), float(high[k]), below, int(size[k]), ranks))
    return narrower


def _holds(bracket: Bracket, column: str) -> nw.Expr:
    return (nw.col(column) >= bracket.low) & (nw.col(column) <= bracket.high)


def _scale(bracket: Bracket) -> float:
    with np.errstate(over="ignore", divide="ignore"):
        return float(BINS / (np.float64(bracket.high) - np.float64(bracket.low))) or np.inf
