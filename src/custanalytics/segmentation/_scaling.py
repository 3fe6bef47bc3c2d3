"""Bring features to one scale, on which distance means something, and back."""

from __future__ import annotations

import numpy as np

SKEWED = 1.0  # beyond this a distribution is commonly called highly skewed

Scaling = dict[str, np.ndarray]


def learn_scaling(X: np.ndarray, scaler: str | None) -> Scaling:
    """How to scale each column of X: its unit, whether its logarithm is taken, its centre and its spread.

    The unit makes the logarithm, and so the clusters, independent of currency and unit of time.
    """
    n_features = X.shape[1]
    scaling = {
        "unit": np.ones(n_features),
        "logged": np.zeros(n_features, dtype=bool),
        "center": np.zeros(n_features),
        "spread": np.ones(n_features),
    }
    if scaler is None:
        return scaling
    for at in range(n_features):
        column = X[:, at]
        peak = np.abs(column).max()
        scaling["unit"][at] = peak if peak > 0 else 1.0
        if scaler == "auto" and column.min() >= 0 and _skewness(column / scaling["unit"][at]) > SKEWED:
            scaling["unit"][at] = np.median(column[column > 0])
            scaling["logged"][at] = True
    Z = scale(X, scaling)
    varies = Z.min(axis=0) < Z.max(axis=0)  # a constant column says nothing, whatever rounding makes of its spread
    scaling["center"] = np.where(varies, Z.mean(axis=0), Z[0])
    scaling["spread"] = np.where(varies, Z.std(axis=0), 1.0)
    return scaling


def scale(X: np.ndarray, scaling: Scaling) -> np.ndarray:
    """X on the common scale: a new array of the same shape."""
    Z = X / scaling["unit"]
    logged = scaling["logged"]
    Z[:, logged] = np.copysign(np.log1p(np.abs(Z[:, logged])), Z[:, logged])
    return (Z - scaling["center"]) / scaling["spread"]


def unscale(Z: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Z in the original units: the inverse of `scale`."""
    X = Z * scaling["spread"] + scaling["center"]
    logged = scaling["logged"]
    X[:, logged] = np.copysign(np.expm1(np.abs(X[:, logged])), X[:, logged])
    return X * scaling["unit"]


def _skewness(column: np.ndarray) -> float:
    centred = column - column.mean()
    variance = np.mean(centred**2)
    return float(np.mean(centred**3) / variance**1.5) if variance > 0 else 0.0
