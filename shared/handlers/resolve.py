"""An event, or a due recheck: read the request's state, ask the API, merge, commit, and only then publish."""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.domain.dead_letters import STALE_DAYS
from shared.domain.errors import PermanentFailure
from shared.domain.merge import MergeResult, gone, merge
from shared.domain.model import Event, Link, NoticeRecord, Request
from shared.domain.policy import Policy
from shared.domain.recheck import event_key, forget_at, stub
from shared.ports import ClickwrapApi, Ledger, NotFound
from shared.services.account_answers import AnswerHistory
from shared.services.publisher import Publisher
from shared.services.unknown_ids import UnknownIds

# What a delivery may write after its request was forgotten, and what of it must not stay.
LATE_WRITTEN: Mapping[type[msgspec.Struct], Mapping[str, str]] = {
    NoticeRecord: dict.fromkeys(("text", "address", "fingerprint"), ""),
    Link: {"short_url": ""},
}
log = logging.getLogger(__name__)


class Resolve:
    """The handler of `resolve`, and what `reconcile` does with each due request."""

    def __init__(
        self,
        ledger: Ledger,
        api: ClickwrapApi,
        publisher: Publisher,
        policy: Policy,
        clock: Callable[[], datetime],
        calls: float,
    ) -> None:
        """calls: of the API that this instance may make in a minute."""
        self._ledger, self._api, self._publisher = ledger, api, publisher
        self._policy, self._clock = policy, clock
        self._answers, self._unknown = AnswerHistory(ledger, clock), UnknownIds(calls, clock)

    def event(self, event: Event) -> None:
        """Raises RetryLater, or PermanentFailure for what no repetition will mend."""
        if self._clock() - event.received_at > self._policy.days(STALE_DAYS):
            raise PermanentFailure(f"stale: the event is more than {STALE_DAYS} days old")
        self._settle(event.request, event)
        log.info("event resolved", extra={"json": {"event": event.event, "type": event.type, "request": event.request}})

    def recheck(self, request: str) -> None:
        """Reads the request again without an event, and publishes what is missing. Raises RetryLater."""
        self._settle(request, None)

    def _settle(self, key: str, event: Event | None) -> None:
        merged: list[MergeResult] = []
        before, after = self._ledger.update(Request, key, lambda old: self._next(key, old, event, merged))
        if after is not None:
            self._learn(key, merged)
        self._publish(before, after, event)

    def _next(self, key: str, old: Request | None, event: Event | None, merged: list[MergeResult]) -> Request | None:
        """The state to commit; None where there is nothing to commit."""
        if old and old.forgotten:
            return self._swept(old, event)
        if old and event is None:
            self._publisher.tell_status_again(old)
        if old and self._is_over(old):
            return stub(old)
        if old and event and event_key(event.event) in old.events:
            return None
        merged[:] = [self._merged(key, old, event)]
        return merged[0].request

    def _learn(self, key: str, merged: list[MergeResult]) -> None:
        for result in merged:
            _log_alerts(key, result.alerts)
            if result.answer:
                self._answers.add(result.answer)

    def _is_over(self, request: Request) -> bool:
        due = forget_at(request, self._policy)
        return due is not None and due <= self._clock()

    def _swept(self, forgotten: Request, event: Event | None) -> Request | None:
        """The stub, once what a delivery has written after it is empty; None where that has been done."""
        if event or forgotten.next_at is None:
            return None
        for kind, blank in LATE_WRITTEN.items():
            emptied = partial(self._emptied, blank)
            for key in self._ledger.keys(kind, forgotten.id):
                self._ledger.update(kind, key, emptied)
        return stub(forgotten)

    def _emptied(self, blank: Mapping[str, str], item: Any) -> Any:
        """The database drops it. It is not deleted here: only the operators' functions may do that."""
        return replace(item, **blank, purge_at=self._clock()) if item else None

    def _merged(self, key: str, old: Request | None, event: Event | None) -> MergeResult:
        never_alive = old is None or not old.signers
        try:
            with self._unknown.call(event) if never_alive and event else nullcontext():
                answer = self._api.fetch(key, event.received_at if event else None)
        except NotFound:
            state = gone(old, event, key, self._clock(), self._policy)
            return MergeResult(state, ("absent: the API answers 404",))
        return merge(old, answer, event, self._clock(), self._policy, self._answers.usual())

    def _publish(self, before: Request | None, after: Request | None, event: Event | None) -> None:
        """A handled event that comes again, and every recheck, publish what is missing after a crash."""
        state = after or before
        if state is None or state.forgotten:
            return
        if after is None:
            self._publisher.republish_missing(None, state)
        elif event is None:
            self._publisher.republish_missing(before, state)
        else:
            self._publisher.publish_changes(before, state)


def _log_alerts(request: str, alerts: Iterable[str]) -> None:
    for alert in alerts:
        log.warning(alert, extra={"json": {"alert": alert.split(":")[0], "request": request}})
