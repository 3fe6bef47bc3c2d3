"""Ids as the caller gives them: which customers are meant, and where they stand among the fitted ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID, renaming
from custanalytics._params import check_columns, offenders
from custanalytics.exceptions import InvalidDataError


def as_array(values: list[Any]) -> np.ndarray:
    """Ids as an array: numbers as such, all else as objects: shape (n,)."""
    array = np.asarray(values)
    if array.dtype.kind in "iuf" and array.ndim == 1:
        return array
    array = np.empty(len(values), object)
    array[:] = values
    return array


def positions(known: np.ndarray, frame: nw.DataFrame[Any], column: str, owner: str) -> np.ndarray:
    """Where each id of a column stands among the known ones, in ascending order; -1 where it is unknown."""
    codes, uniques = _frames.codes(frame, column)
    if (codes < 0).any():
        raise InvalidDataError(
            offenders(codes < 0, np.arange(codes.size), f"have no {column}", "rows") + f". {owner} needs one in each."
        )
    values = uniques.to_list()
    if not values or not known.size:
        return np.full(codes.size, -1, np.int64)
    text = isinstance(values[0], str)
    if text != isinstance(known[0], str):
        kinds = ("text", "no text") if text else ("no text", "text")
        raise InvalidDataError(
            f"The {column} column given to {owner} is {kinds[0]} (first: {values[0]!r}), but those of the fitted log "
            f"are {kinds[1]} (first: {known[:1].tolist()[0]!r}). Convert one of them, for example with astype."
        )
    ids = np.asarray(values)
    if known.dtype.kind in "iu" and ids.dtype.kind == known.dtype.kind:
        at = np.minimum(np.searchsorted(known, ids), known.size - 1)
        found = np.where(known[at] == ids, at, -1)
    else:
        place = {value: i for i, value in enumerate(known.tolist())}
        found = np.fromiter((place.get(value, -1) for value in values), np.int64, len(values))
    return found[codes]


def identified(table: nw.DataFrame[Any], columns: Mapping[str, str] | None) -> nw.DataFrame[Any]:
    """The ids of a table alone, under their standard name."""
    yours = [name for name, standard in renaming(columns).items() if standard == CUSTOMER_ID]
    name = yours[0] if yours and CUSTOMER_ID not in table.columns else CUSTOMER_ID
    check_columns(table.columns, [name], "NextBestOffer")
    return table.select(name).rename({name: CUSTOMER_ID})


def whom(customers: Any, fitted: np.ndarray, columns: Mapping[str, str] | None, kind: str) -> nw.DataFrame[Any]:
    """A frame of the ids of the customers given: those of a frame, of a sequence, or all fitted ones."""
    if customers is not None and _frames.is_frame(customers):
        return identified(_frames.read(customers, owner="NextBestOffer"), columns)
    if customers is None:
        ids = fitted
    elif isinstance(customers, str) or not hasattr(customers, "__len__"):
        raise ValueError(
            "The 'customers' argument must be a frame with customer_id, a sequence of ids or None. "
            f"Got {customers!r} instead."
        )
    else:
        ids = as_array(list(customers))
    return _frames.read(_frames.table({CUSTOMER_ID: ids}, kind))
