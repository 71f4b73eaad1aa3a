"""What every keeper of dead letters must do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from local.emulation.provision import provision
from local.emulation.topology import Subscription
from shared.adapters.gcp.dead_letters import PubSubDeadLetters
from shared.adapters.gcp.pubsub import PubSubBus
from shared.bootstrap import clock
from shared.domain.dead_letters import COUNT, REASON, DeadLetter, dead_topic
from shared.ports import Bus, DeadLetters, Message
from shared.trace import TRACEPARENT
from tests.contract.until import until
from tests.emulators import LOCATION, Cloud

TOPIC = "events"
TRACE = 32 * "a"
Held = tuple[Bus, DeadLetters]


@pytest.fixture
def held(implementation: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Held]:
    if implementation == "emulators":
        cloud: Cloud = request.getfixturevalue("cloud")
        push = Subscription(
            name="resolve", topic=TOPIC, endpoint="http://127.0.0.1:1", dead_letter_topic=dead_topic(TOPIC)
        )
        provision(cloud.project, LOCATION, subscriptions=[push])
        yield PubSubBus(cloud.project, clock), PubSubDeadLetters(cloud.project)
        return
    embedded = Embedded(tmp_path / "ports.db", clock, Pace(1, 1))
    yield embedded.bus, embedded.dead_letters
    embedded.stop()


def letters(keeper: DeadLetters) -> list[DeadLetter]:
    with keeper.open(TOPIC, 10) as found:
        return list(found)


def dead_letter(bus: Bus, *data: bytes) -> None:
    for one in data:
        bus.publish(
            dead_topic(TOPIC),
            [Message(one, {REASON: f"why {one.decode()}", COUNT: "7", TRACEPARENT: f"00-{TRACE}-{16 * 'b'}-01"})],
        )


def test_nothing_is_held_at_first(held: Held) -> None:
    assert letters(held[1]) == []


def test_letters_are_held_with_reason_and_attempts(held: Held) -> None:
    bus, keeper = held
    dead_letter(bus, b"a")
    [letter] = until(lambda: letters(keeper))
    assert (letter.topic, letter.data, letter.reason, letter.attempts) == (TOPIC, b"a", "why a", 7)
    assert letter.trace == TRACE
    assert abs((clock() - letter.at).total_seconds()) < 60


def test_a_look_takes_nothing_away(held: Held) -> None:
    bus, keeper = held
    dead_letter(bus, b"a", b"b")
    for _ in range(3):
        until(lambda: {one.data for one in letters(keeper)} == {b"a", b"b"})


def test_what_is_dropped_is_gone_and_the_others_stay(held: Held) -> None:
    bus, keeper = held
    dead_letter(bus, b"a", b"b")
    until(lambda: len(letters(keeper)) == 2)
    with keeper.open(TOPIC, 10) as found:
        keeper.drop([one for one in found if one.data == b"a"])
    assert [one.data for one in until(lambda: letters(keeper))] == [b"b"]


def test_one_that_pub_sub_gave_up_says_where_its_reason_is(held: Held) -> None:
    bus, keeper = held
    bus.publish(dead_topic(TOPIC), [Message(b"a", {COUNT: "100"})])
    [letter] = until(lambda: letters(keeper))
    assert "100 deliveries" in letter.reason
