"""What the console and `make why` read. Every list is a page of an index, however much the ledger holds."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec

from shared.domain import backlog as backlogs
from shared.domain.backlog import Backlog
from shared.domain.causes import OF_MESSAGES, Cause, cause_of
from shared.domain.figures import DayFigures, by_day
from shared.domain.model import (
    ChannelName,
    NoticeRecord,
    NoticeState,
    Outage,
    RelayStatus,
    Request,
    Status,
    Suppression,
)
from shared.domain.policy import Policy
from shared.domain.search import MAX_PART, matches, words_in
from shared.domain.timeline import Moment, SignerSummary, answers, timeline
from shared.domain.unreached import ended
from shared.domain.verdict import TROUBLED, Known, Reach, Verdict, verdicts
from shared.ports import Ledger, Mark
from shared.services.circuit_breaker import is_down
from shared.services.operator_lists import (
    NOT_ARRIVED,
    PAGE,
    RECENT_FAILURES,
    SCANNED,
    Lists,
    Narrow,
    Page,
    cut,
    together,
)
from shared.services.queued import EVENTS, NOTICES, Queued
from shared.services.relay_status import read_status

SIGNERS = 25  # on one page of a request
MOST = 1_000  # counting ends there: its time is bounded
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LATEST = 50  # messages of each troubled state and cause, and open requests: what the first page rests on
DAYS, COUNTED = 14, 2_000  # of the figures by day: how far back, and how many messages at most
ID = re.compile(r"[\w-]{4,}")  # what may be the beginning of an id
NOTICE_ID = re.compile(r"[0-9a-f]{8,64}")
LEFT = tuple(s.value for s in (NoticeState.ACCEPTED, NoticeState.DELIVERED, NoticeState.UNDELIVERED))  # with a provider
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


class Attention(msgspec.Struct, frozen=True):
    """Those who need attention by cause, the most frequent first.

    more: causes of which there may be others too. outages: providers that are down, by name.
    """

    groups: dict[Cause, list[Trouble]]
    more: Collection[Cause]
    outages: Mapping[str, Outage]


class OperatorQueries:
    """Every method raises RetryLater when the database cannot be reached. queued: None where nothing tells of it."""

    def __init__(
        self, ledger: Ledger, policy: Policy, clock: Callable[[], datetime], queued: Queued | None = None
    ) -> None:
        self._ledger, self._policy, self._clock, self._queued = ledger, policy, clock, queued or Queued()
        self._lists = Lists(ledger)

    # -- lists

    def requests(
        self, status: Status | None, after: Mark | None, narrow: Narrow | None = None, size: int = PAGE
    ) -> Page:
        """A page of requests, of one status or of all."""
        return self._lists.page(Request, ("status", status.value) if status else None, after, narrow, size)

    def messages(self, state: NoticeState, after: Mark | None, narrow: Narrow | None = None, size: int = PAGE) -> Page:
        """A page of notices' records of one state."""
        return self._lists.page(NoticeRecord, ("state", state.value), after, narrow, size)

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
        return self._ledger.several(Request, keys)

    def messages_of(self, keys: Iterable[str]) -> dict[str, NoticeRecord]:
        """Several notices' records by id; those that are gone are left out."""
        return self._ledger.several(NoticeRecord, keys)

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
        """How the relay itself is doing; of its providers, those that are down."""
        status, now = read_status(self._ledger), self._clock()
        down = {name: o for name, o in status.circuits.items() if is_down(o, now, self._policy)}
        return msgspec.structs.replace(status, circuits=down)

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
        return dict(together(lambda v: count(kind, (field, v), most=MOST, since=since), values))

    def events_waiting(self) -> Backlog | None:
        """Of the webhooks' events that `resolve` has not handled."""
        flow = self._queued.of(EVENTS)
        return backlogs.backlog(flow.waiting, flow.left, self._clock())

    def messages_waiting(self) -> Backlog | None:
        """Of those to be sent, or tried again. One count; three more where they are many.

        What is to be tried again is PLANNED, and most of it waits in Pub/Sub too: the larger number is nearer.
        While a provider is down, others' pace says nothing of when the last will have left.
        """
        planned = self._ledger.count(NoticeRecord, ("state", NoticeState.PLANNED.value), most=backlogs.MOST)
        waiting = max(planned, self._queued.of(NOTICES).waiting)
        if waiting < backlogs.FEW:
            return None
        left = 0 if self.control().circuits else self._left()
        return backlogs.backlog(waiting, left, self._clock(), more=waiting == planned >= backlogs.MOST)

    def _left(self) -> int:
        """How many messages providers have taken within PACE."""
        count, since = self._ledger.count, self._clock() - backlogs.PACE
        return sum(
            n for _, n in together(lambda s: count(NoticeRecord, ("state", s), most=backlogs.MOST, since=since), LEFT)
        )

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
        """The last DAYS days, the newest first, by channel; from the COUNTED messages that changed last.

        Of a busy relay these begin within a day, which is `partial`; those before it are left out.
        """
        records = [record for _, record in self._ledger.newest(NoticeRecord, COUNTED)]
        since, first = (self._clock() - DAYS * DAY).date(), None
        if len(records) == COUNTED and (begun := records[-1].changed_at):
            first = begun.date()
            since = max(since, first - DAY)
        return [msgspec.structs.replace(f, partial=f.day == first) for f in by_day(records, since)]

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

    def reached(
        self, rows: Iterable[tuple[str, msgspec.Struct]], dead: Collection[str] = ()
    ) -> dict[str, dict[Reach, int]]:
        """Of each request of a list, how many signers have which verdict. dead: as for `attention`."""
        control, requests = self.control(), {key: r for key, r in rows if isinstance(r, Request)}
        told = together(lambda key: verdicts(requests[key], self._known(requests[key], control, dead)), list(requests))
        return {key: dict(Counter(v.reach for v in found.values())) for key, found in told}

    def attention(self, dead: Collection[str] = ()) -> Attention:
        """Signers who were not reached, or may not be.

        Rests on the newest SCANNED messages of each troubled state, of these on the LATEST of each cause, and on the
        LATEST open requests. dead: ids of the notices among the dead letters, as far as they are known.
        """
        control, groups = self.control(), dict[Cause, list[Trouble]]()
        suspects, more = self._suspects()
        for _, troubles in together(lambda r: self._troubles(r, control, dead), list(suspects.values())):
            for trouble in troubles:
                v = trouble.verdict
                cause = v.cause if v.reach in TROUBLED or v.cause in DELAYED else Cause.BLOCKED
                groups.setdefault(cause, []).append(trouble)
        return Attention(dict(sorted(groups.items(), key=lambda item: -len(item[1]))), more, control.circuits)

    def _suspects(self) -> tuple[dict[str, Request], set[Cause]]:
        """Requests that may need attention, and the causes of which more may be found in others."""
        reads: list[Callable[[], tuple[dict[str, Request], set[Cause]]]] = [self._with_troubled_messages]
        reads += [partial(self._latest, status) for status in (Status.OPEN, Status.DISPUTED)]
        parts = [part for _, part in together(lambda read: read(), reads)]
        found = {key: request for requests, _ in parts for key, request in requests.items()}
        return found, set[Cause]().union(*(more for _, more in parts))

    def _latest(self, status: Status) -> tuple[dict[str, Request], set[Cause]]:
        latest = self._ledger.newest(Request, LATEST, only=("status", status.value))
        return dict(latest), {*Cause} - {*OF_MESSAGES} if len(latest) == LATEST else set()

    def _with_troubled_messages(self) -> tuple[dict[str, Request], set[Cause]]:
        states, keys, more = (*NOT_ARRIVED, NoticeState.PLANNED), list[str](), set[Cause]()
        newest = self._ledger.newest
        for _, rows in together(lambda s: newest(NoticeRecord, SCANNED, only=("state", s.value)), states):
            more |= {*Cause} if len(rows) == SCANNED else set()
            for causes, records in self._by_cause(rows).items():
                keys += [record.request_id for record in records[:LATEST]]
                more |= {*causes} if len(records) > LATEST else set()
        return self.requests_of(keys), more

    def _by_cause(self, rows: Iterable[tuple[str, NoticeRecord]]) -> dict[tuple[Cause, ...], list[NoticeRecord]]:
        """Those troubled, by what a verdict may tell of them. What was suppressed as not due any more is no trouble."""
        found: dict[tuple[Cause, ...], list[NoticeRecord]] = {}
        for _, r in rows:
            if r.state is not NoticeState.SUPPRESSED or ended(r, self._clock(), self._policy):
                found.setdefault(_told_as(r), []).append(r)
        return found

    def _troubles(self, request: Request, control: RelayStatus, dead: Collection[str]) -> list[Trouble]:
        found = verdicts(request, self._known(request, control, dead))
        return [Trouble(request=request, signer=k, verdict=v) for k, v in found.items() if needs_attention(v)]

    def _known(self, request: Request, control: RelayStatus, dead: Collection[str] = ()) -> Known:
        records = self._ledger.records(request.id)
        written_to = [r.address for r in records.values() if r.address]
        found = self._ledger.several(Suppression, written_to)
        blocked = {key: s for key, s in found.items() if not s.cleared_at}
        policy, now = self._policy, self._clock()
        return Known(records=records, now=now, policy=policy, blocked=blocked, outages=control.circuits, dead=dead)


def _owners(known: Known) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {key: {} for key in known.blocked}
    for record in known.records.values():
        if record.address in found:
            found[record.address][record.signer] = None
    return {key: list(signers) for key, signers in found.items()}


def _told_as(record: NoticeRecord) -> tuple[Cause, ...]:
    if record.state is NoticeState.PLANNED:
        return Cause.RETRY, Cause.PROVIDER_DOWN
    if record.channel is ChannelName.NONE:
        return Cause.NO_ADDRESS, Cause.INVALID_ADDRESS, Cause.CHANNEL_OFF
    return (cause_of(record),)


def needs_attention(verdict: Verdict) -> bool:
    """Whether an operator should hear of it without asking."""
    delayed = verdict.reach in (Reach.SCHEDULED, Reach.WAITING) and verdict.cause in DELAYED
    return verdict.reach in TROUBLED or delayed or verdict.blocked
