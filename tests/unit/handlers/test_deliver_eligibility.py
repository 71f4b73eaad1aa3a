"""Notices that are no longer due when `deliver` gets them, or not yet."""

import pytest

from shared.domain.errors import RetryLater
from shared.domain.model import NoticeState, Request, Role, Status
from shared.domain.policy import Policy
from tests.fakes import Crash, World, seen
from tests.lifecycles import COMPLETE, DAY, HOUR, MINUTE, SENT, begun, sign


class TestEligibility:
    def test_a_notice_that_is_no_longer_due_is_recorded_with_its_reason(self):
        world = World()
        world.says(seen("a"), seen("b"))
        world.sms.always = RetryLater("down")
        world.hear(SENT)
        sign(world, "ab", "a")
        world.sms.always = None
        world.advance(HOUR)
        suppressed = [r.reason for r in world.records() if r.state is NoticeState.SUPPRESSED]
        assert suppressed == ["already signed"]

    @pytest.mark.parametrize("away", [[], [seen("a", mobile="+13175550199")], [seen("a", role=Role.RECIPIENT)]])
    @pytest.mark.parametrize("begun", [False, True])
    def test_who_was_gone_while_it_waited_is_invited_once_they_are_back(self, away, begun):
        """The notice has the same id as before: a record that says "suppressed" would keep it from ever leaving."""
        world = World()
        world.sms.outcomes = [RetryLater("busy", after=600)] * 2 * begun
        world.says(seen("a"), seen("b"))
        world.resolve.event(world.event(SENT))
        if begun:
            world.pump()
        world.says(seen("a"), seen("b"), status=Status.PAUSED)
        world.now += 2 * MINUTE
        world.pump()
        world.says(*away, seen("b"), status=Status.PAUSED)
        world.advance(8 * HOUR, reconcile=True)
        world.says(seen("a"), seen("b"))
        world.advance(2 * DAY, reconcile=True)
        assert sorted(m.to for m in world.sent()) == ["+13175550101", "+13175550102"]

    def test_one_left_in_sending_and_no_longer_due_ends_as_unknown_too(self):
        world = World()
        world.says(seen("a"), seen("b"))
        send, world.sms.send = world.sms.send, lambda message: (_ for _ in ()).throw(Crash())
        with pytest.raises(Crash):
            world.hear(SENT)
        world.sms.send = send
        world.says(seen("a", signed=True), seen("b", signed=True), status=Status.COMPLETE)
        world.hear(COMPLETE)
        world.advance(3 * MINUTE)
        assert world.states("invitation").count(NoticeState.UNKNOWN) == 1
        assert NoticeState.SENDING not in world.states("invitation")

    def test_one_too_late_has_failed(self):
        world = begun("a", policy=Policy(reminder_days=(30,)))
        world.sms.sent.clear()
        stale = world.bus.topics[world.names.notices_topic][0]
        world.ledger.documents = {k: v for k, v in world.ledger.documents.items() if k[0] is Request}
        world.now += 8 * DAY
        world.bus.pending.append((world.names.notices_topic, stale.data))
        world.pump()
        assert [(r.state, r.reason) for r in world.records()] == [(NoticeState.FAILED, "too late")]

    def test_a_paused_request_holds_its_notices_back(self):
        world = World()
        world.says(seen("a"), seen("b"))
        world.sms.outcomes = [RetryLater("down", after=90)] * 2
        world.hear(SENT)
        world.says(seen("a"), seen("b"), status=Status.PAUSED)
        world.advance(2 * HOUR, reconcile=True)
        assert world.told() == []
        world.says(seen("a"), seen("b"))
        world.advance(4 * HOUR, reconcile=True)
        assert len(world.told()) == 2

    def test_a_wait_does_not_revive_what_has_left(self):
        world = begun("a")
        notice = world.bus.topics[world.names.notices_topic][0]
        world.says(seen("a"), status=Status.PAUSED)
        world.resolve.recheck("r1")
        world.bus.pending.append((world.names.notices_topic, notice.data))
        world.pump()
        assert world.later == []

    def test_a_reading_that_found_nothing_does_not_count_as_one(self):
        world = World()
        world.says(seen("a"), seen("b"))
        world.resolve.event(world.event(SENT))
        world.now += 10 * MINUTE
        world.api.truth.clear()
        world.resolve.recheck("r1")
        world.says(seen("a", signed=True), seen("b"))
        world.pump()
        assert ("invitation", "a", 0) not in world.told()
        assert ("invitation", "b", 0) in world.told()

    def test_an_invitation_older_than_a_minute_asks_the_api_again(self):
        world = World()
        world.says(seen("a"), seen("b"))
        world.sms.always = RetryLater("down", after=90)
        world.hear(SENT)
        world.api.truth.clear()
        world.sms.always = None
        world.advance(2 * MINUTE)
        assert world.told() == []
        world.says(seen("a", signed=True), seen("b"))
        world.advance(10 * MINUTE)
        assert world.told() == [("invitation", "b", 0)]

    def test_a_notice_of_a_request_that_the_ledger_does_not_hold_is_given_up(self):
        world = begun("a")
        world.ledger.documents.clear()
        world.bus.pending.append((world.names.notices_topic, world.bus.topics[world.names.notices_topic][0].data))
        world.pump()
        assert world.dead == [(world.names.notices_topic, "the ledger holds no such request")]
