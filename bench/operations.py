"""What a request with 1, 2 and 5 signers asks of Google and of Clickwrap: counts, which are the same in every run."""

import json
import subprocess
import sys
from collections import Counter

from bench.harness import ROOT, Harness
from bench.report import Row

SIGNERS = ("1", "2", "5")
SHOWN = (
    "reads",
    "listed",
    "writes",
    "link writes",
    "publishes",
    "statuses",
    "tasks created",
    "tasks deleted",
    "API calls",
)
NAMES = {"listed": "read by queries", "statuses": "status publishes"}
BUDGET = {
    "event": "1 read, 1 write, 1 API call",
    "invitation": "2 reads, 2 writes, 1 link write",
    "reminder": "as an invitation; 1 read, 1 write, 1 API call for all of a moment",
    "opened link": "1 read, 1 write",
    "progress": "3 reads, 2 writes",
    "completion": "as an invitation, 1 read",
    "firing": "1 read, 1 write",
    "recheck": "1 read, 1 write, 1 API call",
}


def run(harness: Harness) -> list[Row]:
    harness.progress.step("counting")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bench.lifecycle", *SIGNERS], cwd=ROOT, capture_output=True, check=True
    )
    counted_by_signers: dict[str, dict[str, dict[str, int]]] = json.loads(done.stdout)
    return [row for n in SIGNERS for row in rows(n, counted_by_signers[n])]


def rows(signers: str, counts_by_cause: dict[str, dict[str, int]]) -> list[Row]:
    total: Counter[str] = Counter()
    for counts in counts_by_cause.values():
        total.update({what: n for what, n in counts.items() if what != "times" and not what.startswith("control")})
    causes = [
        Row(what=f"{signers} signers: {counts['times']} × {cause}", ours=shown(counts), goal=BUDGET[cause])
        for cause, counts in counts_by_cause.items()
        if signers == "2"
    ]
    return [*causes, Row(what=f"{signers} signers: the whole lifecycle", ours=shown(total))]


def shown(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[what]} {NAMES.get(what, what)}" for what in SHOWN if counts.get(what))
