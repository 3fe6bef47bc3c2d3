"""RuleTable: segment rules over the grid of scores, proven complete, without overlap and without dead segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Self

import numpy as np

from custanalytics._params import OneOf, check_value, integer
from custanalytics.exceptions import RuleTableError
from custanalytics.rfm._codes import KEYS, code_of, codes_of, names_for, parse, read_text, read_toml, write_toml
from custanalytics.rfm._presets import PRESETS
from custanalytics.rfm._proof import count_scores, prove, shape_of


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
        one cell, "[4-5][4-5]*" are four cells times all scores for money. A code may also be a mapping of the
        scores that matter, ``{"r": "4-5", "f": 5}``. One code may be given without a list around it.
    n_bins : int, sequence of int or None, default=None
        Scores run from 1 to this; one number, or one per score. None takes the largest number in the rules.
    n_scores : {2, 3} or None, default=None
        Parts of a code. None takes what the codes have.
    scores : sequence of str or None, default=None
        Columns of the scores, in the order of the parts of a code. None takes the first of "r_score", "f_score" and
        "m_score".
    source : str, default=""
        Where the rules come from.

    Attributes
    ----------
    segments : tuple of str
        Names in the order given.
    codes : dict of str to tuple of str
        The codes of each segment as they were given.
    n_bins : int or tuple of int
        Number of scores per dimension: one number where all are equal.
    n_scores : int
        Number of dimensions.
    scores : tuple of str
        Columns of the scores.
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
        rules: Mapping[str, Any],
        *,
        n_bins: int | Sequence[int] | None = None,
        n_scores: int | None = None,
        scores: Sequence[str] | None = None,
        source: str = "",
    ) -> None:
        if not isinstance(rules, Mapping) or not rules:
            raise RuleTableError("A rule table needs a mapping of segment to codes, such as {'best': ['5*'], ...}.")
        names = names_for(rules, n_scores, scores)
        self.codes = {str(name): codes_of(str(name), codes, names) for name, codes in rules.items()}
        if len(self.codes) < len(rules):
            raise RuleTableError(f"Two segments have the same name: {[str(name) for name in rules]}.")
        parsed = {name: [parse(name, code) for code in codes] for name, codes in self.codes.items()}
        self.n_scores = count_scores(parsed, n_scores if scores is None else len(names))
        self.scores = names[: self.n_scores]
        shape = shape_of(parsed, n_bins, self.n_scores)
        self.n_bins = shape[0] if len(set(shape)) == 1 else shape
        self.source = source
        self.segments = tuple(parsed)
        self.grid = prove(parsed, shape)
        self.grid.flags.writeable = False

    @classmethod
    def from_preset(cls, name: str) -> Self:
        """Make one of the published tables.

        Parameters
        ----------
        name : {"eleven-segments", "ten-segments", "value-usage"}
            Eleven segments on three scores, or ten on recency and frequency, both on scores from 1 to 5; or tiers of
            value (1 to 3, `m_score`) crossed with tiers of usage (1 to 4, `f_score`).
            ``RFMScorer.from_preset(name)`` makes the scores that they are for.

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
        return cls(preset.rules, n_bins=preset.n_bins, scores=preset.scores, source=preset.source)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Make a table from a plain mapping, as `to_dict` gives it.

        Parameters
        ----------
        content : mapping
            The codes of each segment under "segments", and if need be "n_bins", "scores" and "source". A mapping
            without "segments" is taken for the segments themselves.

        Returns
        -------
        table : RuleTable

        Examples
        --------
        >>> from custanalytics.rfm import RuleTable
        >>> table = RuleTable.from_dict({"n_bins": 3, "segments": {"core": {"r": 3}, "rest": {"r": "1-2"}}})
        >>> table.to_dict()
        {'n_bins': [3, 3], 'scores': ['r_score', 'f_score'], 'segments': {'core': ['[3]*'], 'rest': ['[1-2]*']}}
        """
        if not isinstance(content, Mapping) or not isinstance(content.get("segments"), Mapping):
            return cls(content)
        unknown = [key for key in content if key not in KEYS]
        if unknown:
            raise RuleTableError(f"Rules have the keys {list(KEYS)}; found {unknown} too.")
        rest = {key: content[key] for key in KEYS[1:] if key in content}
        return cls(content["segments"], **rest)

    @classmethod
    def from_toml(cls, source: str | PathLike[str]) -> Self:
        """Make a table from a TOML file or text.

        Parameters
        ----------
        source : str or path
            Path of a file (a str that ends in ".toml" is one), or the text itself: a table ``[segments]``, and if
            need be ``n_bins``, ``scores`` and ``source`` above it.

        Returns
        -------
        table : RuleTable

        Examples
        --------
        >>> from custanalytics.rfm import RuleTable
        >>> table = RuleTable.from_toml('''
        ... n_bins = 5
        ... [segments]
        ... core = {r = "4-5", f = "3-5"}
        ... new  = {r = "4-5", f = "1-2"}
        ... lost = {r = "1-3"}
        ... ''')
        >>> table.counts
        {'core': 6, 'new': 4, 'lost': 15}
        """
        return cls.from_dict(read_toml(source))

    @classmethod
    def from_text(cls, text: str, *, n_bins: int | Sequence[int] | None = None, source: str = "") -> Self:
        """Make a table from lines of text.

        Parameters
        ----------
        text : str
            A line per segment: its name, a colon, and its codes with spaces between them. # starts a comment.
        n_bins : int, sequence of int or None, default=None
            As for the class.
        source : str, default=""
            Where the rules come from.

        Returns
        -------
        table : RuleTable

        Examples
        --------
        >>> from custanalytics.rfm import RuleTable
        >>> table = RuleTable.from_text('''
        ... core: [4-5][3-5]
        ... new:  [4-5][1-2]   # came lately, not often yet
        ... lost: [1-3]*
        ... ''')
        >>> table.lookup(5, 1)
        'new'
        """
        return cls(read_text(text), n_bins=n_bins, source=source)

    def to_dict(self) -> dict[str, Any]:
        """The table as plain lists and text, for `from_dict`, JSON or TOML.

        Returns
        -------
        content : dict
            "n_bins", "scores", "segments" with the codes as they were given and, where it is known, "source".
        """
        rules = {name: list(codes) for name, codes in self.codes.items()}
        content = {"n_bins": list(self.grid.shape), "scores": list(self.scores), "segments": rules}
        return content | ({"source": self.source} if self.source else {})

    def to_toml(self) -> str:
        """The table as TOML text, for `from_toml`.

        Returns
        -------
        text : str
        """
        return write_toml(self.to_dict())

    def describe(self) -> str:
        """What the rules are, in words: scores, provenance, and each segment with its cells and codes as given.

        Returns
        -------
        text : str

        Examples
        --------
        >>> from custanalytics.rfm import RuleTable
        >>> print(RuleTable({"core": "[2-3]*", "rest": "1*"}, source="House rules.").describe())
        2 segments on r_score 1-3 and f_score 1-3: every one of 9 cells has exactly one.
        Source: House rules.
        core  6 cells  [2-3]*
        rest  3 cells  1*
        """
        width = max(map(len, self.segments))
        ranges = " and ".join(f"{name} 1-{n}" for name, n in zip(self.scores, self.grid.shape, strict=True))
        return "\n".join(
            [
                f"{len(self)} segments on {ranges}: every one of {self.grid.size:,} cells has exactly one.",
                *([f"Source: {self.source}"] if self.source else []),
                *(
                    f"{name:<{width}}  {self.counts[name]} cells  {' '.join(codes)}"
                    for name, codes in self.codes.items()
                ),
            ]
        )

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
        bins = self.grid.shape
        if len(scores) != self.n_scores or not all(
            integer(1, n).accepts(score) for n, score in zip(bins, scores, strict=True)
        ):
            raise ValueError(f"lookup takes {self.n_scores} scores from 1 to {self.n_bins}. Got {scores!r} instead.")
        return self.segments[self.grid[tuple(int(score) - 1 for score in scores)]]

    def __iter__(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Pairs of a segment and the codes of all its cells, best scores first."""
        for position, segment in enumerate(self.segments):
            cells = np.argwhere(self.grid == position)[::-1] + 1
            yield segment, tuple(code_of(cell) for cell in cells.tolist())

    def __len__(self) -> int:
        return len(self.segments)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RuleTable):
            return NotImplemented
        mine, theirs = (self.segments, self.scores), (other.segments, other.scores)
        return mine == theirs and np.array_equal(self.grid, other.grid)

    def __hash__(self) -> int:
        return hash((self.segments, self.scores, self.grid.tobytes()))

    def __repr__(self) -> str:
        return f"RuleTable({self.counts}, n_bins={self.n_bins}, n_scores={self.n_scores})"

    def __str__(self) -> str:
        width = max(map(len, self.segments))
        lines = [f"{name:<{width}}  {len(codes):>4}  {' '.join(codes)}" for name, codes in self]
        title = f"{len(self)} segments, {self.grid.size} cells, scores 1 to {self.n_bins}"
        return "\n".join([title, *([self.source] if self.source else []), *lines])
