"""Which rows of a customer table break a rule, in words."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from custanalytics._columns import CUSTOMER_ID
from custanalytics._params import offenders


def bad_customers(frame: nw.DataFrame[Any], bad: np.ndarray, phrase: str) -> str:
    """'12 of 4,000 customers have … (first: 17, 42, …)', by row number where the table has no ids."""
    if CUSTOMER_ID in frame.columns:
        return offenders(bad, frame[CUSTOMER_ID].to_list(), phrase)
    return offenders(bad, range(bad.size), phrase, "rows")
