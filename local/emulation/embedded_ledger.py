"""The Ledger on SQLite: one table of JSON documents, with columns for the queries."""

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TypeVar

import msgspec

from local.emulation.database import Database
from shared.adapters.collections import CHANGED, COLLECTIONS, NARROWED, readable, reading
from shared.domain.errors import RetryLater
from shared.domain.model import NoticeRecord, Request
from shared.ports import Ledger, Mark, Only, Stored

T = TypeVar("T", bound=msgspec.Struct)

SCHEMA = """
create table if not exists documents (
    collection text not null, key text not null, json blob not null, version integer not null,
    next_at real, request_id text, purge_at real, primary key (collection, key));
create index if not exists documents_due on documents (collection, next_at) where next_at is not null;
create index if not exists documents_of on documents (collection, request_id) where request_id is not null;
create index if not exists documents_old on documents (purge_at) where purge_at is not null;
create table if not exists listed (
    collection text not null, label text not null, at real not null, key text not null,
    primary key (collection, label, at, key)) without rowid;
create index if not exists listed_of on listed (collection, key);
create trigger if not exists unlisted after delete on documents begin
    delete from listed where collection = old.collection and key = old.key;
end;
"""
NEWEST = (
    "select d.key, d.json from listed l join documents d on d.collection = l.collection and d.key = l.key "
    "where l.collection = ? and l.label = ? and (l.at, l.key) < (?, ?) order by l.at desc, l.key desc limit ?"
)
COUNT = "select key from listed where collection = ? and label = ? and at >= ? limit ?"
END = (float("inf"), "")  # after every document


class EmbeddedLedger(Ledger):
    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, kind: type[T], key: str) -> Stored[T] | None:
        query = "select json, version from documents where collection = ? and key = ?"
        with port_transaction(self._database) as db:
            row = db.execute(query, (COLLECTIONS[kind], key)).fetchone()
        return Stored(_load(row[0], kind), row[1]) if row else None

    def put(self, key: str, item: msgspec.Struct, version: object | None) -> object | None:
        fresh = secrets.randbits(62)  # random: a counter starts again after a deletion, and an old version would match
        with port_transaction(self._database) as db:
            written = _create(db, key, item, fresh) if version is None else _replace(db, key, item, version, fresh)
            if written and type(item) in CHANGED:
                _list(db, key, item)
        return fresh if written else None

    def due(self, now: datetime, limit: int) -> Sequence[str]:
        query = "select key from documents where collection = ? and next_at <= ? order by next_at limit ?"
        with port_transaction(self._database) as db:
            return [key for (key,) in db.execute(query, (COLLECTIONS[Request], now.timestamp(), limit))]

    def postpone(self, request: str, until: datetime) -> None:
        query = "update documents set next_at = ? where collection = ? and key = ?"
        with port_transaction(self._database) as db:
            db.execute(query, (until.timestamp(), COLLECTIONS[Request], request))

    def records(self, request: str, signer: str = "") -> dict[str, NoticeRecord]:
        query = "select key, json from documents where collection = ? and request_id = ?"
        with port_transaction(self._database) as db:
            rows = db.execute(query, (COLLECTIONS[NoticeRecord], request)).fetchall()
        found = {key: _load(json, NoticeRecord) for key, json in rows}
        return {key: record for key, record in found.items() if signer in ("", record.signer)}

    def keys(self, kind: type[msgspec.Struct], request: str) -> Sequence[str]:
        query = "select key from documents where collection = ? and request_id = ?"
        with port_transaction(self._database) as db:
            return [key for (key,) in db.execute(query, (COLLECTIONS[kind], request))]

    def delete(self, kind: type[msgspec.Struct], keys: Iterable[str]) -> None:
        with port_transaction(self._database) as db:
            rows = [(COLLECTIONS[kind], key) for key in keys]
            db.executemany("delete from documents where collection = ? and key = ?", rows)

    def newest(
        self, kind: type[T], limit: int, *, only: Only | None = None, after: Mark | None = None
    ) -> Sequence[tuple[str, T]]:
        last = (after[0].timestamp(), after[1]) if after else END
        with port_transaction(self._database) as db:
            rows = db.execute(NEWEST, (COLLECTIONS[kind], _label(only), *last, limit)).fetchall()
        return readable([(key, partial(_load, json, kind)) for key, json in rows])

    def beginning(self, kind: type[T], prefix: str, limit: int) -> Sequence[tuple[str, T]]:
        query = "select key, json from documents where collection = ? and key >= ? and key < ? order by key limit ?"
        with port_transaction(self._database) as db:
            rows = db.execute(query, (COLLECTIONS[kind], prefix, f"{prefix}~", limit)).fetchall()
        return readable([(key, partial(_load, json, kind)) for key, json in rows])

    def count(self, kind: type[msgspec.Struct], only: Only, *, most: int, since: datetime | None = None) -> int:
        least = since.timestamp() if since else 0.0
        with port_transaction(self._database) as db:
            return len(db.execute(COUNT, (COLLECTIONS[kind], _label(only), least, most)).fetchall())

    def purge(self, now: datetime) -> int:
        """Delete the documents whose `purge_at` has passed, like Firestore's TTL policy. Returns how many."""
        with port_transaction(self._database) as db:
            return db.execute("delete from documents where purge_at <= ?", (now.timestamp(),)).rowcount


