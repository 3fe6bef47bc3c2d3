"""Hold every row of a log against all the rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames, _jit
from custanalytics._columns import AMOUNT, CUSTOMER_ID, ORDER_ID, QUANTITY, TIMESTAMP
from custanalytics.validation import _custom
from custanalytics.validation import _kernels as k
from custanalytics.validation._amounts import read_amounts, read_quantities
from custanalytics.validation._copies import alike, first_of
from custanalytics.validation._ids import placeholder_numbers, placeholder_texts, read_ids
from custanalytics.validation._mending import Readings, mend_signs, merge
from custanalytics.validation._policy import Policy
from custanalytics.validation._rules import ERROR, WRONG, ValidationRule
from custanalytics.validation._times import read_times
from custanalytics.validation._values import Reading, is_int64, keys_of

IS_RETURN = "is_return"
_SLICE = 1 << 16  # rows whose hashes fit the cache
_NONE = np.empty(0)


@dataclass
class Screened:
    """A log with its columns read, and what was found in every row: arrays of shape (n_rows,).

    `faults` are bits of the rules that a row breaks; `mended` those of the rules that it broke before its repair,
    `signs` the rows whose amount or quantity was turned, `own` what the caller's rules say. `first` maps a copy to
    the row it copies. `span` is the earliest and the latest plausible time.
    """

    frame: nw.DataFrame[Any]
    times: np.ndarray
    faults: np.ndarray
    returns: np.ndarray
    mended: np.ndarray | None
    span: tuple[int, int]
    identified: bool
    own: list[_custom.Verdict]
    signs: dict[str, np.ndarray]
    first: dict[int, int] = field(default_factory=dict)


def screen_log(frame: nw.DataFrame[Any], policy: Policy) -> Screened:
    """Read the columns of a log and apply every rule."""
    texts = placeholder_texts(policy.placeholder_ids)
    readers: dict[str, Callable[[nw.DataFrame[Any]], Reading]] = {
        CUSTOMER_ID: lambda frame: read_ids(frame, texts, policy.mend),
        TIMESTAMP: lambda frame: read_times(frame, policy.date_format, policy.dayfirst, policy.zone, policy.mend),
        AMOUNT: lambda frame: read_amounts(frame, policy.mend, policy.decimal),
        QUANTITY: lambda frame: read_quantities(frame, policy.mend, policy.decimal),
    }
    readings = {name: read(frame) for name, read in readers.items() if name in frame.columns}
    clean = _frames.extend(
        frame, {name: reading.clean for name, reading in readings.items() if reading.clean is not None}
    )
    signs: dict[str, np.ndarray] = {}
    if policy.mend and QUANTITY in readings:
        clean, signs = mend_signs(clean, readings)
    own = []
    for rule in policy.own:
        clean, verdict = _apply(clean, rule, policy.mend, readings, readers)
        own.append(verdict)
    numbers = placeholder_numbers(texts) if is_int64(clean[CUSTOMER_ID]) else np.empty(0, np.int64)
    if clean[CUSTOMER_ID].dtype.is_unsigned_integer():
        numbers = numbers[numbers >= 0]  # what an unsigned id of 64 bits may look like, and is not
    return _screen(clean, readings, numbers, policy, own, signs)


def _apply(
    clean: nw.DataFrame[Any],
    rule: ValidationRule,
    mend: bool,
    readings: Readings,
    readers: dict[str, Callable[[nw.DataFrame[Any]], Reading]],
) -> tuple[nw.DataFrame[Any], _custom.Verdict]:
    """One of the caller's rules, and its repair: columns that it changes are read again."""
    broken = _custom.judge(clean, rule)
    if not (mend and rule.repair and broken.any()):
        return clean, _custom.Verdict(rule, broken)
    clean = _custom.mend(clean, rule, broken)
    for name in rule.repair:
        if name in readings:
            again = readers[name](clean)
            readings[name] = merge(readings[name], again, broken)
            if again.clean is not None:
                clean = _frames.extend(clean, {name: again.clean})
    still = _custom.judge(clean, rule)
    return clean, _custom.Verdict(rule, still, broken & ~still)


def _screen(
    clean: nw.DataFrame[Any],
    readings: Readings,
    placeholders: np.ndarray,
    policy: Policy,
    own: list[_custom.Verdict],
    signs: dict[str, np.ndarray],
) -> Screened:
    ids, times, amounts = (readings[name] for name in (CUSTOMER_ID, TIMESTAMP, AMOUNT))
    n_rows = ids.values.size
    faults = _union([reading.faults for reading in readings.values()], n_rows)
    mended = None
    if policy.mend:
        turned = [np.where(rows, np.uint32(k.SIGN_MISMATCH), np.uint32(0)) for rows in signs.values()]
        helped = [each.mended * np.uint32(k.OWN_MENDED) for each in own if each.mended is not None]
        mended = _union([*(reading.mended for reading in readings.values()), *turned, *helped], n_rows)
    for verdict in own:
        faults |= verdict.broken * np.uint32(k.OWN_ERROR if verdict.rule.severity == ERROR else k.OWN_WARNING)
    returns, words = np.empty(n_rows, np.bool_), np.empty(n_rows, np.uint64)
    bits = min(12, max(1, (n_rows >> 13).bit_length()))
    ends = np.zeros((-(-n_rows // _SLICE), 1 << bits), np.int32)
    exact = times.values if times.exact is None else times.exact
    window = np.array([policy.earliest, policy.latest, policy.absurd], np.int64)
    found = _jit.run(
        k.screen,
        n_rows,
        *(ids.values, placeholders, times.values, window, amounts.values, float(policy.largest)),
        *(readings[QUANTITY].values if QUANTITY in readings else _NONE, exact, _SLICE, 64 - bits, int(WRONG)),
        out=(faults, returns, ends, words),
        size=_SLICE,
    )
    low, high = min((each[0] for each in found), default=0), max((each[1] for each in found), default=-1)
    ordered = ORDER_ID in clean.columns and clean[ORDER_ID].null_count() < n_rows
    screened = Screened(
        *(clean, times.values, faults, returns, mended, (low, high)),
        *(ordered or any(each[2] for each in found), own, signs),
    )
    _mark_copies(screened, ends, words)
    return screened


def _mark_copies(screened: Screened, ends: np.ndarray, words: np.ndarray) -> None:
    # Rows whose customer, time and amount are theirs alone copy nothing: only the others are compared in full.
    rows = alike(ends, words, screened.faults.size, _SLICE)
    if rows.size:
        some = screened.frame[rows]
        keys = (keys_of(some[name]) for name in some.columns if name != IS_RETURN)
        later, first = first_of(keys, rows.size)
        screened.faults[rows[later]] |= np.uint32(k.DUPLICATE)
        screened.first = dict(zip(rows[later].tolist(), rows[first].tolist(), strict=True)) if later.size else {}


def _union(bits: list[np.ndarray | None], n_rows: int) -> np.ndarray:
    every = np.zeros(n_rows, np.uint32)
    for some in bits:
        if some is not None:
            every |= some
    return every
