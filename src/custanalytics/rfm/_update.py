"""Yesterday's customer table and today's events: the table that the whole log would give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import AMOUNT, CUSTOMER_ID, LOG_COLUMNS, ORDER_ID, SUMMARY_COLUMNS
from custanalytics._params import offenders
from custanalytics.exceptions import InvalidDataError
from custanalytics.rfm._clock import Clock
from custanalytics.rfm._kernels_money import MOST_STEPS, STEPS
from custanalytics.rfm._order_policy import OrderPolicy
from custanalytics.rfm._pieces import summarise
from custanalytics.rfm._returns import settle_log
from custanalytics.rfm._rows import log_rows, refuse_bad_rows, refuse_endless_sums

Recompute = Callable[[nw.DataFrame[Any], int], tuple[nw.DataFrame[Any], nw.Series[Any]]]
_DURATIONS = ("recency", "T", "inactivity")
_REMEDY = "pass history=, the rows of the log of these customers up to the last update"


@dataclass(frozen=True)
class Known:
    """The columns of a customer table as arrays of shape (n_customers,), and its last period (None if empty)."""

    ids: nw.Series[Any]
    numbers: dict[str, np.ndarray]
    first: np.ndarray
    last: np.ndarray
    as_of: int | None


def read_table(table: nw.DataFrame[Any], clock: Clock) -> Known:
    """The columns of a table, held against the clock that is said to have made it."""
    ids = table[CUSTOMER_ID]
    if ids.null_count():
        raise InvalidDataError("Customers of the table have no customer_id: it is not one that RFMSummary made.")
    _frames.check_unique(table, CUSTOMER_ID, "RFMSummary.update")
    numbers = {name: _frames.floats(table, name) for name in SUMMARY_COLUMNS[1:8]}
    numbers |= {name: _frames.times(table, name) for name in SUMMARY_COLUMNS[8:]}
    seen = numbers["first_seen"], numbers["last_seen"]
    broken = ~np.isfinite(np.column_stack([numbers[name] for name in SUMMARY_COLUMNS[1:8]])).all(axis=1)
    broken |= (seen[0] == _frames.NO_TIME) | (seen[1] == _frames.NO_TIME)
    if broken.any():
        raise InvalidDataError(
            offenders(broken, ids, "have missing values in the table") + ". Pass the table as RFMSummary gave it."
        )
    first, last = clock.indices(seen[0]), clock.indices(seen[1])
    scale, unit = clock.scale
    ends = first + np.rint(numbers["T"] * unit / scale).astype(np.int64)
    expected = ((last - first), (ends - first), (ends - last))
    wrong = np.zeros(len(ids), np.bool_)
    for name, periods in zip(_DURATIONS, expected, strict=True):
        wrong |= ~np.isclose(numbers[name], periods * scale / unit, rtol=1e-9, atol=1e-9)
    if wrong.any():
        raise InvalidDataError(
            offenders(wrong, ids, "have a recency, T or inactivity that does not fit first_seen and last_seen")
            + f". Was the table made with another period or time_unit than {clock.period!r} and {clock.time_unit!r}?"
        )
    if (ends != ends[:1]).any():
        names = f"{clock.name(int(ends.min()))} and {clock.name(int(ends.max()))}"
        raise InvalidDataError(
            offenders(ends != ends[0], ids, "are summed up to another period than the first of the table")
            + f": there are {names} at least. A table to update has one cutoff."
        )
    return Known(ids, numbers, first, last, int(ends[0]) if ends.size else None)


def together(columns: Sequence[nw.Series[Any]], like: nw.DataFrame[Any]) -> tuple[list[np.ndarray], nw.Series[Any]]:
    """Number the ids of several columns by one ascending order; returns the codes, and the distinct ids."""
    kinds = {"integers" if each.dtype.is_integer() else "others" for each in columns if len(each)}
    if len(kinds) > 1:
        raise InvalidDataError(
            "The ids of the table and of the events are of different types ("
            + ", ".join(dict.fromkeys(str(each.dtype) for each in columns))
            + "). Convert one of them first, for example with astype(str); integers with missing ones among them may "
            "have become floats."
        )
    parts = [_frames.codes(each.alias(CUSTOMER_ID).to_frame()) for each in columns]
    known: dict[Any, int] = {}
    for _, uniques in parts:
        for value in uniques.to_list():
            known.setdefault(value, len(known))
    values: Any = list(known)
    dtype = like[CUSTOMER_ID].dtype
    if kinds == {"integers"}:
        dtype = _wide_enough(dtype, min(values), max(values))
        values = np.array(values, np.uint64 if dtype == nw.UInt64 else np.int64)
    ids = _frames.like(like, CUSTOMER_ID, values)
    rank, uniques = _frames.codes(ids.to_frame())
    at = [np.array([known[value] for value in each.to_list()], np.int64) for _, each in parts]
    missing = np.full(1, -1)
    found = [np.concatenate([rank[where], missing])[codes] for where, (codes, _) in zip(at, parts, strict=True)]
    return found, uniques.cast(dtype) if dtype.is_integer() or dtype == nw.String else uniques


def _wide_enough(dtype: Any, low: int, high: int) -> Any:
    """The type of integers that holds all ids: that of the table where it does."""
    for wider in (dtype, nw.Int64(), nw.UInt64()):
        if wider.is_integer():
            bounds = np.iinfo(str(wider).lower())
            if bounds.min <= low and high <= bounds.max:
                return wider
    raise InvalidDataError(f"The ids of the table and of the events, from {low} to {high}, fit no integer of 64 bits.")


def updated(
    table: nw.DataFrame[Any],
    events: nw.DataFrame[Any],
    history: nw.DataFrame[Any] | None,
    clock: Clock,
    as_of: int | None,
    policy: OrderPolicy | None,
    whole_orders: bool,
    recompute: Recompute,
) -> tuple[nw.DataFrame[Any], nw.Series[Any]]:
    """The table as of the end of a later period, and who of those summed up afresh has no purchase left.

    `recompute` sums up a log up to a period.
    """
    known = read_table(table, clock)
    last_period = _check_events(events, known, clock, as_of)
    columns = [table[CUSTOMER_ID], events[CUSTOMER_ID], *([] if history is None else [history[CUSTOMER_ID]])]
    codes, distinct = together(columns, table)
    refuse_missing = codes[1] < 0
    if refuse_missing.any():
        refuse_bad_rows(events, ids=codes[1])
    place = np.full(len(distinct) + 1, -1, np.int64)
    place[codes[0]] = np.arange(codes[0].size)
    afresh = np.ones(len(distinct) + 1, np.bool_)
    afresh[codes[0]] = False
    if history is not None:
        _check_history(history, codes[2], known, place, clock, recompute)
        afresh[codes[2]] = True
    again = afresh[codes[1]]
    added = _added(events, np.flatnonzero(~again), codes[1], clock, last_period, policy, whole_orders, distinct)
    kept = np.flatnonzero(~afresh[codes[0]])
    with np.errstate(over="ignore", invalid="ignore"):  # sums without end are refused at last
        columns_kept = _moved_on(known, kept, codes[0], added, clock, last_period)
    ids, parts, left_out = [_frames.take(known.ids, kept)], [columns_kept], known.ids[:0]
    if again.any() or (history is not None and len(history)):
        log = events[np.flatnonzero(again)]
        log = log if history is None else _joined(history, log)
        rest, left_out = recompute(log, last_period)
        ids.append(rest[CUSTOMER_ID])
        parts.append({name: _column(rest, name) for name in SUMMARY_COLUMNS[1:]})
    return _assembled(table, ids, parts), left_out


def _check_events(events: nw.DataFrame[Any], known: Known, clock: Clock, as_of: int | None) -> int:
    """Refuse events of closed periods and rows that mean nothing; returns the new last period."""
    times, values = _frames.times(events), _frames.floats(events, AMOUNT)
    if (times == _frames.NO_TIME).any() or not np.isfinite(values).all():
        refuse_bad_rows(events, times=times, values=values)
    if known.as_of is not None:
        early = times < clock.start(known.as_of + 1)
        if early.any():
            raise InvalidDataError(
                offenders(early, range(early.size), "of new_events lie in periods that are closed", "rows")
                + f": the last period of the table is {clock.name(known.as_of)}. Leave them out if the table has them, "
                "else sum up the whole log again."
            )
    seen = clock.index(int(times.max())) if times.size else known.as_of
    last_period = seen if as_of is None else as_of
    if last_period is None:
        raise InvalidDataError("Neither the table nor new_events has a row: there is nothing to update.")
    if known.as_of is not None and last_period < known.as_of:
        raise InvalidDataError(
            f"as_of names {clock.name(last_period)}, before the last period of the table "
            f"({clock.name(known.as_of)}). A table cannot go back: pass a later as_of."
        )
    return last_period


def _check_history(
    history: nw.DataFrame[Any], codes: np.ndarray, known: Known, place: np.ndarray, clock: Clock, recompute: Recompute
) -> None:
    """Refuse a history that does not give the rows that the table has of its customers."""
    if known.as_of is None or not len(history):
        return
    if (codes < 0).any():
        refuse_bad_rows(history, ids=codes)
    if (_frames.times(history) >= clock.start(known.as_of + 1)).any():
        raise InvalidDataError(
            f"history has rows after {clock.name(known.as_of)}, the last period of the table: they belong to "
            "new_events."
        )
    before, _ = recompute(history, known.as_of)
    whose = np.unique(codes)
    (mine, theirs), _ = together(
        [_frames.take(known.ids, place[whose][place[whose] >= 0]), before[CUSTOMER_ID]], before
    )
    rows = np.full(max(mine.max(initial=-1), theirs.max(initial=-1)) + 2, -1, np.int64)
    rows[theirs] = np.arange(theirs.size)
    at = place[whose][place[whose] >= 0]
    wrong = rows[mine] < 0
    for name in SUMMARY_COLUMNS[1:]:
        ours = known.numbers[name][at]
        found = _column(before, name).astype(np.float64)[rows[mine]] if theirs.size else np.full(at.size, np.nan)
        wrong |= ~np.isclose(found, ours.astype(np.float64), rtol=1e-9, atol=1e-9)
    if wrong.any() or theirs.size > mine.size:
        phrase = "have a history that does not give their row of the table"
        words = (
            offenders(wrong, _frames.take(known.ids, at), phrase)
            if wrong.any()
            else "Some customers of history have purchases and no row in the table"
        )
        raise InvalidDataError(words + ". history takes all rows of a customer up to the last update.")


def _added(
    events: nw.DataFrame[Any],
    at: np.ndarray,
    codes: np.ndarray,
    clock: Clock,
    last_period: int,
    policy: OrderPolicy | None,
    whole_orders: bool,
    distinct: nw.Series[Any],
) -> dict[str, tuple[np.ndarray, dict[str, np.ndarray]]]:
    """What the new events bring to customers of the table: their purchases, and their returns as if bought."""
    frame, codes = events[at], codes[at]
    rows = replace(log_rows(frame)[0], ids=codes, coded=True)
    end = clock.start(last_period + 1)
    counted = rows.times < end
    back = np.signbit(rows.values) & counted
    if policy is not None and back.any():
        _refuse_codes(codes, back, "have returns in new_events, whose purchases may lie before them", distinct)
    if rows.orders.size and counted.any() and not whole_orders:
        _refuse_codes(
            codes, counted, f"have an {ORDER_ID} in new_events that may have begun before them", distinct,
            "Pass whole_orders=True where no order has lines on both sides of a cutoff, or ",
        )  # fmt: skip
    net = rows if policy is None else settle_log(frame, rows, end, policy)[0]
    back = np.signbit(net.values)
    found = {}
    for name, mask in (("bought", ~back), ("returned", back)):
        orders = net.orders[mask] if net.orders.size else net.orders
        some = replace(net, ids=codes[mask], times=net.times[mask], values=np.abs(net.values[mask]), orders=orders)
        found[name] = summarise(some, clock, last_period)[:2]
    return found


def _refuse_codes(
    codes: np.ndarray, mask: np.ndarray, phrase: str, distinct: nw.Series[Any], instead: str = "P"
) -> None:
    whose = np.unique(codes[mask])
    first = ", ".join(map(str, _frames.take(distinct, whose[:5]).to_list()))
    more = ", …" if whose.size > 5 else ""
    remedy = _REMEDY if instead != "P" else _REMEDY.capitalize()
    raise InvalidDataError(
        f"{whose.size:,} customers of the table {phrase} (first: {first}{more}). "
        f"{instead if instead != 'P' else ''}{remedy}: they are then summed up afresh."
    )


def _moved_on(
    known: Known,
    kept: np.ndarray,
    codes: np.ndarray,
    added: dict[str, tuple[np.ndarray, dict[str, np.ndarray]]],
    clock: Clock,
    last_period: int,
) -> dict[str, np.ndarray]:
    """The columns of customers of the table with what was added, as of the new last period."""
    place = np.full(codes.max(initial=-1) + 1, -1, np.int64)
    place[codes[kept]] = np.arange(kept.size)
    old = {name: values[kept] for name, values in known.numbers.items()}
    first, last = known.first[kept], known.last[kept].copy()
    frequency, n_orders = old["frequency"].astype(np.int64), old["n_orders"].astype(np.int64)
    repeat = _decimals(old["monetary_value"] * frequency)
    exact = repeat / np.maximum(frequency, 1) == old["monetary_value"]
    repeat = np.where(exact, repeat, old["monetary_value"] * frequency)
    total, last_seen = old["total_value"].copy(), old["last_seen"].copy()
    whose, bought = added["bought"]
    at = place[whose]
    frequency[at] += bought["frequency"] + 1
    n_orders[at] += bought["n_orders"]
    repeat[at] = _sum(repeat[at], bought["total_value"])
    total[at] = _sum(total[at], bought["total_value"])
    last_seen[at] = bought["last_seen"].view(np.int64)
    last[at] = clock.indices(last_seen[at])
    whose, returned = added["returned"]
    at = place[whose]
    total[at] = _sum(total[at], -returned["total_value"])
    scale, unit = clock.scale
    return {
        "frequency": frequency,
        "recency": (last - first) * scale / unit,
        "T": (last_period - first) * scale / unit,
        "inactivity": (last_period - last) * scale / unit,
        "monetary_value": np.where(frequency > 0, repeat / np.maximum(frequency, 1), 0.0),
        "n_orders": n_orders,
        "total_value": total,
        "first_seen": old["first_seen"],
        "last_seen": last_seen,
    }


def _decimals(values: np.ndarray) -> np.ndarray:
    return np.rint(values * STEPS) / STEPS


def _sum(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Sums of money, free of rounding where both are whole numbers of steps."""
    steps = np.rint(one * STEPS) + np.rint(other * STEPS)
    whole = (_decimals(one) == one) & (_decimals(other) == other) & (np.abs(steps) <= MOST_STEPS)
    return np.where(whole, steps / STEPS, one + other)


