"""One table: case -> how to make its data, our implementation, its peers, and what agreement means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

from benchmarks.peers import (
    duckdb_summary,
    lifetimes_clv,
    lifetimes_summary,
    numpy_offers,
    nutpie_posterior,
    polars_summary,
    validation_passes,
)
from custanalytics.clv import BetaGeoModel, ParetoNBDModel
from custanalytics.datasets import load_cdnow, simulate_transactions
from custanalytics.offers import NextBestOffer
from custanalytics.rfm import RFMSummary
from custanalytics.validation import TransactionValidator


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


def text_log(rows: int) -> pd.DataFrame:
    """The same rows with ids of text: a letter and eight digits."""
    log = random_log(rows)
    return log.assign(customer_id="C" + log["customer_id"].astype("str").str.zfill(8))


def uuid_log(rows: int) -> pd.DataFrame:
    """The same rows with UUIDs as text for ids: 36 letters without an order."""
    log = random_log(rows)
    codes, numbers = pd.factorize(log["customer_id"])
    rng = np.random.default_rng(1)
    ids = [str(UUID(bytes=rng.bytes(16), version=4)) for _ in range(numbers.size)]
    return log.assign(customer_id=pd.array(ids, dtype="str").take(codes))


def log_by_time(rows: int) -> pd.DataFrame:
    """The same rows in the order of their times, as most logs are."""
    return random_log(rows).sort_values("timestamp", kind="stable", ignore_index=True)


def log_by_customer(rows: int) -> pd.DataFrame:
    """The same rows with those of a customer together."""
    return random_log(rows).sort_values("customer_id", kind="stable", ignore_index=True)


def summaries_agree(mine: pd.DataFrame, theirs: pd.DataFrame, peer: str) -> None:
    theirs = theirs.sort_values("customer_id")
    for column in ("customer_id", "frequency", "recency", "T", "monetary_value"):
        left, right = mine[column].to_numpy(), theirs[column].to_numpy()
        if left.dtype == object:
            assert (left == right).all(), f"{peer}: {column}"
            continue
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9, err_msg=f"{peer}: {column}")


@lru_cache(maxsize=2)
def simulated_table(n_customers: int) -> pd.DataFrame:
    """Customer table of simulated BG/NBD customers at CDNOW's parameters, on a daily clock."""
    simulated = simulate_transactions(n_customers=n_customers, n_products=1, model="bg_nbd", **PARAMETERS, seed=1)
    table = RFMSummary().fit_transform(simulated.log)
    return table[["customer_id", "frequency", "recency", "T", "monetary_value"]]


def parameters_agree(mine: dict[str, float], theirs: dict[str, float], peer: str) -> None:
    for name, value in theirs.items():
        # The peer stops where its approximate gradient is small, some way before the maximum.
        np.testing.assert_allclose(mine[name], value, rtol=2e-2, err_msg=f"{peer}: {name}")


def our_scores(table: pd.DataFrame) -> dict[str, np.ndarray]:
    model = BetaGeoModel.from_params(**PARAMETERS)
    spend = np.full(len(table), lifetimes_clv.MEAN_SPEND)
    rate = np.log1p(DISCOUNT) * 7 / 365.25
    return {
        "alive": model.predict_alive(table),
        "expected": model.predict_purchases(table, lifetimes_clv.HORIZON),
        "value": spend * model.predict_discounted_purchases(table, lifetimes_clv.HORIZON, rate),
    }


def scores_agree(mine: dict[str, np.ndarray], theirs: dict[str, np.ndarray], peer: str) -> None:
    for name in ("alive", "expected"):
        close = np.isfinite(theirs[name])  # the peer gives NaN for some frequent customers
        np.testing.assert_allclose(mine[name][close], theirs[name][close], rtol=1e-6, err_msg=f"{peer}: {name}")
    # The peer discounts at the end of each month, we at the moment of each purchase.
    close = np.isfinite(theirs["value"])
    np.testing.assert_allclose(mine["value"][close], theirs["value"][close], rtol=1e-2, err_msg=f"{peer}: value")


@lru_cache(maxsize=2)
def cdnow_table(size: int) -> pd.DataFrame:
    """The 2,357 customers of the 1/10 sample at the end of September 1997; `size` says so and no more."""
    table = RFMSummary(as_of="1997-09-30").fit_transform(load_cdnow())
    assert len(table) == size
    return table


def our_posterior(table: pd.DataFrame) -> dict[str, float]:
    return BetaGeoModel().fit(table).posterior(table, n_draws=nutpie_posterior.DRAWS, rng=0).mean()


def posteriors_agree(mine: dict[str, float], theirs: dict[str, float], peer: str) -> None:
    for name, value in theirs.items():  # Monte Carlo error of some 3,000 draws each
        np.testing.assert_allclose(mine[name], value, rtol=4e-2, err_msg=f"{peer}: {name}")


