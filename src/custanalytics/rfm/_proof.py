"""The proof that rules give every cell of a score grid exactly one segment."""

from __future__ import annotations

from typing import Any

import numpy as np

from custanalytics._params import check_value, integer
from custanalytics.exceptions import RuleTableError
from custanalytics.rfm._codes import code_of
from custanalytics.rfm._scale import N_BINS

Parsed = dict[str, list[list[set[int]]]]  # the scores that each part of each code of each segment admits

_SHOWN = 5


def prove(parsed: Parsed, shape: tuple[int, ...]) -> np.ndarray:
    """The position of each cell's segment, or an error that names what is missing, doubled or dead."""
    grid, claims = np.full(shape, -1, np.int64), np.zeros(shape, np.int64)
    owned = {segment: _cells(segment, codes, shape) for segment, codes in parsed.items()}
    for position, mine in enumerate(owned.values()):
        claims += mine
        grid[mine & (grid < 0)] = position
    missing = [code_of(cell) for cell in (np.argwhere(grid < 0) + 1).tolist()]
    doubled = []
    for cell in np.argwhere(claims > 1):
        owners = ", ".join(segment for segment, mine in owned.items() if mine[tuple(cell)])
        doubled.append(f"{code_of((cell + 1).tolist())}: {owners}")
    dead = [segment for position, segment in enumerate(parsed) if not (grid == position).any()]
    faults = [
        _fault("missing", missing, f"of {grid.size} cells"),
        _fault("doubled", doubled, f"of {grid.size} cells", "; "),
        _fault("dead", dead, f"of {len(parsed)} segments"),
    ]
    if any(faults):
        raise RuleTableError(
            "The rules must give every cell of the score grid exactly one segment, and every segment a cell of "
            f"its own. {'. '.join(filter(None, faults))}. Change the codes so that each cell is listed once."
        )
    return grid


def _cells(segment: str, codes: list[list[set[int]]], shape: tuple[int, ...]) -> np.ndarray:
    mine = np.zeros(shape, bool)
    for code in codes:
        parts = [sorted(part or range(1, n + 1)) for part, n in zip(code, shape, strict=True)]
        if any(part[0] < 1 or part[-1] > n for part, n in zip(parts, shape, strict=True)):
            outside = code_of(part[0] if part[0] < 1 else part[-1] for part in parts)
            sizes = str(shape[0]) if len(set(shape)) == 1 else " × ".join(map(str, shape))
            raise RuleTableError(f"The code {outside!r} of {segment!r} lies outside the scores 1 to {sizes}.")
        mine[np.ix_(*(np.array(part) - 1 for part in parts))] = True
    return mine


def _fault(kind: str, names: list[str], of: str, separator: str = ", ") -> str:
    if not names:
        return ""
    return f"{kind}: {len(names)} {of} ({separator.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''})"


def count_scores(parsed: dict[str, list[list[set[int]]]], n_scores: int | None) -> int:
    """Parts of every code, or an error that names the segment with another number."""
    lengths = {len(code): segment for segment, codes in parsed.items() for code in codes}
    wanted = n_scores if n_scores is not None else min(lengths, default=3)
    check_value("n_scores", wanted, (integer(2, 3),), "RuleTable")
    for length, segment in lengths.items():
        if length != wanted:
            raise RuleTableError(f"A code of {segment!r} has {length} parts where {wanted} scores are needed.")
    return wanted


def shape_of(parsed: dict[str, list[list[set[int]]]], n_bins: Any, n_scores: int) -> tuple[int, ...]:
    """Sizes of the grid: those given, or the largest number in the rules for all."""
    if n_bins is None:
        n_bins = max((max(part) for codes in parsed.values() for code in codes for part in code if part), default=0)
        if n_bins < 2:
            raise RuleTableError("The rules name no score above 1: pass n_bins=5, or how many there are.")
    sizes = tuple(n_bins) if isinstance(n_bins, tuple | list) else (n_bins,) * n_scores
    for size in sizes:
        check_value("n_bins", size, (N_BINS,), "RuleTable")
    if len(sizes) != n_scores:
        raise ValueError(f"The 'n_bins' parameter of RuleTable must be one int or {n_scores}. Got {n_bins!r} instead.")
    return tuple(int(size) for size in sizes)
