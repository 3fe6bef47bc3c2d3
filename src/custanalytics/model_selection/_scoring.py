"""Scores over customers and origins, their differences between models, and what the errors are by group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from custanalytics import _frames
from custanalytics._columns import CUSTOMER_ID, FREQUENCY
from custanalytics.model_selection._forecasts import Forecast
from custanalytics.model_selection._origins import Origin

MEANS = ("log_score", "crps", "mae", "rmse")  # means over customers (rmse: of squares, and then the root)
SCORES = (*MEANS, "gini")
LARGER_IS_BETTER = ("log_score", "gini")
MEASURED = {"log_score": "log_score", "crps": "crps", "mae": "absolute_error", "rmse": "squared_error"}


class Pool:
    """The forecasts of one model at all origins, one after the other, an element per customer and origin."""

    def __init__(self, pairs: Sequence[tuple[Origin, Forecast]]) -> None:
        self.came = np.concatenate([origin.came for origin, _ in pairs])
        self.expected = np.concatenate([each.expected for _, each in pairs])
        error = self.expected - self.came
        self.parts = {
            "log_score": np.concatenate([each.log_score for _, each in pairs]),
            "crps": np.concatenate([each.crps for _, each in pairs]),
            "mae": np.abs(error),
            "rmse": np.square(error),
        }

    def scores(self) -> dict[str, float]:
        """All scores, and the totals."""
        found = {name: float(part.mean()) for name, part in self.parts.items()}
        predicted, actual = float(self.expected.sum()), float(self.came.sum())
        return {
            **found,
            "rmse": float(np.sqrt(found["rmse"])),
            "gini": normalized_gini(self.came, self.expected),
            "predicted": predicted,
            "actual": actual,
            "predicted_to_actual": predicted / actual if actual else np.nan,
        }


def normalized_gini(came: np.ndarray, expected: np.ndarray) -> float:
    """How much of the best possible order the expected counts give; NaN where all counts are equal."""
    best = _gini(came, came)
    return _gini(came, expected) / best if best > 0 else np.nan


def _gini(came: np.ndarray, score: np.ndarray) -> float:
    """Twice the area between the curve of gains and its diagonal, ties in no order."""
    _, codes, counts = np.unique(-score, return_inverse=True, return_counts=True)
    total = came.sum()
    if total == 0 or counts.size == 1:
        return 0.0
    gain = np.concatenate([[0.0], np.cumsum(np.bincount(codes, came)) / total])
    return float(np.sum(counts / came.size * (gain[1:] + gain[:-1])) - 1.0)


def ranked(found: dict[str, dict[str, float]], by: str) -> list[str]:
    """Names of the models, the best first; those without the score last, by their squared error."""

    def key(name: str) -> tuple[bool, float, float]:
        value = found[name][by]
        lost = -value if by in LARGER_IS_BETTER else value
        return bool(np.isnan(value)), 0.0 if np.isnan(value) else lost, found[name]["rmse"]

    return sorted(found, key=key)


def who(origins: Iterable[Origin]) -> np.ndarray:
    """A number for each customer, the same at every origin: an element per customer and origin."""
    numbers: dict[Any, int] = {}
    found = []
    for origin in origins:
        named = CUSTOMER_ID in origin.frame.columns
        ids = origin.frame[CUSTOMER_ID].to_list() if named else range(len(origin.frame))
        found.append(np.fromiter((numbers.setdefault(each, len(numbers)) for each in ids), np.int64, len(ids)))
    return np.concatenate(found)


def paired(loss: np.ndarray, customers: np.ndarray) -> tuple[float, float]:
    """Mean of a difference and its standard error over customers, whose rows are taken together."""
    mean = float(loss.mean())
    counts = np.bincount(customers)
    counts, sums = counts[counts > 0], np.bincount(customers, loss)[counts > 0]
    if counts.size < 2 or not np.isfinite(mean):
        return mean, np.nan
    spread = float(np.square(sums - mean * counts).sum()) * counts.size / (counts.size - 1)
    return mean, float(np.sqrt(spread)) / loss.size


def differences(pools: dict[str, Pool], order: Sequence[str], customers: np.ndarray) -> list[dict[str, Any]]:
    """How much worse each model is than each one before it, by the scores that are means over customers."""
    found = []
    for score in MEANS:
        sign = -1.0 if score in LARGER_IS_BETTER else 1.0
        for at, name in enumerate(order):
            for better in order[:at]:
                with np.errstate(invalid="ignore"):  # of two infinite scores there is no difference
                    loss = sign * (pools[name].parts[score] - pools[better].parts[score])
                gap, error = paired(loss, customers)
                found.append(
                    {
                        "score": MEASURED[score],
                        "model": name,
                        "better": better,
                        "difference": gap,
                        "standard_error": error,
                    }
                )
    return found


def groups(name: str, origin: Origin, forecast: Forecast, max_frequency: int) -> dict[str, np.ndarray]:
    """Expected and actual means by number of purchases before the holdout, groups without customers left out."""
    before = _frames.floats(origin.frame, FREQUENCY)
    group = np.minimum(before, max_frequency)
    labels, codes, counts = np.unique(group, return_inverse=True, return_counts=True)
    expected, actual = (np.bincount(codes, each) / counts for each in (forecast.expected, origin.came))
    error = origin.came - forecast.expected
    around = np.bincount(codes, np.square(error - (actual - expected)[codes]))
    spread = np.sqrt(around / np.where(counts > 1, counts - 1, np.nan) / counts)
    more = (before > max_frequency).any()
    words = [f"{int(label)}+" if more and label == max_frequency else f"{label:g}" for label in labels]
    return {
        "origin": np.full(counts.size, origin.name),
        "model": np.full(counts.size, name),
        "frequency": labels.astype(np.int64),
        "label": np.array(words),
        "n_customers": counts,
        "expected": expected,
        "actual": actual,
        "standard_error": spread,
    }
