"""The Bus on Pub/Sub, by Google's own client. PUBSUB_EMULATOR_HOST is the client's to obey."""

from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING

from shared.adapters.gcp.calls import DEADLINE, Lazy, limits, reaching
from shared.ports import Message

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient


class PubSubBus:
    def __init__(self, project: str) -> None:
        self._project = project
        self._client = Lazy(_publisher)

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """topic: its short id. Returns once Pub/Sub has acknowledged each message.

        Raises Retry when it has not within 10 s; the client may then still deliver some.
        """
        with reaching(f"Pub/Sub topic {topic}"):
            client, until = self._client(), monotonic() + DEADLINE
            path = client.topic_path(self._project, topic)
            waiting = [client.publish(path, m.data, **m.attributes) for m in messages]
            for future in waiting:
                future.result(timeout=max(0.0, until - monotonic()))


def _publisher() -> "PublisherClient":
    from google.cloud import pubsub_v1

    options = pubsub_v1.types.PublisherOptions(**limits())
    return pubsub_v1.PublisherClient(publisher_options=options)
