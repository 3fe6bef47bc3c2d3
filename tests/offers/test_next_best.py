"""The ranking under a policy: against sorting, ties, eligibility, invariances, frames, messages."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from tests.conftest import FRAMES
from tests.reference import offers as reference

from custanalytics import _jit
from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.offers import NextBestOffer, _ranking

PRODUCTS = ["ale", "beef", "corn", "dates", "eggs", "figs", "ghee"]


def make_log(n_customers=12, n_rows=160, seed=0, products=PRODUCTS):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer_id": rng.integers(0, n_customers, n_rows),
            "timestamp": np.datetime64("2024-01-01", "us") + rng.integers(0, 90, n_rows) * np.timedelta64(1, "D"),
            "amount": rng.integers(1, 900, n_rows) / 100,
            "product_id": rng.choice(products, n_rows),
        }
    )


LOG = make_log()
NBO = NextBestOffer(prior_baskets=2, regularization=3).fit(LOG)
N, J = NBO.customers_.size, NBO.offers_.size
MASKS = st.lists(st.lists(st.booleans(), min_size=J, max_size=J), min_size=N, max_size=N).map(np.array)
SIZES = st.integers(1, J + 2)


def ranked(frame, nbo=NBO):
    """The answer as lists of positions in offers_, one per customer of `nbo`."""
    at = {offer: i for i, offer in enumerate(nbo.offers_.tolist())}
    lists = {customer: [] for customer in nbo.customers_.tolist()}
    for customer, offer in zip(frame["customer_id"], frame["offer"], strict=True):
        lists[customer].append(at[offer])
    return list(lists.values())


@given(mask=MASKS, k=SIZES, value=st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.25]), min_size=J, max_size=J))
def test_top_k_is_the_sorted_dense_matrix(mask, k, value):
    nbo = NextBestOffer(prior_baskets=2, regularization=3, value=value).fit(LOG)
    expected = reference.top_k(nbo.predict_propensity(), np.array(value), mask, k)
    found = nbo.recommend(eligibility=mask, k=k)
    assert ranked(found, nbo) == expected
    assert nbo.n_without_offer_ == sum(not offers for offers in expected)
    assert found["rank"].tolist() == [place + 1 for offers in expected for place in range(len(offers))]
    np.testing.assert_array_equal(found["priority"], found["propensity"] * found["value"])


@pytest.mark.parametrize(("tile", "size"), [(1, 1), (5, 2), (7, 512), (8192, 3)])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_tiles_and_threads_change_no_bit(monkeypatch, tile, size, n_threads):
    log = make_log(n_customers=300, n_rows=4000, seed=4)
    mask = np.random.default_rng(0).random((300, J)) < 0.6
    nbo = NextBestOffer(k=4).fit(log)
    expected = nbo.recommend(eligibility=mask)
    monkeypatch.setattr(_ranking, "TILE", tile)
    monkeypatch.setattr(_ranking, "SLICE", size)
    with _jit.threads(n_threads):
        pd.testing.assert_frame_equal(nbo.recommend(eligibility=mask), expected)


@given(mask=MASKS, k=SIZES)
def test_only_eligible_offers_and_as_many_as_there_are(mask, k):
    found = ranked(NBO.recommend(eligibility=mask, k=k))
    for row, offers in enumerate(found):
        assert len(offers) == len(set(offers)) == min(k, mask[row].sum())
        assert all(mask[row, offer] for offer in offers)


@given(mask=MASKS, k=SIZES, data=st.data())
def test_removing_an_unchosen_offer_changes_nothing(mask, k, data):
    before = ranked(NBO.recommend(eligibility=mask, k=k))
    narrower = mask.copy()
    for row, offers in enumerate(before):
        unchosen = [i for i in range(J) if mask[row, i] and i not in offers]
        if unchosen:
            narrower[row, data.draw(st.sampled_from(unchosen))] = False
    assert ranked(NBO.recommend(eligibility=narrower, k=k)) == before


@given(mask=MASKS, more=MASKS, k=SIZES)
def test_widening_eligibility_never_lowers_the_total_priority(mask, more, k):
    def totals(allowed):
        frame = NBO.recommend(eligibility=allowed, k=k)
        sums = frame.groupby("customer_id")["priority"].sum()
        return sums.reindex(NBO.customers_, fill_value=0.0).to_numpy()

    assert (totals(mask | more) >= totals(mask) - 1e-12).all()


@given(mask=MASKS, k=SIZES, power=st.integers(-20, 20))
def test_scaling_all_values_keeps_the_order(mask, k, power):
    scaled = clone(NBO).set_params(value=NBO.offer_values_ * 2.0**power).fit(LOG)
    assert ranked(scaled.recommend(eligibility=mask, k=k), scaled) == ranked(NBO.recommend(eligibility=mask, k=k))


def test_ties_go_by_priority_then_propensity_then_order():
    log = pd.DataFrame(
        [(u, p) for u in range(4) for p in ("c", "b", "a", "often")] + [(u, "often") for u in range(4)],
        columns=["customer_id", "product_id"],
    ).assign(amount=1.0)
    log["timestamp"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(([0] * 4) * 4 + [1] * 4, "D")
    nbo = NextBestOffer(k=4, half_life=np.inf).fit(log)
    often, once = nbo.predict_propensity([0])[0][[3, 0]]
    assert (often, once) == (1.0, 0.5)
    assert nbo.recommend([0])["offer"].tolist() == ["often", "a", "b", "c"]
    nbo = NextBestOffer(k=4, half_life=np.inf, value={"often": 1, "a": 2, "b": 2, "c": 2}).fit(log)
    assert nbo.recommend([0])["offer"].tolist() == ["often", "a", "b", "c"]
    nbo = NextBestOffer(k=4, half_life=np.inf, value={"often": 1, "a": 2, "b": 2, "c": 3}).fit(log)
    assert nbo.recommend([0])["offer"].tolist() == ["c", "often", "a", "b"]
    assert NextBestOffer(k=4, value=[0] * 4).fit(log).recommend([0])["offer"].tolist() == ["often", "a", "b", "c"]


@given(seed=st.integers(0, 10_000))
def test_the_order_of_the_rows_changes_no_bit(seed):
    shuffled = LOG.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(clone(NBO).fit(shuffled).recommend(), NBO.recommend())


@given(order=st.permutations(range(12)))
def test_relabelled_customers_get_the_same_offers(order):
    names = np.array(order) * 1000 - 3
    relabelled = clone(NBO).fit(LOG.assign(customer_id=names[LOG["customer_id"]]))
    found = relabelled.recommend(names[NBO.customers_]).assign(customer_id=lambda f: np.argsort(names)[0])
    expected = NBO.recommend()
    assert found["offer"].tolist() == expected["offer"].tolist()
    np.testing.assert_allclose(found["priority"], expected["priority"], rtol=1e-10)


@pytest.mark.parametrize("days", [-365, 1, 10_000])
def test_shifting_the_calendar_changes_nothing(days):
    shifted = LOG.assign(timestamp=LOG["timestamp"] + pd.Timedelta(days, "D"))
    pd.testing.assert_frame_equal(clone(NBO).fit(shifted).recommend(), NBO.recommend())


def test_the_unit_of_the_half_life_changes_nothing():
    weeks = clone(NBO).set_params(half_life=90 / 7, time_unit="W").fit(LOG).recommend()
    pd.testing.assert_frame_equal(weeks, NBO.recommend(), rtol=1e-10)


def test_half_life_and_value_of_a_log_in_another_currency():
    cents = clone(NBO).fit(LOG.assign(amount=LOG["amount"] * 100))
    np.testing.assert_allclose(cents.offer_values_, 100 * NBO.offer_values_, rtol=1e-12)


def test_frames_of_every_library_give_the_same(to_frame):
    log = LOG.assign(customer_id=[f"c{u}" for u in LOG["customer_id"]])
    table = pd.DataFrame({"customer_id": ["c3", "nobody", "c3"], "x": [1.5, 2.5, 3.5]})
    pairs = pd.DataFrame({"customer_id": ["c1", "c1", "c3", "else"], "offer": ["ale", "figs", "figs", "ale"]})
    nbo = NextBestOffer().fit(to_frame(log))
    expected = NextBestOffer().fit(log)
    for arguments in ({}, {"eligibility": pairs}, {"exclude": pairs}, {"exclude": ["figs"]}):
        native = {name: to_frame(v) if isinstance(v, pd.DataFrame) else v for name, v in arguments.items()}
        found, wanted = nbo.recommend(**native), expected.recommend(**arguments)
        assert type(found) is type(to_frame(wanted))
        assert pl.from_pandas(wanted).equals(pl.DataFrame(found))
        assert nbo.n_without_offer_ == expected.n_without_offer_
    widened = nbo.transform(to_frame(table))
    assert type(widened) is type(to_frame(table))
    wanted = pl.from_pandas(expected.transform(table))
    assert pl.DataFrame(widened).to_dicts() == wanted.to_dicts()


def test_lazy_frames_and_mappings_are_read():
    wanted = NBO.recommend()
    lazy = clone(NBO).fit(pl.from_pandas(LOG).lazy()).recommend()
    assert isinstance(lazy, pl.DataFrame)
    assert lazy.equals(pl.from_pandas(wanted))
    mapping = clone(NBO).fit({name: LOG[name].to_numpy() for name in LOG})
    pd.testing.assert_frame_equal(mapping.recommend({"customer_id": [3]}), NBO.recommend([3]))


@pytest.mark.parametrize("kind", ["int", "string", "category"])
def test_products_and_customers_of_every_type(kind):
    log = LOG.assign(product_id=LOG["product_id"].map({name: i for i, name in enumerate(PRODUCTS)}))
    if kind != "int":
        log = log.assign(product_id=log["product_id"].astype(str), customer_id=[f"{u:02d}" for u in log["customer_id"]])
    if kind == "category":
        log = log.astype({"product_id": "category", "customer_id": "category"})
    found = clone(NBO).fit(log).recommend()
    assert [PRODUCTS[int(offer)] for offer in found["offer"]] == NBO.recommend()["offer"].tolist()
    assert found["customer_id"].astype(int).tolist() == NBO.recommend()["customer_id"].tolist()


def test_pairs_and_masks_say_the_same():
    mask = np.random.default_rng(3).random((N, J)) < 0.5
    row, offer = np.nonzero(mask)
    pairs = pd.DataFrame({"customer_id": NBO.customers_[row], "offer": NBO.offers_[offer]})
    expected = NBO.recommend(eligibility=mask)
    pd.testing.assert_frame_equal(NBO.recommend(eligibility=pairs.sample(frac=1, random_state=0)), expected)
    row, offer = np.nonzero(~mask)
    barred = {"customer_id": NBO.customers_[row], "offer": NBO.offers_[offer].tolist()}
    pd.testing.assert_frame_equal(NBO.recommend(exclude=barred), expected)
    order = np.random.default_rng(5).permutation(N)
    turned = NBO.recommend(NBO.customers_[order], eligibility=pairs)
    assert ranked(turned) == ranked(expected)
    assert turned["customer_id"].drop_duplicates().tolist() == [u for u in NBO.customers_[order] if mask[u].any()]


def test_exclusion_overrules_eligibility_and_vectors_hold_for_all():
    only = np.isin(NBO.offers_, ["ale", "corn"])
    assert set(NBO.recommend(eligibility=only)["offer"]) == {"ale", "corn"}
    assert set(NBO.recommend(eligibility=only, exclude=["corn"])["offer"]) == {"ale"}
    nothing = NBO.recommend(eligibility=only, exclude=["ale", "corn"])
    assert nothing.empty
    assert NBO.n_without_offer_ == N
    assert list(nothing) == ["customer_id", "rank", "offer", "propensity", "value", "priority"]
    assert NBO.recommend(eligibility=pd.DataFrame({"customer_id": [], "offer": []})).empty
    assert len(NBO.recommend(exclude=[])) == 3 * N


def test_unknown_customers_get_the_population():
    found = NBO.recommend([3, 99], k=J)
    best = found[found["customer_id"] == 99]
    at = np.argsort(-NBO.popularity_ * NBO.offer_values_)
    assert best["offer"].tolist() == NBO.offers_[at].tolist()
    np.testing.assert_allclose(best["propensity"], NBO.popularity_[at], atol=2.0**-40)
    assert NBO.recommend([], k=2).empty


def test_transform_keeps_the_table_and_marks_what_is_missing():
    log = make_log(products=[10, 20])
    nbo = NextBestOffer(k=3).fit(log)
    table = pd.DataFrame({"customer_id": [5, 5, 77]}, index=[9, 8, 7])
    before = table.copy()
    wide = nbo.transform(table)
    pd.testing.assert_frame_equal(table, before)
    assert wide.index.tolist() == [9, 8, 7]
    assert wide.columns.tolist() == nbo.get_feature_names_out(["customer_id"]).tolist()
    assert nbo.get_feature_names_out().tolist() == wide.columns[1:].tolist()
    assert wide.dtypes[["offer_1", "offer_3"]].tolist() == ["Int64", "Int64"]
    assert wide[["offer_3", "priority_3"]].isna().all(axis=None)
    assert not wide[["offer_1", "offer_2", "priority_1", "priority_2"]].isna().any(axis=None)
    long = nbo.recommend([5, 77])
    assert wide.loc[[9, 7], ["offer_1", "offer_2"]].to_numpy().ravel().tolist() == long["offer"].tolist()
    assert wide.loc[[9, 7], ["priority_1", "priority_2"]].to_numpy().ravel().tolist() == long["priority"].tolist()
    assert wide.iloc[0].equals(wide.iloc[1])
    in_polars = nbo.set_output(transform="polars").transform(table)
    assert isinstance(in_polars, pl.DataFrame)
    assert in_polars["offer_3"].null_count() == 3
    again = nbo.set_output(transform="default").transform(wide)
    pd.testing.assert_frame_equal(again, wide)


@pytest.mark.parametrize("library", FRAMES)
def test_your_own_names_of_the_columns(library):
    log = LOG.rename(columns={"customer_id": "household", "product_id": "category"})
    columns = {"customer_id": "household", "product_id": "category"}
    nbo = clone(NBO).set_params(columns=columns).fit(FRAMES[library](log))
    expected = pl.from_pandas(NBO.recommend())
    assert pl.DataFrame(nbo.recommend()).equals(expected)
    wide = nbo.transform(FRAMES[library](pd.DataFrame({"household": [1, 2]})))
    assert pl.DataFrame(wide)["offer_1"].to_list() == expected.filter(pl.col("rank") == 1)["offer"].to_list()[1:3]


def test_clone_and_pickle_keep_the_answers():
    copy = pickle.loads(pickle.dumps(NBO))
    pd.testing.assert_frame_equal(copy.recommend(), NBO.recommend())
    assert clone(NBO).get_params() == NBO.get_params()
    with pytest.raises(NotFittedError):
        clone(NBO).recommend()
    with pytest.raises(NotFittedError):
        clone(NBO).transform(LOG)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"k": 0}, ValueError, r"The 'k' parameter of NextBestOffer.recommend must be an int in the range \[1, inf\)"),
        (
            {"eligibility": np.ones((2, J), bool)},
            ValueError,
            rf"or \(n_customers, n_offers\) = \({N}, {J}\).*\(2, {J}\)",
        ),
        ({"eligibility": np.ones(J)}, ValueError, "mask must be boolean; got float64"),
        ({"eligibility": np.array([True, None] * 3 + [True])}, ValueError, "mask must be boolean; got object"),
        (
            {"eligibility": pd.DataFrame({"customer_id": [1, 2], "offer": ["ale", "rum"]})},
            InvalidDataError,
            r"1 of 2 rows of the 'eligibility' argument name an unknown offer \(first: rum\).*offers_",
        ),
        ({"exclude": ["rum", "gin"]}, InvalidDataError, r"2 of 2 rows of the 'exclude' argument.*first: rum, gin"),
        ({"exclude": [1]}, InvalidDataError, r"offer column given to .* is no text \(first: 1\)"),
        ({"exclude": "ale"}, ValueError, "must be a sequence of offers or a frame"),
        ({"exclude": pd.DataFrame({"offer": ["ale"]})}, MissingColumnError, r"needs the columns \['customer_id'\]"),
        (
            {"exclude": pd.DataFrame({"customer_id": [1, 2], "offer": ["ale", None]})},
            InvalidDataError,
            r"1 of 2 rows have no offer \(first: 1\)",
        ),
        ({"customers": [1, 1, 2]}, InvalidDataError, "2 of 3 rows share their customer_id"),
        ({"customers": ["1"]}, InvalidDataError, r"customer_id column given to NextBestOffer is text .*first: '1'"),
        ({"customers": [1, None]}, InvalidDataError, "1 of 2 rows have no customer_id"),
        ({"customers": "all"}, ValueError, "must be a frame with customer_id, a sequence of ids or None"),
        ({"customers": pd.DataFrame({"id": [1]})}, MissingColumnError, r"needs the columns \['customer_id'\]"),
    ],
)
def test_messages(arguments, error, message):
    with pytest.raises(error, match=message):
        NBO.recommend(**arguments)


def test_parameters_set_after_the_fit_wait_for_the_next_one():
    nbo = clone(NBO).fit(LOG).set_params(blend=0, prior_baskets=99)
    pd.testing.assert_frame_equal(nbo.recommend(), NBO.recommend())
    assert not nbo.fit(LOG).recommend().equals(NBO.recommend())


def test_a_table_without_ids_is_refused():
    with pytest.raises(MissingColumnError, match=r"NextBestOffer needs the columns \['customer_id'\]"):
        NBO.transform(pd.DataFrame({"x": [1]}))
    with pytest.raises(TypeError, match=r"NextBestOffer.transform takes one table with named columns"):
        NBO.transform([1, 2])


def test_huge_and_old_customers_stay_within_bounds():
    log = pd.concat(
        [
            LOG,
            pd.DataFrame(
                {"customer_id": 2**62, "timestamp": pd.Timestamp("1970-01-02"), "amount": 1e300, "product_id": "ale"},
                index=[0],
            ),
        ]
    )
    nbo = NextBestOffer(half_life=1, k=J).fit(log)
    old = nbo.predict_propensity([2**62])[0]
    np.testing.assert_allclose(old, nbo.popularity_, atol=2.0**-40)
    assert nbo.recommend([2**62])["offer"].iloc[0] == "ale"
