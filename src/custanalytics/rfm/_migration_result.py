"""Migration: the moves between segments as frames, plain data and text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID
from custanalytics.exceptions import InvalidDataError
from custanalytics.rfm._explanation import number

ARRIVED, GONE = "(new)", "(gone)"
CAUSES = ("ageing", "behaviour", "thresholds")


@dataclass(frozen=True)
class Side:
    """Cuts and rules of one date."""

    scorer: Any
    segmenter: Any

    @property
    def segments(self) -> list[str]:
        """Names of the segments."""
        return [str(name) for name in self.segmenter.segments_]

    def segment(self, frame: nw.DataFrame[Any], place: Mapping[str, int]) -> np.ndarray:
        """The place of each customer's segment: int64 of shape (n_customers,)."""
        scored = self.scorer._score(self.scorer._values(frame))
        scores = _frames.extend(frame, scored)
        cells = tuple(self.segmenter._cells(scores, column) for column in self.segmenter.scores_)
        return np.array([place[name] for name in self.segments], np.int64)[self.segmenter.grid_[cells]]


@dataclass(frozen=True)
class Paths:
    """Places of the segments then, aged, now by the old cuts (None where nothing was scored), and now."""

    segments: tuple[str, ...]
    then: np.ndarray
    aged: np.ndarray | None
    now_by_then: np.ndarray | None
    now: np.ndarray


