"""One person behind several ids: against a search of all pairs, in any order of the rows, on all kinds of frames."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from custanalytics.exceptions import InvalidDataError, MissingColumnError, MissingExtraError
from custanalytics.validation import ConsentLedger, IdentityResolver, ProbabilisticResolver, apply_merge_map
from custanalytics.validation._probabilistic import blocks

KEYS = ["loyalty_card", ("surname", "postcode")]
ROWS = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from([None, "A1", "a-1", "B2", "C3", "D4", "n/a"]),
        st.sampled_from([None, "Müller", "MULLER", "Lee", "Ng"]),
        st.sampled_from([None, "10115", "10 115", "80331"]),
    ),
    max_size=16,
)


def table_of(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["customer_id", "loyalty_card", "surname", "postcode"], dtype=object)
    return table.astype({"customer_id": np.int64})


def plain(value: str | None) -> str | None:
    text = (value or "").lower().replace("ü", "u").replace("-", "").replace(" ", "")
    return None if text in ("", "n/a") else text


def by_all_pairs(rows: list[tuple[Any, ...]], max_sharing: int, max_group: int) -> dict[int, int]:
    """Merge maps by trying all pairs of rows until nothing changes."""
    owners: dict[Any, set[int]] = {}
    for one, card, surname, postcode in rows:
        keys = [("card", plain(card)), ("name", plain(surname), plain(postcode))]
        for key in keys:
            if None not in key:
                owners.setdefault(key, set()).add(one)
    people = [{one} for one in {row[0] for row in rows}]
    for sharing in owners.values():
        if 1 < len(sharing) <= max_sharing:
            touched = [person for person in people if person & sharing]
            people = [person for person in people if not person & sharing] + [set().union(*touched)]
    return {one: min(p) for p in people if len(p) <= max_group for one in p if one != min(p)}


def as_dict(merge_map: pd.DataFrame) -> dict[int, int]:
    return dict(zip(merge_map["customer_id"].tolist(), merge_map["survivor_id"].tolist(), strict=True))


@given(ROWS, st.integers(2, 4), st.integers(2, 6), st.randoms())
def test_groups_are_those_of_all_pairs_in_any_order(
    rows: list[tuple[Any, ...]], max_sharing: int, max_group: int, random: Any
) -> None:
    resolver = IdentityResolver(keys=KEYS, max_sharing=max_sharing, max_group=max_group)
    first = resolver.fit(table_of(rows)).merge_map_
    assert as_dict(first) == by_all_pairs(rows, max_sharing, max_group)
    counts = resolver.counts_
    assert counts["customers"] == len({row[0] for row in rows}) == counts["people"] + counts["merged"]
    assert counts["merged"] == len(first)
    shared, large = resolver.shared_keys_, resolver.large_groups_
    resolver.fit(table_of(random.sample(rows, len(rows))))
    pd.testing.assert_frame_equal(resolver.merge_map_, first)
    pd.testing.assert_frame_equal(resolver.shared_keys_, shared)
    assert set(resolver.large_groups_["customer_id"]) == set(large["customer_id"])
    assert not set(large["customer_id"]) & set(first["customer_id"])


@given(ROWS)
def test_a_merged_log_has_no_duplicates_left(rows: list[tuple[Any, ...]]) -> None:
    table = table_of(rows)
    resolver = IdentityResolver(keys=KEYS, max_sharing=100, max_group=100).fit(table)
    merged, counts = apply_merge_map(table, resolver.merge_map_, original_column="before", return_counts=True)
    assert len(IdentityResolver(keys=KEYS, max_sharing=100).fit(merged).merge_map_) == 0
    assert counts["customers_after"] == resolver.counts_["people"]
    assert counts["rows_changed"] == (merged["customer_id"] != merged["before"]).sum()
    pd.testing.assert_frame_equal(
        merged.assign(customer_id=merged["before"]).drop(columns="before"), table, check_dtype=True
    )
    pd.testing.assert_frame_equal(apply_merge_map(merged, resolver.merge_map_), merged)


def test_usual_keys_in_their_normal_forms() -> None:
    customers = pd.DataFrame(
        {
            "customer_id": ["c1", "c2", "c3", "c4", "c5", "c6", "c7"],
            "email": ["Ann@Shop.de", "ann@shop.DE", None, "n/a", "n/a", "test@test.com", "test@test.com"],
            "phone": [None, "0151 23456789", "+49 (151) 2345-6789", "000000", "000000", None, None],
            "name": ["", "", "", "Müller, Ann", "ann MULLER", "Bob Lee", "Bob Lee"],
            "birth_date": [None, None, None, "1980-02-01", "1980-02-01", "1980-02-01", None],
            "postcode": [None, None, None, 10115, "10115", 10115, 10115],
        }
    )
    resolver = IdentityResolver(country="DE").fit(customers)
    assert resolver.merge_map_.to_numpy().tolist() == [
        ["c2", "c1", "email;phone"],
        ["c3", "c1", "phone"],
        ["c5", "c4", "name+birth_date+postcode"],
    ]
    assert resolver.counts_ == {
        "customers": 7,
        "people": 4,
        "merged": 3,
        "groups": 2,
        "largest_group": 3,
        "in_large_groups": 0,
    }


def test_aliases_of_one_mailbox_on_demand() -> None:
    emails = [
        "ann.lee@gmail.com",
        "annlee+shop@googlemail.com",
        "a.b@outlook.com",
        "ab@outlook.com",
        "x+1@own.de",
        "x@own.de",
    ]
    customers = {"customer_id": range(6), "email": emails}
    assert len(IdentityResolver().fit(customers).merge_map_) == 0
    assert as_dict(IdentityResolver(email_aliases=True).fit(customers).merge_map_) == {1: 0}


def test_what_many_share_is_no_key_and_is_reported() -> None:
    customers = pd.DataFrame(
        {"customer_id": range(8), "phone": ["+4915123456789"] * 6 + ["+4915123450000"] * 2, "postcode": "1"}
    )
    resolver = IdentityResolver().fit(customers)
    assert as_dict(resolver.merge_map_) == {7: 6}
    assert resolver.shared_keys_.to_numpy().tolist() == [["phone", "+4915123456789", 6]]
    assert len(IdentityResolver(max_sharing=6).fit(customers).merge_map_) == 6
    chain = pd.DataFrame({"customer_id": np.repeat(range(9), 2), "card": [f"k{(i + 1) // 2}" for i in range(18)]})
    resolver = IdentityResolver(keys=["card"], max_group=8).fit(chain)
    assert len(resolver.merge_map_) == 0
    assert resolver.large_groups_["customer_id"].tolist() == list(range(9))
    assert resolver.large_groups_["group"].tolist() == [0] * 9
    assert as_dict(IdentityResolver(keys=["card"], max_group=9).fit(chain).merge_map_) == dict.fromkeys(range(1, 9), 0)


def test_the_earliest_survives() -> None:
    customers = pd.DataFrame(
        {
            "customer_id": [1, 2, 3, 4],
            "card": ["a", "a", "a", "b"],
            "since": pd.to_datetime([None, "2020-01-01", "2019-05-05", "2000-01-01"]),
        }
    )
    assert as_dict(IdentityResolver(keys=["card"], earliest="since").fit(customers).merge_map_) == {1: 3, 2: 3}
    tie = customers.assign(since=pd.Timestamp("2020-01-01"))
    assert as_dict(IdentityResolver(keys=["card"], earliest="since").fit(tie).merge_map_) == {2: 1, 3: 1}


def test_all_kinds_of_frames(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    customers = pd.DataFrame({"client": ["b", "a", "c", "d"], "card": ["1", "1", "2", None]})
    native = to_frame(customers)
    resolver = IdentityResolver(columns={"customer_id": "client"}, keys=["card"]).fit(native)
    assert type(resolver.merge_map_) is type(native) is type(resolver.shared_keys_) is type(resolver.large_groups_)
    assert [list(np.asarray(resolver.merge_map_[name])) for name in ("customer_id", "survivor_id")] == [["b"], ["a"]]
    for column in ("client", "customer_id"):
        log = to_frame(pd.DataFrame({"amount": [1.0, 2.0], column: ["b", "d"]}))
        merged = resolver.transform(log)
        assert type(merged) is type(log)
        assert list(np.asarray(merged[column])) == ["a", "d"]
    again = pickle.loads(pickle.dumps(resolver))
    assert list(np.asarray(again.transform(native)["client"])) == ["a", "a", "c", "d"]
    assert isinstance(clone(resolver).fit(native).set_output(transform="polars").transform(native), pl.DataFrame)


@pytest.mark.parametrize(
    "ids",
    [
        pd.Series([1, 2, 3]),
        pd.Series([1, 2, None]),
        pd.Series([1, 2, None], dtype="Int64"),
        pd.Series([1, 2, None], dtype=object),
        pd.Series(["1", "2", None]),
        pd.Series(["1", "2", None], dtype="category"),
        pd.Series([1, 2, 3], dtype="uint8"),
        pd.Series([1, 2, 3], dtype="int64[pyarrow]"),
        pd.Series(["1", "2", "3"], dtype="string"),
    ],
    ids=lambda ids: f"{ids.dtype}-{ids.isna().any()}",
)
def test_ids_keep_their_type_and_missing_ones_stay(ids: pd.Series) -> None:
    ids.index = [5, 3, 9]
    first, second = ids.dropna().tolist()[:2]
    merged, counts = apply_merge_map(ids.to_frame("customer_id"), {second: first}, return_counts=True)
    assert merged["customer_id"].tolist()[:2] == [first, first]
    assert merged["customer_id"].isna().tolist() == ids.isna().tolist()
    assert merged.index.tolist() == [5, 3, 9]
    if ids.dtype != "category":
        assert merged["customer_id"].dtype == ids.dtype
    assert counts["rows_without_id"] == ids.isna().sum()


@pytest.mark.parametrize("kind", [pa.int32(), pa.uint64(), pa.string(), pa.large_string(), pa.float64()], ids=str)
def test_arrow_ids_keep_their_type(kind: pa.DataType) -> None:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    ids = ["a", "b", None] if text else [1, 2, None]
    for values, expected in ((ids, [ids[0], ids[0], None]), (ids[:2], [ids[0], ids[0]])):
        merged = apply_merge_map(pa.table({"customer_id": pa.array(values, kind)}), {ids[1]: ids[0]})
        assert merged.schema.field("customer_id").type == kind
        assert merged["customer_id"].to_pylist() == expected


def test_ids_beyond_int64() -> None:
    huge = 2**64 - 3
    for frame in (
        pl.DataFrame({"customer_id": pl.Series([huge, 5], dtype=pl.UInt64)}),
        pa.table({"customer_id": pa.array([huge, 5], pa.uint64())}),
    ):
        assert np.asarray(apply_merge_map(frame, {huge: 7})["customer_id"]).tolist() == [7, 5]
        assert np.asarray(apply_merge_map(frame, {5: huge})["customer_id"]).tolist() == [huge, huge]
        events = {"customer_id": np.array([huge], np.uint64), "status": ["opt-in"], "timestamp": ["2024-01-01"]}
        assert ConsentLedger(events).allowed(frame, "email", "news", "2024-02-01").tolist() == [True, False]


def test_chains_end_and_circles_are_refused() -> None:
    frame = {"customer_id": ["a", "b", "c", "d", "e"]}
    for chain in ({"a": "b", "b": "c", "d": "d"}, {"b": "c", "a": "b"}):
        assert apply_merge_map(frame, chain)["customer_id"].tolist() == ["c", "c", "c", "d", "e"]
    with pytest.raises(InvalidDataError, match=r"goes round in a circle: 'a' -> 'b' -> 'a'. Say which"):
        apply_merge_map(frame, {"x": "a", "a": "b", "b": "a"})
    twice = pd.DataFrame({"customer_id": ["a", "a"], "survivor_id": ["b", "c"]})
    with pytest.raises(InvalidDataError, match="gives 'a' two survivors, 'b' and 'c'"):
        apply_merge_map(frame, twice)
    with pytest.raises(InvalidDataError, match="The merge map has a missing id"):
        apply_merge_map(frame, twice.assign(survivor_id=["b", None]))
    with pytest.raises(
        InvalidDataError, match=r"given to apply_merge_map are text .*those of the merge map are no text"
    ):
        apply_merge_map(frame, {1: 2})
    with pytest.raises(ValueError, match="has a column 'customer_id' already"):
        apply_merge_map(frame, {"a": "b"}, original_column="customer_id")
    with pytest.raises(MissingColumnError, match=r"apply_merge_map needs the columns \['who'\]"):
        apply_merge_map(frame, {"a": "b"}, column="who")
    with pytest.raises(MissingColumnError, match="The 'merge_map' argument of apply_merge_map needs the columns"):
        apply_merge_map(frame, pd.DataFrame({"customer_id": ["a"]}))


def test_counts_of_a_merge() -> None:
    frame = pl.DataFrame({"customer_id": [1, 2, 2, 3, None]})
    merged, counts = apply_merge_map(frame, {2: 1, 9: 1}, return_counts=True)
    assert merged["customer_id"].to_list() == [1, 1, 1, 3, None]
    assert counts == {
        "rows": 5,
        "rows_changed": 2,
        "rows_without_id": 1,
        "customers_before": 3,
        "customers_after": 2,
        "merges_applied": 1,
        "merges_unused": 1,
    }


def test_an_opt_out_of_a_duplicate_holds_for_the_person() -> None:
    customers = pd.DataFrame({"customer_id": [1, 2], "email": ["ann@shop.de", "ANN@shop.de"]})
    events = pd.DataFrame(
        {
            "customer_id": [1, 2],
            "status": ["opt-in", "opt-out"],
            "timestamp": pd.to_datetime(["2024-02-01", "2024-01-01"]),
        }
    )
    ledger = ConsentLedger(events)
    assert ledger.allowed([1], "email", "news", "2024-03-01").all()
    merged = ledger.merged(IdentityResolver().fit(customers).merge_map_)
    assert not merged.allowed([1, 2], "email", "news", "2024-03-01").any()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"columns": 3}, "The 'columns' parameter of IdentityResolver must be an instance of Mapping"),
        ({"keys": "email"}, "The 'keys' parameter of IdentityResolver must be an instance of list"),
        ({"keys": []}, "The 'keys' parameter of IdentityResolver must hold names of columns"),
        ({"keys": [()]}, "The 'keys' parameter of IdentityResolver must hold names of columns"),
        ({"keys": [3]}, "The 'keys' parameter of IdentityResolver must hold names of columns"),
        ({"max_sharing": 1}, "The 'max_sharing' parameter of IdentityResolver must be an int in the range"),
        ({"max_group": 1}, "The 'max_group' parameter of IdentityResolver must be an int in the range"),
        ({"email_aliases": "yes"}, "The 'email_aliases' parameter of IdentityResolver must be"),
        ({"keys": ["card"]}, r"IdentityResolver needs the columns \['card'\]"),
        ({"earliest": "since"}, r"IdentityResolver needs the columns \['since'\]"),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IdentityResolver(**params).fit({"customer_id": [1], "email": ["ann@shop.de"]})


def test_wrong_tables_are_refused() -> None:
    with pytest.raises(MissingColumnError, match=r"needs the columns \['email'\].*name the columns to go by"):
        IdentityResolver().fit({"customer_id": [1]})
    with pytest.raises(InvalidDataError, match=r"1 of 2 rows have no customer_id \(first: 1\)"):
        IdentityResolver().fit({"customer_id": ["a", None], "email": ["x@y.de", "x@y.de"]})
    with pytest.raises(NotFittedError):
        IdentityResolver().transform({"customer_id": [1]})
    with pytest.raises(ValueError, match=r"pass input_features=frame.columns"):
        IdentityResolver().get_feature_names_out()
    assert IdentityResolver().get_feature_names_out(["a"]).tolist() == ["a"]


def simulated(n: int, seed: int) -> tuple[pd.DataFrame, dict[int, int]]:
    """Customers, an eighth of whom opened a second account with typing errors; and who they are."""
    rng = np.random.default_rng(seed)
    syllables = np.array([a + b for a in "bdfgklmnst" for b in "aeiou"])
    words = ["".join(rng.choice(syllables, 3)) for _ in range(900)]
    names = [f"{rng.choice(words[:150])} {rng.choice(words[150:])}" for _ in range(n)]
    people = pd.DataFrame(
        {
            "customer_id": range(n),
            "name": names,
            "birth_date": np.datetime_as_string(np.datetime64("1950-01-01") + rng.integers(0, 20_000, n)),
            "postcode": [f"{code:05d}" for code in rng.integers(10_000, 10_400, n)],
            "email": [f"{name.replace(' ', '.')}{number}@shop.de" for number, name in enumerate(names)],
        }
    )
    again = people.sample(n // 8, random_state=seed)
    truth = dict(zip(range(n, n + len(again)), again["customer_id"].tolist(), strict=True))

    def mistyped(text: str) -> str:
        at = rng.integers(0, 6)
        return text[:at] + rng.choice(list("xyz0123")) + text[at + 1 :]

    again = again.assign(customer_id=list(truth))
    for column in ("name", "birth_date", "postcode", "email"):
        again[column] = [mistyped(text[:5]) + text[5:] if rng.random() < 0.4 else text for text in again[column]]
    return pd.concat([people, again]).sample(frac=1, random_state=seed, ignore_index=True), truth


@pytest.fixture(scope="module")
def linked() -> tuple[ProbabilisticResolver, pd.DataFrame, dict[int, int]]:
    customers, truth = simulated(1_000, 0)
    return ProbabilisticResolver().fit(customers), customers, truth


def test_mistyped_duplicates_are_found(linked: Any) -> None:
    resolver, customers, truth = linked
    found = as_dict(resolver.merge_map_)
    exact = as_dict(IdentityResolver().fit(customers).merge_map_)
    right = sum(truth.get(merged) == survivor for merged, survivor in found.items())
    assert right >= 0.9 * len(truth) > 1.2 * len(exact)
    assert len(found) - right <= 0.02 * len(truth)
    probability = resolver.merge_map_["probability"]
    assert probability.between(0.99, 1).all()
    assert resolver.links_["probability"].is_monotonic_decreasing
    assert set(resolver.links_.columns) == {"customer_id", "other_id", "probability"}
    assert resolver.counts_["people"] == len(customers) - len(found)
    assert resolver.transform(customers)["customer_id"].nunique() == resolver.counts_["people"]


def test_what_too_many_share_is_compared_only_with_something_else() -> None:
    n = 3_000
    table = {
        "name": [str(at // 2) for at in range(n)],
        "city": ["here"] * n,
        "shop": [str(at % 3) for at in range(n - 1)] + [None],
        "street": [str(at % 300) for at in range(n)],
        "country": ["DE"] * n,
        "card": list(map(str, range(n))),
    }
    assert blocks(table) == [("name",), ("shop",), ("street",)]
    table = {name: 4 * values for name, values in table.items()}
    assert blocks(table) == [("name",), ("street",), ("card",)]
    table |= {"quarter": [str(at % 40) for at in range(4 * n)], "month": [str(at % 13) for at in range(4 * n)]}
    table["quarter"][::2] = ["0"] * (2 * n)
    assert blocks(table)[3:] == [("shop", "month"), ("quarter", "month")]


def test_customers_who_all_share_everything_are_refused() -> None:
    alike = {"customer_id": range(3_000), "city": ["here"] * 3_000, "country": ["DE"] * 3_000}
    with pytest.raises(
        InvalidDataError, match=r"Of 3,000 customers, millions of pairs agree in each .*\['city', 'coun"
    ):
        ProbabilisticResolver(compare=["city", "country"]).fit(alike)


def test_probabilities_need_something_to_learn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    apart = {"customer_id": [1, 2], "name": ["Ann Lee", "Bob Ng"], "postcode": ["1", "2"]}
    with pytest.raises(InvalidDataError, match="No two customers agree in any of the columns"):
        ProbabilisticResolver().fit(apart)
    with pytest.raises(InvalidDataError, match="compares at least two columns, but only 1 of 2 are filled in any row"):
        ProbabilisticResolver().fit({"customer_id": [1, 2], "name": [None, "n/a"], "postcode": ["1", "1"]})
    with pytest.raises(ValueError, match="compares at least two columns; got"):
        ProbabilisticResolver(compare=["name"]).fit(apart)
    with pytest.raises(ValueError, match="The 'threshold' parameter of ProbabilisticResolver must be a float"):
        ProbabilisticResolver(threshold=0).fit(apart)
    with pytest.raises(MissingColumnError, match=r"ProbabilisticResolver needs the columns \['card'\]"):
        ProbabilisticResolver(compare=["name", "card"]).fit(apart)
    monkeypatch.setitem(sys.modules, "splink", None)
    with pytest.raises(MissingExtraError, match=r"'splink', which is not installed.*custanalytics\[identity\]"):
        ProbabilisticResolver().fit(apart)


@pytest.mark.parametrize(
    "ids", [[1, 2, 3], [1.0, 2.0, np.nan], [2**62 + 1, 2**62 + 2, 5], [Decimal(1), Decimal(2), None]]
)
def test_merged_ids_of_categories_stay_numbers(ids: list[Any]) -> None:
    frame = pd.DataFrame({"customer_id": pd.Series(ids, dtype="category")})
    merged, counts = apply_merge_map(frame, {int(ids[1]): int(ids[0])}, return_counts=True)
    assert merged["customer_id"].tolist()[:2] == [ids[0], ids[0]]
    assert merged["customer_id"].nunique() == counts["customers_after"]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize(
    ("ids", "survivor"),
    [
        (np.array([1, 2], np.int8), 300),
        (np.array([1, 2], np.uint32), -1),
        (np.array([1.0, 2.0]), 2**53 + 1),
        (["a", "b"], 1),
    ],
)
def test_a_survivor_that_the_column_cannot_hold_is_refused(make: Any, ids: Any, survivor: int) -> None:
    frame = make({"customer_id": ids})
    with pytest.raises(InvalidDataError, match=r"'customer_id' holds .* do not all fit \(first: \["):
        apply_merge_map(frame, {ids[1] if isinstance(ids, list) else 2: survivor})


def test_a_survivor_of_another_type_is_the_id_of_the_frame() -> None:
    frame = pl.DataFrame({"customer_id": [Decimal(1), Decimal(2)]})
    assert apply_merge_map(frame, {2: 1})["customer_id"].to_list() == [Decimal(1), Decimal(1)]
