"""The ports in memory. Every call is a place where something may go wrong, before its effect or after it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.adapters.collections import CHANGED, COLLECTIONS
from shared.domain.dead_letters import DeadLetter
from shared.domain.errors import Accepted, CannotSay, OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.kinds import KINDS
from shared.domain.model import ApiRequest, ApiSigner, Notice, NoticeRecord, Request, Status
from shared.ports import Ledger, Mark, Message, NotFound, Only, Outgoing, Sought, Stored, Task, Wording
from tests.fakes import fits
from tests.simulation.kernel import Crash, Kernel

LOST = "the answer was lost"
REFUSED = "cannot be reached"
LONG = 60.0  # seconds
STRANGERS = {"another number": "+13175550400", "another e-mail": "stranger@x.org"}  # shown of a signer by mistake
ERRS_FOR, RIGHT_AFTER = timedelta(seconds=240), timedelta(hours=1)


class Calls:
    """What every call of a port goes through."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.faults: list[tuple[datetime, str, str]] = []  # when, at which call, what

    def __call__(self, name: str, effect: Callable[[], Any], lost: type[Exception] = RetryLater) -> Any:
        """Raises what a fault of this kind raises; `lost` where the effect took place and its answer is lost."""
        kernel = self.kernel
        task = kernel.current
        if task is None:
            return effect()
        task.calls += 1
        decision = kernel.decide(task, name)
        if kernel.trace is not None:
            kernel.note(f"{task.calls}. {name}", *(decision or ()))
        if decision is None:
            return effect()
        return self._disturbed(name, effect, lost, decision)

    def _disturbed(self, name: str, effect: Callable[[], Any], lost: type[Exception], decision: tuple[Any, ...]) -> Any:
        task, what = self.kernel.current, decision[0]
        assert task is not None
        if what == "slow":
            task.disturbed = task.disturbed or decision[1] > LONG
            self.kernel.suspend(decision[1])
            return effect()
        task.disturbed = True
        task.cut = task.cut or what != "late"
        if what == "refused":
            raise RetryLater(REFUSED, *decision[1:])
        if what == "crash before":
            raise Crash
        done = effect()
        if what == "late":
            self.kernel.suspend(decision[1])
            return done
        if what == "crash after":
            raise Crash
        if what == "lost":
            raise lost(LOST)
        return done


