"""scikit-learn's own checks on the estimator that takes a numeric matrix."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from custanalytics.segmentation import CustomerClusterer


@pytest.mark.filterwarnings("ignore::custanalytics.exceptions.FitWarning")  # the checks' data have no clusters
@parametrize_with_checks(
    [
        CustomerClusterer(max_clusters=3, n_bootstraps=3),
        CustomerClusterer(n_clusters=2, n_bootstraps=0, scaler="standard"),
    ]
)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)
