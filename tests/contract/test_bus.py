"""What every Bus must do, and what its push subscriptions must."""

import base64
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from local.emulation.provision import provision
from local.emulation.topology import Subscription
from shared.adapters.gcp.pubsub import PubSubBus
from shared.domain.dead_letters import keep_of
from shared.domain.errors import RetryLater
from shared.ports import PUBLISHED_AT, Bus, Message
from tests.contract.until import until
from tests.emulators import LOCATION, Cloud
from tests.stand_in import Asked, Reply, StandIn, closed_port

ATTRIBUTES = {"channel": "sms", "content-type": "application/json", "name": "José"}
MESSAGE = Message(b'{"v": 1, "title": "M\xc3\xb6bel"}', ATTRIBUTES)


def now() -> datetime:
    return datetime.now(UTC)


def attributes_of(message: dict[str, Any]) -> dict[str, str]:
    """Without the time that Pub/Sub's adapter adds."""
    return {k: v for k, v in message.get("attributes", {}).items() if k != PUBLISHED_AT}


class Stage(Protocol):
    @property
    def bus(self) -> Bus: ...

    def subscribe(self, *subscriptions: Subscription) -> None: ...

    def kept(self, topic: str) -> list[Message]:
        """The messages of a dead-letter topic."""


class EmbeddedStage:
    def __init__(self, path: Path) -> None:
        self.embedded = Embedded(path, now, Pace(1, 1))
        self.bus = self.embedded.bus

    def subscribe(self, *subscriptions: Subscription) -> None:
        for subscription in subscriptions:
            self.embedded.bus.subscribe(subscription)
        self.embedded.start()

    def kept(self, topic: str) -> list[Message]:
        return self.embedded.bus.messages(topic)


class CloudStage:
    def __init__(self, cloud: Cloud) -> None:
        self.bus, self._project = PubSubBus(cloud.project, now), cloud.project
        self._kept: dict[str, list[Message]] = {}

    def subscribe(self, *subscriptions: Subscription) -> None:
        provision(self._project, LOCATION, subscriptions=subscriptions)

    def kept(self, topic: str) -> list[Message]:
        from google.cloud.pubsub_v1 import SubscriberClient

        with SubscriberClient() as client:
            path = client.subscription_path(self._project, keep_of(topic))
            pulled = client.pull(subscription=path, max_messages=100, return_immediately=True).received_messages
            if pulled:
                client.acknowledge(subscription=path, ack_ids=[m.ack_id for m in pulled])
        kept = self._kept.setdefault(topic, [])
        kept += [Message(m.message.data, dict(m.message.attributes)) for m in pulled]
        return kept


