from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score

from custanalytics.exceptions import FitWarning, InvalidDataError, MissingColumnError
from custanalytics.segmentation import CustomerClusterer

RFM = ["inactivity", "frequency", "monetary_value"]


def customers(n: int = 400, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Three kinds of customers, far apart, and which is which: 0 the best."""
    random = np.random.default_rng(seed)
    truth = random.integers(3, size=n)
    table = pd.DataFrame(
        {
            "customer_id": [f"c{at}" for at in range(n)],
            "inactivity": np.array([10.0, 50.0, 90.0])[truth] + random.normal(0, 2, n),
            "frequency": np.array([45, 25, 10])[truth] + random.integers(-2, 3, n),
            "monetary_value": np.array([200.0, 120.0, 40.0])[truth] + random.normal(0, 4, n),
            "country": "NO",
        }
    )
    return table, truth


@pytest.fixture(scope="module")
def fitted() -> tuple[CustomerClusterer, pd.DataFrame, np.ndarray]:
    table, truth = customers()
    return CustomerClusterer(max_clusters=5, n_bootstraps=10).fit(table), table, truth


def test_clusters_far_apart_are_found_and_counted(fitted: tuple[CustomerClusterer, pd.DataFrame, np.ndarray]) -> None:
    clusterer, _, truth = fitted
    assert clusterer.n_clusters_ == 3
    assert np.array_equal(clusterer.labels_, truth)  # numbered by monetary_value, the highest first
    assert clusterer.labels_.dtype == np.int64
    assert clusterer.stability_[3].min() > 0.99
    assert sorted(clusterer.stability_) == [2, 3, 4, 5]
    assert all(similarities.shape == (k,) for k, similarities in clusterer.stability_.items())
    assert clusterer.feature_names_in_.tolist() == RFM


@pytest.mark.parametrize("n", [300, 1200])
def test_the_true_number_of_clusters_is_mostly_found(n: int) -> None:
    found = []
    for seed in range(6):
        random, k = np.random.default_rng(seed), 3 + seed % 3
        centers = np.array([[0.0, 0, 0], [7, 0, 0], [0, 8, 0], [0, 0, 9], [7, 8, 9]])[:k]
        truth = random.choice(k, n, p=random.dirichlet(np.full(k, 5.0)))
        X = centers[truth] + random.normal(size=(n, 3))
        clusterer = CustomerClusterer(max_clusters=7, scaler="standard", n_bootstraps=10).fit(X)
        found.append(clusterer.n_clusters_ == k and adjusted_rand_score(truth, clusterer.labels_) > 0.98)
    assert sum(found) >= 5


def test_predict_repeats_the_labels(fitted: tuple[CustomerClusterer, pd.DataFrame, np.ndarray]) -> None:
    clusterer, table, _ = fitted
    assert np.array_equal(clusterer.predict(table), clusterer.labels_)
    halves = [clusterer.predict(part) for part in (table.iloc[:33], table.iloc[33:])]
    assert np.array_equal(np.concatenate(halves), clusterer.labels_)
    assert np.array_equal(CustomerClusterer(n_clusters=3).fit_predict(table), clusterer.labels_)


def test_centres_lie_in_the_units_of_the_features(
    fitted: tuple[CustomerClusterer, pd.DataFrame, np.ndarray],
) -> None:
    clusterer, table, _ = fitted
    means = table.groupby(clusterer.labels_)[RFM].mean().to_numpy()
    assert clusterer.cluster_centers_ == pytest.approx(means, rel=0.05, abs=0.2)


def test_profiles_are_those_of_the_members(fitted: tuple[CustomerClusterer, pd.DataFrame, np.ndarray]) -> None:
    clusterer, table, truth = fitted
    found, members = clusterer.profile_table(), table[RFM].groupby(truth)
    assert found["cluster"].tolist() == [0, 1, 2]
    assert found["n_customers"].tolist() == members.size().tolist()
    assert found["customer_share"].sum() == pytest.approx(1)
    for name in RFM:
        assert found[f"{name}_mean"].to_numpy() == pytest.approx(members[name].mean().to_numpy())
        assert found[f"{name}_median"].to_numpy() == pytest.approx(members[name].median().to_numpy())
    assert found["frequency_effect"].iloc[2] < -0.8 < 0.8 < found["frequency_effect"].iloc[0]
    assert found["hint"].iloc[0].startswith("high ")
    assert "low inactivity" in found["hint"].iloc[0]


@settings(max_examples=15)
@given(st.integers(0, 2**16), st.sampled_from([30, 61]))
def test_shuffling_customers_changes_no_label(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    X = random.lognormal(0, 1, (n, 2)).round(1)
    order = random.permutation(n)
    clusterer = CustomerClusterer(n_clusters=3, n_bootstraps=3)
    assert np.array_equal(clone(clusterer).fit_predict(X)[order], clone(clusterer).fit_predict(X[order]))


@pytest.mark.parametrize("unit", [0.125, 4.0, 100.0])
def test_currency_and_unit_of_time_change_no_label(
    fitted: tuple[CustomerClusterer, pd.DataFrame, np.ndarray], unit: float
) -> None:
    clusterer, table, _ = fitted
    other = table.assign(monetary_value=table["monetary_value"] * unit, inactivity=table["inactivity"] / unit)
    assert np.array_equal(clone(clusterer).fit_predict(other), clusterer.labels_)


def test_the_same_seed_gives_the_same_bits() -> None:
    X = np.random.default_rng(0).normal(size=(300, 3))
    runs = [CustomerClusterer(n_clusters=4, n_bootstraps=5, random_state=3).fit(X) for _ in range(2)]
    assert np.array_equal(runs[0].cluster_centers_, runs[1].cluster_centers_)
    assert np.array_equal(runs[0].stability_[4], runs[1].stability_[4])
    assert np.array_equal(runs[0].labels_, runs[1].labels_)
    state = CustomerClusterer(n_clusters=4, n_bootstraps=5, random_state=np.random.RandomState(3)).fit(X)
    assert np.array_equal(state.labels_, runs[0].labels_)


def test_many_customers_are_sampled_and_all_are_labelled() -> None:
    table, truth = customers(3000)
    clusterer = CustomerClusterer(max_samples=200, max_clusters=4, n_bootstraps=5).fit(table)
    assert clusterer.n_clusters_ == 3
    assert np.array_equal(clusterer.labels_, truth)
    assert clusterer.profiles_["n_customers"].tolist() == np.bincount(truth).tolist()
    order = np.random.default_rng(1).permutation(3000)
    assert np.array_equal(clone(clusterer).fit_predict(table.iloc[order]), truth[order])


def test_sampling_gives_the_clusters_of_everyone() -> None:
    random = np.random.default_rng(5)
    X = np.vstack([random.normal(at, 1, (500, 2)) for at in (0, 2.5, 5)])
    everyone = CustomerClusterer(n_clusters=3, n_bootstraps=0).fit(X)
    sampled = CustomerClusterer(n_clusters=3, n_bootstraps=0, max_samples=150).fit(X)
    assert adjusted_rand_score(everyone.labels_, sampled.labels_) > 0.97
    assert sampled.cluster_centers_ == pytest.approx(everyone.cluster_centers_, abs=0.1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_samples", [100, 2000])
def test_stability_stays_with_its_cluster(seed: int, max_samples: int) -> None:
    random = np.random.default_rng(seed)
    X = np.vstack([random.normal(0, 1, (500, 2)), random.normal(50, 0.01, (250, 2))])
    X[:, 1] = random.normal(0, 0.1, 750)  # numbers the clusters, and tells them apart by nothing but chance
    clusterer = CustomerClusterer(n_clusters=3, n_bootstraps=10, max_samples=max_samples, scaler=None).fit(X)
    apart = int(np.argmax(clusterer.cluster_centers_[:, 0]))
    assert clusterer.stability_[3][apart] == 1.0
    assert np.delete(clusterer.stability_[3], apart).max() < 1.0
    assert clusterer.profile_table()["x1_mean"].is_monotonic_decreasing


def test_clusters_are_numbered_by_the_feature_asked_for(
    fitted: tuple[CustomerClusterer, pd.DataFrame, np.ndarray],
) -> None:
    _, table, truth = fitted
    clusterer = CustomerClusterer(n_clusters=3, order_by="inactivity", n_bootstraps=0).fit(table)
    assert np.array_equal(clusterer.labels_, 2 - truth)
    assert np.all(np.diff(clusterer.profiles_["mean"][:, 0]) < 0)
    assert clusterer.stability_ == {}
    assert clusterer.profile_table()["stability"].isna().all()


def test_features_are_chosen_by_name_whatever_their_order(
    fitted: tuple[CustomerClusterer, pd.DataFrame, np.ndarray],
) -> None:
    clusterer, table, _ = fitted
    assert np.array_equal(clusterer.predict(table[table.columns[::-1]]), clusterer.labels_)
    two = CustomerClusterer(n_clusters=3, features=["frequency", "inactivity"], n_bootstraps=0).fit(table)
    assert two.feature_names_in_.tolist() == ["frequency", "inactivity"]
    assert np.array_equal(two.predict(table), two.labels_)
    every = CustomerClusterer(n_clusters=2, n_bootstraps=0).fit(table[["frequency", "inactivity"]])
    assert every.n_features_in_ == 2


def test_a_matrix_and_a_frame_agree(fitted: tuple[CustomerClusterer, pd.DataFrame, np.ndarray]) -> None:
    clusterer, table, _ = fitted
    matrix = clone(clusterer).fit(table[RFM].to_numpy(float))
    assert np.array_equal(matrix.labels_, clusterer.labels_)
    assert "x2_mean" in matrix.profile_table().columns
    unnamed = clone(clusterer).fit(pd.DataFrame(table[RFM].to_numpy(float)))
    assert np.array_equal(unnamed.labels_, clusterer.labels_)


def test_any_library_gives_the_same(
    fitted: tuple[CustomerClusterer, pd.DataFrame, np.ndarray], to_frame: Callable[[pd.DataFrame], Any]
) -> None:
    clusterer, table, _ = fitted
    other = clone(clusterer).fit(to_frame(table))
    assert np.array_equal(other.labels_, clusterer.labels_)
    assert np.array_equal(other.predict(to_frame(table)), clusterer.labels_)
    profiles = other.profile_table()
    assert type(profiles) is type(to_frame(table))
    found = nw.from_native(profiles).to_pandas()
    pd.testing.assert_frame_equal(found, clusterer.profile_table(), check_dtype=False)


def test_a_lazy_frame_is_collected(fitted: tuple[CustomerClusterer, pd.DataFrame, np.ndarray]) -> None:
    clusterer, table, _ = fitted
    assert np.array_equal(clusterer.predict(pl.from_pandas(table).lazy()), clusterer.labels_)


def test_it_pickles_and_leaves_the_table_alone() -> None:
    table, _ = customers(60)
    before = table.copy(deep=True)
    clusterer = CustomerClusterer(n_clusters=3, n_bootstraps=2).fit(table)
    again = pickle.loads(pickle.dumps(clusterer))
    assert np.array_equal(again.predict(table), clusterer.labels_)
    pd.testing.assert_frame_equal(again.profile_table(), clusterer.profile_table())
    pd.testing.assert_frame_equal(table, before)
    with pytest.raises(NotFittedError):
        clone(clusterer).predict(table)
    with pytest.raises(NotFittedError):
        clone(clusterer).profile_table()


def test_one_cluster_holds_everyone() -> None:
    table, _ = customers(30)
    clusterer = CustomerClusterer(n_clusters=1, n_bootstraps=2).fit(table)
    assert clusterer.labels_.tolist() == [0] * 30
    assert np.isnan(clusterer.profiles_["effect"]).all()
    assert clusterer.profile_table()["hint"].tolist() == ["average"]


def test_a_constant_feature_changes_nothing(fitted: tuple[CustomerClusterer, pd.DataFrame, np.ndarray]) -> None:
    clusterer, table, _ = fitted
    more = CustomerClusterer(max_clusters=5, n_bootstraps=10, features=["T", *RFM]).fit(table.assign(T=0.1))
    assert np.array_equal(more.labels_, clusterer.labels_)
    assert np.isnan(more.profiles_["effect"][:, 0]).all()


def test_a_cloud_is_not_called_stable() -> None:
    X = np.random.default_rng(0).normal(size=(300, 3))
    with pytest.warns(
        FitWarning, match="No number of clusters from 2 to 4 is stable: with .* Jaccard similarity of 0."
    ):
        clusterer = CustomerClusterer(max_clusters=4, n_bootstraps=10).fit(X)
    weakest = {k: similarities.min() for k, similarities in clusterer.stability_.items()}
    assert weakest[clusterer.n_clusters_] == max(weakest.values())


@pytest.mark.parametrize("method", ["fit", "fit_predict"])
def test_the_warning_points_at_the_caller(method: str) -> None:
    X = np.random.default_rng(0).normal(size=(100, 3))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(CustomerClusterer(max_clusters=3, n_bootstraps=5), method)(X)
    assert [(each.category, each.filename) for each in caught] == [(FitWarning, __file__)]


def test_fewer_different_customers_than_clusters() -> None:
    table, _ = customers(4)
    doubled = pd.concat([table, table])
    with pytest.raises(
        InvalidDataError, match=r"cannot find 5 clusters among 4 different customers \(8 looked at\). Lower"
    ):
        CustomerClusterer(n_clusters=5).fit(doubled)
    with pytest.raises(InvalidDataError, match=r"all 3 customers looked at are alike in \['inactivity', 'freq"):
        CustomerClusterer().fit(table.iloc[[0, 0, 0]])
    with pytest.raises(ValueError, match="minimum of 2 is required by CustomerClusterer"):
        CustomerClusterer().fit(table.iloc[:1])
    with pytest.raises(ValueError, match="0 sample"):
        CustomerClusterer().fit(table.iloc[:0])


@pytest.mark.parametrize("size", [1e-150, 1e130])
def test_huge_and_tiny_features(size: float) -> None:
    table, truth = customers(60)
    clusterer = CustomerClusterer(n_clusters=3, n_bootstraps=2).fit(table[RFM].to_numpy(float) * size)
    assert np.array_equal(clusterer.labels_, truth)


def test_two_different_customers_are_two_clusters() -> None:
    table, _ = customers(4)
    two = table.iloc[[0, 0, 0, 0, 1, 1, 1, 1]]
    clusterer = CustomerClusterer(n_clusters=2, n_bootstraps=2).fit(two)
    assert len(set(clusterer.labels_[:4])) == len(set(clusterer.labels_[4:])) == 1
    assert set(clusterer.labels_) == {0, 1}


def test_messages() -> None:
    table, _ = customers(20)
    with pytest.raises(ValueError, match="'n_clusters' parameter of CustomerClusterer must be a str among"):
        CustomerClusterer(n_clusters="gap").fit(table)
    with pytest.raises(ValueError, match='n_clusters="stability" needs n_bootstraps of at least 1'):
        CustomerClusterer(n_bootstraps=0).fit(table)
    with pytest.raises(ValueError, match=r"'order_by' parameter .* must be one of the features .* Got 'T'"):
        CustomerClusterer(order_by="T").fit(table)
    with pytest.raises(ValueError, match="'features' parameter names columns, but X is a matrix"):
        CustomerClusterer(features=["T"]).fit(table[RFM].to_numpy(float))
    with pytest.raises(MissingColumnError, match=r"needs the columns \['frequency'\].*features=\[...\]"):
        CustomerClusterer().fit(table.drop(columns="frequency"))
    with pytest.raises(InvalidDataError, match="'country' must be numeric"):
        CustomerClusterer(features=["country"]).fit(table)
    holes = table.assign(monetary_value=table["monetary_value"].mask(table.index == 3))
    with pytest.raises(
        InvalidDataError, match=r"1 of 20 customers have a missing or infinite monetary_value \(first: c3"
    ):
        CustomerClusterer().fit(holes)
    with pytest.raises(InvalidDataError, match=r"Features above 1e\+140 cannot be squared"):
        CustomerClusterer(n_clusters=2).fit([[1e308, 1.0], [-1e308, 2.0]])
