"""The thread pool: same bits for any number of threads, safe from two threads, after a fork, without a cache."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from custanalytics import _jit
from custanalytics._jit import kernel


@kernel
def square_loop(start, stop, values, out):
    total = 0.0
    for row in range(start, stop):
        out[row] = values[row] * values[row]
        total += out[row]
    return total


def squares(values: np.ndarray) -> tuple[np.ndarray, float]:
    out = np.empty_like(values)
    return out, sum(_jit.run(square_loop, values.size, values, out=(out,)))


VALUES = np.random.default_rng(0).normal(size=100_003)


def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    with _jit.threads(1):
        one, sum_one = squares(VALUES)
    with _jit.threads(3):
        three, sum_three = squares(VALUES)
    assert np.array_equal(one, VALUES**2)
    assert np.array_equal(one, three)
    assert sum_one == sum_three


def test_two_python_threads_at_once() -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(squares, [VALUES] * 16))
    assert all(np.array_equal(result, VALUES**2) for result, _ in results)


def test_loops_may_run_loops_and_fail_on_any_thread() -> None:
    def outer(start: int, stop: int, fails: bool, parts: np.ndarray) -> float:
        parts[0, 0] = sum(_jit.run(square_loop, 1000, VALUES, out=(np.empty(1000),), size=100))
        if fails and start >= 48:
            raise ArithmeticError(start)
        return float(start)

    parts = np.empty((16, 1))
    with _jit.threads(3):
        assert _jit.run(outer, 64, False, parts=parts, size=4) == [4.0 * at for at in range(16)]
        assert parts == pytest.approx(np.full((16, 1), (VALUES[:1000] ** 2).sum()))
        with pytest.raises(ArithmeticError):
            _jit.run(outer, 64, True, parts=parts, size=4)
        assert squares(VALUES)[1] == pytest.approx((VALUES**2).sum())


@pytest.mark.parametrize("n", [0, 1, _jit.SLICE, _jit.SLICE + 1])
def test_slices_cover_all_rows_once(n: int) -> None:
    rows = [row for start, stop in _jit.slices(n) for row in range(start, stop)]
    assert rows == list(range(n))


def test_inputs_are_read_only_in_kernels_and_stay_as_they_are() -> None:
    values = np.arange(3.0)
    seen = _jit.call(lambda array: array.flags.writeable, values)
    assert seen is False
    assert values.flags.writeable


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_fork_after_a_call_works() -> None:
    code = (
        "import os, numpy as np\n"
        "from custanalytics import _jit\n"
        "from custanalytics._hashing import codes_by_hash\n"
        "def loop(start, stop, v, out):\n    out[start:stop] = v[start:stop] + 1\n"
        "v = np.arange(100_000.0); out = np.empty_like(v)\n"
        "_jit.run(loop, v.size, v, out=(out,))\n"
        "child = os.fork()\n"
        "out[:] = 0; _jit.run(loop, v.size, v, out=(out,)); ok = (out == v + 1).all()\n"
        "if child == 0: os._exit(0 if ok else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0 and ok\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("given", "threads"), [("3", 3), (" 2 ", 2), ("0", 1), ("", None), ("-1", None), ("²", None)])
def test_threads_are_taken_from_the_environment(
    given: str, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUSTANALYTICS_NUM_THREADS", given)
    monkeypatch.setattr(_jit._state, "threads", None)
    assert _jit.num_threads() == (threads or len(os.sched_getaffinity(0)))


def test_a_cache_that_cannot_be_written_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    real = numba.njit

    def without_cache(*args: object, cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(*args, **options)

    monkeypatch.setattr(numba, "njit", without_cache)
    compiled = _jit.kernel(lambda value: value + 1)
    assert compiled(1) == 2
