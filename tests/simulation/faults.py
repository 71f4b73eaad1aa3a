"""Faults put into the relay on purpose, one at a time (`faults.toml`): the simulation must find each of them.

`make simulate-faults` prints the table (FAULTS=name,name for some). A fault counts as found when a run breaks a rule
that the same run keeps without it.
"""

import os
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.simulation.mutate import Fault, install

LIMIT = 60.0  # seconds for each

TABLE = tomllib.loads((Path(__file__).parent / "faults.toml").read_text())
FAULTS = tuple(Fault(**row) for row in TABLE["fault"])


@dataclass(frozen=True)
class Found:
    """rule: "" where nothing was found. where: the seed."""

    rule: str
    what: str
    where: int
    runs: int
    seconds: float


def search(name: str, limit: float, first: int = 0) -> Found:
    """Runs seeds in another process that has this fault, until one breaks a rule that it keeps without the fault."""
    from tests.simulation.cases import run_seed

    began, runs = time.monotonic(), 0
    while (left := limit - (time.monotonic() - began)) > 0:
        found = _searched(name, left, first)
        runs += found.runs
        if not found.rule:
            break
        if found.rule not in {rule for rule, _ in run_seed(found.where).breaches}:
            return Found(found.rule, found.what, found.where, runs, time.monotonic() - began)
        first = found.where + 1
    return Found("", "", 0, runs, time.monotonic() - began)


def _searched(name: str, limit: float, first: int) -> Found:
    command = [sys.executable, "-m", "tests.simulation.faults", "--search", name, str(limit), str(first)]
    done = subprocess.run(command, capture_output=True, check=True)
    return msgspec.json.decode(done.stdout, type=Found)


def _search_here(name: str, limit: float, first: int) -> Found:
    """In this process, which has imported nothing of the relay yet."""
    install(by_name(name))
    from tests.simulation.cases import run_seed

    began, seed = time.monotonic(), first
    while time.monotonic() - began < limit:
        if found := run_seed(seed).breaches:
            rule, what = found[0]
            return Found(rule, what, seed, seed - first + 1, time.monotonic() - began)
        seed += 1
    return Found("", "", 0, seed - first, time.monotonic() - began)


def by_name(name: str) -> Fault:
    return next(fault for fault in FAULTS if fault.name == name)


def main() -> int:
    wanted = [name for name in (os.environ.get("FAULTS") or "").split(",") if name]
    names = [f.name for f in FAULTS if not wanted or any(w in f.name for w in wanted)]
    missed = 0
    print(f"{'fault':<52} {'found by':<26} {'seed':>6} {'runs':>6} {'seconds':>8}")
    with ThreadPoolExecutor(int(os.environ.get("WORKERS") or os.cpu_count() or 1)) as pool:
        for name, found in zip(names, pool.map(lambda name: search(name, LIMIT), names), strict=True):
            missed += not found.rule
            print(f"{name:<52} {found.rule or 'NOT FOUND':<26} {found.where:>6} {found.runs:>6} {found.seconds:>8.1f}")
            sys.stdout.flush()
    print(f"{len(names)} faults, {missed} not found within {LIMIT:g} s")
    return bool(missed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--search"]:
        sys.stdout.buffer.write(msgspec.json.encode(_search_here(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))))
    else:
        sys.exit(main())
