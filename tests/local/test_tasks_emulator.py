"""The Cloud Tasks emulator, as Google's own client sees it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from google.api_core.exceptions import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from google.cloud.tasks_v2 import CloudTasksClient, Task
from google.cloud.tasks_v2 import Queue as GoogleQueue

from local.emulation.provision import provision
from local.emulation.tasks_emulator import TasksEmulator
from local.emulation.topology import Queue
from shared.adapters.gcp.tasks import CloudTasks, tasks_client
from shared.ports import Task as OurTask
from tests.contract.until import until
from tests.stand_in import Reply, StandIn

PARENT = "projects/p/locations/l"
QUEUE = f"{PARENT}/queues/q"


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[TasksEmulator]:
    with TasksEmulator() as emulator:
        monkeypatch.setenv("CLOUD_TASKS_EMULATOR_HOST", emulator.host)
        provision("p", "l", queues=[Queue(name="q")])
        yield emulator


@pytest.fixture
def client(emulator: TasksEmulator) -> Iterator[CloudTasksClient]:
    with tasks_client() as client:
        yield client


@pytest.fixture
def endpoint() -> Iterator[StandIn]:
    with StandIn() as endpoint:
        yield endpoint


def create(client: CloudTasksClient, name: str = "t", **fields: Any) -> Task:
    call = {"url": "http://127.0.0.1:9/x", "body": b"{}"}
    task = Task({"name": f"{QUEUE}/tasks/{name}", "http_request": call, **fields})
    return client.create_task(parent=QUEUE, task=task)


def test_queues_are_made_once_and_keep_what_they_were_given(client: CloudTasksClient) -> None:
    provision("p", "l", queues=[Queue(name="q", min_backoff=1)])  # exists: left as it is
    retry = client.get_queue(name=QUEUE).retry_config
    assert (retry.min_backoff, retry.max_backoff) == (timedelta(seconds=10), timedelta(seconds=600))
    assert retry.max_attempts == -1


def test_a_task_can_be_read_and_shows_its_body_only_in_full(emulator: TasksEmulator, client: CloudTasksClient) -> None:
    due = emulator.now() + timedelta(days=3)
    create(client, schedule_time=due)
    full = client.get_task(request={"name": f"{QUEUE}/tasks/t", "response_view": Task.View.FULL})
    assert full.http_request.body == b"{}"
    assert full.schedule_time == due
    assert client.get_task(name=full.name).http_request.body == b""


def test_tasks_are_listed_page_by_page_and_purged_together(emulator: TasksEmulator, client: CloudTasksClient) -> None:
    later = emulator.now() + timedelta(hours=1)
    for n in range(5):
        create(client, f"t{n}", schedule_time=later)
    pages = client.list_tasks(request={"parent": QUEUE, "page_size": 2}).pages
    assert [[t.name[-2:] for t in page.tasks] for page in pages] == [["t0", "t1"], ["t2", "t3"], ["t4"]]
    client.purge_queue(name=QUEUE)
    assert list(client.list_tasks(parent=QUEUE)) == []


def test_a_name_is_taken_for_a_day_after_its_task_is_gone(emulator: TasksEmulator, client: CloudTasksClient) -> None:
    name = create(client, schedule_time=emulator.now() + timedelta(hours=1)).name
    client.delete_task(name=name)
    with pytest.raises(NotFound):
        client.get_task(name=name)
    emulator.advance(23 * 3600)
    with pytest.raises(AlreadyExists):
        create(client)
    emulator.advance(3601)
    assert create(client).name == name


def test_a_task_made_anew_is_not_called_at_its_forerunners_time(
    emulator: TasksEmulator, client: CloudTasksClient, endpoint: StandIn
) -> None:
    begun, call = emulator.now(), {"url": endpoint.url}
    client.delete_task(name=create(client, schedule_time=begun + timedelta(days=2), http_request=call).name)
    emulator.advance(timedelta(days=1, minutes=1).total_seconds())
    create(client, schedule_time=begun + timedelta(days=3), http_request=call)
    emulator.advance(timedelta(days=1).total_seconds())
    time.sleep(0.2)
    assert not endpoint.asked
    emulator.advance(timedelta(days=1).total_seconds())
    until(lambda: endpoint.asked)


def test_what_the_cloud_refuses_is_refused(emulator: TasksEmulator, client: CloudTasksClient) -> None:
    month = emulator.now() + timedelta(days=30)
    create(client, "in-reach", schedule_time=month - timedelta(minutes=1))
    with pytest.raises(InvalidArgument, match="30 days"):
        create(client, schedule_time=month + timedelta(minutes=1))
    with pytest.raises(InvalidArgument, match="name"):
        create(client, "slash/ed")
    with pytest.raises(InvalidArgument, match="url"):
        create(client, http_request={"url": "ftp://x"})
    with pytest.raises(FailedPrecondition, match="Queue does not exist"):
        client.create_task(parent=f"{PARENT}/queues/other", task=Task(http_request={"url": "http://x"}))
    with pytest.raises(NotFound):
        client.delete_task(name=f"{QUEUE}/tasks/never")


def test_a_queue_may_end_its_attempts(emulator: TasksEmulator, client: CloudTasksClient, endpoint: StandIn) -> None:
    endpoint.answer(Reply(500))
    retry = {"max_attempts": 2, "min_backoff": timedelta(seconds=0.05)}
    short = GoogleQueue(name=f"{PARENT}/queues/short", retry_config=retry)
    queue = client.create_queue(parent=PARENT, queue=short).name
    client.create_task(parent=queue, task=Task(http_request={"url": endpoint.url}))
    until(lambda: not list(client.list_tasks(parent=queue)))
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize(
    ("given", "carried"), [("", "https://f.example/remind"), ("https://aud.example", "https://aud.example")]
)
def test_our_adapter_gives_a_task_its_identity_and_its_deadline(
    emulator: TasksEmulator, client: CloudTasksClient, given: str, carried: str
) -> None:
    at = emulator.now() + timedelta(hours=1)
    ours = OurTask(name="t", queue="q", url="https://f.example/remind", body=b"{}", at=at)
    CloudTasks("p", "l", "relay@example.com", given).create([ours])
    task = client.get_task(request={"name": f"{QUEUE}/tasks/t", "response_view": Task.View.FULL})
    assert task.http_request.oidc_token.service_account_email == "relay@example.com"
    assert task.http_request.oidc_token.audience == carried
    assert task.http_request.headers["Content-Type"] == "application/json"
    assert (task.dispatch_deadline, task.schedule_time) == (timedelta(seconds=80), at)


def test_without_a_service_account_a_task_carries_no_identity(
    emulator: TasksEmulator, client: CloudTasksClient
) -> None:
    at = emulator.now() + timedelta(hours=1)
    CloudTasks("p", "l", "").create([OurTask(name="t", queue="q", url="http://127.0.0.1", body=b"", at=at)])
    assert not client.get_task(name=f"{QUEUE}/tasks/t").http_request.oidc_token.service_account_email


def test_it_runs_as_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-m", "local.emulation.tasks_emulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            monkeypatch.setenv("CLOUD_TASKS_EMULATOR_HOST", process.stdout.readline().split()[-1])
            provision("p", "l", queues=[Queue(name="q")])
        finally:
            process.terminate()
