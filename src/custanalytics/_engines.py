"""Lazy and distributed frames: what runs inside the engine, and what little is brought out of it.

Polars lazy frames, DuckDB relations, Dask and PySpark frames and Ibis tables are wrapped by Narwhals like any frame.
The rows stay in the engine. Out of it come single rows of aggregates (`row`), counts of distinct rows (`counts`)
and small frames (`collect`); into it go small tables (`upload`) and functions of whole columns (`map_columns`).
"""

from __future__ import annotations

import copy
import functools
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np

from custanalytics import _frames
from custanalytics._columns import LOG_REQUIRED
from custanalytics._params import check_columns, require_extra
from custanalytics.exceptions import InvalidDataError

Columns = Mapping[str, np.ndarray]
ColumnFunction = Callable[[dict[str, np.ndarray]], Columns]

_SPARK_NAMES = {float: "double", int: "long", bool: "boolean", str: "string"}


def is_lazy(X: Any) -> bool:
    """Whether X is a lazy or distributed frame: Polars LazyFrame, DuckDB, Dask, PySpark or Ibis."""
    if isinstance(X, dict | tuple) or nw.dependencies.is_pandas_dataframe(X):
        return False  # known at once
    if nw.dependencies.is_dask_dataframe(X):
        return True  # known without wrapping it
    try:
        return isinstance(nw.from_native(X, pass_through=True), nw.LazyFrame)
    except nw.exceptions.DuplicateError:  # of columns: whoever reads the frame says so
        return False


def wrap(X: Any) -> nw.LazyFrame[Any]:
    """A lazy or distributed frame under Narwhals' interface; nothing runs."""
    if not nw.dependencies.is_dask_dataframe(X):
        return nw.from_native(X)
    with warnings.catch_warnings():
        # Narwhals announces that its support of Dask will be a package of its own, which is not the caller's affair.
        warnings.filterwarnings("ignore", "Dask support is moving out of Narwhals", FutureWarning)
        return nw.from_native(X)


def native(lazy: nw.LazyFrame[Any]) -> Any:
    """The engine's own frame."""
    return lazy.to_native()


def read_table(X: Any, needed: Sequence[str] = (), owner: str = "This call", hint: str = "") -> nw.LazyFrame[Any]:
    """Wrap a lazy table and check its columns: `_frames.read` for engines."""
    lazy = wrap(X)
    names = lazy.collect_schema().names()
    _check_names(lazy, names, owner)
    check_columns(names, needed, owner, hint)
    return lazy


def read_lazy(
    X: Any,
    columns: Mapping[str, str] | None = None,
    needed: Sequence[str] = LOG_REQUIRED,
    owner: str = "This call",
) -> nw.LazyFrame[Any]:
    """Wrap a lazy event log under the standard names: `_frames.read_log` for engines."""
    lazy = read_table(X, owner=owner)
    names = _frames.standard_names(lazy.collect_schema().names(), columns, needed, owner)
    return lazy.select(*(nw.col(yours).alias(standard) for yours, standard in names.items()))


def collect(lazy: nw.LazyFrame[Any]) -> nw.DataFrame[Any]:
    """Run the query and bring its rows here, in whatever in-memory frame the engine gives."""
    return _frames.gather(lazy)


def row(lazy: nw.LazyFrame[Any], *aggregates: nw.Expr) -> dict[str, Any]:
    """Run one query of aggregates and bring its single row here, as Python values."""
    return collect(lazy.select(*aggregates)).rows(named=True)[0]


