from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import hyp2f1
from tests.reference.datasets import bg_nbd_customer, pareto_nbd_customer

from custanalytics.datasets import SimulatedTransactions, simulate_transactions

PARETO = {"r": 0.55, "alpha": 10.6, "s": 0.61, "beta": 11.7}
BG = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
STEADY = {"p": 6.0, "q": 6.0, "v": 20.0}  # q > 4, so that spend has the moments that its standard error needs
MANY = 40_000


def expected_pareto(t, r, alpha, s, beta):
    return r * beta / (alpha * (s - 1)) * (1 - (beta / (beta + t)) ** (s - 1))


def expected_bg(t, r, alpha, a, b):
    decay = (alpha / (alpha + t)) ** r * hyp2f1(r, b, a + b - 1, t / (alpha + t))
    return (a + b - 1) / (a - 1) * (1 - decay)


def alive_pareto(t, r, alpha, s, beta):
    return (beta / (beta + t)) ** s


def alive_bg(t, r, alpha, a, b):
    return quad(lambda p: stats.beta.pdf(p, a, b) * (alpha / (alpha + p * t)) ** r, 0, 1)[0]


MODELS = {
    "pareto_nbd": (PARETO, expected_pareto, alive_pareto, pareto_nbd_customer),
    "bg_nbd": (BG, expected_bg, alive_bg, bg_nbd_customer),
}


def cohort(model, seed=3, **more):
    params = MODELS[model][0]
    settings = {"n_customers": MANY, "duration": 39.0, "acquisition": 0.0, "n_products": 2, "lines_per_order": 1.0}
    return simulate_transactions(model=model, seed=seed, **(settings | params | more))


def assert_mean(values, wanted):
    error = values.std(ddof=1) / np.sqrt(values.size)
    assert abs(values.mean() - wanted) < 4 * error
    assert error < 0.05 * wanted  # so that the check says something


@pytest.mark.parametrize("model", MODELS)
def test_purchases_and_survival_follow_theory(model):
    params, expected, alive, _ = MODELS[model]
    _, truth = cohort(model, holdout=26.0)
    assert_mean(truth["rate"], params["r"] / params["alpha"])
    assert_mean(truth["frequency"], expected(39.0, **params))
    assert_mean(truth["n_future"], expected(65.0, **params) - expected(39.0, **params))
    assert_mean(truth["alive"], alive(39.0, **params))


def test_dropout_follows_theory():
    assert_mean(cohort("pareto_nbd").truth["dropout"], PARETO["s"] / PARETO["beta"])
    assert_mean(cohort("bg_nbd").truth["dropout"], BG["a"] / (BG["a"] + BG["b"]))


def test_bg_nbd_counts_follow_the_published_probability():
    counts = cohort("bg_nbd", n_customers=200_000).truth["frequency"]
    assert stats.binomtest(int((counts == 0).sum()), counts.size, 0.5737864).pvalue > 1e-4


@pytest.mark.parametrize("model", MODELS)
def test_same_distributions_as_stepping_through_purchases(model):
    params, _, _, customer = MODELS[model]
    truth = cohort(model, n_customers=6000).truth
    rng = random.Random(11)
    slow = [customer(rng, 39.0, *params.values()) for _ in range(6000)]
    counts = np.array([len(times) for times, _ in slow])
    table = [np.bincount(np.minimum(values, 8), minlength=9) for values in (counts, truth["frequency"])]
    assert stats.chi2_contingency(table).pvalue > 1e-3
    repeaters = truth["frequency"] > 0
    recency = [max(times) for times, _ in slow if times]
    assert stats.ks_2samp(recency, truth.loc[repeaters, "recency"]).pvalue > 1e-3
    ended = [lifetime for _, lifetime in slow if lifetime < 39.0]
    assert stats.ks_2samp(ended, truth.loc[~truth["alive"], "lifetime"]).pvalue > 1e-3


def test_spend_follows_gamma_gamma_and_is_independent_of_the_rate():
    log, truth = cohort("pareto_nbd", **STEADY)
    mean = STEADY["p"] * STEADY["v"] / (STEADY["q"] - 1)
    assert_mean(truth["mean_spend"], mean)
    orders = log.groupby("customer_id")["amount"].first()
    assert_mean(orders, mean)
    shape = stats.gamma(STEADY["p"])
    scaled = orders.to_numpy() * STEADY["p"] / truth["mean_spend"].to_numpy()
    assert stats.kstest(scaled, shape.cdf).pvalue > 1e-3
    assert stats.spearmanr(truth["rate"], truth["mean_spend"]).pvalue > 1e-3


