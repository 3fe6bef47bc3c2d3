"""The only place that sets Numba options, and the one thread pool that runs kernels over slices of rows.

Kernels are serial and release the GIL. `run` cuts the rows into slices whose bounds depend on nothing but
the number of rows, so the same bits come out whatever the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from threading import Lock, local
from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic

SLICE = 1 << 14
WIDE = 1 << 17  # slices for loops that do little per row, and so much of it at once
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function with the house options, cached on disk where a cache can be written."""
    if numba.config.DISABLE_JIT:  # interpreted arithmetic wraps and divides as silently as compiled arithmetic
        return np.errstate(all="ignore")(function)
    try:
        return numba.njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # neither the package's nor the user's cache directory can be written
        return numba.njit(**OPTIONS)(function)


def _fma(a: float, b: float, c: float) -> float:
    return a * b + c


def _one_instruction(context: Any, a: Any, b: Any, c: Any) -> Any:
    double = numba.types.float64
    return double(double, double, double), lambda context, builder, signature, arguments: builder.fma(*arguments)


# In kernels: a * b + c rounded once, in the one instruction that processors have for it. Twice as fast in polynomials,
# and, asked for by name, the same bits wherever it stands, which would not be sure if the compiler chose.
fma: Any = _fma if numba.config.DISABLE_JIT else intrinsic(_one_instruction)


def slices(n: int, size: int = SLICE) -> list[tuple[int, int]]:
    """Bounds of the fixed slices of `n` rows."""
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def call(function: Callable[..., Any], *inputs: Any, out: tuple[Any, ...] = ()) -> Any:
    """Call a kernel once: inputs are passed read-only, `out` arrays may be written."""
    return function(*map(_frozen, inputs), *out)


def run(
    loop: Callable[..., Any],
    n: int,
    *inputs: Any,
    out: tuple[Any, ...] = (),
    parts: np.ndarray | None = None,
    size: int = SLICE,
) -> list[Any]:
    """Call `loop(start, stop, *inputs, *out)` for every slice of `n` rows, on all threads.

    Returns what the slices returned, in slice order, so that a caller can add partial sums in one fixed order. Of
    `parts`, an array with a row for each slice, a slice gets its own as a last argument of shape (1, …).
    """
    frozen = (*map(_frozen, inputs), *out)
    if 0 < n <= size:  # a single slice, as where one customer is scored
        return [loop(0, n, *frozen) if parts is None else loop(0, n, *frozen, parts[:1])]
    bounds = slices(n, size)
    results: list[Any] = [None] * len(bounds)
    waiting = iter(range(len(bounds)))  # which of the threads takes a slice is left to chance

    def take(most: int) -> None:
        before, _here.busy = getattr(_here, "busy", False), True
        try:
            for at in islice(waiting, most):
                own = () if parts is None else (parts[at : at + 1],)
                results[at] = loop(*bounds[at], *frozen, *own)
        finally:
            _here.busy = before

    # Where a loop calls `run` itself, the threads have slices of that loop to do.
    helpers = 0 if getattr(_here, "busy", False) else min(num_threads(), len(bounds)) - 1
    if helpers > 0 and not getattr(loop, "signatures", True):
        take(1)  # compiles in this thread alone
    pending = [_pool().submit(take, len(bounds)) for _ in range(helpers)]
    take(len(bounds))
    for future in pending:
        if not future.cancel():  # it has begun, or is done: nothing waits for a thread that is not free
            future.result()
    return results


def num_threads() -> int:
    """Threads in use: `CUSTANALYTICS_NUM_THREADS`, else the processors this process may run on."""
    if _state.threads is None:
        wanted = os.environ.get("CUSTANALYTICS_NUM_THREADS", "")
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        _state.threads = max(1, int(wanted)) if wanted.strip().isdecimal() else available
    return _state.threads


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Use `n` threads inside a `with` block."""
    before = num_threads()
    _state.resize(n)
    try:
        yield
    finally:
        _state.resize(before)


def _frozen(value: Any) -> Any:
    # One compiled signature per kernel, whether an array came from a read-only frame or was just made,
    # and no kernel can write what a caller owns.
    if isinstance(value, np.ndarray) and value.flags.writeable:
        value = value.view()
        value.flags.writeable = False
    return value


class _State:
    def __init__(self) -> None:
        self.lock = Lock()
        self.threads: int | None = None
        self.pool: ThreadPoolExecutor | None = None

    def resize(self, n: int) -> None:
        with self.lock:
            # A pool that is let go finishes what it was given and its threads end by themselves.
            self.threads, self.pool = n, None


_state, _here = _State(), local()


def _pool() -> ThreadPoolExecutor:
    with _state.lock:
        if _state.pool is None:
            _state.pool = ThreadPoolExecutor(_state.threads, thread_name_prefix="custanalytics")
        return _state.pool


def _forget_pool() -> None:
    _state.lock, _state.pool = Lock(), None


if hasattr(os, "register_at_fork"):  # threads do not survive a fork: the child makes its own
    os.register_at_fork(after_in_child=_forget_pool)
