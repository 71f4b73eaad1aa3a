"""Messages that cannot be handled now, or ever: deferred by a Cloud Task, or published to the dead-letter topic."""

import base64
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shared.domain.dead_letters import REASON, STALE_DAYS, dead_topic
from shared.domain.errors import RetryLater
from shared.domain.model import digest
from shared.ports import PUBLISHED_AT, Bus, Message, Scheduler, Task

NACK_DELAY = 10.0  # seconds until Pub/Sub brings a nacked message again: a longer wait that is asked for is a task
NACK_UP_TO = 60.0  # seconds; a wait that nobody asked for is left to Pub/Sub's own backoff up to here
NACKED_FOR = 28_800.0  # seconds; Pub/Sub brings a message 100 times, in about 16 hours
MIN_WAIT_OF_TASK = 15.0  # seconds; in less than NACK_DELAY, the new task could have the name of the one under way
MAX_WAIT = 86_400.0  # seconds until the message is tried again
MAX_UNSTATED_WAIT = 900.0  # seconds
REASON_LENGTH = 1_000  # characters; Pub/Sub takes 1,024 bytes
FAILING_SINCE = "failing_since"  # attribute of a deferred message, see Arrived

log = logging.getLogger(__name__)


class Arrived(msgspec.Struct, frozen=True):
    """A message as it was delivered.

    published_at: by our clock. failing_since: since when it fails without a stated wait; a wait that was planned, like
    one for the send window, does not count. by_task: whether Cloud Tasks brought it.
    """

    data: bytes
    attributes: dict[str, str] = {}
    published_at: datetime | None = None
    failing_since: datetime | None = None
    by_task: bool = False


class Deferral:
    """topic: whose messages these are. url: of the function that handles them. queue: gives a channel's queue."""

    def __init__(
        self,
        scheduler: Scheduler,
        queue: Callable[[str], str],
        url: str,
        bus: Bus,
        topic: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._scheduler, self._queue, self._url, self._clock = scheduler, queue, url, clock
        self._bus, self._topic = bus, topic

    def defer(self, message: Arrived, retry: RetryLater) -> bool:
        """False when a nack will do. Raises RetryLater when the scheduler cannot be reached.

        A message that a task brought is always deferred: 503 would lower the rate of its whole queue.
        """
        now, published_at = self._clock(), message.published_at
        age = now - published_at if published_at else timedelta(0)
        if age > timedelta(days=STALE_DAYS):
            self.dead_letter(
                message.data, f"stale: it has waited for more than {STALE_DAYS} days; last: {retry.reason}"
            )
            return True
        after = _after(now, message, retry)
        by_task = message.by_task or age > timedelta(seconds=NACKED_FOR)
        if after <= (NACK_UP_TO if retry.after is None else NACK_DELAY) and not by_task:
            return False
        after = max(after, MIN_WAIT_OF_TASK if by_task else 0.0)
        self._create(message, retry, now, now + timedelta(seconds=min(after, MAX_WAIT)))
        return True

    def _create(self, message: Arrived, retry: RetryLater, now: datetime, at: datetime) -> None:
        # copies deferred within ten seconds share a task; the time makes the name new each time
        name = "defer-" + digest(base64.b64encode(message.data).decode(), int(at.timestamp() // NACK_DELAY))[:48]
        since = at if retry.after is not None else message.failing_since or now
        attributes = {**message.attributes, FAILING_SINCE: since.isoformat()}
        body = push_envelope(message.data, name, message.published_at or now, attributes)
        queue = self._queue(message.attributes.get("channel", ""))
        self._scheduler.create([Task(name=name, queue=queue, url=self._url, body=body, at=at)])
        log.info("deferred", extra={"json": {"topic": self._topic, "reason": retry.reason, "until": at}})

    def dead_letter(self, data: bytes, reason: str) -> None:
        """Publishes a message that no repetition can help to the dead-letter topic. Raises RetryLater."""
        why = reason.encode(errors="replace")[:REASON_LENGTH].decode(errors="ignore")
        self._bus.publish(dead_topic(self._topic), [Message(data, {REASON: why})])
        log.error("dead letter", extra={"json": {"alert": "dead_letter", "topic": self._topic, "reason": why}})


def _after(now: datetime, message: Arrived, retry: RetryLater) -> float:
    """Seconds: as long as asked for, else half the time that it has been failing: rarer tries in a long outage."""
    if retry.after is not None:
        return retry.after
    failing = (now - message.failing_since).total_seconds() if message.failing_since else 0.0
    return min(failing / 2, MAX_UNSTATED_WAIT)


def push_envelope(data: bytes, message_id: str, published_at: datetime, attributes: dict[str, str]) -> bytes:
    """The Pub/Sub push body, as the subscription would post it."""
    message = {
        "data": base64.b64encode(data).decode(),
        "messageId": message_id,
        "publishTime": published_at,
        "attributes": attributes,
    }
    return msgspec.json.encode({"subscription": "deferred", "message": message})


def arrived(message: Mapping[str, Any], *, by_task: bool) -> Arrived:
    """What a push body's `message` says. Its age is by our own clock where it tells it: Pub/Sub's may differ."""
    attributes = message.get("attributes") or {}
    published_at = _when(attributes.get(PUBLISHED_AT) or message.get("publishTime"))
    return Arrived(
        base64.b64decode(message.get("data") or b""),
        attributes,
        published_at=published_at,
        failing_since=_when(attributes.get(FAILING_SINCE)) or published_at,
        by_task=by_task,
    )


def _when(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
