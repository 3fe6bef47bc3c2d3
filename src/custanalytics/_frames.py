"""The only module that touches data frames: read a log, read a table, give back a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics._columns import CUSTOMER_ID, LOG_REQUIRED, TIMESTAMP, renaming
from custanalytics._hashing import integer_codes
from custanalytics._instants import CONVERT, hidden_zone, no_times, on_clock, refuse_far, within_zones
from custanalytics._params import check_columns, check_shapes, offenders
from custanalytics.exceptions import InvalidDataError

NO_TIME = np.iinfo(np.int64).min  # what NaT is as an integer


def read(data: Any, needed: Sequence[str] = (), owner: str = "This call", hint: str = "") -> nw.DataFrame[Any]:
    """Wrap a frame (pandas, Polars, PyArrow, a mapping of columns; a lazy frame is collected) without a copy.

    Raises a TypeError for anything else and a MissingColumnError where a needed column is missing.
    """
    if isinstance(data, Mapping):
        # A list stays a list: NumPy would turn [1, "1"] into two equal texts.
        arrays = {k: v if isinstance(v, list | tuple) else np.atleast_1d(np.asanyarray(v)) for k, v in data.items()}
        check_shapes({k: (len(v),) if isinstance(v, list | tuple) else v.shape for k, v in arrays.items()}, owner)
        data = nw.from_dict(arrays, backend="pandas").to_native()
    try:
        if isinstance(data, nw.DataFrame):
            frame: Any = data
        else:
            frame = nw.from_native(data.compute() if nw.dependencies.is_dask_dataframe(data) else data)
        if isinstance(frame, nw.LazyFrame):
            frame = gather(frame)
        names = frame.columns
    except nw.exceptions.DuplicateError as error:
        raise InvalidDataError(f"{owner} needs columns with distinct names. {error}") from error
    except TypeError as error:
        raise TypeError(
            f"{owner} takes one table with named columns{f' {list(needed)}' if needed else ''}, a pandas, Polars or "
            f"PyArrow frame or a mapping of arrays; got {type(data).__module__.partition('.')[0]}."
            f"{type(data).__name__}."
        ) from error
    check_columns(names, needed, owner, hint)
    return frame


def gather(lazy: nw.LazyFrame[Any]) -> nw.DataFrame[Any]:
    """The rows of a lazy or distributed frame, brought into memory as the kind of frame that its engine gives."""
    if lazy.implementation.is_dask():
        return nw.from_native(lazy.to_native().compute().reset_index(drop=True), eager_only=True)
    return lazy.collect()


def is_frame(data: Any) -> bool:
    """Whether `data` is something that `read` takes: a frame, or a mapping of columns."""
    if isinstance(data, Mapping):
        return not hasattr(data, "shape")  # a sparse matrix of SciPy's dictionary kind is a mapping too
    return isinstance(nw.from_native(data, pass_through=True), nw.DataFrame | nw.LazyFrame)


def kind(frame: nw.DataFrame[Any]) -> str:
    """The name of the library a frame belongs to, for `table`: "pandas", "polars", "pyarrow", ..."""
    return str(frame.implementation)


def table(columns: Mapping[str, Any], kind: str = "pandas") -> Any:
    """A new native frame of the library named by `kind`, from arrays of equal length."""
    plain = {
        name: values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind in "UO" else values
        for name, values in columns.items()
    }
    backend: Any = kind
    series = {name: nw.new_series(name, values, backend=backend) for name, values in plain.items()}
    return nw.from_dict(series, backend=backend).to_native()


def read_log(
    data: Any,
    columns: Mapping[str, str] | None = None,
    needed: Sequence[str] = LOG_REQUIRED,
    owner: str = "This call",
) -> nw.DataFrame[Any]:
    """Wrap an event log and rename its columns to the standard ones."""
    frame = read(data, owner=owner)
    names = standard_names(frame.columns, columns, needed, owner)
    if list(names) != list(frame.columns):
        frame = frame.drop([name for name in frame.columns if name not in names])
    return frame.rename({yours: name for yours, name in names.items() if yours != name})


def standard_names(
    found: Sequence[str], columns: Mapping[str, str] | None, needed: Sequence[str], owner: str
) -> dict[str, str]:
    """The columns of a log that are kept, each with its standard name; raises where a needed one is missing."""
    names = renaming(columns)
    check_columns(found, list(names), owner)
    standard = {
        name: names.get(name, name)
        for name in found
        if name in names or name not in names.values()  # what has the name of another column that you gave is left out
    }
    hint = 'Name yours with columns={"customer_id": "...", "timestamp": "...", "amount": "..."}.'
    check_columns(list(standard.values()), needed, owner, hint)
    return standard


def floats(frame: nw.DataFrame[Any], column: str) -> np.ndarray:
    """A numeric column as contiguous float64, missing as NaN: shape (n_rows,)."""
    dtype = (series := frame.get_column(column)).dtype
    if not dtype.is_numeric() and series.null_count() == len(series):  # of no certain type
        return np.full(len(series), np.nan)
    is_complex = getattr(getattr(series.to_native(), "dtype", None), "kind", "") == "c"
    if is_complex or not (dtype.is_numeric() or dtype == nw.Boolean or dtype == nw.Unknown):
        raise InvalidDataError(
            f"The column {column!r} must be numeric; it is {'complex' if is_complex else dtype}. {CONVERT}"
        )
    try:
        if dtype.is_decimal() or dtype in (nw.Int128, nw.UInt128):
            series = series.cast(nw.Float64)
        return np.ascontiguousarray(series.to_numpy(), dtype=np.float64)
    except (TypeError, ValueError):
        return np.ascontiguousarray(series.cast(nw.Float64).to_numpy(), dtype=np.float64)


def numbers(
    data: Any, columns: Sequence[str], needed: Sequence[str], owner: str, hint: str = ""
) -> tuple[np.ndarray, ...]:
    """Numeric columns of what `read` takes, each as `floats` gives it; plain arrays without a frame around them."""
    if plain := _plain(data, columns, needed):
        return tuple(np.ascontiguousarray(each, dtype=np.float64) for each in plain)
    frame = read(data, needed, owner, hint)
    return tuple(floats(frame, name) for name in columns)


def _plain(data: Any, columns: Sequence[str], needed: Sequence[str]) -> list[Any]:
    """Columns of numbers as they lie in a mapping of arrays or a pandas frame; none where anything is less plain."""
    if isinstance(data, Mapping):
        simple = all(type(each) is np.ndarray for each in data.values()) and len(set(map(np.shape, data.values()))) == 1
    else:
        simple = nw.dependencies.is_pandas_dataframe(data) and data.columns.is_unique
    if not simple or not all(name in data for name in needed):
        return []
    given = [data[name] for name in columns]
    dtypes = [each.dtype for each in given if isinstance(each.dtype, np.dtype) and each.ndim == 1]
    return given if [each.kind in "iuf" and each.itemsize <= 8 for each in dtypes] == [True] * len(given) else []


def times(frame: nw.DataFrame[Any], column: str = TIMESTAMP) -> np.ndarray:
    """A date or datetime column as int64 microseconds on its own wall clock, missing as NO_TIME: shape (n_rows,)."""
    found, far = times_and_far(frame, column)
    refuse_far(far, column)
    return found


def times_and_far(frame: nw.DataFrame[Any], column: str = TIMESTAMP) -> tuple[np.ndarray, np.ndarray]:
    """What `times` gives, and which rows lie beyond what 64 bits hold (empty if none can): those are at their ends."""
    series = wall_clock(frame[column])
    if not isinstance(series.dtype, nw.Datetime | nw.Date):
        if series.null_count() == len(series):
            return np.full(len(series), NO_TIME), np.zeros(0, bool)
        raise InvalidDataError(no_times(column, series.dtype))
    days = isinstance(series.dtype, nw.Date) and series.implementation.is_pandas()  # to_numpy would make them objects
    return on_clock(series.to_arrow().to_numpy(zero_copy_only=False) if days else np.asarray(series.to_numpy()))


def wall_clock(series: nw.Series[Any], zone: str | None = None) -> nw.Series[Any]:
    """A column of zoned times as naive times on their own wall clock, or on that of `zone`; any other as it is."""
    try:
        return _on_wall_clock(series, zone)
    except (OverflowError, NotImplementedError, ValueError):
        if not series.implementation.is_pandas() or hidden_zone(series) is None:
            raise
    # pandas knows no zone beyond the years 1 to 9999: there, the clock of UTC has to do.
    plain = series.to_native().dt.tz_convert("UTC").dt.tz_localize(None)
    values, known = plain.to_numpy().copy(), np.flatnonzero(within_zones(plain.to_numpy()))
    values[known] = _on_wall_clock(take(series, known), zone).to_numpy()
    return nw.from_native(type(plain)(values, index=plain.index, name=plain.name), series_only=True)


def _on_wall_clock(series: nw.Series[Any], zone: str | None) -> nw.Series[Any]:
    """What `wall_clock` says, in the years that pandas knows; dates that PyArrow holds as milliseconds are times."""
    if series.dtype == nw.Unknown and hidden_zone(series) is not None:
        native = series.to_native() if zone is None else series.to_native().dt.tz_convert(zone)
        return nw.from_native(native.dt.tz_localize(None), series_only=True)
    if series.dtype == nw.Unknown and str(getattr(series.to_native(), "type", "")).startswith("date64"):
        return nw.from_native(series.to_native().cast("timestamp[ms]"), series_only=True)
    if isinstance(series.dtype, nw.Datetime) and series.dtype.time_zone is not None:
        return (series if zone is None else series.dt.convert_time_zone(zone)).dt.replace_time_zone(None)
    return series


def zone_of(frame: nw.DataFrame[Any], column: str) -> str | None:
    """The name of a column's time zone; None where it has none."""
    dtype = frame.schema[column]
    zone = hidden_zone(frame[column]) if isinstance(dtype, nw.Unknown) else getattr(dtype, "time_zone", None)
    return None if zone is None else str(zone)