class Migration:
    """Moves of customers between segments from one date to another.

    Made by ``migration``. Print it to read it.

    Parameters
    ----------
    segments : tuple of str
        Names of the segments of both dates.
    counts : ndarray of shape (n_segments + 1, n_segments + 1)
        Customers by segment then (rows; the last is new customers) and now (columns; the last is those gone).
    values_then, values_now : ndarray of shape (n_segments + 1, n_segments + 1) or None
        Value of these customers then and now, in the currency of the log.
    components : dict of str to ndarray of shape (n_segments,)
        Change of each segment's customers by cause, in the order of the steps.
    value_components : dict of str to ndarray of shape (n_segments,) or None
        Change of each segment's value by cause.
    elapsed : float or None
        Time between the tables, in their time unit.
    customers : frame
        One row per customer: customer_id, status ("stayed", "moved", "new" or "gone"), segment_then and segment_now
        (missing where there is none), and unless `by` was given segment_aged and segment_before_thresholds, the
        segments between the steps, and by_ageing, by_behaviour and by_thresholds, whether the step changed the
        segment. A customer can slip by ageing and come back by behaviour: that one stayed, thanks to a purchase.

    See Also
    --------
    migration : Makes it, and says how.

    Examples
    --------
    >>> from custanalytics.rfm import Migration, migration
    >>> then = {"customer_id": [1, 2, 3], "tier": ["low", "high", "low"], "total_value": [5.0, 50.0, 4.0]}
    >>> now = {"customer_id": [1, 2, 4], "tier": ["high", "high", "low"], "total_value": [60.0, 55.0, 1.0]}
    >>> moves = migration(then, now, by="tier")
    >>> isinstance(moves, Migration)
    True
    >>> print(moves)
    Customers by segment then (rows) and now (columns)
           high  low  (gone)  all
    high      1    0       0    1
    low       1    0       1    2
    (new)     0    1       0    1
    Change of each segment
          then  gone  moved  new  now
    high     1     0      1    0    2
    low      2    -1     -1    1    1
    """

    def __init__(
        self,
        *,
        segments: tuple[str, ...],
        counts: np.ndarray,
        values_then: np.ndarray | None,
        values_now: np.ndarray | None,
        components: dict[str, np.ndarray],
        value_components: dict[str, np.ndarray] | None,
        elapsed: float | None,
        customers: Any,
    ) -> None:
        self.segments = segments
        self.counts = counts
        self.values_then = values_then
        self.values_now = values_now
        self.components = components
        self.value_components = value_components
        self.elapsed = elapsed
        self.customers = customers

    @property
    def matrix(self) -> Any:
        """Customers by segment then (rows, the last is new customers) and now (columns, the last is those gone)."""
        columns = dict(zip((*self.segments, GONE), self.counts.T, strict=True))
        return self._frame({"segment": [*self.segments, ARRIVED], **columns})

    @property
    def flows(self) -> Any:
        """One row per pair of segments with a customer: segment_then, segment_now, customers, share of then, values."""
        rows, columns = np.nonzero(self.counts)
        then, now = [*self.segments, ARRIVED], [*self.segments, GONE]
        found: dict[str, Any] = {
            "segment_then": [then[row] for row in rows],
            "segment_now": [now[column] for column in columns],
            "n_customers": self.counts[rows, columns],
            "share_of_then": self.counts[rows, columns] / self.counts.sum(axis=1)[rows],
        }
        if self.values_then is not None and self.values_now is not None:
            found |= {"value_then": self.values_then[rows, columns], "value_now": self.values_now[rows, columns]}
        return self._frame(found)

    @property
    def decomposition(self) -> Any:
        """One row per segment: customers then, the change by each cause, customers now; and the same for value."""
        found: dict[str, Any] = {
            "segment": list(self.segments),
            **self._sums(self.counts, self.counts, self.components),
        }
        if self.value_components is not None and self.values_then is not None and self.values_now is not None:
            sums = self._sums(self.values_then, self.values_now, self.value_components)
            found |= {f"value_{name}": values for name, values in sums.items()}
        return self._frame(found)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the customers, as plain lists and numbers.

        Returns
        -------
        content : dict
        """
        found: dict[str, Any] = {
            "segments": list(self.segments),
            "elapsed": self.elapsed,
            "counts": self.counts.tolist(),
        }
        found["components"] = {name: values.tolist() for name, values in self.components.items()}
        if self.value_components is not None and self.values_then is not None and self.values_now is not None:
            found |= {"values_then": self.values_then.tolist(), "values_now": self.values_now.tolist()}
            found["value_components"] = {name: values.tolist() for name, values in self.value_components.items()}
        return found

    def __str__(self) -> str:
        return "\n".join(f"{title}\n{_text(head, rows)}" for title, head, rows in self._tables())

    def __repr__(self) -> str:
        inner = self.counts[:-1, :-1]
        return (
            f"Migration({int(inner.sum() - np.trace(inner)):,} of {int(inner.sum()):,} customers moved among "
            f"{len(self.segments)} segments, {int(self.counts[-1].sum()):,} new, "
            f"{int(self.counts[:, -1].sum()):,} gone)"
        )

    def _repr_html_(self) -> str:
        return "".join(f"<p><b>{escape(title)}</b></p>{_html(head, rows)}" for title, head, rows in self._tables())

    def _tables(self) -> list[tuple[str, list[str], list[list[str]]]]:
        """Title, names of the columns and words of the rows of what is shown."""
        moves = [
            [name, *(f"{int(n):,}" for n in row), f"{int(row.sum()):,}"]
            for name, row in zip((*self.segments, ARRIVED), self.counts, strict=True)
        ]
        sums = self._sums(self.counts, self.counts, self.components)
        change = [
            [name, *(f"{int(values[at]):,}" for values in sums.values())] for at, name in enumerate(self.segments)
        ]
        after = "" if self.elapsed is None else f", {number(self.elapsed)} time units later"
        title = f"Customers by segment then (rows) and now (columns{after})"
        return [(title, [*self.segments, GONE, "all"], moves), ("Change of each segment", list(sums), change)]

    def _sums(self, then: np.ndarray, now: np.ndarray, parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"then": then.sum(axis=1)[:-1], **parts, "now": now.sum(axis=0)[:-1]}

    def _frame(self, columns: dict[str, Any]) -> Any:
        return _frames.table(columns, _frames.kind(_frames.read(self.customers)))


def assemble(
    then: nw.DataFrame[Any],
    now: nw.DataFrame[Any],
    at: np.ndarray,
    paths: Paths,
    value: str | None,
    elapsed: float | None,
) -> Migration:
    """Count moves and components; `at` is the row now of each customer then, -1 where there is none."""
    taken = {ARRIVED, GONE, "segment"} & set(paths.segments)
    if taken:
        raise InvalidDataError(f"Segments cannot be called {sorted(taken)}: rows and columns of the result are.")
    stay, size = at >= 0, len(paths.segments)
    new = np.ones(len(now), bool)
    new[at[stay]] = False
    rows = np.concatenate([paths.then, np.full(new.sum(), size)])
    columns = np.concatenate([np.where(stay, paths.now[at] if len(now) else size, size), paths.now[new]])
    table = rows * (size + 1) + columns

    def cells(weights: np.ndarray | None) -> np.ndarray:
        return np.bincount(table, weights, (size + 1) ** 2).reshape(size + 1, size + 1)

    values_then = values_now = value_components = None
    if value is not None:
        before, after = _frames.floats(then, value), _frames.floats(now, value)
        matched = np.where(stay, after[at] if len(now) else 0.0, 0.0)
        values_then = cells(np.concatenate([before, np.zeros(new.sum())]))
        values_now = cells(np.concatenate([matched, after[new]]))
        value_components = _components(paths, at, stay, new, before, after)
    return Migration(
        segments=paths.segments,
        counts=cells(None).astype(np.int64),
        values_then=values_then,
        values_now=values_now,
        components={name: part.astype(np.int64) for name, part in _components(paths, at, stay, new).items()},
        value_components=value_components,
        elapsed=elapsed,
        customers=_customers(then, now, at, paths, new),
    )


def _components(
    paths: Paths,
    at: np.ndarray,
    stay: np.ndarray,
    new: np.ndarray,
    before: np.ndarray | None = None,
    after: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Change of each segment's customers, or of their value, by cause."""
    before = np.ones(stay.size) if before is None else before
    after = np.ones(new.size) if after is None else after

    def total(places: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.bincount(places, weights, len(paths.segments)).astype(np.float64)

    gone, start = 0.0 - total(paths.then[~stay], before[~stay]), total(paths.then[stay], before[stay])
    here, late = at[stay], paths.now if paths.now_by_then is None else paths.now_by_then
    behaved = total(late[here], after[here])
    if paths.aged is None:
        return {"gone": gone, "moved": behaved - start, "new": total(late[new], after[new])}
    aged = total(paths.aged[stay], before[stay])
    return {
        "gone": gone,
        "ageing": aged - start,
        "behaviour": behaved - aged,
        "new": total(late[new], after[new]),
        "thresholds": total(paths.now, after) - total(late, after),
    }


def _customers(then: nw.DataFrame[Any], now: nw.DataFrame[Any], at: np.ndarray, paths: Paths, new: np.ndarray) -> Any:
    """One row per customer: those of the earlier table in its order, then the new ones."""
    ids = [
        *then[CUSTOMER_ID].to_list(),
        *(one for one, fresh in zip(now[CUSTOMER_ID].to_list(), new, strict=True) if fresh),
    ]
    names, stay = np.array([*paths.segments, None], object), at >= 0
    none = np.full(new.sum(), -1)

    def late(places: np.ndarray) -> np.ndarray:
        return np.concatenate([np.where(stay, places[at] if places.size else -1, -1), places[new]])

    steps = [np.concatenate([paths.then, none]), late(paths.now)]
    if paths.aged is not None and paths.now_by_then is not None:
        steps[1:1] = [np.concatenate([np.where(stay, paths.aged, -1), none]), late(paths.now_by_then)]
    arrived = np.arange(len(ids)) >= len(then)
    status = np.where(steps[0] == steps[-1], "stayed", "moved")
    status = np.where(arrived, "new", np.where(np.concatenate([~stay, ~new[new]]), "gone", status))
    titles = ["segment_then", "segment_aged", "segment_before_thresholds", "segment_now"]
    columns: dict[str, Any] = {CUSTOMER_ID: ids, "status": status}
    for title, places in zip(titles if len(steps) == 4 else [titles[0], titles[-1]], steps, strict=True):
        columns[title] = names[places].tolist()
    if len(steps) == 4:
        for cause, one, other in zip(CAUSES, steps, steps[1:], strict=False):
            columns[f"by_{cause}"] = (one != other) & (one >= 0) & (other >= 0)
    return _frames.table(columns, _frames.kind(then))


def _text(head: list[str], rows: list[list[str]]) -> str:
    """Columns side by side: names to the left, numbers to the right."""
    table = [["", *head], *rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    return "\n".join(
        "  ".join(
            word.ljust(width) if at == 0 else word.rjust(width)
            for at, (word, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    )


def _html(head: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in ["", *head])
    body = "".join(
        f"<tr><th>{escape(row[0])}</th>{''.join(f'<td>{word}</td>' for word in row[1:])}</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
