"""`request_sent` for two signers: a read, an API call, a write, two notices, six reminder tasks, a status."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from bench import subscribers
from bench.harness import Harness
from bench.load import post
from bench.report import Row
from bench.states import event, push_envelope
from shared.domain.model import EventType

SIGNERS = 2
WHAT = "the same calls by hand: read, GET, create, 2 publishes, 6 tasks at once, publish"


def run(harness: Harness) -> list[Row]:
    return subscribers.run(harness, "resolve", "resolved", WHAT, events, bare_requests)


def events(count: int) -> Iterator[bytes]:
    for _ in range(count):
        now = datetime.now(UTC)
        yield post("/", push_envelope(event(f"n{SIGNERS}x0-{uuid.uuid4().hex}", EventType.SENT, now), now))


def bare_requests(count: int) -> Iterator[bytes]:
    return iter([post("/", json.dumps({"signers": SIGNERS}).encode())] * count)