def codes(frame: nw.DataFrame[Any], column: str = CUSTOMER_ID) -> tuple[np.ndarray, nw.Series[Any]]:
    """Number the values of a column 0, 1, … in ascending order of value; missing is -1.

    Returns the codes, int64 of shape (n_rows,), and the distinct values in that order.
    """
    series = frame[column]
    check_ids(series)
    if (given := whole(series)) is not None:
        sign = NO_TIME if series.dtype == nw.UInt64 else 0  # the highest bit, which tells the order of unsigned numbers
        numbers, uniques = integer_codes(given ^ sign if sign else given)
        uniques = (uniques ^ sign).view(np.uint64) if sign else uniques
        return numbers, like(frame, column, uniques).cast(series.dtype)
    try:
        return _in_order(*distinct(series))
    except (TypeError, NotImplementedError) as error:
        raise InvalidDataError(f"The ids in {column!r} are no ids: {error}. Make them integers or text.") from error


def check_ids(series: nw.Series[Any]) -> None:
    """Raise an InvalidDataError where a column is of a type that no id can be."""
    opaque = series.implementation.is_polars() and series.dtype == nw.Object
    if opaque or series.dtype.is_nested() or series.dtype in (nw.Int128, nw.UInt128):
        raise InvalidDataError(f"The ids in {series.name!r} are {series.dtype}. Make them 64-bit integers or text.")