class SimLedger(Ledger):
    def __init__(self, calls: Calls, purged: Callable[[str, Any], None]) -> None:
        self._calls, self._purged = calls, purged
        self.documents: dict[tuple[type, str], tuple[Any, int]] = {}
        self.unreadable: set[str] = set()  # requests whose document cannot be decoded at the moment
        self.on_request: Callable[[Request], None] = lambda request: None
        self.down = False
        self._version = 0

    def _call(self, name: str, effect: Callable[[], Any]) -> Any:
        def reached() -> Any:
            if self.down:
                if task := self._calls.kernel.current:
                    task.disturbed = task.cut = True
                raise RetryLater("the database cannot be reached")
            return effect()

        return self._calls(f"ledger.{name}", reached)

    def get(self, kind: type[Any], key: str) -> Stored[Any] | None:
        return self._call(f"get {COLLECTIONS[kind]}", lambda: self._get(kind, key))

    def _get(self, kind: type[Any], key: str) -> Stored[Any] | None:
        found = self.documents.get((kind, key))
        if found and key in self.unreadable:
            raise PermanentFailure("a document in requests cannot be read by this version")
        return Stored(*found) if found else None

    def put(self, key: str, item: msgspec.Struct, version: object | None) -> object | None:
        name = f"put {COLLECTIONS[type(item)]}"
        if isinstance(item, NoticeRecord):
            name += f" {item.state.value}"
        return self._call(name, lambda: self._put((type(item), key), item, version))

    def _put(self, place: tuple[type, str], item: msgspec.Struct, version: object | None) -> object | None:
        _, standing = self.documents.get(place, (None, None))
        if standing != version:
            return None
        self._version += 1
        self.documents[place] = (item, self._version)
        if isinstance(item, Request):
            self.on_request(item)
            if self._calls.kernel.current is not None:
                self._calls.kernel.current.stored = len(self._calls.kernel.current.told)
        return self._version

    def all(self, kind: type[Any]) -> dict[str, Any]:
        return {key: item for (k, key), (item, _) in self.documents.items() if k is kind}

    def due(self, now: datetime, limit: int) -> Sequence[str]:
        return self._call("due", lambda: self.due_now(now)[:limit])

    def due_now(self, now: datetime) -> list[str]:
        due = [(r.next_at, key) for key, r in self.all(Request).items() if r.next_at and r.next_at <= now]
        return [key for _, key in sorted(due)]

    def postpone(self, request: str, until: datetime) -> None:
        self._call("postpone", lambda: self._postpone((Request, request), until))

    def _postpone(self, place: tuple[type, str], until: datetime) -> None:
        self._version += 1
        self.documents[place] = (replace(self.documents[place][0], next_at=until), self._version)
        self.on_request(self.documents[place][0])

    def records(self, request: str, signer: str = "") -> dict[str, NoticeRecord]:
        return self._call("records", lambda: self._records(request, signer))

    def _records(self, request: str, signer: str) -> dict[str, NoticeRecord]:
        found = {key: r for key, r in self.all(NoticeRecord).items() if r.request_id == request}
        return {key: r for key, r in found.items() if signer in ("", r.signer)}

    def newest(
        self, kind: type[Any], limit: int, *, only: Only | None = None, after: Mark | None = None
    ) -> Sequence[tuple[str, Any]]:
        field = CHANGED[kind]
        found = [(getattr(d, field), k, d) for k, d in self.all(kind).items() if getattr(d, field) and fits(d, only)]
        listed = sorted((f for f in found if after is None or f[:2] < after), key=lambda f: f[:2], reverse=True)
        return [(key, document) for _, key, document in listed[:limit]]

    def beginning(self, kind: type[Any], prefix: str, limit: int) -> Sequence[tuple[str, Any]]:
        return sorted((key, d) for key, d in self.all(kind).items() if key.startswith(prefix))[:limit]

    def count(self, kind: type[Any], only: Only, *, most: int, since: datetime | None = None) -> int:
        found = self.newest(kind, 1_000_000, only=only)
        return min(most, sum(since is None or getattr(d, CHANGED[kind]) >= since for _, d in found))

    def purge(self, now: datetime) -> None:
        """What the database's TTL policy deletes."""
        for place, (item, _) in list(self.documents.items()):
            if getattr(item, "purge_at", None) and item.purge_at <= now:
                del self.documents[place]
                self._purged(place[1], item)


class SimBus:
    def __init__(self, calls: Calls, deliver: Callable[[str, Message], None]) -> None:
        self._calls, self._deliver = calls, deliver
        self.down = False

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        self._calls(f"bus.publish {topic}", lambda: self._publish(topic, messages))

    def _publish(self, topic: str, messages: Sequence[Message]) -> None:
        if self.down:
            raise RetryLater("Pub/Sub cannot be reached")
        for message in messages:
            self._deliver(topic, message)


class SimScheduler:
    def __init__(self, calls: Calls, schedule: Callable[[Task], None]) -> None:
        self._calls, self._schedule = calls, schedule
        self.tasks: dict[str, Task] = {}
        self.names: set[str] = set()

    def create(self, tasks: Iterable[Task]) -> None:
        self._calls("tasks.create", lambda: self._create(list(tasks)))

    def _create(self, tasks: list[Task]) -> None:
        for task in tasks:
            if task.name not in self.names:
                self.names.add(task.name)
                self.tasks[task.name] = task
                self._schedule(task)

    def delete(self, queue: str, names: Iterable[str]) -> None:
        self._calls("tasks.delete", lambda: [self.tasks.pop(name, None) for name in names])


