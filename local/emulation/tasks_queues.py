"""What the Cloud Tasks emulator knows: queues, tasks, the names of those that are gone. In memory, not thread-safe."""

import heapq
import itertools
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
from google.cloud import tasks_v2
from google.protobuf.empty_pb2 import Empty
from grpc import StatusCode

from local.emulation.http_push import Pace, Reply, Tally

# https://cloud.google.com/tasks/docs/quotas and the reference of projects.locations.queues.tasks.create
FURTHEST = timedelta(days=30)
NAME_IS_TAKEN = timedelta(hours=24)  # after the task is gone; the cloud says "up to"
TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,500}")
PAGE = 1000

FOR_EVER = -1  # max_attempts; our queues' value, and this emulator's default (the cloud's is 100)
DEFAULT_MIN_BACKOFF, DEFAULT_MAX_BACKOFF = timedelta(seconds=0.1), timedelta(hours=1)
DEFAULT_DOUBLINGS = 16


class Refused(Exception):
    """A call's answer when it is not OK."""

    def __init__(self, code: StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Entry(msgspec.Struct):
    """A live task. due: of its next call, in epoch seconds; None while one is under way."""

    task: tasks_v2.Task
    due: float | None
    tally: Tally = Tally()


class Queues:
    """Each public method up to `delete_task` is the RPC of that name; raises Refused."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._queues: dict[str, tasks_v2.Queue] = {}
        self._tasks: dict[str, Entry] = {}
        self._taken: dict[str, datetime] = {}  # names of tasks that are gone, until
        self._order: list[tuple[float, int, str]] = []  # heap of due times; an entry that no longer fits is skipped
        self._count = itertools.count()

    def create_queue(self, request: tasks_v2.CreateQueueRequest) -> tasks_v2.Queue:
        queue = tasks_v2.Queue(request.queue)
        if queue.name in self._queues:
            raise Refused(StatusCode.ALREADY_EXISTS, "Queue already exists.")
        queue.state = tasks_v2.Queue.State(tasks_v2.Queue.State.RUNNING)
        retry = queue.retry_config
        retry.max_attempts = retry.max_attempts or FOR_EVER
        retry.min_backoff = retry.min_backoff or DEFAULT_MIN_BACKOFF
        retry.max_backoff = retry.max_backoff or DEFAULT_MAX_BACKOFF
        retry.max_doublings = retry.max_doublings or DEFAULT_DOUBLINGS
        self._queues[queue.name] = queue
        return queue

    def get_queue(self, request: tasks_v2.GetQueueRequest) -> tasks_v2.Queue:
        return self._queue(request.name, StatusCode.NOT_FOUND)

    def purge_queue(self, request: tasks_v2.PurgeQueueRequest) -> tasks_v2.Queue:
        queue = self._queue(request.name, StatusCode.NOT_FOUND)
        for name in self._names(queue.name):
            self._drop(name)
        return queue

    def create_task(self, request: tasks_v2.CreateTaskRequest) -> tasks_v2.Task:
        self._queue(request.parent, StatusCode.FAILED_PRECONDITION)
        task, now = tasks_v2.Task(request.task), self._clock()
        task.name = task.name or f"{request.parent}/tasks/{secrets.randbits(63)}"
        _check_call(task, request.parent)
        task.create_time = now
        task.schedule_time = self._due(task, now)
        if task.name in self._tasks or self._taken.get(task.name, now) > now:
            raise Refused(StatusCode.ALREADY_EXISTS, "A task of this name exists, or existed too recently.")
        self._tasks[task.name] = Entry(task, None)
        self._schedule(task.name, task.schedule_time.timestamp())
        return _view(task, request.response_view)

    def get_task(self, request: tasks_v2.GetTaskRequest) -> tasks_v2.Task:
        return _view(self._entry(request.name).task, request.response_view)

    def list_tasks(self, request: tasks_v2.ListTasksRequest) -> tasks_v2.ListTasksResponse:
        queue = self._queue(request.parent, StatusCode.NOT_FOUND)
        names = [name for name in self._names(queue.name) if name > request.page_token]
        size = min(request.page_size or PAGE, PAGE)
        page = [_view(self._tasks[name].task, request.response_view) for name in names[:size]]
        more = names[size - 1] if len(names) > size else ""
        return tasks_v2.ListTasksResponse(tasks=page, next_page_token=more)

    def delete_task(self, request: tasks_v2.DeleteTaskRequest) -> Empty:
        self._drop(self._entry(request.name).task.name)
        return Empty()

    # -- calling

    def take(self, limit: int) -> list[Entry]:
        """Up to `limit` tasks that are due, each now under way until it is settled."""
        now, taken = self._clock().timestamp(), list[Entry]()
        while self._order and self._order[0][0] <= now and len(taken) < limit:
            due, _, name = heapq.heappop(self._order)
            entry = self._tasks.get(name)
            if entry and entry.due == due:
                entry.due, entry.tally = None, entry.tally.begun()
                taken.append(entry)
        return taken

    def settle(self, entry: Entry, reply: Reply) -> None:
        """Answered 2xx it is gone; else it comes again, unless it was deleted meanwhile or its attempts are spent."""
        name = entry.task.name
        if self._tasks.get(name) is not entry:
            return
        retry = self._queues[_queue_of(name)].retry_config
        entry.tally = entry.tally.answered(reply)
        entry.task.dispatch_count, entry.task.response_count = entry.tally.tries, entry.tally.executions
        if reply.done or entry.tally.tries == retry.max_attempts:
            self._drop(name)
            return
        now, pace = self._clock(), _pace(retry)
        self._schedule(name, now.timestamp() + pace.pause(reply, now, entry.tally.tries))

    def next_due(self, queue: str) -> datetime | None:
        """queue: the last part of its name. Calls under way do not count."""
        dues = [e.due for name, e in self._tasks.items() if _queue_of(name).endswith(f"/queues/{queue}") and e.due]
        return datetime.fromtimestamp(min(dues), UTC) if dues else None

    # -- the maps

    def _queue(self, name: str, missing: StatusCode) -> tasks_v2.Queue:
        if name not in self._queues:
            raise Refused(missing, "Queue does not exist.")
        return self._queues[name]

    def _entry(self, name: str) -> Entry:
        if name not in self._tasks:
            raise Refused(StatusCode.NOT_FOUND, "The task does not exist.")
        return self._tasks[name]

    def _names(self, queue: str) -> list[str]:
        return sorted(name for name in self._tasks if _queue_of(name) == queue)

    def _due(self, task: tasks_v2.Task, now: datetime) -> datetime:
        due = max(now, datetime.fromtimestamp(task.schedule_time.timestamp(), UTC) if task.schedule_time else now)
        if due > now + FURTHEST:
            raise Refused(StatusCode.INVALID_ARGUMENT, "Task.schedule_time is more than 30 days ahead.")
        return due

    def _schedule(self, name: str, due: float) -> None:
        self._tasks[name].due = due
        heapq.heappush(self._order, (due, next(self._count), name))

    def _drop(self, name: str) -> None:
        del self._tasks[name]
        self._taken[name] = self._clock() + NAME_IS_TAKEN


def _queue_of(task: str) -> str:
    return task.rpartition("/tasks/")[0]


def _check_call(task: tasks_v2.Task, parent: str) -> None:
    queue, _, task_id = task.name.rpartition("/tasks/")
    if queue != parent or not TASK_ID.fullmatch(task_id):
        raise Refused(StatusCode.INVALID_ARGUMENT, f"Task.name must be {parent}/tasks/ and letters, digits, - or _.")
    if not task.http_request.url.startswith(("http://", "https://")):
        raise Refused(StatusCode.INVALID_ARGUMENT, "HttpRequest.url must start with http:// or https://.")
    if task.http_request.http_method not in (0, tasks_v2.HttpMethod.POST):
        raise Refused(StatusCode.INVALID_ARGUMENT, "This emulator knows no HTTP method but POST.")


def _view(task: tasks_v2.Task, view: tasks_v2.Task.View) -> tasks_v2.Task:
    """Only the full view shows the body."""
    shown = tasks_v2.Task(task)
    shown.view = tasks_v2.Task.View(view or tasks_v2.Task.View.BASIC)
    if shown.view != tasks_v2.Task.View.FULL:
        shown.http_request.body = b""
    return shown


def _pace(retry: tasks_v2.RetryConfig) -> Pace:
    return Pace(retry.min_backoff.total_seconds(), retry.max_backoff.total_seconds(), retry.max_doublings)
