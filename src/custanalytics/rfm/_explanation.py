"""SegmentExplanation: why a customer is in a segment, to print, to show in a notebook, or as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any

from custanalytics._columns import UNIT_NAMES


@dataclass(frozen=True)
class Change:
    """A change of one column; `bound` is the cut to pass where any value beyond it will do."""

    column: str
    value: float
    to: float
    bound: float | None
    falling: bool

    def __str__(self) -> str:
        start = f"{self.column} from {number(self.value)} to"
        if self.bound is None:
            much = f"{number(abs(self.to - self.value))} {'more' if self.to > self.value else 'less'}"
            purchase = ", by a purchase" if self.falling and self.to < self.value else ""
            return f"{start} {number(self.to)} ({much}{purchase})"
        if self.falling:
            return f"{start} less than {number(self.bound)} (by a purchase)"
        return f"{start} more than {number(self.bound)}"


@dataclass(frozen=True)
class Move:
    """The smallest change that leads to one other segment."""

    segment: str
    steps: int
    scores: dict[str, int]
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class SegmentExplanation:
    """Why a customer is in a segment, and what leads to each other one.

    Made by ``RFMSegmenter.explain``. Print it to read it.

    Parameters
    ----------
    customer : scalar
        The id.
    segment : str
        The segment.
    rule : str
        The code of the rules that fits the scores.
    scores : dict of str to int
        The scores that the rules use.
    n_bins : dict of str to int
        The best of each score.
    values : dict of str to float
        Values of the columns behind the scores, in the units of the table; empty without a scorer.
    reasons : dict of str to str
        For each score, between which cuts the value lies; empty without a scorer.
    moves : tuple of Move
        For each other segment within reach its name, the score steps, the scores there and the changes of columns, each
        with `column`, `value`, `to` and `bound`. The nearest is first.
    silence : tuple of (float, str)
        How long from now without a purchase, in the time unit of the table, until the customer comes to which
        segment, one after the other.
    time_unit : str or None
        Unit of the durations, where it was given.

    See Also
    --------
    RFMSegmenter : Its method `explain` makes explanations.

    Notes
    -----
    A move goes to the cell of the segment with the fewest score steps, summed over the scores that the rules use;
    among these to the one with the smallest change of values, which is the sum of
    :math:`|v' - v| / \\max(|v|, |v'|)` over the columns; then to the one with better scores. :math:`v'` is the value
    nearest to :math:`v` that has the wanted score: a whole number where the column had none but whole numbers at
    `fit`, and a duration is at least 0. Cells that ties close have no such value and are left out. Applied to
    the row of the customer, the changes give the segment that is promised.

    Each column is changed by itself. That says what the rules ask for, not what happens next: one purchase
    shortens `inactivity`, raises `frequency` and may change the mean spend, all at once. A column that only grows, such
    as `frequency`, may be asked to fall: that is where the customer would be who had bought less.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.rfm import RFMSegmenter
    >>> scored = pd.DataFrame({"customer_id": [1, 2], "r_score": [5, 3], "f_score": [3, 3]})
    >>> explanation = RFMSegmenter(rules="ten-segments").fit(scored).explain(2, scored)
    >>> explanation.segment, explanation.moves[0].segment, explanation.moves[0].scores
    ('need_attention', 'potential_loyalists', {'r_score': 4, 'f_score': 3})
    """

    customer: Any
    segment: str
    rule: str
    scores: dict[str, int]
    n_bins: dict[str, int]
    values: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    moves: tuple[Move, ...] = ()
    silence: tuple[tuple[float, str], ...] = ()
    time_unit: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain lists, dicts, numbers and text.

        Returns
        -------
        content : dict
        """
        content = asdict(self)
        content["moves"] = [{**move, "changes": list(move["changes"])} for move in content["moves"]]
        content["silence"] = [{"after": after, "segment": segment} for after, segment in self.silence]
        return content

    def __str__(self) -> str:
        fits = ", ".join(f"{name} {score}" for name, score in self.scores.items())
        lines = [f"Customer {self.customer} is in {self.segment!r}: the rule {self.rule} fits {fits}."]
        lines += [f"  {name} {self.scores[name]} of {self.n_bins[name]}: {why}" for name, why in self.reasons.items()]
        if self.moves:
            width = max(len(move.segment) for move in self.moves)
            lines.append("The smallest change that leads to each other segment:")
            lines += [f"  {move.segment:<{width}}  {_steps(move.steps)}  {self._words(move)}" for move in self.moves]
        if self.silence:
            unit = "" if self.time_unit is None else f" {UNIT_NAMES[self.time_unit]}"
            path = ", ".join(f"in {number(after)}{unit} to {segment!r}" for after, segment in self.silence)
            lines.append(f"Without a purchase: {path}.")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def _words(self, move: Move) -> str:
        if move.changes:
            return "; ".join(map(str, move.changes))
        pairs = ((name, self.scores[name], score) for name, score in move.scores.items())
        return "; ".join(f"{name} from {here} to {there}" for name, here, there in pairs if here != there)


def number(value: float) -> str:
    """A number with two decimals at most, or three figures where it is small."""
    if value == 0 or abs(value) >= 0.1:
        return f"{value:,.2f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:g}"
    return f"{value:.3g}"


def _steps(steps: int) -> str:
    return f"{steps} step " if steps == 1 else f"{steps} steps"
