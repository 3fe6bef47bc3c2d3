"""Cut points between ordered tiers that keep equal values together, and the table of what each tier holds."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np


def cut_points(values: np.ndarray, marks: Sequence[Fraction]) -> np.ndarray:
    """The lowest value above each cut, for cuts at the wanted shares of customers, best first.

    Customers of one value form a block. A block lies above the cut at the share `mark` if its middle does:
    (customers with more) + (customers in the block) / 2 < mark * n. Whole numbers are compared, so that neither
    rounding nor the order of rows decides. Where no block lies above a cut, it is just over the highest value.

    Returns float64 of shape (n_marks,), never rising.
    """
    blocks, counts = np.unique(values, return_counts=True)
    blocks, counts = blocks[::-1], counts[::-1]
    middles = 2 * (np.cumsum(counts) - counts) + counts  # in half customers
    over = np.nextafter(blocks[0], np.inf)
    cuts = np.empty(len(marks))
    for at, mark in enumerate(marks):
        above = int(np.sum(middles * mark.denominator < 2 * values.size * mark.numerator))
        cuts[at] = blocks[above - 1] if above else over
    return cuts


def tier_of(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """The tier of each value: 1 and one more for every cut above it; int64 of shape (n_customers,)."""
    return 1 + cuts.size - np.searchsorted(cuts[::-1], values, side="right").astype(np.int64)


def tier_totals(tiers: np.ndarray, n_tiers: int, by: np.ndarray, value: np.ndarray) -> dict[str, np.ndarray]:
    """What each tier holds: customers, the range of the column tiered by, and its part of all value.

    Sums run over sorted values, so that the order of rows cannot change a digit. A share of value is NaN where
    all customers together have no positive value.
    """
    counts = np.bincount(tiers - 1, minlength=n_tiers)
    low, high, totals = np.full(n_tiers, np.nan), np.full(n_tiers, np.nan), np.zeros(n_tiers)
    for at in range(n_tiers):
        members = tiers == at + 1
        if counts[at]:
            low[at], high[at] = by[members].min(), by[members].max()
            totals[at] = np.sort(value[members]).sum()
    whole = totals.sum()
    shares = totals / whole if whole > 0 else np.full(n_tiers, np.nan)
    return {
        "n_customers": counts.astype(np.int64),
        "customer_share": counts / counts.sum(),
        "min_value": low,
        "max_value": high,
        "total_value": totals,
        "value_share": shares,
        "cumulative_value_share": np.cumsum(shares),
    }
