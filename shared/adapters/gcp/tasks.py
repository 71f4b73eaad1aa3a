"""The Scheduler on Cloud Tasks, by Google's own client.

Cloud Tasks has no emulator of Google's, so its client has no variable for one: `connected` reads ours,
CLOUD_TASKS_EMULATOR_HOST.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from shared.adapters.gcp.calls import Lazy, connected, limits, reaching
from shared.ports import Task

if TYPE_CHECKING:
    from google.cloud.tasks_v2 import CloudTasksClient

AT_ONCE = 32  # an instance; a request of a thousand signers has thousands of tasks, and each is a call
DISPATCH_DEADLINE = timedelta(seconds=80)  # longer than a function's time-out (60 s): a cold start takes its share


class CloudTasks:
    """Implements the port Scheduler. Task names are hashes, which spread evenly over Cloud Tasks and need no escaping.

    service_account: e-mail of the account whose identity a task carries (OIDC); "" sends none.
    audience: of that identity; "" means the task's URL.
    """

    def __init__(self, project: str, location: str, service_account: str, audience: str = "") -> None:
        self._parent = f"projects/{project}/locations/{location}/queues"
        self._service_account, self._audience = service_account, audience
        self._client = Lazy(tasks_client)

    def create(self, tasks: Iterable[Task]) -> None:
        """One call a task, up to AT_ONCE at a time."""
        _all_at_once(self._create, tasks)

    def delete(self, queue: str, names: Iterable[str]) -> None:
        """One call a name, up to AT_ONCE at a time."""
        _all_at_once(lambda name: self._delete(queue, name), names)

    def _create(self, task: Task) -> None:
        from google.api_core.exceptions import AlreadyExists

        request = {"parent": f"{self._parent}/{task.queue}", "task": self._wire(task)}
        with reaching(f"Cloud Tasks queue {task.queue}"):
            try:
                self._client().create_task(request=request, **limits())
            except AlreadyExists:
                return

    def _delete(self, queue: str, name: str) -> None:
        from google.api_core.exceptions import NotFound

        request = {"name": self._path(queue, name)}
        with reaching(f"Cloud Tasks queue {queue}"):
            try:
                self._client().delete_task(request=request, **limits())
            except NotFound:
                return

    def _path(self, queue: str, name: str) -> str:
        return f"{self._parent}/{queue}/tasks/{name}"

    def _wire(self, task: Task) -> dict[str, Any]:
        call: dict[str, Any] = {
            "http_method": "POST",
            "url": task.url,
            "headers": {"Content-Type": "application/json"},
            "body": task.body,
        }
        if self._service_account:
            audience = self._audience or task.url
            call["oidc_token"] = {"service_account_email": self._service_account, "audience": audience}
        return {
            "name": self._path(task.queue, task.name),
            "schedule_time": task.at,
            "dispatch_deadline": DISPATCH_DEADLINE,
            "http_request": call,
        }


def tasks_client() -> "CloudTasksClient":
    """Google's client; on the emulator if CLOUD_TASKS_EMULATOR_HOST is set."""
    from google.cloud.tasks_v2 import CloudTasksClient
    from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

    return connected(CloudTasksClient, CloudTasksGrpcTransport, "CLOUD_TASKS_EMULATOR_HOST")


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE)


def _all_at_once(call: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Raises the first error. Calls not yet started are then cancelled, since each might wait for its full deadline."""
    items = list(items)
    if len(items) < 2:
        for item in items:
            call(item)
        return
    waiting = [_pool().submit(call, item) for item in items]
    try:
        for future in waiting:
            future.result()
    finally:
        for future in waiting:
            future.cancel()
