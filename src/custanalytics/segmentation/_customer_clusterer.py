"""Clusters of customers, their number chosen by whether they are found again in bootstrap samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from custanalytics import _frames
from custanalytics._params import NONE, TEXT, InstanceOf, OneOf, Rule, check_params, integer, warn
from custanalytics.exceptions import FitWarning, InvalidDataError
from custanalytics.segmentation._inputs import feature_columns, finite
from custanalytics.segmentation._profiles import hints, profile
from custanalytics.segmentation._scaling import learn_scaling, scale, unscale
from custanalytics.segmentation._stability import (
    STABLE,
    cluster_and_redraw,
    descending,
    draws,
    most_stable,
    n_distinct,
    nearest,
    settle,
)

_LARGEST = 1e140


class CustomerClusterer(ClusterMixin, BaseEstimator):
    """Cluster customers by k-means on scaled features, as many clusters as are found again.

    Use it to look for groups that nobody has named yet. Each number of clusters is held against bootstrap
    samples, and the one whose clusters come back most surely is taken. It always divides: customers who form
    one cloud are cut into parts too, and a long cloud is cut stably. `stability_` says whether clusters are
    found again, not that there are gaps between them. Where a rule that people can read is wanted, use RFM
    segments or tiers.

    Parameters
    ----------
    n_clusters : "stability" or int, default="stability"
        Number of clusters, or "stability" to choose it among 2, …, `max_clusters`.
    max_clusters : int, default=8
        Largest number tried. At most half as many as there are different customers are.
    features : sequence of str or None, default=None
        Columns of a frame to cluster by. None takes `inactivity`, `frequency` and `monetary_value` from a
        frame that has all three, or a `customer_id`; else every column.
    scaler : {"auto", "standard"} or None, default="auto"
        "standard" centres every feature and divides by its standard deviation. "auto" does so after replacing
        each feature without negative values and with a skewness above 1 by log(1 + x / m), where m is the
        median of its positive values. None takes the features as they are.
    order_by : str or None, default=None
        Feature by whose mean the clusters are numbered, highest first. None is the last one: `monetary_value`
        by default.
    n_bootstraps : int, default=20
        Bootstrap samples for each number of clusters. With an integer `n_clusters`, 0 leaves them out.
    max_samples : int, default=2048
        Customers used to choose the number of clusters and to find starting centres, drawn at random if there
        are more. The clusters are then fitted to all customers.
    random_state : int, RandomState or None, default=0
        Seed of all random draws.

    Attributes
    ----------
    n_clusters_ : int
        Number of clusters.
    labels_ : ndarray of shape (n_customers,)
        Cluster of each customer, int64; 0 has the highest mean of `order_by`.
    cluster_centers_ : ndarray of shape (n_clusters_, n_features)
        Centres in the units of the features. For a feature whose logarithm was taken this is not the mean;
        see `profiles_`.
    stability_ : dict of int to ndarray of shape (k,)
        For each number of clusters k tried, the mean Jaccard similarity of every cluster with the most similar
        one of each bootstrap sample: from .75 stable, below .60 dissolved.
    profiles_ : dict of str to ndarray
        `n_customers` and `customer_share`, shape (n_clusters_,); `mean` and `median` in the units of the
        features and `effect`, shape (n_clusters_, n_features). `effect` is the difference between the means of
        the cluster and of all other customers over their pooled standard deviation, of scaled features; NaN
        for a constant feature.
    scaling_ : dict of str to ndarray of shape (n_features,)
        `unit`, `logged`, `center` and `spread` of each feature.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `fit` was given a frame.

    See Also
    --------
    ValueTiers : Tiers by one column with fixed shares.

    Notes
    -----
    For each number of clusters k the customers are clustered, then every bootstrap sample (n customers drawn
    with replacement, each used once) is. A cluster C of the first is compared with each cluster D of the
    second, among the customers drawn, by the Jaccard similarity

    .. math:: \\gamma(C, D) = \\frac{|C \\cap D|}{|C \\cup D|},

    and the largest is averaged over the samples [1]_. All numbers of clusters are held against the same
    samples. The thresholds .75 and .60 are those of `clusterboot` in the R package fpc, by the same author.

    A number of clusters is as good as its weakest cluster, and the largest number within .02 of the best is
    taken. That every cluster pass .75 would not do to choose: with some thousand customers most partitions do,
    for k-means then cuts even a round cloud in the same place each time.

    Rows are sorted before anything else, so that shuffling customers changes no label.

    References
    ----------
    .. [1] Hennig, C. (2007). Cluster-wise assessment of cluster stability. Computational Statistics & Data
       Analysis, 52(1), 258-271. https://doi.org/10.1016/j.csda.2006.11.025

    Examples
    --------
    >>> import pandas as pd
    >>> from custanalytics.segmentation import CustomerClusterer
    >>> table = pd.DataFrame({
    ...     "inactivity": [1, 2, 1, 2, 30, 31, 32, 33, 30, 32],
    ...     "frequency": [9, 8, 9, 9, 1, 1, 2, 1, 2, 2],
    ...     "monetary_value": [50.0, 55.0, 52.0, 49.0, 20.0, 21.0, 19.0, 20.0, 22.0, 21.0],
    ... })
    >>> clusterer = CustomerClusterer(n_clusters=2).fit(table)
    >>> clusterer.labels_
    array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    >>> clusterer.profile_table()[["cluster", "n_customers", "stability", "frequency_mean"]]
       cluster  n_customers  stability  frequency_mean
    0        0            4        1.0            8.75
    1        1            6        1.0            1.50
    """

    _rules: ClassVar[Mapping[str, tuple[Rule, ...]]] = {
        "n_clusters": (OneOf(("stability",)), integer(1)),
        "max_clusters": (integer(2),),
        "features": (InstanceOf((list, tuple, np.ndarray)), NONE),
        "scaler": (OneOf(("auto", "standard")), NONE),
        "order_by": (TEXT, NONE),
        "n_bootstraps": (integer(0),),
        "max_samples": (integer(2),),
        "random_state": (integer(0, 2**32 - 1), InstanceOf((np.random.RandomState,)), NONE),
    }

    def __init__(
        self,
        *,
        n_clusters: str | int = "stability",
        max_clusters: int = 8,
        features: Sequence[str] | None = None,
        scaler: str | None = "auto",
        order_by: str | None = None,
        n_bootstraps: int = 20,
        max_samples: int = 2048,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.max_clusters = max_clusters
        self.features = features
        self.scaler = scaler
        self.order_by = order_by
        self.n_bootstraps = n_bootstraps
        self.max_samples = max_samples
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Choose the number of clusters and find them.

        Parameters
        ----------
        X : frame or array-like of shape (n_customers, n_features)
            Customer table, or a numeric matrix.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        MissingColumnError
            If the frame lacks a feature.
        InvalidDataError
            If a feature has a missing or infinite value, or there are too few different customers.

        Warns
        -----
        FitWarning
            If no number of clusters is stable.
        """
        return self._fit(X)

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit, and give the cluster of each customer.

        Parameters
        ----------
        X : frame or array-like of shape (n_customers, n_features)
            Customer table, or a numeric matrix.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_customers,)
            Clusters, int64, 0 first.
        """
        return self._fit(X).labels_

    def predict(self, X: Any) -> np.ndarray:
        """The cluster of each customer: the one with the nearest centre.

        Parameters
        ----------
        X : frame or array-like of shape (n_customers, n_features)
            Customer table with the features, or a numeric matrix.

        Returns
        -------
        ndarray of shape (n_customers,)
            Clusters, int64, 0 first.
        """
        check_is_fitted(self)
        return nearest(scale(self._matrix(X, reset=False), self.scaling_), self._centers)

    def profile_table(self) -> Any:
        """What sets each cluster apart, one row per cluster.

        Returns
        -------
        frame
            `cluster`, `n_customers`, `customer_share`, `stability`, `hint` (the features that differ from the
            rest by .8 standard deviations or more), and for each feature its `_mean`, `_median` and `_effect`,
            in the kind of frame that `fit` was given; pandas for a matrix.
        """
        check_is_fitted(self)
        names = [str(name) for name in self._feature_names()]
        profiles, untested = self.profiles_, np.full(self.n_clusters_, np.nan)
        columns = {
            "cluster": np.arange(self.n_clusters_),
            "n_customers": profiles["n_customers"],
            "customer_share": profiles["customer_share"],
            "stability": self.stability_.get(self.n_clusters_, untested),
            "hint": np.array(hints(profiles["effect"], names)),
        }
        for at, name in enumerate(names):
            columns |= {f"{name}_{figure}": profiles[figure][:, at] for figure in ("mean", "median", "effect")}
        return _frames.table(columns, self._kind)

    def _fit(self, X: Any) -> Self:
        check_params(self, self._rules)
        if self.n_clusters == "stability" and self.n_bootstraps == 0:
            raise ValueError('n_clusters="stability" needs n_bootstraps of at least 1. Got 0.')
        random = check_random_state(self.random_state)
        matrix = self._matrix(X, reset=True)
        first = self._first_feature()
        order = np.lexsort(matrix.T[::-1])
        ordered = matrix[order]
        if np.abs(ordered).max() > _LARGEST:
            raise InvalidDataError(f"Features above {_LARGEST} cannot be squared. Divide them by a unit first.")
        self.scaling_ = learn_scaling(ordered, self.scaler)
        Z = scale(ordered, self.scaling_)
        sampled = len(Z) > self.max_samples
        drawn = np.sort(random.choice(len(Z), self.max_samples, replace=False)) if sampled else np.arange(len(Z))
        sample, ordered_sample = Z[drawn], ordered[drawn]
        centers = {}
        self.stability_ = {}
        bootstraps = draws(len(sample), self.n_bootstraps, random)
        for k in self._candidates(sample):
            found, similarities = cluster_and_redraw(sample, k, bootstraps, random)
            rank = descending(ordered_sample, nearest(sample, found), k, first)
            centers[k] = found[rank]
            if bootstraps:
                self.stability_[k] = similarities[rank]
        self.n_clusters_ = self._choose(list(centers))
        self._finish(ordered, Z, centers[self.n_clusters_], sampled, first)
        self.labels_ = np.empty(len(Z), np.int64)
        self.labels_[order] = nearest(Z, self._centers)
        return self

    def _candidates(self, sample: np.ndarray) -> list[int]:
        distinct = n_distinct(sample)
        if self.n_clusters != "stability":
            if distinct < int(self.n_clusters):
                raise InvalidDataError(
                    f"CustomerClusterer cannot find {self.n_clusters} clusters among {distinct} different customers "
                    f"({len(sample):,} looked at). Lower n_clusters, or raise max_samples if there are more."
                )
            return [int(self.n_clusters)]
        if distinct < 2:
            raise InvalidDataError(
                f"CustomerClusterer found no differences: all {len(sample):,} customers looked at are alike in "
                f"{self._feature_names()}. Choose other features."
            )
        return list(range(2, max(2, min(self.max_clusters, distinct // 2)) + 1))

    def _choose(self, tried: list[int]) -> int:
        if self.n_clusters != "stability":
            return tried[0]
        k = most_stable(self.stability_)
        weakest = self.stability_[k].min()
        if weakest < STABLE:
            warn(
                f"No number of clusters from {tried[0]} to {tried[-1]} is stable: with {k}, the weakest cluster is "
                f"found again with a mean Jaccard similarity of {weakest:.2f} (stable from {STABLE}). Take the "
                "clusters as a description of these customers only, try other features, or set n_clusters.",
                FitWarning,
            )
        return k

    def _finish(self, X: np.ndarray, Z: np.ndarray, centers: np.ndarray, sampled: bool, first: int) -> None:
        k = len(centers)
        if sampled:  # all customers may order the clusters otherwise
            _, centers, labels = settle(Z, centers)
            rank = descending(X, labels, k, first)
            centers = centers[rank]
            self.stability_ |= {k: self.stability_[k][rank]} if self.stability_ else {}
        self._centers = centers
        self.cluster_centers_ = unscale(centers, self.scaling_)
        self.profiles_ = profile(X, Z, nearest(Z, centers), k)

    def _matrix(self, X: Any, *, reset: bool) -> np.ndarray:
        frame = _frames.read(X) if _frames.is_frame(X) else None
        if frame is not None and all(isinstance(name, str) for name in frame.columns):
            chosen = feature_columns(frame.columns, self.features)
            X = _frames.table({name: finite(frame, name, "CustomerClusterer") for name in chosen})
        elif self.features is not None:
            raise ValueError("The 'features' parameter names columns, but X is a matrix without column names.")
        if reset:
            self._kind = "pandas" if frame is None else _frames.kind(frame)
        return validate_data(self, X, dtype=np.float64, reset=reset, ensure_min_samples=2 if reset else 1)

    def _feature_names(self) -> list[Any]:
        return list(getattr(self, "feature_names_in_", [f"x{at}" for at in range(self.n_features_in_)]))

    def _first_feature(self) -> int:
        names = self._feature_names()
        if self.order_by is not None and self.order_by not in names:
            raise ValueError(
                f"The 'order_by' parameter of CustomerClusterer must be one of the features {names}. "
                f"Got {self.order_by!r} instead."
            )
        return len(names) - 1 if self.order_by is None else names.index(self.order_by)
