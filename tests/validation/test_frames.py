"""Every frame library, adversarial logs, and the slow reference."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference.validation import judge

from custanalytics.exceptions import DataQualityWarning
from custanalytics.validation import TransactionValidator
from custanalytics.validation._quarantine import without

AS_OF = "2024-12-31"
LIMITS = {"as_of": datetime(2024, 12, 31, 23, 59, 59, 999999), "earliest": datetime(1970, 1, 2)}


def rows_of(frame: Any) -> list[dict[str, Any]]:
    """Any frame as a list of rows, missing as None."""
    if isinstance(frame, pa.Table):
        found = frame.to_pylist()
    elif isinstance(frame, pl.DataFrame):
        found = frame.to_dicts()
    else:
        found = frame.to_dict("records")
    return [
        {name: None if not isinstance(value, list) and pd.isna(value) else value for name, value in row.items()}
        for row in found
    ]


DIRTY = pd.DataFrame(
    {
        "who": ["ann", "bob", None, "guest", "", "ann", "ann", "eve", "eve", "eve"],
        "timestamp": [
            *["2024-05-01T10:00"] * 4,
            "31/12/2024",
            "1970-01-01",
            "2024-05-01T10:00",
            "2025-05-05",
            None,
            "1 May 2024",
        ],
        "amount": ["1.5", "x", "3", "4", "5", "6", "1.5", "inf", "", "-9"],
        "quantity": [1.0, 2.0, None, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        "order_id": [1, 2, 3, 4, 5, 6, 1, 8, 9, 10],
        "mine": list("abcdefahij"),
    }
)
DIRTY_REASONS = {
    1: "unparsable_amount",
    2: "missing_customer_id",
    3: "placeholder_customer",
    4: "blank_customer_id",
    5: "implausible_timestamp",
    6: "duplicate",
    7: "future_timestamp;non_finite_amount",
    8: "missing_timestamp;missing_amount",
}


def test_every_library_gives_the_same(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    log = to_frame(DIRTY)
    validator = TransactionValidator(columns={"customer_id": "who"}, as_of=AS_OF).fit(log)
    clean = validator.transform(log)
    assert type(clean) is type(validator.quarantine_) is type(log)
    expected = [
        ("ann", datetime(2024, 5, 1, 10), 1.5, 1.0, 1, "a", False),
        ("eve", datetime(2024, 5, 1), -9.0, 1.0, 10, "j", True),
    ]
    names = ["customer_id", "timestamp", "amount", "quantity", "order_id", "mine", "is_return"]
    assert rows_of(clean) == [dict(zip(names, row, strict=True)) for row in expected]
    aside = rows_of(validator.quarantine_)
    assert {row["row"]: row["reasons"] for row in aside} == DIRTY_REASONS
    as_they_came = rows_of(log)
    assert [{k: v for k, v in row.items() if k not in ("row", "reasons")} for row in aside] == [
        as_they_came[row["row"]] for row in aside
    ]
    assert list(validator.get_feature_names_out()) == list(rows_of(clean)[0])


def test_the_frame_of_the_caller_stays_as_it_is(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    indexed = DIRTY.set_index(pd.Index([5] * 10, name="i"))
    before = indexed.copy(deep=True)
    validator = TransactionValidator(columns={"customer_id": "who"}, as_of=AS_OF).fit(indexed)
    clean = validator.transform(indexed)
    pd.testing.assert_frame_equal(indexed, before)
    assert clean.index.tolist() == [5, 5]
    clean.loc[:, "mine"] = "changed"
    pd.testing.assert_frame_equal(indexed, before)
    log = to_frame(DIRTY)
    TransactionValidator(columns={"customer_id": "who"}, as_of=AS_OF).fit_transform(log)
    assert rows_of(log) == rows_of(DIRTY)


def test_lists_in_cells_stay_the_callers(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    baskets = [["a"], ["b", "c"], ["a"]]
    log = to_frame(pd.DataFrame({"customer_id": 1, "timestamp": ["2024-05-01"] * 3, "amount": 1.0, "basket": baskets}))
    validator = TransactionValidator(as_of=AS_OF).fit(log)
    assert [list(row["basket"]) for row in rows_of(validator.transform(log))] == [["a"], ["b", "c"]]
    assert baskets == [["a"], ["b", "c"], ["a"]]


def test_columns_of_the_callers_with_our_names_stay(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    log = to_frame(DIRTY.rename(columns={"mine": "row", "order_id": "reasons"}))
    validator = TransactionValidator(columns={"customer_id": "who"}, as_of=AS_OF).fit(log)
    validator.transform(log)
    aside = rows_of(validator.quarantine_)
    assert [row["row"] for row in aside] == [DIRTY["mine"][row["row_"]] for row in aside]
    assert [row["reasons"] for row in aside] == [DIRTY["order_id"][row["row_"]] for row in aside]
    assert "missing_customer_id" in [row["reasons_"] for row in aside]


@pytest.mark.parametrize("dtype", ["Int64", "float64", "str", "category", "string[pyarrow]", "int64[pyarrow]", object])
def test_every_type_of_id(dtype: Any) -> None:
    ids = pd.Series([3, None, 17, 3], dtype="Int64")
    as_text = dtype in ("str", "category", "string[pyarrow]")
    ids = ids.astype("str").where(ids.notna()).astype(dtype) if as_text else ids.astype(dtype)
    log = pd.DataFrame({"customer_id": ids, "timestamp": "2024-05-01", "amount": [1, 2, 3, 4]})
    validator = TransactionValidator(as_of=AS_OF).fit(log)
    assert validator.transform(log)["customer_id"].tolist() == (["3", "17", "3"] if as_text else [3, 17, 3])
    assert validator.quarantine_["reasons"].tolist() == ["missing_customer_id"]


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.String, pl.Int32, pl.UInt64, pl.Float64])
def test_every_type_of_id_of_polars(dtype: Any) -> None:
    texts = dtype in (pl.Categorical, pl.String)
    ids = pl.Series(["3", None, "17"] if texts else [3, None, 17], dtype=dtype)
    log = pl.DataFrame({"customer_id": ids, "timestamp": "2024-05-01", "amount": [1, 2, 3]})
    validator = TransactionValidator(as_of=AS_OF).fit(log)
    assert validator.transform(log)["customer_id"].to_list() == (["3", "17"] if texts else [3, 17])
    assert validator.quarantine_["reasons"].to_list() == ["missing_customer_id"]


def test_lazy_frames_and_mappings_are_read() -> None:
    columns = {"customer_id": [1, "1", 1], "timestamp": ["2024-05-01"] * 3, "amount": [1, 2, 3]}
    assert TransactionValidator(as_of=AS_OF).fit_transform(columns)["amount"].tolist() == [1, 3]
    lazy = pl.LazyFrame(columns | {"customer_id": ["a", "b", None]})
    assert TransactionValidator(as_of=AS_OF).fit_transform(lazy)["amount"].to_list() == [1, 2]


def test_an_empty_log_is_valid(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    for empty in (DIRTY.iloc[:0], pd.DataFrame({"who": [], "timestamp": [], "amount": []})):
        validator = TransactionValidator(columns={"customer_id": "who"}).fit(to_frame(empty))
        clean = validator.transform(to_frame(empty))
        assert rows_of(clean) == rows_of(validator.quarantine_) == []
        report = validator.report_
        assert (report.rows_in, report.rows_clean, report.rows_quarantined) == (0, 0, 0)
        assert set(report.counts.values()) == {0}
        assert "0 rows in = 0 clean" in str(report)


def test_one_row(to_frame: Callable[[pd.DataFrame], Any]) -> None:
    log = to_frame(DIRTY.iloc[:1])
    assert len(rows_of(TransactionValidator(columns={"customer_id": "who"}).fit_transform(log))) == 1


def test_all_rows_quarantined_gives_an_empty_log_and_a_warning_at_the_caller(
    to_frame: Callable[[pd.DataFrame], Any],
) -> None:
    log = to_frame(DIRTY.iloc[1:3])
    validator = TransactionValidator(columns={"customer_id": "who"}, as_of=AS_OF)
    message = "All 2 rows are quarantined: missing_customer_id 1, unparsable_amount 1. The clean log is empty"
    with pytest.warns(DataQualityWarning, match=message) as caught:
        clean = validator.fit_transform(log)
    with pytest.warns(DataQualityWarning, match=message) as caught_again:
        validator.transform(log)
    assert {caught[0].filename, caught_again[0].filename} == {__file__}
    assert rows_of(clean) == []
    assert list(getattr(clean, "column_names", None) or clean.columns) == list(validator.get_feature_names_out())


def test_a_hundred_thousand_copies() -> None:
    log = pd.DataFrame(
        {"customer_id": np.full(100_000, 7), "timestamp": np.datetime64("2024-05-01T10:00", "us"), "amount": 1.0}
    )
    validator = TransactionValidator(as_of=AS_OF).fit(log)
    assert len(validator.transform(log)) == 1
    assert validator.report_.counts["duplicate"] == 99_999
    assert validator.quarantine_["row"].tolist() == list(range(1, 100_000))


IDS = st.sampled_from([None, 1, 2, -1, 3])
NAMES = st.sampled_from([None, "a", "b", "", " nan", "Guest", "ü"])
STAMPS = st.sampled_from(
    [
        None,
        *map(
            datetime.fromisoformat,
            ("2024-05-01", "2024-05-01T10:00", "1970-01-01", "1970-01-02", "2025-01-01", "2024-12-31T23:59"),
        ),
    ]
)
NUMBERS = st.sampled_from([None, 0.0, -0.0, 1.5, -1.5, 1e-9, float("inf"), float("nan"), 1e300])
LOGS = st.tuples(st.booleans(), st.booleans()).flatmap(
    lambda kind: st.lists(
        st.fixed_dictionaries(
            {"customer_id": IDS if kind[0] else NAMES, "timestamp": STAMPS, "amount": NUMBERS}
            | ({"quantity": NUMBERS, "mine": st.sampled_from(["x", "y", None])} if kind[1] else {})
        ),
        min_size=1,
        max_size=30,
    )
)


def framed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    log = pd.DataFrame(rows)
    numbers = all(row["customer_id"] is None or isinstance(row["customer_id"], int) for row in rows)
    types = {"customer_id": "Int64" if numbers else "str", "timestamp": "datetime64[us]", "amount": float}
    return log.astype(types | ({"quantity": float, "mine": "str"} if "mine" in log else {}))


@pytest.mark.filterwarnings("ignore:All [0-9,]+ rows are quarantined")
@given(rows=LOGS, seed=st.integers(0, 2**32 - 1))
def test_typed_logs_are_judged_as_by_the_slow_reference(rows: list[dict[str, Any]], seed: int) -> None:
    log = framed(rows)
    expected, returns = judge(rows, **LIMITS, placeholders=frozenset({-1, "guest"}))
    for frame in (log, pl.from_pandas(log), pa.Table.from_pandas(log)):
        validator = TransactionValidator(as_of=AS_OF).fit(frame)
        clean = validator.transform(frame)
        found = {row["row"]: set(row["reasons"].split(";")) for row in rows_of(validator.quarantine_)}
        assert [found.get(row, set()) for row in range(len(rows))] == expected
        kept = [flag for flag, broken in zip(returns, expected, strict=True) if not broken]
        assert [row["is_return"] for row in rows_of(clean)] == kept
        report = validator.report_
        assert report.rows_in == report.rows_clean + report.rows_quarantined == len(rows)
        assert report.rows_quarantined == sum(report.patterns.values()) == len(found)
        for rule in TransactionValidator.rules():
            if rule.severity == "warning":
                continue
            wanted = sum(kept) if rule.name == "return" else sum(rule.name in broken for broken in expected)
            assert report.counts[rule.name] == wanted

    again = TransactionValidator(as_of=AS_OF).fit(clean)
    assert rows_of(again.transform(clean)) == rows_of(clean)
    assert again.report_.rows_quarantined == 0

    shuffled = log.sample(frac=1, random_state=seed)
    other = TransactionValidator(as_of=AS_OF).fit(shuffled)
    other.transform(shuffled)
    assert other.report_ == report


MESS = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.datetimes(),
    st.dates(),
    st.datetimes(timezones=st.timezones()),
    st.decimals(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
    st.binary(max_size=3),
    st.sampled_from(
        ["2024-05-01", "05/06/2024", "13/06/2024", "2024-05-01T10:00Z", "1,234.50", "10.05", "ann", "guest"]
    ),
)


SOUND = ["ann", "2024-05-01T10:00", 1.5, 2, "x"]
MESSY_ROWS = st.lists(st.tuples(*(st.one_of(st.just(value), MESS) for value in SOUND)), min_size=1, max_size=20)


def test_arrow_types_that_narwhals_does_not_know() -> None:
    days = pa.array(["2024-01-01", "2024-01-02"], pa.string_view())
    log = pa.table({"customer_id": ["a", "b"], "timestamp": days, "amount": [1.0, 2.0], "quantity": pa.nulls(2)})
    clean = TransactionValidator(as_of=AS_OF).fit_transform(log)
    assert clean["timestamp"].to_pylist() == [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    validator = TransactionValidator(as_of=AS_OF)
    with pytest.warns(DataQualityWarning, match="All 2 rows are quarantined"):
        validator.fit_transform(log.set_column(1, "timestamp", pa.nulls(2)))
    assert validator.quarantine_["reasons"].to_pylist() == ["missing_timestamp"] * 2


@pytest.mark.filterwarnings("ignore:All [0-9,]+ rows are quarantined")
@given(rows=MESSY_ROWS, seed=st.integers(0, 2**32 - 1))
def test_any_mess_ends_in_clean_rows_and_reasons(rows: list[tuple[Any, ...]], seed: int) -> None:
    names = ["customer_id", "timestamp", "amount", "quantity", "mine"]
    log = pd.DataFrame(
        {
            name: pd.Series(list(column), dtype=object)
            for name, column in zip(names, zip(*rows, strict=True), strict=True)
        }
    )
    validator = TransactionValidator(as_of=AS_OF).fit(log)
    clean = validator.transform(log)
    aside = validator.quarantine_
    assert len(log) == len(clean) + len(aside) == validator.report_.rows_in
    assert sorted([*clean.index, *aside["row"]]) == list(log.index)
    assert aside["reasons"].str.len().gt(0).all()
    assert clean["timestamp"].dtype.kind == "M"
    assert np.isfinite(clean["amount"]).all()

    again = TransactionValidator(as_of=AS_OF).fit(clean)
    # Number objects are integers once no row is left whose id is a fraction or past int64: values stay, types may not.
    pd.testing.assert_frame_equal(again.transform(clean), clean, check_dtype=False)
    assert again.report_.rows_quarantined == 0

    shuffled = log.sample(frac=1, random_state=seed)
    other = TransactionValidator(as_of=AS_OF).fit(shuffled)
    other.transform(shuffled)
    assert other.report_ == validator.report_


@pytest.mark.parametrize(
    "rows", [[], [0], [0, 1, 599], [5, 6, 300], list(range(300)), list(range(256)), list(range(600))]
)
def test_taking_rows_out_leaves_the_others_as_they_were(
    rows: list[int], to_frame: Callable[[pd.DataFrame], Any]
) -> None:
    log = pd.DataFrame({"a": range(600), "b": pd.Categorical(["x", "y", None] * 200), "c": ["é", None] * 300})
    log["d"] = pd.date_range("2024-01-01", periods=600)
    log.index = pd.Index(range(600, 0, -1), name="i")
    given = to_frame(log)
    kept = [row for row in range(600) if row not in rows]
    found = without(nw.from_native(given, eager_only=True), np.array(rows, np.int64)).to_native()
    assert rows_of(found) == [row for row in rows_of(given) if row["a"] in kept]
    if isinstance(given, pd.DataFrame):
        pd.testing.assert_frame_equal(found, log.iloc[kept])
