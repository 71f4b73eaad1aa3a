"""In-memory fakes of the ports, and a World that wires the handlers over them under a clock of its own.

Every call of a port has two crash points, before and after: `Faults.at` names the one at which the process dies.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.adapters.clickwrap.webhook import ClickwrapWebhook
from shared.adapters.collections import CHANGED
from shared.domain.daily import Summary
from shared.domain.errors import Accepted, PermanentFailure, RetryLater
from shared.domain.kinds import KINDS
from shared.domain.model import (
    ApiRequest,
    ApiSigner,
    ChannelName,
    Event,
    EventType,
    Kind,
    Notice,
    NoticeRecord,
    NoticeState,
    Request,
    Status,
)
from shared.domain.notice_record import notice_of
from shared.domain.policy import Policy
from shared.domain.signers import needed
from shared.domain.unreached import Unreached
from shared.handlers.deliver import Deliver
from shared.handlers.links import Links
from shared.handlers.receive import Receive
from shared.handlers.reconcile import Reconcile
from shared.handlers.remind import Firing, Remind
from shared.handlers.resolve import Resolve
from shared.ports import Ledger, Mark, Message, NotFound, Only, Outgoing, Stored, Target, Task, Wording
from shared.services.fallback import Fallback
from shared.services.links import LinkService
from shared.services.outcomes import Outcomes
from shared.services.publisher import Publisher
from shared.services.resource_names import ResourceNames

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday, 10:00 in New York
PHONES = {"a": "+13175550101", "b": "+13175550102", "c": "+13175550103"}

CALLS, SUPPRESSION_DAYS = 1_600.0, 365  # as the settings have them by default


def one_by_one(do: Callable[[str], None], items: Iterable[str]) -> None:
    """As `reconcile` rechecks in one thread."""
    for item in items:
        do(item)


class Crash(BaseException):
    """The process dies here."""


class Faults:
    def __init__(self) -> None:
        self.at: int | None = None
        self.count = 0

    def point(self) -> None:
        here, self.count = self.count, self.count + 1
        if here == self.at:
            self.at = None
            raise Crash


class FakeLedger(Ledger):
    def __init__(self, faults: Faults | None = None) -> None:
        self.documents: dict[tuple[type, str], tuple[Any, int]] = {}
        self.faults = faults or Faults()
        self.races = 0  # so many puts are lost to somebody else
        self.undecodable: set[str] = set()  # keys of documents that a later version has written
        self._version = 0

    def get(self, kind: type[Any], key: str) -> Stored[Any] | None:
        self.faults.point()
        if key in self.undecodable:
            raise PermanentFailure("a document in requests cannot be read by this version")
        found = self.documents.get((kind, key))
        self.faults.point()
        return Stored(*found) if found else None

    def put(self, key: str, item: msgspec.Struct, version: object | None) -> object | None:
        self.faults.point()
        written = self._put((type(item), key), item, version)
        self.faults.point()
        return written

    def _put(self, place: tuple[type, str], item: msgspec.Struct, version: object | None) -> object | None:
        _, standing = self.documents.get(place, (None, None))
        if self.races or standing != version:
            self.races = max(0, self.races - 1)
            return None
        self._version += 1
        self.documents[place] = (item, self._version)
        return self._version

    def all(self, kind: type[Any]) -> dict[str, Any]:
        return {key: item for (k, key), (item, _) in self.documents.items() if k is kind}

    def due(self, now: datetime, limit: int) -> Sequence[str]:
        self.faults.point()
        due = [(r.next_at, key) for key, r in self.all(Request).items() if r.next_at and r.next_at <= now]
        return [key for _, key in sorted(due)][:limit]

    def postpone(self, request: str, until: datetime) -> None:
        self.faults.point()
        item, version = self.documents[Request, request]
        self.documents[Request, request] = (replace(item, next_at=until), version)
        self.faults.point()

    def records(self, request: str, signer: str = "") -> dict[str, NoticeRecord]:
        self.faults.point()
        found = {key: r for key, r in self.all(NoticeRecord).items() if r.request_id == request}
        return {key: r for key, r in found.items() if signer in ("", r.signer)}

    def keys(self, kind: type[msgspec.Struct], request: str) -> Sequence[str]:
        self.faults.point()
        return [key for key, item in self.all(kind).items() if item.request_id == request]

    def delete(self, kind: type[msgspec.Struct], keys: Iterable[str]) -> None:
        self.faults.point()
        for key in keys:
            self.documents.pop((kind, key), None)
        self.faults.point()

    def newest(
        self, kind: type[Any], limit: int, *, only: Only | None = None, after: Mark | None = None
    ) -> Sequence[tuple[str, Any]]:
        field = CHANGED[kind]
        found = [
            (getattr(d, field), key, d) for key, d in self.all(kind).items() if getattr(d, field) and fits(d, only)
        ]
        listed = sorted((f for f in found if after is None or f[:2] < after), key=lambda f: f[:2], reverse=True)
        return [(key, document) for _, key, document in listed[:limit]]

    def beginning(self, kind: type[Any], prefix: str, limit: int) -> Sequence[tuple[str, Any]]:
        return sorted((key, d) for key, d in self.all(kind).items() if key.startswith(prefix))[:limit]

    def count(self, kind: type[Any], only: Only, *, most: int, since: datetime | None = None) -> int:
        found = self.newest(kind, 1_000_000, only=only)
        return min(most, sum(since is None or getattr(d, CHANGED[kind]) >= since for _, d in found))


def fits(document: Any, only: Only | None) -> bool:
    if only is None:
        return True
    value = getattr(document, only[0])
    return bool(only[1] == value or (isinstance(value, tuple) and only[1] in value))


class FakeBus:
    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.topics: dict[str, list[Message]] = defaultdict(list)
        self.pending: list[tuple[str, bytes]] = []
        self.down = False

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        self.faults.point()
        if self.down:
            raise RetryLater("Pub/Sub cannot be reached")
        self.topics[topic] += messages
        self.pending += [(topic, m.data) for m in messages]
        self.faults.point()


class FakeScheduler:
    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.tasks: dict[str, Task] = {}
        self.names: set[str] = set()

    def create(self, tasks: Iterable[Task]) -> None:
        self.faults.point()
        fresh = [t for t in tasks if t.name not in self.names]
        self.tasks |= {t.name: t for t in fresh}
        self.names |= {t.name for t in fresh}
        self.faults.point()

    def delete(self, queue: str, names: Iterable[str]) -> None:
        self.faults.point()
        for name in names:
            self.tasks.pop(name, None)
        self.faults.point()


class FakeApi:
    """`truth` is what the API says now: an answer, or the error it raises."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.truth: dict[str, ApiRequest | Exception] = {}
        self.lists: dict[str, list[str] | Exception] = {}
        self.calls = 0

    def listed(self, site: str, limit: int) -> Sequence[str]:
        said = self.lists.get(site, PermanentFailure("no list"))
        if isinstance(said, Exception):
            raise said
        return said[:limit]

    def fetch(self, request: str, after: datetime | None = None) -> ApiRequest:
        self.faults.point()
        self.calls += 1
        said = self.truth.get(request, NotFound())
        if isinstance(said, Exception):
            raise said
        self.faults.point()
        return said


