"""Waiting longer than a nack should: the message sleeps in a Cloud Task, so that an outage burns no attempts."""

import base64
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from shared.domain.model import digest
from shared.domain.outcomes import Retry
from shared.ports import Scheduler, Task

NACK_UP_TO = 60.0  # seconds; Pub/Sub's own backoff serves up to here
LONGEST = 86_400.0


class Parking:
    def __init__(self, scheduler: Scheduler, queue: str, url: str, clock: Callable[[], datetime]) -> None:
        self._scheduler, self._queue, self._url, self._clock = scheduler, queue, url, clock

    def park(self, data: bytes, published_at: datetime | None, retry: Retry) -> bool:
        """False when a nack will do. Raises Retry when the scheduler cannot be reached."""
        now = self._clock()
        after = self._after(now, published_at, retry)
        if after <= NACK_UP_TO:
            return False
        at = now + timedelta(seconds=min(after, LONGEST))
        # copies of a message parked within one minute fall together; the minute keeps the name new each time
        name = "park-" + digest(base64.b64encode(data).decode(), int(at.timestamp() // 60))[:48]
        body = envelope(data, name, published_at or now)
        self._scheduler.create([Task(name=name, queue=self._queue, url=self._url, body=body, at=at)])
        return True

    def _after(self, now: datetime, published_at: datetime | None, retry: Retry) -> float:
        """As asked, else the longer the older the message is: a long outage is asked about ever less often."""
        if retry.after is not None:
            return retry.after
        age = (now - published_at).total_seconds() if published_at else 0.0
        return min(age / 2, 900.0)


def envelope(data: bytes, message_id: str, published_at: datetime) -> bytes:
    """The Pub/Sub push body, as the subscription would post it."""
    message = {
        "data": base64.b64encode(data).decode(),
        "messageId": message_id,
        "publishTime": published_at,
        "attributes": {},
    }
    return msgspec.json.encode({"subscription": "parked", "message": message})
