"""The names of the columns of a customers' table, and where ids of one frame stand among those of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID
from custanalytics._params import check_columns
from custanalytics.exceptions import InvalidDataError
from custanalytics.validation._values import distinct

EMAIL, PHONE, NAME, BIRTH_DATE = "email", "phone", "name", "birth_date"
ADDRESS, POSTCODE, CITY, COUNTRY = "address", "postcode", "city", "country"
CUSTOMER_COLUMNS = (CUSTOMER_ID, EMAIL, PHONE, NAME, BIRTH_DATE, ADDRESS, POSTCODE, CITY, COUNTRY)

SURVIVOR_ID, CHANNEL, PURPOSE, STATUS, EXPIRES = "survivor_id", "channel", "purpose", "status", "expires"


def read_named(
    data: Any, columns: Mapping[str, str] | None, standard: Sequence[str], needed: Sequence[str], owner: str
) -> nw.DataFrame[Any]:
    """Wrap a frame and give its columns their standard names; `columns` maps standard names to the caller's."""
    frame = _frames.read(data, owner=owner)
    names = renaming(columns, standard, owner)
    check_columns(frame.columns, list(names), owner)
    clash = [name for yours, name in names.items() if name in frame.columns and name not in names and name != yours]
    frame = frame.drop(clash).rename({yours: name for yours, name in names.items() if yours != name})
    check_columns(frame.columns, needed, owner, f'Name yours with columns={{"{needed[0]}": "..."}}.')
    return frame


def renaming(columns: Mapping[str, str] | None, standard: Sequence[str], owner: str) -> dict[str, str]:
    """The caller's names to the standard ones, whichever way round they were given."""
    if columns is None:
        return {}
    straight = all(name in standard for name in columns)
    pairs = [(yours, name) for name, yours in columns.items()] if straight else list(columns.items())
    unknown = sorted({name for _, name in pairs} - set(standard))
    if unknown:
        raise ValueError(
            f"The 'columns' parameter of {owner} names unknown columns {unknown}. It maps standard names to yours; "
            f"the standard names are {list(standard)}."
        )
    if len({yours for yours, _ in pairs}) < len(pairs):
        raise ValueError(f"The 'columns' parameter of {owner} gives one of your columns to two standard names.")
    return dict(pairs)


def distinct_ids(series: nw.Series[Any]) -> tuple[np.ndarray, list[Any]]:
    """Number the distinct ids of a column, missing as -1; also those of uint64 that are beyond int64."""
    codes, values = distinct(series)
    if series.dtype == nw.UInt64 and series.null_count() == 0:  # read as int64 with the same bits
        values = [value % (1 << 64) for value in values]
    return codes, values


def positions(known: Sequence[Any], series: nw.Series[Any], owner: str, theirs: str) -> np.ndarray:
    """Where each id of a column stands in `known`, which are distinct; -1 where it is missing or unknown.

    Raises an InvalidDataError where all ids of the one are text and none of the other are: 1 and "1" would be taken
    for strangers.
    """
    codes, values = distinct_ids(series)
    check_kinds(known, values, owner, theirs)
    place = {value: at for at, value in enumerate(known)}
    found = np.fromiter((place.get(value, -1) for value in values), np.int64, len(values))
    return np.append(found, -1)[codes]


def check_kinds(known: Sequence[Any], values: Sequence[Any], owner: str, theirs: str) -> None:
    """Raise an InvalidDataError where all of `known` are text and none of `values` is, or the other way round."""
    if not len(known) or not len(values):
        return
    text = {isinstance(value, str) for value in known}, {isinstance(value, str) for value in values}
    if text[0].isdisjoint(text[1]):
        words = ("text", "no text") if True in text[1] else ("no text", "text")
        raise InvalidDataError(
            f"The ids given to {owner} are {words[0]} (first: {values[0]!r}), but those of {theirs} are {words[1]} "
            f"(first: {known[0]!r}). Convert one of them, for example with astype."
        )
