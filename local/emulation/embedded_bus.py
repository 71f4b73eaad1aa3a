"""The Bus on SQLite: durable messages, and push subscriptions that deliver them as Pub/Sub does."""

import base64
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec

from local.emulation.database import Database
from local.emulation.embedded_ledger import port_transaction
from local.emulation.http_push import Pace, Post, post
from local.emulation.topology import Subscription
from local.emulation.worker import Job, Worker
from local.stack.identity import PUSH, bearer
from shared.domain.backlog import PACE
from shared.ports import Flow, Message

PROJECT = "clickwrap-local"
ACKS = {102, 200, 201, 202, 204}  # https://cloud.google.com/pubsub/docs/push#receive_push
LEASE_MARGIN = 5.0  # seconds after the ack deadline until a delivery is repeated
DEAD_LETTER_PREFIX = "CloudPubSubDeadLetterSource"

# A message is deleted when all its deliveries are acknowledged. In a topic without subscriptions it is kept.
SCHEMA = """
create table if not exists subscriptions (name text primary key, topic text not null, json blob not null);
create table if not exists messages (
    id integer primary key autoincrement, topic text not null, data blob not null, attributes blob not null,
    published_at real not null);
create index if not exists messages_of on messages (topic);
create table if not exists deliveries (
    subscription text not null, message integer not null, due real not null, attempts integer not null default 0,
    leased integer not null default 0, primary key (subscription, message));
create index if not exists deliveries_due on deliveries (subscription, due, message);
create index if not exists deliveries_of on deliveries (message);
"""
THIS = "where subscription = ? and message = ?"


class Delivery(msgspec.Struct, frozen=True):
    """A message for one subscription. attempts: deliveries so far, including this one."""

    id: int
    message: Message
    published_at: datetime
    attempts: int


class EmbeddedBus:
    """Any process may publish. Only the process that has called `subscribe` and `start` delivers, by `post`."""

    def __init__(self, database: Database, clock: Callable[[], datetime], post: Post = post) -> None:
        self._database, self._clock, self._post = database, clock, post
        self._workers: dict[str, Worker] = {}
        self._acknowledged = deque[tuple[datetime, str]]()  # when, and of which subscription; at most PACE ago

    # -- publishing

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Returns once the messages are committed, all or none. Raises RetryLater."""
        with port_transaction(self._database) as db:
            now = self._clock().timestamp()
            waiting = {name for message in messages for name in _add(db, topic, message, now)}
        for name in waiting & self._workers.keys():
            self._workers[name].wake()

    def messages(self, topic: str) -> list[Message]:
        """The stored messages of a topic, the oldest first: the unacknowledged ones, or all without subscriptions."""
        query = "select data, attributes from messages where topic = ? order by id"
        with self._database.transaction() as db:
            return [_message(*row) for row in db.execute(query, (topic,))]

    def pending(self) -> int:
        """The number of unacknowledged deliveries."""
        with self._database.transaction() as db:
            return int(db.execute("select count(*) from deliveries").fetchone()[0])

    def oldest(self) -> datetime | None:
        """When the oldest unacknowledged message was published."""
        query = "select m.published_at from deliveries d join messages m on m.id = d.message order by d.message limit 1"
        with self._database.transaction() as db:
            row = db.execute(query).fetchone()
        return datetime.fromtimestamp(row[0], UTC) if row else None

    def flows(self, subscriptions: Collection[str]) -> dict[str, Flow]:
        """Implements the port Flows; what left is known to the process that delivers."""
        with self._database.transaction() as db:
            rows = db.execute("select subscription, count(*) from deliveries group by subscription")
            waiting = dict(rows.fetchall())
            self._forget_acknowledged()
            left = Counter(name for _, name in self._acknowledged)
        return {name: Flow(waiting.get(name, 0), left[name]) for name in subscriptions}

    def _forget_acknowledged(self) -> None:
        while self._acknowledged and self._acknowledged[0][0] < self._clock() - PACE:
            self._acknowledged.popleft()

    # -- delivering

    def subscribe(self, subscription: Subscription) -> None:
        """Add a subscription, before `start`. It also gets its unacknowledged messages of an earlier run."""
        row = (subscription.name, subscription.topic, msgspec.json.encode(subscription))
        with self._database.transaction() as db:
            db.execute("insert or replace into subscriptions values (?, ?, ?)", row)
        take = partial(self._take, subscription)
        self._workers[subscription.name] = Worker(f"push {subscription.name}", take, subscription.parallel)

    def start(self) -> None:
        """Start the deliveries; those that the last process did not finish are due again.

        Subscriptions that have not been added again are deleted.
        """
        with self._database.transaction() as db:
            self._delete_others(db)
            now = self._clock().timestamp()
            db.execute("update deliveries set due = ?, leased = 0 where leased", (now,))
        for worker in self._workers.values():
            worker.start()

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.stop()

    def _delete_others(self, db: sqlite3.Connection) -> None:
        known = {name for (name,) in db.execute("select name from subscriptions")}
        for name in known - self._workers.keys():
            db.execute("delete from subscriptions where name = ?", (name,))
            for (message,) in db.execute("select message from deliveries where subscription = ?", (name,)).fetchall():
                _done(db, name, message)

    def _take(self, subscription: Subscription, limit: int) -> list[Job]:
        """Claim due deliveries. Their due time becomes the end of the lease, so that a lost push is repeated then."""
        now = self._clock().timestamp()
        with self._database.transaction() as db:
            deliveries = _due(db, subscription.name, now, limit)
            lease = now + subscription.ack_deadline + LEASE_MARGIN
            query = f"update deliveries set due = ?, attempts = attempts + 1, leased = 1 {THIS}"
            db.executemany(query, [(lease, subscription.name, d.id) for d in deliveries])
        return [partial(self._push, subscription, d) for d in deliveries]

    def _push(self, subscription: Subscription, delivery: Delivery) -> None:
        endpoint, body = subscription.endpoint, push_envelope(subscription.name, delivery)
        reply = self._post(endpoint, body, bearer(subscription.audience, PUSH), subscription.ack_deadline)
        with self._database.transaction() as db:
            if reply.status in ACKS:
                self._acknowledge(db, subscription.name, delivery.id)
            elif delivery.attempts < subscription.max_attempts:
                self._postpone(db, subscription, delivery)
            elif _done(db, subscription.name, delivery.id):
                _add(db, subscription.dead_letter_topic, dead_letter(subscription, delivery), self._clock().timestamp())

    def _acknowledge(self, db: sqlite3.Connection, subscription: str, message: int) -> None:
        if _done(db, subscription, message):
            self._acknowledged.append((self._clock(), subscription))
            self._forget_acknowledged()

    def _postpone(self, db: sqlite3.Connection, subscription: Subscription, delivery: Delivery) -> None:
        pace = Pace(subscription.min_backoff, subscription.max_backoff)
        due = self._clock().timestamp() + pace.backoff(delivery.attempts)
        db.execute(f"update deliveries set due = ?, leased = 0 {THIS}", (due, subscription.name, delivery.id))


# -- wire shapes


def push_envelope(subscription: str, delivery: Delivery) -> bytes:
    """The body that Pub/Sub posts. Id and time have two names each, as in Pub/Sub."""
    key, at = str(delivery.id), _rfc3339(delivery.published_at)
    message = {
        "data": base64.b64encode(delivery.message.data).decode(),
        "attributes": delivery.message.attributes,
        "messageId": key,
        "message_id": key,
        "publishTime": at,
        "publish_time": at,
    }
    return msgspec.json.encode({"subscription": f"projects/{PROJECT}/subscriptions/{subscription}", "message": message})


def dead_letter(subscription: Subscription, delivery: Delivery) -> Message:
    """https://cloud.google.com/pubsub/docs/dead-letter-topics#how_dead_letter_topics_work"""
    origin = {
        f"{DEAD_LETTER_PREFIX}DeliveryCount": str(delivery.attempts),
        f"{DEAD_LETTER_PREFIX}Subscription": subscription.name,
        f"{DEAD_LETTER_PREFIX}SubscriptionProject": PROJECT,
        f"{DEAD_LETTER_PREFIX}TopicPublishTime": _rfc3339(delivery.published_at),
    }
    return Message(delivery.message.data, delivery.message.attributes | origin)


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- rows


