"""How many purchases a new customer makes, in the families of the BG/NBD."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from custanalytics._params import Number, check_value, integer

OWNER = "probability_of_purchases"


def check_counts(n: ArrayLike) -> np.ndarray:
    """Numbers of purchases as float64: whole, 0 or more."""
    counts = np.asarray(n)
    for count in counts.ravel()[:1] if counts.size == 0 else (counts.min(), counts.max()):
        check_value("n", count, (integer(0),), OWNER)
    return counts.astype(np.float64)


def event_share(alpha: float, horizon: float) -> float:
    """The share of the negative binomial number of events before the horizon."""
    check_value("horizon", horizon, (Number(0),), OWNER)
    return 1.0 if np.isinf(horizon) else float(horizon) / (alpha + float(horizon))


def negative_binomial(events: np.ndarray, r: float, share: float) -> np.ndarray:
    """P(events), with shape r and probability `share`: 0 for all of them where the share is 1."""
    with np.errstate(divide="ignore"):
        powers = special.xlogy(events, share) + special.xlog1py(r, -share)
    return np.exp(special.gammaln(r + events) - special.gammaln(r) - special.gammaln(events + 1.0) + powers)


def chance_of_counts(n: ArrayLike, horizon: float, k: int, chances: int, theta: np.ndarray) -> Any:
    """P(X(horizon) = n) where every k-th event is a purchase, and `chances` tosses come before the first repeat."""
    r, alpha, a, b = theta
    counts, share = check_counts(n), event_share(alpha, horizon)
    tosses = counts + chances
    stayed = np.exp(special.betaln(a, b + tosses) - special.betaln(a, b))
    exactly = sum(negative_binomial(counts * k + j, r, share) for j in range(k))
    first = np.maximum(counts * k, 1.0)
    at_least = np.where(counts > 0, special.betainc(first, r, share), 1.0)
    left = stayed * a / np.maximum(b + tosses - 1.0, 1e-300) * at_least
    result = np.minimum(stayed * exactly + np.where(tosses > 0, left, 0.0), 1.0)  # not more, by rounding
    return result if result.ndim else float(result)
