"""The threads behind the embedded ports: they push messages and tasks to the functions over HTTP, as the cloud does."""

import base64
import http.client
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from local.sqlite import Database, EmbeddedBus, EmbeddedScheduler, Subscription
from shared.domain.outcomes import Retry
from shared.ports import Message

ACKS = {102, 200, 201, 202, 204}  # what Pub/Sub takes for an acknowledgement
PARALLEL = 8
ROUND = 0.05  # seconds between looks at the table when nothing wakes us: another process may have written
TASK_BACKOFF = (0.5, 60.0)
DEAD = "CloudPubSubDeadLetterSource"

log = logging.getLogger(__name__)


def post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> int:
    """The status; 0 when there is no answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("POST", parts.path or "/", body, {"Content-Type": "application/json", **headers})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def backoff(attempts: int, least: float, most: float) -> float:
    return min(least * 2 ** min(attempts - 1, 30), most)


class Loop:
    """Takes what is due, hands each to a pool, never the same twice at once."""

    def __init__(self, name: str, wake: threading.Event, due: Callable[[int], list[Any]], push: Callable[[Any], None]) -> None:
        self._name, self._wake, self._due, self._push = name, wake, due, push
        self._stopping, self._flying, self._lock = threading.Event(), set[Any](), threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join(10)

    def _run(self) -> None:
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix=self._name) as pool:
            while not self._stopping.is_set():
                self._wake.clear()
                self._round(pool)
                self._wake.wait(ROUND)

    def _round(self, pool: ThreadPoolExecutor) -> None:
        try:
            rows = self._due(PARALLEL * 2)
        except Retry:
            return
        with self._lock:
            free = [row for row in rows if row[0] not in self._flying][: PARALLEL - len(self._flying)]
            self._flying.update(row[0] for row in free)
        for row in free:
            pool.submit(self._one, row)

    def _one(self, row: Any) -> None:
        try:
            self._push(row)
        except Exception:
            log.exception("a push failed; it comes again")
        finally:
            with self._lock:
                self._flying.discard(row[0])
            self._wake.set()


class Pusher:
    """One push subscription at work."""

    def __init__(self, db: Database, bus: EmbeddedBus, clock: Callable[[], datetime], subscription: Subscription) -> None:
        self._db, self._bus, self._clock, self._s = db, bus, clock, subscription
        self.wake = threading.Event()
        self.loop = Loop(f"push-{subscription.name}", self.wake, self._due, self._push)

    def _due(self, limit: int) -> list[Any]:
        sql = """select id, data, attributes, published_at, attempts from messages
                 where subscription = ? and due <= ? order by due limit ?"""
        return self._db.run(sql, self._s.name, self._clock().timestamp(), limit)

    def _push(self, row: tuple[int, bytes, str, str, int]) -> None:
        key, data, attributes, published_at, attempts = row
        body = push_envelope(self._s.name, str(key), data, attributes, published_at)
        if post(self._s.endpoint, body, {}, self._s.ack_deadline) in ACKS:
            self._db.run("delete from messages where id = ?", key)
        elif attempts + 1 >= self._s.max_attempts and self._s.dead_letter_topic:
            self._bury(row)
        else:
            pause = backoff(attempts + 1, self._s.min_backoff, self._s.max_backoff)
            due = self._clock().timestamp() + pause
            self._db.run("update messages set attempts = attempts + 1, due = ? where id = ?", due, key)

    def _bury(self, row: tuple[int, bytes, str, str, int]) -> None:
        key, data, attributes, published_at, attempts = row
        why = {
            f"{DEAD}Subscription": self._s.name,
            f"{DEAD}DeliveryCount": str(attempts + 1),
            f"{DEAD}TopicPublishTime": published_at,
        }
        kept = Message(data, {**msgspec.json.decode(attributes, type=dict[str, str]), **why})
        self._bus.publish(self._s.dead_letter_topic, [kept])
        self._db.run("delete from messages where id = ?", key)


def push_envelope(subscription: str, key: str, data: bytes, attributes: str, published_at: str) -> bytes:
    """The body that Pub/Sub posts: each id and time under both of its names."""
    message = {
        "data": base64.b64encode(data).decode(),
        "attributes": msgspec.Raw(attributes.encode()),
        "messageId": key,
        "message_id": key,
        "publishTime": published_at,
        "publish_time": published_at,
    }
    return msgspec.json.encode({"subscription": f"projects/local/subscriptions/{subscription}", "message": message})


class Tasks:
    """Cloud Tasks at work: calls each task at its time, again and again until it is answered 2xx."""

    def __init__(self, db: Database, scheduler: EmbeddedScheduler, clock: Callable[[], datetime], timeout: float) -> None:
        self._db, self._clock, self._timeout = db, clock, timeout
        self.loop = Loop("tasks", scheduler.created, self._due, self._push)

    def _due(self, limit: int) -> list[Any]:
        sql = "select name, queue, url, body, attempts from tasks where gone = 0 and due <= ? order by due limit ?"
        return self._db.run(sql, self._clock().timestamp(), limit)

    def _push(self, row: tuple[str, str, str, bytes, int]) -> None:
        name, queue, url, body, attempts = row
        headers = {
            "X-CloudTasks-QueueName": queue,
            "X-CloudTasks-TaskName": name,
            "X-CloudTasks-TaskRetryCount": str(attempts),
        }
        if 200 <= post(url, body, headers, self._timeout) < 300:
            self._db.run("update tasks set gone = 1 where name = ?", name)
        else:
            due = self._clock().timestamp() + backoff(attempts + 1, *TASK_BACKOFF)
            self._db.run("update tasks set attempts = attempts + 1, due = ? where name = ?", due, name)


class Pushing:
    """All the threads of one stack."""

    def __init__(self, db: Database, bus: EmbeddedBus, scheduler: EmbeddedScheduler, clock: Callable[[], datetime]) -> None:
        self._pushers = [Pusher(db, bus, clock, s) for s in bus.subscriptions]
        self._tasks = Tasks(db, scheduler, clock, timeout=60.0)
        bus.wakers = [p.wake for p in self._pushers]

    def start(self) -> None:
        for loop in self._loops():
            loop.start()

    def stop(self) -> None:
        for loop in self._loops():
            loop.stop()

    def _loops(self) -> list[Loop]:
        return [self._tasks.loop, *(p.loop for p in self._pushers)]
