"""The Bus on SQLite: durable messages, and push subscriptions that deliver them as Pub/Sub does."""

import base64
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec

from local.emulation.database import Database
from local.emulation.embedded_ledger import reaching
from local.emulation.http_push import Pace, post
from local.emulation.topology import Subscription
from local.emulation.worker import Job, Worker
from local.stack.identity import bearer
from shared.ports import Message

PROJECT = "clickwrap-local"
ACKS = {102, 200, 201, 202, 204}  # https://cloud.google.com/pubsub/docs/push#receive_push
WIDTH = 8  # pushes at once, a subscription
GRACE = 5.0  # seconds past the ack deadline before a delivery is taken for lost
DEAD = "CloudPubSubDeadLetterSource"

# A message without deliveries is kept: nobody subscribes to its topic. Acknowledged by all, it is deleted.
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
    """A message on its way to one subscription. attempts counts this one."""

    id: int
    message: Message
    published_at: datetime
    attempts: int


class EmbeddedBus:
    """Any process may publish; one, which has called `subscribe` and `start`, delivers."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database, self._clock = database, clock
        self._workers: dict[str, Worker] = {}

    # -- publishing

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Returns once the messages are committed, all or none. Raises RetryLater."""
        with reaching(self._database) as db:
            for message in messages:
                _add(db, topic, message, self._clock().timestamp())
        for worker in self._workers.values():
            worker.wake()

    def messages(self, topic: str) -> list[Message]:
        """What is stored under a topic: not acknowledged yet or, where nobody subscribes, all. The oldest first."""
        query = "select data, attributes from messages where topic = ? order by id"
        with self._database.transaction() as db:
            return [_message(*row) for row in db.execute(query, (topic,))]

    def pending(self) -> int:
        """Deliveries not acknowledged yet."""
        with self._database.transaction() as db:
            return int(db.execute("select count(*) from deliveries").fetchone()[0])

    def oldest(self) -> datetime | None:
        """When the oldest message that is not acknowledged yet was published."""
        query = "select m.published_at from deliveries d join messages m on m.id = d.message order by d.message limit 1"
        with self._database.transaction() as db:
            row = db.execute(query).fetchone()
        return datetime.fromtimestamp(row[0], UTC) if row else None

    # -- delivering

    def subscribe(self, subscription: Subscription) -> None:
        """Before `start`. It gets what is published from now on, and what it had not acknowledged before."""
        row = (subscription.name, subscription.topic, msgspec.json.encode(subscription))
        with self._database.transaction() as db:
            db.execute("insert or replace into subscriptions values (?, ?, ?)", row)
        take = partial(self._take, subscription)
        self._workers[subscription.name] = Worker(f"push {subscription.name}", take, WIDTH)

    def start(self) -> None:
        """What was under way when the last process died is due again; a subscription no longer made is forgotten."""
        with self._database.transaction() as db:
            self._forget_others(db)
            now = self._clock().timestamp()
            db.execute("update deliveries set due = ?, leased = 0 where leased", (now,))
        for worker in self._workers.values():
            worker.start()

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.stop()

    def _forget_others(self, db: sqlite3.Connection) -> None:
        known = {name for (name,) in db.execute("select name from subscriptions")}
        for name in known - self._workers.keys():
            db.execute("delete from subscriptions where name = ?", (name,))
            for (message,) in db.execute("select message from deliveries where subscription = ?", (name,)).fetchall():
                _done(db, name, message)

    def _take(self, subscription: Subscription, limit: int) -> list[Job]:
        """The lease is the due time itself: past it the delivery is simply due again."""
        now = self._clock().timestamp()
        with self._database.transaction() as db:
            deliveries = _due(db, subscription.name, now, limit)
            lease = now + subscription.ack_deadline + GRACE
            query = f"update deliveries set due = ?, attempts = attempts + 1, leased = 1 {THIS}"
            db.executemany(query, [(lease, subscription.name, d.id) for d in deliveries])
        return [partial(self._push, subscription, d) for d in deliveries]

    def _push(self, subscription: Subscription, delivery: Delivery) -> None:
        endpoint, body = subscription.endpoint, push_envelope(subscription.name, delivery)
        reply = post(endpoint, body, bearer(endpoint), subscription.ack_deadline)
        with self._database.transaction() as db:
            if reply.status in ACKS:
                _done(db, subscription.name, delivery.id)
            elif delivery.attempts < subscription.max_attempts:
                self._postpone(db, subscription, delivery)
            elif _done(db, subscription.name, delivery.id):
                _add(db, subscription.dead_letter_topic, dead(subscription, delivery), self._clock().timestamp())

    def _postpone(self, db: sqlite3.Connection, subscription: Subscription, delivery: Delivery) -> None:
        pace = Pace(subscription.min_backoff, subscription.max_backoff)
        due = self._clock().timestamp() + pace.backoff(delivery.attempts)
        db.execute(f"update deliveries set due = ?, leased = 0 {THIS}", (due, subscription.name, delivery.id))


# -- wire shapes


def push_envelope(subscription: str, delivery: Delivery) -> bytes:
    """What Pub/Sub posts: ids and times stand there under both of their names."""
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


def dead(subscription: Subscription, delivery: Delivery) -> Message:
    """https://cloud.google.com/pubsub/docs/dead-letter-topics#how_dead_letter_topics_work"""
    origin = {
        f"{DEAD}DeliveryCount": str(delivery.attempts),
        f"{DEAD}Subscription": subscription.name,
        f"{DEAD}SubscriptionProject": PROJECT,
        f"{DEAD}TopicPublishTime": _rfc3339(delivery.published_at),
    }
    return Message(delivery.message.data, delivery.message.attributes | origin)


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- rows


def _add(db: sqlite3.Connection, topic: str, message: Message, now: float) -> None:
    rows = db.execute("select json from subscriptions where topic = ?", (topic,)).fetchall()
    subscriptions = [msgspec.json.decode(json, type=Subscription) for (json,) in rows]
    takers = [s.name for s in subscriptions if s.wants(message)]
    if subscriptions and not takers:
        return  # filtered out by all: acknowledged, as Pub/Sub has it
    row = (topic, message.data, msgspec.json.encode(message.attributes), now)
    cursor = db.execute("insert into messages (topic, data, attributes, published_at) values (?, ?, ?, ?)", row)
    query = "insert into deliveries (subscription, message, due) values (?, ?, ?)"
    db.executemany(query, [(name, cursor.lastrowid, now) for name in takers])


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
    """False when another attempt, after a lease that ran out, was first."""
    found = db.execute(f"delete from deliveries {THIS}", (subscription, message)).rowcount == 1
    query = "delete from messages where id = ? and not exists (select 1 from deliveries where message = id)"
    db.execute(query, (message,))
    return found


def _message(data: bytes, attributes: bytes) -> Message:
    return Message(data, msgspec.json.decode(attributes, type=dict[str, str]))
