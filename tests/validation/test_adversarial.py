"""Logs made to break a validator: each ends in a clear error or in a reasoned quarantine."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.validation import TransactionValidator

AS_OF = "2024-12-31"
DAYS = ["2024-05-01T10:00", "2024-05-02T10:00", "2024-05-03T10:00", "2024-05-04T10:00"]
NEW = ("row", "reasons")
MODES = ("quarantine", "repair")


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Unhashable({self.name})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unhashable) and other.name == self.name


def judged(frame: Any, **params: Any) -> dict[int, str]:
    """The reasons by row, in both modes; every row is accounted for, and the frame stays as it is."""
    found: list[dict[int, str]] = []
    for mode in MODES:
        validator = TransactionValidator(**{"as_of": AS_OF, "on_error": mode, **params}).fit(frame)
        clean = validator.transform(frame)
        report = validator.report_
        assert len(clean) == report.rows_clean
        assert report.rows_in == report.rows_clean + report.rows_quarantined + report.rows_merged == len(frame)
        aside = validator.quarantine_
        rows, why = (aside[name].to_pylist() if isinstance(aside, pa.Table) else list(aside[name]) for name in NEW)
        found.append(dict(zip(rows, why, strict=True)))
        again = TransactionValidator(as_of=AS_OF, on_error=mode).fit(clean)
        assert len(again.transform(clean)) == len(clean)
    return found[0]


def objects(ids: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": pd.Series(ids, dtype=object),
            "timestamp": DAYS[: len(ids)],
            "amount": [1.0, 2.0, 3.0, 4.0][: len(ids)],
        }
    )


def amounts(values: Any) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ["a", "b", "c", "d"], "timestamp": DAYS, "amount": values})


@pytest.mark.parametrize(
    ("ids", "reasons"),
    [
        (["a", Unhashable("x"), "b", "c"], {1: "mixed_id_types"}),
        (["a", b"a", "b", "c"], {1: "mixed_id_types"}),
        (["a", True, "b", "c"], {1: "mixed_id_types"}),
        ([True, False, True, True], {}),
        (["a", {"id": {"of": [1]}}, "b", "c"], {1: "invalid_customer_id"}),
        (["a", Decimal("sNaN"), "b", "c"], {1: "missing_customer_id"}),
        ([1, Decimal("sNaN"), Decimal("NaN"), 2], {1: "missing_customer_id", 2: "missing_customer_id"}),
        ([2**63, 2**64 + 1, 7, -(2**70)], {}),
        ([1, "1", 1.0, 2], {1: "mixed_id_types"}),
        ([0.0, -0.0, 1, 2], {}),
        ([pd.NA, None, float("nan"), "a"], dict.fromkeys(range(3), "missing_customer_id")),
        (["x" * 10**6, "中" * 10**4, "🎁", "a\u0301"], {}),
        ([("a", 1), ("b", 2), "c", "d"], {0: "invalid_customer_id", 1: "invalid_customer_id"}),
        (["\ud83d", "b\udc80", "é", "🎁"], {0: "invalid_customer_id", 1: "invalid_customer_id"}),
    ],
)
def test_ids(ids: list[Any], reasons: dict[int, str]) -> None:
    assert judged(objects(ids)) == reasons


@pytest.mark.filterwarnings("ignore:All [0-9,]+ rows are quarantined")
@pytest.mark.parametrize("mode", MODES)
def test_columns_of_nothing(mode: str, to_frame: Any) -> None:
    for name in ("customer_id", "timestamp", "amount"):
        frame = to_frame(amounts([1.0, 2.0, 3.0, 4.0]).assign(**{name: pd.Series([None] * 4, dtype=object)}))
        validator = TransactionValidator(as_of=AS_OF, on_error=mode).fit(frame)
        assert len(validator.transform(frame)) == 0
        assert validator.report_.rows_quarantined == 4
    frame = to_frame(amounts([1.0, 2.0, 3.0, 4.0]).assign(quantity=pd.Series([None] * 4, dtype=object)))
    assert judged(frame) == {}


def test_amounts_that_overflow_or_are_none() -> None:
    assert judged(amounts([1e308, -1e308, 1.0, 2.0])) == {0: "huge_amount", 1: "huge_amount"}
    assert judged(amounts([np.inf, -np.inf, -0.0, 0.0])) == {0: "non_finite_amount", 1: "non_finite_amount"}
    values = pd.Series([Decimal("sNaN"), Decimal("Infinity"), 10**400, Decimal("1.10")], dtype=object)
    assert judged(amounts(values)) == {0: "missing_amount", 1: "non_finite_amount", 2: "non_finite_amount"}
    values = pd.Series([True, b"1", 1j, np.float32(2)], dtype=object)
    assert judged(amounts(values)) == dict.fromkeys(range(3), "unparsable_amount")
    assert judged(amounts([1e15, 1.1e15, 1.0, 2.0])) == {1: "huge_amount"}
    frame = amounts([1e15, 1.1e15, 1.0, 2.0])
    assert len(TransactionValidator(max_amount=1e16).fit_transform(frame)) == 4
    assert len(TransactionValidator(max_amount=1.5).fit_transform(frame)) == 1


def test_booleans_are_no_amounts() -> None:
    with pytest.warns(UserWarning, match="All 4 rows are quarantined: unparsable_amount 4"):
        TransactionValidator().fit_transform(amounts([True, False, True, True]))


def test_times_at_the_ends_of_every_calendar() -> None:
    stamps = pd.Series(
        [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), date(1, 1, 1), DAYS[0]], dtype=object
    )
    reasons = {0: "implausible_timestamp", 1: "implausible_timestamp;future_timestamp", 2: "implausible_timestamp"}
    assert judged(amounts([1.0, 2.0, 3.0, 4.0]).assign(timestamp=stamps)) == reasons
    typed = np.array(["0001-01-01", "9999-12-31", "1677-01-01", "2024-05-01"], "datetime64[us]")
    assert judged(amounts([1.0, 2.0, 3.0, 4.0]).assign(timestamp=typed)) == reasons
    seconds = np.array(["-90000-01-01", "200000-01-01", "1677-01-01", "2024-05-01"], "datetime64[s]")
    assert judged(amounts([1.0, 2.0, 3.0, 4.0]).assign(timestamp=seconds)) == reasons
    moved = [f"{year}-01-01T00:00+14:00" for year in ("0001", "9999", "1677", "2024")]
    frame = amounts([1.0, 2.0, 3.0, 4.0]).assign(timestamp=moved)
    assert judged(frame, time_zone="Pacific/Honolulu") == reasons


def test_dates_of_several_formats_and_mixed_offsets() -> None:
    frame = amounts([1.0, 2.0, 3.0, 4.0])
    texts = ["2024-05-01", "13/05/2024", "05/14/2024", "05/06/2024"]
    assert judged(frame.assign(timestamp=texts)) == {3: "ambiguous_timestamp"}
    zoned = ["2024-05-01T10:00+02:00", "2024-05-01T10:00+02:00", "2024-05-01T10:00Z", "2024-05-01T10:00+02:00"]
    assert judged(frame.assign(timestamp=zoned)) == {2: "mixed_time_zones"}
    python = [datetime(2024, 5, 1, tzinfo=timezone(timedelta(hours=hours))) for hours in (1, 1, 1, 2)]
    assert judged(frame.assign(timestamp=pd.Series(python, dtype=object))) == {3: "mixed_time_zones"}


def test_dtypes_of_pandas() -> None:
    frame = amounts([1.0, 2.0, 3.0, 4.0])
    for dtype in (
        "Int64",
        "Float64",
        "int64[pyarrow]",
        "double[pyarrow]",
        "UInt8",
        "float32",
        pd.ArrowDtype(pa.decimal128(9, 2)),
    ):
        assert judged(frame.assign(amount=pd.Series([1, None, 3, 4], dtype=dtype))) == {1: "missing_amount"}
    for dtype in (
        "category",
        "string[pyarrow]",
        "string[python]",
        "str",
        pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())),
    ):
        ids = pd.Series(["a", None, "guest", "d"]).astype(dtype)
        assert judged(frame.assign(customer_id=ids)) == {1: "missing_customer_id", 2: "placeholder_customer"}
    stamps = pd.Series(pd.to_datetime(DAYS)).astype("timestamp[ns][pyarrow]")
    assert judged(frame.assign(timestamp=stamps)) == {}
    assert judged(frame.assign(timestamp=pd.Categorical(DAYS))) == {}
    unsigned = pd.Series([2**64 - 1, 2**63, 1, 2], dtype="uint64")
    assert judged(frame.assign(customer_id=unsigned)) == {}
    assert judged(frame.assign(customer_id=pd.Series([1, 2, 3, 4]) * 0.5)) == {}
    assert judged(frame.assign(customer_id=pd.to_datetime(DAYS))) == {}


def test_types_of_polars() -> None:
    frame = pl.from_pandas(amounts([1.0, 2.0, 3.0, 4.0]))
    huge = pl.Series([2**100, 2**100 + 2**64, 1, -1], dtype=pl.Int128)
    assert judged(frame.with_columns(customer_id=huge)) == {3: "placeholder_customer"}
    one_time = frame.with_columns(customer_id=huge, timestamp=pl.lit(DAYS[0]), amount=pl.lit(1.0))
    assert judged(one_time) == {3: "placeholder_customer"}  # no copies: the ids differ beyond 64 bits
    assert judged(frame.with_columns(amount=pl.Series([1, 2**100, 3, 4], dtype=pl.Int128))) == {1: "huge_amount"}
    mixed = pl.Series(["a", Unhashable("x"), "b", [1]], dtype=pl.Object)
    assert judged(frame.with_columns(customer_id=mixed)) == {1: "mixed_id_types", 3: "invalid_customer_id"}
    assert judged(frame.with_columns(customer_id=pl.Series([[1], [2], [3], [4]]))[:0]) == {}
    with pytest.warns(UserWarning, match="All 4 rows are quarantined: invalid_customer_id 4"):
        TransactionValidator().fit_transform(frame.with_columns(customer_id=pl.Series([[1], [2], [3], [4]])))
    assert judged(frame.with_columns(customer_id=pl.col("customer_id").cast(pl.Categorical))) == {}
    assert judged(frame.with_columns(customer_id=pl.col("customer_id").cast(pl.Binary))) == {}
    assert judged(frame.with_columns(amount=pl.col("amount").cast(pl.Decimal(12, 2)))) == {}
    assert judged(frame.with_columns(customer_id=pl.struct("customer_id", "amount"))[:0]) == {}


def test_types_of_arrow() -> None:
    frame = pa.Table.from_pandas(amounts([1.0, 2.0, 3.0, 4.0]))

    def with_ids(values: Any, kind: Any) -> pa.Table:
        return frame.set_column(0, "customer_id", pa.array(values, kind))

    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        assert judged(with_ids(["a", None, " guest ", "d"], kind)) == {
            1: "missing_customer_id",
            2: "placeholder_customer",
        }
    with pytest.warns(UserWarning, match="All 4 rows are quarantined: invalid_customer_id 4"):
        TransactionValidator().fit_transform(with_ids([[1], [2], [3], [4]], pa.list_(pa.int64())))
    assert judged(with_ids([b"a", b"b", b"c", b"d"], pa.binary())) == {}
    pieces = pa.concat_tables([with_ids(["a", "b", "c", "d"], pa.large_string()).slice(1, 3), frame.slice(0, 1)])
    assert judged(pieces) == {}
    sliced = with_ids(["guest", "a", "", "ü"], pa.string()).slice(1)
    assert judged(sliced) == {1: "blank_customer_id"}


def test_times_that_no_microsecond_reaches() -> None:
    microseconds = 1_660_208_616_633_860  # of 2022; read as seconds and wrapped around 64 bits, they are of 2022
    stamps = {"s": [microseconds, -microseconds, 10**9, 10**9], "ms": [2**62, -(2**62), 10**12, 10**12]}
    reasons = {0: "implausible_timestamp;future_timestamp", 1: "implausible_timestamp"}
    for unit, numbers in stamps.items():
        frame = amounts([1.0, 2.0, 3.0, 4.0]).assign(timestamp=np.array(numbers).view(f"datetime64[{unit}]"))
        assert judged(frame) == judged(pa.Table.from_pandas(frame)) == reasons
        assert judged(frame[:0]) == {}
    days = pa.array([2**31 - 1, -(2**31), 19_844, 19_845], pa.int32()).cast(pa.date32())
    table = pa.Table.from_pandas(amounts([1.0, 2.0, 3.0, 4.0]))
    dates = table.set_column(table.column_names.index("timestamp"), "timestamp", days)
    for far in (dates, pl.from_arrow(dates), dates.to_pandas(types_mapper=pd.ArrowDtype)):
        assert judged(far) == reasons
    moments = pa.array([2**62, -(2**62), 19_844 * 86_400_000, 19_845 * 86_400_000], pa.int64()).cast(pa.date64())
    assert judged(table.set_column(table.column_names.index("timestamp"), "timestamp", moments)) == reasons


@pytest.mark.parametrize("own", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("clock", [None, "Europe/Berlin", "America/New_York"])
def test_the_last_day_of_all_is_one_in_every_zone(own: str, clock: str | None) -> None:
    instants = np.array([DAYS[0], DAYS[1], "9999-12-31T23:59:59", "0001-01-01T00:00"], "datetime64[us]")
    zoned = pd.Series(instants).dt.tz_localize("UTC").astype(pd.DatetimeTZDtype("us", own))
    reasons = {2: "implausible_timestamp;future_timestamp", 3: "implausible_timestamp"}
    frame = amounts([1.0, 2.0, 3.0, 4.0])
    assert judged(frame.assign(timestamp=zoned), time_zone=clock) == reasons
    validator = TransactionValidator(as_of=AS_OF, time_zone=clock)
    clean = validator.fit_transform(frame.assign(timestamp=zoned).set_axis([7] * 4))
    expected = zoned[:2].dt.tz_convert(clock or own).dt.tz_localize(None)
    assert clean["timestamp"].tolist() == expected.tolist()
    assert judged(frame.assign(timestamp=DAYS, valid_to=zoned), time_zone=clock) == {}


def test_categories_of_numbers_are_numbers() -> None:
    frame = amounts([1.0, 2.0, 3.0, 4.0])
    reasons = {0: "placeholder_customer", 2: "missing_customer_id"}
    for values in ([-1, 5, None, 5], [-1, 5.5, None, 5]):
        assert judged(frame.assign(customer_id=pd.Series(values, dtype="category"))) == reasons
        table = pa.Table.from_pandas(frame).drop_columns("customer_id")
        assert judged(table.append_column("customer_id", pa.array(values).dictionary_encode())) == reasons
    mixed = pd.Series([1, "1", 2, None], dtype=object).astype("category")
    assert judged(frame.assign(customer_id=mixed)) == {1: "mixed_id_types", 3: "missing_customer_id"}


def test_texts_and_integers_of_numpy_copy_those_of_python() -> None:
    frame = amounts([1.0] * 4).assign(timestamp=DAYS[0])
    texts = frame.assign(customer_id=pd.Series(["a", np.str_("a"), "b", np.str_("b")], dtype=object))
    assert judged(texts) == {1: "duplicate", 3: "duplicate"}
    numbers = pd.Series([1, np.int64(1), np.int32(2), 2], dtype=object)
    assert judged(frame.assign(customer_id="a", order_id=numbers)) == {1: "duplicate", 3: "duplicate"}


def test_names_that_clash_and_columns_that_are_not_there() -> None:
    frame = amounts([1.0, 2.0, 3.0, 4.0])
    doubled = pd.concat([frame, frame[["amount"]]], axis=1)
    with pytest.raises(InvalidDataError, match="needs columns with distinct names"):
        TransactionValidator().fit(doubled)
    with pytest.raises(MissingColumnError, match=r"needs the columns \['who'\]"):
        TransactionValidator(columns={"customer_id": "who"}).fit(frame)
    with pytest.raises(ValueError, match=r"names unknown columns \['client', 'y'\]"):
        TransactionValidator(columns={"amount": "client", "x": "y"}).fit(frame)
    with pytest.raises(TypeError, match="takes one table with named columns"):
        TransactionValidator().fit(frame.to_numpy())
    levels = pd.DataFrame(frame.to_numpy(), columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c"), ("d", "e")]))
    with pytest.raises((MissingColumnError, TypeError)):
        TransactionValidator().fit(levels)


def test_a_multi_index_stays() -> None:
    frame = amounts([1.0, np.nan, 3.0, 4.0]).assign(customer_id=["a", "b", " c", "d"])
    frame.index = pd.MultiIndex.from_tuples([("x", 1), ("x", 1), ("y", 1), ("y", 2)], names=["i", "j"])
    for mode in MODES:
        clean = TransactionValidator(on_error=mode).fit_transform(frame)
        assert clean.index.tolist() == [("x", 1), ("y", 1), ("y", 2)]


def test_a_hundred_thousand_copies_among_others() -> None:
    rng = np.random.default_rng(5)
    n = 200_000
    base = pd.DataFrame(
        {
            "customer_id": np.char.mod("C%06d", rng.integers(0, 5_000, n)),
            "timestamp": np.datetime64("2024-01-01", "us") + rng.integers(0, 10**13, n).astype("timedelta64[us]"),
            "amount": rng.integers(1, 10, n) / 2,
        }
    )
    log = pd.concat([base, base.iloc[rng.integers(0, n, 100_000)]]).sample(frac=1, random_state=1, ignore_index=True)
    for frame in (log, pl.from_pandas(log)):
        for mode in MODES:
            validator = TransactionValidator(as_of=AS_OF, on_error=mode).fit(frame)
            clean = validator.transform(frame)
            assert len(clean) == n
            assert validator.report_.counts["duplicate"] == 100_000
    expected = log[~log.duplicated()].reset_index(drop=True)
    pd.testing.assert_frame_equal(clean.to_pandas().drop(columns="is_return"), expected, check_dtype=False)
