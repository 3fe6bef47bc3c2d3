"""The names of the columns, each with its one meaning, and the units of time."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# The event log: one row per line of a transaction.
CUSTOMER_ID = "customer_id"
TIMESTAMP = "timestamp"
AMOUNT = "amount"
ORDER_ID = "order_id"
PRODUCT_ID = "product_id"
QUANTITY = "quantity"
CHANNEL = "channel"

LOG_REQUIRED = (CUSTOMER_ID, TIMESTAMP, AMOUNT)
LOG_OPTIONAL = (ORDER_ID, PRODUCT_ID, QUANTITY, CHANNEL)
LOG_COLUMNS = LOG_REQUIRED + LOG_OPTIONAL

# The customer table: one row per customer (or per customer and cutoff).
FREQUENCY = "frequency"  # distinct periods with a purchase, less one
RECENCY = "recency"  # from first to last purchase, in time_unit
T = "T"  # from first purchase to as_of, in time_unit
INACTIVITY = "inactivity"  # T - recency
MONETARY_VALUE = "monetary_value"  # mean value of the repeat periods; 0 where frequency is 0
N_ORDERS = "n_orders"
TOTAL_VALUE = "total_value"
FIRST_SEEN = "first_seen"
LAST_SEEN = "last_seen"
CUTOFF = "cutoff"

# Predictions, as columns of the customer table.
P_ALIVE = "p_alive"
EXPECTED_PURCHASES = "expected_purchases"
DISCOUNTED_PURCHASES = "discounted_purchases"
EXPECTED_SPEND = "expected_spend"  # per purchase, in the currency of the log
LIFETIME_VALUE = "lifetime_value"

SUMMARY_COLUMNS = (
    CUSTOMER_ID,
    FREQUENCY,
    RECENCY,
    T,
    INACTIVITY,
    MONETARY_VALUE,
    N_ORDERS,
    TOTAL_VALUE,
    FIRST_SEEN,
    LAST_SEEN,
)

# Days in one unit. A month and a year are the means of the Julian calendar: fixed durations, not dates.
DAYS_PER_UNIT: Mapping[str, float] = MappingProxyType({"h": 1 / 24, "D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25})

UNIT_NAMES: Mapping[str, str] = MappingProxyType({"h": "hours", "D": "days", "W": "weeks", "M": "months", "Y": "years"})


def units_per_year(time_unit: str) -> float:
    """How many `time_unit` make a year of 365.25 days."""
    return DAYS_PER_UNIT["Y"] / DAYS_PER_UNIT[time_unit]


def renaming(columns: Mapping[str, str] | None) -> dict[str, str]:
    """Map the caller's names to the standard ones.

    `columns` maps standard names to the caller's ({"customer_id": "household"}); where no key is a standard
    name, it is read the other way round, as data-frame libraries write a renaming.
    """
    if columns is None:
        return {}
    if all(key in LOG_COLUMNS for key in columns):
        pairs = [(yours, standard) for standard, yours in columns.items()]
    else:
        pairs = list(columns.items())
    unknown = sorted({standard for _, standard in pairs} - set(LOG_COLUMNS))
    if unknown:
        raise ValueError(
            f"The 'columns' parameter names unknown columns {unknown}. It maps standard names to yours; "
            f"the standard names are {list(LOG_COLUMNS)}."
        )
    if len({yours for yours, _ in pairs}) < len(pairs):
        raise ValueError("The 'columns' parameter gives one of your columns to two standard names.")
    return dict(pairs)