def distinct(series: nw.Series[Any]) -> tuple[np.ndarray, nw.Series[Any]]:
    """Number the values of a column in no particular order, which is faster than `codes`; missing is -1.

    Returns the codes, int64 of shape (n_rows,), and the distinct values.
    """
    native = series.to_native()
    if series.implementation.is_pandas():
        found, index = native.factorize()
        try:
            uniques = nw.from_native(index.to_series().reset_index(drop=True), series_only=True)
        except UnicodeEncodeError as error:  # half a character
            raise InvalidDataError(
                f"The column {series.name!r} holds text that is not valid Unicode: {error}. "
                "Read the file with its own encoding."
            ) from error
    elif series.implementation.is_pyarrow():
        native = (series + 0.0).to_native() if series.dtype.is_float() else native  # one zero, as elsewhere
        encoded = native.combine_chunks().dictionary_encode()
        codes, known = encoded.indices, encoded.dictionary
        if str(native.type).startswith("dictionary"):  # one that came with the column may repeat itself
            again = known.dictionary_encode()
            codes, known = again.indices.take(codes), again.dictionary
        found = codes.fill_null(-1).to_numpy(zero_copy_only=False)
        uniques = nw.new_series(series.name, known.to_pylist(), backend=series.implementation)
    else:
        series = series.cast(nw.String) if isinstance(series.dtype, nw.Categorical | nw.Enum) else series
        uniques = series.drop_nulls().unique()
        if series.dtype == nw.String:
            enum = series.cast(nw.Enum(uniques.to_list())).to_native()
            found = enum.to_physical().cast(int).fill_null(-1).to_numpy()
        else:
            lookup = {value: code for code, value in enumerate(uniques.to_list())}
            found = np.fromiter((lookup.get(value, -1) for value in series.to_list()), np.int64, len(series))
    if uniques.dtype.is_float() and (nan := uniques.is_nan().to_numpy()).any():  # missing, as in pandas
        rank = np.append(np.where(nan, -1, np.cumsum(~nan) - 1), -1)  # the last place serves the code -1
        found, uniques = rank[np.asarray(found, np.int64)], take(uniques, np.flatnonzero(~nan))
    return np.asarray(found, np.int64), uniques.alias(series.name)


