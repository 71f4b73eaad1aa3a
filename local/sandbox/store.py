"""The sandbox's SQLite file: requests, webhooks and settings. A change and its webhooks are one transaction."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from local.emulation.database import Database
from local.sandbox.model import SignatureRequest
from local.sandbox.settings import Fault, Settings

SCHEMA = """
create table if not exists requests (
    number integer primary key, id text unique not null, expires_at real, body blob not null);
create index if not exists requests_expiring on requests (expires_at) where expires_at is not null;
create table if not exists tokens (token text primary key, request text not null);
create table if not exists webhooks (
    number integer primary key, id text unique not null, request text not null, type text not null,
    body blob not null, fired_at real not null, next_at real, delivered integer not null default 0);
create index if not exists webhooks_waiting on webhooks (next_at) where next_at is not null;
create index if not exists webhooks_of on webhooks (request);
create table if not exists attempts (webhook text not null, at real not null, outcome text not null);
create index if not exists attempts_of on attempts (webhook);
create table if not exists settings (one integer primary key check (one = 1), body blob not null);
"""
WEBHOOK = "id, request, type, body, fired_at"


class NoSuchRequest(LookupError):
    """No request has this id, or no signer this token."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An event to deliver. `id` and `body` are the same in all attempts. due_at: of the first; None for at once."""

    id: str
    request: str
    type: str
    body: bytes
    fired_at: datetime
    due_at: datetime | None = None


