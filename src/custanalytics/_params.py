"""Parameter rules, and the wording of every error about parameters, columns and rows."""

from __future__ import annotations

import importlib
import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from custanalytics._columns import DAYS_PER_UNIT
from custanalytics.exceptions import InvalidDataError, MissingColumnError, MissingExtraError


class Rule(Protocol):
    """One thing a parameter may be."""

    def accepts(self, value: Any) -> bool:
        """Whether the value keeps the rule."""

    def __str__(self) -> str: ...


@dataclass(frozen=True)
class Number:
    """An int or a float in a range; `closed` is both, left, right or neither."""

    low: float = -math.inf
    high: float = math.inf
    closed: str = "both"
    integer: bool = False

    def accepts(self, value: Any) -> bool:
        """Whether the value is a number of the kind, within the range, and not NaN."""
        kind = Integral if self.integer else Real
        if not isinstance(value, kind) or isinstance(value, bool | np.bool_):
            return False
        try:
            number = float(value)
        except (OverflowError, TypeError):  # a whole number beyond all doubles, a time of numpy
            return False
        above = number >= self.low if self.closed in ("both", "left") else number > self.low
        below = number <= self.high if self.closed in ("both", "right") else number < self.high
        return above and below

    def __str__(self) -> str:
        left = "[" if self.closed in ("both", "left") and math.isfinite(self.low) else "("
        right = "]" if self.closed in ("both", "right") and math.isfinite(self.high) else ")"
        low, high = (int(x) if self.integer and math.isfinite(x) else x for x in (self.low, self.high))
        return f"{'an int' if self.integer else 'a float'} in the range {left}{low}, {high}{right}"


def integer(low: float, high: float = math.inf) -> Number:
    """An int from `low` to `high`, both included."""
    return Number(low, high, integer=True)


@dataclass(frozen=True)
class OneOf:
    """One of a few strings."""

    options: tuple[str, ...]

    def accepts(self, value: Any) -> bool:
        """Whether the value is one of the options."""
        return isinstance(value, str) and value in self.options

    def __str__(self) -> str:
        return "a str among {" + ", ".join(repr(option) for option in self.options) + "}"


@dataclass(frozen=True)
class InstanceOf:
    """An instance of one of some types; `None` is given as `type(None)`."""

    types: tuple[type, ...]

    def accepts(self, value: Any) -> bool:
        """Whether the value is such an instance (a bool is no int)."""
        if isinstance(value, bool) and bool not in self.types:
            return False
        return isinstance(value, self.types)

    def __str__(self) -> str:
        names = ("None" if kind is type(None) else kind.__name__ for kind in self.types)
        return "an instance of " + " or ".join(dict.fromkeys(names))


@dataclass(frozen=True)
class Having:
    """An object that has certain methods."""

    methods: tuple[str, ...]

    def accepts(self, value: Any) -> bool:
        """Whether the value has every method."""
        return not isinstance(value, type) and all(hasattr(value, method) for method in self.methods)

    def __str__(self) -> str:
        return "an object with " + ", ".join(f"{method}()" for method in self.methods)


REAL = Number(closed="neither")
POSITIVE = Number(0, closed="neither")
LEVEL = Number(0, 1, closed="neither")  # of an interval
NOT_NEGATIVE = Number(0, closed="left")
UNITS = OneOf(tuple(DAYS_PER_UNIT))
NONE = InstanceOf((type(None),))
BOOLEAN = InstanceOf((bool, np.bool_))
TEXT = InstanceOf((str,))

LONGEST = 200  # characters of a value in a message


def check_value(name: str, value: Any, rules: Sequence[Rule], owner: str) -> None:
    """Raise a ValueError, in scikit-learn's wording, unless one of the rules accepts the value."""
    if not any(rule.accepts(value) for rule in rules):
        wanted = " or ".join(str(rule) for rule in rules)
        raise ValueError(f"The {name!r} parameter of {owner} must be {wanted}. Got {shown(value)} instead.")


def shown(value: Any) -> str:
    """A value in a few words: of a class its name, of what fills lines its type."""
    if isinstance(value, type):
        return f"the class {value.__name__} and no instance of it, which is {value.__name__}(),"
    text = repr(value)
    return text if len(text) <= LONGEST and "\n" not in text else f"a {type(value).__name__}"


def check_values(name: str, values: ArrayLike, rules: Sequence[Rule], owner: str) -> np.ndarray:
    """One or more numbers as float64, each held against the rules."""
    try:
        found = np.asarray(values)
    except ValueError:  # of different lengths
        check_value(name, values, rules, owner)
        raise
    numbers = found.dtype.kind in "iuf" and found.size > 0
    for value in (found.min(), found.max()) if numbers else found.ravel():
        check_value(name, value, rules, owner)
    return found.astype(np.float64)


def check_params(estimator: Any, rules: Mapping[str, Sequence[Rule]]) -> None:
    """Hold every parameter of an estimator against its rules."""
    for name, allowed in rules.items():
        check_value(name, getattr(estimator, name), allowed, type(estimator).__name__)


def check_columns(found: Sequence[str], needed: Sequence[str], owner: str, hint: str = "") -> None:
    """Raise a MissingColumnError that lists what is missing and what was found."""
    missing = [name for name in needed if name not in found]
    if missing:
        raise MissingColumnError(
            f"{owner} needs the columns {missing}; found {list(found)}." + (f" {hint}" if hint else "")
        )


def check_shapes(shapes: Mapping[Any, tuple[int, ...]], owner: str) -> None:
    """Raise an InvalidDataError for columns that are tables themselves, or of different lengths."""
    for name, shape in shapes.items():
        if len(shape) > 1:
            raise InvalidDataError(f"{owner} takes columns of one dimension each; {name!r} has the shape {shape}.")
    if len(set(shapes.values())) > 1:
        lengths = ", ".join(f"{name!r} has {length:,}" for name, (length,) in shapes.items())
        raise InvalidDataError(f"{owner} takes columns of equal length; {lengths}.")


def offenders(bad: np.ndarray, ids: Any, verb_phrase: str, what: str = "customers") -> str:
    """Word how many rows break a rule and which come first: '12 of 4,000 customers have … (first: 17, 42, …)'."""
    rows = np.flatnonzero(bad)
    return offence(rows.size, len(bad), [ids[int(row)] for row in rows[:5]], verb_phrase, what)


def offence(n_bad: int, n: int, first: Sequence[Any], verb_phrase: str, what: str = "customers") -> str:
    """Word what `offenders` words, from the number of offending rows and the ids of the first of them, if known."""
    text = f"{n_bad:,} of {n:,} {what} {verb_phrase}"
    names = ", ".join(str(each) for each in first)
    return f"{text} (first: {names}{', …' if n_bad > len(first) else ''})" if first else text


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the first line outside this package and scikit-learn (with its joblib) that led here."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


_INSIDE = ("custanalytics", "sklearn", "joblib")


def require_extra(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or raise a MissingExtraError that names the extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs the package {module.partition('.')[0]!r}, which is not installed. "
            f"Install it with: pip install 'custanalytics[{extra}]'"
        ) from error
