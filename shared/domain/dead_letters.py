"""A message that nobody could handle: where it is kept, and what its attributes tell of it."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

STALE_DAYS = 31  # of an event or a notice: past them nothing of it is worth doing
REASON = "reason"  # attribute of a letter that we gave up ourselves
TRACEPARENT = "traceparent"  # attribute: https://www.w3.org/TR/trace-context, 00-{trace of 32 digits}-...
# Of one that Pub/Sub gave up: https://cloud.google.com/pubsub/docs/dead-letter-topics#how_dead_letter_topics_work
COUNT = "CloudPubSubDeadLetterSourceDeliveryCount"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """topic: the one it was published to at first."""

    key: str
    topic: str
    data: bytes
    at: datetime  # when it was given up
    attempts: int
    reason: str
    trace: str = ""  # of the webhook that it follows from, if known
    handle: object = None  # only means something to whoever holds it


def dead_topic(topic: str) -> str:
    """The dead-letter topic of a topic."""
    return f"{topic}-dead"


def keep_of(dead_letter_topic: str) -> str:
    """The pull subscription that keeps a dead-letter topic's messages: Pub/Sub stores none for a topic alone."""
    return f"{dead_letter_topic}-kept"


def kept_by(topic: str) -> str:
    """The same, by the topic that the messages were published to at first."""
    return keep_of(dead_topic(topic))


def letter(
    topic: str, key: str, data: bytes, attributes: Mapping[str, str], at: datetime, handle: object
) -> DeadLetter:
    """A dead letter, from what Pub/Sub's message says of itself."""
    count = attributes.get(COUNT, "1")
    return DeadLetter(
        key=key,
        topic=topic,
        data=data,
        at=datetime.fromtimestamp(at.timestamp(), UTC),
        attempts=int(count) if count.isdecimal() else 1,
        reason=attributes.get(REASON) or f"not handled in {count} deliveries; the function's log says why",
        trace=attributes.get(TRACEPARENT, "")[3:35],
        handle=handle,
    )
