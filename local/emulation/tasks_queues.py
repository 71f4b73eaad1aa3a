"""The state of the Cloud Tasks emulator: queues, tasks and the names of finished tasks. Not thread-safe."""

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
MAX_SCHEDULE_AHEAD = timedelta(days=30)
NAME_REUSE_AFTER = timedelta(hours=24)  # after the task is finished or deleted; the documentation says "up to"
TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,500}")
PAGE = 1000  # tasks

UNLIMITED = -1  # max_attempts of our queues, and the default of this emulator; in the cloud the default is 100
DEFAULT_MIN_BACKOFF, DEFAULT_MAX_BACKOFF = timedelta(seconds=0.1), timedelta(hours=1)
DEFAULT_DOUBLINGS = 16


class RpcError(Exception):
    """The RPC fails with this status."""

    def __init__(self, code: StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class PendingTask(msgspec.Struct):
    """An unfinished task. due: time of its next call in epoch seconds; None while a call is running."""

    task: tasks_v2.Task
    due: float | None
    tally: Tally = Tally()


class Queues:
    """Each public method up to `delete_task` is the RPC of that name; raises RpcError."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._queues: dict[str, tasks_v2.Queue] = {}
        self._tasks: dict[str, PendingTask] = {}
        self._taken: dict[str, datetime] = {}  # names of former tasks -> until when they cannot be used
        self._order: list[tuple[float, int, str]] = []  # heap of due times; outdated items are skipped
        self._count = itertools.count()

    def create_queue(self, request: tasks_v2.CreateQueueRequest) -> tasks_v2.Queue:
        queue = tasks_v2.Queue(request.queue)
        if queue.name in self._queues:
            raise RpcError(StatusCode.ALREADY_EXISTS, "Queue already exists.")
        queue.state = tasks_v2.Queue.State(tasks_v2.Queue.State.RUNNING)
        retry = queue.retry_config
        retry.max_attempts = retry.max_attempts or UNLIMITED
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
            raise RpcError(StatusCode.ALREADY_EXISTS, "A task of this name exists, or existed too recently.")
        self._tasks[task.name] = PendingTask(task, None)
        self._schedule(task.name, task.schedule_time.timestamp())
        return _view(task, request.response_view)

    def get_task(self, request: tasks_v2.GetTaskRequest) -> tasks_v2.Task:
        return _view(self._pending(request.name).task, request.response_view)

    def list_tasks(self, request: tasks_v2.ListTasksRequest) -> tasks_v2.ListTasksResponse:
        queue = self._queue(request.parent, StatusCode.NOT_FOUND)
        names = [name for name in self._names(queue.name) if name > request.page_token]
        size = min(request.page_size or PAGE, PAGE)
        page = [_view(self._tasks[name].task, request.response_view) for name in names[:size]]
        more = names[size - 1] if len(names) > size else ""
        return tasks_v2.ListTasksResponse(tasks=page, next_page_token=more)

    def delete_task(self, request: tasks_v2.DeleteTaskRequest) -> Empty:
        self._drop(self._pending(request.name).task.name)
        return Empty()

    # -- calling

    def take(self, limit: int) -> list[PendingTask]:
        """Claim up to `limit` due tasks; each counts as running until `settle`."""
        now, taken = self._clock().timestamp(), list[PendingTask]()
        while self._order and self._order[0][0] <= now and len(taken) < limit:
            due, _, name = heapq.heappop(self._order)
            pending = self._tasks.get(name)
            if pending and pending.due == due:
                pending.due, pending.tally = None, pending.tally.begun()
                taken.append(pending)
        return taken

    def settle(self, pending: PendingTask, reply: Reply) -> None:
        """Record a response: delete the task after 2xx or its last attempt, else set the next attempt."""
        name = pending.task.name
        if self._tasks.get(name) is not pending:
            return
        retry = self._queues[_queue_of(name)].retry_config
        pending.tally = pending.tally.answered(reply)
        pending.task.dispatch_count, pending.task.response_count = pending.tally.tries, pending.tally.executions
        if reply.done or pending.tally.tries == retry.max_attempts:
            self._drop(name)
            return
        now, pace = self._clock(), _pace(retry)
        self._schedule(name, now.timestamp() + pace.pause(reply, now, pending.tally.tries))

    def next_due(self, queue: str) -> datetime | None:
        """When the next task is due, without the running ones. queue: the last part of its name."""
        dues = [e.due for name, e in self._tasks.items() if _queue_of(name).endswith(f"/queues/{queue}") and e.due]
        return datetime.fromtimestamp(min(dues), UTC) if dues else None

    # -- the maps

    def _queue(self, name: str, missing: StatusCode) -> tasks_v2.Queue:
        if name not in self._queues:
            raise RpcError(missing, "Queue does not exist.")
        return self._queues[name]

    def _pending(self, name: str) -> PendingTask:
        if name not in self._tasks:
            raise RpcError(StatusCode.NOT_FOUND, "The task does not exist.")
        return self._tasks[name]

    def _names(self, queue: str) -> list[str]:
        return sorted(name for name in self._tasks if _queue_of(name) == queue)

    def _due(self, task: tasks_v2.Task, now: datetime) -> datetime:
        due = max(now, datetime.fromtimestamp(task.schedule_time.timestamp(), UTC) if task.schedule_time else now)
        if due > now + MAX_SCHEDULE_AHEAD:
            raise RpcError(StatusCode.INVALID_ARGUMENT, "Task.schedule_time is more than 30 days ahead.")
        return due

    def _schedule(self, name: str, due: float) -> None:
        self._tasks[name].due = due
        heapq.heappush(self._order, (due, next(self._count), name))

    def _drop(self, name: str) -> None:
        del self._tasks[name]
        self._taken[name] = self._clock() + NAME_REUSE_AFTER


def _queue_of(task: str) -> str:
    return task.rpartition("/tasks/")[0]


def _check_call(task: tasks_v2.Task, parent: str) -> None:
    queue, _, task_id = task.name.rpartition("/tasks/")
    if queue != parent or not TASK_ID.fullmatch(task_id):
        raise RpcError(StatusCode.INVALID_ARGUMENT, f"Task.name must be {parent}/tasks/ and letters, digits, - or _.")
    if not task.http_request.url.startswith(("http://", "https://")):
        raise RpcError(StatusCode.INVALID_ARGUMENT, "HttpRequest.url must start with http:// or https://.")
    if task.http_request.http_method not in (0, tasks_v2.HttpMethod.POST):
        raise RpcError(StatusCode.INVALID_ARGUMENT, "This emulator supports only the HTTP method POST.")


def _view(task: tasks_v2.Task, view: tasks_v2.Task.View) -> tasks_v2.Task:
    """The task without its body, unless the view is FULL."""
    shown = tasks_v2.Task(task)
    shown.view = tasks_v2.Task.View(view or tasks_v2.Task.View.BASIC)
    if shown.view != tasks_v2.Task.View.FULL:
        shown.http_request.body = b""
    return shown


def _pace(retry: tasks_v2.RetryConfig) -> Pace:
    return Pace(retry.min_backoff.total_seconds(), retry.max_backoff.total_seconds(), retry.max_doublings)
