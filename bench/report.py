"""The results of the benchmarks: stored as JSON, shown as a Markdown table."""

import os
import platform
import re
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import msgspec

from bench.harness import ROOT

T = TypeVar("T")
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "performance.md"
PACKAGES = ("functions-framework", "gunicorn", "google-cloud-pubsub", "google-cloud-firestore", "google-cloud-tasks")
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


class Row(msgspec.Struct, kw_only=True):
    """One result. ratio: median of the ratios of each round, so that a change of the machine's speed matters less."""

    what: str
    ours: str
    against: str = ""
    theirs: str = ""
    ratio: float | None = None
    goal: str = ""


class Bench(msgspec.Struct, kw_only=True):
    at: datetime
    seconds: float
    rows: list[Row]


class Results(msgspec.Struct, kw_only=True):
    machine: str = ""
    versions: dict[str, str] = {}
    benches: dict[str, Bench] = {}


def load() -> Results:
    path = RESULTS / "latest.json"
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else Results()


def save(results: Results) -> None:
    """Write the JSON and the table. A benchmark that did not run keeps its last results."""
    RESULTS.mkdir(exist_ok=True)
    results.machine, results.versions = machine(), versions()
    (RESULTS / "latest.json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2))
    (RESULTS / "table.md").write_text(table(results))


def into_page(results: Results) -> None:
    """Replace the table in docs/performance.md. Raises ValueError if the markers of the table are missing."""
    text = PAGE.read_text()
    fresh, count = re.subn(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{table(results)}{END}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{PAGE} must hold {BEGIN} and {END} once")
    PAGE.write_text(fresh)


def table(results: Results) -> str:
    used = ", ".join(f"{name} {number}" for name, number in results.versions.items())
    lines = [f"{results.machine}. {used}.", "", "| benchmark | measured | ours | against | theirs | ratio | target |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name, bench in results.benches.items():
        for i, row in enumerate(bench.rows):
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            cells = [f"`{name}`" if i == 0 else "", row.what, row.ours, row.against, row.theirs, ratio, row.goal]
            lines.append("| " + " | ".join(cells) + " |")
    runs = ", ".join(f"`{n}` {b.at:%Y-%m-%d %H:%M} UTC in {b.seconds:.0f} s" for n, b in results.benches.items())
    return "\n".join([*lines, "", f"Run: {runs}.", ""])


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def alternating(items: Iterable[T], round_no: int) -> list[T]:
    """The items, in reverse order in every second round, so that none always runs after the same other one."""
    return list(items)[:: -1 if round_no % 2 else 1]


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:,.0f} ms"


def machine() -> str:
    cpu = (
        re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) if Path("/proc/cpuinfo").exists() else None
    )
    load = f", load {os.getloadavg()[0]:.1f} at the end"
    return f"{os.cpu_count()} cores{f' ({cpu[1]})' if cpu else ''}, {platform.system()}{load}"


def versions() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    found = {"commit": commit.stdout.strip() or "?", "Python": platform.python_version()}
    return found | {name: version(name) for name in PACKAGES}


def now() -> datetime:
    return datetime.now(UTC)
