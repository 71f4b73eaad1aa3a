"""A change of status is posted until it is taken, for a day."""

from datetime import timedelta

import msgspec
import pytest

from shared.domain.dead_letters import DeadLetter
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import EventType
from shared.domain.status_event import RawEvent, status_event
from shared.handlers.forward import Forward
from shared.services.dead_letters import DeadLetterService
from tests.fakes import World, seen
from tests.unit.services.test_dead_letters import Letters

HOUR = timedelta(hours=1)


class Endpoint:
    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.error: Exception | None = None

    def post(self, key: str, body: bytes) -> None:
        if self.error:
            raise self.error
        self.got.append((key, body))


@pytest.fixture
def world() -> World:
    world = World()
    world.says(seen("a"))
    world.hear(EventType.SENT)
    return world


@pytest.mark.parametrize(("place", "about"), [(0, "clickwrap.request.open"), (1, "clickwrap.notice.accepted")])
def test_what_is_posted_is_the_message_of_the_topic(world, place, about):
    endpoint, message = Endpoint(), world.bus.topics[world.names.status_topic][place]
    event = msgspec.json.decode(message.data, type=RawEvent)
    Forward(endpoint, world.clock).event(event)
    assert (message.attributes["type"], endpoint.got) == (about, [(event.id, message.data)])


@pytest.mark.parametrize(("after", "error"), [(23 * HOUR, RetryLater), (25 * HOUR, PermanentFailure)])
def test_it_is_tried_for_a_day(world, after, error):
    endpoint, event = Endpoint(), status_event(world.request())
    endpoint.error = RetryLater("the status endpoint answered 500")
    world.now += after
    with pytest.raises(error, match="500"):
        Forward(endpoint, world.clock).event(event)


@pytest.mark.parametrize("place", [0, 1])
def test_an_event_that_was_not_taken_is_posted_again_by_a_replay(world, place):
    topic, letters = world.names.status_topic, Letters()
    message = world.bus.topics[topic][place]
    letters.letters = [DeadLetter(key="1", topic=topic, data=message.data, at=world.now, attempts=9, reason="410")]
    ports = world.ledger, letters, world.bus, world.names, world.policy, world.clock
    assert DeadLetterService(*ports).held() == []
    desk = DeadLetterService(*ports, forwards=True)
    assert [preview.would for preview in desk.held()] == ["posts it to STATUS_WEBHOOK_URL once more"]
    desk.replay()
    assert (world.bus.topics[topic][-1], letters.letters) == (message, [])
