"""A burst of webhooks, and requests of a thousand signers. Counts only: how fast it goes depends on the machine.

BURST=5000 runs the full size; without it the same is done with fewer.
"""

import os
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from local.emulation.provision import provision
from local.emulation.topology import Queue
from shared.adapters.gcp.firestore import FirestoreLedger
from shared.adapters.gcp.tasks import CloudTasks
from shared.domain.model import Event, EventType, Request
from shared.domain.policy import Policy
from shared.handlers.resolve import Resolve
from shared.services.publisher import Publisher
from shared.services.resource_names import ResourceNames
from tests.e2e.stack import ERIC, JANE, Running, until
from tests.emulators import LOCATION, Cloud
from tests.fakes import FakeApi, FakeBus, World, answer, seen
from tests.load.burst import burst
from tests.security.receive_server import TOKEN, ReceiveServer, hook

BURST = int(os.environ.get("BURST") or 500)
REQUESTS = 25
ACK_DEADLINE = 60  # seconds
MEMORY = 150_000_000  # bytes that a burst of any size may add
DRAINS_WITHIN = 60 + BURST / 10  # seconds


@pytest.mark.timeout(600)
def test_a_burst_of_webhooks_is_published_whole_with_no_error(tmp_path: Path) -> None:
    with ReceiveServer(tmp_path, threads=32) as server:
        assert burst(server.port, "/", [hook("first")], TOKEN) == {200: 1}
        before = server.memory()
        assert burst(server.port, "/", [hook(f"e{n}") for n in range(BURST)], TOKEN) == {200: BURST}
        assert server.memory() - before < MEMORY
        ids = [msgspec.json.decode(m.data, type=Event).event for m in server.published()]
    assert sorted(ids) == sorted(["first", *(f"e{n}" for n in range(BURST))])


@pytest.mark.timeout(900)
def test_a_burst_at_the_gateway_drains_with_every_event_handled_and_nothing_doubled(tmp_path: Path) -> None:
    stack = Running(tmp_path, "embedded", API_RATE_PER_MINUTE="1000000")
    try:
        requests = [stack.send(ERIC, JANE) for _ in range(REQUESTS)]
        until(lambda: len(stack.messages()) == 2 * REQUESTS, "all are invited", 60)
        before = resident(stack.process.pid)
        bodies = [hook(f"b{n}", event_type="request_sent", request=requests[n % REQUESTS]) for n in range(BURST)]
        assert burst(stack.port, "/receive", bodies, "local-token") == {200: BURST}
        until(lambda: pending(tmp_path) == 0, "the queue has drained", DRAINS_WITHIN)
        assert resident(stack.process.pid) - before < MEMORY
        assert sum(events_of(tmp_path, requests)) == BURST + REQUESTS  # each request was also sent once
        assert len({m["notice"] for m in stack.messages()}) == len(stack.messages()) == 2 * REQUESTS
    finally:
        stack.stop()


def test_a_request_of_a_thousand_signers_is_resolved_in_one_go() -> None:
    world = World()
    world.says(*[seen(f"s{n}", mobile=f"+1317555{n:04d}") for n in range(1000)])
    world.hear(EventType.SENT)
    assert (len(world.sent()), world.later, world.dead) == (1000, [], [])
    assert len(world.scheduler.tasks) == 3000


def test_a_request_of_a_thousand_and_one_signers_fails_clearly_and_sends_nothing() -> None:
    world = World()
    world.says(*[seen(f"s{n}", mobile=f"+1317555{n:04d}") for n in range(1001)])
    world.hear(EventType.SENT)
    assert world.sent() == []
    assert world.dead == [("clickwrap-events", "the request has 1001 signers; at most 1000 are supported")]


@pytest.mark.timeout(300)
def test_hundreds_of_signers_are_all_invited_each_once(tmp_path: Path) -> None:
    stack = Running(tmp_path, "embedded", API_RATE_PER_MINUTE="1000000")
    try:
        signers = [signer(n) for n in range(min(BURST, 1000))]
        stack.send(*signers)
        until(lambda: len(stack.messages()) >= len(signers), "all are invited", 200)
        assert sorted(m["to"] for m in stack.messages()) == sorted(s["mobile_number"] for s in signers)
        assert "not handled" not in (tmp_path / "stack.log").read_text()
    finally:
        stack.stop()


@pytest.mark.emulators
def test_a_thousand_signers_are_resolved_within_one_ack_deadline_by_googles_own_clients(cloud: Cloud) -> None:
    """One write of one document and three thousand tasks, before Pub/Sub would bring the event again."""
    names, policy = ResourceNames(remind_url="http://127.0.0.1:9/remind"), Policy()
    topics = [names.notices_topic, names.status_topic]
    provision(cloud.project, LOCATION, topics=topics, queues=[Queue(name=names.reminders_queue)])
    ledger, scheduler, bus = FirestoreLedger(cloud.project), CloudTasks(cloud.project, LOCATION, ""), FakeBus()
    api, clock = FakeApi(), partial(datetime.now, UTC)
    api.truth["r1"] = answer(*[seen(f"s{n}", mobile=f"+1317555{n:04d}") for n in range(1000)])
    resolve = Resolve(ledger, api, Publisher(ledger, bus, scheduler, names, policy, clock), policy, clock, 1_600)
    event = Event(event="e1", type=EventType.SENT, request="r1", received_at=clock())
    began = time.monotonic()
    resolve.event(event)
    assert time.monotonic() - began < ACK_DEADLINE
    assert len(bus.topics[names.notices_topic]) == 1000
    stored = ledger.get(Request, "r1")
    assert stored
    assert len(stored.item.signers) == 1000
    assert cloud.tasks.next_due(names.reminders_queue) is not None


def signer(n: int) -> dict[str, Any]:
    contact = {"mobile_number": f"+1317555{n:04d}", "send_to": {"mobile_number": True, "email": False}}
    return {"name": f"Signer {n}", **contact}


def opened(directory: Path) -> Embedded:
    return Embedded(directory / "relay.db", partial(datetime.now, UTC), Pace(1, 1))


def pending(directory: Path) -> int:
    embedded = opened(directory)
    try:
        return embedded.bus.pending()
    finally:
        embedded.stop()


def events_of(directory: Path, requests: list[str]) -> list[int]:
    embedded = opened(directory)
    try:
        found = [embedded.ledger.get(Request, request) for request in requests]
        return [len(stored.item.events) for stored in found if stored]
    finally:
        embedded.stop()


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
