"""What every Scheduler must do, and what its tasks must."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from local.emulation.embedded import Embedded
from local.emulation.http_push import Pace
from local.emulation.provision import provision
from local.emulation.tasks_emulator import VirtualClock
from local.emulation.topology import Queue
from shared.adapters.gcp.tasks import CloudTasks
from shared.domain.errors import RetryLater
from shared.ports import Scheduler, Task
from tests.contract.until import until
from tests.emulators import LOCATION, Cloud
from tests.stand_in import Reply, StandIn, closed_port

DAY = 86_400
PACE = Pace(60, 600)


class Stage(Protocol):
    @property
    def scheduler(self) -> Scheduler: ...

    def now(self) -> datetime: ...

    def advance(self, seconds: float) -> None: ...


class EmbeddedStage:
    def __init__(self, path: Path) -> None:
        self.now = VirtualClock()
        self.advance = self.now.advance
        self.embedded = Embedded(path, self.now, PACE)
        self.scheduler = self.embedded.scheduler
        self.embedded.start()


class CloudStage:
    def __init__(self, cloud: Cloud) -> None:
        queue = Queue(name="reminders", min_backoff=PACE.least, max_backoff=PACE.most)
        provision(cloud.project, LOCATION, queues=[queue, Queue(name="retries")])
        self.scheduler = CloudTasks(cloud.project, LOCATION, "relay@example.com")
        self.now, self.advance = cloud.tasks.now, cloud.tasks.advance


@pytest.fixture
def stage(implementation: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    if implementation == "emulators":
        yield CloudStage(request.getfixturevalue("cloud"))
        return
    stage = EmbeddedStage(tmp_path / "ports.db")
    yield stage
    stage.embedded.stop()


def task(stage: Stage, endpoint: StandIn, name: str = "a" * 64, seconds: float = 0, **fields: Any) -> Task:
    at = stage.now() + timedelta(seconds=seconds)
    given = {"queue": "reminders", "url": f"{endpoint.url}/remind?a=b", "body": b'{"name": "Jos\xc3\xa9"}', "at": at}
    return Task(name=name, **{**given, **fields})


def nothing_comes(endpoint: StandIn, more_than: int = 0) -> None:
    """Long enough for several looks at what is due."""
    time.sleep(0.15)
    assert len(endpoint.asked) == more_than


# -- at its time


def test_a_task_is_called_at_its_time_and_not_before(stage: Stage, endpoint: StandIn) -> None:
    stage.scheduler.create([task(stage, endpoint, seconds=3 * DAY)])
    stage.advance(3 * DAY - 60)
    nothing_comes(endpoint)
    stage.advance(60)
    (asked,) = until(lambda: endpoint.asked)
    assert (asked.method, asked.path, asked.body) == ("POST", "/remind?a=b", b'{"name": "Jos\xc3\xa9"}')
    assert asked.headers["content-type"] == "application/json"


def test_a_task_whose_time_is_past_is_called_at_once(stage: Stage, endpoint: StandIn) -> None:
    stage.scheduler.create([task(stage, endpoint, seconds=-DAY)])
    until(lambda: endpoint.asked)


def test_a_call_tells_which_task_it_is(stage: Stage, endpoint: StandIn) -> None:
    due = task(stage, endpoint, seconds=60)
    stage.scheduler.create([due])
    stage.advance(61)
    headers = until(lambda: endpoint.asked)[0].headers
    told = {name.removeprefix("x-cloudtasks-"): value for name, value in headers.items() if "cloudtasks" in name}
    assert told.pop("tasketa").startswith(str(int(due.at.timestamp())))
    assert told == {
        "queuename": "reminders",
        "taskname": "a" * 64,
        "taskretrycount": "0",
        "taskexecutioncount": "0",
    }


def test_many_tasks_at_once_are_all_called_once(stage: Stage, endpoint: StandIn) -> None:
    tasks = [task(stage, endpoint, f"task-{n}", 60, queue="retries" if n % 2 else "reminders") for n in range(40)]
    stage.scheduler.create(iter(tasks))
    nothing_comes(endpoint)
    stage.advance(61)
    until(lambda: len(endpoint.asked) >= 40)
    nothing_comes(endpoint, more_than=40)
    assert {asked.headers["x-cloudtasks-taskname"] for asked in endpoint.asked} == {t.name for t in tasks}


def test_no_task_at_all_is_fine(stage: Stage) -> None:
    stage.scheduler.create([])
    stage.scheduler.delete("reminders", [])


# -- names


def test_a_name_that_exists_is_left_alone_and_called_once(stage: Stage, endpoint: StandIn) -> None:
    stage.scheduler.create([task(stage, endpoint, seconds=60)])
    stage.scheduler.create([task(stage, endpoint, seconds=0, body=b"other"), task(stage, endpoint, "new", seconds=60)])
    nothing_comes(endpoint)
    stage.advance(61)
    until(lambda: len(endpoint.asked) >= 2)
    nothing_comes(endpoint, more_than=2)
    assert b"other" not in {asked.body for asked in endpoint.asked}


def test_a_name_that_was_called_lately_is_not_called_again(stage: Stage, endpoint: StandIn) -> None:
    stage.scheduler.create([task(stage, endpoint)])
    until(lambda: endpoint.asked)
    nothing_comes(endpoint, more_than=1)  # the answer has been booked by then
    stage.scheduler.create([task(stage, endpoint)])
    nothing_comes(endpoint, more_than=1)


# -- calling off


def test_a_deleted_task_is_not_called(stage: Stage, endpoint: StandIn) -> None:
    names = [f"task-{n}" for n in range(5)]
    stage.scheduler.create(task(stage, endpoint, name, 60) for name in [*names, "other"])
    stage.scheduler.delete("reminders", iter(names))
    stage.advance(61)
    until(lambda: endpoint.asked)
    nothing_comes(endpoint, more_than=1)
    assert endpoint.asked[0].headers["x-cloudtasks-taskname"] == "other"


def test_deleting_what_is_gone_or_never_was_is_fine(stage: Stage, endpoint: StandIn) -> None:
    stage.scheduler.create([task(stage, endpoint)])
    until(lambda: endpoint.asked)
    stage.scheduler.delete("reminders", ["a" * 64, "never"])


# -- again


@pytest.mark.parametrize("status", [503, 404, 302])
def test_a_task_is_called_again_until_it_is_answered_2xx(stage: Stage, endpoint: StandIn, status: int) -> None:
    endpoint.answer(Reply(status), Reply(status), Reply(200))
    stage.scheduler.create([task(stage, endpoint)])
    until(lambda: len(endpoint.asked) == 1)
    nothing_comes(endpoint, more_than=1)  # the backoff begins at a minute
    stage.advance(61)
    until(lambda: len(endpoint.asked) == 2)
    nothing_comes(endpoint, more_than=2)
    stage.advance(121)
    until(lambda: len(endpoint.asked) == 3)
    stage.advance(DAY)
    nothing_comes(endpoint, more_than=3)
    assert [asked.headers["x-cloudtasks-taskretrycount"] for asked in endpoint.asked] == ["0", "1", "2"]
    assert endpoint.asked[2].headers["x-cloudtasks-taskpreviousresponse"] == str(status)


def test_an_answer_may_say_how_long_to_wait(stage: Stage, endpoint: StandIn) -> None:
    endpoint.answer(Reply(429, headers={"Retry-After": "1800"}), Reply(200))
    stage.scheduler.create([task(stage, endpoint)])
    until(lambda: len(endpoint.asked) == 1)
    nothing_comes(endpoint, more_than=1)
    stage.advance(1700)
    nothing_comes(endpoint, more_than=1)
    stage.advance(101)
    until(lambda: len(endpoint.asked) == 2)


# -- faults


def test_a_scheduler_that_cannot_be_reached_is_a_retry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLOUD_TASKS_EMULATOR_HOST", f"127.0.0.1:{closed_port()}")
    monkeypatch.setattr("shared.adapters.gcp.calls.DEADLINE", 0.2)
    closed = Embedded(tmp_path / "ports.db", lambda: datetime.now(UTC), PACE)
    closed.stop()
    tasks = [Task(name=f"t-{n}", queue="q", url="http://x", body=b"", at=datetime.now(UTC)) for n in range(40)]
    for scheduler in (CloudTasks("p", "l", ""), closed.scheduler):
        for some in (tasks, tasks[:1]):
            with pytest.raises(RetryLater):
                scheduler.create(some)
        with pytest.raises(RetryLater):
            scheduler.delete("q", ["t"])


@pytest.mark.emulators
def test_a_queue_that_does_not_exist_is_a_retry_that_names_it(cloud: Cloud) -> None:
    some = Task(name="t", queue="absent", url="http://127.0.0.1", body=b"", at=datetime.now(UTC))
    with pytest.raises(RetryLater, match="Cloud Tasks queue absent"):
        CloudTasks(cloud.project, LOCATION, "").create([some])
