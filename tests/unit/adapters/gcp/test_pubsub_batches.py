"""Publishing: messages that come while a call is under way share the next one; a bad one fails alone."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from google.api_core.exceptions import InvalidArgument

from shared.adapters.gcp import pubsub
from shared.adapters.gcp.pubsub import Batches, PubSubBus
from shared.domain.errors import RetryLater
from shared.ports import Message
from tests.contract.until import until
from tests.fakes import START

A, B, C, D = (Message(name.encode(), {}) for name in "abcd")


class Calls:
    """The wire: each call waits until it is let go, or fails as it is told."""

    def __init__(self) -> None:
        self.made: list[list[Message]] = []
        self.free = threading.Event()
        self.faults: dict[bytes, BaseException] = {}

    def __call__(self, messages: Sequence[Message]) -> None:
        self.made.append(list(messages))
        assert self.free.wait(10)
        for message in messages:
            if message.data in self.faults:
                raise self.faults[message.data]


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def batches(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> Batches:
    monkeypatch.setattr(pubsub, "TURN", 30.0)
    return Batches(calls)


@pytest.fixture
def start(batches: Batches, calls: Calls) -> Iterator[Callable[[Message], "Future[None]"]]:
    """Publishes on a thread of its own."""
    with ThreadPoolExecutor(8) as pool:
        yield lambda message: pool.submit(batches.publish, [message])
        calls.free.set()


def test_a_lone_message_is_sent_at_once(batches: Batches, calls: Calls) -> None:
    calls.free.set()
    batches.publish([A])
    batches.publish([B, C])
    assert calls.made == [[A], [B, C]]


def test_what_comes_during_a_call_goes_out_in_one_call_after_it(batches: Batches, calls: Calls, start: Any) -> None:
    started = [start(A)]
    until(lambda: calls.made == [[A]])
    started += [start(m) for m in (B, C, D)]
    until(lambda: len(batches._open.messages) == 3)
    assert not any(s.done() for s in started)
    calls.free.set()
    for one in started:
        one.result(10)
    assert len(calls.made) == 2
    assert sorted(m.data for m in calls.made[1]) == [b"b", b"c", b"d"]


@pytest.mark.parametrize("fault", [ValueError("no"), KeyboardInterrupt()])
def test_a_call_that_fails_fails_for_all_it_carried_and_for_no_other(
    batches: Batches, calls: Calls, start: Any, fault: BaseException
) -> None:
    calls.faults[b"c"] = fault
    first = start(A)
    until(lambda: calls.made == [[A]])
    second, third = start(B), start(C)
    until(lambda: len(batches._open.messages) == 2)
    calls.free.set()
    assert first.result(10) is None
    for one in (second, third):
        assert one.exception(10) is fault
    batches.publish([D])
    assert calls.made[-1] == [D]


def test_a_call_that_hangs_holds_up_the_others_for_a_moment_only(
    calls: Calls, start: Any, monkeypatch: pytest.MonkeyPatch, batches: Batches
) -> None:
    monkeypatch.setattr(pubsub, "TURN", 0.01)
    hanging = start(A)
    until(lambda: calls.made == [[A]])
    second = start(B)
    until(lambda: calls.made == [[A], [B]])
    assert not hanging.done()
    calls.free.set()
    assert (hanging.result(10), second.result(10)) == (None, None)


def test_one_who_waits_for_a_call_that_never_ends_is_told_so(
    calls: Calls, start: Any, monkeypatch: pytest.MonkeyPatch, batches: Batches
) -> None:
    monkeypatch.setattr(pubsub, "DEADLINE", 0.01)
    start(A)
    until(lambda: calls.made == [[A]])
    leader = start(B)
    until(lambda: len(batches._open.messages) == 1)
    monkeypatch.setattr(pubsub, "TURN", 0.01)
    with pytest.raises(TimeoutError):
        start(C).result(10)
    calls.free.set()
    assert leader.result(10) is None


def test_one_message_that_is_refused_does_not_take_its_batch_along(batches: Batches, calls: Calls, start: Any) -> None:
    calls.faults[b"c"] = refusal = InvalidArgument("too large")
    first = start(A)
    until(lambda: calls.made == [[A]])
    others = [start(m) for m in (B, C, D)]
    until(lambda: len(batches._open.messages) == 3)
    calls.free.set()
    assert [s.exception(10) for s in (first, *others)] == [None, None, refusal, None]
    assert sorted(m.data for made in calls.made[2:] for m in made) == [b"b", b"c", b"d"]


def test_nobody_waits_for_more_than_one_call_of_others(
    batches: Batches, calls: Calls, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of more messages than a call takes is of one caller only, who makes the calls one after the other."""
    monkeypatch.setattr(pubsub, "AT_ONCE", 3)
    started = [start(A)]
    until(lambda: calls.made == [[A]])
    with ThreadPoolExecutor(1) as pool:
        started.append(pool.submit(batches.publish, [B] * 7))
        until(lambda: len(batches._open.messages) == 7)
        started.append(start(C))
        until(lambda: batches._open.messages == [C])
        calls.free.set()
        assert [s.result(10) for s in started] == [None] * 3
    assert sorted(map(len, calls.made)) == [1, 1, 7]


class Client:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def publish(self, request: dict[str, Any], **_: Any) -> None:
        self.asked.append(request)


def test_more_messages_than_a_call_takes_go_out_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    monkeypatch.setattr(pubsub, "_publisher", lambda: client)
    PubSubBus("p", lambda: START).publish("notices", [Message(b"%d" % n, {"kind": "sms"}) for n in range(1001)])
    assert [len(asked["messages"]) for asked in client.asked] == [500, 500, 1]
    assert {asked["topic"] for asked in client.asked} == {"projects/p/topics/notices"}
    assert client.asked[2]["messages"] == [
        {"data": b"1000", "attributes": {"kind": "sms", "published_at": START.isoformat()}}
    ]


def test_no_message_is_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubsub, "_publisher", lambda: pytest.fail("a client was made"))
    PubSubBus("p", lambda: START).publish("notices", [])


def test_a_time_out_is_a_retry_that_names_the_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: Any, **__: Any) -> None:
        raise TimeoutError

    client = Client()
    monkeypatch.setattr(client, "publish", late)
    monkeypatch.setattr(pubsub, "_publisher", lambda: client)
    with pytest.raises(RetryLater, match="Pub/Sub topic notices"):
        PubSubBus("p", lambda: START).publish("notices", [A])
