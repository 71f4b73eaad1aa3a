"""Reminder tasks as queues bring them: twice, early, late, after the end, out of reach, or not at all."""

from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from shared.domain.model import EventType, Request, Status
from shared.domain.planner import TASK_REACH_DAYS
from shared.domain.policy import Policy
from tests.fakes import START, seen
from tests.simulated_time import DAY, HOUR, MINUTE, SECOND, invited, on_time

SENT, SIGNED, COMPLETE, EXPIRED = EventType


class TestFiring:
    def test_twice_or_ten_times_reminds_once(self):
        days = invited()
        task = days.task(3)
        days.live_until(task.at)
        for _ in range(10):
            days.fire(task)
        days.live(HOUR)
        assert days.steps() == [3]

    @pytest.mark.parametrize("early", [1, 2, 3, 30, 3_600, 86_400])
    def test_early_reminds_at_its_time(self, early):
        days = invited()
        task = days.task(3)
        days.live_until(task.at - early * SECOND)
        days.fire(task)
        days.live_until(task.at + MINUTE)
        assert days.steps() == [3]
        assert -2 * SECOND <= days.reminders()[0].at - task.at <= 10 * SECOND

    @pytest.mark.parametrize("ahead", [-30, -5, -2, -1, 1, 2, 5, 30])
    def test_by_a_clock_that_is_some_seconds_off_reminds_once_a_step(self, ahead):
        days = invited()
        days.queue_late = ahead * SECOND
        days.live(20 * DAY)
        assert days.steps() == days.steps("b") == [3, 7, 14]
        assert all(abs(m.at - START - m.step * DAY) <= 40 * SECOND for m in days.reminders())

    def test_an_hour_late_reminds_late_where_reconcile_is_down_and_on_time_where_it_is_up(self):
        for reconciling, delay in ((False, HOUR), (True, 3 * MINUTE)):
            days = invited()
            days.queue_late, days.reconciling = HOUR, reconciling
            days.live(20 * DAY)
            assert days.steps() == [3, 7, 14]
            assert all(timedelta() < m.at - START - m.step * DAY <= delay for m in days.reminders())

    def test_in_the_evening_for_a_morning_waits_for_the_next_morning(self):
        days = invited()
        days.queue_late, days.reconciling = 12 * HOUR, False  # 22:00
        days.live(4 * DAY)
        assert [m.at for m in days.reminders()] == [START + 3 * DAY + 22 * HOUR]  # 8:00

    def test_after_the_completion_does_nothing(self):
        days = invited()
        task = days.task(3)
        days.says(seen("a", signed=True), seen("b", signed=True), status=Status.COMPLETE)
        days.hear(COMPLETE)
        days.live_until(task.at)
        days.fire(task)
        assert days.steps() == []

    def test_after_a_completion_that_nobody_told_of_does_nothing(self):
        days = invited()
        days.live(2 * DAY + 23 * HOUR + 50 * MINUTE)
        days.says(seen("a", signed=True), seen("b", signed=True), status=Status.COMPLETE)
        days.live(20 * DAY)
        assert days.steps() == days.steps("b") == []
        assert {m.kind for m in days.left} == {"invitation", "completion"}

    def test_after_the_request_was_deleted_does_nothing(self):
        days = invited()
        task = days.task(3)
        del days.ledger.documents[Request, "r1"]
        days.live_until(task.at)
        days.fire(task)
        days.live(HOUR)
        assert (days.reminders(), days.ledger.all(Request)) == ([], {})

    def test_after_the_request_was_forgotten_does_nothing(self):
        days = invited()
        task = days.task(3)
        days.says(seen("a", signed=True), seen("b", signed=True), status=Status.COMPLETE)
        days.hear(COMPLETE)
        days.live(89 * DAY + HOUR)
        assert days.request().forgotten
        sent = len(days.left)
        days.fire(task)
        assert len(days.left) == sent

    def test_under_another_name_than_the_states_does_nothing(self):
        days = invited()
        task = days.task(3)
        body = msgspec.json.decode(task.body) | {"task": "0" * 64}
        days.live_until(task.at - MINUTE)
        days.now += MINUTE
        days.fire(replace(task, name="0" * 64, body=msgspec.json.encode(body)))
        assert days.steps() == []
        days.live(HOUR)
        assert days.steps() == [3]

    def test_of_the_round_before_does_nothing(self):
        days = invited()
        old = days.task(7, "b")
        days.says(seen("a", signed=True), seen("b"))
        days.hear(SIGNED, "a")
        days.live(DAY)
        days.says(seen("a"), seen("b"))  # revised: a's signature no longer stands
        days.hear(SENT, key="revised")
        days.live(6 * MINUTE)
        days.hear(SENT, key="again")
        assert days.request().round == 2
        second = days.now
        days.live_until(old.at)
        days.fire(old)
        days.live_until(second + 20 * DAY)
        assert days.steps() == days.steps("b") == [3, 7, 14]
        assert {m.round for m in days.reminders("b")} == {2}
        assert all(abs(m.at - second - m.step * DAY) < HOUR for m in days.reminders("b"))

    def test_during_a_pause_does_nothing_and_the_step_is_made_up_for(self):
        days = invited()
        days.says(seen("a"), seen("b"), status=Status.PAUSED)
        days.live(4 * DAY)
        assert days.steps() == []
        days.says(seen("a"), seen("b"))
        days.live(1.5 * DAY)
        assert days.steps() == [3]
        days.live(12 * DAY)
        assert days.steps() == [3, 7, 14]

    def test_a_pause_longer_than_a_step_skips_it(self):
        days = invited()
        days.says(seen("a"), seen("b"), status=Status.PAUSED)
        days.live(8 * DAY)
        days.says(seen("a"), seen("b"))
        days.live(12 * DAY)
        assert days.steps() == [7, 14]

    def test_never_costs_minutes(self):
        days = invited()
        for task in list(days.scheduler.tasks.values()):
            days.scheduler.delete("reminders", [task.name])
        days.live(20 * DAY)
        assert days.steps() == [3, 7, 14]
        assert all(m.at - START - m.step * DAY <= 3 * MINUTE for m in days.reminders())


