"""Read the events and the parameters of a consent ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID, TIMESTAMP
from custanalytics._params import check_columns, offenders
from custanalytics.exceptions import InvalidDataError
from custanalytics.validation._consent_clock import LedgerClock
from custanalytics.validation._consent_state import FOREVER, Events
from custanalytics.validation._consent_words import (
    GRANTED,
    LAPSED,
    MEANINGS,
    OWNER,
    PENDING,
    UNNAMED,
    names_of,
    spelt,
    statuses_of,
)
from custanalytics.validation._customer_ids import CHANNEL, EXPIRES, PURPOSE, STATUS, distinct_ids
from custanalytics.validation._values import distinct, is_missing

REGIMES = ("opt_in", "opt_out")
EVERY = "*"


def read_events(
    frame: nw.DataFrame[Any], statuses: Mapping[Any, str] | None, clock: LedgerClock
) -> tuple[list[Any], Events, tuple[list[str], list[str]]]:
    """The distinct ids, the events, and the names of channels and purposes."""
    codes, ids = distinct_ids(frame[CUSTOMER_ID])
    times = _times(frame, TIMESTAMP, clock)
    _refuse(codes < 0, frame, "have no customer_id", "Find the customer, or leave the event out on purpose.")
    remedy = "An opt-out whose date nobody knows belongs in do_not_contact=[...]."
    _refuse(times == _frames.NO_TIME, frame, "have no timestamp", remedy)
    meanings = statuses_of(frame[STATUS], statuses)
    expires = np.full(len(frame), FOREVER)
    if EXPIRES in frame.columns:
        found = _times(frame, EXPIRES, clock)
        expires = np.where(found == _frames.NO_TIME, FOREVER, found)
    named = []
    for column in (CHANNEL, PURPOSE):
        found, names = names_of(frame[column] if column in frame.columns else None, len(frame))
        unnamed = found == UNNAMED
        for meaning, words in ((GRANTED, "grant consent"), (LAPSED, "say that consent has run out")):
            wrong = unnamed & (meanings == MEANINGS.index(meaning))
            _refuse(wrong, frame, f"{words} without naming a {column}", "Write '*' where it holds for every one.")
        named.append((np.where(unnamed, -1, found), names))
    # A grant that has run out is one that expires at that moment, and it ends the grants before it.
    lapsed = meanings == MEANINGS.index(LAPSED)
    expires = np.where(lapsed, times, expires)
    meanings = np.where(lapsed, MEANINGS.index(GRANTED), meanings)
    kept = meanings != MEANINGS.index(PENDING)
    columns = (codes, named[0][0], named[1][0], meanings, times, expires)
    return ids, Events(*(column[kept] for column in columns)), (named[0][1], named[1][1])


def name_codes(found: Sequence[str], declared: Iterable[str] | None, further: Iterable[str]) -> dict[str, int]:
    """Every name that may be asked for, and its code in the events."""
    return {name: at for at, name in enumerate(dict.fromkeys([*found, *map(spelt, declared or ()), *further]))}


def code_of(names: Mapping[str, int], asked: Any, what: str) -> int:
    """The code of the channel or purpose that is asked for; one beyond all where the ledger names none at all."""
    if not isinstance(asked, str):
        raise ValueError(f"The {what!r} argument of {OWNER} must be an instance of str. Got {asked!r} instead.")
    if names and spelt(asked) not in names:
        raise ValueError(
            f"No event of the ledger names the {what} {asked!r}; it knows {list(names)}. Correct the spelling, or pass "
            f"{what}s=[{asked!r}] to ConsentLedger if it is a new one."
        )
    return names.get(spelt(asked), len(names))


def regimes(regime: str | Mapping[Any, str]) -> tuple[dict[Any, str], list[str]]:
    """The regime of each purpose or (channel, purpose), that of all others under None; and the purposes named."""
    if isinstance(regime, str):
        return {None: regime}, []
    wrong = sorted({str(value) for value in regime.values() if value not in REGIMES})
    if wrong:
        raise ValueError(f"The 'regime' parameter of {OWNER} maps purposes to {list(REGIMES)}; got {wrong}.")
    found: dict[Any, str] = {None: "opt_in"}
    purposes = []
    for scope, value in regime.items():
        parts = scope if isinstance(scope, tuple) else (scope,)
        if len(parts) not in (1, 2) or not all(isinstance(part, str) for part in parts):
            raise ValueError(
                f"The keys of the 'regime' parameter of {OWNER} are purposes or (channel, purpose). Got {scope!r}."
            )
        words = tuple(map(spelt, parts))
        words = words[1:] if words[0] == EVERY and len(words) == 2 else words
        if words == (EVERY,):
            found[None] = value
            continue
        if words[-1] == EVERY:
            raise ValueError(f"The 'regime' parameter of {OWNER} is by purpose: name one for {scope!r}.")
        found[words if len(words) == 2 else words[0]] = value
        purposes.append(words[-1])
    return found, purposes


def listed(ids: Any) -> list[Any]:
    """The distinct ids of a frame or a sequence."""
    if ids is None or (isinstance(ids, Collection) and not _frames.is_frame(ids) and not len(ids)):
        return []
    return distinct_ids(as_frame(ids, "do_not_contact")[CUSTOMER_ID])[1]


def as_frame(customers: Any, name: str = "customers") -> nw.DataFrame[Any]:
    """A frame with customer_id, from one or from a sequence of ids."""
    if _frames.is_frame(customers):
        frame = _frames.read(customers, owner=OWNER)
        check_columns(frame.columns, [CUSTOMER_ID], f"The {name!r} argument of {OWNER}")
        return frame
    if isinstance(customers, str | bytes) or not hasattr(customers, "__iter__"):
        raise ValueError(
            f"The {name!r} argument of {OWNER} must be a frame with customer_id or a sequence of ids. Got "
            f"{customers!r} instead."
        )
    ids = [None if is_missing(value) else value for value in customers]
    if not any(type(value) is int or isinstance(value, np.integer) for value in ids):
        return _frames.read(_frames.table({CUSTOMER_ID: ids}))
    return nw.new_series(CUSTOMER_ID, _exact(ids), backend="pandas").to_frame()


def _exact(ids: list[Any]) -> np.ndarray:
    """Ids, integers among them, as an array of their own type: floats would make two of the large ones equal."""
    whole = all(type(value) is int or isinstance(value, np.integer) for value in ids)
    for kind in (np.int64, np.uint64) if whole else ():
        if all(np.iinfo(kind).min <= value <= np.iinfo(kind).max for value in ids):
            return np.array(ids, kind)
    return np.fromiter(ids, object, len(ids))


def several(names: Any) -> list[Any]:
    """One name or several as a list."""
    return [names] if isinstance(names, str) else list(names)


def _times(frame: nw.DataFrame[Any], column: str, clock: LedgerClock) -> np.ndarray:
    """A column of times, or of texts in ISO 8601, as microseconds on the clock; missing as NO_TIME."""
    series = _frames.wall_clock(frame[column], "UTC")
    if isinstance(series.dtype, nw.Datetime | nw.Date) or series.null_count() == len(series):
        return clock.read(frame[column])
    codes, values = distinct(series)
    read = [clock.moment(value) for value in values]
    unread = np.array([*(each is None for each in read), False])[codes]
    first = next((value for value, each in zip(values, read, strict=True) if each is None), None)
    _refuse(
        unread,
        frame,
        f"have in {column} neither a date nor an ISO 8601 text such as '2024-05-31', but {first!r}",
        "Convert the column yourself; where texts have offsets from UTC, with pandas.to_datetime(..., utc=True).",
    )
    return np.array([*(each if each is not None else 0 for each in read), _frames.NO_TIME], np.int64)[codes]


def _refuse(bad: np.ndarray, frame: nw.DataFrame[Any], what: str, remedy: str) -> None:
    if bad.any():
        ids = frame[CUSTOMER_ID].to_list()
        raise InvalidDataError(offenders(bad, ids, what, "events") + f". {remedy}")
