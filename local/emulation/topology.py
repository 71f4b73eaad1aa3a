"""Push subscriptions and task queues of the local stack, for SQLite and for Google's emulators."""

import msgspec

from shared.domain.decodable import decodable
from shared.ports import Message


@decodable
class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A push subscription, as Terraform creates it in the cloud.

    audience: of its identity. attribute: name and value; only messages with it are pushed. Times are in seconds.
    parallel: pushes at a time, of the embedded bus.
    max_attempts: deliveries before a message goes to the dead-letter topic; Pub/Sub allows 5 to 100.
    """

    name: str
    topic: str
    endpoint: str
    audience: str = ""
    dead_letter_topic: str
    attribute: tuple[str, str] | None = None
    ack_deadline: float = 80.0
    min_backoff: float = 10.0
    max_backoff: float = 600.0
    max_attempts: int = 100
    parallel: int = 8

    def wants(self, message: Message) -> bool:
        return self.attribute is None or self.attribute in message.attributes.items()


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A Cloud Tasks queue that retries without limit. Times are in seconds."""

    name: str
    min_backoff: float = 10.0
    max_backoff: float = 600.0
