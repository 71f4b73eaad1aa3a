"""`make bench`: run the benchmarks, print a table of results and store them in bench/results/.

BENCH=receive,cold runs only these; the others keep their last results. WRITE=1 also updates docs/performance.md.
"""

import importlib
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench import report
from bench.harness import Harness, Progress

BENCHES = (
    "receive",
    "cold",
    "resolve",
    "deliver",
    "latency",
    "burst",
    "fan_out",
    "growth",
    "console",
    "bulk",
    "operations",
    "cost",
    "sizes",
    "segments",
)


def chosen(text: str) -> list[str]:
    """The benchmarks named by BENCH; by default all. Raises SystemExit for an unknown name."""
    names = [name.strip().replace("-", "_") for name in text.split(",") if name.strip()] or list(BENCHES)
    if unknown := [name for name in names if name not in BENCHES]:
        raise SystemExit(f"BENCH={','.join(unknown)}: choose from {', '.join(BENCHES)}")
    return names


def main() -> None:
    names, results = chosen(os.environ.get("BENCH", "")), report.load()
    progress = Progress(len(names))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-bench-")))
        harness = Harness(stack, directory, progress)
        for name in names:
            results.benches[name] = measured(name, harness)
            results.benches = {name: results.benches[name] for name in BENCHES if name in results.benches}
            report.save(results)  # each, since a later one may fail
            progress.finish()
    if os.environ.get("WRITE") == "1":
        report.into_page(results)
    print(report.table(results))


def measured(name: str, harness: Harness) -> report.Bench:
    harness.progress.name, at, began = name, report.now(), time.monotonic()
    rows = importlib.import_module(f"bench.{name}").run(harness)
    return report.Bench(at=at, seconds=time.monotonic() - began, rows=rows)


if __name__ == "__main__":
    os.environ["GRPC_VERBOSITY"] = "NONE"
    main()
    sys.stdout.flush()
    os._exit(0)  # a client thread that calls a stopped emulator would delay the exit
