"""Which segments nobody can be in on given scores, and why."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

PER_SCORE = 4  # customers per score below which an empty score may be chance
ENOUGH = 20  # customers with one score, below which their agreement on another may be chance


def unreachable(
    cells: Sequence[np.ndarray],
    grid: np.ndarray,
    segments: Sequence[str],
    names: Sequence[str],
    customers: np.ndarray | None = None,
) -> dict[str, str]:
    """Segments whose every cell ties exclude, with the reasons; scores in `cells` are positions from 0.

    There is one customer at each, or as many as `customers` says.
    """
    each = np.ones(cells[0].size, np.int64) if customers is None else customers
    n = int(each.sum())
    excluded: list[tuple[str, np.ndarray]] = []  # a reason, and the cells that it excludes
    for axis, (at, name) in enumerate(zip(cells, names, strict=True)):
        absent = np.bincount(at, minlength=grid.shape[axis]) == 0
        if n >= PER_SCORE * grid.shape[axis] and absent.any():
            scores = " or ".join(str(score + 1) for score in np.flatnonzero(absent))
            excluded.append(
                (f"nobody has {name} {scores}", np.broadcast_to(_along(absent, axis, grid.ndim), grid.shape))
            )
    for one, other in itertools.permutations(range(len(cells)), 2):
        pairs = np.zeros((grid.shape[one], grid.shape[other]), np.int64)
        np.add.at(pairs, (cells[one], cells[other]), each)
        for score, held in enumerate(pairs):
            if held.sum() >= max(n / grid.shape[one], ENOUGH) and held.max() == held.sum():
                mine, rest = np.arange(grid.shape[one]) == score, held == 0
                reason = f"{names[one]} {score + 1} always goes with {names[other]} {held.argmax() + 1}"
                excluded.append((reason, _along(mine, one, grid.ndim) & _along(rest, other, grid.ndim) & (grid >= 0)))
    out = np.zeros(grid.shape, bool)
    for _, cells_out in excluded:
        out |= cells_out
    found = {}
    for position, segment in enumerate(segments):
        mine = grid == position
        if out[mine].all():
            found[str(segment)] = ", ".join(_needed(excluded, mine))
    return found


def _needed(excluded: list[tuple[str, np.ndarray]], cells: np.ndarray) -> list[str]:
    """Reasons that together exclude the cells, the one that excludes most of what is left first."""
    left, reasons = cells.copy(), []
    while left.any():
        reason, gone = max(excluded, key=lambda pair: int((pair[1] & left).sum()))
        reasons.append(reason)
        left &= ~gone
    return reasons


def _along(values: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    return values.reshape([-1 if at == axis else 1 for at in range(ndim)])
