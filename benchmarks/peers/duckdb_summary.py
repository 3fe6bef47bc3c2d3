"""The customer table in one DuckDB query: daily periods, durations in weeks, as of the last day of the log."""

from __future__ import annotations

from typing import Any

import duckdb

QUERY = """
WITH daily AS (
    SELECT customer_id, CAST("timestamp" AS DATE) AS day,
           sum(amount) FILTER (amount >= 0) AS bought, sum(amount) AS net,
           count(*) FILTER (amount >= 0) AS purchases,
           min("timestamp") FILTER (amount >= 0) AS first_time, max("timestamp") FILTER (amount >= 0) AS last_time
    FROM log GROUP BY ALL
),
customers AS (
    SELECT customer_id, count(bought) - 1 AS frequency,
           min(day) FILTER (bought IS NOT NULL) AS first_day, max(day) FILTER (bought IS NOT NULL) AS last_day,
           sum(bought) AS bought, arg_min(bought, day) FILTER (bought IS NOT NULL) AS first_bought,
           sum(purchases) AS n_orders, sum(net) AS total_value,
           min(first_time) AS first_seen, max(last_time) AS last_seen
    FROM daily GROUP BY ALL
),
observed AS (SELECT max(day) AS as_of FROM daily)
SELECT customer_id, frequency,
       (last_day - first_day) / 7 AS recency,
       (as_of - first_day) / 7 AS "T",
       (as_of - last_day) / 7 AS inactivity,
       CASE WHEN frequency > 0 THEN (bought - first_bought) / frequency ELSE 0 END AS monetary_value,
       CAST(n_orders AS BIGINT) AS n_orders, total_value, first_seen, last_seen
FROM customers, observed WHERE frequency >= 0 ORDER BY customer_id
"""


def summary(log: Any) -> Any:
    """One row per customer of a pandas frame or an Arrow table, as a pandas frame."""
    with duckdb.connect() as connection:
        return connection.register("log", log).sql(QUERY).df()
