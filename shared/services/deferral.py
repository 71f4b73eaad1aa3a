"""Messages that cannot be handled now, or ever: deferred by a Cloud Task, or published to the dead-letter topic."""

import base64
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from shared.domain.dead_letters import REASON, STALE_DAYS, dead_topic
from shared.domain.errors import RetryLater
from shared.domain.model import digest
from shared.ports import Bus, Message, Scheduler, Task

NACK_DELAY = 10.0  # seconds until Pub/Sub brings a nacked message again: a longer wait that is asked for is a task
NACK_UP_TO = 60.0  # seconds; a wait that nobody asked for is left to Pub/Sub's own backoff up to here
MAX_WAIT = 86_400.0  # seconds until the message is tried again
REASON_LENGTH = 1_000  # characters; Pub/Sub takes 1,024 bytes

log = logging.getLogger(__name__)


class Deferral:
    """topic: whose messages these are. url: of the function that handles them."""

    def __init__(
        self, scheduler: Scheduler, queue: str, url: str, bus: Bus, topic: str, clock: Callable[[], datetime]
    ) -> None:
        self._scheduler, self._queue, self._url, self._clock = scheduler, queue, url, clock
        self._bus, self._topic = bus, topic

    def defer(self, data: bytes, published_at: datetime | None, retry: RetryLater) -> bool:
        """False when a nack will do. Raises RetryLater when the scheduler cannot be reached."""
        now = self._clock()
        if published_at and now - published_at > timedelta(days=STALE_DAYS):
            self.dead_letter(data, f"stale: it has waited for more than {STALE_DAYS} days; last: {retry.reason}")
            return True
        after = self._after(now, published_at, retry)
        if after <= (NACK_UP_TO if retry.after is None else NACK_DELAY):
            return False
        at = now + timedelta(seconds=min(after, MAX_WAIT))
        # copies deferred within ten seconds share a task; the time makes the name new each time
        name = "defer-" + digest(base64.b64encode(data).decode(), int(at.timestamp() // NACK_DELAY))[:48]
        body = push_envelope(data, name, published_at or now)
        self._scheduler.create([Task(name=name, queue=self._queue, url=self._url, body=body, at=at)])
        log.info("deferred", extra={"json": {"topic": self._topic, "reason": retry.reason, "until": at}})
        return True

    def dead_letter(self, data: bytes, reason: str) -> None:
        """Publishes a message that no repetition can help to the dead-letter topic. Raises RetryLater."""
        why = reason.encode(errors="replace")[:REASON_LENGTH].decode(errors="ignore")
        self._bus.publish(dead_topic(self._topic), [Message(data, {REASON: why})])
        log.error("dead letter", extra={"json": {"alert": "dead_letter", "topic": self._topic, "reason": why}})

    def _after(self, now: datetime, published_at: datetime | None, retry: RetryLater) -> float:
        """As long as asked for, else half the message's age, at most 15 minutes: rarer tries in a long outage."""
        if retry.after is not None:
            return retry.after
        age = (now - published_at).total_seconds() if published_at else 0.0
        return min(age / 2, 900.0)


def push_envelope(data: bytes, message_id: str, published_at: datetime) -> bytes:
    """The Pub/Sub push body, as the subscription would post it."""
    message = {
        "data": base64.b64encode(data).decode(),
        "messageId": message_id,
        "publishTime": published_at,
        "attributes": {},
    }
    return msgspec.json.encode({"subscription": "deferred", "message": message})
