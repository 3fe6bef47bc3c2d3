from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from custanalytics import _jit
from custanalytics.rfm import RFMSummary

SUMMARY = """
import hashlib
import numpy as np
import pandas as pd
from custanalytics.rfm import RFMSummary
rng = np.random.default_rng(1)
n = 120_000
log = pd.DataFrame({
    "customer_id": rng.integers(0, 9_000, n),
    "timestamp": np.datetime64("2024-01-01", "us") + rng.integers(0, 9_000, n) * np.timedelta64(1, "h"),
    "amount": rng.gamma(2, 20, n),
})
def digest(log):
    table = RFMSummary().fit_transform(log)
    return hashlib.sha256(b"".join(table[name].to_numpy().tobytes() for name in table.columns)).hexdigest()
"""
FORK = """
import os
before = digest(log)
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.write(write, digest(log[::-1]).encode())
    os._exit(0)
os.close(write)
after = os.read(read, 100).decode()
assert os.waitpid(child, 0)[1] == 0
assert after == before == digest(log), (after, before)
print("same")
"""


def python(code: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("text", [False, True])
def test_two_python_threads_give_the_bits_of_one(text: bool) -> None:
    rng = np.random.default_rng(2)
    n = 300_000
    ids = rng.integers(0, 20_000, n)
    log = pd.DataFrame({
        "customer_id": np.char.add("a customer ", ids.astype(str)) if text else ids,
        "timestamp": np.datetime64("2024-01-01", "us") + rng.integers(0, 9_000, n) * np.timedelta64(1, "h"),
        "amount": rng.gamma(2, 20, n),
    })  # fmt: skip
    summary = RFMSummary().fit(log)
    with _jit.threads(1):
        expected = summary.transform(log)
    found: list[pd.DataFrame] = []
    with _jit.threads(2):
        workers = [threading.Thread(target=lambda: found.append(RFMSummary().fit_transform(log))) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len(found) == 2
    for table in found:
        pd.testing.assert_frame_equal(table, expected, check_exact=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_after_a_call_gives_the_same_bits() -> None:
    process = python(SUMMARY + FORK, CUSTANALYTICS_NUM_THREADS="2")
    out, err = process.communicate(timeout=300)
    assert out.strip() == "same", err


@pytest.mark.thorough
def test_eight_processes_may_compile_at_once(tmp_path: Path) -> None:
    started = [python(SUMMARY + "print(digest(log))", NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(8)]
    results = [process.communicate(timeout=600) for process in started]
    assert all(process.returncode == 0 for process in started), results
    assert len({out for out, _ in results}) == 1
    assert any(tmp_path.rglob("*.nbc"))


def test_without_compilation_the_table_is_the_same() -> None:
    code = (
        "import numpy as np, pandas as pd\n"
        "from custanalytics.rfm import RFMSummary\n"
        "rng = np.random.default_rng(2)\n"
        "times = pd.to_datetime('2024-01-01') + pd.to_timedelta(rng.integers(0, 200, 60), unit='D')\n"
        "log = pd.DataFrame({'timestamp': times, 'amount': np.round(rng.normal(10, 9, 60), 2)})\n"
        "for ids in (np.arange(-3, 3), np.arange(2**63 - 3, 2**63 + 3, dtype=np.uint64), np.array(list('abcdef'))):\n"
        "    log['customer_id'] = rng.choice(ids, 60)\n"
        "    print(RFMSummary(time_unit='D').fit_transform(log).to_csv())\n"
    )
    found = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | more)
        for more in ({"NUMBA_DISABLE_JIT": "1"}, {})
    ]
    assert found[0].stdout == found[1].stdout
    assert found[0].stdout.count("\n") > 18