class SimApi:
    """versions: all that has been so, the last is so now. silent: it shows neither status nor signatures."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.versions: list[tuple[datetime, ApiRequest]] = []
        self.outage: RetryLater | None = None
        self.asked: list[tuple[datetime, str]] = []  # when, and for which notice, "" for none
        self.mistaken: list[tuple[datetime, str, str]] = []  # when it showed of whom another's address
        self._wrong_since: datetime | None = None
        self._right_since: list[tuple[Any, int]] = []  # whom it has told the truth since then, in which of its answers
        self.silent = False

    def fetch(self, request: str, after: datetime | None = None) -> ApiRequest:
        task = self._calls.kernel.current
        answer, index, honest = self._calls("api.fetch", self._answer, RetryLater)
        if task is not None:
            task.told.append((self._calls.kernel.now, index, honest))
        if answer is None:
            raise NotFound
        return answer

    def _answer(self) -> tuple[ApiRequest | None, int, bool]:
        """The answer, the version of the facts that it shows, and whether it shows them whole."""
        kernel = self._calls.kernel
        self.asked.append((kernel.now, kernel.current.notice if kernel.current else ""))
        if self.outage is not None:
            raise self.outage
        newest = len(self.versions) - 1
        wrong = kernel.decide(kernel.current, "answer")  # type: ignore[arg-type]
        if wrong is None or not self._may_err() or (self.silent and wrong[0] in ("status", "unsigned")):
            if kernel.current is not None:
                self._right_since.append((kernel.current, len(kernel.current.told)))
            return (self.versions[newest][1] if self.versions else None), newest, True
        kernel.note("answer", *wrong)
        if wrong[0] == "stale":
            index = sum(at <= kernel.now - timedelta(seconds=wrong[1]) for at, _ in self.versions) - 1
            return (self.versions[index][1] if index >= 0 else None), index, True
        told = -1 if wrong[0] in ("404", "empty") else newest
        return self._wrong(wrong, newest), told, False

    def _may_err(self) -> bool:
        """Answers do not go on being wrong: what two of them say, five minutes apart, may be believed."""
        now = self._calls.kernel.now
        known = any(task.stored > place for task, place in self._right_since)
        if self._wrong_since is None or (known and now - self._wrong_since > RIGHT_AFTER):
            self._wrong_since, self._right_since = now, []
        return now - self._wrong_since < ERRS_FOR

    def _wrong(self, wrong: tuple[Any, ...], index: int) -> ApiRequest | None:
        if wrong[0] == "404" or not self.versions:
            return None
        answer = self.versions[index][1]
        if wrong[0] == "unsigned":
            return replace(answer, status=Status.OPEN, signers=tuple(replace(s, signed=False) for s in answer.signers))
        if wrong[0] == "status":
            return replace(answer, status=Status(wrong[1]))
        if wrong[0] == "empty":
            return replace(answer, signers=())
        chosen = wrong[1] % len(answer.signers)
        if wrong[0] == "without a signer":
            return replace(answer, signers=(*answer.signers[:chosen], *answer.signers[chosen + 1 :]))
        changed = self._readdressed(answer.signers[chosen], wrong[0])
        return replace(answer, signers=(*answer.signers[:chosen], changed, *answer.signers[chosen + 1 :]))

    def _readdressed(self, signer: ApiSigner, wrong: str) -> ApiSigner:
        """Without a number, without any address, or with another's in place of one that they have."""
        if wrong not in STRANGERS:
            return replace(signer, mobile="", **({"email": ""} if wrong == "without addresses" else {}))
        field = "mobile" if wrong == "another number" else "email"
        if not getattr(signer, field):
            return signer
        self.mistaken.append((self._calls.kernel.now, signer.name, STRANGERS[wrong]))
        return replace(signer, **{field: STRANGERS[wrong]})

    def listed(self, site: str, limit: int) -> Sequence[str]:
        raise PermanentFailure("no list")


