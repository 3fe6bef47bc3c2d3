"""The engines that the tests run on: each turns a pandas frame into a table of its own, and its tables back."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from custanalytics import _engines, _frames

REQUIRED = os.environ.get("CUSTANALYTICS_TEST_SERVICES") == "required"
POSTGRES_URL = "CUSTANALYTICS_TEST_POSTGRES"
_numbers = count()


@dataclass(frozen=True)
class Engine:
    """One kind of table: `make` gives one from a pandas or Arrow frame, `rows` the rows of one by customer."""

    name: str
    make: Callable[[Any], Any]
    lazy: bool = True

    def rows(self, table: Any, by: str = "customer_id") -> pd.DataFrame:
        frame = _engines.collect(_engines.wrap(table)) if self.lazy else _frames.read(table)
        columns = {name: frame[name].to_numpy() for name in frame.columns}
        return pd.DataFrame(columns).sort_values(by).reset_index(drop=True)


def arrow(frame: Any) -> pa.Table:
    return frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)


def pandas(frame: Any) -> pd.DataFrame:
    """A pandas frame with dates as times and decimals as floats: what pandas has no type for."""
    table = arrow(frame)
    for at, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            table = table.set_column(at, field.name, table[at].cast(pa.float64()))
    return table.to_pandas(date_as_object=False)


def missing(what: str, packages: str) -> None:
    """Skip, and say what to install; where the services are required, fail."""
    reason = f"{what} was not found; on Debian: apt-get install {packages}"
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def in_memory(name: str) -> Iterator[Engine]:
    makers: dict[str, Callable[[Any], Any]] = {
        "pandas": pandas,
        "polars": lambda frame: pl.from_arrow(arrow(frame)),
        "pyarrow": arrow,
    }
    yield Engine(name, makers[name], lazy=False)


@contextlib.contextmanager
def polars_lazy() -> Iterator[Engine]:
    yield Engine("polars-lazy", lambda frame: pl.from_arrow(arrow(frame)).lazy())


@contextlib.contextmanager
def on_duckdb() -> Iterator[Engine]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield Engine("duckdb", lambda frame: connection.from_arrow(arrow(frame)))


@contextlib.contextmanager
def on_ibis_duckdb() -> Iterator[Engine]:
    backend = ibis.duckdb.connect()
    backend.raw_sql("SET TimeZone = 'UTC'")

    def make(frame: Any) -> Any:
        name = f"log_{next(_numbers)}"
        backend.con.register(f"{name}_given", arrow(frame))
        backend.con.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_given")
        return backend.table(name)

    yield Engine("ibis-duckdb", make)
    backend.disconnect()


@contextlib.contextmanager
def on_dask() -> Iterator[Engine]:
    import dask
    import dask.dataframe

    with dask.config.set(scheduler="threads", num_workers=2):
        yield Engine("dask", lambda frame: dask.dataframe.from_pandas(pandas(frame), npartitions=3))


@contextlib.contextmanager
def on_spark() -> Iterator[Engine]:
    home = java_home()
    if home is None:
        missing("Java 17, which Spark runs on,", "openjdk-17-jre-headless")
    os.environ["JAVA_HOME"] = str(home)
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.shuffle.partitions": "1",
        "spark.default.parallelism": "1",
        "spark.sql.session.timeZone": "UTC",
        "spark.log.level": "ERROR",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master("local[1]").appName("custanalytics")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    yield Engine("pyspark", lambda frame: session.createDataFrame(arrow(frame)))
    session.stop()


@contextlib.contextmanager
def on_postgresql() -> Iterator[Engine]:
    with contextlib.ExitStack() as stack:
        url = os.environ.get(POSTGRES_URL) or stack.enter_context(postgresql_server())
        parts = urllib.parse.urlsplit(url)
        backend = ibis.postgres.connect(
            host=parts.hostname, port=parts.port, user=parts.username, password=parts.password, database=parts.path[1:]
        )
        stack.callback(backend.disconnect)

        def make(frame: Any) -> Any:
            return backend.create_table(f"log_{next(_numbers)}", arrow(frame), temp=True)

        yield Engine("postgresql", make)


def java_home() -> Path | None:
    """Where a Java 17 is; where there is none, any other that was chosen or is on the path."""
    found = [path for path in sorted(Path("/usr/lib/jvm").glob("*17*")) if (path / "bin" / "java").exists()]
    if found:
        return found[0]
    if "JAVA_HOME" in os.environ:
        return Path(os.environ["JAVA_HOME"])
    on_path = shutil.which("java")
    return Path(on_path).resolve().parents[1] if on_path else None


@contextlib.contextmanager
def postgresql_server() -> Iterator[str]:
    """A PostgreSQL server of its own in a directory of its own, which ends with the tests."""
    places = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not places:
        missing("PostgreSQL", "postgresql")
    home = Path(tempfile.mkdtemp(prefix="custanalytics-postgresql-"))
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        user = pwd.getpwnam("postgres")
        os.chown(home, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def run(program: str, *arguments: str) -> None:
        command = [str(places[-1] / program), *arguments]
        with (home / "output").open("a") as output:
            done = subprocess.run(command, cwd=home, stdout=output, stderr=output, check=False, **as_user)
        assert done.returncode == 0, (home / "output").read_text()

    port = _free_port()
    options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off -c timezone=UTC"
    try:
        run("initdb", "-D", str(home / "data"), "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "-D", str(home / "data"), "-w", "-l", str(home / "log"), "-o", options, "start")
        try:
            yield f"postgresql://tests@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", str(home / "data"), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


STARTERS: dict[str, Callable[[], contextlib.AbstractContextManager[Engine]]] = {
    **{name: (lambda name=name: in_memory(name)) for name in ("pandas", "polars", "pyarrow")},
    "polars-lazy": polars_lazy,
    "duckdb": on_duckdb,
    "ibis-duckdb": on_ibis_duckdb,
    "dask": on_dask,
    "postgresql": on_postgresql,
    "pyspark": on_spark,
}
IN_PROCESS = ("pyarrow", "polars-lazy", "duckdb", "ibis-duckdb", "dask")


class Engines:
    """Engines by name, each started when it is first asked for."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.stack, self.started = stack, dict[str, Engine]()

    def __getitem__(self, name: str) -> Engine:
        if name not in self.started:
            self.started[name] = self.stack.enter_context(STARTERS[name]())
        return self.started[name]
