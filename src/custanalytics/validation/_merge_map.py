"""Merge maps: which id each merged customer goes by, applied to any frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID
from custanalytics._params import TEXT, check_columns, check_value
from custanalytics.exceptions import InvalidDataError
from custanalytics.validation._customer_ids import SURVIVOR_ID, check_kinds, distinct_ids
from custanalytics.validation._values import is_missing

OWNER = "apply_merge_map"


def apply_merge_map(
    frame: Any,
    merge_map: Any,
    *,
    column: str = CUSTOMER_ID,
    original_column: str | None = None,
    return_counts: bool = False,
) -> Any:
    """Give the duplicates of one person their surviving id in a log, a table or a ledger.

    Rows are neither dropped nor added together, and keep their order. Ids that the map does not name stay as they are.
    Summarise *after* this step, so that what one person did under two ids is counted once.

    Parameters
    ----------
    frame : frame
        Anything with a column of customer ids: pandas, Polars or PyArrow, or a mapping of columns. It is not changed.
    merge_map : frame or mapping
        A frame with the columns customer_id and survivor_id, as `IdentityResolver` makes it (other columns are
        ignored), or a mapping from merged to surviving id. Where a survivor is itself merged, the chain is followed
        to its end.
    column : str, default="customer_id"
        The column of ids.
    original_column : str, default=None
        The name of a column that keeps the ids as they came, so that the step can be undone.
    return_counts : bool, default=False
        Whether to give the counts too.

    Returns
    -------
    frame
        Of the kind that came in.
    counts : dict of str to int
        Only if `return_counts`: `rows`, `rows_changed`, `rows_without_id`, `customers_before`, `customers_after`,
        `merges_applied` (merged ids that occur in the frame) and `merges_unused`.

    Raises
    ------
    InvalidDataError
        If the map has a missing id, two survivors for one id, or a cycle; if its ids are text and those of the
        frame are not, or the other way round; or if the column cannot hold a surviving id.
    MissingColumnError
        If a column is missing.

    See Also
    --------
    IdentityResolver : Finds the duplicates by keys that they share.
    ProbabilisticResolver : Finds them by probability.

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.validation import apply_merge_map
    >>> log = pd.DataFrame({"customer_id": ["a1", "b7", "c3", "b7"], "amount": [5.0, 2.0, 9.0, 1.0]})
    >>> merged, counts = apply_merge_map(log, {"b7": "a1"}, original_column="account", return_counts=True)
    >>> merged
      customer_id  amount account
    0          a1     5.0      a1
    1          a1     2.0      b7
    2          c3     9.0      c3
    3          a1     1.0      b7
    >>> counts["rows_changed"], counts["customers_before"], counts["customers_after"]
    (2, 3, 2)
    """
    check_value("column", column, (TEXT,), OWNER)
    data = _frames.read(frame, owner=OWNER)
    check_columns(data.columns, [column], OWNER)
    if original_column is not None:
        check_value("original_column", original_column, (TEXT,), OWNER)
        if original_column in data.columns:
            raise ValueError(f"The frame has a column {original_column!r} already. Pass another original_column=...")
    survivors = final_survivors(merge_map, OWNER)
    series = data[column]
    codes, values = distinct_ids(series)
    check_kinds(list(survivors), values, OWNER, "the merge map")
    own = dict(zip(values, values, strict=True))  # a survivor as the frame has it: Decimal(1) for 1
    renamed = [own.get(value, value) for value in (survivors.get(each, each) for each in values)]
    changed = np.array([value in survivors for value in values], bool)
    columns = {} if original_column is None else {original_column: series}
    if changed.any():
        _check_fit(series, renamed)
        columns[column] = _rewritten(series, codes, renamed)
    result = _frames.extend(data, columns).to_native()
    if not return_counts:
        return result
    return result, {
        "rows": codes.size,
        "rows_changed": int(np.append(changed, False)[codes].sum()),
        "rows_without_id": int((codes < 0).sum()),
        "customers_before": len(values),
        "customers_after": len(set(renamed)),
        "merges_applied": int(changed.sum()),
        "merges_unused": len(survivors) - int(changed.sum()),
    }


def final_survivors(merge_map: Any, owner: str) -> dict[Any, Any]:
    """Merged id to surviving id, chains followed to their end; ids that survive themselves are left out."""
    pairs = _pairs(merge_map, owner)
    if any(is_missing(each) for pair in pairs for each in pair):
        raise InvalidDataError("The merge map has a missing id. Drop the rows without one before.")
    direct: dict[Any, Any] = {}
    for merged, survivor in pairs:
        if direct.setdefault(merged, survivor) != survivor:
            raise InvalidDataError(
                f"The merge map gives {merged!r} two survivors, {direct[merged]!r} and {survivor!r}. Keep one, or find "
                "the duplicates again in all customers at once."
            )
    direct = {merged: survivor for merged, survivor in direct.items() if merged != survivor}
    final: dict[Any, Any] = {}
    for start in direct:
        path, at = [], start
        while at in direct and at not in final:
            path.append(at)
            final[at] = None  # on the path now
            at = direct[at]
        if at in final and final[at] is None:
            circle = path[path.index(at) :]
            raise InvalidDataError(
                f"The merge map goes round in a circle: {' -> '.join(map(repr, [*circle[:5], at]))}. Say which of them "
                "survives."
            )
        end = final.get(at, at)
        final.update(dict.fromkeys(path, end))
    return final


def _pairs(merge_map: Any, owner: str) -> list[tuple[Any, Any]]:
    columns = (CUSTOMER_ID, SURVIVOR_ID)
    if isinstance(merge_map, Mapping) and not set(columns) <= set(merge_map):
        return list(merge_map.items())
    frame = _frames.read(merge_map, columns, f"The 'merge_map' argument of {owner}")
    return list(zip(*(_plain(frame[name]) for name in columns), strict=True))


def _plain(series: nw.Series[Any]) -> list[Any]:
    """The ids as Python has them, whole floats as integers."""
    codes, values = distinct_ids(series)
    whole = [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]
    return [whole[code] if code >= 0 else None for code in codes.tolist()]


def _check_fit(series: nw.Series[Any], wanted: list[Any]) -> None:
    """Raise an InvalidDataError where the column cannot hold the surviving ids as they are."""
    distinct = list(dict.fromkeys(wanted))
    try:
        held: list[Any] = _rewritten(series, np.arange(len(distinct)), distinct).to_list()
    except (TypeError, ValueError, OverflowError):  # of the libraries: one of the ids is of another kind, or too large
        held = []
    if held != distinct:
        known = set(distinct_ids(series)[1])
        raise InvalidDataError(
            f"The column {series.name!r} holds {series.dtype}, which the surviving ids of the merge map do not all fit "
            f"(first: {[value for value in distinct if value not in known][:5]}). Convert it, for example with astype."
        )


def _rewritten(series: nw.Series[Any], codes: np.ndarray, values: list[Any]) -> nw.Series[Any]:
    found: Any = _objects([*values, None])[codes]
    if series.dtype.is_integer() and not (codes < 0).any():
        found = found.astype(np.int64 if series.dtype != nw.UInt64 else np.uint64)
    native, coded = series.to_native(), isinstance(series.dtype, nw.Categorical | nw.Enum)
    if coded and series.implementation.is_pandas() and not all(isinstance(value, str) for value in values):
        return nw.from_native(type(native)(found.tolist(), name=series.name), series_only=True)
    if series.implementation.is_pandas() and not coded:
        return nw.from_native(type(native)(found, dtype=native.dtype, name=series.name), series_only=True)
    dtype = nw.String if coded else series.dtype
    new = nw.new_series(series.name, found.tolist(), dtype=dtype, backend=series.implementation)
    if series.implementation.is_pyarrow() and not coded:  # large_string is as much String as string is
        return nw.from_native(new.to_native().cast(native.type), series_only=True).alias(series.name)
    return new


def _objects(values: list[Any]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def groups(n: int, left: np.ndarray, right: np.ndarray) -> tuple[int, np.ndarray]:
    """The connected groups of `n` nodes with the links given: how many, and the group of each node."""
    links = coo_array((np.ones(left.size, np.bool_), (left, right)), shape=(n, n))
    count, group = connected_components(links.tocsr(), directed=False)
    return int(count), group.astype(np.int64)