class FakeChannel:
    def __init__(self, name: str, faults: Faults | None = None) -> None:
        self.name = name
        self.faults = faults or Faults()
        self.sent: list[Outgoing] = []
        self.outcomes: list[Exception] = []  # raised by the next sends, in order
        self.always: Exception | None = None

    def send(self, message: Outgoing) -> Accepted:
        self.faults.point()
        if self.always or self.outcomes:
            raise self.always or self.outcomes.pop(0)
        self.sent.append(message)
        self.faults.point()
        return Accepted(f"{self.name}-{len(self.sent)}")


class FakeShortener:
    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.error: Exception | None = None

    def shorten(self, target: Target) -> str:
        self.faults.point()
        if self.error:
            raise self.error
        return f"https://l.test/{target.signer}"


def render(
    request: Request,
    notice: Notice,
    link: str,
    unreached: Sequence[Unreached] = (),
    summary: Summary | None = None,
    *,
    opt_out: bool = False,
) -> Wording:
    if notice.kind is Kind.UNREACHED:
        named = (f"{request.signers[one.signer].name} {one.channel}: {one.cause}" for one in unreached)
        return Wording(text="; ".join(named), subject="not reached")
    if summary:
        titles = (f"{n} {getattr(summary, n)}" for n in ("complete", "expired", "open"))
        people = [f"{r.title}: {r.signers[one.signer].name} {one.cause}" for r, one in summary.unreached]
        return Wording(
            text="; ".join((f"signatures {summary.signatures}", *titles, *sorted(set(people)))), subject="day"
        )
    if KINDS[notice.kind].to_sender:
        return Wording(text=f"{notice.kind} {notice.about}", subject="copy")
    return Wording(text=f"{notice.kind} {needed(request)} needed {link}".strip(), segments=1)