def integers(series: nw.Series[Any]) -> np.ndarray:
    """An integer column without missing values as contiguous int64 (uint64 keeps its bits)."""
    return np.ascontiguousarray(series.to_numpy().astype(np.int64, copy=False))


def whole(series: nw.Series[Any]) -> np.ndarray | None:
    """An integer column as `integers` gives it; None where it is of another type, or has missing values."""
    if not series.dtype.is_integer():
        return None
    plain = isinstance(getattr(series.to_native(), "dtype", None), np.dtype)  # there, none can be missing
    return integers(series) if plain or not series.null_count() else None


def like(frame: nw.DataFrame[Any], name: str, values: Any) -> nw.Series[Any]:
    """A new column of the same library as `frame`."""
    if isinstance(values, nw.Series):
        return values.alias(name)
    if isinstance(values, np.ndarray) and values.dtype.kind in "UO":
        values = values.tolist()
    return nw.new_series(name, values, backend=frame.implementation)


def build(frame: nw.DataFrame[Any], columns: Mapping[str, Any]) -> nw.DataFrame[Any]:
    """A new frame of the same library as `frame`, from arrays and columns of equal length."""
    first, *rest = (like(frame, name, values) for name, values in columns.items())
    return first.to_frame().with_columns(*rest)  # no copy, where nw.from_dict makes one in pandas


def extend(frame: nw.DataFrame[Any], columns: Mapping[str, Any]) -> nw.DataFrame[Any]:
    """The frame with columns added or replaced; rows, order and a pandas index stay as they are."""
    return frame.with_columns(*(like(frame, name, values) for name, values in columns.items()))


def take(values: nw.Series[Any], at: np.ndarray) -> nw.Series[Any]:
    """The elements of a column at integer positions."""
    if values.implementation.is_pandas():
        return nw.from_native(values.to_native().iloc[at].reset_index(drop=True), series_only=True)
    if values.implementation.is_pyarrow():
        native = values.to_native()
        view = str(native.type) == "string_view"  # PyArrow takes no elements of these
        taken = native.cast("large_string").take(at).cast("string_view") if view else native.take(at)
        return nw.from_native(taken, series_only=True).alias(values.name)
    return values[at]


def take_or_missing(values: nw.Series[Any], at: np.ndarray) -> nw.Series[Any]:
    """The elements of a column at integer positions, missing where a position is -1 (integers in pandas: Int64)."""
    if values.implementation.is_pandas():
        native = values.to_native().reset_index(drop=True)
        native = native.astype("Int64") if values.dtype.is_integer() else native
        return nw.from_native(native.reindex(at).reset_index(drop=True), series_only=True)
    given = like(values.to_frame(), "given", at >= 0)
    pairs = take(values, np.maximum(at, 0)).alias("value").to_frame().with_columns(given)
    return pairs.select(nw.when(nw.col("given")).then(nw.col("value")))["value"].alias(values.name)


def check_unique(frame: nw.DataFrame[Any], column: str = CUSTOMER_ID, owner: str = "This call") -> None:
    """Raise an InvalidDataError unless every row is another customer."""
    doubled = frame[column].is_duplicated().to_numpy()
    if doubled.any():
        raise InvalidDataError(
            offenders(doubled, frame[column].to_list(), f"share their {column} with another row", "rows")
            + f". {owner} needs one row per customer."
        )


def _in_order(found: np.ndarray, uniques: nw.Series[Any]) -> tuple[np.ndarray, nw.Series[Any]]:
    values = uniques.to_list()
    plain = all(isinstance(value, str) and "\0" not in value for value in values)  # NumPy takes a zero for the end
    try:
        keys = np.array(values, np.dtypes.StringDType()) if plain else np.fromiter(values, object)
        order = np.argsort(keys, kind="stable")
    except TypeError as error:
        raise InvalidDataError(
            f"The ids in {uniques.name!r} are of several types that have no common order. "
            "Make them one type first, for example with astype(str)."
        ) from error
    rank = np.full(order.size + 1, -1, np.int64)  # the last place serves the code -1
    rank[order] = np.arange(order.size)
    return rank[found], take(uniques, order)
