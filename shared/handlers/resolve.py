"""An event, or the clock, makes us look at a request: read, fetch, merge, commit, and only then echo."""

import logging
from collections.abc import Callable
from datetime import datetime

from shared.domain.dead_letters import STALE_DAYS
from shared.domain.looks import event_key, forget_at, stub
from shared.domain.merge import Merged, gone, merge
from shared.domain.model import Event, Request
from shared.domain.outcomes import GiveUp, Retry
from shared.domain.policy import Policy
from shared.handlers.echo import Echo
from shared.ports import Ledger, NotFound, Requests, Stored

RACES = 5  # lost commits in a row before the message is left to a later delivery

log = logging.getLogger(__name__)


class Resolve:
    def __init__(
        self, ledger: Ledger, api: Requests, echo: Echo, policy: Policy, clock: Callable[[], datetime]
    ) -> None:
        self._ledger, self._api, self._echo, self._policy, self._clock = ledger, api, echo, policy, clock

    def event(self, event: Event) -> None:
        """Raises Retry, or GiveUp for what no repetition will mend."""
        if self._clock() - event.received_at > self._policy.days(STALE_DAYS):
            raise GiveUp("stale: the event is more than 31 days old")
        self._settle(event.request, event)
        log.info("event resolved", extra={"json": {"event": event.event, "type": event.type, "request": event.request}})

    def look(self, request: str) -> None:
        """Reads the request again without an event, and heals it. Raises Retry."""
        self._settle(request, None)

    def _settle(self, key: str, event: Event | None) -> None:
        for _ in range(RACES):
            stored = self._ledger.get(Request, key)
            old = stored.item if stored else None
            if stored and old and self._over(old):
                return self._forget(stored)
            if old and event and event_key(event.event) in old.events:
                return self._echo.heal(None, old)
            merged = self._merged(key, old, event)
            if self._ledger.put(key, merged.request, stored.version if stored else None):
                return self._after(old, merged, event)
        raise Retry("others keep changing this request", after=1)

    def _over(self, request: Request) -> bool:
        due = forget_at(request, self._policy)
        return request.forgotten or (due is not None and due <= self._clock())

    def _forget(self, stored: Stored[Request]) -> None:
        """Nobody is told anything more. A lost race is run again by the next look."""
        if not stored.item.forgotten:
            self._ledger.put(stored.item.id, stub(stored.item), stored.version)

    def _merged(self, key: str, old: Request | None, event: Event | None) -> Merged:
        try:
            answer = self._api.fetch(key, event.received_at if event else None)
        except NotFound:
            return Merged(gone(old, event, key, self._clock(), self._policy), ("absent: the API answers 404",))
        return merge(old, answer, event, self._clock(), self._policy)

    def _after(self, old: Request | None, merged: Merged, event: Event | None) -> None:
        for alert in merged.alerts:
            log.warning(alert, extra={"json": {"alert": alert.split(":")[0], "request": merged.request.id}})
        if event is None:
            self._echo.heal(old, merged.request)
        else:
            self._echo.echo(old, merged.request)
