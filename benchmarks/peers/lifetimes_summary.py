"""`lifetimes`: customer table from a transaction log."""

from __future__ import annotations

import warnings

import pandas as pd


def summary(log: pd.DataFrame) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes.utils import summary_data_from_transaction_data

        table = summary_data_from_transaction_data(
            log, "customer_id", "timestamp", monetary_value_col="amount", freq="D"
        )
    table[["recency", "T"]] /= 7.0
    return table.reset_index()