def _load(json: bytes, kind: type[T]) -> T:
    with reading(kind):
        return msgspec.json.decode(json, type=kind)


@contextmanager
def port_transaction(database: Database) -> Iterator[sqlite3.Connection]:
    """A transaction with the error of the ports. Raises RetryLater if the file cannot be written."""
    try:
        with database.transaction() as db:
            yield db
    except sqlite3.Error as error:
        raise RetryLater(f"SQLite: {error}") from error


def _create(db: sqlite3.Connection, key: str, item: msgspec.Struct, fresh: int) -> bool:
    row = (COLLECTIONS[type(item)], key, *_columns(item), fresh)
    columns = "(collection, key, json, next_at, request_id, purge_at, version)"
    query = f"insert into documents {columns} values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing"
    return db.execute(query, row).rowcount == 1


def _replace(db: sqlite3.Connection, key: str, item: msgspec.Struct, version: object, fresh: int) -> bool:
    query = (
        "update documents set json = ?, next_at = ?, request_id = ?, purge_at = ?, version = ? "
        "where collection = ? and key = ? and version = ?"
    )
    row = (*_columns(item), fresh, COLLECTIONS[type(item)], key, version)
    return db.execute(query, row).rowcount == 1


def _columns(item: msgspec.Struct) -> tuple[object, ...]:
    def seconds(name: str) -> float | None:
        at: datetime | None = getattr(item, name, None)
        return at.timestamp() if at else None

    request_id = getattr(item, "request_id", None)
    return msgspec.json.encode(item), seconds("next_at"), request_id, seconds("purge_at")


def _list(db: sqlite3.Connection, key: str, item: msgspec.Struct) -> None:
    """Update the rows that replace Firestore's indexes: one for each list that contains the document."""
    place = (COLLECTIONS[type(item)], key)
    at: datetime | None = getattr(item, CHANGED[type(item)])
    wanted = {(label, at.timestamp()) for label in _labels(item)} if at else set()
    if wanted != set(db.execute("select label, at from listed where collection = ? and key = ?", place)):
        db.execute("delete from listed where collection = ? and key = ?", place)
        rows = [(place[0], label, seconds, key) for label, seconds in wanted]
        db.executemany("insert into listed values (?, ?, ?, ?)", rows)


def _labels(item: msgspec.Struct) -> Iterator[str]:
    yield _label(None)
    for field in NARROWED.get(type(item), ()):
        value = getattr(item, field)
        yield from (_label((field, v)) for v in ([value] if isinstance(value, str) else value))


def _label(only: Only | None) -> str:
    return "=".join(only) if only else ""
