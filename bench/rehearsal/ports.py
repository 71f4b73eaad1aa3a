"""The ports in memory, with the time that each call takes and the limits of the real service."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from msgspec.structs import replace

from bench.rehearsal.simulation import Simulation, seconds_of
from shared.adapters.clickwrap.client import Bucket
from shared.domain.errors import Accepted, RetryLater
from shared.domain.model import ApiRequest, NoticeRecord, Request
from shared.ports import Ledger, Mark, Message, NotFound, Only, Outgoing, Stored, Task

DATABASE, PUBLISH, CREATE_TASK = 0.015, 0.02, 0.02  # seconds a call takes
API, PROVIDER = 0.3, 0.2
TASKS_AT_ONCE = 32


class MemoryLedger(Ledger):
    """Documents by id, with the two indexes that the handlers use."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation, self._version = simulation, 0
        self._items: dict[tuple[type, str], tuple[Any, int]] = {}
        self._records: dict[str, list[str]] = defaultdict(list)
        self._due: list[tuple[datetime, str]] = []
        self._ready: dict[str, datetime] = {}  # what has become due, in this order

    def peek(self, kind: type[Any], key: str) -> Any:
        """The document as somebody outside sees it, at no cost; None for none."""
        return self._items.get((kind, key), (None,))[0]

    def get(self, kind: type[Any], key: str) -> Stored[Any] | None:
        self._simulation.spend(DATABASE, "reads")
        found = self._items.get((kind, key))
        return Stored(*found) if found else None

    def put(self, key: str, item: msgspec.Struct, version: object | None) -> object | None:
        self._simulation.spend(DATABASE, "writes")
        place = (type(item), key)
        if self._items.get(place, (None, None))[1] != version:
            return None
        self._version += 1
        self._items[place] = (item, self._version)
        if isinstance(item, Request):
            self._plan(key, item.next_at)
        elif isinstance(item, NoticeRecord) and version is None:
            self._records[item.request_id].append(key)
        return self._version

    def _plan(self, key: str, next_at: datetime | None) -> None:
        if self._ready.get(key) != next_at:
            self._ready.pop(key, None)
            if next_at:
                heapq.heappush(self._due, (next_at, key))

    def due(self, now: datetime, limit: int) -> Sequence[str]:
        while self._due and self._due[0][0] <= now:
            at, key = heapq.heappop(self._due)
            if self._items[Request, key][0].next_at == at:
                self._ready[key] = at
        return list(islice(self._ready, limit))

    def postpone(self, request: str, until: datetime) -> None:
        self._simulation.spend(DATABASE)
        item, version = self._items[Request, request]
        self._items[Request, request] = (replace(item, next_at=until), version)
        self._plan(request, until)

    def waiting(self, now: datetime) -> int:
        """How many requests are due for a recheck."""
        self.due(now, 0)
        return len(self._ready)

    def records(self, request: str, signer: str = "") -> dict[str, NoticeRecord]:
        found = {key: self._items[NoticeRecord, key][0] for key in self._records.get(request, ())}
        self._simulation.spend(DATABASE, "reads", max(1, len(found)))
        return {key: record for key, record in found.items() if signer in ("", record.signer)}

    def all(self, kind: type[Any]) -> Iterable[Any]:
        """Every document of a kind."""
        return (item for (of, _), (item, _) in self._items.items() if of is kind)

    def keys(self, kind: type[msgspec.Struct], request: str) -> Sequence[str]:
        raise NotImplementedError

    def delete(self, kind: type[msgspec.Struct], keys: Iterable[str]) -> None:
        raise NotImplementedError

    def newest(
        self, kind: type[Any], limit: int, *, only: Only | None = None, after: Mark | None = None
    ) -> Sequence[tuple[str, Any]]:
        raise NotImplementedError

    def beginning(self, kind: type[Any], prefix: str, limit: int) -> Sequence[tuple[str, Any]]:
        raise NotImplementedError

    def count(self, kind: type[Any], only: Only, *, most: int, since: datetime | None = None) -> int:
        raise NotImplementedError


class QueueBus:
    """Pub/Sub: hands each message to whoever subscribed to its topic."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.subscribers: dict[str, Callable[[Message], None]] = {}

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        self._simulation.spend(PUBLISH, "publishes", len(messages))
        for message in messages:
            if deliver := self.subscribers.get(topic):
                self._simulation.at(self._simulation.seconds(), lambda m=message: deliver(m))  # type: ignore[misc]


class PacedTasks:
    """Cloud Tasks. rates: tasks that a queue starts a second; `rate` is that of all others."""

    def __init__(
        self, simulation: Simulation, rates: dict[str, float], rate: float, call: Callable[[Task], None]
    ) -> None:
        self._simulation, self._rates, self._rate, self._call = simulation, rates, rate, call
        self._free_at: dict[str, float] = defaultdict(float)
        self._tasks: dict[str, Task] = {}
        self._names: set[str] = set()
        self.deferred: Counter[str] = Counter()  # messages that wait in the queues of retries, by queue

    def create(self, tasks: Iterable[Task]) -> None:
        fresh = [t for t in tasks if t.name not in self._names]
        self._simulation.spend(CREATE_TASK * -(-len(fresh) // TASKS_AT_ONCE), "tasks", 2 * len(fresh))  # and dispatched
        for task in fresh:
            self._names.add(task.name)
            self._tasks[task.name] = task
            self.deferred[task.queue] += task.queue not in self._rates
            self._simulation.at(seconds_of(task.at), lambda t=task: self._due(t))  # type: ignore[misc]

    def delete(self, queue: str, names: Iterable[str]) -> None:
        for name in names:
            self._simulation.spend(CREATE_TASK if self._taken(name) else 0)

    def _taken(self, name: str) -> Task | None:
        task = self._tasks.pop(name, None)
        if task:
            self.deferred[task.queue] -= task.queue not in self._rates
        return task

    def _due(self, task: Task) -> None:
        if task.name in self._tasks:
            turn = max(self._simulation.now, self._free_at[task.queue])
            self._free_at[task.queue] = turn + 1 / self._rates.get(task.queue, self._rate)
            self._simulation.at(turn, lambda: self._start(task))

    def _start(self, task: Task) -> None:
        if self._taken(task.name):
            self._call(task)


class LimitedApi:
    """Clickwrap's API behind the real token bucket of one instance; all instances share `calls`, by minute."""

    def __init__(
        self, simulation: Simulation, bucket: Bucket, truth: dict[str, ApiRequest], calls: dict[int, int]
    ) -> None:
        self._simulation, self._truth, self._calls, self._bucket = simulation, truth, calls, bucket

    def fetch(self, request: str, after: datetime | None = None) -> ApiRequest:
        self._bucket.take()
        self._calls[int(self._simulation.seconds() // 60)] += 1
        self._simulation.spend(API)
        if request not in self._truth:
            raise NotFound
        return self._truth[request]

    def listed(self, site: str, limit: int) -> Sequence[str]:
        return []


class PacedProvider:
    """A provider that takes `rate` messages a second and answers 429 above that."""

    def __init__(self, name: str, simulation: Simulation, rate: float, sent: Callable[[Outgoing], None]) -> None:
        self.name, self._simulation, self._rate, self._sent = name, simulation, rate, sent
        self._left, self._at = rate, 0.0

    def send(self, message: Outgoing) -> Accepted:
        self._simulation.spend(PROVIDER)
        now = self._simulation.seconds()
        self._left = min(max(1.0, self._rate), self._left + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        if self._left < 1:
            raise RetryLater("the provider answered 429", paced=True)
        self._left -= 1
        self._sent(message)
        return Accepted("id")
