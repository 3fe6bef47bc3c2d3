"""The rules on typed rows in plain Python, one row at a time."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any


def judge(
    rows: list[dict[str, Any]], as_of: datetime, earliest: datetime, placeholders: frozenset[Any]
) -> tuple[list[set[str]], list[bool]]:
    """The broken rules of each row, and whether it is a return. Ids are int, str or None; times datetime or None."""
    found: list[set[str]] = []
    returns: list[bool] = []
    seen: set[tuple[Any, ...]] = set()
    for row in rows:
        broken: set[str] = set()
        customer, time, amount, quantity = (
            row.get(name) for name in ("customer_id", "timestamp", "amount", "quantity")
        )
        if customer is None:
            broken.add("missing_customer_id")
        elif isinstance(customer, str) and customer.strip().lower() in ("", "nan", "none", "null", "nat", "<na>"):
            broken.add("blank_customer_id")
        elif (customer.strip().lower() if isinstance(customer, str) else customer) in placeholders:
            broken.add("placeholder_customer")
        if time is None:
            broken.add("missing_timestamp")
        else:
            if time < earliest or time.year >= 2200:
                broken.add("implausible_timestamp")
            if time > as_of:
                broken.add("future_timestamp")
        if amount is None or math.isnan(amount):
            broken.add("missing_amount")
        elif math.isinf(amount):
            broken.add("non_finite_amount")
        elif abs(amount) > 1e15:
            broken.add("huge_amount")
        if quantity is not None and math.isinf(quantity):
            broken.add("unparsable_quantity")
        if not broken:
            values = (row[name] for name in sorted(row))
            key = tuple(None if isinstance(value, float) and math.isnan(value) else value for value in values)
            if key in seen:
                broken.add("duplicate")
            seen.add(key)
        found.append(broken)
        returns.append((amount is not None and amount < 0) or (quantity is not None and quantity < 0))
    return found, returns


def mix(value: int) -> int:
    """SplitMix64's finaliser, on Python integers."""
    mask = (1 << 64) - 1
    bits = value & mask
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & mask
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & mask
    return bits ^ (bits >> 31)