def test_products_follow_the_affinities():
    log, truth = simulate_transactions(n_customers=3000, n_products=5, lines_per_order=3.0, seed=4)
    shares = truth[[f"affinity_{product}" for product in range(5)]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares.argmax(axis=1) == truth["favourite_product"]).all()
    per_line = shares[log["customer_id"] - 1]
    for product in range(5):
        bought = log["product_id"] == product
        spread = np.sqrt((per_line[:, product] * (1 - per_line[:, product])).sum())
        assert abs(bought.sum() - per_line[:, product].sum()) < 4 * spread
    hit = log["product_id"].to_numpy() == truth["favourite_product"].to_numpy()[log["customer_id"] - 1]
    assert stats.binomtest(int(hit.sum()), hit.size, per_line.max(axis=1).mean()).pvalue > 1e-4


def test_products_go_together():
    log, truth = simulate_transactions(n_customers=4000, lines_per_order=4.0, seed=5)
    shares = truth.filter(like="affinity_").corr().to_numpy()
    counts = pd.crosstab(log["customer_id"], log["product_id"]).corr(method="spearman").to_numpy()
    pair = np.unravel_index(np.argmax(np.triu(shares, 1)), shares.shape)
    assert shares[pair] > 0.3
    assert counts[pair] > 0.15


@pytest.mark.parametrize("model", MODELS)
def test_the_truth_sums_up_the_log(model):
    log, truth = simulate_transactions(n_customers=400, model=model, time_unit="D", duration=300.0, seed=6)
    orders = log.groupby("order_id").agg(
        customer_id=("customer_id", "first"), timestamp=("timestamp", "first"), value=("amount", "sum")
    )
    assert (log.groupby("order_id")["timestamp"].nunique() == 1).all()
    by = orders.groupby("customer_id")
    assert by.ngroups == 400
    assert (by.size() - 1).tolist() == truth["frequency"].tolist()
    assert by["timestamp"].min().tolist() == truth["first_purchase"].tolist()
    days = (by["timestamp"].max() - by["timestamp"].min()) / pd.Timedelta("1D")
    np.testing.assert_allclose(days, truth["recency"], atol=1e-10)
    end = pd.Timestamp("2020-01-01") + pd.Timedelta(days=300)
    np.testing.assert_allclose((end - by["timestamp"].min()) / pd.Timedelta("1D"), truth["T"], atol=1e-10)
    first = orders["timestamp"] == orders["customer_id"].map(by["timestamp"].min())
    mean = orders[~first].groupby("customer_id")["value"].mean().reindex(truth["customer_id"]).fillna(0)
    np.testing.assert_allclose(mean, truth["monetary_value"], rtol=1e-12)
    assert (truth["recency"] <= np.minimum(truth["T"], truth["lifetime"])).all()
    assert (truth["alive"] == (truth["lifetime"] > truth["T"])).all()


@pytest.mark.parametrize("model", MODELS)
def test_the_log_is_in_order_and_half_open(model):
    log, truth = simulate_transactions(
        n_customers=2000, model=model, duration=20.0, acquisition=20.0, start="2021-06-07"
    )
    assert log["timestamp"].is_monotonic_increasing
    assert log["timestamp"].min() >= pd.Timestamp("2021-06-07")
    assert log["timestamp"].max() < pd.Timestamp("2021-06-07") + pd.Timedelta(weeks=20)
    assert log["order_id"].is_monotonic_increasing
    assert sorted(log["customer_id"].unique()) == truth["customer_id"].tolist() == list(range(1, 2001))
    assert (log[["amount", "quantity"]] > 0).all(axis=None)


@pytest.mark.parametrize("model", MODELS)
def test_the_future_is_the_rest_of_the_longer_log(model):
    settings = {"n_customers": 1500, "model": model, "acquisition": 10.0, "seed": 8}
    seen, truth = simulate_transactions(duration=40.0, holdout=30.0, **settings)
    whole, _ = simulate_transactions(duration=70.0, **settings)
    cut = pd.Timestamp("2020-01-01") + pd.Timedelta(weeks=40)
    later = whole[whole["timestamp"] >= cut].groupby("customer_id")["order_id"].nunique()
    assert later.reindex(truth["customer_id"]).fillna(0).tolist() == truth["n_future"].tolist()
    assert seen["order_id"].nunique() == whole.loc[whole["timestamp"] < cut, "order_id"].nunique()
    assert truth.loc[~truth["alive"], "n_future"].sum() == 0


