"""What the baskets teach: decay, population, item weights and propensities, against the slow reference."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import offers as reference
from tests.strategies import STRING_IDS, transaction_logs

from custanalytics._jit import call
from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.offers import NextBestOffer
from custanalytics.offers._affinity import item_weights
from custanalytics.offers._kernels import gram

LOGS = st.one_of(
    transaction_logs(product_id=True, quantity=True),
    transaction_logs(product_id=True, order_id=True),
    transaction_logs(product_id=True, ids=STRING_IDS),
)


def fit(log, **params):
    """Fit, or skip the log where it has no purchase."""
    bought = (log["amount"] >= 0) & (log.get("quantity", pd.Series(1, log.index)) >= 0)
    if not bought.any():
        with pytest.raises(InvalidDataError, match=r"no purchases up to .* returns"):
            NextBestOffer(**params).fit(log)
        return None
    return NextBestOffer(**params).fit(log)


def random_log(n_customers=40, n_products=8, n_rows=600, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer_id": rng.integers(0, n_customers, n_rows),
            "timestamp": np.datetime64("2024-01-01", "s") + rng.integers(0, 200 * 86400, n_rows),
            "amount": rng.integers(1, 1000, n_rows) / 100,
            "order_id": rng.integers(0, 5, n_rows),
            "product_id": rng.integers(0, n_products, n_rows) * rng.integers(1, 3, n_rows) * 10,
        }
    )


@given(
    log=LOGS,
    half_life=st.sampled_from([0.5, 3, 90, np.inf]),
    unit=st.sampled_from(["h", "D", "W", "M", "Y"]),
    prior_baskets=st.sampled_from([0.5, 8]),
    blend=st.sampled_from([0, 0.75, 1]),
    regularization=st.sampled_from([0.1, 500]),
)
def test_fit_agrees_with_the_slow_reference(log, half_life, unit, prior_baskets, blend, regularization):
    half_life = max(half_life, 24) if unit == "h" else half_life
    params = {"prior_baskets": prior_baskets, "blend": blend, "regularization": regularization}
    nbo = fit(log, half_life=half_life, time_unit=unit, **params)
    if nbo is None:
        return
    total, held, popular, means = reference.decayed_baskets(
        log.to_dict("records"), log["timestamp"].max().date(), half_life, unit
    )
    assert nbo.customers_.tolist() == sorted(total)
    assert nbo.offers_.tolist() == sorted(popular)
    np.testing.assert_allclose(nbo.baskets_, [total[u] for u in sorted(total)], rtol=1e-12)
    dense = [[held[u].get(i, 0.0) for i in sorted(popular)] for u in sorted(total)]
    np.testing.assert_allclose(nbo.basket_counts_.toarray(), dense, rtol=1e-12)
    np.testing.assert_allclose(nbo.offer_values_, [means[i] for i in sorted(popular)], rtol=1e-12)
    customers = sorted(total) + (["nobody"] if isinstance(sorted(total)[0], str) else [12345])
    expected, popularity, weights = reference.propensities(total, held, customers, sorted(popular), **params)
    np.testing.assert_allclose(nbo.popularity_, popularity, atol=1e-12)
    np.testing.assert_allclose(nbo.item_weights_, weights, atol=1e-8)
    found = nbo.predict_propensity(customers)
    np.testing.assert_allclose(found, expected, atol=1e-8)
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found[-1], popularity, atol=1e-12)


@pytest.mark.parametrize("penalty", [0.01, 3.0, 1e4])
def test_item_weights_are_the_optimum_with_a_zero_diagonal(penalty):
    rows = np.random.default_rng(1).standard_normal((50, 9))
    g = rows.T @ rows
    b = item_weights(g, penalty)
    gradient = g - g @ b - penalty * b
    np.testing.assert_allclose(gradient - np.diag(np.diag(gradient)), 0, atol=1e-9 * penalty + 1e-10)
    assert (np.diag(b) == 0).all()
    np.testing.assert_allclose(b, reference.ease_by_regressions(rows, penalty), atol=1e-10)


def test_the_fitted_weights_are_the_optimum_for_the_deviations():
    nbo = NextBestOffer(regularization=2).fit(random_log())
    trust = nbo.baskets_ / (nbo.baskets_ + nbo.prior_baskets)
    share = nbo.basket_counts_.toarray() / nbo.baskets_[:, None]
    rows = trust[:, None] * (share - nbo.popularity_)
    g, b = rows.T @ rows, nbo.item_weights_
    off = ~np.eye(b.shape[0], dtype=bool)
    np.testing.assert_allclose((g - g @ b - nbo.penalty_ * b)[off], 0, atol=1e-10)
    assert nbo.penalty_ == pytest.approx(2 * np.trace(g) / rows.size)
    np.testing.assert_allclose((trust @ (share - nbo.popularity_)), 0, atol=1e-9)


def test_gram_kernel():
    nbo = NextBestOffer().fit(random_log())
    counts, out = nbo.basket_counts_, np.zeros((nbo.offers_.size,) * 2)
    call(gram, counts.indptr.astype(np.int64), counts.indices.astype(np.int64), counts.data, out=(out,))
    np.testing.assert_allclose(out, (counts.T @ counts).toarray(), rtol=1e-12)


def test_what_others_buy_along_raises_the_propensity():
    # Even customers buy tea and cake, odd ones beer and crisps; customer 0 has not had cake so far.
    rows = [
        (u, day, p)
        for u in range(40)
        for day in (1, 8, 15)
        for p in (("tea", "cake") if u % 2 == 0 else ("beer", "crisps"))
        if (u, p) != (0, "cake")
    ]
    log = pd.DataFrame(rows, columns=["customer_id", "day", "product_id"]).assign(amount=1.0)
    log["timestamp"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(log.pop("day"), "D")
    alone = NextBestOffer(blend=0, regularization=1).fit(log).predict_propensity([0])[0]
    nbo = NextBestOffer(blend=1, regularization=1).fit(log)
    blended = nbo.predict_propensity([0])[0]
    cake, crisps = nbo.offers_.tolist().index("cake"), nbo.offers_.tolist().index("crisps")
    assert alone[cake] < alone[crisps]  # the population has more of them
    assert blended[cake] > alone[cake] > 0
    assert blended[crisps] < alone[crisps]
    assert blended[cake] > blended[crisps]


def test_a_newer_basket_counts_more_and_the_half_life_halves():
    log = pd.DataFrame(
        {
            "customer_id": [1, 1],
            "timestamp": pd.to_datetime(["2024-03-01", "2024-03-31"]),
            "amount": [1.0, 1.0],
            "product_id": ["old", "new"],
        }
    )
    nbo = NextBestOffer(half_life=30).fit(log)
    new, old = nbo.basket_counts_.toarray()[0]
    assert nbo.offers_.tolist() == ["new", "old"]
    assert old == pytest.approx(new / 2)
    alike = NextBestOffer(half_life=np.inf).fit(log)
    assert alike.basket_counts_.toarray().tolist() == [[1.0, 1.0]]
    assert alike.baskets_.tolist() == [2.0]


def test_an_order_is_a_basket_and_without_one_the_day_is():
    log = pd.DataFrame(
        {
            "customer_id": [1, 1, 1, 2],
            "timestamp": pd.to_datetime(
                ["2024-03-01 08:00", "2024-03-01 20:00", "2024-03-02 00:00", "2024-03-01 00:00"]
            ),
            "amount": 1.0,
            "product_id": ["a", "a", "b", "a"],
            "order_id": ["x", "y", "y", "x"],
        }
    )
    by_day = NextBestOffer(half_life=np.inf).fit(log.drop(columns="order_id"))
    by_order = NextBestOffer(half_life=np.inf).fit(log)
    no_order = NextBestOffer(half_life=np.inf).fit(log.assign(order_id=[None, None, None, "x"]))
    assert by_day.basket_counts_.toarray().tolist() == [[1.0, 1.0], [1.0, 0.0]]
    assert by_order.basket_counts_.toarray().tolist() == [[2.0, 1.0], [1.0, 0.0]]
    assert by_day.baskets_.tolist() == by_order.baskets_.tolist() == [2.0, 1.0]
    assert no_order.basket_counts_.toarray().tolist() == by_day.basket_counts_.toarray().tolist()


@given(log=LOGS, day=st.integers(0, 74))
def test_events_after_as_of_change_nothing(log, day):
    as_of = pd.Timestamp("2023-12-18") + pd.Timedelta(day, "D")
    early = log[log["timestamp"] < as_of + pd.Timedelta(1, "D")]
    bought = early[(early["amount"] >= 0) & (early.get("quantity", pd.Series(1, early.index)) >= 0)]
    if bought.empty:
        with pytest.raises(InvalidDataError, match=r"The log (is empty|has no purchases up to)"):
            NextBestOffer(as_of=as_of).fit(early)
        return
    whole, cut = NextBestOffer(as_of=as_of).fit(log), NextBestOffer(as_of=as_of).fit(early)
    pd.testing.assert_frame_equal(whole.recommend(), cut.recommend())
    assert whole.as_of_ == cut.as_of_ == np.datetime64(as_of, "D")


@pytest.mark.parametrize(
    "as_of",
    [
        "2024-03-01",
        "2024-03-01 12:30",
        date(2024, 3, 1),
        datetime(2024, 3, 1, 5),
        pd.Timestamp("2024-03-01 23:00", tz="Asia/Tokyo"),
        np.datetime64("2024-03-01T07"),
    ],
)
def test_as_of_names_a_whole_day(as_of):
    nbo = NextBestOffer(as_of=as_of).fit(random_log())
    assert nbo.as_of_ == np.datetime64("2024-03-01")


def test_as_of_may_name_a_month():
    assert NextBestOffer(as_of="2024-02").fit(random_log()).as_of_ == np.datetime64("2024-02-29")


def test_returns_are_no_purchases():
    log = random_log().assign(quantity=1)
    back = log.head(50).assign(amount=lambda f: -f["amount"], product_id=999)
    taken = log.head(50).assign(quantity=-1, product_id=998)
    plain, with_returns = NextBestOffer().fit(log), NextBestOffer().fit(pd.concat([log, back, taken]))
    assert with_returns.offers_.tolist() == plain.offers_.tolist()
    np.testing.assert_array_equal(with_returns.predict_propensity(), plain.predict_propensity())


def test_only_the_most_frequent_products_become_offers():
    log = random_log()
    baskets = log.drop_duplicates(["customer_id", "order_id", "product_id"])["product_id"].value_counts()
    ranked = sorted(baskets.index, key=lambda product: (-baskets[product], product))
    nbo = NextBestOffer(max_offers=4).fit(log)
    assert nbo.offers_.tolist() == sorted(ranked[:4])
    assert nbo.n_offers_left_out_ == len(ranked) - 4
    everything = NextBestOffer().fit(log)
    np.testing.assert_array_equal(nbo.baskets_, everything.baskets_)
    assert everything.n_offers_left_out_ == 0


def test_of_equally_frequent_products_the_lower_ids_stay():
    log = pd.DataFrame(
        {"customer_id": 1, "timestamp": pd.Timestamp("2024-01-01"), "amount": 1.0, "product_id": [*"dbca"]}
    )
    assert NextBestOffer(max_offers=2).fit(log).offers_.tolist() == ["a", "b"]


def test_one_customer_and_one_product():
    log = random_log().head(1)
    nbo = NextBestOffer().fit(log)
    assert nbo.item_weights_.tolist() == [[0.0]]
    assert nbo.predict_propensity().tolist() == [[1.0]]
    assert len(nbo.recommend()) == 1


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("product_id", None, r"2 of 600 rows have no product_id \(first: .*dropna\(subset=\['product_id'\]\)"),
        ("customer_id", None, r"2 of 600 rows have no customer_id \(first: 3, 4\)"),
        ("timestamp", pd.NaT, "2 of 600 rows have no timestamp"),
        ("amount", np.inf, "2 of 600 rows have a non-finite amount"),
    ],
)
def test_missing_values_are_named_with_the_remedy(column, value, message):
    log = random_log()
    log = log if column in ("timestamp", "amount") else log.astype({column: "Int64"})
    log.loc[[3, 4], column] = value
    with pytest.raises(InvalidDataError, match=message):
        NextBestOffer().fit(log)


def test_a_missing_product_of_a_return_does_no_harm():
    log = random_log().astype({"product_id": "Int64"})
    log.loc[3, ["amount", "product_id"]] = [-1.0, None]
    assert NextBestOffer().fit(log).offers_.dtype == np.int64


def test_empty_log_and_missing_columns():
    with pytest.raises(InvalidDataError, match="The log is empty"):
        NextBestOffer().fit(random_log().head(0))
    with pytest.raises(MissingColumnError, match=r"needs the columns \['product_id'\]"):
        NextBestOffer().fit(random_log().drop(columns="product_id"))
    with pytest.raises(InvalidDataError, match=r"no purchases up to 2020-01-01.*later 'as_of'"):
        NextBestOffer(as_of="2020-01-01").fit(random_log())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"k": 0}, r"The 'k' parameter of NextBestOffer must be an int in the range \[1, inf\)"),
        ({"half_life": 0}, "The 'half_life' parameter"),
        ({"time_unit": "d"}, "The 'time_unit' parameter"),
        ({"prior_baskets": -1}, "The 'prior_baskets' parameter"),
        ({"blend": 1.5}, "The 'blend' parameter"),
        ({"regularization": 0}, "The 'regularization' parameter"),
        ({"max_offers": 0.5}, "The 'max_offers' parameter"),
        ({"as_of": 3}, "The 'as_of' parameter"),
        ({"as_of": "soon"}, "names no time. Give the last observed period"),
        ({"as_of": pd.NaT}, "names no time. Give the last observed period"),
        ({"value": 3}, "The 'value' parameter"),
        ({"value": {10: 1.0}}, r"of .* offers have no value in the 'value' mapping"),
        ({"value": [1.0]}, r"must have the shape \(n_offers,\)"),
        ({"half_life": 1e-6}, "every basket's weight is 0"),
    ],
)
def test_parameters_are_checked(params, message):
    with pytest.raises(ValueError, match=message):
        NextBestOffer(**params).fit(random_log())


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_values_must_be_finite_and_not_negative(bad):
    log = random_log()
    value = dict.fromkeys(log["product_id"].unique().tolist(), 1.0)
    value[20] = bad
    with pytest.raises(ValueError, match=r"1 of .* offers have a 'value' that is negative or not finite \(first: 20\)"):
        NextBestOffer(value=value).fit(log)
