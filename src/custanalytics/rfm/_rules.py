"""RuleTable: segment rules over the grid of scores, proven complete, without overlap and without dead segments."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from custanalytics._params import OneOf, check_value, integer
from custanalytics.exceptions import RuleTableError
from custanalytics.rfm._presets import PRESETS

_TOKEN = re.compile(r"\d|\*|\[\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*\]")
_SHOWN = 5


class RuleTable:
    """Rules that give every cell of the score grid exactly one segment, proven on construction.

    A table that misses a cell, claims one twice or has a segment that no customer can reach is refused with the
    names of what is wrong. There is no first-match order: rules that need one hide the very faults that this
    class is there to find.

    Parameters
    ----------
    rules : mapping of str to iterable of str
        Segment to its codes. A code has one part per score, in the order recency, frequency, money: a digit, a
        list of numbers and ranges in brackets (``[4-5]``, ``[1,3]``, ``[10]``) or ``*`` for any score. "555" is
        one cell, "[4-5][4-5]*" are four cells times all scores for money. One code may be given as a plain str.
    n_bins : int or None, default=None
        Scores run from 1 to this. None takes the largest number in the rules.
    n_scores : {2, 3} or None, default=None
        Parts of a code. None takes what the codes have.
    source : str, default=""
        Where the rules come from.

    Attributes
    ----------
    segments : tuple of str
        Names in the order given.
    n_bins : int
        Number of scores per dimension.
    n_scores : int
        Number of dimensions.
    grid : ndarray of shape (n_bins,) * n_scores
        Position in `segments` of the segment of each cell; read-only.
    source : str
        Where the rules come from.

    Raises
    ------
    RuleTableError
        Where a code cannot be read or lies outside the grid, or cells are missing, doubled or dead.

    See Also
    --------
    RFMSegmenter : Applies a table to scored customers.

    Examples
    --------
    >>> from custanalytics.rfm import RuleTable
    >>> table = RuleTable({"core": ["3*"], "fading": ["[1-2][2-3]"], "lost": ["[1-2]1"]})
    >>> table.lookup(2, 3)
    'fading'
    >>> table.counts
    {'core': 3, 'fading': 4, 'lost': 2}
    >>> RuleTable({"good": ["3*", "23"], "bad": ["1*", "2[1-2]", "23"]})
    Traceback (most recent call last):
        ...
    custanalytics.exceptions.RuleTableError: ... doubled: 1 of 9 cells (23: good, bad)...
    """

    def __init__(
        self,
        rules: Mapping[str, Iterable[str] | str],
        *,
        n_bins: int | None = None,
        n_scores: int | None = None,
        source: str = "",
    ) -> None:
        if not isinstance(rules, Mapping) or not rules:
            raise RuleTableError("A rule table needs a mapping of segment to codes, such as {'best': ['5*'], ...}.")
        parsed = {str(name): _parse_all(str(name), codes) for name, codes in rules.items()}
        self.n_scores = _check_scores(parsed, n_scores)
        largest = max((max(part) for codes in parsed.values() for code in codes for part in code if part), default=0)
        self.n_bins = largest if n_bins is None else n_bins
        check_value("n_bins", self.n_bins, (integer(2, 100),), "RuleTable")
        self.source = source
        self.segments = tuple(parsed)
        self.grid = self._prove(parsed)
        self.grid.flags.writeable = False

    @classmethod
    def from_preset(cls, name: str) -> Self:
        """Make one of the published tables.

        Parameters
        ----------
        name : {"eleven-segments", "ten-segments"}
            Eleven segments on three scores, or ten on recency and frequency; both on scores from 1 to 5.

        Returns
        -------
        table : RuleTable

        Examples
        --------
        >>> from custanalytics.rfm import RuleTable
        >>> RuleTable.from_preset("eleven-segments").lookup(5, 5, 5)
        'Champions'
        """
        check_value("name", name, (OneOf(tuple(PRESETS)),), "RuleTable.from_preset")
        preset = PRESETS[name]
        return cls(preset.rules, n_bins=preset.n_bins, source=preset.source)

    @property
    def counts(self) -> dict[str, int]:
        """Number of cells of each segment."""
        cells = np.bincount(self.grid.ravel(), minlength=len(self.segments))
        return dict(zip(self.segments, cells.tolist(), strict=True))

    def lookup(self, *scores: int) -> str:
        """The segment of one cell.

        Parameters
        ----------
        *scores : int
            One score per dimension: recency, frequency and, where the table has three, money.

        Returns
        -------
        segment : str
        """
        if len(scores) != self.n_scores or not all(integer(1, self.n_bins).accepts(score) for score in scores):
            raise ValueError(f"lookup takes {self.n_scores} scores from 1 to {self.n_bins}. Got {scores!r} instead.")
        return self.segments[self.grid[tuple(int(score) - 1 for score in scores)]]

    def __iter__(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Pairs of a segment and the codes of all its cells, best scores first."""
        for position, segment in enumerate(self.segments):
            cells = np.argwhere(self.grid == position)[::-1] + 1
            yield segment, tuple(_code(cell) for cell in cells.tolist())

    def __len__(self) -> int:
        return len(self.segments)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RuleTable):
            return NotImplemented
        return self.segments == other.segments and np.array_equal(self.grid, other.grid)

    def __hash__(self) -> int:
        return hash((self.segments, self.grid.tobytes()))

    def __repr__(self) -> str:
        return f"RuleTable({self.counts}, n_bins={self.n_bins}, n_scores={self.n_scores})"

    def __str__(self) -> str:
        width = max(map(len, self.segments))
        lines = [f"{name:<{width}}  {len(codes):>4}  {' '.join(codes)}" for name, codes in self]
        title = f"{len(self)} segments, {self.grid.size} cells, scores 1 to {self.n_bins}"
        return "\n".join([title, *([self.source] if self.source else []), *lines])

    def _prove(self, parsed: dict[str, list[list[set[int]]]]) -> np.ndarray:
        """Fill the grid, or say what is missing, doubled or dead."""
        everything = set(range(1, self.n_bins + 1))
        owners: dict[tuple[int, ...], list[str]] = {}
        for segment, codes in parsed.items():
            cells = {cell for code in codes for cell in itertools.product(*(part or everything for part in code))}
            outside = sorted(cell for cell in cells if not everything.issuperset(cell))
            if outside:
                raise RuleTableError(
                    f"The code {_code(outside[0])!r} of {segment!r} lies outside the scores 1 to {self.n_bins}."
                )
            for cell in cells:
                owners.setdefault(cell, []).append(segment)
        grid = np.full((self.n_bins,) * self.n_scores, -1, np.int64)
        for cell, names in owners.items():
            grid[tuple(score - 1 for score in cell)] = self.segments.index(names[0])
        missing = [_code(cell) for cell in (np.argwhere(grid < 0) + 1).tolist()]
        doubled = [f"{_code(cell)}: {', '.join(names)}" for cell, names in sorted(owners.items()) if len(names) > 1]
        dead = [segment for position, segment in enumerate(self.segments) if not (grid == position).any()]
        faults = [
            _fault("missing", missing, f"of {grid.size} cells"),
            _fault("doubled", doubled, f"of {grid.size} cells", "; "),
            _fault("dead", dead, f"of {len(self.segments)} segments"),
        ]
        if any(faults):
            raise RuleTableError(
                "The rules must give every cell of the score grid exactly one segment, and every segment a cell of "
                f"its own. {'. '.join(filter(None, faults))}. Change the codes so that each cell is listed once."
            )
        return grid


