"""Calls of the API for ids never seen alive: whoever has the webhook's token can make up any number of them."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from shared.domain.errors import RetryLater
from shared.domain.model import Event
from shared.ports import NotFound

MINUTE = timedelta(minutes=1)
FIRST_SHARE, AGAIN_SHARE = 0.75, 0.1  # of the calls a minute that may find nothing, by the age of the event
NEW = timedelta(seconds=5)  # an event older than that has been tried before, or had to wait
MANY = 30  # ids a minute that were not found: worth an alert

log = logging.getLogger(__name__)


class UnknownIds:
    """Of one instance. calls: of the API a minute. What is known keeps a quarter of them to itself.

    A call that finds its request does not count: the ids of a bulk send are unknown too, and most of its events wait.
    """

    def __init__(self, calls: float, clock: Callable[[], datetime]) -> None:
        self._most = {"first": max(1.0, calls * FIRST_SHARE), "again": max(1.0, calls * AGAIN_SHARE)}
        self._clock, self._began, self._lock = clock, clock(), threading.Lock()
        self._under_way, self._missed = dict.fromkeys(self._most, 0), dict.fromkeys(self._most, 0)

    @contextmanager
    def call(self, event: Event) -> Iterator[None]:
        """Around the call for an id never met. Raises RetryLater once this minute's share of its kind is used up."""
        kind = "first" if self._clock() - event.received_at <= NEW else "again"
        self._admit(kind)
        try:
            yield
        except NotFound:
            self._miss(kind)
            raise
        finally:
            with self._lock:
                self._under_way[kind] -= 1

    def _admit(self, kind: str) -> None:
        with self._lock:
            self._turn()
            if self._missed[kind] + self._under_way[kind] >= self._most[kind]:
                raise RetryLater("too many unknown requests in this minute", after=self._wait(kind))
            self._under_way[kind] += 1

    def _wait(self, kind: str) -> float:
        """Seconds until another may be admitted: those under way may find theirs."""
        over = self._missed[kind] >= self._most[kind]
        return max(1.0, (self._began + MINUTE - self._clock()).total_seconds()) if over else 1.0

    def _miss(self, kind: str) -> None:
        with self._lock:
            self._turn()
            self._missed[kind] += 1
            if sum(self._missed.values()) == MANY:
                log.error("many webhooks name requests that do not exist", extra={"json": {"alert": "unknown_ids"}})

    def _turn(self) -> None:
        if self._clock() - self._began >= MINUTE:
            self._began, self._missed = self._clock(), dict.fromkeys(self._missed, 0)
