"""A change of status is posted until it is taken, for a day."""

from datetime import timedelta

import msgspec
import pytest

from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import EventType
from shared.domain.status_event import StatusEvent, status_event
from shared.handlers.forward import Forward
from tests.fakes import World, seen

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


def test_what_is_posted_is_the_message_of_the_topic(world):
    endpoint, message = Endpoint(), world.bus.topics[world.names.status_topic][0]
    Forward(endpoint, world.clock).event(msgspec.json.decode(message.data, type=StatusEvent))
    assert endpoint.got == [("r1.1", message.data)]


@pytest.mark.parametrize(("after", "error"), [(23 * HOUR, RetryLater), (25 * HOUR, PermanentFailure)])
def test_it_is_tried_for_a_day(world, after, error):
    endpoint, event = Endpoint(), status_event(world.request())
    endpoint.error = RetryLater("the status endpoint answered 500")
    world.now += after
    with pytest.raises(error, match="500"):
        Forward(endpoint, world.clock).event(event)
