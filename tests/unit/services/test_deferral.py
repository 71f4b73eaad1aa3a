"""Messages that are handled later: at Pub/Sub's own pace, or by a task that brings the same message."""

from datetime import timedelta

import pytest

from shared.domain.dead_letters import dead_topic
from shared.domain.errors import RetryLater
from shared.services.deferral import Deferral
from tests.fakes import START, FakeBus, FakeScheduler, World
from tests.lifecycles import DAY, HOUR, MINUTE


class TestDeferral:
    @pytest.fixture
    def world(self) -> World:
        return World()

    def defer(self, world: World, retry: RetryLater, age: timedelta | None = MINUTE) -> bool:
        deferral = Deferral(world.scheduler, "retries", "https://deliver.test", world.bus, "notices", world.clock)
        return deferral.defer(b"{}", world.now - age if age is not None else None, retry)

    @pytest.mark.parametrize(
        ("retry", "age"), [(RetryLater("x", after=10), HOUR), (RetryLater("x"), 2 * MINUTE), (RetryLater("x"), None)]
    )
    def test_a_wait_that_pub_sub_keeps_by_itself_is_left_to_it(self, world, retry, age):
        assert not self.defer(world, retry, age)
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
    def test_a_longer_wait_is_a_task_that_brings_the_same_message(self, world, retry, age, seconds, caplog):
        caplog.set_level("INFO", "shared.services.deferral")
        assert self.defer(world, retry, age)
        (task,) = world.scheduler.tasks.values()
        assert task.at == world.now + timedelta(seconds=seconds)
        assert b'"data":"e30="' in task.body
        (line,) = [r for r in caplog.records if r.getMessage() == "deferred"]
        assert (line.levelname, line.json["reason"], line.json["until"]) == ("INFO", "x", task.at)
        self.defer(world, retry, age)
        assert len(world.scheduler.tasks) == 1


def test_a_message_that_must_wait_twice_within_a_minute_is_not_lost_to_its_own_task() -> None:
    """Cloud Tasks leaves a task alone whose name it has had lately."""
    world = World()
    deferral = Deferral(world.scheduler, "retries", "https://x.test", world.bus, "notices", world.clock)
    for _ in range(4):
        assert deferral.defer(b"{}", world.now, RetryLater("busy", after=11))
        [task] = [t for t in world.scheduler.tasks.values() if t.at > world.now]
        world.now = task.at


def test_a_message_that_has_waited_for_a_month_goes_to_the_dead_letters() -> None:
    bus, scheduler = FakeBus(), FakeScheduler()
    deferral = Deferral(scheduler, "retries", "https://x.test", bus, "signer-notices", lambda: START)
    assert deferral.defer(b"{}", START - 32 * DAY, RetryLater("down", after=900))
    assert [m.attributes["reason"][:5] for m in bus.topics[dead_topic("signer-notices")]] == ["stale"]
    assert scheduler.tasks == {}