class SimChannel:
    """A provider. taken: called with each message at the moment it is taken."""

    def __init__(self, name: str, calls: Calls, taken: Callable[[str, Outgoing], str]) -> None:
        self.name = name
        self._calls, self._taken = calls, taken
        self.outage: Exception | None = None
        self.refused: set[str] = set()  # addresses
        self._in_outage = 0  # calls so far: every other one is taken, though its answer is lost

    def send(self, message: Outgoing) -> Accepted:
        return Accepted(self._calls(f"{self.name}.send", lambda: self._send(message), OutcomeUnknown))

    def _send(self, message: Outgoing) -> str:
        kernel = self._calls.kernel
        if self.outage is not None:
            self._in_outage += 1
            task = kernel.current
            assert task is not None
            task.disturbed, task.cut = True, isinstance(self.outage, OutcomeUnknown)
            if task.cut and self._in_outage % 2:
                self._taken(self.name, message)
            raise self.outage
        refusal = kernel.decide(kernel.current, "refusal")  # type: ignore[arg-type]
        if refusal is not None:
            kernel.note("refusal", *refusal)
            assert kernel.current is not None
            kernel.current.disturbed = True
            kernel.current.cut = kernel.current.cut or refusal[0] == "not taken"
            if refusal[0] == "permanent":
                self.refused.add(message.to)
            raise _refusal(refusal)
        return self._taken(self.name, message)


class SimFinder(SimChannel):
    """One that can be asked. It lists a message up to `lag` after taking it, and once at most leaves it out later."""

    lag = 60.0

    def __init__(self, name: str, calls: Calls, taken: Callable[[str, Outgoing], str]) -> None:
        super().__init__(name, calls, self._listing)
        self._book = taken
        self._listed: dict[str, list[tuple[datetime, str]]] = {}  # by notice: from when on, and its id
        self._left_out: set[str] = set()
        self.could_not_say: set[str] = set()  # notices

    def _listing(self, name: str, message: Outgoing) -> str:
        kernel, key = self._calls.kernel, self._book(name, message)
        late = kernel.decide(kernel.current, "listing")  # type: ignore[arg-type]
        at = kernel.now + timedelta(seconds=late[1] if late else 0.0)
        self._listed.setdefault(message.notice, []).append((at, key))
        return key

    def find(self, sought: Sought) -> Accepted | None:
        return self._calls(f"{self.name}.find", lambda: self._found(sought.notice))

    def _found(self, notice: str) -> Accepted | None:
        kernel = self._calls.kernel
        if self.outage is not None:
            raise RetryLater("cannot be asked")
        wrong = kernel.decide(kernel.current, "finding")  # type: ignore[arg-type]
        if wrong and wrong[0] == "cannot say":
            self.could_not_say.add(notice)
            raise CannotSay("too many to look through")
        if wrong and wrong[0] == "busy":
            raise RetryLater("busy", after=wrong[1])
        listed = [key for at, key in self._listed.get(notice, ()) if at <= kernel.now]
        if listed and wrong and notice not in self._left_out:
            self._left_out.add(notice)
            return None
        return Accepted(listed[-1]) if listed else None


def _refusal(refusal: tuple[Any, ...]) -> Exception:
    if refusal[0] == "permanent":
        return PermanentFailure("refused for good", suppress=refusal[1])
    if refusal[0] == "not taken":
        return OutcomeUnknown("the answer was lost, and the message too")
    return RetryLater("not now", after=refusal[1], of_message=refusal[2])


class SimDeadLetters:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.letters: dict[str, list[DeadLetter]] = {}

    @contextmanager
    def open(self, topic: str, limit: int) -> Iterator[Sequence[DeadLetter]]:
        yield self._calls("letters.open", lambda: list(self.letters.get(topic, []))[:limit])

    def drop(self, letters: Sequence[DeadLetter]) -> None:
        self._calls("letters.drop", lambda: self._drop({letter.key for letter in letters}))

    def _drop(self, keys: set[str]) -> None:
        for topic, held in self.letters.items():
            self.letters[topic] = [letter for letter in held if letter.key not in keys]


def words(request: Request, notice: Notice, link: str, *_: object, **__: object) -> Wording:
    """What the oracle reads in the provider's book: kind, day, round, name, link; "" of a mail to the sender."""
    if KINDS[notice.kind].to_sender:
        return Wording(text="")
    name = request.signers[notice.signer].name
    about = next((s.name for s in request.signers.values() if s.number == notice.about), "")
    text = f"{notice.kind.value}|{notice.reminder_day}|{about}|{notice.round}|{name}|{link}"
    return Wording(text=text, segments=1)
