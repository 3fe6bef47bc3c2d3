"""The summary as one query that runs inside the engine that holds the log.

The form is one that every engine behind Narwhals computes alike: numbers of periods from the year and the day of
the year, one row per customer and period, then one row per customer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw

from custanalytics import _engines
from custanalytics._columns import (
    AMOUNT,
    CUSTOMER_ID,
    FIRST_SEEN,
    FREQUENCY,
    INACTIVITY,
    LAST_SEEN,
    LOG_COLUMNS,
    LOG_REQUIRED,
    MONETARY_VALUE,
    N_ORDERS,
    ORDER_ID,
    PRODUCT_ID,
    QUANTITY,
    RECENCY,
    SUMMARY_COLUMNS,
    TIMESTAMP,
    TOTAL_VALUE,
    T,
)
from custanalytics._instants import no_times
from custanalytics.exceptions import InvalidDataError
from custanalytics.rfm._clock import Clock

_EPOCH = 719_163  # the number of 1 January 1970 where 1 January of the year 1 is 1
_FAR_BACK = 1_000_000  # weeks: keeps what is divided positive, as engines do not round alike below 0


def read(X: Any, columns: Mapping[str, str] | None) -> nw.LazyFrame[Any]:
    """The columns of a lazy log that a summary may need: times on their wall clock, money as float64.

    Where an engine keeps instants and no zones, the wall clock is that of its session. Ids of a type that only the
    engine knows become text. Dask's log is left as it is: its parts are read like any log in memory.
    """
    lazy = _engines.read_lazy(X, columns, LOG_REQUIRED, "RFMSummary")
    schema = lazy.collect_schema()
    kept = [name for name in LOG_COLUMNS if name in schema]
    if lazy.implementation.is_dask():
        return lazy.select(*kept)
    plain = {name: _number(name, schema) for name in (AMOUNT, QUANTITY) if name in kept}
    plain[TIMESTAMP] = _wall_clock(schema)
    for name in (CUSTOMER_ID, ORDER_ID, PRODUCT_ID):
        if schema.get(name) == nw.Unknown:  # an UUID
            plain[name] = nw.col(name).cast(nw.String)
        elif name in kept and schema[name].is_float():
            plain[name] = nw.when(~nw.col(name).is_nan()).then(nw.col(name))  # NaN is missing
    return lazy.select(*(plain.get(name, nw.col(name)).alias(name) for name in kept))


def facts(schema: nw.Schema) -> list[nw.Expr]:
    """Aggregates of a log that `read` gave: rows, those that cannot be used, returns, the largest amount, its times."""
    time, amount = nw.col(TIMESTAMP), nw.col(AMOUNT)
    return [
        nw.len().alias("rows"),
        _count(nw.col(CUSTOMER_ID).is_null()).alias(CUSTOMER_ID),
        _count(time.is_null()).alias(TIMESTAMP),
        _count(amount.is_null() | ~amount.is_finite()).alias(AMOUNT),
        _count(_returned(schema)).alias("returns"),
        _count(amount == 0).alias("zeros"),
        amount.abs().max().alias("largest"),
        time.min().alias("first"),
        time.max().alias("last"),
    ]


def up_to(log: nw.LazyFrame[Any], clock: Clock, last_period: int) -> nw.LazyFrame[Any]:
    """The rows up to the end of a period, each with the number of its `period` and whether it `bought` (0 or 1)."""
    bought = nw.when(_returned(log.collect_schema())).then(nw.lit(0)).otherwise(nw.lit(1)).cast(nw.Int64)
    rows = log.with_columns(_period(clock.period).alias("period"), bought.alias("bought"))
    return rows.filter(nw.col("period") <= last_period)


def customers(rows: nw.LazyFrame[Any], clock: Clock, last_period: int) -> nw.LazyFrame[Any]:
    """One row per customer with a purchase, from the rows of `up_to`: the columns of the customer table."""
    bought, amount = nw.col("bought") == 1, nw.col(AMOUNT)
    returned = nw.when(amount < 0).then(amount).otherwise(-amount)  # by its amount or by its quantity
    entries = rows.with_columns(
        nw.when(bought).then(amount).otherwise(nw.lit(0.0)).alias("spent"),
        nw.when(bought).then(amount).otherwise(returned).alias("value"),
        nw.when(bought).then(nw.col(TIMESTAMP)).alias("at"),
    )
    loose = nw.col("bought") if ORDER_ID not in rows.collect_schema() else _loose(nw.col("bought"))
    periods = (
        entries.with_columns(loose.alias("loose"))
        .group_by(CUSTOMER_ID, "period")
        .agg(
            nw.col("spent").sum(),
            nw.col("value").sum(),
            nw.col("loose").sum(),
            nw.col("bought").max(),
            nw.col("at").min().alias(FIRST_SEEN),
            nw.col("at").max().alias(LAST_SEEN),
        )
    )
    when = nw.when(nw.col("bought") == 1).then(nw.col("period"))
    periods = periods.with_columns(when.alias("of_purchase"))
    first = nw.col("of_purchase").min().over(CUSTOMER_ID)
    repeats = nw.when(nw.col("period") > nw.col("first_period")).then(nw.col("spent")).otherwise(nw.lit(0.0))
    table = (
        periods.with_columns(first.alias("first_period"))
        .with_columns(repeats.alias("repeats"))
        .group_by(CUSTOMER_ID)
        .agg(
            nw.col("bought").sum(),
            nw.col("repeats").sum(),
            nw.col("value").sum().alias(TOTAL_VALUE),
            nw.col("loose").sum(),
            nw.col("first_period").min(),
            nw.col("of_purchase").max().alias("last_period"),
            nw.col(FIRST_SEEN).min(),
            nw.col(LAST_SEEN).max(),
        )
        .filter(nw.col("bought") > 0)
    )
    return _finish(_with_orders(table, rows), clock, last_period)


def _with_orders(table: nw.LazyFrame[Any], rows: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Count the distinct orders of each customer with a purchase, and purchases without an order."""
    if ORDER_ID not in rows.collect_schema():
        return table.with_columns(nw.col("loose").alias(N_ORDERS))
    named = rows.filter(nw.col("bought") == 1, ~nw.col(ORDER_ID).is_null())
    orders = named.select(CUSTOMER_ID, ORDER_ID).unique().group_by(CUSTOMER_ID).agg(nw.len().alias("orders"))
    n_orders = nw.when(nw.col("orders").is_null()).then(nw.lit(0)).otherwise(nw.col("orders")) + nw.col("loose")
    return table.join(orders, on=CUSTOMER_ID, how="left").with_columns(n_orders.alias(N_ORDERS))


