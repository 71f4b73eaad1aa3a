"""The embedded ports beyond their contracts: crashes, restarts and threads, as Google's services handle them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from local.emulation import embedded_bus, worker
from local.emulation.embedded import Embedded
from local.emulation.embedded_tasks import MAX_PARALLEL_CALLS
from local.emulation.http_push import Pace
from local.emulation.topology import Subscription
from shared.domain.model import Link, NoticeRecord, Request
from shared.ports import Message, Task
from tests.contract.until import until
from tests.stand_in import Reply, StandIn

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
OTHER_PROCESS = """
import os, signal, sys, time
from datetime import UTC, datetime
from pathlib import Path
from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from local.emulation.topology import Subscription
from shared.ports import Message, Task

path, url = sys.argv[1:]
ports = Embedded(Path(path), lambda: datetime.now(UTC), Pace(60, 600))
task = Task(name="t", queue="q", url=url + "/task", body=b"{}", at=datetime.now(UTC))
"""
PUBLISH = 'ports.bus.publish("events", [Message(b"x")]); ports.scheduler.create([task])\n'
DELIVER = (
    'ports.bus.subscribe(Subscription(name="sub", topic="events", endpoint=url + "/push", dead_letter_topic="d"))\n'
)
DIE = "os.kill(os.getpid(), signal.SIGKILL)\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ports.db"


@pytest.fixture
def endpoint() -> Iterator[StandIn]:
    with StandIn(Reply(204)) as endpoint:
        yield endpoint


def to(endpoint: StandIn, name: str = "sub", **fields: Any) -> Subscription:
    given = {"topic": "events", "dead_letter_topic": "dead", "min_backoff": 0.05, "max_backoff": 0.1}
    return Subscription(**{"name": name, "endpoint": f"{endpoint.url}/push", **given, **fields})


@contextmanager
def running(
    path: Path, *subscriptions: Subscription, clock: Callable[[], datetime] | None = None
) -> Iterator[Embedded]:
    ports = Embedded(path, clock or (lambda: datetime.now(UTC)), Pace(60, 600))
    for subscription in subscriptions:
        ports.bus.subscribe(subscription)
    ports.start()
    yield ports
    ports.stop()


def other_process(path: Path, endpoint: StandIn, script: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", OTHER_PROCESS + script, str(path), endpoint.url])


# -- processes


def test_what_was_stored_is_delivered_although_its_process_was_killed(path: Path, endpoint: StandIn) -> None:
    assert other_process(path, endpoint, DELIVER + PUBLISH + DIE).wait(20) == -signal.SIGKILL
    with running(path, to(endpoint)):
        until(lambda: {asked.path for asked in endpoint.asked} == {"/push", "/task"})


def test_what_was_under_way_when_its_process_was_killed_is_delivered_again_at_once(
    path: Path, endpoint: StandIn
) -> None:
    endpoint.answer(Reply(fault="hang"))
    process = other_process(path, endpoint, DELIVER + "ports.start()\n" + PUBLISH + "time.sleep(60)\n")
    until(lambda: len(endpoint.asked) == 2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(20)
    endpoint.answer(Reply(204))
    with running(path, to(endpoint)) as ports:
        until(lambda: len(endpoint.asked) == 4, within=5)  # the leases would have lasted for a minute
        until(lambda: not ports.bus.pending() and not ports.scheduler.pending())


def test_what_another_process_stores_is_delivered_by_the_one_that_runs(path: Path, endpoint: StandIn) -> None:
    with running(path, to(endpoint)):
        assert other_process(path, endpoint, PUBLISH).wait(20) == 0
        until(lambda: {asked.path for asked in endpoint.asked} == {"/push", "/task"})


# -- the bus


def test_publishing_starts_a_delivery_at_once(monkeypatch: pytest.MonkeyPatch, path: Path, endpoint: StandIn) -> None:
    monkeypatch.setattr(worker, "POLL_INTERVAL", 60)
    with running(path, to(endpoint)) as ports:
        for count in (1, 2, 3):
            ports.bus.publish("events", [Message(b"x")])
            until(lambda n=count: len(endpoint.asked) == n, within=5)  # type: ignore[misc]


def test_publishing_wakes_only_the_subscriptions_that_get_it(path: Path, endpoint: StandIn) -> None:
    others = to(endpoint, "other", topic="notices"), to(endpoint, "sms", attribute=("channel", "sms"))
    with running(path, to(endpoint), *others) as ports, patch.object(worker.Worker, "wake", autospec=True) as wake:
        ports.bus.publish("events", [Message(b"x"), Message(b"y")])
        woken = [call.args[0] for call in wake.call_args_list]
        assert woken == [ports.bus._workers["sub"]]


def test_a_message_that_is_not_answered_within_the_ack_deadline_is_pushed_again(path: Path, endpoint: StandIn) -> None:
    endpoint.answer(Reply(fault="hang"), Reply(204))
    with running(path, to(endpoint, ack_deadline=0.2)) as ports:
        ports.bus.publish("events", [Message(b"x")])
        until(lambda: len(endpoint.asked) == 2)
        until(lambda: not ports.bus.pending())


@pytest.mark.parametrize("status", sorted(embedded_bus.ACKS - {102}))
def test_an_acknowledged_message_leaves_nothing(path: Path, endpoint: StandIn, status: int) -> None:
    endpoint.answer(Reply(status))
    with running(path, to(endpoint)) as ports:
        ports.bus.publish("events", [Message(b"x")])
        until(lambda: not ports.bus.pending() and not ports.bus.messages("events"))
        assert len(endpoint.asked) == 1


def test_a_subscription_gets_only_what_carries_its_attribute(path: Path, endpoint: StandIn) -> None:
    sms = to(endpoint, "sms", attribute=("channel", "sms"))
    email = to(endpoint, "email", attribute=("channel", "email"))
    with running(path, sms, email) as ports:
        ports.bus.publish(
            "events", [Message(b"1", {"channel": "sms"}), Message(b"2", {"channel": "fax"}), Message(b"3")]
        )
        (asked,) = until(lambda: endpoint.asked)
        until(lambda: not ports.bus.pending())
        assert asked.json()["subscription"].endswith("/sms")
        assert ports.bus.messages("events") == []


def test_messages_of_a_topic_that_nobody_subscribes_to_are_kept_in_their_order(path: Path) -> None:
    messages = [Message(b"%d" % n, {"n": str(n)}) for n in range(3)]
    with running(path) as ports:
        ports.bus.publish("status", messages)
        ports.bus.publish("other", [Message(b"x")])
    with running(path) as ports:
        assert ports.bus.messages("status") == messages
        assert ports.bus.pending() == 0


def test_a_subscription_that_is_no_longer_made_is_forgotten_with_its_messages(path: Path, endpoint: StandIn) -> None:
    endpoint.answer(Reply(500))
    with running(path, to(endpoint, "old"), to(endpoint, "new", min_backoff=60, max_backoff=60)) as ports:
        ports.bus.publish("events", [Message(b"x")])
        until(lambda: len(endpoint.asked) >= 2)
    with running(path, to(endpoint, "new")) as ports:
        assert ports.bus.pending() == 1
        assert ports.bus.messages("events") == [Message(b"x")]
    with running(path) as ports:
        assert ports.bus.messages("events") == []


# -- the scheduler


def test_a_task_that_is_deleted_while_it_is_called_is_not_called_again(path: Path, endpoint: StandIn) -> None:
    endpoint.answer(Reply(fault="hang"))
    with running(path) as ports:
        ports.scheduler.create([Task(name="t", queue="q", url=endpoint.url, body=b"", at=datetime.now(UTC))])
        until(lambda: endpoint.asked)
        ports.scheduler.delete("q", ["t"])
        endpoint.stopping.set()  # the call ends without an answer
    with running(path, clock=lambda: datetime.now(UTC) + timedelta(days=1)) as ports:
        assert ports.scheduler.pending() == 0
    assert len(endpoint.asked) == 1


# -- the ledger


def test_documents_past_their_time_are_dropped_at_the_start(path: Path) -> None:
    with running(path, clock=lambda: NOW) as ports:
        ports.ledger.put("old", Link(request_id="r", signer="s", round=1, purge_at=NOW + timedelta(days=1)), None)
        ports.ledger.put("new", Link(request_id="r", signer="s", round=1, purge_at=NOW + timedelta(days=3)), None)
        ports.ledger.put("ever", Request(id="r"), None)
    with running(path, clock=lambda: NOW + timedelta(days=2)) as ports:
        assert ports.ledger.get(Link, "old") is None
        assert ports.ledger.get(Link, "new")
        assert ports.ledger.get(Request, "ever")


def test_a_version_does_not_fit_a_document_made_anew(path: Path) -> None:
    with running(path, clock=lambda: NOW) as ports:
        version = ports.ledger.put("r", Request(id="r", purge_at=NOW), None)
        assert ports.ledger.purge(NOW) == 1
        ports.ledger.put("r", Request(id="r", round=2), None)
        assert ports.ledger.put("r", Request(id="r", round=3), version) is None


def test_no_query_that_is_asked_again_and_again_scans_or_sorts(path: Path, endpoint: StandIn) -> None:
    statements: list[str] = []
    with running(path, to(endpoint)) as ports:
        with ports._database.transaction() as db:
            db.set_trace_callback(statements.append)
        ports.ledger.due(NOW, 10), ports.ledger.records("r")
        ports.ledger.newest(Request, 10, only=("search", "smith"), after=(NOW, "r"))
        ports.ledger.count(NoticeRecord, ("state", "failed"), most=10, since=NOW)
        until(lambda: all(any(f"from {table}" in s for s in statements) for table in ("deliveries", "tasks")))
        with ports._database.transaction() as db:
            db.set_trace_callback(None)
            plans = {s: db.execute(f"explain query plan {s}").fetchall() for s in statements if s.startswith("select")}
    steps = {step for plan in plans.values() for *_, step in plan}
    assert len(plans) >= 5
    assert {step.split()[0] for step in steps} == {"SEARCH"}


# -- the worker


def test_a_worker_continues_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def fail() -> None:
        raise OSError("disk")

    jobs: list[worker.Job] = [fail, lambda: done.append("worked")]

    def take(room: int) -> list[worker.Job]:
        if len(jobs) == 2 and "could not be read" not in caplog.text:
            raise OSError("locked")
        return [jobs.pop(0)] if jobs else []

    engine = worker.Worker("test", take, width=1)
    engine.start()
    until(lambda: done)
    engine.stop()
    assert "a delivery failed" in caplog.text


def test_a_worker_starts_no_more_jobs_than_its_width() -> None:
    begun, release = threading.Semaphore(0), threading.Event()
    asked: list[int] = []

    def work() -> None:
        begun.release()
        release.wait(10)

    def take(room: int) -> list[worker.Job]:
        asked.append(room)
        return [work] * room if len(asked) < 5 else []

    engine = worker.Worker("test", take, width=3)
    engine.start()
    for _ in range(3):
        assert begun.acquire(timeout=5)
    assert not begun.acquire(timeout=0.2)
    release.set()
    engine.stop()
    assert max(asked) <= 3


def test_a_queue_whose_calls_hang_delays_no_other_queue(path: Path) -> None:
    """An outage of one channel: as many of its deferred messages hang as may be called at a time."""
    at, hang = datetime.now(UTC), Reply(fault="hang")
    with running(path) as ports, StandIn(Reply(204)) as email, StandIn(hang) as sms:
        tasks = [Task(name=f"s{n}", queue="retries-sms", url=sms.url, body=b"{}", at=at) for n in range(20)]
        ports.scheduler.create([*tasks, Task(name="e", queue="retries-email", url=email.url, body=b"{}", at=at)])
        until(lambda: len(email.asked) == 1)
        assert len(sms.asked) <= MAX_PARALLEL_CALLS
