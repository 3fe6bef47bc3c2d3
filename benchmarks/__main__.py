"""`python -m benchmarks`: the full report. `--guard`: small sizes, exit 1 where a ratio fell below its floor."""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.cases import CASES, Case
from benchmarks.timing import alone, compare, ratio

PACKAGES = ("custanalytics", "numba", "numpy", "pandas", "polars", "duckdb", "lifetimes", "scikit-learn")


def guard(cases: list[Case]) -> int:
    """Compare ratios at small size with the floors of the cases."""
    failed = 0
    for case in cases:
        seconds = compare(case, case.small, repeats=5)
        for peer, floor in case.floors.items():
            found = ratio(seconds, peer)
            verdict = "ok" if found >= floor else "TOO SLOW"
            failed += found < floor
            print(f"{verdict:9s}{case.name} at {case.small:,}: {found:.1f}x {peer} (floor {floor:g}x)", flush=True)
    return 1 if failed else 0


def report(cases: list[Case], repeats: int) -> str:
    """A Markdown page: versions, one table over all cases and sizes, and what we lose."""
    rows, lost = [], []
    for case in cases:
        for size in case.sizes:
            seconds = compare(case, size, repeats)
            for name, values in seconds.items():
                single = alone(case, name, size)
                times = "" if name == "custanalytics" else f"{ratio(seconds, name):.1f}x"
                if times and ratio(seconds, name) < 1:
                    lost.append(f"{case.name} at {size:,}: {name} is faster")
                median = statistics.median(values)
                cells = [case.title, f"{size:,}", name, f"{median:.4g}", times]
                cells += [f"{single['first']:.3g}", f"{single['peak']:,.0f}"]
                rows.append("| " + " | ".join(cells) + " |")
                print(rows[-1], file=sys.stderr, flush=True)
    head = "| case | size | implementation | median s | we are faster | first call s | peak extra MiB |"
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    where = f"Python {platform.python_version()} on {platform.machine()}; {versions}."
    losses = "\n".join(f"- {line}" for line in lost) if lost else "None of the cases above."
    note = (
        "Agreement of the results is asserted before anything is timed. Seconds are medians of runs in turn within one "
        "process; first call and peak memory are those of a new process, with compiled kernels on disk; "
        "memory that making the data left to the process is not counted."
    )
    lines = ["# Benchmarks", "", where, note, "", head]
    lines += ["|---|---|---|---|---|---|---|", *rows, "", "## Cases that we lose", "", losses, ""]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--guard", action="store_true", help="small sizes; fail where a ratio fell below its floor")
    parser.add_argument("--case", action="append", help="only this case (may be given again)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the report here (default: standard output)")
    options = parser.parse_args()
    cases = [case for case in CASES if not options.case or case.name in options.case]
    if options.guard:
        return guard(cases)
    page = report(cases, options.repeats)
    if options.out:
        options.out.write_text(page)
    else:
        print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
