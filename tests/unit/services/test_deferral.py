"""Messages that are handled later: at Pub/Sub's own pace, or by a task that brings the same message."""

from datetime import timedelta

import msgspec
import pytest

from shared.domain.dead_letters import dead_topic
from shared.domain.errors import RetryLater
from shared.ports import Task
from shared.services.deferral import MIN_WAIT_OF_TASK, Arrived, Deferral, arrived
from tests.fakes import START, FakeBus, FakeScheduler, World
from tests.lifecycles import DAY, HOUR, MINUTE


@pytest.fixture
def world() -> World:
    return World()


def aged(world: World, age: timedelta | None = MINUTE, *, by_task: bool = False) -> Arrived:
    at = None if age is None else world.now - age
    return Arrived(b"{}", {"channel": "sms"}, published_at=at, failing_since=at, by_task=by_task)


def defer(world: World, retry: RetryLater, message: Arrived) -> bool:
    queue, url = world.names.retries, "https://deliver.test"
    return Deferral(world.scheduler, queue, url, world.bus, "notices", world.clock).defer(message, retry)


def brought(task: Task) -> Arrived:
    """The message that a task brings, as the entry point reads it."""
    return arrived(msgspec.json.decode(task.body)["message"], by_task=True)


@pytest.mark.parametrize(
    ("retry", "age"), [(RetryLater("x", after=10), HOUR), (RetryLater("x"), 2 * MINUTE), (RetryLater("x"), None)]
)
def test_a_wait_that_pub_sub_keeps_by_itself_is_left_to_it(world, retry, age):
    assert not defer(world, retry, aged(world, age))
    assert world.scheduler.tasks == {}


@pytest.mark.parametrize(
    ("retry", "age", "seconds"),
    [
        (RetryLater("x", after=11), MINUTE, 11),
        (RetryLater("x", after=40), MINUTE, 40),
        (RetryLater("x", after=10**6), MINUTE, 86_400),
        (RetryLater("x"), 10 * MINUTE, 300),
        (RetryLater("x"), DAY, 900),
        (RetryLater("x", after=90), None, 90),
    ],
)
def test_a_longer_wait_is_a_task_that_brings_the_same_message(world, retry, age, seconds, caplog):
    caplog.set_level("INFO", "shared.services.deferral")
    assert defer(world, retry, aged(world, age))
    (task,) = world.scheduler.tasks.values()
    assert (task.queue, task.at) == ("retries-sms", world.now + timedelta(seconds=seconds))
    assert b'"data":"e30="' in task.body
    assert brought(task).attributes["channel"] == "sms"
    (line,) = [r for r in caplog.records if r.getMessage() == "deferred"]
    assert (line.levelname, line.json["reason"], line.json["until"]) == ("INFO", "x", task.at)
    defer(world, retry, aged(world, age))
    assert len(world.scheduler.tasks) == 1


def test_what_pub_sub_would_soon_have_brought_for_the_last_time_is_a_task_however_short_its_wait(world):
    """A backlog of the API's budget may last for days, and 100 deliveries take 16 hours."""
    assert not defer(world, RetryLater("our own budget is used up", after=6), aged(world, 7 * HOUR))
    assert defer(world, RetryLater("our own budget is used up", after=6), aged(world, 9 * HOUR))
    (task,) = world.scheduler.tasks.values()
    assert task.at == world.now + timedelta(seconds=MIN_WAIT_OF_TASK)


def test_deferred_events_have_a_queue_of_their_own(world):
    assert defer(world, RetryLater("x", after=90), Arrived(b"{}", {"type": "request_sent"}))
    assert [task.queue for task in world.scheduler.tasks.values()] == ["retries"]


@pytest.mark.parametrize("retry", [RetryLater("x", after=1), RetryLater("x")])
def test_a_message_that_a_task_brought_is_deferred_again_since_503_would_slow_its_queue(world, retry):
    """Under a new name: that of the task under way cannot be used again."""
    for _ in range(2 * 60):
        world.now += timedelta(seconds=1)
        first, world.scheduler = world.scheduler, FakeScheduler()
        assert defer(world, RetryLater("x", after=61), aged(world))
        (task,) = world.scheduler.tasks.values()
        world.now = task.at - timedelta(seconds=2)  # the clocks differ a little
        assert defer(world, retry, brought(task))
        (_, again) = world.scheduler.tasks.values()
        assert (again.at - world.now).total_seconds() == MIN_WAIT_OF_TASK
        world.scheduler = first


def test_a_planned_wait_is_no_time_of_failing(world):
    """A message deferred for the night, which then meets one error, is tried again at once and not in 15 minutes."""
    assert defer(world, RetryLater("the send window", after=12 * 3600), aged(world))
    (task,) = world.scheduler.tasks.values()
    world.now = task.at + timedelta(seconds=1)
    assert defer(world, RetryLater("API 500"), brought(task))
    second = max(world.scheduler.tasks.values(), key=lambda t: t.at)
    assert second.at - world.now == timedelta(seconds=MIN_WAIT_OF_TASK)
    world.now += 20 * MINUTE  # it fails all the time
    assert defer(world, RetryLater("API 500"), brought(second))
    third = max(world.scheduler.tasks.values(), key=lambda t: t.at)
    assert timedelta(minutes=10) <= third.at - world.now <= timedelta(minutes=11)


def test_a_message_that_has_waited_for_a_month_goes_to_the_dead_letters() -> None:
    bus, scheduler = FakeBus(), FakeScheduler()
    deferral = Deferral(scheduler, str, "https://x.test", bus, "signer-notices", lambda: START)
    message = Arrived(b"{}", published_at=START - 32 * DAY, failing_since=START)
    assert deferral.defer(message, RetryLater("down", after=900))
    assert [m.attributes["reason"][:5] for m in bus.topics[dead_topic("signer-notices")]] == ["stale"]
    assert scheduler.tasks == {}