def test_returns_undo_earlier_lines():
    log, _ = simulate_transactions(n_customers=3000, return_rate=0.2, duration=78.0, seed=9)
    back = log["amount"] < 0
    assert (back == (log["quantity"] < 0)).all()
    assert log["timestamp"].is_monotonic_increasing
    key = ["order_id", "product_id", "customer_id"]
    bought, returned = log[~back], log[back].copy()
    returned[["amount", "quantity"]] *= -1
    pairs = returned.merge(bought, on=[*key, "amount", "quantity"], suffixes=("", "_bought"), how="left")
    assert len(pairs) == len(returned)
    assert (pairs["timestamp"] > pairs["timestamp_bought"]).all()
    early = bought["timestamp"] < pd.Timestamp("2020-07-01")  # nearly all of their returns come within the log
    expected = 0.2 * early.sum()
    seen = (pairs["timestamp_bought"] < pd.Timestamp("2020-07-01")).sum()
    assert abs(seen - expected) < 4 * np.sqrt(0.16 * early.sum())
    assert (log["amount"] > 0).sum() == len(simulate_transactions(n_customers=3000, seed=9).log)


def test_the_seed_settles_everything():
    first, second = (simulate_transactions(n_customers=300, return_rate=0.1, seed=5) for _ in range(2))
    pd.testing.assert_frame_equal(first.log, second.log, check_exact=True)
    pd.testing.assert_frame_equal(first.truth, second.truth, check_exact=True)
    other = simulate_transactions(n_customers=300, return_rate=0.1, seed=6)
    assert not first.truth["rate"].equals(other.truth["rate"])


@pytest.mark.parametrize("model", MODELS)
def test_the_unit_of_time_changes_only_the_unit(model):
    weeks = simulate_transactions(n_customers=500, model=model, duration=52.0, acquisition=8.0)
    days = simulate_transactions(n_customers=500, model=model, duration=364.0, acquisition=56.0, time_unit="D")
    gap = (weeks.log["timestamp"] - days.log["timestamp"]).abs()
    assert gap.max() <= pd.Timedelta(microseconds=1)
    pd.testing.assert_frame_equal(weeks.log.drop(columns="timestamp"), days.log.drop(columns="timestamp"))
    np.testing.assert_allclose(weeks.truth["recency"] * 7, days.truth["recency"])
    np.testing.assert_allclose(weeks.truth["rate"] / 7, days.truth["rate"])


def test_the_start_shifts_the_calendar():
    first = simulate_transactions(n_customers=50).log
    later = simulate_transactions(n_customers=50, start="2020-02-01T06:00").log
    assert (later["timestamp"] - first["timestamp"] == pd.Timedelta(days=31, hours=6)).all()


def test_extreme_parameters_stay_finite():
    log, truth = simulate_transactions(n_customers=500, model="bg_nbd", r=1e-3, a=1e-3, b=1.0)
    assert np.isfinite(log["amount"]).all()
    assert not truth.drop(columns="lifetime").isna().any(axis=None)
    assert truth["lifetime"].isna().sum() == 0
    log, truth = simulate_transactions(n_customers=500, r=1e-3, s=1e-3)
    assert len(log) >= 500
    assert truth["alive"].mean() > 0.9
    one = simulate_transactions(n_customers=1, n_products=1, lines_per_order=1.0)
    assert (one.log["product_id"] == 0).all()
    assert one.truth.loc[0, "affinity_0"] == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_customers": 0}, r"'n_customers' parameter of simulate_transactions must be an int"),
        ({"r": -1.0}, r"'r' parameter of simulate_transactions must be a float .* or an instance of None"),
        ({"model": "nbd"}, r"'model' parameter of simulate_transactions must be a str among"),
        ({"return_rate": 1.5}, r"'return_rate' parameter"),
        ({"time_unit": "weeks"}, r"'time_unit' parameter"),
        ({"a": 1.0}, r"parameters \['a'\] of simulate_transactions do not belong to model='pareto_nbd'"),
        ({"model": "bg_nbd", "s": 1.0}, r"parameters \['s'\] .* which takes \['r', 'alpha', 'a', 'b'\]"),
        ({"acquisition": 100.0}, r"'acquisition' parameter .* at most duration=78.0. Got 100.0 instead"),
    ],
)
def test_parameters_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        simulate_transactions(**wrong)


def test_the_result_has_two_named_parts():
    simulated = simulate_transactions(n_customers=10, seed=1)
    assert isinstance(simulated, SimulatedTransactions)
    assert simulated.log is simulated[0]
    assert simulated.truth is simulated[1]
