"""Hypothesis profiles, the `thorough` switch, and fixtures that run a test on every frame library or engine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from tests.engines.services import STARTERS, Engine, Engines

settings.register_profile("ci", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("ci"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="also run the long checks")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--thorough"):
        # by marker: the keywords of a test hold the names of its directories, too
        long = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run the tests of one service in one process, where it is started once, and those of one file likewise.

    What a file sets up, and the kernels that it is the first to compile, are then made in one process only.
    """
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class ByService(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            parameters = nodeid.partition("[")[2]
            return next((name for name in ("pyspark", "postgresql") if name in parameters), nodeid.partition("::")[0])

    return ByService(config, log)


FRAMES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
}


@pytest.fixture(params=FRAMES)
def to_frame(request: pytest.FixtureRequest) -> Callable[[pd.DataFrame], Any]:
    """Turn a pandas frame into the frame library under test."""
    return FRAMES[request.param]


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    """Engines by name; each is started once and ends with the tests."""
    with contextlib.ExitStack() as stack:
        yield Engines(stack)


@pytest.fixture(params=STARTERS)
def engine(request: pytest.FixtureRequest, engines: Engines) -> Engine:
    """Each kind of table that a log or a customer table may be in."""
    return engines[request.param]