def _add(db: sqlite3.Connection, topic: str, message: Message, now: float) -> list[str]:
    """Returns the subscriptions that get it."""
    rows = db.execute("select json from subscriptions where topic = ?", (topic,)).fetchall()
    subscriptions = [msgspec.json.decode(json, type=Subscription) for (json,) in rows]
    matching = [s.name for s in subscriptions if s.wants(message)]
    if subscriptions and not matching:
        return []  # no filter matches: Pub/Sub acknowledges such a message
    row = (topic, message.data, msgspec.json.encode(message.attributes), now)
    cursor = db.execute("insert into messages (topic, data, attributes, published_at) values (?, ?, ?, ?)", row)
    query = "insert into deliveries (subscription, message, due) values (?, ?, ?)"
    db.executemany(query, [(name, cursor.lastrowid, now) for name in matching])
    return matching


def _due(db: sqlite3.Connection, subscription: str, now: float, limit: int) -> list[Delivery]:
    query = (
        "select m.id, m.data, m.attributes, m.published_at, d.attempts from deliveries d "
        "join messages m on m.id = d.message "
        "where d.subscription = ? and d.due <= ? order by d.due, d.message limit ?"
    )
    rows = db.execute(query, (subscription, now, limit)).fetchall()
    return [
        Delivery(key, _message(data, attributes), datetime.fromtimestamp(at, UTC), attempts + 1)
        for key, data, attributes, at, attempts in rows
    ]


def _done(db: sqlite3.Connection, subscription: str, message: int) -> bool:
    """Delete a delivery. False if another attempt has already deleted it, after the lease expired."""
    found = db.execute(f"delete from deliveries {THIS}", (subscription, message)).rowcount == 1
    query = "delete from messages where id = ? and not exists (select 1 from deliveries where message = id)"
    db.execute(query, (message,))
    return found


def _message(data: bytes, attributes: bytes) -> Message:
    return Message(data, msgspec.json.decode(attributes, type=dict[str, str]))
