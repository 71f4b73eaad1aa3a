"""What the mail of the day says: read from the sender's requests when it is due, and kept nowhere."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from shared.domain import daily, unreached
from shared.domain.daily import Period, Summary
from shared.domain.errors import RetryLater
from shared.domain.model import Request
from shared.domain.policy import Policy
from shared.domain.search import sender_word
from shared.domain.signers import sender_address
from shared.domain.unreached import Unreached
from shared.ports import Ledger, Mark

PAGE = 50  # requests that one query reads
MAX_REQUESTS = 1_000  # of a sender, the last changed first; further ones are not counted
MAX_CHECKED = 100  # of them, whose notices are read: the mail must leave within `claims.SEND_WITHIN`


class DailySummary:
    """Summaries of a sender's days."""

    def __init__(self, ledger: Ledger, policy: Policy, clock: Callable[[], datetime]) -> None:
        self._ledger, self._policy, self._clock = ledger, policy, clock

    def of(self, request: Request, day: Period) -> Summary:
        """An empty one when it is too late. Raises RetryLater before its time. request: one that asks for it."""
        now = self._clock()
        if daily.too_late(day, now, self._policy):
            return Summary(day=day.begin)
        if (wait := daily.due_at(request, day, self._policy) - now) > timedelta(0):
            raise RetryLater("the day is not over, or it is night", after=wait.total_seconds())
        return self._counted(self._requests(request, day), day)

    def _counted(self, requests: Iterable[Request], day: Period) -> Summary:
        """One by one: some are large, and there may be many."""
        found, to_check = Summary(day=day.begin), list[Request]()
        for request in requests:
            found.signatures += daily.signatures(request, day)
            if group := daily.outcome(request, day):
                getattr(found, group).append(request.title)
            if group == "open" and request.unreached_at and len(to_check) < MAX_CHECKED:
                to_check.append(request)  # its sender was told of somebody
        found.unreached = [(request, one) for request in to_check for one in self._unreached(request)]
        return found

    def _requests(self, request: Request, day: Period) -> Iterator[Request]:
        """Those of the same sender that have changed since the day began."""
        to, own = sender_address(request, self._policy), request.site
        named = (to, "") if to == self._policy.sender_fallback else (to,)
        for address in named:
            yield from self._changed(sender_word(own, address), day.begin)

    def _changed(self, word: str, since: datetime) -> Iterator[Request]:
        after: Mark | None = None
        for _ in range(MAX_REQUESTS // PAGE):
            rows = self._ledger.newest(Request, PAGE, only=("search", word), after=after)
            changed = [(at, key, r) for key, r in rows if (at := r.changed_at) and at >= since]
            yield from (r for _, _, r in changed)
            if len(changed) < PAGE:
                return
            after = changed[-1][:2]

    def _unreached(self, request: Request) -> list[Unreached]:
        records = self._ledger.records(request.id)
        return unreached.lost(request, records, self._clock(), self._policy)
