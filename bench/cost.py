"""Cost of 1,000 signature requests in US dollars: counted operations times the public prices in docs/cost.md."""

import json
import subprocess
import sys
from collections import Counter

from bench.harness import ROOT, Harness
from bench.report import Row

# US dollars in us-central1 on 2026-11-24, without free tiers. Sources: docs/cost.md.
READ, WRITE, DELETE = 0.03e-5, 0.09e-5, 0.01e-5  # Firestore, per document
PUBSUB = 40 / 2**40  # per byte, published or delivered
TASK = 0.40e-6  # Cloud Tasks, per API call or dispatch
CALL = 0.40e-6  # Cloud Run, per request
SECOND = 0.000024 * 1 + 0.0000025 * 0.5  # Cloud Run, per second of a request: 1 vCPU and 512 MiB
IDLE = 0.0000025 * 1 + 0.0000025 * 0.5  # Cloud Run, per second of an idle minimum instance
BILLED_BYTES, BILLED_SECONDS = 1_000, 0.1  # minimum billed for a Pub/Sub request, and for a Cloud Run request
MONTH = 2_628_000  # seconds
CLICKS = 2  # per signer: to sign, and to see the result
NOTICES = ("invitation", "reminder", "progress", "completion")
MIN_INSTANCES, SCHEDULER = 2, 0.10  # one each of receive and links; a Cloud Scheduler job per month

Counts = dict[str, dict[str, int]]


def run(harness: Harness) -> list[Row]:
    harness.progress.step("counting operations")
    counted_by_signers = counted("1", "2", "5")
    return [*(row(signers, counts_by_cause) for signers, counts_by_cause in counted_by_signers.items()), fixed()]


def counted(*signers: str) -> dict[str, Counts]:
    asked = [sys.executable, "-W", "ignore", "-m", "bench.lifecycle", *signers]
    found: dict[str, Counts] = json.loads(subprocess.run(asked, cwd=ROOT, capture_output=True, check=True).stdout)
    return found


def row(signers: str, counts_by_cause: Counts) -> Row:
    parts = costs(int(signers), counts_by_cause)
    shown = ", ".join(f"{name} ${1000 * dollars:.3f}" for name, dollars in parts.items())
    return Row(what=f"1,000 requests of {signers} signers", ours=f"${1000 * sum(parts.values()):.2f}: {shown}")


def costs(signers: int, counts_by_cause: Counts) -> dict[str, float]:
    """Dollars for one request, by service."""
    total = totals(counts_by_cause)
    events, rechecks, firings = (counts_by_cause[cause]["times"] for cause in ("event", "recheck", "firing"))
    notices = sum(counts_by_cause[kind]["times"] for kind in NOTICES if kind in counts_by_cause)
    clicks = CLICKS * signers
    reads = (
        total["reads"] + total["listed"] + notices + 2 * clicks
    )  # a receipt reads its notice, a click reads two documents
    writes = total["writes"] + total["link writes"] + notices
    deletes = 1 + notices + signers
    statuses = total["statuses"] + notices  # a receipt causes one too
    requests = 2 * (events + notices + statuses)  # published and delivered
    filtered_out = notices  # by the subscription of the other channel; Pub/Sub bills filtered messages too
    calls = 2 * events + 2 * notices + firings + clicks  # receive and resolve, deliver and receipts, remind, links
    return {
        "Firestore": reads * READ + writes * WRITE + deletes * DELETE,
        "Cloud Run": calls * (CALL + BILLED_SECONDS * SECOND) + rechecks * BILLED_SECONDS * SECOND,
        "Pub/Sub": (requests + filtered_out) * BILLED_BYTES * PUBSUB,
        "Cloud Tasks": (total["tasks created"] + total["tasks deleted"] + firings) * TASK,
    }


def totals(counts_by_cause: Counts) -> Counter[str]:
    total: Counter[str] = Counter()
    for counts in counts_by_cause.values():
        total.update(counts)
    return total


def fixed() -> Row:
    """The cost of a month without requests: two minimum instances, and reconcile once a minute."""
    passes = MONTH / 60
    reconciling = passes * (CALL + BILLED_SECONDS * SECOND + 2 * READ + WRITE) + SCHEDULER
    warm = MIN_INSTANCES * IDLE * MONTH
    shown = f"${warm + reconciling:.2f}: receive and links kept warm ${warm:.2f}, reconcile ${reconciling:.2f}"
    return Row(what="a month without a request", ours=shown)
