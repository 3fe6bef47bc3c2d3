"""What was repaired, value by value, and the way back."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import AMOUNT, CUSTOMER_ID, QUANTITY, TIMESTAMP
from custanalytics.validation import _kernels as k
from custanalytics.validation._quarantine import Tally
from custanalytics.validation._rules import ValidationRule
from custanalytics.validation._screening import IS_RETURN, Screened
from custanalytics.validation._values import is_missing

MARKED = 1 << 17  # rows of a log that its checksum looks at
_READ = (CUSTOMER_ID, TIMESTAMP, AMOUNT, QUANTITY)
_COLUMN_OF = {
    k.UNTIDY_ID: CUSTOMER_ID,
    k.MIXED_TIME_ZONES: TIMESTAMP,
    k.TIME_FORMAT: TIMESTAMP,
    k.UNPARSABLE_AMOUNT: AMOUNT,
    k.AMOUNT_FORMAT: AMOUNT,
    k.UNPARSABLE_QUANTITY: QUANTITY,
    k.QUANTITY_FORMAT: QUANTITY,
}


@dataclass(frozen=True, eq=False)
class Undo:
    """What `restore` needs: the columns of the log that the clean one does not hold as they came, and dropped rows.

    `names` maps every column of the log to that of the clean log which still holds it; `kept` has the others. `mark` is
    that of the clean log.
    """

    names: Mapping[str, str]
    kept: nw.DataFrame[Any] | None
    columns: tuple[str, ...]
    dropped: nw.DataFrame[Any]
    order: np.ndarray
    rows: int
    mark: int


def log_of(found: Tally, screened: Screened, raw: nw.DataFrame[Any], names: Mapping[str, str]) -> Any:
    """A native frame of every value that was changed and every row that was dropped, in the order of the rows.

    `names` maps standard names to those of `raw`.
    """
    parts = []
    for rule in found.rules:
        at = found.rows[(found.mended & np.uint64(rule.bit)) != 0]
        if at.size == 0:
            continue
        columns = list(rule.repair) if isinstance(rule.repair, Mapping) else [_COLUMN_OF.get(rule.bit, "")]
        if rule.bit == k.SIGN_MISMATCH:
            parts += [(at[rows[at]], name, rule.name) for name, rows in screened.signs.items()]
        else:
            parts += [(at, name, rule.name) for name in columns]
    rows = [np.empty(0, np.int64)]
    texts: dict[str, list[str | None]] = {"column": [], "rule": [], "before": [], "after": []}
    for at, name, rule_name in parts:
        rows.append(at)
        texts["column"] += [name] * at.size
        texts["rule"] += [rule_name] * at.size
        texts["before"] += _words(_frames.take(raw[names.get(name, name)], at))
        texts["after"] += _words(_frames.take(screened.frame[name], at))
    dropped = found.dropped
    rows.append(dropped)
    texts["column"] += [None] * dropped.size
    texts["rule"] += ["duplicate"] * dropped.size
    texts["before"] += [None] * dropped.size
    texts["after"] += [f"dropped: copies row {screened.first[row]}" for row in dropped.tolist()]
    at = np.concatenate(rows)
    order = np.argsort(at, kind="stable")
    columns_of = {
        name: nw.new_series(name, [values[place] for place in order], dtype=nw.String, backend=raw.implementation)
        for name, values in texts.items()
    }
    return _frames.build(raw, {"row": at[order], **columns_of}).to_native()


def _words(series: nw.Series[Any]) -> list[str | None]:
    return [
        None if is_missing(value) else value.isoformat() if isinstance(value, date) else str(value)
        for value in series.to_list()
    ]


def undo_of(
    raw: nw.DataFrame[Any],
    clean: nw.DataFrame[Any],
    changed: set[str],
    kept: np.ndarray,
    dropped: np.ndarray,
    names: Mapping[str, str],
) -> Undo:
    """Remember the way back: `names` maps columns of `raw` to standard ones, `changed` are not as they came."""
    same = {yours: name for yours, name in names.items() if name in clean.columns and name not in changed}
    lost = [name for name in raw.columns if name not in same]
    order = np.argsort(np.concatenate([kept, dropped]), kind="stable")
    of_kept = raw.select(lost)[kept] if lost else None
    return Undo(same, of_kept, tuple(raw.columns), raw[dropped], order, kept.size, _mark_of(clean))


def _mark_of(clean: nw.DataFrame[Any]) -> int:
    """A checksum of times and amounts in their order; of a large log, of evenly spread rows."""
    looked_at = clean.gather_every(-(-max(len(clean), 1) // MARKED))
    mark = zlib.crc32(_frames.times(looked_at).tobytes()) if TIMESTAMP in clean.columns else 0
    if AMOUNT in clean.columns and clean.schema[AMOUNT].is_numeric():
        mark = zlib.crc32((_frames.floats(looked_at, AMOUNT) + 0.0).tobytes(), mark)
    return mark


def restored(clean: nw.DataFrame[Any], undo: Undo) -> nw.DataFrame[Any]:
    """The rows that a clean log stands for, as they came; raises where it is not the one that was given."""
    if len(clean) != undo.rows:
        raise ValueError(
            f"restore takes the clean log as transform gave it, with {undo.rows:,} rows; got {len(clean):,}."
        )
    if _mark_of(clean) != undo.mark:
        raise ValueError(
            "restore takes the clean log as transform gave it: this one has other times or amounts, or its rows in "
            "another order. Pass the one that the last transform gave; add columns to it, but keep its rows."
        )
    columns = {yours: clean[name].alias(yours) for yours, name in undo.names.items()}
    if undo.kept is not None:
        columns |= {name: undo.kept[name] for name in undo.kept.columns}
    if not columns:
        return undo.dropped
    base = undo.kept if undo.kept is not None else clean.select(list(undo.names.values()))
    frame = _frames.extend(base, {name: columns[name] for name in undo.columns}).select(list(undo.columns))
    if len(undo.dropped) == 0:
        return frame
    return nw.concat([frame, undo.dropped], how="vertical")[undo.order]


def changed_columns(frame: nw.DataFrame[Any], clean: nw.DataFrame[Any], rules: Iterable[ValidationRule]) -> set[str]:
    """The columns of the clean log that are not as they were read."""
    own = {name for rule in rules if rule.repair for name in rule.repair}
    same = {name for name in frame.columns if name not in _READ and name not in own}
    typed = {name for name in _READ if name in frame.columns and frame.schema[name] == clean.schema[name]}
    typed = {name for name in typed if name not in own and _equal(frame[name], clean[name])}
    return set(clean.columns) - same - typed | {IS_RETURN}


def _equal(one: nw.Series[Any], other: nw.Series[Any]) -> bool:
    """Whether a column is the very one that was read: its native object, or equal in every value."""
    if one.to_native() is other.to_native():
        return True
    if not (one.dtype.is_numeric() or isinstance(one.dtype, nw.Datetime)):
        return False
    same = ((one == other) | (one.is_null() & other.is_null())).fill_null(False).to_numpy()
    return bool(np.all(same))
