"""Customer tables for engines: customers like CDNOW's, bought in continuous time and summarised by days."""

from __future__ import annotations

import numpy as np
import pandas as pd

WEEKS = 39


def customers(n: int, seed: int = 0) -> pd.DataFrame:
    """A customer table, in weeks, of purchases and spend over 39 weeks, 12 of them of joining."""
    rng = np.random.default_rng(seed)
    joined = rng.uniform(0.0, 12.0, n)
    left = np.minimum(joined + rng.exponential(1.0, n) * 11.67 / rng.gamma(0.606, 1.0, n), WEEKS)
    repeats = rng.poisson(rng.gamma(0.553, 1.0 / 10.58, n) * (left - joined))
    of = np.repeat(np.arange(n), repeats)
    times = joined[of] + rng.random(of.size) * (left - joined)[of]
    first = np.floor(7 * joined).astype(int)
    days = np.unique(of * 7 * WEEKS + np.floor(7 * times).astype(int))  # a customer and a day, once each
    of, day = np.divmod(days, 7 * WEEKS)
    of, day = of[day > first[of]], day[day > first[of]]
    frequency = np.bincount(of, minlength=n)
    last = first.copy()
    np.maximum.at(last, of, day)
    mean = 15.4 / rng.gamma(3.74, 1.0, n)
    spent = rng.gamma(np.maximum(6.25 * frequency, 1e-9)) * mean / np.maximum(frequency, 1)
    table = {
        "customer_id": np.arange(n),
        "frequency": frequency,
        "recency": (last - first) / 7,
        "T": (7 * WEEKS - first) / 7,
        "monetary_value": np.where(frequency > 0, np.round(spent, 2), 0.0),
    }
    table["inactivity"] = table["T"] - table["recency"]
    return pd.DataFrame(table)
