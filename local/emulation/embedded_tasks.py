"""The Scheduler on SQLite: durable tasks that are called at their time, and again until they are answered 2xx."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial

from local.emulation.database import Database
from local.emulation.embedded_ledger import reaching
from local.emulation.http_push import Pace, Reply, Tally, post, task_headers
from local.emulation.worker import Job, Worker
from local.stack.identity import bearer
from shared.ports import Task

DEADLINE = 60.0  # seconds a call may take
GRACE = 5.0  # seconds past it before the call is taken for lost
WIDTH = 8  # calls at once

# A task that is over keeps its row, without `due`: its name is taken for good. `at` is the time asked for.
SCHEMA = """
create table if not exists tasks (
    queue text not null, name text not null, url text not null, body blob not null, at real not null, due real,
    leased integer not null default 0, tries integer not null default 0, executions integer not null default 0,
    previous integer not null default 0, primary key (queue, name));
create index if not exists tasks_due on tasks (due) where due is not null;
"""
THIS = "where queue = ? and name = ? and due is not null"


class EmbeddedScheduler:
    """Any process may create and delete; one, which has called `start`, makes the calls.

    pace: of the repeated calls, for every queue.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime], pace: Pace) -> None:
        self._database, self._clock, self._pace = database, clock, pace
        self._worker = Worker("tasks", self._take, WIDTH)

    def create(self, tasks: Iterable[Task]) -> None:
        rows = [(t.queue, t.name, t.url, t.body, t.at.timestamp(), t.at.timestamp()) for t in tasks]
        query = "insert into tasks (queue, name, url, body, at, due) values (?, ?, ?, ?, ?, ?) on conflict do nothing"
        self._write(query, rows)
        self._worker.wake()

    def delete(self, queue: str, names: Iterable[str]) -> None:
        self._write(f"update tasks set due = null, body = x'' {THIS}", [(queue, name) for name in names])

    def pending(self) -> int:
        """Tasks not answered yet, whenever they are due."""
        with self._database.transaction() as db:
            return int(db.execute("select count(*) from tasks where due is not null").fetchone()[0])

    def next_due(self, queue: str) -> datetime | None:
        """When the next task of this queue is called. Calls under way do not count."""
        query = "select min(due) from tasks where queue = ? and due is not null and not leased"
        with self._database.transaction() as db:
            due = db.execute(query, (queue,)).fetchone()[0]
        return None if due is None else datetime.fromtimestamp(due, UTC)

    def start(self) -> None:
        """What was under way when the last process died is due again."""
        now = self._clock().timestamp()
        self._write("update tasks set due = ?, leased = 0 where leased and due is not null", [(now,)])
        self._worker.start()

    def stop(self) -> None:
        self._worker.stop()

    def _write(self, query: str, rows: Iterable[tuple[object, ...]]) -> None:
        with reaching(self._database) as db:
            db.executemany(query, rows)

    def _take(self, limit: int) -> list[Job]:
        """The lease is the due time itself: past it the task is simply due again."""
        now = self._clock().timestamp()
        query = (
            "select queue, name, url, body, at, tries, executions, previous from tasks "
            "where due <= ? order by due limit ?"
        )
        with self._database.transaction() as db:
            rows = db.execute(query, (now, limit)).fetchall()
            leases = [(now + DEADLINE + GRACE, queue, name) for queue, name, *_ in rows]
            db.executemany(f"update tasks set due = ?, tries = tries + 1, leased = 1 {THIS}", leases)
        return [partial(self._call, _task(*row[:5]), Tally(*row[5:]).begun()) for row in rows]

    def _call(self, task: Task, tally: Tally) -> None:
        headers = task_headers(task.queue, task.name, task.at.timestamp(), tally) | bearer(task.url)
        reply = post(task.url, task.body, headers, DEADLINE)
        if reply.done:
            self.delete(task.queue, [task.name])
        else:
            self._postpone(task, reply, tally.answered(reply))

    def _postpone(self, task: Task, reply: Reply, tally: Tally) -> None:
        """One that was deleted during the call stays deleted."""
        now = self._clock()
        due = now.timestamp() + self._pace.pause(reply, now, tally.tries)
        query = f"update tasks set due = ?, leased = 0, executions = ?, previous = ? {THIS}"
        self._write(query, [(due, tally.executions, tally.previous, task.queue, task.name)])


def _task(queue: str, name: str, url: str, body: bytes, at: float) -> Task:
    return Task(name=name, queue=queue, url=url, body=body, at=datetime.fromtimestamp(at, UTC))
