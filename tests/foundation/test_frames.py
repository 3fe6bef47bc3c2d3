"""Frames in, arrays out, frames back: the same from every library, and the caller's frame as it was."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custanalytics import _frames
from custanalytics._hashing import integer_codes
from custanalytics._output import FrameTransformer
from custanalytics.exceptions import InvalidDataError, MissingColumnError
from custanalytics.validation._values import distinct

Maker = Callable[[pd.DataFrame], Any]


def frame() -> pd.DataFrame:
    stamps = pd.to_datetime(["2024-03-01 10:00", "2024-03-02 00:00", None, "2024-03-01 10:00"])
    return pd.DataFrame({"customer_id": ["b", "a", "c", "a"], "timestamp": stamps, "amount": [1.5, None, 2, 3]})


def test_columns_come_out_alike(to_frame: Maker) -> None:
    read = _frames.read_log(to_frame(frame()))
    codes, ids = _frames.codes(read)
    assert codes.tolist() == [1, 0, 2, 0]
    assert ids.to_list() == ["a", "b", "c"]
    np.testing.assert_array_equal(_frames.floats(read, "amount"), [1.5, np.nan, 2, 3])
    first = int(np.datetime64("2024-03-01T10:00", "us").astype(np.int64))
    times = _frames.times(read)
    assert times[0] == times[3] == first
    assert times[2] == _frames.NO_TIME


@pytest.mark.parametrize("n_rows", [0, 2])
def test_a_column_of_nothing_is_missing_whatever_its_type(n_rows: int) -> None:
    nothing = [None] * n_rows
    frames: list[Any] = [pd.DataFrame({"timestamp": pd.Series(nothing, dtype=kind)}) for kind in ("object", "string")]
    frames += [pl.DataFrame({"timestamp": nothing}), pa.table({"timestamp": pa.nulls(n_rows)})]
    for native in frames:
        read = _frames.read(native)
        assert np.isnan(_frames.floats(read, "timestamp")).tolist() == [True] * n_rows
        assert _frames.times(read).tolist() == [_frames.NO_TIME] * n_rows


def test_pairs_are_ids_too() -> None:
    pairs = [("b", 1), ("a", 2), ("b", 1), None]
    codes, ids = _frames.codes(_frames.read(pd.DataFrame({"customer_id": pairs})))
    assert codes.tolist() == [1, 0, 1, -1]
    assert ids.to_list() == [("a", 2), ("b", 1)]


def test_extend_and_build_give_the_same_kind_back(to_frame: Maker) -> None:
    native = to_frame(frame())
    read = _frames.read(native)
    longer = _frames.extend(read, {"n": np.arange(4), "name": np.array(list("wxyz"))}).to_native()
    assert type(longer) is type(native)
    built = _frames.build(read, {"id": _frames.take(_frames.codes(read)[1], np.array([2, 0])), "n": np.arange(2)})
    assert built["id"].to_list() == ["c", "a"]
    assert type(built.to_native()) is type(native)


def test_extend_keeps_a_pandas_index() -> None:
    native = frame().set_index(pd.Index([7, 3, 5, 1]))
    longer = _frames.extend(_frames.read(native), {"n": np.arange(4)}).to_native()
    assert longer.index.tolist() == [7, 3, 5, 1]
    assert longer["n"].tolist() == [0, 1, 2, 3]
    assert list(native.columns) == ["customer_id", "timestamp", "amount"]


def test_a_mapping_of_numbers_is_one_row() -> None:
    read = _frames.read({"frequency": 2, "recency": np.float64(30.43), "T": [38.86]})
    assert [_frames.floats(read, name).tolist() for name in read.columns] == [[2.0], [30.43], [38.86]]


@pytest.mark.parametrize("columns", [{"customer_id": "who"}, {"who": "customer_id"}])
def test_columns_are_renamed_either_way_round(columns: dict[str, str]) -> None:
    log = frame().rename(columns={"customer_id": "who"})
    assert _frames.read_log(log, columns).columns == ["customer_id", "timestamp", "amount"]
    assert "who" in log.columns


def test_a_named_column_wins_over_one_that_has_the_standard_name() -> None:
    log = frame().assign(net=[9, 8, 7, 6])
    assert _frames.read_log(log, {"amount": "net"})["amount"].to_list() == [9, 8, 7, 6]


def test_renaming_errors() -> None:
    with pytest.raises(ValueError, match=r"names unknown columns \['colour'\]"):
        _frames.read_log(frame(), {"amount_x": "colour"})
    with pytest.raises(ValueError, match="gives one of your columns to two standard names"):
        _frames.read_log(frame(), {"amount": "x", "quantity": "x"})
    with pytest.raises(MissingColumnError, match=r"needs the columns \['euros'\]; found"):
        _frames.read_log(frame(), {"amount": "euros"})


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(TypeError, match=r"takes one table with named columns, .* got builtins.int\."):
        _frames.read(42)
    with pytest.raises(TypeError, match=r"RFM takes one table with named columns \['z'\], .* got pandas.Series\."):
        _frames.read(pd.Series([1.0]), ["z"], "RFM")
    with pytest.raises(MissingColumnError, match=r"RFM needs the columns \['z'\]; found \['a'\]"):
        _frames.read({"a": [1]}, ["z"], "RFM")


def test_wrong_types_are_named() -> None:
    log = _frames.read(pd.DataFrame({"timestamp": [1, 2], "amount": ["1", "2"]}))
    with pytest.raises(InvalidDataError, match=r"'timestamp' must hold dates or datetimes; it is Int64\. .*unit=\"s\""):
        _frames.times(log)
    periods = _frames.read(pd.DataFrame({"timestamp": pd.period_range("2024-01", periods=2, freq="M")}))
    with pytest.raises(InvalidDataError, match=r"'timestamp' must hold dates .* column\.dt\.to_timestamp\(\)"):
        _frames.times(periods)
    with pytest.raises(InvalidDataError, match="'amount' must be numeric; it is String"):
        _frames.floats(log, "amount")


def test_mixed_ids_are_refused() -> None:
    log = _frames.read(pd.DataFrame({"customer_id": ["1", 1, 2.5]}, dtype=object))
    with pytest.raises(InvalidDataError, match="no common order"):
        _frames.codes(log)


def test_doubled_customers_are_named(to_frame: Maker) -> None:
    with pytest.raises(InvalidDataError, match=r"2 of 4 rows share their customer_id with another row \(first: a, a\)"):
        _frames.check_unique(_frames.read(to_frame(frame())))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_units_of_datetimes_do_not_matter(unit: str) -> None:
    stamps = pd.Series(np.array(["1997-01-01T12:30:15", "NaT"], dtype=f"datetime64[{unit}]"))
    times = _frames.times(_frames.read(pd.DataFrame({"timestamp": stamps})))
    assert times.view("datetime64[us]")[0] == np.datetime64("1997-01-01T12:30:15")
    assert times[1] == _frames.NO_TIME


def test_wall_clock_of_a_time_zone() -> None:
    stamps = pd.Series(pd.to_datetime(["2024-03-31 23:30"])).dt.tz_localize("America/New_York")
    for native in (pd.DataFrame({"timestamp": stamps}), pl.from_pandas(pd.DataFrame({"timestamp": stamps}))):
        wall = _frames.times(_frames.read(native)).view("datetime64[us]")[0]
        assert wall == np.datetime64("2024-03-31T23:30")


def test_dates_of_polars() -> None:
    native = pl.DataFrame({"timestamp": [dt.date(2024, 2, 29)]})
    assert _frames.times(_frames.read(native)).view("datetime64[us]")[0] == np.datetime64("2024-02-29")


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_dates_of_arrow(kind: pa.DataType) -> None:
    read = _frames.read_log(pa.table({"timestamp": pa.array([dt.date(2024, 3, 1), None], kind)}), None, ("timestamp",))
    first = int(np.datetime64("2024-03-01", "us").astype(np.int64))
    assert _frames.times(read).tolist() == [first, _frames.NO_TIME]


@pytest.mark.parametrize("values", [np.array([1 + 0j, 2 + 1j]), np.array([1 + 0j, 2.0], object)])
def test_complex_numbers_are_refused(values: np.ndarray) -> None:
    with pytest.raises(InvalidDataError, match="'T' must be numeric; it is"):
        _frames.floats(_frames.read({"T": values}), "T")


@given(values=st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=5))
def test_whole_numbers_are_given_where_none_is_missing(values: list[int | None]) -> None:
    for series in (pd.Series(values, dtype="Int64"), pl.Series(values, dtype=pl.Int64), pa.chunked_array([values])):
        column = nw.from_native(series, series_only=True)
        if pa.types.is_null(getattr(series, "type", pa.int64())):
            continue  # a column of nothing has no type
        found = _frames.whole(column)
        assert found is None if None in values else found is not None and found.tolist() == values


def test_a_lazy_frame_is_collected() -> None:
    assert _frames.read(pl.LazyFrame({"a": [1, 2]}))["a"].to_list() == [1, 2]


@pytest.mark.parametrize("kind", ["int64", "int32", "uint64", "category", "str", "categorical-int"])
def test_kinds_of_ids(kind: str, to_frame: Maker) -> None:
    ids = pd.Series([30, 10, 20, 10])
    ids = ids.astype(str).astype("category") if kind == "category" else ids
    ids = ids.astype("category") if kind == "categorical-int" else ids.astype(kind) if kind != "category" else ids
    read = _frames.read(to_frame(pd.DataFrame({"customer_id": ids})))
    codes, uniques = _frames.codes(read)
    assert codes.tolist() == [2, 0, 1, 0]
    assert [int(value) for value in uniques.to_list()] == [10, 20, 30]


def test_text_is_in_order_whatever_zeros_it_holds(to_frame: Maker) -> None:
    ids = ["\0\0b", "\0a", "\0\0a", "\0", "\0\0", "a", "a\0", "\0\0\0c"]
    codes, uniques = _frames.codes(_frames.read(to_frame(pd.DataFrame({"customer_id": ids}))))
    assert uniques.to_list() == sorted(ids)
    assert [uniques[code] for code in codes.tolist()] == ids


def test_missing_ids_are_minus_one(to_frame: Maker) -> None:
    read = _frames.read(to_frame(pd.DataFrame({"customer_id": ["b", None, "a"]})))
    assert _frames.codes(read)[0].tolist() == [1, -1, 0]


@pytest.mark.parametrize("kind", ["pandas", "pandas of arrow", "polars", "pyarrow"])
def test_ids_that_are_not_a_number_are_missing(kind: str) -> None:
    table = pa.table({"order_id": np.array([2.0, np.nan, 1.0, -np.nan])})
    frame: Any = {
        "pandas": table.to_pandas,
        "pandas of arrow": lambda: table.to_pandas(types_mapper=pd.ArrowDtype),
        "polars": lambda: pl.from_arrow(table),
        "pyarrow": lambda: table,
    }[kind]()
    codes, uniques = _frames.codes(_frames.read(frame), "order_id")
    assert codes.tolist() == [1, -1, 0, -1]
    assert uniques.to_list() == [1.0, 2.0]


@given(st.lists(st.integers(-(2**62), 2**62), max_size=200) | st.lists(st.integers(-5, 5), max_size=200))
def test_integer_codes_are_the_ranks(values: list[int]) -> None:
    array = np.array(values, np.int64)
    codes, uniques = integer_codes(array)
    assert uniques.tolist() == sorted(set(values))
    assert uniques[codes].tolist() == values


def test_unsigned_ids_are_numbered_in_their_order(to_frame: Maker) -> None:
    ids = np.array([2**63 + 5, 1, 2**64 - 1, 0, 2**63, 1], np.uint64)
    codes, uniques = _frames.codes(_frames.read(to_frame(pd.DataFrame({"customer_id": ids}))))
    assert uniques.to_list() == [0, 1, 2**63, 2**63 + 5, 2**64 - 1]
    assert codes.tolist() == [3, 1, 4, 0, 2, 1]
    numbers, found = distinct(_frames.read(to_frame(pd.DataFrame({"customer_id": ids})))["customer_id"])
    assert [found[number] for number in numbers] == ids.tolist()


def test_many_distinct_ids_outgrow_the_first_hash_table() -> None:
    values = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 50_000)
    codes, uniques = integer_codes(np.concatenate([values, values[::-1]]))
    assert np.array_equal(uniques, np.unique(values))
    assert np.array_equal(codes[:50_000], codes[50_000:][::-1])


class Doubler(FrameTransformer):
    def transform(self, table: Any) -> Any:
        read = _frames.read(table)
        return self._give(_frames.extend(read, {"double": 2 * _frames.floats(read, "amount")}))


def test_set_output(to_frame: Maker) -> None:
    native = to_frame(frame())
    assert type(Doubler().transform(native)) is type(native)
    assert isinstance(Doubler().set_output(transform="pandas").transform(native), pd.DataFrame)
    assert isinstance(Doubler().set_output(transform="polars").transform(native), pl.DataFrame)
    assert type(Doubler().set_output(transform=None).transform(native)) is type(native)
    with pytest.raises(ValueError, match="set_output takes transform in"):
        Doubler().set_output(transform="excel")


@pytest.mark.parametrize("index", [pa.uint8(), pa.uint32(), pa.int8()])
def test_dictionaries_of_arrow_may_count_without_sign_and_repeat_themselves(index: Any) -> None:
    indices = pa.array([3, 0, 1, None, 2, 4], index)
    ids = pa.DictionaryArray.from_arrays(indices, pa.array(["b", "a", None, "b", "a", "nobody"]))
    frame = _frames.read(pa.table({"customer_id": pa.chunked_array([ids, ids[:0], ids[:2]])}))
    codes, uniques = _frames.codes(frame)
    names = uniques.to_list()
    assert [names[code] if code >= 0 else None for code in codes] == ["b", "b", "a", None, None, "a", "b", "b"]
    assert names == sorted(set(names))


def test_zero_has_one_sign(to_frame: Maker) -> None:
    given = _frames.read(to_frame(pd.DataFrame({"customer_id": [0.0, -0.0, 2.5]})))
    codes, uniques = _frames.codes(given)
    assert codes.tolist() == [0, 0, 1]
    assert uniques.to_list() == [0.0, 2.5]


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "u8", "i1", "?", "Int64", "float[pyarrow]"])
@pytest.mark.parametrize("make", [pd.DataFrame, dict, pl.DataFrame])
def test_numbers_are_read_alike_with_and_without_a_frame(dtype: str, make: Any) -> None:
    columns = {name: pd.Series(values).astype(dtype) for name, values in {"a": [1, 0, 1], "b": [0, 0, 1]}.items()}
    if make is not pd.DataFrame:
        columns = {name: column.to_numpy() for name, column in columns.items()}
    given = make(columns)
    plain = _frames.numbers(given, ("b", "a"), ("a",), "A call")
    slow = [_frames.floats(_frames.read(given), name) for name in ("b", "a")]
    for one, other in zip(plain, slow, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == np.float64
        assert one.flags.c_contiguous


@pytest.mark.parametrize("make", [pd.DataFrame, dict])
def test_what_is_wrong_with_plain_numbers_is_told(make: Any) -> None:
    def read(data: dict[str, Any], *needed: str) -> None:
        _frames.numbers(make(data), ("a",), ("a", *needed), "This model", "Make it.")

    a = np.array([1.0, 2.0])
    with pytest.raises(MissingColumnError, match=r"This model needs the columns \['b'\]; found \['a'\]. Make it."):
        read({"a": a}, "b")
    for values in (a.astype(complex), a.astype(str), a.astype("M8[s]"), a.astype(object)[:, None] == a):
        with pytest.raises((InvalidDataError, ValueError)):
            read({"a": values})
    with pytest.raises(ValueError):
        read({"a": a, "b": a[:1]})


def test_what_is_masked_is_missing() -> None:
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    np.testing.assert_array_equal(_frames.numbers({"a": masked}, ("a",), (), "A call")[0], [1.0, np.nan])
    doubled = pd.DataFrame([[1.0, 2.0]], columns=["a", "a"])
    with pytest.raises(InvalidDataError, match="A call needs columns with distinct names"):
        _frames.numbers(doubled, ("a",), (), "A call")


def test_columns_of_a_mapping_that_do_not_fit_together_are_named() -> None:
    with pytest.raises(InvalidDataError, match=r"takes columns of equal length; 'frequency' has 3, 'T' has 2\."):
        _frames.read({"frequency": [1, 2, 3], "T": np.ones(2)})
    with pytest.raises(InvalidDataError, match=r"takes columns of one dimension each; 'T' has the shape \(2, 1\)\."):
        _frames.read({"frequency": [1, 2], "T": np.ones((2, 1))})
