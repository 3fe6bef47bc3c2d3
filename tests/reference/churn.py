"""Churn labels and features as the definitions say them: one customer and one cutoff at a time, in plain Python.

A log is a list of dicts: customer_id, timestamp (a datetime), amount, optionally quantity, order_id, product_id.
"""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

Event = dict[str, Any]
DAYS_PER_UNIT = {"h": 1 / 24, "D": 1, "W": 7, "M": 365.25 / 12, "Y": 365.25}


def is_return(event: Event) -> bool:
    return event["amount"] < 0 or event.get("quantity", 1) < 0


def net(event: Event) -> Fraction:
    amount = Fraction(event["amount"])
    return -abs(amount) if is_return(event) else amount


def label(log: list[Event], customer: Any, begin: datetime, end: datetime, observed_until: datetime) -> str:
    """State of one customer over the label window [begin, end)."""
    for event in log:
        bought = event["customer_id"] == customer and not is_return(event)
        if bought and event["timestamp"] < observed_until and begin <= event["timestamp"] < end:
            return "retained"
    return "churned" if end <= observed_until else "not yet knowable"


def labels(
    log: list[Event],
    cutoffs: list[datetime],
    horizon: timedelta,
    lead: timedelta,
    observed_until: datetime,
) -> list[tuple[Any, datetime, str]]:
    """Customer, cutoff and state, by cutoff and then customer, of all who bought before the cutoff."""
    rows = []
    for cutoff in sorted(cutoffs):
        before = {each["customer_id"] for each in log if each["timestamp"] < cutoff and not is_return(each)}
        for customer in sorted(before):
            begin = cutoff + lead
            rows.append((customer, cutoff, label(log, customer, begin, begin + horizon, observed_until)))
    return rows


def features(
    log: list[Event], customer: Any, cutoff: datetime, windows: list[float], time_unit: str
) -> dict[str, float]:
    """Every feature of one customer at one cutoff, from rational arithmetic on what came before."""
    past = sorted(
        (each for each in log if each["customer_id"] == customer and each["timestamp"] < cutoff),
        key=lambda each: each["timestamp"],
    )
    purchases = [each for each in past if not is_return(each)]
    unit = DAYS_PER_UNIT[time_unit]
    value_of_day: dict[date, Fraction] = {}
    for each in purchases:
        day = each["timestamp"].date()
        value_of_day[day] = value_of_day.get(day, Fraction(0)) + net(each)
    days = sorted(value_of_day)
    as_of = (cutoff - timedelta(microseconds=1)).date()
    gaps = [(later - earlier).days for earlier, later in pairwise(days)]
    gaps.append((as_of - days[-1]).days + 1)
    mean = Fraction(sum(gaps), len(gaps))
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    repeats = [value_of_day[day] for day in days[1:]]
    orders = first_lines(purchases)
    found = {
        "frequency": len(days) - 1,
        "recency": (days[-1] - days[0]).days / unit,
        "T": (as_of - days[0]).days / unit,
        "inactivity": (as_of - days[-1]).days / unit,
        "monetary_value": float(sum(repeats) / len(repeats)) if repeats else 0.0,
        "n_orders": len(orders),
        "total_value": float(sum(map(net, past))),
        "n_returns": len(past) - len(purchases),
        "return_share": (len(past) - len(purchases)) / len(past),
        "mean_gap": float(mean) / unit,
        "sd_gap": math.sqrt(variance) / unit,
        "overdue": float(gaps[-1] / mean),
        "last_day_value": float(value_of_day[days[-1]]),
        "n_products": len({each.get("product_id") for each in purchases}),
    }
    for window in windows:
        length = timedelta(days=window * DAYS_PER_UNIT[time_unit])
        now = sum(net(each) for each in past if cutoff - length <= each["timestamp"])
        before = sum(net(each) for each in past if cutoff - 2 * length <= each["timestamp"] < cutoff - length)
        name = f"{window:g}{time_unit}"
        found[f"orders_{name}"] = sum(cutoff - length <= each["timestamp"] for each in orders)
        found[f"value_{name}"] = float(now)
        scale = abs(now) + abs(before)
        found[f"value_trend_{name}"] = float((now - before) / scale) if scale else 0.0
    return found


def first_lines(purchases: list[Event]) -> list[Event]:
    """One line per order, its earliest; without order numbers every line is an order."""
    if not purchases or "order_id" not in purchases[0]:
        return purchases
    first: dict[Any, Event] = {}
    for each in purchases:
        first.setdefault(each["order_id"], each)
    return list(first.values())
