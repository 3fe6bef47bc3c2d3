"""One table: case -> how to make its data, our implementation, its peers, and what agreement means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.peers import duckdb_summary, lifetimes_clv, lifetimes_summary, numpy_offers, polars_summary
from custanalytics.clv import BetaGeoModel, LifetimeValue, ParetoNBDModel
from custanalytics.datasets import load_cdnow, simulate_transactions
from custanalytics.offers import NextBestOffer
from custanalytics.rfm import RFMSummary


@dataclass(frozen=True)
class Case:
    """One piece of work, done by us and by peers.

    `floors` are the ratios to each peer, at the size `small`, below which the guard fails: well under what is
    measured, so that noise does not trip them. `slow` peers run only up to the size given.
    """

    name: str
    title: str
    make: Callable[[int], Any]
    ours: Callable[[Any], Any]
    peers: Mapping[str, Callable[[Any], Any]]
    agree: Callable[[Any, Any, str], None]
    small: int
    sizes: tuple[int, ...]
    floors: Mapping[str, float]
    slow: Mapping[str, int] = field(default_factory=dict)

    def peers_at(self, size: int) -> dict[str, Callable[[Any], Any]]:
        """The peers that finish at this size in sensible time."""
        return {name: peer for name, peer in self.peers.items() if size <= self.slow.get(name, size)}


def random_log(rows: int) -> pd.DataFrame:
    """Unsorted rows of a tenth as many customers over two years, int64 ids, microsecond stamps."""
    rng = np.random.default_rng(0)
    seconds = rng.integers(0, 730 * 86_400, rows)
    return pd.DataFrame(
        {
            "customer_id": rng.integers(0, max(1, rows // 10), rows),
            "timestamp": np.datetime64("2022-01-01", "us") + seconds.astype("timedelta64[s]").astype("timedelta64[us]"),
            "amount": np.round(rng.gamma(2.0, 20.0, rows), 2),
        }
    )


def summaries_agree(mine: pd.DataFrame, theirs: pd.DataFrame, peer: str) -> None:
    theirs = theirs.sort_values("customer_id")
    for column in ("customer_id", "frequency", "recency", "T", "monetary_value"):
        left, right = mine[column].to_numpy(), theirs[column].to_numpy()
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9, err_msg=f"{peer}: {column}")


@lru_cache(maxsize=2)
def simulated_table(n_customers: int) -> pd.DataFrame:
    """Customer table of simulated BG/NBD customers at CDNOW's parameters, on a daily clock."""
    parameters = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
    simulated = simulate_transactions(n_customers=n_customers, model="bg_nbd", **parameters, seed=1)
    table = RFMSummary().fit_transform(simulated.log)
    return table[["customer_id", "frequency", "recency", "T", "monetary_value"]]


def parameters_agree(mine: dict[str, float], theirs: dict[str, float], peer: str) -> None:
    for name, value in theirs.items():
        # The peer stops at gradients of about 1e-4 of the log-likelihood per customer.
        np.testing.assert_allclose(mine[name], value, rtol=2e-2, err_msg=f"{peer}: {name}")


def our_scores(table: pd.DataFrame) -> dict[str, np.ndarray]:
    model = BetaGeoModel.from_params(r=0.243, alpha=4.414, a=0.793, b=2.426)
    value = LifetimeValue(purchases=model, spend=lifetimes_clv.MEAN_SPEND, horizon=52.0, discount_rate=0.0)
    return {
        "alive": model.predict_alive(table),
        "expected": model.predict_purchases(table, 52.0),
        "value": value.predict(table),
    }


def scores_agree(mine: dict[str, np.ndarray], theirs: dict[str, np.ndarray], peer: str) -> None:
    for name, values in theirs.items():
        np.testing.assert_allclose(mine[name], values, rtol=1e-6, err_msg=f"{peer}: {name}")


CASES: list[Case] = []
