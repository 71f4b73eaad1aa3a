"""A progress notice by SMS: three reads, a claim, a send, a write of its outcome, and the event about it."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from bench import subscribers
from bench.harness import Harness
from bench.load import post
from bench.report import Row
from bench.states import half_signed, progress_of, push_envelope, store
from shared.adapters.gcp.firestore import FirestoreLedger
from shared.domain.model import Request

WHAT = "the same calls by hand: 3 reads, create, POST, update, publish"


def run(harness: Harness) -> list[Row]:
    """Write the state that the notices need before the measurement starts."""
    prepared: dict[str, FirestoreLedger] = {}

    def requests(count: int) -> list[Request]:
        import os

        project = os.environ["GOOGLE_CLOUD_PROJECT"]
        ledger = prepared.setdefault(project, FirestoreLedger(project))
        now = datetime.now(UTC)
        made = [half_signed(f"n2x1-{uuid.uuid4().hex}", now, now - timedelta(hours=1)) for _ in range(count)]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda r: store(ledger, r, now), made))
        return made

    def notices(count: int) -> Iterator[bytes]:
        now = datetime.now(UTC)
        made = [push_envelope(progress_of(r, now), now, channel="sms") for r in requests(count)]
        return iter([post("/sms", body) for body in made])

    def bare_requests(count: int) -> Iterator[bytes]:
        return iter([post("/", json.dumps({"request": r.id}).encode()) for r in requests(count)])

    return subscribers.run(harness, "deliver", "delivered", WHAT, notices, bare_requests)
