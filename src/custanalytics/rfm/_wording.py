"""Which rows of a customer table break a rule, in words."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from custanalytics._columns import CUSTOMER_ID
from custanalytics._params import offenders, warn
from custanalytics.exceptions import DataQualityWarning


def bad_customers(frame: nw.DataFrame[Any], bad: np.ndarray, phrase: str) -> str:
    """'12 of 4,000 customers have … (first: 17, 42, …)', by row number where the table has no ids."""
    if CUSTOMER_ID in frame.columns:
        return offenders(bad, frame[CUSTOMER_ID].to_list(), phrase)
    return offenders(bad, range(bad.size), phrase, "rows")


def warn_of_constant(n: int, column: str, value: float, score: str, given: int) -> None:
    """Warn that a column tells the customers of a fit no more apart than its score does."""
    warn(
        f"All {n:,} customers have {column} = {value:g}, so that {score} is {given} for every one of them. "
        "Fit on a table where it differs, or segment by rules without it.",
        DataQualityWarning,
    )
