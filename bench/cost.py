"""Dollars for 1,000 signature requests, from the counted operations of a life and the public prices in docs/cost.md."""

import json
import subprocess
import sys
from collections import Counter

from bench.harness import ROOT, Ground
from bench.report import Row

# US dollars, us-central1, without free tiers, as of 2026-11-24. Sources: docs/cost.md.
READ, WRITE, DELETE = 0.03e-5, 0.09e-5, 0.01e-5  # Firestore, a document
PUBSUB = 40 / 2**40  # a byte, published or delivered
TASK = 0.40e-6  # Cloud Tasks, a call or a dispatch
CALL = 0.40e-6  # Cloud Run, a request
SECOND = 0.000024 * 1 + 0.0000025 * 0.5  # Cloud Run at work: 1 vCPU and 512 MiB
IDLE = 0.0000025 * 1 + 0.0000025 * 0.5  # the same, kept warm and idle
LEAST_BYTES, LEAST_SECONDS = 1_000, 0.1  # of a Pub/Sub request; a Cloud Run request is rounded up to that
MONTH = 2_628_000  # seconds
CLICKS = 2  # of a signer: to sign, and to see the result
NOTICES = ("invitation", "reminder", "progress", "completion")
WARM, SCHEDULER = 2, 0.10  # instances of receive and links; a Cloud Scheduler job a month

Life = dict[str, dict[str, int]]


def run(ground: Ground) -> list[Row]:
    ground.progress.step("living")
    lives = lived("1", "2", "5")
    return [*(row(signers, life) for signers, life in lives.items()), fixed()]


def lived(*signers: str) -> dict[str, Life]:
    asked = [sys.executable, "-W", "ignore", "-m", "bench.lifecycle", *signers]
    found: dict[str, Life] = json.loads(subprocess.run(asked, cwd=ROOT, capture_output=True, check=True).stdout)
    return found


def row(signers: str, life: Life) -> Row:
    parts = costs(int(signers), life)
    shown = ", ".join(f"{name} ${1000 * dollars:.3f}" for name, dollars in parts.items())
    return Row(what=f"1,000 requests of {signers} signers", ours=f"${1000 * sum(parts.values()):.2f}: {shown}")


def costs(signers: int, life: Life) -> dict[str, float]:
    """Of one request."""
    total = totals(life)
    events, looks, firings = (life[cause]["times"] for cause in ("event", "look", "firing"))
    notices = sum(life[kind]["times"] for kind in NOTICES if kind in life)
    clicks = CLICKS * signers
    reads = total["reads"] + total["listed"] + notices + 2 * clicks  # a receipt reads its notice, a click two documents
    writes = total["writes"] + total["link writes"] + notices
    deletes = 1 + notices + signers
    requests = 2 * events + 2 * notices + total["statuses"]  # published and pushed; nobody but you takes the status
    pushed_aside = notices  # by the filter of the other channel's subscription, and paid for all the same
    calls = 2 * events + 2 * notices + firings + clicks  # receive and resolve, deliver and receipts, remind, links
    return {
        "Firestore": reads * READ + writes * WRITE + deletes * DELETE,
        "Cloud Run": calls * (CALL + LEAST_SECONDS * SECOND) + looks * LEAST_SECONDS * SECOND,
        "Pub/Sub": (requests + pushed_aside) * LEAST_BYTES * PUBSUB,
        "Cloud Tasks": (total["tasks created"] + total["tasks deleted"] + firings) * TASK,
    }


def totals(life: Life) -> Counter[str]:
    total: Counter[str] = Counter()
    for counts in life.values():
        total.update(counts)
    return total


def fixed() -> Row:
    """What a month costs without any request: two instances kept warm, and a pass of reconcile a minute."""
    passes = MONTH / 60
    looking = passes * (CALL + LEAST_SECONDS * SECOND + 2 * READ + WRITE) + SCHEDULER
    warm = WARM * IDLE * MONTH
    shown = f"${warm + looking:.2f}: receive and links kept warm ${warm:.2f}, reconcile ${looking:.2f}"
    return Row(what="a month without a request", ours=shown)
