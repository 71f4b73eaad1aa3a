"""Calls of the API for ids never seen alive: whoever has the webhook's token can make up any number of them."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from shared.domain.errors import RetryLater
from shared.domain.model import Event

MINUTE = timedelta(minutes=1)
FIRST_SHARE, AGAIN_SHARE = 0.75, 0.1  # of the calls a minute: ids that are new, and those that were not found before
NEW = timedelta(seconds=5)  # an event older than that has been tried before, or had to wait
MANY = 30  # ids a minute that were not found: worth an alert

log = logging.getLogger(__name__)


class UnknownIds:
    """Of one instance. calls: of the API a minute. What is known keeps a quarter of them to itself."""

    def __init__(self, calls: float, clock: Callable[[], datetime]) -> None:
        self._most = {"first": max(1.0, calls * FIRST_SHARE), "again": max(1.0, calls * AGAIN_SHARE)}
        self._clock, self._began, self._lock = clock, clock(), threading.Lock()
        self._counted = {"first": 0, "again": 0, "missed": 0}

    def admit(self, event: Event) -> None:
        """Before the call for an id never met. Raises RetryLater once this minute's calls of its kind are made."""
        kind = "first" if self._clock() - event.received_at <= NEW else "again"
        with self._lock:
            self._turn()
            if self._counted[kind] >= self._most[kind]:
                left = self._began + MINUTE - self._clock()
                raise RetryLater("too many unknown requests in this minute", after=max(1.0, left.total_seconds()))
            self._counted[kind] += 1

    def missed(self) -> None:
        """The API did not know it."""
        with self._lock:
            self._turn()
            self._counted["missed"] += 1
            if self._counted["missed"] == MANY:
                log.error("many webhooks name requests that do not exist", extra={"json": {"alert": "unknown_ids"}})

    def _turn(self) -> None:
        if self._clock() - self._began >= MINUTE:
            self._began = self._clock()
            self._counted = dict.fromkeys(self._counted, 0)
