"""What the console and `make why` read. Every list is a page of an index, however much the ledger holds."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import msgspec

from shared.domain.model import NoticeRecord, NoticeState, RelayStatus, Request, Status, Suppression
from shared.domain.policy import Policy
from shared.domain.search import words_in
from shared.domain.timeline import Moment, SignerSummary, answers, timeline
from shared.ports import Ledger, Mark, Only
from shared.services.relay_status import RELAY

PAGE = 25
SCANNED = 200  # requests that hold the rarest word, read for the other words, for one page
MOST = 1_000  # counting ends there: its time is bounded
HOUR = timedelta(hours=1)
BLOCKED = 20  # addresses looked up for one request
RECENT_FAILURES = (NoticeState.FAILED, NoticeState.UNDELIVERED, NoticeState.UNKNOWN)


class Page(msgspec.Struct, frozen=True):
    """Keys and documents, newest first; `next` is where the page after it begins, None at the end."""

    rows: Sequence[tuple[str, msgspec.Struct]]
    next: Mark | None


class Case(msgspec.Struct, frozen=True):
    """All that is known of one request. blocked: the addresses in it that must not be used, by key."""

    request: Request
    records: dict[str, NoticeRecord]
    moments: list[Moment]
    answers: list[SignerSummary]
    blocked: dict[str, Suppression]
    now: datetime


class OperatorQueries:
    """Every method raises RetryLater when the database cannot be reached."""

    def __init__(self, ledger: Ledger, policy: Policy, clock: Callable[[], datetime]) -> None:
        self._ledger, self._policy, self._clock = ledger, policy, clock

    def requests(self, status: Status | None, after: Mark | None) -> Page:
        """A page of requests, of one status or of all."""
        only = ("status", status.value) if status else None
        return self._page(Request, only, after)

    def search(self, text: str, after: Mark | None) -> Page:
        """Requests that hold every word of `text`. The index knows one word: the longest, mostly the rarest."""
        words = words_in(text)
        if not words:
            return Page([], None)
        rows = self._ledger.newest(Request, SCANNED, only=("search", max(words, key=len)), after=after)
        hits = [(key, r) for key, r in rows if set(words) <= set(r.search)]
        if len(hits) > PAGE:
            return Page(hits[:PAGE], _mark(*hits[PAGE - 1]))
        return Page(hits, _mark(*rows[-1]) if len(rows) == SCANNED else None)

    def messages(self, state: NoticeState, after: Mark | None) -> Page:
        """A page of notices' records, of one state or of all."""
        return self._page(NoticeRecord, ("state", state.value), after)

    def suppressions(self, after: Mark | None) -> Page:
        """A page of addresses that must not be used."""
        return self._page(Suppression, None, after)

    def suppression(self, key: str) -> Suppression | None:
        """One of them by its key."""
        stored = self._ledger.get(Suppression, key)
        return stored.item if stored else None

    def control(self) -> RelayStatus:
        """How the relay itself is doing."""
        stored = self._ledger.get(RelayStatus, RELAY)
        return stored.item if stored else RelayStatus()

    def request_counts(self) -> dict[str, int]:
        """By status; MOST stands for that many or more."""
        return self._counts(Request, "status", [s.value for s in Status])

    def message_counts(self) -> dict[str, int]:
        """By state, of the notices that changed within the last hour."""
        states = [s.value for s in NoticeState if s is not NoticeState.SENDING]
        return self._counts(NoticeRecord, "state", states, since=self._clock() - HOUR)

    def _counts(
        self, kind: type[msgspec.Struct], field: str, values: Sequence[str], since: datetime | None = None
    ) -> dict[str, int]:
        """Each is a query; they run side by side."""
        with ThreadPoolExecutor(len(values)) as pool:
            counts = pool.map(lambda v: self._ledger.count(kind, (field, v), most=MOST, since=since), values)
            return dict(zip(values, counts, strict=True))

    def recent_failures(self) -> dict[tuple[str, str], int]:
        """(provider, reason) of the last hour's latest troubles, and how often each."""
        since, found = self._clock() - HOUR, dict[tuple[str, str], int]()
        for state in RECENT_FAILURES:
            for _, record in self._ledger.newest(NoticeRecord, PAGE, only=("state", state.value)):
                if record.changed_at and record.changed_at >= since:
                    what = (record.provider or "none", record.reason or state.value)
                    found[what] = found.get(what, 0) + 1
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def knows(self, key: str) -> bool:
        """Whether there is a request of this id."""
        return bool(key) and self._ledger.get(Request, key) is not None

    def case(self, key: str) -> Case | None:
        """All that is known of one request; None when there is none."""
        stored = self._ledger.get(Request, key)
        if stored is None:
            return None
        request, records, now = stored.item, self._ledger.records(key), self._clock()
        moments = timeline(request, records, now, self._policy)
        told = answers(request, moments, now)
        return Case(request, records, moments, told, self._blocked(records), now)

    def _blocked(self, records: dict[str, NoticeRecord]) -> dict[str, Suppression]:
        """Only addresses that something failed at can be blocked."""
        ailing = {*RECENT_FAILURES, NoticeState.SUPPRESSED}
        keys = dict.fromkeys(r.address for r in records.values() if r.address and r.state in ailing)
        found = {key: self.suppression(key) for key in list(keys)[:BLOCKED]}
        return {key: s for key, s in found.items() if s and not s.cleared_at}

    def _page(self, kind: type[msgspec.Struct], only: Only | None, after: Mark | None) -> Page:
        rows = self._ledger.newest(kind, PAGE + 1, only=only, after=after)
        return Page(rows[:PAGE], _mark(*rows[PAGE - 1]) if len(rows) > PAGE else None)


def _mark(key: str, item: msgspec.Struct) -> Mark:
    at: datetime = getattr(item, "since", None) or getattr(item, "changed_at")  # noqa: B009 - of any listed kind
    return at, key
