"""What the purchase of each offer is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from custanalytics._params import offenders


def offer_values(value: Any, offers: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The value of each offer: given, or else the mean amount of its lines: shape (n_offers,)."""
    if value is None:
        return means
    if isinstance(value, Mapping):
        absent = np.array([offer not in value for offer in offers.tolist()])
        if absent.any():
            raise ValueError(
                offenders(absent, offers, "have no value in the 'value' mapping of NextBestOffer", "offers")
                + ". Give each one a value, 0 if need be."
            )
        values = np.array([value[offer] for offer in offers.tolist()], np.float64)
    else:
        values = np.asarray(value, np.float64)
    if values.shape != offers.shape:
        raise ValueError(
            f"The 'value' array of NextBestOffer must have the shape (n_offers,) = {offers.shape}, in the "
            f"order of offers_; got {values.shape}. A mapping from product to value needs no order."
        )
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        raise ValueError(
            offenders(bad, offers, "have a 'value' that is negative or not finite", "offers")
            + ". What should never be offered goes into the 'exclude' argument of recommend."
        )
    return values
