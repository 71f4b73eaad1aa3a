"""The Scheduler on SQLite: durable tasks, called when they are due and repeated until the answer is 2xx."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from local.emulation.database import Database
from local.emulation.embedded_ledger import port_transaction
from local.emulation.http_push import Pace, Post, Reply, Tally, post, task_headers
from local.emulation.worker import Job, Worker
from local.stack.identity import TASKS, bearer
from shared.ports import Task

CALL_TIMEOUT = 80.0  # seconds; DISPATCH_DEADLINE in the cloud
LEASE_MARGIN = 5.0  # seconds after the time-out until a call is repeated
MAX_PARALLEL_CALLS = 8  # of a queue: no queue waits for another's calls
MAX_QUEUES = 8

# A finished task keeps its row, without `due`, so that its name cannot be used again. `at`: the requested time.
SCHEMA = """
create table if not exists tasks (
    queue text not null, name text not null, url text not null, body blob not null, at real not null, due real,
    leased integer not null default 0, tries integer not null default 0, executions integer not null default 0,
    previous integer not null default 0, primary key (queue, name));
create index if not exists tasks_due on tasks (queue, due) where due is not null;
create index if not exists tasks_running on tasks (queue) where leased and due is not null;
"""
THIS = "where queue = ? and name = ? and due is not null"


class EmbeddedScheduler:
    """Any process may create and delete tasks. Only the process that has called `start` calls them.

    pace: pauses between the attempts, for every queue. audience: of a task's identity; "" means its URL.
    """

    def __init__(
        self, database: Database, clock: Callable[[], datetime], pace: Pace, audience: str = "", post: Post = post
    ) -> None:
        self._database, self._clock, self._pace, self._audience, self._post = database, clock, pace, audience, post
        self._worker = Worker("tasks", self._take, MAX_PARALLEL_CALLS * MAX_QUEUES)

    def create(self, tasks: Iterable[Task]) -> None:
        rows = [(t.queue, t.name, t.url, t.body, t.at.timestamp(), t.at.timestamp()) for t in tasks]
        query = "insert into tasks (queue, name, url, body, at, due) values (?, ?, ?, ?, ?, ?) on conflict do nothing"
        self._write(query, rows)
        if any(due <= self._clock().timestamp() for *_, due in rows):
            self._worker.wake()

    def delete(self, queue: str, names: Iterable[str]) -> None:
        self._write(f"update tasks set due = null, body = x'' {THIS}", [(queue, name) for name in names])

    def pending(self) -> int:
        """The number of unfinished tasks."""
        with self._database.transaction() as db:
            return int(db.execute("select count(*) from tasks where due is not null").fetchone()[0])

    def next_due(self, queue: str) -> datetime | None:
        """When the next task of this queue is due, without the running ones."""
        query = "select min(due) from tasks where queue = ? and due is not null and not leased"
        with self._database.transaction() as db:
            due = db.execute(query, (queue,)).fetchone()[0]
        return None if due is None else datetime.fromtimestamp(due, UTC)

    def start(self) -> None:
        """Start the calls; those that the last process did not finish are due again."""
        now = self._clock().timestamp()
        self._write("update tasks set due = ?, leased = 0 where leased and due is not null", [(now,)])
        self._worker.start()

    def stop(self) -> None:
        self._worker.stop()

    def _write(self, query: str, rows: Iterable[tuple[object, ...]]) -> None:
        with port_transaction(self._database) as db:
            db.executemany(query, rows)

    def _take(self, limit: int) -> list[Job]:
        """Claim due tasks. Their due time becomes the end of the lease, so that a lost call is repeated then."""
        now = self._clock().timestamp()
        with self._database.transaction() as db:
            rows = [row for queue in _queues(db) for row in _due(db, queue, now)][:limit]
            leases = [(now + CALL_TIMEOUT + LEASE_MARGIN, queue, name) for queue, name, *_ in rows]
            db.executemany(f"update tasks set due = ?, tries = tries + 1, leased = 1 {THIS}", leases)
        return [partial(self._call, _task(*row[:5]), Tally(*row[5:]).begun()) for row in rows]

    def _call(self, task: Task, tally: Tally) -> None:
        identity = bearer(self._audience or task.url, TASKS)
        headers = task_headers(task.queue, task.name, task.at.timestamp(), tally) | identity
        reply = self._post(task.url, task.body, headers, CALL_TIMEOUT)
        if reply.done:
            self.delete(task.queue, [task.name])
        else:
            self._postpone(task, reply, tally.answered(reply))

    def _postpone(self, task: Task, reply: Reply, tally: Tally) -> None:
        """Set the next attempt, unless the task was deleted during the call."""
        now = self._clock()
        due = now.timestamp() + self._pace.pause(reply, now, tally.tries)
        query = f"update tasks set due = ?, leased = 0, executions = ?, previous = ? {THIS}"
        self._write(query, [(due, tally.executions, tally.previous, task.queue, task.name)])


def _queues(db: sqlite3.Connection) -> Iterator[str]:
    """Queues with unfinished tasks: one step in the index each, however many tasks there are."""
    query, queue = "select min(queue) from tasks where queue > ? and due is not null", ""
    while queue := db.execute(query, (queue,)).fetchone()[0]:
        yield queue


def _due(db: sqlite3.Connection, queue: str, now: float) -> list[tuple[Any, ...]]:
    """Due tasks of a queue, as many as it may call besides those under way."""
    query = "select count(*) from tasks where queue = ? and leased and due is not null and due > ?"
    room = MAX_PARALLEL_CALLS - db.execute(query, (queue, now)).fetchone()[0]
    query = (
        "select queue, name, url, body, at, tries, executions, previous from tasks "
        "where queue = ? and due <= ? order by due limit ?"
    )
    return db.execute(query, (queue, now, max(room, 0))).fetchall()


def _task(queue: str, name: str, url: str, body: bytes, at: float) -> Task:
    return Task(name=name, queue=queue, url=url, body=body, at=datetime.fromtimestamp(at, UTC))
