"""Checks of the rows of a table, said once for arrays and for engines, with the wording of every refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _engines
from custanalytics._columns import CUSTOMER_ID
from custanalytics._params import offence
from custanalytics.exceptions import InvalidDataError

FIRST = 5  # customers that a message names


@dataclass(frozen=True)
class Check:
    """What no row may do: in words, with the remedy, and as a function of its columns.

    The function takes arrays or Narwhals expressions, one per column, and gives a mask of the same kind.
    """

    phrase: str
    remedy: str
    broken: Callable[..., Any]


def absent(values: Any) -> Any:
    """Where a number, as an array or an expression, is missing or infinite."""
    if isinstance(values, nw.Expr):
        return values.is_null() | ~values.is_finite()
    return ~np.isfinite(values)


def numbers(lazy: nw.LazyFrame[Any], columns: Sequence[str]) -> list[nw.Expr]:
    """Numeric columns of a lazy table as float64 expressions; a column of another type is refused."""
    schema = lazy.collect_schema()
    for name in columns:
        dtype = schema[name]
        if not (dtype.is_numeric() or dtype in (nw.Boolean, nw.Unknown)):
            raise InvalidDataError(
                f"The column {name!r} must be numeric; it is {dtype}. "
                f"Run the log through TransactionValidator first, or convert {name!r} yourself."
            )
    return [nw.col(name).cast(nw.Float64) for name in columns]


def refuse(
    lazy: nw.LazyFrame[Any], checks: Sequence[Check], *values: nw.Expr, counting: Mapping[str, nw.Expr] | None = None
) -> dict[str, int]:
    """Raise an InvalidDataError for the first check that rows of a lazy table break: one query where none does.

    That query also counts the rows, "n_rows", and those for which other conditions hold.
    """
    masks = [check.broken(*values) for check in checks]
    asked = {**{f"bad_{at}": mask for at, mask in enumerate(masks)}, **(counting or {})}
    flags = {name: nw.when(mask).then(nw.lit(1)).otherwise(nw.lit(0)) for name, mask in asked.items()}
    sums = _engines.row(lazy, nw.len().alias("n_rows"), *(flag.sum().alias(name) for name, flag in flags.items()))
    found = {name: int(value or 0) for name, value in sums.items()}
    for at, (check, mask) in enumerate(zip(checks, masks, strict=True)):
        bad = found[f"bad_{at}"]
        if bad:
            named = CUSTOMER_ID in lazy.collect_schema().names()
            first = first_ids(lazy.filter(mask)) if named else []
            what = "customers" if named else "rows"
            text = offence(bad, found["n_rows"], first, check.phrase, what)
            raise InvalidDataError(f"{text}. {check.remedy}")
    return found


def first_ids(lazy: nw.LazyFrame[Any]) -> list[Any]:
    """The first few customers of a lazy table, in ascending order."""
    ids = lazy.select(CUSTOMER_ID)
    if ids.implementation.is_dask():
        few = _engines.native(ids).map_partitions(_smallest).compute()
        return list(_smallest(few)[CUSTOMER_ID])
    return _engines.collect(ids.sort(CUSTOMER_ID).head(FIRST))[CUSTOMER_ID].to_list()


def _smallest(part: Any) -> Any:
    return part.sort_values(CUSTOMER_ID).head(FIRST)
