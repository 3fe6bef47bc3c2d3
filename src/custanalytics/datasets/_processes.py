"""Draws of who buys when, for how long and what for: the generative side of the buy-till-you-die models."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# A dropout probability below this acts within no feasible number of purchases, and counts of purchases until
# dropout stay within the 64 bits that the binomial draw takes.
LEAST_DROPOUT = 1e-12
CHUNK = 1 << 14


class Careers(NamedTuple):
    """Customers' traits and their purchases; those of one customer are adjacent, in no order but for the first."""

    rate: np.ndarray  # (n_customers,) purchases per time unit while alive
    dropout: np.ndarray  # (n_customers,) rate per time unit, or probability after a repeat purchase
    lifetime: np.ndarray  # (n_customers,) from the first purchase to dropout
    starts: np.ndarray  # (n_customers + 1,) bounds of each customer's purchases
    times: np.ndarray  # (n_purchases,) since the customer's first purchase, which is at 0


def pareto_nbd(rng: np.random.Generator, window: np.ndarray, r: float, alpha: float, s: float, beta: float) -> Careers:
    """Purchases at a constant rate until an exponential lifetime ends; both rates are gamma distributed."""
    rate = rng.standard_gamma(r, window.size) / alpha
    dropout = rng.standard_gamma(s, window.size) / beta
    with np.errstate(divide="ignore", over="ignore"):  # a rate next to 0 never drops out
        lifetime = rng.standard_exponential(window.size) / dropout
    span = np.minimum(lifetime, window)
    starts, times = _scatter(rng, rng.poisson(rate * span), span)
    return Careers(rate, dropout, lifetime, starts, times)


def bg_nbd(rng: np.random.Generator, window: np.ndarray, r: float, alpha: float, a: float, b: float) -> Careers:
    """Purchases at a gamma distributed rate; after each repeat purchase a beta distributed chance to drop out."""
    rate = rng.standard_gamma(r, window.size) / alpha
    dropout = rng.beta(a, b, window.size)
    repeats = rng.geometric(np.maximum(dropout, LEAST_DROPOUT))  # repeat purchases until dropout, at least 1
    with np.errstate(divide="ignore", over="ignore"):  # a rate next to 0 never comes to its last purchase
        lifetime = rng.standard_gamma(repeats) / rate
    # Given when the last repeat purchase comes, those before it are uniform over the time until then.
    within = lifetime < window
    share = np.where(within, 1.0, window / np.maximum(lifetime, window))
    span = np.minimum(lifetime, window)
    starts, times = _scatter(rng, rng.binomial(repeats - 1, share) + within, span)
    last = starts[1:] - 1
    times[last[within]] = lifetime[within]
    return Careers(rate, dropout, lifetime, starts, times)


def _scatter(rng: np.random.Generator, repeats: np.ndarray, span: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Each customer's first purchase at 0, then the repeats, independent and uniform over the span.
    starts = np.concatenate([[0], np.cumsum(repeats + 1)])
    times = rng.random(starts[-1]) * np.repeat(span, repeats + 1)
    times[starts[:-1]] = 0.0
    return starts, times


def tastes(rng: np.random.Generator, n_customers: int, n_products: int) -> np.ndarray:
    """Shares of each product in each customer's lines: shape (n_customers, n_products).

    A customer's shares are Dirichlet around one of a few common tastes, so that products go together.
    """
    n_tastes = min(4, n_products)
    common = 0.9 * rng.dirichlet(np.full(n_products, 0.3), n_tastes) + 0.1 / n_products
    weights = rng.standard_gamma(10.0 * common[rng.integers(n_tastes, size=n_customers)])
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def choose(rng: np.random.Generator, shares: np.ndarray, customers: np.ndarray) -> np.ndarray:
    """Draw a product for every line from the shares of its customer: shape (n_lines,)."""
    bounds = shares.cumsum(axis=1)[:, :-1]
    products = np.empty(customers.size, np.int64)
    for start in range(0, customers.size, CHUNK):  # a few rows of bounds at a time stay in the cache
        some = slice(start, start + CHUNK)
        level = rng.random(customers[some].size)
        products[some] = (bounds[customers[some]] <= level[:, None]).sum(axis=1)
    return products