def counts(lazy: nw.LazyFrame[Any], by: Sequence[str]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The distinct combinations of some columns and how many rows have each: exact, and counted in the engine.

    Returns the columns (numbers as float64 with NaN for what is missing) and the counts, int64: shapes (n_distinct,).
    """
    count = "n_rows_of_it"
    if lazy.implementation.is_dask():
        sizes = native(lazy).groupby(list(by), dropna=False).size().compute()
        found = nw.from_native(sizes.rename(count).reset_index(), eager_only=True)
    else:
        found = collect(lazy.group_by(*by).agg(nw.len().alias(count)))
    return arrays(found, by), np.ascontiguousarray(found[count].to_numpy(), dtype=np.int64)


def arrays(frame: nw.DataFrame[Any], columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of a collected frame: numbers as float64, anything else as objects; missing as NaN and None."""
    found = {}
    for name in columns:
        dtype = frame.schema[name]
        if dtype.is_numeric() or dtype == nw.Boolean or dtype == nw.Unknown:
            found[name] = _frames.floats(frame, name)
        else:
            found[name] = np.fromiter(frame[name].to_list(), object, len(frame))
            found[name][frame[name].is_null().to_numpy()] = None
    return found


def upload(lazy: nw.LazyFrame[Any], table: Mapping[str, Any] | nw.DataFrame[Any]) -> nw.LazyFrame[Any]:
    """A small table as a frame of the same engine, on the same connection, so that the two can be joined."""
    frame = table if isinstance(table, nw.DataFrame) else nw.from_native(_frames.table(table, "pyarrow"))
    engine = lazy.implementation
    if engine.is_polars():
        return nw.from_native(frame.to_polars().lazy())
    if engine.is_dask():
        dataframe: Any = engine.to_native_namespace()
        return wrap(dataframe.from_pandas(frame.to_pandas(), npartitions=1))
    arrow = frame.to_arrow()
    if engine.is_duckdb():
        return nw.from_native(_scan_arrow(native(lazy), arrow))
    if engine.is_ibis():
        ibis: Any = engine.to_native_namespace()
        return nw.from_native(ibis.memtable(arrow))
    if engine.is_pyspark() or engine.is_pyspark_connect():
        return nw.from_native(native(lazy).sparkSession.createDataFrame(arrow))
    raise TypeError(f"custanalytics cannot send a table to the engine {engine}.")


def with_logarithms(lazy: nw.LazyFrame[Any], arguments: Mapping[str, nw.Expr]) -> nw.LazyFrame[Any]:
    """The lazy frame with the natural logarithms of positive numbers added, by name."""
    lazy = lazy.with_columns(**arguments)
    if not lazy.implementation.is_ibis():
        return lazy.with_columns(*(nw.col(name).log() for name in arguments))
    table = native(lazy)  # Narwhals would ask PostgreSQL for logarithms of exact decimals, which takes a minute
    return nw.from_native(table.mutate(**{name: table[name].ln() for name in arguments}))


def map_columns(
    lazy: nw.LazyFrame[Any], columns: Sequence[str], function: ColumnFunction, added: Mapping[str, type]
) -> nw.LazyFrame[Any]:
    """The same lazy frame with columns added or replaced that a function computes row by row from others.

    `function` takes arrays by name (see `arrays`) and gives arrays of the names and types (float, int, bool, str)
    in `added`; it must not depend on which rows come together, and must be picklable. Polars, Dask and Spark run it
    on their own partitions. Elsewhere the distinct inputs come here, and their values are joined back.
    """
    kept = [name for name in lazy.collect_schema().names() if name not in added or name in columns]
    lazy = lazy.select(*kept)
    step = functools.partial(_apply, tuple(columns), function, dict(added))
    engine = lazy.implementation
    if engine.is_polars():
        return nw.from_native(_map_polars(native(lazy), step, added))
    if engine.is_dask():
        frame = native(lazy)
        meta = _with_columns(nw.from_native(frame._meta, eager_only=True), _typed({}, added)).to_native()
        return wrap(frame.map_partitions(functools.partial(_on_pandas, step), meta=meta))
    if engine.is_pyspark() or engine.is_pyspark_connect():
        frame = native(lazy)
        schema = copy.deepcopy(frame.schema)
        schema = type(schema)([field for field in schema.fields if field.name not in added])
        for name, kind in added.items():
            schema = schema.add(name, _SPARK_NAMES[kind])
        return nw.from_native(frame.mapInArrow(functools.partial(_on_batches, step), schema))
    return _join_back(lazy, columns, step, added)


def map_groups(
    lazy: nw.LazyFrame[Any],
    by: str,
    function: Callable[[nw.DataFrame[Any]], nw.DataFrame[Any]],
    like: nw.LazyFrame[Any] | None = None,
) -> nw.LazyFrame[Any]:
    """What a function makes of each group of rows, where all rows with one value of `by` are in one group.

    For Dask, whose result has the columns that the function gives for no rows, and for Spark, where they are those of
    `like`. The function must be picklable.
    """
    frame = native(lazy)
    step = functools.partial(_on_group, function)
    if lazy.implementation.is_dask():
        return wrap(frame.shuffle(by).map_partitions(step, meta=step(frame._meta)))
    if like is None or not lazy.implementation.is_pyspark():
        raise TypeError(f"custanalytics cannot map groups of rows in the engine {lazy.implementation}.")
    groups = 4 * int(frame.sparkSession.conf.get("spark.sql.shuffle.partitions"))
    bucketed = frame.selectExpr("*", f"pmod(hash(`{by}`), {groups}) AS bucket_of_group").groupBy("bucket_of_group")
    schema = dict(like.collect_schema())
    # Spark inspects the function that it is given, and does not know partial ones
    return nw.from_native(bucketed.applyInArrow(lambda part: _on_bucket(function, schema, part), native(like).schema))


def _on_group(function: Callable[[nw.DataFrame[Any]], nw.DataFrame[Any]], part: Any) -> Any:
    return function(nw.from_native(part, eager_only=True)).to_native()


def _on_bucket(function: Callable[[nw.DataFrame[Any]], nw.DataFrame[Any]], schema: Mapping[str, Any], part: Any) -> Any:
    found = function(nw.from_native(part, eager_only=True).drop("bucket_of_group"))
    return found.select(*(nw.col(name).cast(dtype) for name, dtype in schema.items())).to_native()


def _apply(
    columns: Sequence[str], function: ColumnFunction, added: Mapping[str, type], frame: nw.DataFrame[Any]
) -> dict[str, np.ndarray]:
    found = function(arrays(frame, columns)) if len(frame) else {}
    return _typed(found, added)


def _typed(found: Columns, added: Mapping[str, type]) -> dict[str, np.ndarray]:
    return {
        name: np.asarray(found.get(name, ()), dtype=object if kind is str else kind) for name, kind in added.items()
    }


def _with_columns(frame: nw.DataFrame[Any], values: Columns) -> nw.DataFrame[Any]:
    """Columns put at the end of a frame, texts as the library's own texts."""
    new = []
    for name, column in values.items():
        dtype = nw.String() if column.dtype == object else None
        plain = column.tolist() if column.dtype == object else column
        new.append(nw.new_series(name, plain, dtype, backend=frame.implementation))
    if frame.implementation.is_pandas():
        index = nw.to_native(frame).index
        new = [nw.from_native(each.to_native().set_axis(index), series_only=True) for each in new]
    return frame.drop(values, strict=False).with_columns(*new)


def _on_pandas(step: Callable[[nw.DataFrame[Any]], Columns], part: Any) -> Any:
    frame = nw.from_native(part, eager_only=True)
    return _with_columns(frame, step(frame)).to_native()


def _on_batches(step: Callable[[nw.DataFrame[Any]], Columns], batches: Iterable[Any]) -> Iterator[Any]:
    arrow: Any = require_extra("pyarrow", "engines", "Scoring inside an engine")
    for batch in batches:
        frame = nw.from_native(arrow.Table.from_batches([batch]), eager_only=True)
        yield from _with_columns(frame, step(frame)).to_native().combine_chunks().to_batches()


def _map_polars(frame: Any, step: Callable[[nw.DataFrame[Any]], Columns], added: Mapping[str, type]) -> Any:
    empty = nw.from_native(frame.collect_schema().to_frame(), eager_only=True)
    schema = _with_columns(empty, _typed({}, added)).to_native().schema
    return frame.map_batches(
        functools.partial(_on_pandas, step),
        schema=schema,
        streamable=True,
        # what the function needs must not be optimised away, whatever is asked of its result
        predicate_pushdown=False,
        projection_pushdown=False,
        slice_pushdown=False,
    )


def _join_back(
    lazy: nw.LazyFrame[Any],
    columns: Sequence[str],
    step: Callable[[nw.DataFrame[Any]], Columns],
    added: Mapping[str, type],
) -> nw.LazyFrame[Any]:
    """Compute the values of the distinct inputs here, and join them to the rows in the engine.

    A join never matches what is missing, so that is replaced in the keys, which have a flag in its place.
    """
    taken = set(lazy.collect_schema().names()) | set(added)
    fresh = (each for number in itertools.count() if (each := f"key_{number}") not in taken)
    schema = lazy.collect_schema()
    keys, expressions = [], []
    for name in columns:
        numeric = schema[name].is_numeric()
        key, flag = next(fresh), next(fresh)
        value = nw.col(name).cast(nw.Float64) if numeric else nw.col(name)
        keys += [key, flag]
        missing = nw.col(name).is_null()
        expressions += [
            nw.when(missing).then(nw.lit(0.0 if numeric else "")).otherwise(value).alias(key),
            missing.alias(flag),
        ]
    lazy = lazy.with_columns(*expressions)
    distinct = collect(lazy.select(*keys).unique())
    inputs = {}
    for name, key, flag in zip(columns, keys[::2], keys[1::2], strict=True):
        found = distinct[key].to_numpy()
        gaps = distinct[flag].to_numpy().astype(bool)
        inputs[name] = np.where(gaps, np.nan if found.dtype.kind == "f" else np.array(None), found)
    values = step(nw.from_dict(inputs, backend="pyarrow")) if len(distinct) else _typed({}, added)
    scored = _with_columns(distinct, values)
    kept = [name for name in schema.names() if name not in added]
    return lazy.join(upload(lazy, scored), on=keys, how="left").select(*kept, *added)


def _scan_arrow(relation: Any, arrow_table: Any) -> Any:
    """A DuckDB relation over an Arrow table, on the connection of another relation."""
    return relation.limit(0).query("relation_of_the_same_connection", "SELECT * FROM arrow_table")


def _check_names(lazy: nw.LazyFrame[Any], names: Sequence[str], owner: str) -> None:
    """Spark may hold names that are equal, or equal to it as only their case differs, or that it cannot read."""
    if not lazy.implementation.is_pyspark():
        return
    strict = str(native(lazy).sparkSession.conf.get("spark.sql.caseSensitive")).lower() == "true"
    known = [name if strict else name.lower() for name in names]
    doubled = sorted({name for name, key in zip(names, known, strict=True) if known.count(key) > 1})
    if doubled:
        raise InvalidDataError(f"{owner} needs columns with distinct names. Spark takes {doubled} for the same.")
    dotted = [name for name in names if "." in name or "`" in name]
    if dotted:
        plain = dotted[0].replace(".", "_").replace("`", "_")
        raise InvalidDataError(
            f"{owner} needs columns with plain names. Spark takes the dots and backticks in {dotted} for syntax. "
            f"Rename them: frame.withColumnRenamed({dotted[0]!r}, {plain!r})."
        )
