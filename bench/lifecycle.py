"""Counts the operations of a request's two weeks: what it asks of Google and of Clickwrap.

`python -m bench.lifecycle 1 2 5` prints the counts for 1, 2 and 5 signers as JSON. The handlers are the deployed ones,
built by `bootstrap`; SQLite replaces Firestore, lists replace Pub/Sub and Cloud Tasks, and the clock is set forward.
"""

import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

SETTINGS = {
    "BACKEND": "embedded",
    "CLICKWRAP_WEBHOOK_TOKENS": "t",
    "CLICKWRAP_API_TOKEN": "t",
    "SMS_PROVIDER": "outbox",
    "LINKS_BASE_URL": "https://l.example",
    "ADDRESS_SECRET": "s",
    "LINKS_SECRET": "s",
    "REMIND_URL": "https://remind.example",
    "LOG_LEVEL": "ERROR",
}
if __name__ == "__main__":
    os.environ.update(SETTINGS)

from bench.stand_in import document  # noqa: E402
from bench.states import event  # noqa: E402
from local.emulation.embedded import Embedded  # noqa: E402
from local.emulation.http_push import Pace  # noqa: E402
from shared import bootstrap  # noqa: E402
from shared.adapters.clickwrap.fields import FIELDS  # noqa: E402
from shared.adapters.clickwrap.payload import read, unwrap  # noqa: E402
from shared.domain.errors import Accepted  # noqa: E402
from shared.domain.model import ApiRequest, Event, EventType, Link, Notice, RelayStatus, Request  # noqa: E402
from shared.handlers.remind import Firing  # noqa: E402
from shared.ports import Ledger, Message, Outgoing, Target, Task  # noqa: E402

OPENED_BEFORE = timedelta(minutes=5)  # that a signer opens their link and then signs
START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)  # a Monday morning in New York
PREFIXES: dict[type, str] = {
    Link: "link ",
    RelayStatus: "control ",
}  # counted separately: links, and what reconcile reads and writes once a run
Counts = dict[str, Counter[str]]


class Meter:
    """Counts operations by cause: an event, a kind of notice, a task, a recheck."""

    def __init__(self) -> None:
        self.counts: Counts = defaultdict(Counter)
        self.cause = ""

    def add(self, what: str, count: int = 1) -> None:
        self.counts[self.cause][what] += count

    def begin(self, cause: str) -> None:
        self.cause = cause
        self.add("times")


class CountedLedger:
    """Counts as Firestore bills: a read per document, at least one per query; a write also if the version was stale."""

    def __init__(self, ledger: Any, meter: Meter) -> None:
        self._ledger, self._meter = ledger, meter

    def get(self, kind: type[Any], key: str) -> Any:
        self._meter.add(f"{PREFIXES.get(kind, '')}reads")
        return self._ledger.get(kind, key)

    def put(self, key: str, item: msgspec.Struct, version: object | None) -> object | None:
        self._meter.add(f"{PREFIXES.get(type(item), '')}writes")
        written: object | None = self._ledger.put(key, item, version)
        return written

    update = Ledger.update

    def due(self, now: datetime, limit: int) -> Any:
        return self._listed(self._ledger.due(now, limit))

    def records(self, request: str, signer: str = "") -> Any:
        return self._listed(self._ledger.records(request, signer))

    def _listed(self, found: Any) -> Any:
        self._meter.add("listed", max(1, len(found)))
        return found


class CountedBus:
    def __init__(self, meter: Meter) -> None:
        self._meter, self.waiting = meter, list[Message]()

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        self._meter.add("statuses" if topic == "request-status" else "publishes", len(messages))
        self.waiting += messages if topic == "signer-notices" else []


class CountedScheduler:
    def __init__(self, meter: Meter) -> None:
        self._meter, self.tasks = meter, dict[str, Task]()

    def create(self, tasks: Iterable[Task]) -> None:
        for task in tasks:
            self._meter.add("tasks created")
            self.tasks.setdefault(task.name, task)

    def delete(self, queue: str, names: Iterable[str]) -> None:
        for name in names:
            self._meter.add("tasks deleted")
            self.tasks.pop(name, None)


class CountedApi:
    def __init__(self, meter: Meter) -> None:
        self._meter, self.signed = meter, 0

    def fetch(self, request: str, after: datetime | None = None) -> ApiRequest:
        self._meter.add("API calls")
        signers = int(request.removeprefix("lifecycle-"))
        return msgspec.structs.replace(read(unwrap(document(request, signers, self.signed)), FIELDS), id=request)