def _fault(kind: str, names: list[str], of: str, separator: str = ", ") -> str:
    if not names:
        return ""
    return f"{kind}: {len(names)} {of} ({separator.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''})"


def _code(cell: Iterable[int]) -> str:
    return "".join(str(score) if score < 10 else f"[{score}]" for score in cell)


def _parse_all(segment: str, codes: Any) -> list[list[set[int]]]:
    return [
        _parse(segment, code)
        for code in (codes if isinstance(codes, Iterable) and not isinstance(codes, str) else [codes])
    ]


def _parse(segment: str, code: Any) -> list[set[int]]:
    """The scores that each part of a code admits; an empty set stands for all."""
    tokens = _TOKEN.findall(code) if isinstance(code, str) else []
    if not tokens or "".join(tokens) != code:
        raise RuleTableError(
            f"Cannot read the code {code!r} of {segment!r}. A code has a digit, a bracket such as [4-5] or [1,3], "
            "or * for each score: '555', '[4-5]1*'."
        )
    parts = []
    for token in tokens:
        spans = [span.split("-") for span in token.strip("[]*").split(",") if span]
        part = {score for span in spans for score in range(int(span[0]), int(span[-1]) + 1)}
        if token != "*" and not part:
            raise RuleTableError(f"The range {token} in the code {code!r} of {segment!r} is empty.")
        parts.append(part)
    return parts


def _check_scores(parsed: dict[str, list[list[set[int]]]], n_scores: int | None) -> int:
    lengths = {len(code): segment for segment, codes in parsed.items() for code in codes}
    wanted = n_scores if n_scores is not None else min(lengths, default=3)
    check_value("n_scores", wanted, (integer(2, 3),), "RuleTable")
    for length, segment in lengths.items():
        if length != wanted:
            raise RuleTableError(f"A code of {segment!r} has {length} parts where {wanted} scores are needed.")
    return wanted
