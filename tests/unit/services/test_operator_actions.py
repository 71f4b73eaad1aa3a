"""An operator's actions: what they do, what they refuse, and that they are recorded."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.eligibility import Send, Suppress, evaluate
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import (
    ChannelName,
    EventType,
    Kind,
    NoticeRecord,
    NoticeState,
    Status,
    Suppression,
)
from shared.domain.planner import notice_for, notices, tasks
from shared.domain.policy import Policy, address_key
from shared.services.operator_actions import ActionRefused, OperatorActions, Why
from tests.fakes import PHONES, Crash, World, seen

DAY = timedelta(days=1)
CORRECTED = "+13175550199"
WHY = Why("ops@example.com", "the signer got nothing")


@pytest.fixture
def world() -> World:
    """Both invited; the text to a was refused by the carrier."""
    world = World()
    world.says(seen("a"), seen("b"))
    world.sms.outcomes = [PermanentFailure("refused by the carrier")]
    world.hear(EventType.SENT)
    assert sorted(r.state for r in world.records()) == [NoticeState.ACCEPTED, NoticeState.FAILED]
    return world


def operate(world: World) -> OperatorActions:
    return OperatorActions(world.ledger, world.publisher, world.policy, world.clock)


def key_of(world: World, state: NoticeState) -> str:
    return next(k for k, r in world.ledger.all(NoticeRecord).items() if r.state is state)


class TestResend:
    def test_sends_the_notice_once_more_and_leaves_the_first_as_it_was(self, world):
        first = key_of(world, NoticeState.FAILED)
        operate(world).resend("r1", first, WHY)
        world.pump()
        assert world.told() == [("invitation", "a", 0), ("invitation", "b", 0)]
        assert sorted(world.states("invitation")) == ["accepted", "accepted", "failed"]
        assert key_of(world, NoticeState.FAILED) == first

    def test_goes_to_the_signers_present_address(self, world):
        first = key_of(world, NoticeState.FAILED)
        world.says(seen("a", signed=True, mobile=CORRECTED), seen("b", signed=True), status=Status.COMPLETE)
        world.hear(EventType.COMPLETE)
        done = next(k for k, r in world.ledger.all(NoticeRecord).items() if r.kind is Kind.COMPLETION)
        assert "signed" in operate(world).refusal(world.request(), first, world.ledger.all(NoticeRecord)[first])
        world.says(seen("a", signed=True), seen("b", signed=True), status=Status.COMPLETE)
        world.advance(10 * DAY, reconcile=True)
        sent = len(world.sent())
        operate(world).resend("r1", done, WHY)
        world.pump()
        assert [m.to for m in world.sent()[sent:]] == [PHONES["a"]]
        with pytest.raises(ActionRefused, match="already"):
            operate(world).resend("r1", done, WHY)

    def test_is_recorded_with_who_and_why(self, world):
        first = key_of(world, NoticeState.FAILED)
        operate(world).resend("r1", first, WHY)
        (note,) = world.request().notes
        assert (note.who, note.why, note.at) == (WHY.who, WHY.why, world.now)
        assert note.what == f"sent once more: notice {first[:12]}"  # as the request's page names it

    def test_is_refused_a_second_time_for_the_same_notice(self, world):
        first = key_of(world, NoticeState.FAILED)
        operate(world).resend("r1", first, WHY)
        with pytest.raises(ActionRefused, match="already"):
            operate(world).resend("r1", first, WHY)
        world.pump()
        assert len(world.sent()) == 2

    def test_can_be_repeated_for_the_notice_that_came_of_it(self, world):
        world.sms.outcomes = [PermanentFailure("refused again")]
        operate(world).resend("r1", key_of(world, NoticeState.FAILED), WHY)
        world.pump()
        newest = next(r.notice.notice for r in world.request().resends)
        operate(world).resend("r1", newest, WHY)
        world.pump()
        assert world.told() == [("invitation", "a", 0), ("invitation", "b", 0)]

    def test_is_sent_long_after_the_first_would_have_been_too_late(self, world):
        world.advance(10 * DAY)
        before = len(world.sent())
        operate(world).resend("r1", key_of(world, NoticeState.FAILED), WHY)
        world.pump()
        assert len(world.sent()) == before + 1

    def test_passes_the_gates_like_any_other(self, world):
        world.says(seen("a", signed=True), seen("b"))
        world.hear(EventType.SIGNED, "a")
        with pytest.raises(ActionRefused, match="already signed"):
            operate(world).resend("r1", key_of(world, NoticeState.FAILED), WHY)
        assert world.request().notes == ()

    def test_stopped_by_the_gates_after_all_is_suppressed(self, world):
        operate(world).resend("r1", key_of(world, NoticeState.FAILED), WHY)
        world.says(seen("a", signed=True), seen("b"))
        notice = world.bus.pending.pop()
        world.hear(EventType.SIGNED, "a")
        world.bus.pending.append(notice)
        world.pump()
        assert sorted(world.states("invitation")) == ["accepted", "failed", "suppressed"]

    def test_of_what_is_still_being_tried_is_refused(self, world):
        world.sms.always = RetryLater("busy")
        operate(world).resend("r1", key_of(world, NoticeState.FAILED), WHY)
        world.pump()
        with pytest.raises(ActionRefused, match="still being tried"):
            operate(world).resend("r1", key_of(world, NoticeState.PLANNED), WHY)

    def test_to_a_blocked_address_is_refused_until_it_is_cleared(self, world):
        key = address_key(ChannelName.SMS, PHONES["a"], Policy())
        world.ledger.put(key, Suppression(channel=ChannelName.SMS, reason="opted out", since=world.now), None)
        first = key_of(world, NoticeState.FAILED)
        with pytest.raises(ActionRefused, match="opted out"):
            operate(world).resend("r1", first, WHY)
        operate(world).clear(key, WHY)
        operate(world).resend("r1", first, WHY)
        world.pump()
        assert len(world.sent()) == 2

    @pytest.mark.parametrize(("request_id", "notice"), [("nope", ""), ("r1", "nope")])
    def test_of_what_is_not_there_is_refused(self, world, request_id, notice):
        with pytest.raises(ActionRefused, match="no such"):
            operate(world).resend(request_id, notice, WHY)

    def test_of_an_older_round_is_refused(self, world):
        first = key_of(world, NoticeState.FAILED)
        version = world.ledger.get(type(world.request()), "r1").version
        world.ledger.put("r1", replace(world.request(), round=2), version)
        with pytest.raises(ActionRefused, match="new signing round"):
            operate(world).resend("r1", first, WHY)

    def test_of_one_who_has_left_is_refused(self, world):
        world.says(seen("b"))
        first = key_of(world, NoticeState.FAILED)
        record = world.ledger.get(NoticeRecord, first).item
        request = replace(world.request(), signers={})
        assert operate(world).refusal(request, first, record) == "the signer is no longer on the request"

    def test_after_a_crash_between_commit_and_echo_is_healed_within_minutes(self, world):
        world.faults.at = world.faults.count + 7  # right after the commit
        with pytest.raises(Crash):
            operate(world).resend("r1", key_of(world, NoticeState.FAILED), WHY)
        assert world.request().resends
        assert len(world.sent()) == 1
        world.advance(timedelta(minutes=11), reconcile=True)
        assert world.told() == [("invitation", "a", 0), ("invitation", "b", 0)]

    def test_leaves_the_ids_of_a_later_round_alone(self, world):
        operate(world).resend("r1", key_of(world, NoticeState.FAILED), WHY)
        request = replace(world.request(), round=2)
        plain = replace(request, resends=())
        assert notices(request, world.now, Policy()) == notices(plain, world.now, Policy())


class TestReminders:
    def test_stopped_none_leaves_and_no_task_is_left(self, world):
        operate(world).stop("r1", WHY)
        assert world.scheduler.tasks == {}
        assert tasks(world.request(), world.now, world.policy) == {}
        world.advance(20 * DAY, reconcile=True)
        assert world.states("reminder") == []

    def test_stopped_one_on_its_way_is_suppressed(self, world):
        stopped = replace(world.request(), reminders_stopped=True)
        notice = notice_for(stopped, world.signer("b"), Kind.REMINDER, ChannelName.SMS, reminder_day=3)
        assert evaluate(stopped, notice, world.now, world.policy) == Suppress("an operator has stopped the reminders")
        assert evaluate(world.request(), notice, world.now, world.policy) == Send()

    def test_resumed_those_ahead_are_sent_and_those_missed_are_not(self, world):
        operate(world).stop("r1", WHY)
        world.advance(5 * DAY, reconcile=True)
        operate(world).resume("r1", WHY)
        world.advance(15 * DAY, reconcile=True)
        told = [(who, step) for kind, who, step in world.told() if kind == "reminder"]
        assert told == [("a", 7), ("a", 14), ("b", 7), ("b", 14)]
        assert [n.what for n in world.request().notes] == ["reminders stopped", "reminders resumed"]

    def test_of_a_request_that_a_signer_joins_stay_stopped(self, world):
        operate(world).stop("r1", WHY)
        world.says(seen("a"), seen("b"), seen("c"))
        world.hear(EventType.SENT, key="again")
        assert ("invitation", "c", 0) in world.told()
        world.advance(20 * DAY, reconcile=True)
        assert world.states("reminder") == []

    def test_stopped_twice_or_resumed_without_a_stop_is_refused(self, world):
        with pytest.raises(ActionRefused):
            operate(world).resume("r1", WHY)
        operate(world).stop("r1", WHY)
        with pytest.raises(ActionRefused):
            operate(world).stop("r1", WHY)

    def test_of_an_ended_request_cannot_be_stopped(self, world):
        world.says(seen("a", signed=True), seen("b", signed=True), status=Status.COMPLETE)
        world.hear(EventType.COMPLETE)
        with pytest.raises(ActionRefused):
            operate(world).stop("r1", WHY)


def test_a_cleared_address_says_who_cleared_it_and_why(world):
    world.ledger.put("k", Suppression(channel=ChannelName.SMS, reason="opted out", since=world.now), None)
    operate(world).clear("k", WHY)
    cleared = world.ledger.get(Suppression, "k").item
    assert (cleared.cleared_at, cleared.cleared_by, cleared.cleared_why) == (world.now, WHY.who, WHY.why)
    with pytest.raises(ActionRefused):
        operate(world).clear("k", WHY)


@pytest.mark.parametrize("reason", ["", "  "])
def test_nothing_is_done_without_a_reason(reason):
    with pytest.raises(ValueError, match="reason"):
        Why("ops@example.com", reason)


def test_an_address_that_somebody_else_changes_meanwhile_is_left_alone(world):
    world.ledger.put("k", Suppression(channel=ChannelName.SMS, reason="opted out", since=world.now), None)
    world.ledger.races = 1
    with pytest.raises(ActionRefused, match="reload the page"):
        operate(world).clear("k", WHY)


def test_those_who_have_signed_get_no_reminder_back(world):
    operate(world).stop("r1", WHY)
    world.says(seen("a", signed=True), seen("b"))
    world.hear(EventType.SIGNED, "a")
    operate(world).resume("r1", WHY)
    assert world.request().signers[world.signer("a")].reminders == {}
    assert world.request().signers[world.signer("b")].reminders


def test_a_lost_race_is_run_again_and_many_are_a_retry(world):
    world.ledger.races = 2
    operate(world).stop("r1", WHY)
    world.ledger.races = 99
    with pytest.raises(RetryLater):
        operate(world).resume("r1", WHY)