class TestReach:
    POLICY = Policy(reminder_days=(3, 45, 60))

    def test_later_steps_get_their_task_when_they_come_within_reach(self):
        days = invited(self.POLICY)
        longest = timedelta()
        while days.now < START + 61 * DAY:
            longest = max([longest, *(t.at - days.now for t in days.scheduler.tasks.values())])
            days.live(6 * HOUR)
        assert longest <= TASK_REACH_DAYS * DAY < 30 * DAY
        assert days.steps() == days.steps("b") == [3, 45, 60]
        assert on_time(days)

    def test_the_task_is_made_days_ahead_so_reconcile_may_be_down_when_it_is_due(self):
        days = invited(self.POLICY)
        days.live(44 * DAY)
        days.reconciling = False
        days.live(2 * DAY)
        assert days.steps() == [3, 45]
        assert on_time(days)

    def test_a_step_in_reach_is_scheduled_by_a_look_within_a_day(self):
        days = invited(self.POLICY)
        days.live((45 - TASK_REACH_DAYS) * DAY - HOUR)
        assert not [t for t in days.scheduler.tasks.values() if t.at > START + 40 * DAY]
        days.live(DAY + 2 * HOUR)
        assert days.task(45).at == START + 45 * DAY

    def test_reconcile_down_while_a_step_came_into_reach_makes_up_for_it(self):
        days = invited(self.POLICY)
        days.live(10 * DAY)
        days.reconciling = False
        days.live(36 * DAY)
        assert days.steps() == [3]
        days.reconciling = True
        days.live(15 * DAY)
        assert days.steps() == [3, 45, 60]

    def test_a_request_out_of_reach_is_not_looked_at_more_than_once_a_day(self):
        days = invited(self.POLICY)
        days.live(6 * DAY)
        calls = days.api.calls
        days.live(10 * DAY)
        assert days.api.calls - calls <= 11
