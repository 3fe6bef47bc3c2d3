"""The customer table in one Polars query: daily periods, durations in weeks, as of the last day of the log."""

from __future__ import annotations

from typing import Any

import polars as pl


def query(log: pl.LazyFrame) -> pl.LazyFrame:
    """One row per customer, sorted by id."""
    bought = pl.col("amount") >= 0
    moment, day = pl.col("timestamp"), pl.col("day")
    daily = (
        log.with_columns(day=moment.dt.epoch("d"))
        .group_by("customer_id", "day")
        .agg(
            bought=pl.col("amount").filter(bought).sum(),
            net=pl.col("amount").sum(),
            purchases=bought.sum(),
            first_time=moment.filter(bought).min(),
            last_time=moment.filter(bought).max(),
        )
    )
    active = pl.col("purchases") > 0
    customers = daily.group_by("customer_id").agg(
        frequency=active.sum().cast(pl.Int64) - 1,
        first_day=day.filter(active).min(),
        last_day=day.filter(active).max(),
        bought=pl.col("bought").sum(),
        first_bought=pl.col("bought").filter(active).get(day.filter(active).arg_min(), null_on_oob=True),
        n_orders=pl.col("purchases").sum().cast(pl.Int64),
        total_value=pl.col("net").sum(),
        first_seen=pl.col("first_time").min(),
        last_seen=pl.col("last_time").max(),
    )
    as_of = log.select(as_of=moment.max().dt.epoch("d"))
    mean = (pl.col("bought") - pl.col("first_bought")) / pl.col("frequency")
    return (
        customers.filter(pl.col("frequency") >= 0)
        .join(as_of, how="cross")
        .select(
            "customer_id",
            "frequency",
            recency=(pl.col("last_day") - pl.col("first_day")) / 7,
            T=(pl.col("as_of") - pl.col("first_day")) / 7,
            inactivity=(pl.col("as_of") - pl.col("last_day")) / 7,
            monetary_value=pl.when(pl.col("frequency") > 0).then(mean).otherwise(0.0),
            n_orders="n_orders",
            total_value="total_value",
            first_seen="first_seen",
            last_seen="last_seen",
        )
        .sort("customer_id")
    )


def summary(log: Any) -> Any:
    """One row per customer of a Polars frame or a pandas frame, as a pandas frame."""
    frame = log if isinstance(log, pl.DataFrame) else pl.from_pandas(log)
    return query(frame.lazy()).collect().to_pandas()
