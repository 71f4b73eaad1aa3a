"""What the console and `make why` read. Every list is a page of an index, however much the ledger holds."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from shared.domain.causes import Cause
from shared.domain.figures import DayFigures, by_day
from shared.domain.model import (
    NoticeRecord,
    NoticeState,
    RelayStatus,
    Request,
    Status,
    Suppression,
)
from shared.domain.policy import Policy
from shared.domain.search import MAX_PART, matches, words_in
from shared.domain.timeline import Moment, SignerSummary, answers, timeline
from shared.domain.verdict import TROUBLED, Known, Reach, Verdict, verdicts
from shared.ports import Ledger, Mark
from shared.services.operator_lists import NOT_ARRIVED, PAGE, RECENT_FAILURES, SCANNED, Lists, Narrow, Page, cut
from shared.services.relay_status import RELAY

K = TypeVar("K")
V = TypeVar("V")

SIGNERS = 25  # on one page of a request
MOST = 1_000  # counting ends there: its time is bounded
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BLOCKED = 20  # addresses looked up for one request
LATEST = 50  # of each troubled state, and of open requests: what the first page rests on
SIDE_BY_SIDE = 16  # reads at the same time
DAYS, COUNTED = 14, 2_000  # of the figures by day: how far back, and how many messages at most
ID = re.compile(r"[\w-]{4,}")  # what may be the beginning of an id
NOTICE_ID = re.compile(r"[0-9a-f]{8,64}")
DELAYED = (Cause.PROVIDER_DOWN, Cause.RETRY, Cause.DISPUTED, Cause.OVERDUE)  # waiting for what may need help


class Case(msgspec.Struct, frozen=True):
    """All that is known of one request.

    moments, answers: of the signers chosen. verdicts: of all. more: whether other signers follow those chosen.
    blocked: the addresses in it that must not be used, by key; owners: the signers who were written to there.
    """

    request: Request
    records: dict[str, NoticeRecord]
    moments: list[Moment]
    answers: list[SignerSummary]
    verdicts: dict[str, Verdict]
    more: bool
    blocked: dict[str, Suppression]
    owners: dict[str, list[str]]
    now: datetime


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which signers of a request: those with this verdict ("" for any), and which page of them, from 1."""

    reach: str = ""
    page: int = 1
    size: int = SIGNERS

    def of(self, found: Mapping[str, Verdict]) -> tuple[list[str], bool]:
        """Their keys, and whether more follow."""
        fitting = [key for key, verdict in found.items() if self.reach in ("", verdict.reach)]
        first = (self.page - 1) * self.size
        return fitting[first : first + self.size], len(fitting) > first + self.size


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One signer who needs attention."""

    request: Request
    signer: str
    verdict: Verdict


class OperatorQueries:
    """Every method raises RetryLater when the database cannot be reached."""

    def __init__(self, ledger: Ledger, policy: Policy, clock: Callable[[], datetime]) -> None:
        self._ledger, self._policy, self._clock = ledger, policy, clock
        self._lists = Lists(ledger)

    # -- lists

    def requests(self, status: Status | None, after: Mark | None, narrow: Narrow | None = None) -> Page:
        """A page of requests, of one status or of all."""
        return self._lists.page(Request, ("status", status.value) if status else None, after, narrow)

    def messages(self, state: NoticeState, after: Mark | None, narrow: Narrow | None = None) -> Page:
        """A page of notices' records of one state."""
        return self._lists.page(NoticeRecord, ("state", state.value), after, narrow)

    def suppressions(self, after: Mark | None) -> Page:
        """A page of addresses that must not be used."""
        return self._lists.page(Suppression, None, after)

    def every(self, page: Callable[[Mark | None], Page], most: int) -> Iterator[tuple[str, msgspec.Struct]]:
        """The rows of a list, page by page, at most `most`."""
        after: Mark | None = None
        while most > 0:
            found = page(after)
            yield from found.rows[:most]
            most, after = most - len(found.rows), found.next
            if after is None:
                return

    def requests_of(self, keys: Iterable[str]) -> dict[str, Request]:
        """Several requests by id; those that are gone are left out."""
        found = self._together(lambda key: self._ledger.get(Request, key), list(dict.fromkeys(keys)))
        return {key: stored.item for key, stored in found if stored}

    # -- search

    def search(self, text: str, after: Mark | None) -> Page:
        """Requests by an id or how it begins, by a message's ids, or by words or how they begin, in any order."""
        if after is None and (found := self._by_id(text.strip())):
            return Page(found, None)
        words = words_in(text)
        if not words:
            return Page([], None)
        longest = max(words, key=len)
        page = self._by_word(longest, words, after)
        part = longest[:MAX_PART]
        return page if page.rows or page.next or part == longest else self._by_word(part, words, after)

    def _by_word(self, word: str, words: tuple[str, ...], after: Mark | None) -> Page:
        rows = self._ledger.newest(Request, SCANNED, only=("search", word), after=after)
        return cut([(key, r) for key, r in rows if matches(r, words)], rows)

    def _by_id(self, text: str) -> list[tuple[str, Request]]:
        if exact := self.requests_of([text] if text else []):
            return list(exact.items())
        if not ID.fullmatch(text):
            return []
        if found := list(self._ledger.beginning(Request, text, PAGE)):
            return found
        records = list(self._ledger.newest(NoticeRecord, PAGE, only=("provider_id", text)))
        if not records and NOTICE_ID.fullmatch(text.lower()):
            records = list(self._ledger.beginning(NoticeRecord, text.lower(), PAGE))
        return list(self.requests_of(record.request_id for _, record in records).items())

    # -- figures

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
        count = self._ledger.count
        return dict(self._together(lambda v: count(kind, (field, v), most=MOST, since=since), values))

    def recent_failures(self) -> dict[tuple[str, str], int]:
        """(provider, reason) of the last hour's latest troubles, and how often each."""
        since = self._clock() - HOUR
        found = Counter(
            (record.provider or "none", record.reason or state.value)
            for state in RECENT_FAILURES
            for _, record in self._ledger.newest(NoticeRecord, PAGE, only=("state", state.value))
            if record.changed_at and record.changed_at >= since
        )
        return dict(found.most_common())

    def by_day(self) -> list[DayFigures]:
        """The last DAYS days, the newest first, by channel; from the COUNTED messages that changed last."""
        since = (self._clock() - DAYS * DAY).date()
        return by_day((record for _, record in self._ledger.newest(NoticeRecord, COUNTED)), since)

    # -- one request, and those that need attention

    def knows(self, key: str) -> bool:
        """Whether there is a request of this id."""
        return bool(key) and self._ledger.get(Request, key) is not None

    def case(self, key: str, dead: Callable[[], Collection[str]] = tuple, choice: Choice | None = None) -> Case | None:
        """All that is known of one request; None when there is none.

        dead: ids of the notices among the dead letters. It is asked only where a message is missing.
        choice: the signers of whom more than the verdict is told; None for all.
        """
        stored = self._ledger.get(Request, key)
        if stored is None:
            return None
        request, known = stored.item, self._known(stored.item, self.control())
        found = verdicts(request, known)
        if any(v.cause in (Cause.QUEUED, Cause.OVERDUE) for v in found.values()) and (held := dead()):
            found = verdicts(request, msgspec.structs.replace(known, dead=held))
        chosen, more = (choice or Choice(size=len(found))).of(found)
        records = {k: r for k, r in known.records.items() if r.signer in chosen or not r.signer}
        moments = timeline(request, records, known.now, self._policy, chosen)
        told, owners = answers(chosen, moments), _owners(known)
        return Case(request, records, moments, told, found, more, dict(known.blocked), owners, known.now)

    def reached(self, rows: Iterable[tuple[str, msgspec.Struct]]) -> dict[str, dict[Reach, int]]:
        """Of each request of a list, how many signers have which verdict."""
        control, requests = self.control(), {key: r for key, r in rows if isinstance(r, Request)}
        told = self._together(lambda key: verdicts(requests[key], self._known(requests[key], control)), list(requests))
        return {key: dict(Counter(v.reach for v in found.values())) for key, found in told}

    def attention(self) -> dict[Cause, list[Trouble]]:
        """Signers who were not reached, or may not be, by cause, the most frequent first.

        Rests on the LATEST messages of each troubled state and on the LATEST open requests.
        """
        control, found = self.control(), dict[Cause, list[Trouble]]()
        for _, troubles in self._together(lambda r: self._troubles(r, control), list(self._suspects().values())):
            for trouble in troubles:
                v = trouble.verdict
                cause = v.cause if v.reach in TROUBLED or v.cause in DELAYED else Cause.BLOCKED
                found.setdefault(cause, []).append(trouble)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))

    def _suspects(self) -> dict[str, Request]:
        """Requests that may need attention: some with troubled messages, those disputed, and the latest open ones."""
        states = (*NOT_ARRIVED, NoticeState.PLANNED)
        lists = self._together(lambda s: self._ledger.newest(NoticeRecord, LATEST, only=("state", s.value)), states)
        found = self.requests_of(record.request_id for _, rows in lists for _, record in rows)
        for status in (Status.OPEN, Status.DISPUTED):
            found |= dict(self._ledger.newest(Request, LATEST, only=("status", status.value)))
        return found

    def _troubles(self, request: Request, control: RelayStatus) -> list[Trouble]:
        found = verdicts(request, self._known(request, control))
        return [Trouble(request=request, signer=k, verdict=v) for k, v in found.items() if needs_attention(v)]

    def _known(self, request: Request, control: RelayStatus) -> Known:
        records = self._ledger.records(request.id)
        blocked = self._blocked(records)
        policy, now = self._policy, self._clock()
        return Known(records=records, now=now, policy=policy, blocked=blocked, outages=control.circuits)

    def _blocked(self, records: dict[str, NoticeRecord]) -> dict[str, Suppression]:
        """Only addresses that something was sent to can be blocked; those that something failed at come first."""
        sent = sorted((r for r in records.values() if r.address), key=lambda r: r.state not in NOT_ARRIVED)
        keys = list(dict.fromkeys(r.address for r in sent))[:BLOCKED]
        return {key: s for key, s in self._together(self.suppression, keys) if s and not s.cleared_at}

    # -- how

    def _together(self, read: Callable[[K], V], keys: Sequence[K]) -> list[tuple[K, V]]:
        """Each key with what was read for it; many at the same time."""
        if len(keys) < 2:
            return [(key, read(key)) for key in keys]
        with ThreadPoolExecutor(min(len(keys), SIDE_BY_SIDE)) as pool:
            return list(zip(keys, pool.map(read, keys), strict=True))


def _owners(known: Known) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {key: {} for key in known.blocked}
    for record in known.records.values():
        if record.address in found:
            found[record.address][record.signer] = None
    return {key: list(signers) for key, signers in found.items()}


def needs_attention(verdict: Verdict) -> bool:
    """Whether an operator should hear of it without asking."""
    delayed = verdict.reach in (Reach.SCHEDULED, Reach.WAITING) and verdict.cause in DELAYED
    return verdict.reach in TROUBLED or delayed or verdict.blocked
