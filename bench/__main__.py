"""`make bench`: runs the benches, prints their table, keeps the figures in bench/results/.

BENCH=receive,cold picks some; the others keep their last figures. WRITE=1 also puts the table into docs/performance.md.
"""

import importlib
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench import report
from bench.harness import Ground, Progress

BENCHES = (
    "receive",
    "cold",
    "resolve",
    "deliver",
    "lifecycle",
    "fan_out",
    "growth",
    "bulk",
    "operations",
    "cost",
    "sizes",
)


def picked(text: str) -> list[str]:
    """Raises SystemExit for a name that is none."""
    names = [name.strip().replace("-", "_") for name in text.split(",") if name.strip()] or list(BENCHES)
    if unknown := [name for name in names if name not in BENCHES]:
        raise SystemExit(f"BENCH={','.join(unknown)}: choose among {', '.join(BENCHES)}")
    return names


def main() -> None:
    names, results = picked(os.environ.get("BENCH", "")), report.load()
    progress = Progress(len(names))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-bench-")))
        ground = Ground(stack, directory, progress)
        for name in names:
            results.benches[name] = measured(name, ground)
            progress.finish()
    results.benches = {name: results.benches[name] for name in BENCHES if name in results.benches}
    report.save(results)
    if os.environ.get("WRITE") == "1":
        report.into_page(results)
    print(report.table(results))


def measured(name: str, ground: Ground) -> report.Bench:
    ground.progress.name, at, began = name, report.now(), time.monotonic()
    rows = importlib.import_module(f"bench.{name}").run(ground)
    return report.Bench(at=at, seconds=time.monotonic() - began, rows=rows)


if __name__ == "__main__":
    os.environ["GRPC_VERBOSITY"] = "NONE"
    main()
    sys.stdout.flush()
    os._exit(0)  # a client's thread that still calls an emulator that is gone would hold us
