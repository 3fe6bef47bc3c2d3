"""BG/NBD by `lifetimes` 0.11.3: the fit, and alive, expected purchases and a year's value."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

MEAN_SPEND = 35.0  # value of a purchase, the same for everybody: the models of spend are not compared here
MONTHS = 12
WEEKS_PER_MONTH = 4.345  # what lifetimes takes a month to be
HORIZON = MONTHS * WEEKS_PER_MONTH


def fit_bg_nbd(table: pd.DataFrame) -> dict[str, float]:
    """Parameters from the default start, without a penalty."""
    fitter = _fitter()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        fitter.fit(table["frequency"], table["recency"], table["T"])
    return {name: float(fitter.params_[name]) for name in ("r", "alpha", "a", "b")}


def fit_pareto_nbd(table: pd.DataFrame) -> dict[str, float]:
    """Parameters of the Pareto/NBD from a random start that is always the same, without a penalty.

    The start takes it .35 to .56 s on CDNOW, and from some starts it ends elsewhere; this one is in the middle.
    """
    np.random.seed(0)  # noqa: NPY002  lifetimes draws from NumPy's global state
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        from lifetimes import ParetoNBDFitter

        fitter = ParetoNBDFitter(penalizer_coef=0.0)
        fitter.fit(table["frequency"], table["recency"], table["T"])
    return {name: float(fitter.params_[name]) for name in ("r", "alpha", "s", "beta")}


def score_bg_nbd(params: Mapping[str, float], table: pd.DataFrame, discount: float = 0.0) -> dict[str, np.ndarray]:
    """P(alive), purchases in `HORIZON` weeks, and their value at a yearly discount rate, taken month by month."""
    fitter = _fitter()
    fitter.params_ = pd.Series(dict(params))
    fitter.predict = fitter.conditional_expected_number_of_purchases_up_to_time
    columns = table["frequency"], table["recency"], table["T"]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        alive = fitter.conditional_probability_alive(*columns)
        expected = fitter.predict(HORIZON, *columns)
        value = fitter_value(fitter, columns, discount, len(table))
    return {"alive": np.asarray(alive), "expected": np.asarray(expected), "value": value}


def fitter_value(fitter: Any, columns: Any, discount: float, n: int) -> np.ndarray:
    """The library's own sum over months."""
    from lifetimes.utils import _customer_lifetime_value

    monthly = (1.0 + discount) ** (1.0 / MONTHS) - 1.0
    spend = pd.Series(MEAN_SPEND, index=columns[0].index)
    value = _customer_lifetime_value(fitter, *columns, spend, time=MONTHS, discount_rate=monthly, freq="W")
    return value.to_numpy()


def _fitter() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import BetaGeoFitter
    return BetaGeoFitter(penalizer_coef=0.0)
