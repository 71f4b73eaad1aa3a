"""An emulator of Cloud Tasks for Google's client, because Google has none. It has the gRPC methods we use.

    with TasksEmulator() as emulator:
        os.environ["CLOUD_TASKS_EMULATOR_HOST"] = emulator.host
        ...
        emulator.advance(3 * 86_400)

Or `python -m local.emulation.tasks_emulator --port 8123`. HTTP calls only (no App Engine); rates are not
limited. For a task with an OIDC token it sends a token of `local.stack.identity`. It stores nothing on disk.
"""

import argparse
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self

import grpc
from google.cloud import tasks_v2
from google.protobuf.empty_pb2 import Empty

from local.emulation.http_push import post, task_headers
from local.emulation.tasks_queues import PendingTask, Queues, RpcError
from local.emulation.worker import Job, Worker
from local.stack.clock import VirtualClock
from local.stack.identity import bearer

SERVICE = "google.cloud.tasks.v2.CloudTasks"
MAX_PARALLEL_RPCS, MAX_PARALLEL_CALLS = 8, 16  # gRPC calls of clients, calls of tasks
DEFAULT_DEADLINE = timedelta(minutes=10)

Method = Callable[[Any], Any]


class TasksEmulator(AbstractContextManager["TasksEmulator"]):
    """host: its address, for CLOUD_TASKS_EMULATOR_HOST. port: 0 for a free one. clock: by default its own."""

    def __init__(self, port: int = 0, clock: VirtualClock | None = None) -> None:
        self._clock, self._lock = clock or VirtualClock(), threading.Lock()
        self._queues = Queues(self._clock)
        self._worker = Worker("tasks emulator", self._take, MAX_PARALLEL_CALLS)
        self._server = grpc.server(ThreadPoolExecutor(MAX_PARALLEL_RPCS))
        handlers = grpc.method_handlers_generic_handler(SERVICE, self._methods())
        self._server.add_generic_rpc_handlers((handlers,))
        self.host = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"

    def __enter__(self) -> Self:
        self._server.start()
        self._worker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.stop(grace=0).wait()
        self._worker.stop()

    def now(self) -> datetime:
        return self._clock()

    def advance(self, seconds: float) -> None:
        """Set the emulator's clock forward; tasks that are then due are called at once."""
        self._clock.advance(seconds)
        self._worker.wake()

    def next_due(self, queue: str) -> datetime | None:
        """When the next task is due. queue: the short name."""
        with self._lock:
            return self._queues.next_due(queue)

    # -- the API

    def _methods(self) -> dict[str, grpc.RpcMethodHandler]:
        """The RPCs. The client's message types parse and serialize them, so no generated server code is needed."""
        queues, queue, task = self._queues, tasks_v2.Queue.serialize, tasks_v2.Task.serialize
        tasks = tasks_v2.ListTasksResponse.serialize
        return {
            "CreateQueue": self._method(queues.create_queue, tasks_v2.CreateQueueRequest, queue),
            "GetQueue": self._method(queues.get_queue, tasks_v2.GetQueueRequest, queue),
            "PurgeQueue": self._method(queues.purge_queue, tasks_v2.PurgeQueueRequest, queue),
            "CreateTask": self._method(queues.create_task, tasks_v2.CreateTaskRequest, task),
            "GetTask": self._method(queues.get_task, tasks_v2.GetTaskRequest, task),
            "ListTasks": self._method(queues.list_tasks, tasks_v2.ListTasksRequest, tasks),
            "DeleteTask": self._method(queues.delete_task, tasks_v2.DeleteTaskRequest, Empty.SerializeToString),
        }

    def _method(self, method: Method, request: Any, serialize: Callable[[Any], bytes]) -> grpc.RpcMethodHandler:
        answer = partial(self._answer, method)
        return grpc.unary_unary_rpc_method_handler(answer, request.deserialize, serialize)

    def _answer(self, method: Method, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            with self._lock:
                return method(request)
        except RpcError as refusal:
            return context.abort(refusal.code, refusal.text)
        finally:
            self._worker.wake()

    # -- calling

    def _take(self, limit: int) -> list[Job]:
        with self._lock:
            return [partial(self._call, pending, self._headers(pending)) for pending in self._queues.take(limit)]

    def _headers(self, pending: PendingTask) -> dict[str, str]:
        task = pending.task
        queue, _, name = task.name.rpartition("/queues/")[2].partition("/tasks/")
        eta = task.schedule_time.timestamp()
        return dict(task.http_request.headers) | task_headers(queue, name, eta, pending.tally) | _identity(task)

    def _call(self, pending: PendingTask, headers: dict[str, str]) -> None:
        call, deadline = pending.task.http_request, pending.task.dispatch_deadline or DEFAULT_DEADLINE
        reply = post(call.url, call.body, headers, deadline.total_seconds())
        with self._lock:
            self._queues.settle(pending, reply)


def _identity(task: tasks_v2.Task) -> dict[str, str]:
    call = task.http_request
    token = call.oidc_token
    return bearer(token.audience or call.url, token.service_account_email) if token.service_account_email else {}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m local.emulation.tasks_emulator", description="A Cloud Tasks emulator."
    )
    parser.add_argument("--port", type=int, default=8123)
    try:
        with TasksEmulator(parser.parse_args().port) as emulator:
            print(f"Cloud Tasks emulator on {emulator.host}", flush=True)
            threading.Event().wait()
    except RuntimeError as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