def _finish(table: nw.LazyFrame[Any], clock: Clock, last_period: int) -> nw.LazyFrame[Any]:
    """Durations and means, each with the operations and the roundings of the kernel."""
    first, last, count = nw.col("first_period"), nw.col("last_period"), nw.col("bought") - 1
    scale, unit = clock.scale
    divisor = first.cast(nw.Float64) * 0.0 + unit  # a column: by a mere number, Polars multiplies with its inverse

    def duration(periods: nw.Expr) -> nw.Expr:
        return (periods.cast(nw.Float64) * scale / divisor).cast(nw.Float64)

    mean = nw.when(count > 0).then(nw.col("repeats") / count.cast(nw.Float64)).otherwise(nw.lit(0.0))
    columns = {
        FREQUENCY: count.cast(nw.Int64),
        RECENCY: duration(last - first),
        T: duration(nw.lit(last_period) - first),
        INACTIVITY: duration(nw.lit(last_period) - last),
        MONETARY_VALUE: mean.cast(nw.Float64),
        N_ORDERS: nw.col(N_ORDERS).cast(nw.Int64),
        TOTAL_VALUE: nw.col(TOTAL_VALUE).cast(nw.Float64),
    }
    return table.select(*(columns.get(name, nw.col(name)).alias(name) for name in SUMMARY_COLUMNS))


def _period(period: str) -> nw.Expr:
    """The number of the period that holds a time, as in the kernel: counted from January 1970."""
    time = nw.col(TIMESTAMP).dt
    year = time.year().cast(nw.Int64)
    if period == "Y":
        return year - 1970
    if period == "M":
        return (year - 1970) * 12 + time.month().cast(nw.Int64) - 1
    past = year - 1
    day = 365 * past + past // 4 - past // 100 + past // 400 + time.ordinal_day().cast(nw.Int64) - _EPOCH
    if period == "h":
        return day * 24 + time.hour().cast(nw.Int64)
    if period == "W":  # 1 January 1970 was the fourth day of its week
        return (day + 3 + 7 * _FAR_BACK) // 7 - _FAR_BACK
    return day


def _returned(schema: nw.Schema) -> nw.Expr:
    returned = nw.col(AMOUNT) < 0
    return returned | (nw.col(QUANTITY) < 0).fill_null(False) if QUANTITY in schema else returned


def _loose(bought: nw.Expr) -> nw.Expr:
    return nw.when(nw.col(ORDER_ID).is_null()).then(bought).otherwise(nw.lit(0))


def _count(flag: nw.Expr) -> nw.Expr:
    return nw.when(flag).then(nw.lit(1)).otherwise(nw.lit(0)).sum()


def _number(column: str, schema: nw.Schema) -> nw.Expr:
    if not (schema[column].is_numeric() or schema[column] == nw.Boolean):
        raise InvalidDataError(
            f"The column {column!r} must be numeric; it is {schema[column]}. Run the log through "
            f"TransactionValidator first, or convert {column!r} yourself."
        )
    return nw.col(column).cast(nw.Float64)


def _wall_clock(schema: nw.Schema) -> nw.Expr:
    dtype = schema[TIMESTAMP]
    if not isinstance(dtype, nw.Datetime | nw.Date):
        raise InvalidDataError(no_times(TIMESTAMP, dtype))
    zoned = isinstance(dtype, nw.Datetime) and dtype.time_zone is not None
    time = nw.col(TIMESTAMP).dt.replace_time_zone(None) if zoned else nw.col(TIMESTAMP)
    return time.cast(nw.Datetime("us"))
