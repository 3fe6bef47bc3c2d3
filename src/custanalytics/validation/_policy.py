"""What the parameters of the validator come down to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from custanalytics._columns import renaming
from custanalytics.validation._custom import own_rules
from custanalytics.validation._rules import ValidationRule
from custanalytics.validation._text_times import wall

PLACEHOLDER_IDS = (
    *("unknown", "guest", "anonymous", "anon", "test", "test user", "test customer", "dummy", "default"),
    *("undefined", "unassigned", "not available", "n/a", "#n/a", "na", "-", "?", -1),
)
_ABSURD = wall(date(2200, 1, 1))
_LAST_CLOCK_ON_EARTH = timedelta(hours=14)


@dataclass(frozen=True)
class Policy:
    """What the parameters of the validator come down to; times are microseconds since 1970."""

    earliest: int
    latest: int
    absurd: int
    date_format: str | None
    dayfirst: bool | None
    zone: tzinfo | None
    decimal: str | None
    placeholder_ids: Iterable[Any] | None
    largest: float
    mend: bool
    own: tuple[ValidationRule, ...]


def policy_of(validator: Any) -> Policy:
    """What the parameters of a TransactionValidator come down to; raises where one makes no sense."""
    if validator.as_of is None:
        latest = wall(datetime.now(UTC) + _LAST_CLOCK_ON_EARTH)
    else:
        latest = _instant(validator.as_of, "as_of")
        latest += 86_400_000_000 - 1 if latest % 86_400_000_000 == 0 else 0
    try:
        zone = None if validator.time_zone is None else ZoneInfo(validator.time_zone)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            "The 'time_zone' parameter of TransactionValidator must be the name of a time zone, such as "
            f"'Europe/Berlin'. Got {validator.time_zone!r} instead."
        ) from error
    earliest = _instant(validator.earliest, "earliest")
    if earliest > latest:
        raise ValueError(
            f"The 'earliest' parameter of TransactionValidator must not lie after as_of={validator.as_of!r}. "
            f"Got {validator.earliest!r} instead: no row could be right."
        )
    return Policy(
        earliest,
        latest,
        _ABSURD,
        validator.date_format,
        validator.dayfirst,
        zone,
        validator.decimal,
        validator.placeholder_ids,
        float(validator.max_amount),
        validator.on_error == "repair",
        own_rules(validator.custom_rules),
    )


def _instant(value: Any, name: str) -> int:
    """A parameter as microseconds since 1970 on its own wall clock."""
    try:
        if isinstance(value, np.datetime64):
            value = value.astype("datetime64[us]").item()
        return wall(datetime.fromisoformat(value) if isinstance(value, str) else value)
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"The {name!r} parameter of TransactionValidator must be a date or a datetime, or one in ISO 8601. "
            f"Got {value!r} instead."
        ) from error


def standard_names(found: Iterable[str], columns: Mapping[str, str] | None) -> dict[str, str]:
    """The columns of a log that are kept, each with its standard name."""
    standard = renaming(columns)
    taken = {name for yours, name in standard.items() if yours != name and name not in standard}
    return {name: standard.get(name, name) for name in found if name not in taken}
