"""The kernels and helpers under CustomerClusterer, against plain Python and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from tests.reference import segmentation as reference

from custanalytics import _jit
from custanalytics.segmentation._kernels import furthest
from custanalytics.segmentation._profiles import hints, standardised_difference
from custanalytics.segmentation._scaling import learn_scaling, scale, unscale
from custanalytics.segmentation._stability import (
    cluster_and_redraw,
    draws,
    jaccard_maxima,
    k_means,
    most_stable,
    n_distinct,
    nearest,
    settle,
)

grids = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(st.integers(-4, 4), min_size=width, max_size=width), min_size=2, max_size=25)
)


@given(grids, st.integers(1, 4))
def test_lloyd_is_that_of_the_reference(rows: list[list[int]], k: int) -> None:
    Z = np.array(rows, float)
    starts = Z[np.arange(k) % len(Z)] + np.arange(k)[:, None] * 0.1
    inertia, centers, labels = settle(Z, starts)
    wanted, wanted_labels = reference.settle(Z.tolist(), starts.tolist())
    assert sum(np.sum((Z - centers[labels]) ** 2, axis=1)) == pytest.approx(inertia)
    assert np.array_equal(nearest(Z, centers), labels)
    if np.unique(Z, axis=0).shape[0] > 6:  # the iteration stops within its tolerance, the reference at rest
        wanted_inertia = np.sum((Z - np.array(wanted)[wanted_labels]) ** 2)
        assert inertia >= wanted_inertia - 1e-9
        assert inertia <= wanted_inertia * 1.25 + 1e-9


@given(grids, st.integers(1, 5))
def test_the_nearest_centre_is_the_first_of_equals(rows: list[list[int]], k: int) -> None:
    Z = np.array(rows, float)
    centers = Z[np.arange(k) % len(Z)]
    assert nearest(Z, centers).tolist() == reference.nearest(Z.tolist(), centers.tolist())


def blobs(n: int, centers: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(len(centers), size=n)
    return centers[truth] + random.normal(size=(n, centers.shape[1])), truth


def test_lloyd_ends_where_that_of_scikit_learn_does() -> None:
    Z, _ = blobs(2000, np.array([[0.0, 0, 0], [3, 0, 0], [0, 3, 0], [2, 2, 2]]))
    starts = Z[:4]
    theirs = KMeans(4, init=starts, n_init=1, tol=1e-4, algorithm="lloyd").fit(Z)
    inertia, centers, labels = settle(Z, starts)
    assert np.mean(labels == theirs.labels_) > 0.995
    assert inertia == pytest.approx(theirs.inertia_, rel=1e-4)
    assert centers == pytest.approx(theirs.cluster_centers_, abs=0.05)


def test_an_empty_cluster_takes_the_row_furthest_off() -> None:
    Z = np.array([[0.0], [1.0], [2.0], [50.0]])
    _, centers, labels = settle(Z, np.array([[1.0], [1000.0]]))
    assert labels.tolist() == [0, 0, 0, 1]
    assert centers.ravel().tolist() == [1.0, 50.0]
    assert furthest(Z, np.array([[1.0]]), np.zeros(4, np.int64)) == 3


def test_threads_change_no_label() -> None:
    Z, _ = blobs(3 * _jit.SLICE + 7, np.array([[0.0, 0], [3, 0], [0, 3]]))
    centers = Z[:3]
    with _jit.threads(1):
        alone = nearest(Z, centers)
    with _jit.threads(4):
        assert np.array_equal(nearest(Z, centers), alone)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_jaccard_maxima_are_those_of_sets(pairs: list[tuple[int, int]]) -> None:
    labels, found = (np.array(side) for side in zip(*pairs, strict=True))
    wanted = reference.jaccard_maxima(labels.tolist(), found.tolist(), 4)
    assert jaccard_maxima(labels, found, 4).tolist() == pytest.approx(wanted)


def test_clusters_far_apart_are_always_found_again_and_halves_of_one_are_not() -> None:
    Z, _ = blobs(400, np.array([[0.0, 0], [20, 0], [0, 20]]))
    random = np.random.RandomState(0)
    samples = draws(len(Z), 10, random)
    assert cluster_and_redraw(Z, 3, samples, random)[1].tolist() == [1.0, 1.0, 1.0]
    assert cluster_and_redraw(Z, 5, samples, random)[1].min() < 0.75
    assert cluster_and_redraw(Z, 2, samples, random)[1].shape == (2,)


def test_too_few_different_rows_find_nothing_again() -> None:
    Z = np.array([[0.0], [0.0], [1.0]])
    _, similarities = cluster_and_redraw(Z, 2, [np.array([0, 1])], np.random.RandomState(0))
    assert similarities.tolist() == [0.0, 0.0]
    _, untested = cluster_and_redraw(Z, 2, [], np.random.RandomState(0))
    assert np.isnan(untested).all()
    assert n_distinct(Z) == 2


def test_bootstrap_samples_hold_two_thirds_of_the_rows_once_each() -> None:
    samples = draws(1000, 50, np.random.RandomState(0))
    assert all(np.all(np.diff(rows) > 0) for rows in samples)
    assert np.mean([rows.size for rows in samples]) == pytest.approx(1000 * (1 - np.exp(-1)), rel=0.01)


def test_the_largest_of_the_most_stable_numbers_wins() -> None:
    best, near, far = np.array([0.99, 0.9]), np.array([0.88, 1.0, 0.881]), np.array([1.0, 1.0, 1.0, 0.879])
    assert most_stable({2: best, 3: near, 4: far}) == 3
    assert most_stable({2: far, 3: best, 4: far}) == 3
    assert most_stable({2: np.array([0.5, 0.3]), 3: np.array([0.4, 0.2, 0.2])}) == 2


def test_more_starts_are_never_worse() -> None:
    Z, _ = blobs(300, np.random.default_rng(1).normal(scale=6, size=(8, 2)))
    one, many = (k_means(Z, 8, n_starts, np.random.RandomState(0))[0] for n_starts in (1, 8))
    assert many <= one


@pytest.mark.parametrize("scaler", ["auto", "standard", None])
@pytest.mark.parametrize("size", [1e-150, 1.0, 1e150])
def test_scaling_goes_there_and_back(scaler: str | None, size: float) -> None:
    random = np.random.default_rng(0)
    X = np.column_stack([random.lognormal(0, 1.5, 200), random.normal(size=200), np.full(200, 0.1)]) * size
    scaling = learn_scaling(X, scaler)
    Z = scale(X, scaling)
    assert unscale(Z, scaling) == pytest.approx(X, rel=1e-9, abs=1e-12 * size)
    assert scaling["logged"].tolist() == [scaler == "auto", False, False]
    if scaler is not None:
        assert Z.mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-12)
        assert Z.std(axis=0) == pytest.approx([1, 1, 0], abs=1e-12)
        assert np.all(Z[:, 2] == 0)


def test_the_unit_of_a_feature_does_not_matter() -> None:
    X = np.random.default_rng(0).lognormal(0, 1.5, (200, 2))
    euros, cents = X, X * [100.0, 1 / 7]
    wanted = scale(euros, learn_scaling(euros, "auto"))
    assert scale(cents, learn_scaling(cents, "auto")) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_a_negative_value_never_seen_is_scaled_too() -> None:
    X = np.random.default_rng(0).lognormal(0, 1.5, (200, 1))
    scaling = learn_scaling(X, "auto")
    assert scaling["logged"][0]
    Z = scale(np.array([[-1.0], [0.0], [1.0]]), scaling).ravel()
    assert Z[1] - Z[0] == pytest.approx(Z[2] - Z[1])


def test_standardised_differences() -> None:
    random = np.random.default_rng(0)
    inside, outside = random.normal(2, 1, (30, 2)), random.normal(0, 1, (50, 2))
    wanted = [reference.standardised_difference(inside[:, at], outside[:, at]) for at in range(2)]
    assert standardised_difference(inside, outside) == pytest.approx(wanted)
    assert np.isnan(standardised_difference(np.full((7, 1), 0.1), np.full((5, 1), 0.1))).all()
    assert np.isnan(standardised_difference(np.full((7, 1), 0.1), np.full((5, 1), 0.7))).all()


def test_hints_name_the_largest_differences_first() -> None:
    effects = np.array([[0.9, -2.0, np.nan], [0.1, 0.79, -0.2]])
    assert hints(effects, ["a", "b", "c"]) == ["low b, high a", "average"]
