"""The dead letters on Pub/Sub: each topic's are kept by a pull subscription on its dead-letter topic."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shared.adapters.gcp.calls import DEADLINE, Lazy, connected, limits, reaching
from shared.domain.dead_letters import DeadLetter, kept_by, letter

if TYPE_CHECKING:
    from google.pubsub_v1 import SubscriberClient

WAIT = 3.0  # seconds for a pull; an empty answer means there are no more


class PubSubDeadLetters:
    """Implements the port DeadLetters."""

    def __init__(self, project: str) -> None:
        self._project, self._client = project, Lazy(_subscriber)

    @contextmanager
    def open(self, topic: str, limit: int) -> Iterator[Sequence[DeadLetter]]:
        """Pulls and leases the messages until the `with` ends: two operators at once see different ones."""
        with reaching(f"Pub/Sub subscription {kept_by(topic)}"):
            found = self._pulled(topic, limit)
        try:
            yield sorted(found, key=lambda one: one.at)
        finally:
            with reaching(f"Pub/Sub subscription {kept_by(topic)}"):
                self._release(topic, [one.handle for one in found])

    def drop(self, letters: Sequence[DeadLetter]) -> None:
        """Acknowledges them, in one call for each topic, so that Pub/Sub forgets them."""
        for topic in {one.topic for one in letters}:
            with reaching(f"Pub/Sub subscription {kept_by(topic)}"):
                ack_ids = [one.handle for one in letters if one.topic == topic]
                self._client().acknowledge(request={"subscription": self._path(topic), "ack_ids": ack_ids}, **limits())

    def _pulled(self, topic: str, limit: int) -> list[DeadLetter]:
        found: dict[str, DeadLetter] = {}
        while len(found) < limit and (batch := self._pull(topic, limit - len(found))):
            for received in batch:
                found[received.message.message_id] = _letter(topic, received)
        return list(found.values())

    def _pull(self, topic: str, limit: int) -> Sequence[Any]:
        from google.api_core.exceptions import DeadlineExceeded

        try:
            request = {"subscription": self._path(topic), "max_messages": min(limit, 100)}
            return list(self._client().pull(request=request, retry=None, timeout=WAIT).received_messages)
        except DeadlineExceeded:
            return []

    def _release(self, topic: str, ack_ids: list[object]) -> None:
        """Ends the leases. Pub/Sub ignores those dropped meanwhile."""
        if ack_ids:
            request = {"subscription": self._path(topic), "ack_ids": ack_ids, "ack_deadline_seconds": 0}
            self._client().modify_ack_deadline(request=request, timeout=DEADLINE)

    def _path(self, topic: str) -> str:
        path: str = self._client().subscription_path(self._project, kept_by(topic))
        return path


def _letter(topic: str, received: Any) -> DeadLetter:
    message = received.message
    return letter(
        topic, message.message_id, message.data, dict(message.attributes), message.publish_time, received.ack_id
    )


def _subscriber() -> "SubscriberClient":
    from google.pubsub_v1 import SubscriberClient
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

    return connected(SubscriberClient, SubscriberGrpcTransport, "PUBSUB_EMULATOR_HOST")
