"""NumPy: the best k eligible offers per customer, by sorting the dense matrix of priorities."""

from __future__ import annotations

import numpy as np

from custanalytics.offers import NextBestOffer


def best(model: NextBestOffer, eligible: np.ndarray, k: int) -> np.ndarray:
    """Positions of the offers, best first, -1 where there are fewer: shape (n_customers, k)."""
    strength = model.baskets_ / (model.baskets_ + model.prior_baskets)
    shares = model.basket_counts_.toarray() / model.baskets_[:, None]
    moved = model.blend * ((strength[:, None] * (shares - model.popularity_)) @ model.item_weights_)
    prior = np.clip(model.popularity_ + moved, 0.0, 1.0)
    counts = model.basket_counts_.toarray()
    propensity = (counts + model.prior_baskets * prior) / (model.baskets_[:, None] + model.prior_baskets)
    priority = np.where(eligible, propensity * model.offer_values_, -np.inf)
    top = np.argsort(-priority, axis=1, kind="stable")[:, :k]
    return np.where(np.isfinite(np.take_along_axis(priority, top, axis=1)), top, -1)
