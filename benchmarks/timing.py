"""Interleaved timing within one process, and peak memory and first call in processes of their own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, Case

STATUS, CLEAR_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def timed(call: Callable[[Any], Any], data: Any) -> float:
    start = time.perf_counter()
    call(data)
    return time.perf_counter() - start


def compare(case: Case, size: int, repeats: int) -> dict[str, list[float]]:
    """Assert agreement, then run ours and every peer in turn `repeats` times; seconds per implementation."""
    data = case.make(size)
    peers = case.peers_at(size)
    mine = case.ours(data)  # also compiles
    for name, peer in peers.items():
        case.agree(mine, peer(data), name)
    del mine
    seconds: dict[str, list[float]] = {"custanalytics": [], **{name: [] for name in peers}}
    for _ in range(repeats):
        seconds["custanalytics"].append(timed(case.ours, data))
        for name, peer in peers.items():
            if sum(seconds[name]) < 120:  # a very slow peer need not run again and again
                seconds[name].append(timed(peer, data))
    return seconds


def ratio(seconds: dict[str, list[float]], peer: str) -> float:
    """How many times faster we are, by the medians."""
    return statistics.median(seconds[peer]) / statistics.median(seconds["custanalytics"])


def alone(case: Case, implementation: str, size: int) -> dict[str, float]:
    """First-call seconds and peak extra memory (MiB) in a process of its own."""
    code = f"from benchmarks.timing import report_alone; report_alone({case.name!r}, {implementation!r}, {size})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def report_alone(case_name: str, implementation: str, size: int) -> None:
    case = next(case for case in CASES if case.name == case_name)
    data = case.make(size)
    call = case.ours if implementation == "custanalytics" else case.peers_at(size)[implementation]
    CLEAR_PEAK.write_text("5")  # Linux: forget the peak that making the data left
    before = memory("VmRSS")
    first = timed(call, data)
    print(json.dumps({"first": first, "peak": (memory("VmHWM") - before) / 1024}))


def memory(what: str) -> int:
    """A line of the kernel's account of this process, in KiB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(what))
    return int(line.split()[1])
