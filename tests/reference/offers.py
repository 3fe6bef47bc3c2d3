"""Slow and plain: decayed baskets in dictionaries, EASE as one ridge regression per item, top k by sorting."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np

DAYS = {"h": 1 / 24, "D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}


def decayed_baskets(
    rows: Sequence[dict[str, Any]], as_of: date, half_life: float, time_unit: str
) -> tuple[dict[Any, float], dict[Any, dict[Any, float]], dict[Any, int], dict[Any, float]]:
    """Baskets of each customer, those with each product, baskets of each product undecayed, mean line amounts."""
    end = datetime.combine(as_of, time()) + timedelta(days=1)
    baskets: dict[Any, list[dict[str, Any]]] = {}
    lines: dict[Any, list[float]] = {}
    for row in rows:
        if row["amount"] < 0 or row.get("quantity", 1) < 0 or row["timestamp"] >= end:
            continue
        key = (row["customer_id"], row.get("order_id", row["timestamp"].date()))
        baskets.setdefault(key, []).append(row)
        lines.setdefault(row["product_id"], []).append(row["amount"])
    total: dict[Any, float] = {}
    held: dict[Any, dict[Any, float]] = {}
    popular: dict[Any, int] = {}
    for (customer, _), basket in baskets.items():
        age = (end - max(row["timestamp"] for row in basket)).total_seconds() / 86400
        weight = 0.5 ** (age / DAYS[time_unit] / half_life)
        total[customer] = total.get(customer, 0.0) + weight
        for product in {row["product_id"] for row in basket}:
            mine = held.setdefault(customer, {})
            mine[product] = mine.get(product, 0.0) + weight
            popular[product] = popular.get(product, 0) + 1
    return total, held, popular, {product: sum(amounts) / len(amounts) for product, amounts in lines.items()}


def ease_by_regressions(rows: np.ndarray, penalty: float) -> np.ndarray:
    """Column j: the ridge regression of item j on all other items; 0 at j itself."""
    n = rows.shape[1]
    weights = np.zeros((n, n))
    for j in range(n):
        others = [i for i in range(n) if i != j]
        if others:
            x = rows[:, others]
            weights[others, j] = np.linalg.solve(x.T @ x + penalty * np.eye(n - 1), x.T @ rows[:, j])
    return weights


def propensities(
    total: dict[Any, float],
    held: dict[Any, dict[Any, float]],
    customers: Sequence[Any],
    offers: Sequence[Any],
    *,
    prior_baskets: float,
    blend: float,
    regularization: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dense propensities (customers, offers), popularity and item weights; unknown customers have no baskets."""
    known = sorted(total)
    share = np.array([[held.get(u, {}).get(i, 0.0) / total[u] for i in offers] for u in known])
    trust = np.array([total[u] / (total[u] + prior_baskets) for u in known])
    popularity = (trust[:, None] * share).sum(0) / trust.sum()
    rows = trust[:, None] * (share - popularity)
    average = (rows**2).sum() / rows.size
    if (rows**2).sum() <= 1e-8 * ((trust[:, None] * share) ** 2).sum():  # no tastes to learn from
        weights = np.zeros((len(offers), len(offers)))
    else:
        weights = ease_by_regressions(rows, regularization * average)
    place = {u: at for at, u in enumerate(known)}
    out = np.empty((len(customers), len(offers)))
    for at, customer in enumerate(customers):
        n = total.get(customer, 0.0)
        mine = rows[place[customer]] if customer in place else np.zeros(len(offers))
        prior = np.clip(popularity + blend * mine @ weights, 0, 1)
        own = np.array([held.get(customer, {}).get(i, 0.0) for i in offers])
        out[at] = (own + prior_baskets * prior) / (n + prior_baskets)
    return out, popularity, weights


def top_k(propensity: np.ndarray, value: np.ndarray, allowed: np.ndarray, k: int) -> list[list[int]]:
    """Offers of each row: by priority, then propensity, both descending, then by position."""
    return [
        sorted(
            (i for i in range(value.size) if allowed[u, i]),
            key=lambda i: (-propensity[u, i] * value[i], -propensity[u, i], i),
        )[:k]
        for u in range(propensity.shape[0])
    ]
