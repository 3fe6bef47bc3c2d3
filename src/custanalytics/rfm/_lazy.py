"""The summary of a log that stays in its engine: what is asked of the engine, and which customers come out of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _engines, _frames
from custanalytics._columns import AMOUNT, CUSTOMER_ID, LOG_REQUIRED, QUANTITY, TIMESTAMP
from custanalytics._params import offence
from custanalytics.exceptions import InvalidDataError
from custanalytics.rfm import _query
from custanalytics.rfm._clock import Clock
from custanalytics.rfm._returns import UNMATCHED_REMEDY, unmatched_phrase
from custanalytics.rfm._rows import BAD_ROWS_REMEDY, refuse_endless_sums

Settle = Callable[[nw.DataFrame[Any]], tuple[nw.DataFrame[Any], nw.Series[Any]]]  # the table, and whom it leaves out
Unmatched = Callable[[nw.DataFrame[Any]], nw.Series[Any]]  # the customer of each return without a purchase

FIRST = 5  # customers that a message names
_LAST = np.iinfo(np.int64).max
_EXTREMES = ("first", "last", "largest")


def facts(log: nw.LazyFrame[Any]) -> dict[str, Any]:
    """Rows, rows that cannot be used, returns, first and last time in microseconds, and the largest size of an amount:
    one row leaves the engine."""
    if not log.implementation.is_dask():
        found = _engines.collect(log.select(*_query.facts(log.collect_schema())))
        numbers: dict[str, Any] = {name: int(found[name][0] or 0) for name in found.columns if name not in _EXTREMES}
        reach = {name: int(_frames.times(found, name)[0]) for name in ("first", "last")}
        if reach["first"] == -_LAST or reach["last"] == _LAST:
            raise InvalidDataError(
                "The log has infinite times. Leave out these rows, or give them times of the calendar."
            )
        return numbers | reach | {"largest": float(found["largest"][0] or 0.0)}
    frame = _engines.native(log)
    parts = frame.map_partitions(_facts_of_part, meta=_facts_of_part(frame._meta)).compute()
    numbers = {name: int(parts[name].sum()) for name in parts.columns if name not in _EXTREMES}
    reach = {"first": int(parts["first"].min()), "last": int(parts["last"].max())}
    return numbers | reach | {"largest": float(parts["largest"].max())}


def refuse_bad_rows(found: Mapping[str, int], *columns: str) -> None:
    """Raise an InvalidDataError if rows lack what is in the columns."""
    phrases = {name: f"have no {'finite ' if name == AMOUNT else ''}{name}" for name in LOG_REQUIRED}
    faults = [offence(found[name], found["rows"], (), phrases[name], "rows") for name in columns if found[name]]
    if faults:
        raise InvalidDataError("; ".join(faults) + BAD_ROWS_REMEDY)


def span(log: nw.LazyFrame[Any]) -> tuple[int, int]:
    """First and last time of a log, in microseconds, as `fit` needs them."""
    found = facts(log)
    if not found["rows"]:
        raise InvalidDataError("The log is empty: RFMSummary.fit needs at least one event.")
    refuse_bad_rows(found, TIMESTAMP)
    return found["first"], found["last"]


def table(
    log: nw.LazyFrame[Any],
    clock: Clock,
    last_period: int,
    settle: Settle,
    unmatched: Unmatched | None = None,
    pairs: bool = True,
    free: bool = True,
) -> tuple[nw.LazyFrame[Any], int, list[Any]]:
    """The customer table of a log, in the engine of the log; how many customers it leaves out, and the first of them.

    `settle` summarises rows in memory and says whom it leaves out. Where it `pairs` returns with purchases, customers
    who have returns (or orders of value 0, unless these are `free` to count) are left to it: in the parts of Spark,
    elsewhere here. All others, and all customers where it pairs nothing, are left to the query. With Dask, `settle`
    has all customers, in its parts. Returns that are `unmatched` are refused, if that is given.
    """
    found = facts(log)
    refuse_bad_rows(found, *LOG_REQUIRED)
    refuse_endless_sums(found["largest"], found["rows"])
    unsettled = found["returns"] or (found["zeros"] and not free)
    if log.implementation.is_dask():
        if unmatched is not None and found["returns"]:
            _refuse_unmatched(log, unmatched, found["rows"])
        whole = _engines.map_groups(log, CUSTOMER_ID, functools.partial(_settled, settle))
        if not unsettled:
            return whole, 0, []
        others = _engines.map_groups(log, CUSTOMER_ID, functools.partial(_left_out, settle))
        ids = sorted(_engines.collect(others)[CUSTOMER_ID].to_list())
        return whole, len(ids), ids[:FIRST]
    rows = _query.up_to(log, clock, last_period)
    unusual = nw.col("bought") == 0 if free else (nw.col("bought") == 0) | (nw.col(AMOUNT) == 0)
    affected = rows.filter(unusual).select(CUSTOMER_ID).unique()
    if not pairs or not unsettled:
        whole = _query.customers(rows, clock, last_period)
        return whole, *(_missing(affected, whole) if found["returns"] else (0, []))
    others = _query.customers(rows.join(affected, on=CUSTOMER_ID, how="anti"), clock, last_period)
    theirs = rows.join(affected, on=CUSTOMER_ID, how="semi").select(*log.collect_schema().names())
    if unmatched is not None and found["returns"]:
        _refuse_unmatched(theirs, unmatched, found["rows"])
    if log.implementation.is_pyspark():
        mapped = _engines.map_groups(theirs, CUSTOMER_ID, functools.partial(_settled, settle), others)
        return nw.concat([others, mapped]), *_missing(affected, mapped)
    settled, left_out = settle(_engines.collect(theirs))
    uploaded = _same_types(_engines.upload(log, settled), others)
    return nw.concat([others, uploaded]), len(left_out), left_out[:FIRST].to_list()


def _same_types(table: nw.LazyFrame[Any], other: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """A table with its columns in the order and of the types of another."""
    types, found = other.collect_schema(), table.collect_schema()
    columns = ((name, nw.col(name)) for name in types)
    return table.select(*(col if types[name] == found[name] else col.cast(types[name]) for name, col in columns))


def _missing(affected: nw.LazyFrame[Any], found: nw.LazyFrame[Any]) -> tuple[int, list[Any]]:
    """How many customers are not in a table, and the first of them."""
    missing = affected.join(found.select(CUSTOMER_ID), on=CUSTOMER_ID, how="anti")
    ids = sorted(_engines.collect(missing)[CUSTOMER_ID].to_list())
    return len(ids), ids[:FIRST]


def _refuse_unmatched(theirs: nw.LazyFrame[Any], unmatched: Unmatched, n_rows: int) -> None:
    """Raise an InvalidDataError where returns of a log have no purchase; all rows of their customers are given."""
    if theirs.implementation.is_dask() or theirs.implementation.is_pyspark():
        name = functools.partial(_names_of, unmatched)
        found = _engines.collect(_engines.map_groups(theirs, CUSTOMER_ID, name, theirs.select(CUSTOMER_ID)))[
            CUSTOMER_ID
        ]
    else:
        found = unmatched(_engines.collect(theirs))
    if len(found):
        raise InvalidDataError(offence(len(found), n_rows, (), unmatched_phrase(found), "rows") + UNMATCHED_REMEDY)


def _names_of(unmatched: Unmatched, frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return unmatched(frame).alias(CUSTOMER_ID).to_frame()


def _settled(settle: Settle, frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return settle(frame)[0]


def _left_out(settle: Settle, frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return settle(frame)[1].alias(CUSTOMER_ID).to_frame()


def _facts_of_part(part: Any) -> Any:
    """The facts of a part of Dask's log, as a frame of one row."""
    frame = nw.from_native(part, eager_only=True)
    times, amounts = _frames.times(frame), _frames.floats(frame, AMOUNT)
    known = times[times != _frames.NO_TIME]
    returned = amounts < 0
    if QUANTITY in frame.columns:
        returned |= _frames.floats(frame, QUANTITY) < 0
    found = {
        "rows": len(frame),
        CUSTOMER_ID: int(frame[CUSTOMER_ID].is_null().sum()),
        TIMESTAMP: times.size - known.size,
        AMOUNT: int((~np.isfinite(amounts)).sum()),
        "returns": int(returned.sum()),
        "zeros": int((amounts == 0).sum()),
        "first": int(known.min()) if known.size else _LAST,
        "last": int(known.max()) if known.size else _frames.NO_TIME,
        "largest": float(np.abs(amounts).max(initial=0.0)),
    }
    return _frames.table({name: np.array([value]) for name, value in found.items()})
