"""What sets each cluster apart: sizes, means, medians and standardised differences."""

from __future__ import annotations

import numpy as np

LARGE = 0.8  # a standardised difference commonly called large


def profile(X: np.ndarray, Z: np.ndarray, labels: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """Size, share, mean and median of each cluster in original units, and how it differs from the rest on Z."""
    sizes = np.bincount(labels, minlength=k)
    shape = (k, X.shape[1])
    means, medians, effects = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    for cluster in np.flatnonzero(sizes):
        members = labels == cluster
        means[cluster] = X[members].mean(axis=0)
        medians[cluster] = np.median(X[members], axis=0)
        if sizes[cluster] < labels.size:
            effects[cluster] = standardised_difference(Z[members], Z[~members])
    return {
        "n_customers": sizes.astype(np.int64),
        "customer_share": sizes / sizes.sum(),
        "mean": means,
        "median": medians,
        "effect": effects,
    }


def standardised_difference(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Difference of means over the pooled standard deviation; NaN where both sides are constant."""
    gap = inside.mean(axis=0) - outside.mean(axis=0)
    squares = len(inside) * inside.var(axis=0) + len(outside) * outside.var(axis=0)
    pooled = np.sqrt(squares / max(len(inside) + len(outside) - 2, 1))
    varies = (np.ptp(inside, axis=0) > 0) | (np.ptp(outside, axis=0) > 0)
    return np.divide(gap, pooled, out=np.full(gap.size, np.nan), where=varies)


def hints(effects: np.ndarray, names: list[str]) -> list[str]:
    """A few words per cluster: its largest differences first ("high frequency, low inactivity"), else "average"."""
    words = []
    for row in np.nan_to_num(effects):
        order = np.argsort(-np.abs(row), kind="stable")
        large = [f"{'high' if row[at] > 0 else 'low'} {names[at]}" for at in order if abs(row[at]) >= LARGE]
        words.append(", ".join(large) or "average")
    return words
