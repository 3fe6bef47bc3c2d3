"""Hypothesis strategies: event logs and customer tables as pandas frames with the standard columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

START = np.datetime64("2023-12-18", "us")
HOUR = np.timedelta64(1, "h")
SPAN_DAYS = 75

INTEGER_IDS = st.one_of(st.integers(0, 6), st.sampled_from([-3, -1, 2**40, 2**63 - 1, -(2**63)]))
STRING_IDS = st.sampled_from(["a", "B", "é", "10", "9", "a b", "zz"])


def timestamps(span_days: int = SPAN_DAYS) -> st.SearchStrategy[np.datetime64]:
    """Whole hours over a stretch that crosses months, a year and a leap day; midnights and evenings are common."""
    hour = st.sampled_from([0, 0, 9, 18, 23])
    return st.builds(lambda day, at: START + np.timedelta64(day, "D") + at * HOUR, st.integers(0, span_days - 1), hour)


def amounts() -> st.SearchStrategy[float]:
    """Money to the cent: mostly purchases, some of them free, some returns."""
    purchase = st.integers(1, 20_000).map(lambda cents: cents / 100)
    return st.one_of(purchase, purchase, purchase, st.just(0.0), purchase.map(lambda amount: -amount))


@st.composite
def transaction_logs(
    draw: st.DrawFn,
    *,
    ids: st.SearchStrategy[Any] = INTEGER_IDS,
    min_rows: int = 1,
    max_rows: int = 40,
    returns: bool = True,
    order_id: bool = False,
    quantity: bool = False,
    product_id: bool = False,
    span_days: int = SPAN_DAYS,
) -> pd.DataFrame:
    """A log in any order, with ties in time and value, several rows a day, returns and one-time buyers."""
    money = amounts() if returns else amounts().map(abs)
    fields: dict[str, st.SearchStrategy[Any]] = {
        "customer_id": ids,
        "timestamp": timestamps(span_days),
        "amount": money,
    }
    if order_id:
        fields["order_id"] = st.integers(0, 9)
    if quantity:
        fields["quantity"] = st.sampled_from([1, 1, 1, 2, 3, -1] if returns else [1, 1, 2])
    if product_id:
        fields["product_id"] = st.sampled_from(["apple", "bread", "cheese", "dates", "eggs"])
    rows = draw(st.lists(st.tuples(*fields.values()), min_size=min_rows, max_size=max_rows))
    log = pd.DataFrame(rows, columns=list(fields))
    log["timestamp"] = log["timestamp"].to_numpy(dtype="datetime64[us]")
    log["amount"] = log["amount"].to_numpy(dtype=np.float64)
    return log


@st.composite
def customer_tables(
    draw: st.DrawFn, *, min_rows: int = 1, max_rows: int = 30, horizon_days: int = 78 * 7
) -> pd.DataFrame:
    """A customer table on a daily clock in weeks, as RFMSummary gives it: consistent, with many one-time buyers."""
    row = st.tuples(
        st.one_of(st.just(0), st.integers(0, 12)),
        st.integers(0, horizon_days),
        st.floats(0, 1),
        st.integers(1, 50_000),
        st.integers(0, 3),
    )
    rows = draw(st.lists(row, min_size=min_rows, max_size=max_rows))
    records = []
    for number, (wanted, days_observed, share, cents, extra) in enumerate(rows):
        frequency = min(wanted, days_observed)
        days_active = max(frequency, round(share * days_observed)) if frequency else 0
        as_of = START + np.timedelta64(horizon_days, "D")
        mean = cents / 100 if frequency else 0.0
        records.append(
            {
                "customer_id": number,
                "frequency": frequency,
                "recency": days_active / 7,
                "T": days_observed / 7,
                "inactivity": (days_observed - days_active) / 7,
                "monetary_value": mean,
                "n_orders": frequency + 1 + extra,
                "total_value": mean * frequency + cents / 100,
                "first_seen": as_of - np.timedelta64(days_observed, "D"),
                "last_seen": as_of - np.timedelta64(days_observed - days_active, "D"),
            }
        )
    return pd.DataFrame(records).astype({"first_seen": "datetime64[us]", "last_seen": "datetime64[us]"})
