"""The customer table, the scores and the segments in plain Python: slow, and as the definitions read."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

HOURS = {
    "h": Fraction(1),
    "D": Fraction(24),
    "W": Fraction(168),
    "M": Fraction(1461, 48) * 24,
    "Y": Fraction(1461, 4) * 24,
}


def period_start(moment: datetime, period: str) -> datetime:
    """The first instant of the period that holds a moment."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "h": moment.replace(minute=0, second=0, microsecond=0),
        "D": day,
        "W": day - timedelta(days=day.weekday()),
        "M": day.replace(day=1),
        "Y": day.replace(month=1, day=1),
    }[period]


def next_start(start: datetime, period: str) -> datetime:
    """The first instant of the period after the one that starts at `start`."""
    if period == "Y":
        return start.replace(year=start.year + 1)
    if period == "M":
        return (start + timedelta(days=31)).replace(day=1)
    return start + {"h": timedelta(hours=1), "D": timedelta(days=1), "W": timedelta(days=7)}[period]


def periods_between(first: datetime, last: datetime, period: str) -> int:
    """How many periods lie from one period's start to another's."""
    if period == "Y":
        return last.year - first.year
    if period == "M":
        return 12 * (last.year - first.year) + last.month - first.month
    return (last - first) // (next_start(first, period) - first)


def is_return(row: Mapping[str, Any]) -> bool:
    return row["amount"] < 0 or row.get("quantity", 0) < 0


def summary(
    log: Iterable[Mapping[str, Any]], as_of: datetime, period: str = "D", time_unit: str = "W"
) -> list[dict[str, Any]]:
    """One row per customer with a purchase up to the end of the period that holds `as_of`, sorted by id."""
    last_period = period_start(as_of, period)
    end = next_start(last_period, period)
    unit = HOURS[period] / HOURS[time_unit]
    customers: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for row in log:
        if row["timestamp"] < end:
            customers[row["customer_id"]].append(row)
    table = []
    for customer, rows in sorted(customers.items()):
        purchases = [row for row in rows if not is_return(row)]
        if not purchases:
            continue
        periods = sorted({period_start(row["timestamp"], period) for row in purchases})
        frequency = len(periods) - 1
        repeats = [row["amount"] for row in purchases if period_start(row["timestamp"], period) != periods[0]]
        net = [-abs(row["amount"]) if is_return(row) else row["amount"] for row in rows]
        orders = [row.get("order_id", number) for number, row in enumerate(purchases)]
        table.append(
            {
                "customer_id": customer,
                "frequency": frequency,
                "recency": float(periods_between(periods[0], periods[-1], period) * unit),
                "T": float(periods_between(periods[0], last_period, period) * unit),
                "inactivity": float(periods_between(periods[-1], last_period, period) * unit),
                "monetary_value": math.fsum(repeats) / frequency if frequency else 0.0,
                "n_orders": len(set(orders)),
                "total_value": math.fsum(net),
                "first_seen": min(row["timestamp"] for row in purchases),
                "last_seen": max(row["timestamp"] for row in purchases),
            }
        )
    return table


def cut_points(values: Sequence[float], n_bins: int) -> list[float]:
    """The smallest fitted values with at least k/n_bins of all values at or below them, k = 1, …, n_bins - 1."""
    ordered = sorted(values)
    return [
        next(v for v in ordered if sum(w <= v for w in ordered) * n_bins >= k * len(ordered)) for k in range(1, n_bins)
    ]


def score(value: float, cuts: Sequence[float]) -> int:
    """One more than the number of cut points that lie below the value."""
    return 1 + sum(cut < value for cut in cuts)
