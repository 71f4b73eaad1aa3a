"""The ports on one SQLite file and threads: what `make run` and `make demo` use when nothing is asked for.

WAL with synchronous=NORMAL: a commit survives the death of the process (kill -9), which is what is promised here; only
the machine's own power failure could take the last ones.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shared.adapters.collections import COLLECTIONS
from shared.domain.model import Record, Request
from shared.domain.outcomes import Retry
from shared.ports import Message, Stored, Task

T = TypeVar("T", bound=msgspec.Struct)

SCHEMA = """
create table if not exists documents (
  collection text not null, key text not null, version integer not null, body blob not null,
  next_at text, changed_at text, request_id text, primary key (collection, key)) without rowid;
create index if not exists documents_due on documents (collection, next_at) where next_at is not null;
create index if not exists documents_changed on documents (collection, changed_at) where changed_at is not null;
create index if not exists documents_request on documents (collection, request_id) where request_id is not null;
create table if not exists messages (
  id integer primary key autoincrement, subscription text not null, topic text not null, data blob not null,
  attributes text not null, published_at text not null, due real not null, attempts integer not null default 0);
create index if not exists messages_due on messages (subscription, due);
create table if not exists tasks (
  name text primary key, queue text not null, url text not null, body blob not null, due real not null,
  attempts integer not null default 0, gone integer not null default 0);
create index if not exists tasks_due on tasks (due) where gone = 0;
"""


class Database:
    """One connection and one lock: simple, and quicker than SQLite's own waiting."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.executescript("pragma journal_mode=wal; pragma synchronous=normal;" + SCHEMA)

    def run(self, sql: str, *values: Any) -> list[Any]:
        """Raises Retry, as a database in the cloud would have it."""
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as e:
                raise Retry(f"SQLite: {e}") from e

    def many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """All or none."""
        with self._lock:
            try:
                self._db.execute("begin immediate")
                self._db.executemany(sql, rows)
                self._db.execute("commit")
            except sqlite3.Error as e:
                self._db.execute("rollback")
                raise Retry(f"SQLite: {e}") from e

    def close(self) -> None:
        with self._lock:
            self._db.close()


class EmbeddedLedger:
    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, kind: type[T], key: str) -> Stored[T] | None:
        sql = "select body, version from documents where collection = ? and key = ?"
        rows = self._db.run(sql, COLLECTIONS[kind], key)
        return Stored(msgspec.json.decode(rows[0][0], type=kind), rows[0][1]) if rows else None

    def put(self, key: str, item: msgspec.Struct, version: object | None) -> object | None:
        where = (COLLECTIONS[type(item)], key)
        row = (msgspec.json.encode(item), *(_column(item, c) for c in ("next_at", "changed_at", "request_id")))
        if version is None:
            sql = "insert or ignore into documents values (?, ?, 1, ?, ?, ?, ?) returning version"
            rows = self._db.run(sql, *where, *row)
        else:
            sql = """update documents set body = ?, next_at = ?, changed_at = ?, request_id = ?, version = version + 1
                     where collection = ? and key = ? and version = ? returning version"""
            rows = self._db.run(sql, *row, *where, version)
        return rows[0][0] if rows else None

    def due(self, now: datetime, limit: int) -> Sequence[str]:
        sql = "select key from documents where collection = 'requests' and next_at <= ? order by next_at limit ?"
        return [key for (key,) in self._db.run(sql, _sortable(now), limit)]

    def records(self, request: str) -> dict[str, Record]:
        sql = "select key, body from documents where collection = 'notices' and request_id = ?"
        return {key: msgspec.json.decode(body, type=Record) for key, body in self._db.run(sql, request)}

    def recent(self, limit: int) -> Sequence[Request]:
        sql = """select body from documents where collection = 'requests' and changed_at is not null
                 order by changed_at desc limit ?"""
        return [msgspec.json.decode(body, type=Request) for (body,) in self._db.run(sql, limit)]


def _column(item: msgspec.Struct, name: str) -> str | None:
    value = getattr(item, name, None)
    return _sortable(value) if isinstance(value, datetime) else value


def _sortable(at: datetime) -> str:
    """All times here are UTC; with the microseconds always written they sort as text."""
    return at.isoformat(timespec="microseconds")


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A push subscription. attribute: only messages that carry this name and value. Times in seconds."""

    name: str
    topic: str
    endpoint: str
    attribute: tuple[str, str] | None = None
    ack_deadline: float = 60.0
    min_backoff: float = 10.0
    max_backoff: float = 600.0
    max_attempts: int = 100
    dead_letter_topic: str = ""

    def wants(self, topic: str, message: Message) -> bool:
        return topic == self.topic and (not self.attribute or self.attribute in message.attributes.items())


class EmbeddedBus:
    """A message is stored once for each subscription that wants it; for none, under its topic, where it is kept."""

    def __init__(
        self, db: Database, clock: Callable[[], datetime], subscriptions: Sequence[Subscription] = ()
    ) -> None:
        self._db, self._clock, self.subscriptions = db, clock, subscriptions
        self.wakers: list[threading.Event] = []  # of whoever pushes what is published here

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        now = self._clock()
        rows = [
            (name, topic, m.data, msgspec.json.encode(m.attributes).decode(), now.isoformat(), now.timestamp())
            for m in messages
            for name in self._takers(topic, m)
        ]
        sql = "insert into messages (subscription, topic, data, attributes, published_at, due) values (?, ?, ?, ?, ?, ?)"
        self._db.many(sql, rows)
        for waker in self.wakers:
            waker.set()

    def _takers(self, topic: str, message: Message) -> list[str]:
        return [s.name for s in self.subscriptions if s.wants(topic, message)] or [f"kept:{topic}"]

    def kept(self, topic: str) -> list[Message]:
        """What was published to a topic that nobody subscribes to: dead letters, status events."""
        sql = "select data, attributes from messages where subscription = ? order by id"
        rows = self._db.run(sql, f"kept:{topic}")
        return [Message(data, msgspec.json.decode(attributes, type=dict[str, str])) for data, attributes in rows]


class EmbeddedScheduler:
    def __init__(self, db: Database) -> None:
        self._db = db
        self.created = threading.Event()

    def create(self, tasks: Iterable[Task]) -> None:
        rows = [(t.name, t.queue, t.url, t.body, t.at.timestamp()) for t in tasks]
        self._db.many("insert or ignore into tasks (name, queue, url, body, due) values (?, ?, ?, ?, ?)", rows)
        self.created.set()

    def delete(self, queue: str, names: Iterable[str]) -> None:
        """The name stays taken, as in the cloud."""
        self._db.many("update tasks set gone = 1 where queue = ? and name = ?", [(queue, name) for name in names])