class CountedChannel:
    name = "counted"

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def send(self, message: Outgoing) -> Accepted:
        self._meter.add("sends")
        return Accepted("1")


class Ports:
    """The backend that `bootstrap` uses, with counted ports."""

    def __init__(self, directory: Path) -> None:
        self.now, self.meter = START, Meter()
        self._embedded = Embedded(directory / "lifecycle.db", self.clock, Pace(1, 1))
        self.documents = self._embedded.ledger
        self._bus, self._scheduler = CountedBus(self.meter), CountedScheduler(self.meter)
        self.api = CountedApi(self.meter)

    def clock(self) -> datetime:
        return self.now

    def bus(self) -> CountedBus:
        return self._bus

    def ledger(self) -> CountedLedger:
        return CountedLedger(self.documents, self.meter)

    def scheduler(self) -> CountedScheduler:
        return self._scheduler

    def outbox(self, channel: str) -> CountedChannel:
        return CountedChannel(self.meter)


class Lifecycle:
    """One request. Its signers sign one after the other, the last just after the third reminder; ends a day later."""

    def __init__(self, ports: Ports, signers: int) -> None:
        self._ports, self._key, self._signers = ports, f"lifecycle-{signers}", signers
        self._ports.now, self._ports.api.signed = START, 0
        self._ports.meter.counts.clear()

    def run(self) -> Counts:
        self._receive(EventType.SENT)
        for n in range(1, self._signers + 1):
            self._until(START + timedelta(days=15 * n / self._signers) - OPENED_BEFORE)
            self._open(f"s{n}")
            self._until(self._ports.now + OPENED_BEFORE)
            self._ports.api.signed = n
            self._receive(EventType.SIGNED, f"s{n}")
        self._receive(EventType.COMPLETE)
        self._until(self._ports.now + timedelta(days=1))
        return self._ports.meter.counts

    def _open(self, signer: str) -> None:
        stored = self._ports.documents.get(Request, self._key)
        assert stored
        key = next(key for key, s in stored.item.signers.items() if signer in s.aliases)
        self._ports.meter.begin("opened link")
        target = Target(request=self._key, signer=key, round=1, url="")
        bootstrap.links().follow(bootstrap.shortener().shorten(target).rpartition("/")[2])

    def _receive(self, kind: EventType, signer: str | None = None) -> None:
        received: Event = event(self._key, kind, self._ports.now, signer)
        self._ports.meter.begin("event")
        bootstrap.resolve().event(received)
        self._deliver()
        self._ports.now += timedelta(seconds=1)

    def _deliver(self) -> None:
        waiting = self._ports.bus().waiting
        while waiting:
            notice = msgspec.json.decode(waiting.pop(0).data, type=Notice)
            self._ports.meter.begin(notice.kind.value)
            bootstrap.deliver().notice(notice)

    def _until(self, end: datetime) -> None:
        """Call the tasks and reconcile, each when it is due, up to `end`."""
        while (at := self._next()) and at < end:
            self._ports.now = max(self._ports.now, at)
            if not self._fire():
                self._ports.meter.begin("recheck")
                bootstrap.reconcile().run()
            self._deliver()
        self._ports.now = end

    def _next(self) -> datetime | None:
        stored = self._ports.documents.get(Request, self._key)
        recheck = [stored.item.next_at] if stored and stored.item.next_at else []
        return min([*recheck, *(t.at for t in self._ports.scheduler().tasks.values())], default=None)

    def _fire(self) -> bool:
        tasks = self._ports.scheduler().tasks
        due = next((t for t in tasks.values() if t.at <= self._ports.now), None)
        if due is not None:
            self._ports.meter.begin("firing")
            bootstrap.remind().fire(msgspec.json.decode(due.body, type=Firing))
            del tasks[due.name]
        return due is not None


def main(signers: list[int]) -> dict[int, Counts]:
    with tempfile.TemporaryDirectory() as directory:
        ports = Ports(Path(directory))
        bootstrap.use(ports)  # type: ignore[arg-type]
        bootstrap.set_time(ports.clock)
        bootstrap.clickwrap_api = lambda: ports.api  # type: ignore[assignment]
        return {n: dict(Lifecycle(ports, n).run()) for n in signers}


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(main([int(n) for n in sys.argv[1:]])) + b"\n")
    sys.stdout.flush()
    os._exit(0)
