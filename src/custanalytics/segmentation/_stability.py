"""How well clusters are found again when the customers are drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter

import numpy as np
from sklearn.cluster import kmeans_plusplus

from custanalytics import _jit
from custanalytics.segmentation._kernels import assign, lloyd

STABLE = 0.75
_NOISE = 0.02  # below this, two mean similarities are taken for equal
_STARTS, _RESTARTS = 10, 3  # of k-means on the customers themselves, and on each bootstrap sample
_MAX_ITER, _TOLERANCE = 300, 1e-4  # as in scikit-learn


def nearest(Z: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """The nearest centre of each row, the first of equals: int64 of shape (n_rows,)."""
    labels = np.zeros(len(Z), np.int64)
    centers = np.array(centers, order="C")  # passed as writable, as in `lloyd`: one signature to compile
    _jit.run(assign, len(Z), np.ascontiguousarray(Z), out=(centers, labels))
    return labels


def settle(Z: np.ndarray, centers: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Lloyd's iteration from given centres: the sum of squared distances, the centres and the labels."""
    centers, labels = np.array(centers, order="C"), np.zeros(len(Z), np.int64)
    tolerance = _TOLERANCE * float(Z.var(axis=0).mean())
    inertia = _jit.call(lloyd, np.ascontiguousarray(Z), _MAX_ITER, tolerance, out=(centers, labels))
    return inertia, centers, labels


def k_means(
    Z: np.ndarray, k: int, n_starts: int, random: np.random.RandomState
) -> tuple[float, np.ndarray, np.ndarray]:
    """The best of some runs of k-means from k-means++ starts: what `settle` gives."""
    starts = [kmeans_plusplus(Z, k, random_state=random)[0] for _ in range(n_starts)]
    return min((settle(Z, start) for start in starts), key=itemgetter(0))


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
    _, centers, labels = k_means(Z, k, _STARTS, random)
    maxima = np.zeros((len(samples), k))
    for at, rows in enumerate(samples):
        sample = Z[rows]
        if n_distinct(sample) >= k:
            maxima[at] = jaccard_maxima(labels[rows], k_means(sample, k, _RESTARTS, random)[2], k)
    return centers, maxima.mean(axis=0) if len(samples) else np.full(k, np.nan)


def n_distinct(Z: np.ndarray) -> int:
    """Number of different rows, where equal rows are neighbours."""
    return 1 + int(np.any(Z[1:] != Z[:-1], axis=1).sum())


def most_stable(stability: Mapping[int, np.ndarray]) -> int:
    """The largest number of clusters whose weakest is as stable as that of any other number, but for noise."""
    weakest = {k: similarities.min() for k, similarities in stability.items()}
    return max(k for k, similarity in weakest.items() if similarity >= max(weakest.values()) - _NOISE)


def descending(X: np.ndarray, labels: np.ndarray, k: int, first: int) -> np.ndarray:
    """Order of clusters by their mean of column `first`, highest first; equal ones by the other columns."""
    members = [X[labels == cluster] for cluster in range(k)]
    means = np.array([rows.mean(axis=0) if len(rows) else np.full(X.shape[1], -np.inf) for rows in members])
    return np.lexsort([*(-means.T[::-1]), -means[:, first]])
