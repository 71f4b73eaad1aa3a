"""Weeks in which reconcile, the queue, a provider or the API is down, or an operator steps in."""

from datetime import timedelta

from shared.domain.errors import RetryLater
from shared.domain.model import EventType, Kind, NoticeState
from tests.simulated_time import DAY, HOUR, MINUTE, WHY, invited, on_time

SENT, SIGNED, COMPLETE, EXPIRED = EventType


class TestOutages:
    def test_three_days_without_reconcile_cost_nothing_where_tasks_fire(self):
        days = invited()
        days.live(2 * DAY)
        days.reconciling = False
        days.live(3 * DAY)
        days.reconciling = True
        days.live(15 * DAY)
        assert days.steps() == [3, 7, 14]
        assert on_time(days)

    def test_three_days_without_reconcile_and_tasks_cost_lateness_not_the_reminder(self):
        days = invited()
        days.live(2 * DAY)
        days.reconciling, days.queue_late = False, 3 * DAY
        days.live(3 * DAY)
        days.reconciling = True
        days.live(HOUR)
        assert days.steps() == days.steps("b") == [3]

    def test_after_twenty_days_without_anything_there_is_one_catch_up_not_three(self):
        days = invited()
        days.reconciling, days.queue_late = False, 19 * DAY
        days.live(19 * DAY)
        days.reconciling, days.queue_late = True, timedelta()
        days.live(10 * DAY)
        assert days.steps() == days.steps("b") == [14]

    def test_after_forty_days_without_anything_there_is_none(self):
        days = invited()
        days.reconciling, days.queue_late = False, 40 * DAY
        days.live(40 * DAY)
        days.reconciling, days.queue_late = True, timedelta()
        days.live(10 * DAY)
        assert days.steps() == []

    def test_a_provider_down_for_three_days_costs_lateness_not_the_reminder(self):
        days = invited()
        days.live(2 * DAY)
        days.sms.always = RetryLater("down")
        days.live(3 * DAY)
        days.sms.always = None
        days.live(15 * DAY)
        assert days.steps() == [3, 7, 14]

    def test_a_provider_down_over_two_steps_gets_the_later_one_alone(self):
        days = invited()
        days.live(2 * DAY)
        days.sms.always = RetryLater("down")
        days.live(6 * DAY)
        days.sms.always = None
        days.live(15 * DAY)
        assert days.steps() == [7, 14]
        old = [r for r in days.records() if (r.kind, r.reminder_day) == (Kind.REMINDER, 3)]
        assert {(r.state, r.reason) for r in old} == {(NoticeState.FAILED, "too late")}

    def test_an_api_down_for_three_days_costs_lateness_not_the_reminder(self):
        days = invited()
        days.live(2 * DAY)
        truth = days.api.truth["r1"]
        days.api.truth["r1"] = RetryLater("the API is down")
        days.live(3 * DAY)
        assert days.steps() == []
        days.api.truth["r1"] = truth
        days.live(15 * DAY)
        assert days.steps() == [3, 7, 14]


class TestOperators:
    def test_stopped_reminders_stay_stopped_for_sixty_days(self):
        days = invited()
        days.live(4 * DAY)
        days.operate.stop("r1", WHY)
        days.live(60 * DAY)
        assert days.steps() == [3]

    def test_resumed_reminders_go_on_with_the_steps_ahead(self):
        days = invited()
        days.operate.stop("r1", WHY)
        days.live(5 * DAY)
        days.operate.resume("r1", WHY)
        days.live(20 * DAY)
        assert days.steps() == days.steps("b") == [7, 14]
        assert on_time(days)

    def test_stopped_and_resumed_a_minute_before_its_step_it_still_leaves_on_time(self):
        days = invited()
        old = days.task(3)
        days.live_until(old.at - MINUTE)
        days.operate.stop("r1", WHY)
        days.operate.resume("r1", WHY)
        assert days.task(3).name != old.name
        days.live(20 * DAY)
        assert days.steps() == [3, 7, 14]
        assert on_time(days)

    def test_the_task_of_before_the_stop_does_nothing_though_it_was_not_deleted(self):
        days = invited()
        old = days.task(3)
        days.operate.stop("r1", WHY)
        days.operate.resume("r1", WHY)
        days.live_until(old.at - MINUTE)
        days.scheduler.tasks[old.name] = old
        days.live(HOUR)
        assert days.steps() == [3]