class Attempt(msgspec.Struct, frozen=True):
    at: datetime
    outcome: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook and its attempts. Without `next_at` and not delivered, it was given up."""

    webhook: Webhook
    attempts: tuple[Attempt, ...]
    next_at: datetime | None
    delivered: bool

    @property
    def state(self) -> str:
        if self.delivered:
            return "delivered"
        return "given up" if self.next_at is None else "waiting"


class Store:
    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA)

    def close(self) -> None:
        self._database.close()

    # -- requests

    def add(self, request: SignatureRequest, webhooks: Sequence[Webhook]) -> None:
        with self._database.transaction() as db:
            row = (request.id, _expiry(request), msgspec.json.encode(request))
            db.execute("insert into requests (id, expires_at, body) values (?, ?, ?)", row)
            db.executemany("insert into tokens values (?, ?)", [(s.token, request.id) for s in request.signers])
            _fire(db, webhooks)

    def change(
        self, key: str, rule: Callable[[SignatureRequest], tuple[SignatureRequest, Sequence[Webhook]]]
    ) -> SignatureRequest:
        """Apply `rule` to the stored request. Raises NoSuchRequest, and what `rule` raises; then nothing changes."""
        with self._database.transaction() as db:
            request, webhooks = rule(_get(db, key))
            row = (_expiry(request), msgspec.json.encode(request), key)
            db.execute("update requests set expires_at = ?, body = ? where id = ?", row)
            _fire(db, webhooks)
        return request

    def get(self, key: str) -> SignatureRequest:
        """Raises NoSuchRequest."""
        with self._database.transaction() as db:
            return _get(db, key)

    def request_of(self, token: str) -> str:
        """The id of the request this signing token belongs to. Raises NoSuchRequest."""
        with self._database.transaction() as db:
            row = db.execute("select request from tokens where token = ?", (token,)).fetchone()
        if row is None:
            raise NoSuchRequest("no signer has this link")
        return str(row[0])

    def page(self, offset: int, limit: int) -> tuple[list[SignatureRequest], int]:
        """Requests, the newest first, and the total number."""
        with self._database.transaction() as db:
            rows = db.execute("select body from requests order by number desc limit ? offset ?", (limit, offset))
            requests = [msgspec.json.decode(row[0], type=SignatureRequest) for row in rows]
            return requests, db.execute("select count(*) from requests").fetchone()[0]

    def overdue(self, now: datetime) -> list[str]:
        """Ids of the requests whose expiry time has passed and that are not over yet."""
        with self._database.transaction() as db:
            rows = db.execute("select id from requests where expires_at <= ?", (now.timestamp(),))
            return [row[0] for row in rows]

    # -- webhooks

    def waiting(self, now: datetime, limit: int = 100) -> list[Webhook]:
        """Webhooks whose next attempt is due; the longest waiting come first."""
        query = f"select {WEBHOOK} from webhooks where next_at <= ? order by next_at, number limit ?"
        with self._database.transaction() as db:
            return [_webhook(row) for row in db.execute(query, (now.timestamp(), limit))]

    def attempted(self, webhook: str, attempt: Attempt, next_at: datetime | None, *, delivered: bool) -> None:
        with self._database.transaction() as db:
            db.execute("insert into attempts values (?, ?, ?)", (webhook, attempt.at.timestamp(), attempt.outcome))
            row = (next_at.timestamp() if next_at else None, delivered, webhook)
            db.execute("update webhooks set next_at = ?, delivered = ? where id = ?", row)

    def tries(self, webhook: str) -> int:
        with self._database.transaction() as db:
            row = db.execute("select count(*) from attempts where webhook = ?", (webhook,)).fetchone()
            return int(row[0])

    def deliveries(self, request: str) -> list[Delivery]:
        """The webhooks of one request, the newest first."""
        query = f"select {WEBHOOK}, next_at, delivered from webhooks where request = ? order by number desc"
        with self._database.transaction() as db:
            return [_delivery(db, row) for row in db.execute(query, (request,)).fetchall()]

    # -- settings

    def settings(self) -> Settings:
        with self._database.transaction() as db:
            return _settings(db)

    def set(self, changes: object) -> Settings:
        """Change some settings. Raises Invalid, and then nothing changes."""
        with self._database.transaction() as db:
            return _save(db, _settings(db).updated(changes))

    def take_fault(self) -> Fault | None:
        """Remove and return the next fault."""
        with self._database.transaction() as db:
            settings = _settings(db)
            if not settings.faults:
                return None
            _save(db, msgspec.structs.replace(settings, faults=settings.faults[1:]))
        return settings.faults[0]


def _get(db: sqlite3.Connection, key: str) -> SignatureRequest:
    row = db.execute("select body from requests where id = ?", (key,)).fetchone()
    if row is None:
        raise NoSuchRequest("no request has this id")
    return msgspec.json.decode(row[0], type=SignatureRequest)


def _expiry(request: SignatureRequest) -> float | None:
    return request.expires_at.timestamp() if request.expires_at and not request.over else None


def _fire(db: sqlite3.Connection, webhooks: Sequence[Webhook]) -> None:
    rows = [
        (w.id, w.request, w.type, w.body, w.fired_at.timestamp(), (w.due_at or w.fired_at).timestamp())
        for w in webhooks
    ]
    db.executemany(f"insert into webhooks ({WEBHOOK}, next_at) values (?, ?, ?, ?, ?, ?)", rows)


def _webhook(row: tuple[str, str, str, bytes, float]) -> Webhook:
    return Webhook(id=row[0], request=row[1], type=row[2], body=row[3], fired_at=_time(row[4]))


def _delivery(db: sqlite3.Connection, row: tuple[str, str, str, bytes, float, float | None, int]) -> Delivery:
    tries = db.execute("select at, outcome from attempts where webhook = ? order by at", (row[0],)).fetchall()
    return Delivery(
        webhook=_webhook(row[:5]),
        attempts=tuple(Attempt(_time(at), outcome) for at, outcome in tries),
        next_at=None if row[5] is None else _time(row[5]),
        delivered=bool(row[6]),
    )


def _settings(db: sqlite3.Connection) -> Settings:
    row = db.execute("select body from settings").fetchone()
    return msgspec.json.decode(row[0], type=Settings) if row else Settings()


def _save(db: sqlite3.Connection, settings: Settings) -> Settings:
    db.execute("insert or replace into settings values (1, ?)", (msgspec.json.encode(settings),))
    return settings


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
