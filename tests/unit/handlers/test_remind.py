"""Reminders: when they are sent, what cancels them, and which tasks count."""

from datetime import timedelta

import msgspec
import pytest

from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import NoticeRecord, NoticeState, Status
from shared.domain.policy import Policy
from shared.handlers.remind import Firing
from tests.fakes import World, seen
from tests.lifecycles import COMPLETE, DAY, EXPIRED, HOUR, MINUTE, SENT, begun, sign


class TestReminders:
    def test_come_at_their_steps_until_the_signature(self):
        world = begun("a", "b")
        world.advance(8 * DAY)
        sign(world, "ab", "a")
        world.advance(20 * DAY)
        reminders = [(who, step) for kind, who, step in world.told() if kind == "reminder"]
        assert reminders == [("a", 3), ("a", 7), ("b", 3), ("b", 7), ("b", 14)]

    def test_are_called_off_by_the_completion(self):
        world = begun("a", "b")
        assert len(world.scheduler.tasks) == 6
        sign(world, "ab", "a")
        assert len(world.scheduler.tasks) == 3
        sign(world, "ab", "ab")
        assert world.scheduler.tasks == {}

    def test_stop_at_expiry_and_resume_when_it_did_not_last(self):
        world = begun("a")
        world.says(seen("a"), status=Status.EXPIRED)
        world.hear(EXPIRED)
        world.advance(4 * DAY)
        assert len(world.sent()) == 1
        world.says(seen("a"))
        world.advance(4 * DAY, reconcile=True)
        assert [t for t in world.told() if t[0] == "reminder"] == [("reminder", "a", 3), ("reminder", "a", 7)]

    @pytest.mark.parametrize("forged", [COMPLETE, EXPIRED])
    def test_of_the_day_of_an_end_that_did_not_last_are_sent_after_it(self, forged):
        world = begun("a")
        world.advance(3 * DAY - HOUR, reconcile=True)
        world.says(seen("a"), status=Status.EXPIRED if forged is EXPIRED else Status.OPEN)
        world.hear(forged)
        world.advance(2 * HOUR, reconcile=True)
        assert world.request().status in (Status.EXPIRED, Status.DISPUTED)
        world.says(seen("a"))
        world.hear(SENT, key="extended")
        world.advance(2 * DAY, reconcile=True)
        assert ("reminder", "a", 3) in world.told()

    def test_one_stray_answer_that_says_expired_silences_for_minutes(self):
        world = begun("a")
        world.advance(3 * DAY - MINUTE)
        world.says(seen("a"), status=Status.EXPIRED)
        world.resolve.recheck("r1")
        world.advance(2 * MINUTE)
        world.says(seen("a"))
        world.advance(30 * MINUTE, reconcile=True)
        assert ("reminder", "a", 3) in world.told()

    def test_are_not_sent_again_when_their_records_are_purged(self):
        world = begun("a", policy=Policy(reminder_days=(7, 60), retention_days=32))
        for _ in range(55):
            world.advance(DAY, reconcile=True)
            for place, (item, _) in list(world.ledger.documents.items()):
                if isinstance(item, NoticeRecord) and item.purge_at <= world.now:
                    del world.ledger.documents[place]
        assert len(world.sent()) == 2

    def test_of_one_request_are_published_once_each_and_cost_one_write(self):
        world = World(Policy(progress_to="none"))
        world.says(*(seen(f"s{n}", mobile=f"+13175550{n + 100}") for n in range(40)))
        world.hear(SENT)
        world.now += 3 * DAY + MINUTE
        written = dict(world.ledger.documents)
        before = len(world.bus.topics[world.names.notices_topic])
        for task in [t for t in world.scheduler.tasks.values() if t.at <= world.now]:
            world.remind.fire(msgspec.json.decode(task.body, type=Firing))
        assert len(world.bus.topics[world.names.notices_topic]) == before + 40
        changed = [d for place, d in world.ledger.documents.items() if written[place] != d]
        assert [version for _, version in changed] == [1 + max(version for _, version in written.values())]

    @pytest.mark.parametrize("wrong", [{"task": "x"}, {"signer": "x"}, {"request": "x"}, {"reminder_day": 5}])
    def test_only_the_task_that_the_state_names_is_obeyed(self, wrong):
        world = begun("a")
        key = world.signer("a")
        task = world.request().signers[key].reminders["3"].task
        firing = {"request": "r1", "signer": key, "reminder_day": 3, "task": task, **wrong}
        assert world.remind.fire(Firing(**firing)) == "not due"

    def test_a_task_before_its_time_comes_again_and_a_second_one_sends_nothing(self):
        world = begun("a")
        key = world.signer("a")
        reminder = world.request().signers[key].reminders["3"]
        firing = Firing("r1", key, 3, reminder.task)
        with pytest.raises(RetryLater, match="before its time"):
            world.remind.fire(firing)
        world.now = reminder.due_at - timedelta(seconds=1)
        assert [world.remind.fire(firing) for _ in range(2)] == ["published", "not due"]
        world.now = reminder.due_at
        calls = world.api.calls
        world.pump()
        assert [t for t in world.told() if t[0] == "reminder"] == [("reminder", "a", 3)]
        assert world.api.calls == calls + 1

    def test_a_task_is_not_obeyed_while_the_request_is_paused(self):
        world = begun("a")
        world.says(seen("a"), status=Status.PAUSED)
        world.advance(4 * DAY, reconcile=True)
        assert len(world.sent()) == 1
        world.says(seen("a"))
        world.advance(DAY, reconcile=True)
        assert [t for t in world.told() if t[0] == "reminder"] == [("reminder", "a", 3)]

    def test_steps_missed_in_an_outage_collapse_into_the_latest(self):
        world = begun("a")
        world.scheduler.tasks.clear()
        world.advance(8 * DAY)
        world.advance(2 * DAY, reconcile=True)
        assert [t for t in world.told() if t[0] == "reminder"] == [("reminder", "a", 7)]

    def test_a_lost_task_costs_one_look_more_not_one_a_minute(self):
        world = begun("a")
        world.scheduler.tasks.clear()
        world.advance(3 * DAY + HOUR, reconcile=True)
        calls = world.api.calls
        world.advance(2 * DAY, reconcile=True)
        assert ("reminder", "a", 3) in world.told()
        assert world.api.calls - calls < 10

    def test_the_api_is_asked_live_so_a_signature_just_made_is_not_reminded(self):
        world = begun("a", "b")
        world.says(seen("a", signed=True), seen("b"))
        world.advance(3 * DAY + MINUTE)
        assert [t for t in world.told() if t[0] == "reminder"] == [("reminder", "b", 3)]
        assert world.states("reminder").count(NoticeState.SUPPRESSED) == 1

    def test_wait_for_an_invitation_that_has_not_left(self):
        world = World()
        world.sms.always = RetryLater("down", after=6 * 3600)
        world.says(seen("a"))
        world.hear(SENT)
        world.advance(3 * DAY + MINUTE)
        assert world.states("reminder") == []
        assert any("reminder" in data.decode() for _, _, data in world.later)
        world.sms.always = None
        world.advance(17 * HOUR)  # it leaves after 6 hours at most
        assert world.told() == [("invitation", "a", 0)]
        world.advance(2 * DAY)
        assert world.told() == [("invitation", "a", 0), ("reminder", "a", 3)]

    def test_need_not_wait_for_an_invitation_that_will_never_come(self):
        world = World()
        world.sms.outcomes = [PermanentFailure("refused")]
        world.says(seen("a"))
        world.hear(SENT)
        world.advance(3 * DAY + MINUTE)
        assert world.told() == [("reminder", "a", 3)]

    def test_of_an_adopted_signer_wait_for_no_invitation(self):
        world = World()
        world.says(seen("a"))
        world.resolve.recheck("r1")
        world.advance(3 * DAY + MINUTE)
        assert world.told() == [("reminder", "a", 3)]


