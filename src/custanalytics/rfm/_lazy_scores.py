"""Cut points and scores of a customer table that stays in its engine."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from custanalytics import _engine_checks, _engines, _frames
from custanalytics._columns import INACTIVITY, RECENCY, T
from custanalytics._engine_checks import Check, absent
from custanalytics.exceptions import InvalidDataError
from custanalytics.rfm._cuts import Scale, empty_scores
from custanalytics.rfm._order_statistics import Bracket, order_statistics
from custanalytics.rfm._scale import SCORES
from custanalytics.rfm._wording import warn_of_constant

if TYPE_CHECKING:
    from custanalytics.rfm._scorer import RFMScorer

HINT = "Make the customer table with RFMSummary, or name your columns in RFMScorer(recency=..., ...)."
REMEDY = "Drop them, or make the table with RFMSummary, which leaves no gaps."
RFM_SCORE = "rfm_score"
DECIMALS = 9  # of an inactivity
WHOLE = 2.0**51  # numbers that are larger have no decimals left to round


def fit_in_engine(scorer: RFMScorer, X: Any, plan: dict[str, Scale]) -> None:
    """What `RFMScorer.fit` learns, from counts in the engine."""
    source = LazyValues(X, scorer.recency, scorer.frequency, scorer.monetary)
    if source.n == 0:
        raise InvalidDataError("The customer table is empty: RFMScorer.fit needs at least one customer.")
    extremes = source.extremes()
    scorer.n_bins_ = tuple(scale.n_bins for scale in plan.values())
    scorer.cut_points_, scorer.unreachable_scores_ = {}, {}
    scorer._whole = tuple(score for score, (_, _, whole) in extremes.items() if whole)
    around: tuple[int, ...] = ()
    nesting = [[source.values]]
    for score, scale in plan.items():
        sign = -1.0 if score == SCORES[0] else 1.0
        low, high, _ = extremes[score]
        cuts = lazy_fitted_cuts(nesting, score, scale)
        scorer.cut_points_[score] = (sign * cuts + 0.0).reshape(*around, scale.n_bins - 1)
        scorer.unreachable_scores_[score] = empty_scores(cuts)
        if low == high:
            warn_of_constant(source.n, source.columns[score], sign * low + 0.0, score, 1 + int((cuts[0] < low).sum()))
        if scorer.method == "nested":
            steps = [
                (nest, score_expression(nw.col(score), mine)) for nest, mine in zip(nesting[-1], cuts, strict=True)
            ]
            nesting.append([nest.filter(at == k + 1) for nest, at in steps for k in range(scale.n_bins)])
            around = (*around, scale.n_bins)
    scorer.feature_names_in_ = np.asarray(source.names, dtype=object)
    scorer.n_features_in_ = len(source.names)


def score_in_engine(scorer: RFMScorer, X: Any) -> Any:
    """The table with its scores, which simple scores need no row out of the engine for."""
    source = LazyValues(X, scorer.recency, scorer.frequency, scorer.monetary)
    if scorer.method == "nested":
        kinds = {**dict.fromkeys(SCORES, int), **({} if scorer.weights is None else {RFM_SCORE: float})}
        raw = source.table.select(*source.names)
        return _engines.native(_engines.map_columns(raw, source.needed, partial(_scores, copy(scorer)), kinds))
    added = {}
    for score, value in source.expressions.items():
        sign = -1.0 if score == SCORES[0] else 1.0
        added[score] = score_expression(sign * value, sign * scorer.cut_points_[score])
    if scorer.weights is not None:
        terms = [added[score] * float(weight) for weight, score in zip(scorer.weights, SCORES, strict=True)]
        added[RFM_SCORE] = sum(terms[1:], terms[0])
    kept = [name for name in source.names if name not in added]
    return _engines.native(source.table.select(*kept, *(value.alias(name) for name, value in added.items())))


def _scores(scorer: RFMScorer, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    frame = _frames.read(columns)
    return scorer._score(scorer._values(frame))


class LazyValues:
    """The values behind the scores of a table in an engine, checked.

    `values` has them in columns named as the scores, larger being better.
    """

    def __init__(self, X: Any, recency: str, frequency: str, monetary: str) -> None:
        columns = (recency, frequency, monetary)
        lazy = _engines.read_table(X, owner="RFMScorer")
        self.names = lazy.collect_schema().names()
        derived = recency == INACTIVITY and INACTIVITY not in self.names
        needed = [*((T, RECENCY) if derived else (recency,)), frequency, monetary]
        lazy = _engines.read_table(X, needed, "RFMScorer", HINT)
        *first, f, m = _engine_checks.numbers(lazy, needed)
        r = first[0] - first[1] if derived else first[0]
        checks = [Check(f"have no finite {name}", REMEDY, _absent_at(k)) for k, name in enumerate(columns)]
        self.n = _engine_checks.refuse(lazy, checks, r, f, m)["n_rows"]
        self.needed = tuple(needed)
        self.table, self.columns = lazy, dict(zip(SCORES, columns, strict=True))
        self.expressions = dict(zip(SCORES, (rounded(r) if recency == INACTIVITY else r, f, m), strict=True))
        signed = {score: -value if score == SCORES[0] else value for score, value in self.expressions.items()}
        self.values = lazy.select(*(value.alias(score) for score, value in signed.items()))

    def extremes(self) -> dict[str, tuple[float, float, bool]]:
        """Least and largest value behind each score, and whether all are whole: one query."""
        asked = []
        for score in SCORES:
            value = nw.col(score)
            broken = nw.when(value != value.floor()).then(nw.lit(1)).otherwise(nw.lit(0)).sum()
            asked += [value.min().alias(f"{score}_low"), value.max().alias(f"{score}_high"), broken.alias(score)]
        row = _engines.row(self.values, *asked)
        return {s: (float(row[f"{s}_low"]) + 0.0, float(row[f"{s}_high"]) + 0.0, not row[s]) for s in SCORES}


def lazy_cut_points(values: nw.LazyFrame[Any], score: str, scale: Scale) -> np.ndarray | None:
    """`_cuts.cut_points` for a column in an engine; None where no row is left."""
    value = nw.col(score)
    divided = values.filter(value > 0) if scale.zero_apart else values
    n, low, high = _range(divided, score)
    top = high if n else _range(values, score)[2]
    if not n and not _range(values, score)[0]:
        return None
    ranks = [-(-n * mark.numerator // mark.denominator) for mark in scale.marks]
    found = order_statistics(divided, score, Bracket(low, high, 0, n, tuple(sorted(set(ranks))))) if n else {}
    cuts = np.array([found[rank] if n else 0.0 for rank in ranks])
    if scale.zero_apart:
        cuts = np.concatenate([[0.0], cuts])
    if cuts.size and cuts.max() < top:
        return cuts  # the best value is above them already
    below = _engines.row(values.filter(value < top), value.max().alias("value"))["value"]
    if below is None or np.isnan(below):
        return cuts
    return np.minimum(cuts, max(below, 0.0) if scale.zero_apart else below)


def lazy_fitted_cuts(nesting: Sequence[Sequence[nw.LazyFrame[Any]]], score: str, scale: Scale) -> np.ndarray:
    """`_cuts.fitted_cuts`, from the tables of the customers in each nest."""
    if scale.fixed is not None:
        return np.tile(scale.fixed, (len(nesting[-1]), 1))
    cuts = np.zeros((1, 0))
    for nests in nesting:
        around = np.repeat(cuts, len(nests) // len(cuts), axis=0)
        found = [lazy_cut_points(nest, score, scale) for nest in nests]
        cuts = np.array([around[at] if mine is None else mine for at, mine in enumerate(found)])
    return cuts


def score_expression(value: nw.Expr, cuts: np.ndarray) -> nw.Expr:
    """One more than the number of ascending cuts below the value, int64."""
    below = [nw.when(value > float(cut)).then(nw.lit(1)).otherwise(nw.lit(0)) for cut in cuts]
    return sum(below, nw.lit(1)).cast(nw.Int64)


def rounded(value: nw.Expr) -> nw.Expr:
    """NumPy's rounding, halves to even, to the decimals of an inactivity."""
    scaled = value * 10.0**DECIMALS
    nearest = (scaled + 0.5).floor()
    odd_half = (nearest - scaled == 0.5) & ((nearest * 0.5).floor() * 2.0 != nearest)
    even = nw.when(odd_half).then(nearest - 1.0).otherwise(nearest)
    unit = value * 0.0 + 10.0**DECIMALS  # a column: Polars would multiply by the reciprocal of a number
    return nw.when(scaled.abs() < WHOLE).then(even).otherwise(scaled) / unit


def _absent_at(place: int) -> Any:
    return partial(_absent, place)


def _absent(place: int, *values: nw.Expr) -> nw.Expr:
    return absent(values[place])


def _range(values: nw.LazyFrame[Any], column: str) -> tuple[int, float, float]:
    value = nw.col(column)
    row = _engines.row(values, nw.len().alias("n"), value.min().alias("low"), value.max().alias("high"))
    return (int(row["n"]), float(row["low"]), float(row["high"])) if row["n"] else (0, np.nan, np.nan)
