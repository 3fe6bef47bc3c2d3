"""The rows of a log as the arrays that the summary's kernels take, and their ids on the way back."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import AMOUNT, CUSTOMER_ID, ORDER_ID, QUANTITY, TIMESTAMP
from custanalytics._params import offenders, warn
from custanalytics.exceptions import DataQualityWarning, InvalidDataError
from custanalytics.rfm._alphabet import Alphabet
from custanalytics.rfm._pieces import Rows, extent_of, tell_apart
from custanalytics.rfm._text import Text, folded, read_text, write_text

MINUS_ZERO = int(np.iinfo(np.int64).min)  # as a whole number: the bits of no other double are less
BAD_ROWS_REMEDY = ". Run the log through TransactionValidator first: it sets such rows aside with their reasons."


Names = Callable[[np.ndarray], nw.Series[Any]]


def log_rows(frame: nw.DataFrame[Any], hashed: bool = False) -> tuple[Rows, Names | None]:
    """The arrays of a log, and what gives ids back for those in the arrays; None where these are the ids.

    Ids of text that may be `hashed` become one number or two, where their alphabet is small enough. Of others there are
    two hashes, and the number of a row stands for its id.
    """
    series = frame[CUSTOMER_ID]
    _frames.check_ids(series)
    names: Names | None = None
    coded, both, text, keys = False, False, read_text(series) if hashed else None, np.empty(0, np.int64)
    if (given := _frames.whole(series)) is not None:
        ids = given.view(np.uint64) if series.dtype == nw.UInt64 else given
    elif text is not None and text.numbered is not None:
        alphabet, (ids, *second) = text.numbered
        names, text = partial(_written, series, alphabet), None
        if second:
            keys, both = second[0].view(np.int64), not tell_apart(ids)
            ids = folded(ids, second[0]) if both else ids
    elif text is not None:
        ids, keys, names = text.hashes(0), text.hashes(1), partial(_frames.take, series)
    else:
        ids, distinct = _frames.codes(frame)
        names, coded = partial(_frames.take, distinct), True
    values = _frames.floats(frame, AMOUNT)
    if QUANTITY in frame.columns:
        returned = _frames.floats(frame, QUANTITY) < 0
        values = np.where(returned, -np.abs(values), values + 0.0)
    elif values.size and extent_of(values.view(np.int64))[0] == MINUS_ZERO:
        values = values + 0.0  # a purchase of -0.0 is one of 0.0; the minus sign means a return
    return Rows(ids, _frames.times(frame), values, _orders(frame), keys, coded, text or Text(), both), names


def _written(series: nw.Series[Any], alphabet: Alphabet, numbers: np.ndarray) -> nw.Series[Any]:
    pairs = numbers.view(np.uint64).reshape(len(numbers), alphabet.n_words)
    return write_text(series, *alphabet.texts(pairs))


def _orders(frame: nw.DataFrame[Any]) -> np.ndarray:
    if ORDER_ID not in frame.columns:
        return np.empty(0, np.int64)
    series = frame[ORDER_ID]
    if (given := _frames.whole(series)) is not None:
        return given
    orders = numbered(series)
    return np.where(orders < 0, -1 - np.arange(orders.size), orders)  # no order id: an order of its own


def numbered(series: nw.Series[Any]) -> np.ndarray:
    """Codes in ascending order of value, missing as -1; values of several types go by type and text."""
    try:
        return _frames.codes(series.to_frame(), series.name)[0]
    except InvalidDataError as refusal:
        try:
            codes, uniques = _frames.distinct(series)
        except (TypeError, NotImplementedError):  # lists and the like
            raise refusal from None
        texts = [f"{type(value).__name__} {value}" for value in uniques.to_list()]
        rank = np.full(len(texts) + 1, -1, np.int64)
        rank[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
        return rank[codes]


def table_ids(frame: nw.DataFrame[Any], ids: np.ndarray, names: Names | None) -> nw.Series[Any]:
    """The ids of the customer table in the type of the log."""
    dtype = frame[CUSTOMER_ID].dtype
    if names is not None:
        found = names(ids)
        return found.cast(dtype) if dtype == nw.String else found
    ids = ids.view(np.uint64) if dtype == nw.UInt64 else ids
    return _frames.like(frame, CUSTOMER_ID, ids).cast(dtype)


def refuse_bad_rows(
    frame: nw.DataFrame[Any],
    *,
    ids: np.ndarray | None = None,
    times: np.ndarray | None = None,
    values: np.ndarray | None = None,
) -> None:
    """Raise an InvalidDataError that words each kind of row without id, time or finite amount."""
    faults = []
    if ids is not None:
        faults.append((ids < 0, f"have no {CUSTOMER_ID}"))
    if times is not None:
        faults.append((times == _frames.NO_TIME, f"have no {TIMESTAMP}"))
    if values is not None:
        faults.append((~np.isfinite(values), f"have no finite {AMOUNT}"))
    found = [offenders(bad, range(bad.size), phrase, "rows") for bad, phrase in faults if bad.any()]
    raise InvalidDataError("; ".join(found) + BAD_ROWS_REMEDY)


def warn_of_left_out(n: int, first: list[Any], until: Any) -> None:
    """Warn of n customers without a purchase, of whom the first are named."""
    if n:
        warn(
            f"{n:,} customers have returns but no purchase up to {until} and are left out "
            f"(first: {', '.join(map(str, first))}{', …' if n > 5 else ''}). "
            "Their purchases were returned, or may lie before the start of the log.",
            DataQualityWarning,
        )


def refuse_endless_sums(largest: float, n: int) -> None:
    """Raise an InvalidDataError where n amounts, the largest of this size, may add up to more than a double holds."""
    if not math.isfinite(largest * (4.0 * n + 4.0)):
        raise InvalidDataError(
            f"Amounts are too large to be added up: up to {largest:g}, in {n:,} rows. "
            "TransactionValidator(max_amount=1e15) sets such rows aside."
        )
