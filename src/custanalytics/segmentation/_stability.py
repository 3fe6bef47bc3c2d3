"""How well clusters are found again when the customers are drawn again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.cluster import KMeans

STABLE, DOUBTFUL = 0.75, 0.60
_STARTS, _RESTARTS = 10, 3  # of k-means on the customers themselves, and on each bootstrap sample


def nearest(Z: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """The nearest centre of each row, the first of equals: int64 of shape (n_rows,).

    Column by column, so that a row's label does not depend on which rows come with it.
    """
    best, labels = np.full(len(Z), np.inf), np.zeros(len(Z), np.int64)
    for label, center in enumerate(centers):
        distance = np.zeros(len(Z))
        for at in range(Z.shape[1]):
            distance += (Z[:, at] - center[at]) ** 2
        closer = distance < best
        best[closer], labels[closer] = distance[closer], label
    return labels


def jaccard_maxima(labels: np.ndarray, found: np.ndarray, k: int) -> np.ndarray:
    """For each of k clusters the highest Jaccard similarity with a cluster found; 0 where it has no members.

    Both arrays label the same rows; a Jaccard similarity is common members over members of either.
    """
    common = np.bincount(labels * k + found, minlength=k * k).reshape(k, k)
    either = common.sum(axis=1, keepdims=True) + common.sum(axis=0) - common
    return (common / np.maximum(either, 1)).max(axis=1)


def draws(n: int, n_bootstraps: int, random: np.random.RandomState) -> list[np.ndarray]:
    """Rows of each bootstrap sample: n drawn with replacement, each used once, in ascending order."""
    return [np.unique(random.randint(n, size=n)) for _ in range(n_bootstraps)]


def cluster_and_redraw(
    Z: np.ndarray, k: int, samples: Sequence[np.ndarray], random: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """K-means centres, shape (k, n_features), and the mean Jaccard similarity of each cluster, shape (k,).

    Rows of Z are sorted, so that equal ones are neighbours. A sample of fewer than k different rows finds
    nothing again. Without samples the similarities are NaN.
    """
    centers = KMeans(k, n_init=_STARTS, random_state=_seed(random)).fit(Z).cluster_centers_
    labels = nearest(Z, centers)
    maxima = np.zeros((len(samples), k))
    for at, rows in enumerate(samples):
        sample, seed = Z[rows], _seed(random)
        if n_distinct(sample) >= k:
            again = KMeans(k, n_init=_RESTARTS, random_state=seed).fit(sample).labels_
            maxima[at] = jaccard_maxima(labels[rows], again.astype(np.int64), k)
    return centers, maxima.mean(axis=0) if len(samples) else np.full(k, np.nan)


def n_distinct(Z: np.ndarray) -> int:
    """Number of different rows, where equal rows are neighbours."""
    return 1 + int(np.any(Z[1:] != Z[:-1], axis=1).sum())


def _seed(random: np.random.RandomState) -> int:
    return int(random.randint(np.iinfo(np.int32).max))
