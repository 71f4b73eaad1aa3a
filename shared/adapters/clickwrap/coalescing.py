"""One GET for all events of a request that were waiting when it began, so that a burst uses the API's budget once."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from shared.domain.model import ApiRequest
from shared.ports import ClickwrapApi

KEPT = timedelta(seconds=5)  # longer than a burst of events, and short enough for a current answer


class _Kept:
    """An answer, when its call began, and the events that have had one: one that comes again needs a newer answer."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.began: datetime | None = None
        self.answer: ApiRequest | None = None
        self.served: set[datetime] = set()

    def answer_for(self, after: datetime) -> ApiRequest | None:
        fits = self.began is not None and self.began > after and after not in self.served
        return self.answer if fits else None


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
            answer = kept.answer_for(after) if self._young(kept) else None
            if answer is None:
                kept.began, kept.answer = self._clock(), None
                answer = kept.answer = self._api.fetch(request)
            kept.served.add(after)
            return answer

    def listed(self, site: str, limit: int) -> Sequence[str]:
        """Asks every time."""
        return self._api.listed(site, limit)

    def _of(self, request: str) -> _Kept:
        with self._lock:
            old = [k for k, kept in self._kept.items() if not (kept.lock.locked() or self._young(kept))]
            for key in old:
                del self._kept[key]
            return self._kept.setdefault(request, _Kept())

    def _young(self, kept: _Kept) -> bool:
        return kept.began is not None and self._clock() - kept.began < KEPT
