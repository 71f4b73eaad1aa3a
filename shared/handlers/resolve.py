"""An event, or the clock, makes us look at a request: read, fetch, merge, commit, and only then echo."""

import logging
from collections.abc import Callable
from datetime import datetime

from shared.domain.dead_letters import STALE_DAYS
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.merge import MergeResult, gone, merge
from shared.domain.model import Event, Request
from shared.domain.policy import Policy
from shared.domain.recheck import event_key, forget_at, stub
from shared.ports import ClickwrapApi, Ledger, NotFound, Stored
from shared.services.publisher import Publisher

MAX_COMMIT_RETRIES = 5  # lost commits in a row before the message is left to a later delivery

log = logging.getLogger(__name__)


class Resolve:
    def __init__(
        self, ledger: Ledger, api: ClickwrapApi, publisher: Publisher, policy: Policy, clock: Callable[[], datetime]
    ) -> None:
        self._ledger, self._api, self._publisher, self._policy, self._clock = ledger, api, publisher, policy, clock

    def event(self, event: Event) -> None:
        """Raises RetryLater, or PermanentFailure for what no repetition will mend."""
        if self._clock() - event.received_at > self._policy.days(STALE_DAYS):
            raise PermanentFailure("stale: the event is more than 31 days old")
        self._settle(event.request, event)
        log.info("event resolved", extra={"json": {"event": event.event, "type": event.type, "request": event.request}})

    def recheck(self, request: str) -> None:
        """Reads the request again without an event, and heals it. Raises RetryLater."""
        self._settle(request, None)

    def _settle(self, key: str, event: Event | None) -> None:
        for _ in range(MAX_COMMIT_RETRIES):
            stored = self._ledger.get(Request, key)
            old = stored.item if stored else None
            if stored and old and self._over(old):
                return self._forget(stored)
            if old and event and event_key(event.event) in old.events:
                return self._publisher.republish_missing(None, old)
            merged = self._merged(key, old, event)
            if self._ledger.put(key, merged.request, stored.version if stored else None):
                return self._after(old, merged, event)
        raise RetryLater("others keep changing this request", after=1)

    def _over(self, request: Request) -> bool:
        due = forget_at(request, self._policy)
        return request.forgotten or (due is not None and due <= self._clock())

    def _forget(self, stored: Stored[Request]) -> None:
        """Nobody is told anything more. A lost race is run again by the next look."""
        if not stored.item.forgotten:
            self._ledger.put(stored.item.id, stub(stored.item), stored.version)

    def _merged(self, key: str, old: Request | None, event: Event | None) -> MergeResult:
        try:
            answer = self._api.fetch(key, event.received_at if event else None)
        except NotFound:
            return MergeResult(gone(old, event, key, self._clock(), self._policy), ("absent: the API answers 404",))
        return merge(old, answer, event, self._clock(), self._policy)

    def _after(self, old: Request | None, merged: MergeResult, event: Event | None) -> None:
        for alert in merged.alerts:
            log.warning(alert, extra={"json": {"alert": alert.split(":")[0], "request": merged.request.id}})
        if event is None:
            self._publisher.republish_missing(old, merged.request)
        else:
            self._publisher.publish_changes(old, merged.request)