def seen(name: str, *, signed: bool | None = False, **fields: Any) -> ApiSigner:
    """A signer with a mobile number only, as the API would show it."""
    mobile = PHONES.get(name, "")
    given = {"ids": (name,), "name": name.upper(), "mobile": mobile, "request_url": f"https://sign.test/{name}"}
    return ApiSigner(**{**given, "signed": signed, **fields})


def answer(*signers: ApiSigner, status: Status | None = Status.OPEN, **fields: Any) -> ApiRequest:
    return ApiRequest(id="r1", title="Lease", sender="ACME", status=status, signers=signers, **fields)


class World:
    def __init__(self, policy: Policy | None = None, *, channels: tuple[ChannelName, ...] = tuple(ChannelName)) -> None:
        self.now, self.policy, self.faults = START, policy or Policy(), Faults()
        self.ledger, self.bus = FakeLedger(self.faults), FakeBus(self.faults)
        self.scheduler, self.api = FakeScheduler(self.faults), FakeApi(self.faults)
        self.sms, self.email = FakeChannel("sms", self.faults), FakeChannel("email", self.faults)
        self.shortener, self.names = FakeShortener(self.faults), ResourceNames(remind_url="https://remind.test")
        providers = {c: p for c, p in ((ChannelName.SMS, self.sms), (ChannelName.EMAIL, self.email)) if c in channels}
        self.publisher = Publisher(self.ledger, self.bus, self.scheduler, self.names, self.policy, self.clock)
        self.resolve = Resolve(self.ledger, self.api, self.publisher, self.policy, self.clock, CALLS)
        self.fallback = Fallback(self.ledger, self.bus, self.names.notices_topic, self.clock, SUPPRESSION_DAYS)
        self.outcomes = Outcomes(self.bus, self.names, self.policy, self.clock)
        self.deliver = Deliver(
            self.ledger,
            self.api,
            providers,
            LinkService(self.shortener, self.policy.completion_link),
            render,
            self.fallback,
            self.outcomes,
            self.policy,
            self.clock,
            lambda: self.http_status,
        )
        self.http_status = 0
        self.remind = Remind(self.ledger, self.publisher, self.policy, self.clock)
        self.sites: list[str] = []
        ports = self.ledger, self.resolve.recheck, self.api, self.sites
        self.reconcile = Reconcile(*ports, self.policy, self.clock, CALLS, one_by_one)
        self.receive = Receive(ClickwrapWebhook(("secret",)), self.bus, self.names.events_topic, self.clock)
        self.links = Links(self.ledger, self.policy, self.clock)
        self.later: list[tuple[datetime, str, bytes]] = []  # nacked or parked messages
        self.dead: list[tuple[str, str]] = []

    def clock(self) -> datetime:
        return self.now

    # -- what happens

    def says(self, *signers: ApiSigner, status: Status | None = Status.OPEN, **fields: Any) -> None:
        self.api.truth["r1"] = answer(*signers, status=status, **fields)

    def event(self, kind: EventType, signer: str | None = None, key: str = "") -> Event:
        key = key or f"{kind}-{signer}"
        return Event(event=key, type=kind, request="r1", signer=signer, received_at=self.now)

    def hear(self, kind: EventType, signer: str | None = None, key: str = "") -> None:
        """An event arrives and everything that follows at once happens; a second later the next may come."""
        self.bus.pending.append((self.names.events_topic, msgspec.json.encode(self.event(kind, signer, key))))
        self.pump()
        self.now += timedelta(seconds=1)

    def pump(self) -> None:
        """Handles messages until there is none; one under way when the process dies stays in front."""
        while self.bus.pending:
            topic, data = self.bus.pending[0]
            self._handle(topic, data)
            self.bus.pending.remove((topic, data))

    def _handle(self, topic: str, data: bytes) -> None:
        try:
            if topic == self.names.events_topic:
                self.resolve.event(msgspec.json.decode(data, type=Event))
            elif topic == self.names.notices_topic:
                self.deliver.notice(msgspec.json.decode(data, type=Notice))
        except RetryLater as e:
            self.later.append((self.now + timedelta(seconds=max(e.after or 10.0, 1.0)), topic, data))
        except PermanentFailure as e:
            self.dead.append((topic, e.reason))

    def advance(self, span: timedelta, *, reconcile: bool = False) -> None:
        """Lets time pass: tasks fire, messages come again, and every 5 minutes reconcile runs if wanted."""
        end, tick = self.now + span, self.now + timedelta(minutes=5)
        while (following := min([*self._times(), *([tick] if reconcile else [])], default=end)) < end:
            self.now = max(self.now, following)
            if reconcile and self.now >= tick:
                tick = self.now + timedelta(minutes=5)
                self.reconcile.run()
            self._wake()
        self.now = end

    def _times(self) -> list[datetime]:
        return [at for at, _, _ in self.later] + [t.at for t in self.scheduler.tasks.values()]

    def _wake(self) -> None:
        awake = [m for m in self.later if m[0] <= self.now]
        self.later = [m for m in self.later if m[0] > self.now]
        self.bus.pending += [(topic, data) for _, topic, data in awake]
        self.pump()
        for task in [t for t in self.scheduler.tasks.values() if t.at <= self.now]:
            self.fire(task)

    def fire(self, task: Task) -> None:
        """A task is gone once it was answered."""
        self.remind.fire(msgspec.json.decode(task.body, type=Firing))
        self.scheduler.tasks.pop(task.name, None)
        self.pump()

    # -- what can be seen

    def request(self) -> Request:
        found: Request = self.ledger.documents[Request, "r1"][0]
        return found

    def events(self, about: str = "request") -> list[dict[str, Any]]:
        """What other systems have heard. about: "request" or "notice"."""
        told = (msgspec.json.decode(m.data) for m in self.bus.topics[self.names.status_topic])
        return [event for event in told if event["type"].startswith(f"clickwrap.{about}.")]

    def records(self) -> list[NoticeRecord]:
        return list(self.ledger.all(NoticeRecord).values())

    def notice(self, key: str) -> Notice:
        """The notice of a record."""
        return notice_of(key, self.ledger.all(NoticeRecord)[key])

    def signer(self, name: str) -> str:
        """The ledger's key of a signer."""
        return next(k for k, s in self.request().signers.items() if name in s.aliases)

    def sent(self) -> list[Outgoing]:
        return [*self.sms.sent, *self.email.sent]

    def told(self) -> list[tuple[str, str, int]]:
        """(kind, signer, step) of every message that left, sorted."""
        records, signers = self.ledger.all(NoticeRecord), self.request().signers
        left = [records[m.notice] for m in self.sent()]
        to_signers = [r for r in left if r.signer]
        return sorted((r.kind.value, signers[r.signer].aliases[0], r.reminder_day or r.about) for r in to_signers)

    def states(self, kind: str) -> list[NoticeState]:
        return [r.state for r in self.records() if r.kind == kind]
