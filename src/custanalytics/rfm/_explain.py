"""Why a customer is in a segment, and the smallest changes that lead to the others."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from custanalytics._columns import CUSTOMER_ID
from custanalytics.exceptions import InvalidDataError
from custanalytics.rfm._codes import parse
from custanalytics.rfm._explanation import Move, SegmentExplanation
from custanalytics.rfm._scale import SCORES
from custanalytics.rfm._targets import Column, targets


def row_of(frame: nw.DataFrame[Any], customer: Any) -> nw.DataFrame[Any]:
    """The one row of a customer, or a KeyError."""
    ids = frame[CUSTOMER_ID].to_list()
    rows = [row for row, one in enumerate(ids) if _same(one, customer)]
    if not rows:
        known = ", ".join(map(repr, ids[:3])) if ids else "none"
        raise KeyError(f"There is no customer {customer!r} among the {len(ids):,} of the table (ids: {known}, ...).")
    if len(rows) > 1:
        raise InvalidDataError(f"Customer {customer!r} has {len(rows)} rows in the table. Pass one row per customer.")
    return frame[rows[0] : rows[0] + 1]


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except TypeError:  # a missing value that is neither equal nor unequal to anything
        return False


def explain(
    customer: Any, segmenter: Any, cell: list[int] | None, scorer: Any = None, row: nw.DataFrame[Any] | None = None
) -> SegmentExplanation:
    """Explain by scores alone (`cell`), or by the values of a row and the cuts of a scorer."""
    names = segmenter.scores_
    if scorer is None or row is None:
        at = tuple(score - 1 for score in cell or ())
        shape = segmenter.grid_.shape
        steps = _steps(at, shape, [True] * len(at))
        found = _nearest(segmenter.grid_, at, steps, np.zeros(shape))
        moves = [Move(str(segmenter.segments_[s]), int(steps[c]), _named(names, c), ()) for s, c in found]
        return _explanation(customer, segmenter, dict(zip(names, cell or (), strict=True)), moves=tuple(moves))
    columns = _columns(scorer, row)
    _check_scorer(segmenter, scorer, columns, row)
    grid = _spread(segmenter.grid_, names, scorer.n_bins_)
    at = tuple(column.score - 1 for column in columns)
    used = [score in names for score in SCORES]
    reached = [targets(column, scorer.n_bins_[: axis + 1]) for axis, column in enumerate(columns)]
    sizes = np.zeros(grid.shape)
    for column, values, free in zip(columns, reached, used, strict=True):
        moved = np.abs(values - column.better)
        size = moved / np.where(moved > 0, np.maximum(np.abs(values), abs(column.better)), 1.0)
        if not free:
            size[moved > 0] = np.nan
        sizes += size.reshape(size.shape + (1,) * (3 - size.ndim))
    steps = _steps(at, grid.shape, used)
    moves = []
    for segment, there in _nearest(grid, at, steps, sizes):
        wanted = [float(values[there[: axis + 1]]) for axis, values in enumerate(reached)]
        changes = [
            column.change(value, there[:axis]) for axis, (column, value) in enumerate(zip(columns, wanted, strict=True))
        ]
        scores = {name: there[SCORES.index(name)] + 1 for name in names}
        moves.append(Move(str(segmenter.segments_[segment]), int(steps[there]), scores, tuple(filter(None, changes))))
    return _explanation(
        customer,
        segmenter,
        {name: columns[SCORES.index(name)].score for name in names},
        values={columns[SCORES.index(name)].name: columns[SCORES.index(name)].value for name in names},
        reasons={name: columns[SCORES.index(name)].reason(at) for name in names},
        moves=tuple(moves),
        silence=_silence(segmenter, scorer, columns, grid, at),
    )


def _explanation(customer: Any, segmenter: Any, scores: dict[str, int], **more: Any) -> SegmentExplanation:
    cell = tuple(scores.values())
    segment = str(segmenter.segments_[segmenter.grid_[tuple(score - 1 for score in cell)]])
    rule = next(code for code in segmenter.codes_[segment] if _fits(segment, code, cell))
    bins = dict(zip(scores, segmenter.grid_.shape, strict=True))
    return SegmentExplanation(customer=customer, segment=segment, rule=rule, scores=scores, n_bins=bins, **more)


def _fits(segment: str, code: str, cell: tuple[int, ...]) -> bool:
    return all(not part or score in part for part, score in zip(parse(segment, code), cell, strict=True))


def _columns(scorer: Any, row: nw.DataFrame[Any]) -> list[Column]:
    values = scorer._values(row)
    scores = scorer._score(values)
    return [
        Column(
            score_name=score,
            name=name,
            value=float(found[0]),
            score=int(scores[score][0]),
            cuts=(-1.0 if score == SCORES[0] else 1.0) * scorer.cut_points_[score],
            whole=score in scorer._whole and float(found[0]).is_integer(),
            falling=score == SCORES[0],
        )
        for score, (name, found) in values.items()
    ]


def _check_scorer(segmenter: Any, scorer: Any, columns: list[Column], row: nw.DataFrame[Any]) -> None:
    bins = dict(zip(SCORES, scorer.n_bins_, strict=True))
    wanted = dict(zip(segmenter.scores_, segmenter.grid_.shape, strict=True))
    if any(bins.get(name) != n for name, n in wanted.items()):
        raise InvalidDataError(f"The rules are for scores up to {wanted}, and the scorer gives {bins}.")
    for column in columns:
        given = row[column.score_name].to_list()[0] if column.score_name in row.columns else column.score
        if given != column.score:
            raise InvalidDataError(
                f"The table has {column.score_name} {given} where the scorer gives {column.score}: it was scored by "
                "another scorer. Pass the one that scored it, or a table without scores."
            )


def _spread(grid: np.ndarray, names: tuple[str, ...], bins: tuple[int, ...]) -> np.ndarray:
    """The grid over all three scores, in their usual order."""
    axes = [SCORES.index(name) for name in names]
    grid = np.transpose(grid, np.argsort(axes))
    return np.broadcast_to(grid.reshape([bins[axis] if axis in axes else 1 for axis in range(3)]), bins)


def _steps(at: tuple[int, ...], shape: tuple[int, ...], used: list[bool]) -> np.ndarray:
    """Score steps from a cell to every other, over the scores that rules use."""
    steps = np.zeros(shape, np.int64)
    for axis, (here, free) in enumerate(zip(at, used, strict=True)):
        if free:
            away = np.abs(np.arange(shape[axis]) - here)
            steps += away.reshape([-1 if other == axis else 1 for other in range(len(shape))])
    return steps


def _nearest(
    grid: np.ndarray, at: tuple[int, ...], steps: np.ndarray, sizes: np.ndarray
) -> list[tuple[int, tuple[int, ...]]]:
    """For each other segment within reach the cell of fewest steps, then smallest change, then best scores."""
    found = []
    for segment in np.unique(grid):
        cells = np.flatnonzero((grid == segment) & np.isfinite(sizes))
        if segment != grid[at] and cells.size:
            order = np.lexsort((-cells, sizes.ravel()[cells], steps.ravel()[cells]))
            best = int(cells[order[0]])
            found.append((steps.ravel()[best], sizes.ravel()[best], -best, int(segment)))
    return [(segment, tuple(map(int, np.unravel_index(-cell, grid.shape)))) for _, _, cell, segment in sorted(found)]


def _silence(
    segmenter: Any, scorer: Any, columns: list[Column], grid: np.ndarray, at: tuple[int, ...]
) -> tuple[tuple[float, str], ...]:
    """After how long without a purchase the customer comes to which segment."""
    recency, frequency, money = columns
    path, last = [], grid[at]
    for score in range(at[0] - 1, -1, -1):
        if score and recency.cuts[score] <= recency.cuts[score - 1]:
            continue  # nobody can get this score
        f = frequency.score_in((score,))
        m = money.score_in((score, f))
        if grid[score, f, m] != last:
            last = grid[score, f, m]
            path.append((-float(recency.cuts[score]) - recency.value, str(segmenter.segments_[last])))
    return tuple(path)


def _named(names: tuple[str, ...], cell: tuple[int, ...]) -> dict[str, int]:
    return {name: at + 1 for name, at in zip(names, cell, strict=True)}