class TestOneAnswer:
    """The API's answer for one reminder serves the others of the minute, and is as good as a recheck."""

    def reminded(self, *changes: object) -> World:
        """At the time of the first reminder of two signers; the API has changed what it says since."""
        world = begun("a", "b")
        world.advance(3 * DAY - HOUR, reconcile=True)
        if changes:
            world.says(*changes)
        world.now = max(r.due_at for s in world.request().signers.values() for r in [s.reminders["3"]])
        return world

    def fire(self, world: World, signer: str) -> str:
        key = world.signer(signer)
        return world.remind.fire(Firing("r1", key, 3, world.request().signers[key].reminders["3"].task))

    def test_serves_all_signers_and_no_recheck_follows(self):
        world = self.reminded()
        calls = world.api.calls
        assert [self.fire(world, who) for who in "ab"] == ["published", "not due"]
        world.pump()
        assert sorted(who for kind, who, _ in world.told() if kind == "reminder") == ["a", "b"]
        assert world.api.calls == calls + 1
        assert world.request().checked_at == world.now
        assert world.request().next_at > world.now + HOUR

    def test_older_than_a_minute_serves_nobody(self):
        world = self.reminded()
        world.resolve.recheck("r1")
        world.now += MINUTE + timedelta(seconds=1)
        calls = world.api.calls
        self.fire(world, "a")
        world.pump()
        assert world.api.calls == calls + 1

    def test_with_news_brings_the_recheck_that_acts_on_it(self):
        world = self.reminded(seen("a", signed=True), seen("b"))
        before = world.request()
        self.fire(world, "a")
        world.pump()
        assert [who for kind, who, _ in world.told() if kind == "reminder"] == ["b"]
        assert world.request().next_at == world.now < before.next_at
        assert world.request().checked_at == before.checked_at
        world.reconcile.run()
        world.pump()
        assert ("progress", "b") in [(kind, who) for kind, who, _ in world.told()]

    def test_is_not_stored_while_the_last_change_may_not_have_been_told(self):
        world = self.reminded()
        world.says(seen("a", signed=True), seen("b"))
        world.resolve.recheck("r1")
        changed = world.request()
        world.now += 2 * MINUTE
        self.fire(world, "b")
        world.pump()
        assert world.request().checked_at == changed.checked_at

    def test_is_not_stored_while_it_brings_a_later_reminder_into_reach(self):
        world = begun("a", policy=Policy(reminder_days=(3, 31)))
        made = len(world.scheduler.tasks)
        world.now = world.request().signers[world.signer("a")].reminders["3"].due_at
        self.fire(world, "a")
        world.pump()
        world.advance(HOUR, reconcile=True)
        assert len(world.scheduler.tasks) == made
        assert ("reminder", "a", 3) in world.told()

    def test_a_reminder_that_no_task_published_is_still_looked_after(self):
        world = self.reminded()
        world.advance(3 * MINUTE, reconcile=True)
        assert sorted(who for kind, who, _ in world.told() if kind == "reminder") == ["a", "b"]