@pytest.fixture
def stage(implementation: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    if implementation == "emulators":
        yield CloudStage(request.getfixturevalue("cloud"))
        return
    stage = EmbeddedStage(tmp_path / "ports.db")
    yield stage
    stage.embedded.stop()


def to(endpoint: StandIn, name: str = "resolve", **fields: Any) -> Subscription:
    """An impatient subscription, so that the tests need not wait."""
    return Subscription(
        name=name,
        topic="events",
        endpoint=f"{endpoint.url}/{name}",
        dead_letter_topic="events-dead",
        ack_deadline=10,
        min_backoff=0.1,
        max_backoff=0.2,
        **fields,
    )


def data_of(asked: Asked) -> bytes:
    return base64.b64decode(asked.json()["message"]["data"])


# -- publishing


def test_a_message_is_pushed_in_the_envelope_of_pub_sub(stage: Stage, endpoint: StandIn) -> None:
    stage.subscribe(to(endpoint))
    stage.bus.publish("events", [MESSAGE])
    asked = until(lambda: endpoint.asked)[0]
    message = asked.json()["message"]
    assert (asked.method, asked.path) == ("POST", "/resolve")
    assert set(asked.json()) == {"subscription", "message"}
    assert asked.json()["subscription"].endswith("/subscriptions/resolve")
    assert set(message) == {"data", "attributes", "messageId", "message_id", "publishTime", "publish_time"}
    assert (data_of(asked), attributes_of(message)) == (MESSAGE.data, ATTRIBUTES)
    assert message["messageId"] == message["message_id"]
    assert message["messageId"].isdigit()
    assert message["publishTime"] == message["publish_time"]
    assert abs(datetime.fromisoformat(message["publishTime"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_message_without_attributes_is_pushed_as_well(stage: Stage, endpoint: StandIn) -> None:
    stage.subscribe(to(endpoint))
    stage.bus.publish("events", [Message(b"\x00\xff")])
    (asked,) = until(lambda: endpoint.asked)
    assert data_of(asked) == b"\x00\xff"
    assert attributes_of(asked.json()["message"]) == {}


def test_every_message_of_a_call_is_pushed_once(stage: Stage, endpoint: StandIn) -> None:
    stage.subscribe(to(endpoint))
    stage.bus.publish("events", [Message(b"%d" % n) for n in range(20)])
    until(lambda: len(endpoint.asked) >= 20)
    time.sleep(0.3)  # for any that should not come
    assert sorted(map(data_of, endpoint.asked)) == sorted(b"%d" % n for n in range(20))
    assert len({asked.json()["message"]["messageId"] for asked in endpoint.asked}) == 20


def test_publishing_nothing_is_fine(stage: Stage, endpoint: StandIn) -> None:
    stage.subscribe(to(endpoint))
    stage.bus.publish("events", [])


def test_every_subscription_of_a_topic_gets_its_own_copy(stage: Stage, endpoint: StandIn) -> None:
    stage.subscribe(to(endpoint), to(endpoint, "other"))
    stage.bus.publish("events", [MESSAGE])
    until(lambda: len(endpoint.asked) == 2)
    assert {asked.path for asked in endpoint.asked} == {"/resolve", "/other"}


# -- delivering again


@pytest.mark.parametrize("status", [500, 400, 302])
def test_a_message_that_is_not_acknowledged_is_pushed_again(stage: Stage, endpoint: StandIn, status: int) -> None:
    endpoint.answer(Reply(status), Reply(204))
    stage.subscribe(to(endpoint))
    stage.bus.publish("events", [MESSAGE])
    until(lambda: len(endpoint.asked) == 2)
    first, second = endpoint.asked
    assert first.json() == second.json()


def test_many_refusals_at_once_do_not_stop_the_delivery(stage: Stage, endpoint: StandIn) -> None:
    """Google's emulator stops delivering when it has a retry policy and two messages come due in one millisecond."""
    endpoint.answer(*[Reply(500)] * 60, Reply(204))
    stage.subscribe(to(endpoint))
    stage.bus.publish("events", [Message(b"%d" % n) for n in range(20)])
    until(lambda: len(endpoint.asked) >= 80, within=40)
    assert {data_of(asked) for asked in endpoint.asked[60:]} == {b"%d" % n for n in range(20)}


def test_a_message_that_is_never_acknowledged_goes_to_the_dead_letters_after_its_attempts(
    stage: Stage, endpoint: StandIn
) -> None:
    endpoint.answer(Reply(500))
    stage.subscribe(to(endpoint, max_attempts=5))
    stage.bus.publish("events", [MESSAGE])
    (dead,) = until(lambda: stage.kept("events-dead"), within=40)  # Google's emulator pauses for 1 s
    origin = {k.removeprefix("CloudPubSubDeadLetterSource"): v for k, v in dead.attributes.items() if "Dead" in k}
    assert len(endpoint.asked) == 5
    assert dead.data == MESSAGE.data
    assert ATTRIBUTES.items() <= dead.attributes.items()
    assert set(origin) == {"DeliveryCount", "Subscription", "SubscriptionProject", "TopicPublishTime"}
    assert (origin["DeliveryCount"], origin["Subscription"]) == ("5", "resolve")


# -- faults


def test_publishing_where_nothing_can_be_stored_is_a_retry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{closed_port()}")
    monkeypatch.setattr("shared.adapters.gcp.pubsub.DEADLINE", 0.2)
    monkeypatch.setattr("shared.adapters.gcp.calls.DEADLINE", 0.2)
    closed = Embedded(tmp_path / "ports.db", now, Pace(1, 1))
    closed.stop()
    for bus in (PubSubBus("p", now), closed.bus):
        with pytest.raises(RetryLater):
            bus.publish("events", [MESSAGE])


@pytest.mark.emulators
def test_publishing_to_a_topic_that_pub_sub_does_not_know_is_a_retry_that_names_it(cloud: Cloud) -> None:
    with pytest.raises(RetryLater, match="Pub/Sub topic events"):
        PubSubBus(cloud.project, now).publish("events", [MESSAGE])
