"""`make soak`: the full size on the embedded backend. SEED repeats a run, SIZE is the number of requests."""

import os
import secrets
import sys
import tempfile
from pathlib import Path

from tests.faults.run import Run, Size, on_one_line
from tests.faults.table import table


def main() -> int:
    seed = int(os.environ.get("SEED") or secrets.randbelow(1_000_000))
    requests = int(os.environ.get("SIZE") or 2_000)
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    backend = os.environ.get("BACKEND") or "embedded"
    print(f"seed {seed}, {requests} requests, {backend}; the relay's log: {directory}/stack.log", flush=True)
    run = Run(seed, Size(requests, pace=0.3, alive=(3.0, 8.0)), backend, directory, on_one_line)
    rows = run.rows()
    print(f"\n{table(rows, seed)}")
    return 0 if all(row.right for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