def _joined(history: nw.DataFrame[Any], events: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    names = [name for name in LOG_COLUMNS if name in events.columns]
    missing = [name for name in names if name not in history.columns]
    if missing or history.implementation != events.implementation:
        raise InvalidDataError(
            f"history must have the columns of new_events and be of the same library; it lacks {missing} and is of "
            f"{history.implementation}."
        )
    return nw.concat([history.select(names), events.select(names)], how="vertical")


def _column(frame: nw.DataFrame[Any], name: str) -> np.ndarray:
    if name.endswith("_seen"):
        return _frames.times(frame, name)
    values = _frames.floats(frame, name)
    return values.astype(np.int64) if name in ("frequency", "n_orders") else values


def _assembled(
    table: nw.DataFrame[Any], ids: list[nw.Series[Any]], parts: list[dict[str, np.ndarray]]
) -> nw.DataFrame[Any]:
    """One table from parts with different customers, in ascending order of id."""
    codes, distinct = together(ids, table)
    order = np.argsort(np.concatenate(codes))
    columns: dict[str, Any] = {}
    for name in SUMMARY_COLUMNS[1:]:
        values = np.concatenate([part[name] for part in parts])[order]
        columns[name] = values.view("datetime64[us]") if name.endswith("_seen") else values
    if not np.isfinite(columns["total_value"]).all() or not np.isfinite(columns["monetary_value"]).all():
        refuse_endless_sums(np.inf, order.size)
    return _frames.build(table, {CUSTOMER_ID: distinct, **columns})
