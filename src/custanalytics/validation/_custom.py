"""Rules of the caller's: what may be given, and what they say of a log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics.exceptions import InvalidDataError
from custanalytics.validation import _kernels as k
from custanalytics.validation._rules import ERROR, RULES, WARNING, ValidationRule
from custanalytics.validation._values import is_missing

_MOST = 64 - k.FIRST_OWN - 1  # bits left in a mask
_COLUMNS = {"rule", "period", "rows", "score"}  # of the report's tables, beside those of the rules
_WANTED = "a ValidationRule, a named function, or a mapping of names to functions and Narwhals expressions"
_OWNER = "The 'custom_rules' parameter of TransactionValidator"


@dataclass(frozen=True)
class Verdict:
    """One of the caller's rules with the rows that break it now, and those that did before its repair: (n_rows,)."""

    rule: ValidationRule
    broken: np.ndarray
    mended: np.ndarray | None = None


def own_rules(given: Any) -> tuple[ValidationRule, ...]:
    """The caller's rules, checked and numbered."""
    if given is None:
        return ()
    if isinstance(given, Mapping):
        rules = [ValidationRule(name, check) for name, check in given.items()]
    else:
        rules = [
            _as_rule(each) for each in ([given] if callable(given) or isinstance(given, ValidationRule) else given)
        ]
    if len(rules) > _MOST:
        raise ValueError(f"{_OWNER} holds {len(rules)} rules; {_MOST} is the most. Join some with '|'.")
    taken = {rule.name for rule in RULES} | _COLUMNS
    for rule in rules:
        _check(rule)
        if rule.name in taken:
            raise ValueError(f"{_OWNER} names a rule {rule.name!r}, which is taken: names are unique.")
        taken.add(rule.name)
    return tuple(replace(rule, bit=1 << (k.FIRST_OWN + at)) for at, rule in enumerate(rules))


def _as_rule(given: Any) -> ValidationRule:
    if isinstance(given, ValidationRule):
        return given
    if not isinstance(given, nw.Expr) and callable(given) and getattr(given, "__name__", "<").isidentifier():
        return ValidationRule(given.__name__, given, message=(given.__doc__ or "").strip().partition("\n")[0])
    raise ValueError(
        f"{_OWNER} must hold {_WANTED}. Got {given!r} instead; name it: ValidationRule(name=..., check=...)."
    )


def _check(rule: ValidationRule) -> None:
    if not isinstance(rule.name, str) or not rule.name or ";" in rule.name:
        raise ValueError(f"{_OWNER} must name every rule with a text without ';'. Got {rule.name!r} instead.")
    if not (isinstance(rule.check, nw.Expr) or callable(rule.check)):
        raise ValueError(
            f"{_OWNER}: the check of {rule.name!r} must be a function or a Narwhals expression, such as "
            f"nw.col('amount') > 1e6. Got {rule.check!r} instead."
        )
    if rule.severity not in (ERROR, WARNING):
        raise ValueError(
            f"{_OWNER}: the severity of {rule.name!r} must be 'error' or 'warning'. Got {rule.severity!r} instead."
        )
    given = rule.repair
    if given is not None and not (
        isinstance(given, Mapping)
        and given
        and all(isinstance(each, nw.Expr) or callable(each) for each in given.values())
    ):
        raise ValueError(
            f"{_OWNER}: the repair of {rule.name!r} must map columns to functions or Narwhals expressions. "
            f"Got {given!r} instead."
        )


def judge(frame: nw.DataFrame[Any], rule: ValidationRule) -> np.ndarray:
    """Which rows break the rule: boolean (n_rows,)."""
    series = _evaluate(frame, rule.check, rule, "check")
    try:
        found = series.to_list()
        whole = series.dtype == nw.Boolean and series.null_count() == 0
        mask = series.to_numpy() if whole else np.array([False if is_missing(each) else each for each in found])
    except Exception as error:
        raise _failure(frame, rule, "check", f"gave values that are no booleans: {error}") from error
    if mask.size and mask.dtype != np.bool_:
        raise _failure(frame, rule, "check", f"must give booleans, one a row; it gave {series.dtype}")
    return np.asarray(mask, bool)


def mend(frame: nw.DataFrame[Any], rule: ValidationRule, rows: np.ndarray) -> nw.DataFrame[Any]:
    """The frame with the values that the rule's repair gives, in some rows."""
    given = _frames.extend(frame, {_MASK: rows})
    columns = {}
    for name, how in rule.repair.items():
        if name not in frame.columns:
            raise _failure(frame, rule, "repair", f"names the column {name!r}, which is not there")
        values = _evaluate(frame, how, rule, "repair")
        try:
            both = given.with_columns(_frames.like(frame, _NEW, values))
            chosen = nw.when(nw.col(_MASK)).then(nw.col(_NEW)).otherwise(nw.col(name)).alias(name)
            columns[name] = both.select(chosen)[name]
        except Exception as error:
            raise _failure(frame, rule, "repair", f"gave values that do not fit into {name!r}: {error}") from error
    return _frames.extend(frame, columns)


_MASK, _NEW = "__broken__", "__mended__"


def _evaluate(frame: nw.DataFrame[Any], what: Any, rule: ValidationRule, part: str) -> nw.Series[Any]:
    """What a function or an expression gives on a frame, as one column of its length."""
    given = frame.select(nw.all())  # a frame of its own, so that nothing is added to the caller's
    try:
        if not isinstance(what, nw.Expr):
            what = what(given.to_native())
        if isinstance(what, nw.Expr):  # one value for all is a repair, and no check
            shaped = given.with_columns if part == "repair" else given.select
            found = shaped(what.alias(_NEW))[_NEW]
        else:
            found = _series(given, what)
    except Exception as error:
        raise _failure(frame, rule, part, f"failed with {type(error).__name__}: {error}") from error
    if len(found) != len(frame):
        raise _failure(frame, rule, part, f"must give one value a row; it gave {len(found):,} for {len(frame):,} rows")
    return found


def _series(frame: nw.DataFrame[Any], found: Any) -> nw.Series[Any]:
    wrapped = nw.from_native(found, allow_series=True, pass_through=True)
    found = nw.to_native(found, pass_through=True)
    if isinstance(wrapped, nw.Series):
        index, own = getattr(found, "index", None), getattr(frame.to_native(), "index", None)
        if wrapped.implementation.is_pandas() and own is not None and len(own) == len(found) and not own.equals(index):
            raise ValueError("the rows came back under another index or in another order")
        return wrapped
    if isinstance(wrapped, nw.DataFrame | nw.LazyFrame) or np.ndim(found) != 1:
        raise ValueError(f"it gave {type(found).__name__} of shape {np.shape(found)}, not one value a row")
    values = np.asarray(found)
    return nw.new_series(_NEW, values if values.dtype.kind != "U" else values.tolist(), backend=frame.implementation)


def _failure(frame: nw.DataFrame[Any], rule: ValidationRule, part: str, what: str) -> InvalidDataError:
    native = type(frame.to_native())
    return InvalidDataError(
        f"The {part} of the rule {rule.name!r} {what}. It was given a {native.__module__.partition('.')[0]} "
        f"{native.__name__} of shape ({len(frame):,}, {len(frame.columns)}) with the columns {frame.columns}."
    )
