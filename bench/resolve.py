"""`request_sent` of two signers: a read, a GET, a write, two notices, six reminder tasks, a status."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from bench import subscribers
from bench.harness import Ground
from bench.load import post
from bench.report import Row
from bench.states import event, push_envelope
from shared.domain.model import EventType

SIGNERS = 2
WHAT = "the same trips by hand: read, GET, create, 2 publishes, 6 tasks at once, publish"


def run(ground: Ground) -> list[Row]:
    return subscribers.run(ground, "resolve", "resolved", WHAT, events, orders)


def events(count: int) -> Iterator[bytes]:
    for _ in range(count):
        now = datetime.now(UTC)
        yield post("/", push_envelope(event(f"n{SIGNERS}x0-{uuid.uuid4().hex}", EventType.SENT, now), now))


def orders(count: int) -> Iterator[bytes]:
    return iter([post("/", json.dumps({"signers": SIGNERS}).encode())] * count)