@lru_cache(maxsize=2)
def offer_task(n_customers: int) -> tuple[NextBestOffer, np.ndarray]:
    """A fitted model of 200 offers, and a mask that forbids three of ten pairs."""
    log = simulate_transactions(n_customers=n_customers, n_products=200, seed=2).log
    model = NextBestOffer(k=5).fit(log)
    eligible = np.random.default_rng(0).random((model.customers_.size, model.offers_.size)) < 0.7
    return model, eligible


def our_offers(task: tuple[NextBestOffer, np.ndarray]) -> np.ndarray:
    model, eligible = task
    return model.recommend(eligibility=eligible)["offer"].to_numpy()


def their_offers(task: tuple[NextBestOffer, np.ndarray]) -> np.ndarray:
    model, eligible = task
    best = numpy_offers.best(model, eligible, 5)
    return model.offers_[best[best >= 0]]


def offers_agree(mine: np.ndarray, theirs: np.ndarray, peer: str) -> None:
    # Offers whose priorities differ by less than rounding may change places.
    assert np.mean(mine == theirs) > 0.9999, peer


def our_validation(log: pd.DataFrame) -> dict[str, int]:
    validator = TransactionValidator().fit(log)
    validator.transform(log)
    report = validator.report_
    return {"duplicate": report.counts["duplicate"], "quarantined": report.rows_quarantined}


def validations_agree(mine: dict[str, int], theirs: dict[str, int], peer: str) -> None:
    for name, count in theirs.items():
        assert mine[name] == count, f"{peer}: {name}"


PARAMETERS = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
DISCOUNT = 0.1

CASES = [
    Case(
        name="summary",
        title="log to customer table, rows",
        make=random_log,
        ours=lambda log: RFMSummary().fit_transform(log),
        peers={
            "polars": polars_summary.summary,
            "duckdb": duckdb_summary.summary,
            "lifetimes": lifetimes_summary.summary,
        },
        agree=summaries_agree,
        small=1_000_000,
        sizes=(100_000, 1_000_000, 10_000_000),
        floors={"polars": 4, "duckdb": 4, "lifetimes": 12},
    ),
    *(
        Case(
            name=f"summary_{name}",
            title=f"log {title} to customer table, rows",
            make=make,
            ours=lambda log: RFMSummary().fit_transform(log),
            peers={"polars": polars_summary.summary, "duckdb": duckdb_summary.summary},
            agree=summaries_agree,
            small=1_000_000,
            sizes=(1_000_000, 10_000_000),
            floors={"polars": 1.5, "duckdb": 1.5},
        )
        for name, title, make in (
            ("text", "with ids of text", text_log),
            ("uuid", "with UUIDs as text", uuid_log),
            ("by_time", "sorted by time", log_by_time),
            ("by_customer", "sorted by customer", log_by_customer),
        )
    ),
    Case(
        name="bg_nbd_fit",
        title="BG/NBD fit, customers",
        make=simulated_table,
        ours=lambda table: BetaGeoModel().fit(table).params_,
        peers={"lifetimes": lifetimes_clv.fit_bg_nbd},
        agree=parameters_agree,
        small=100_000,
        sizes=(10_000, 100_000, 1_000_000),
        floors={"lifetimes": 4},
    ),
    Case(
        name="bg_nbd_score",
        title="BG/NBD alive, purchases and 12-month value, customers",
        make=simulated_table,
        ours=our_scores,
        peers={"lifetimes": lambda table: lifetimes_clv.score_bg_nbd(PARAMETERS, table, DISCOUNT)},
        agree=scores_agree,
        small=100_000,
        sizes=(10_000, 100_000, 1_000_000),
        floors={"lifetimes": 4},
    ),
    Case(
        name="pareto_nbd_fit",
        title="Pareto/NBD fit on CDNOW, customers",
        make=cdnow_table,
        ours=lambda table: ParetoNBDModel().fit(table).params_,
        peers={"lifetimes": lifetimes_clv.fit_pareto_nbd},
        agree=parameters_agree,
        small=2357,
        sizes=(2357,),
        floors={"lifetimes": 4},
    ),
    Case(
        name="bg_nbd_posterior",
        title="BG/NBD posterior on CDNOW, at least 3,000 effective draws, customers",
        make=cdnow_table,
        ours=our_posterior,
        peers={"nutpie, the same gradient": nutpie_posterior.by_nutpie},
        agree=posteriors_agree,
        small=2357,
        sizes=(2357,),
        floors={"nutpie, the same gradient": 6},
    ),
    Case(
        name="offers",
        title="best 5 of 200 offers under a mask, customers",
        make=offer_task,
        ours=our_offers,
        peers={"numpy": their_offers},
        agree=offers_agree,
        small=10_000,
        sizes=(10_000, 50_000),
        floors={"numpy": 2},
    ),
    Case(
        name="validation",
        title="all rules of a transaction log, rows",
        make=random_log,
        ours=our_validation,
        peers={
            "five copies of the columns": validation_passes.five_copies,
            "polars, fused": validation_passes.fused,
            "pandas, duplicates alone": validation_passes.pandas_duplicated,
        },
        agree=validations_agree,
        small=1_000_000,
        sizes=(1_000_000, 10_000_000),
        floors={"polars, fused": 1.2, "pandas, duplicates alone": 1.5},
    ),
]
