"""One GET for all events of a request that were waiting when it began, so that a burst uses the API's budget once."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from shared.domain.errors import RetryLater
from shared.domain.model import ApiRequest
from shared.ports import ClickwrapApi, NotFound

KEPT = timedelta(seconds=5)  # after a call: longer than a burst of events, and short enough for a current answer
MINUTE = timedelta(minutes=1)
MOST_A_MINUTE = 30  # calls for the events of one request; at more than KEPT apart there are 12


log = logging.getLogger(__name__)


class _Kept:
    """A call's outcome, its times, and the events that have had it: one that comes again needs a newer one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.began: datetime | None = None
        self.ended: datetime | None = None
        self.outcome: ApiRequest | Exception = NotFound()
        self.served: set[datetime] = set()
        self.calls: list[datetime] = []  # of the last minute
        self.full_until: datetime | None = None

    def serves(self, after: datetime) -> bool:
        return self.began is not None and self.began > after and after not in self.served


class CoalescingApi:
    """Implements the port ClickwrapApi for one instance."""

    def __init__(self, api: ClickwrapApi, clock: Callable[[], datetime]) -> None:
        self._api, self._clock = api, clock
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def fetch(self, request: str, after: datetime | None = None) -> ApiRequest:
        """The request, as of an answer whose call began after `after`; None asks now."""
        if after is None:
            return self._api.fetch(request)
        kept = self._of(request)
        with kept.lock:
            if not (self._young(kept) and kept.serves(after)):
                self._count(kept, request)
                self._ask(kept, request)
            kept.served.add(after)
            outcome = kept.outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _count(self, kept: _Kept, request: str) -> None:
        """Raises RetryLater once a minute's calls are made: those that wait share the next answer."""
        now = self._clock()
        kept.calls = [at for at in kept.calls if now - at < MINUTE]
        if len(kept.calls) == MOST_A_MINUTE:
            if not kept.full_until:
                log.error("many webhooks of one request", extra={"json": {"alert": "many_events", "request": request}})
            kept.full_until = kept.calls[0] + MINUTE
            raise RetryLater("too many events of this request", after=(kept.full_until - now).total_seconds())
        kept.calls.append(now)
        kept.full_until = None

    def _ask(self, kept: _Kept, request: str) -> None:
        """A failure is kept too: those who waited for a call that hung need not wait for one each."""
        kept.began, kept.ended = self._clock(), None  # whatever else is raised: the answer before is of another call
        try:
            kept.outcome = self._api.fetch(request)
        except (RetryLater, NotFound) as e:
            kept.outcome = e
        kept.ended = self._clock()

    def listed(self, site: str, limit: int) -> Sequence[str]:
        """Asks every time."""
        return self._api.listed(site, limit)

    def _of(self, request: str) -> _Kept:
        with self._lock:
            old = [k for k, kept in self._kept.items() if not self._needed(kept)]
            for key in old:
                del self._kept[key]
            return self._kept.setdefault(request, _Kept())

    def _young(self, kept: _Kept) -> bool:
        return kept.ended is not None and self._clock() - kept.ended < KEPT

    def _needed(self, kept: _Kept) -> bool:
        full = kept.full_until is not None and self._clock() < kept.full_until
        return full or kept.lock.locked() or self._young(kept)
