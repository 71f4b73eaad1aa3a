"""The timeline says why each message was or was not sent."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.errors import OutcomeUnknown, PermanentFailure
from shared.domain.model import ChannelName, EventType, NoticeState, Status
from shared.domain.policy import Policy
from shared.domain.timeline import Moment, answers, timeline
from shared.services.operator_actions import OperatorActions, Why
from tests.fakes import World, seen

SENT, SIGNED, COMPLETE, EXPIRED = EventType
DAY = timedelta(days=1)


def moments(world: World) -> list[Moment]:
    return timeline(world.request(), world.ledger.records("r1"), world.now, world.policy)


def told(world: World, mark: str) -> list[tuple[str, str]]:
    return [(m.what, m.why) for m in moments(world) if m.mark == mark]


def sent(*signers, policy: Policy | None = None) -> World:
    world = World(policy)
    world.says(*signers)
    world.hear(SENT)
    return world


def test_the_whole_life_stands_there_in_its_order():
    world = sent(seen("a"), seen("b"))
    world.advance(4 * DAY)
    world.says(seen("a", signed=True), seen("b"))
    world.hear(SIGNED, "a")
    world.says(seen("a", signed=True), seen("b", signed=True), status=Status.COMPLETE)
    world.hear(COMPLETE)
    found = moments(world)
    assert [m.at for m in found] == sorted(m.at for m in found)
    of_b = [m.what for m in found if m.signer == world.signer("b") and m.mark]
    assert of_b == [
        "Invitation planned",
        "Invitation by SMS: taken by sms",
        "Reminder of day 3 by SMS: taken by sms",
        "Progress about signer 1 by SMS: taken by sms",
        "Signed",
        "Completion by SMS: taken by sms",
        "Reminder of day 7 called off",
        "Reminder of day 14 called off",
    ]


@pytest.mark.parametrize(
    ("outcome", "what", "why"),
    [
        (PermanentFailure("landline"), "Invitation by SMS: failed", "landline"),
        (OutcomeUnknown("no answer"), "Invitation by SMS: may have left: the answer was lost", "no answer"),
    ],
)
def test_a_text_that_did_not_arrive_says_why(outcome, what, why):
    world = World()
    world.says(seen("a"))
    world.sms.outcomes = [outcome]
    world.hear(SENT)
    assert told(world, "failed") == [(what, why)]


def test_a_message_that_stood_in_for_the_other_channel_says_so():
    world = World(Policy(channels="sms-first"))
    world.says(seen("a", email="a@example.com"))
    world.sms.outcomes = [PermanentFailure("landline")]
    world.hear(SENT)
    assert told(world, "sent") == [("Invitation by e-mail, as the other channel failed: taken by email", "")]


def test_a_notice_that_nobody_has_begun_is_said_to_wait():
    world = World()
    world.says(seen("a"))
    request = world.resolve._merged("r1", None, world.event(SENT)).request
    (waiting,) = [m for m in timeline(request, {}, world.now, world.policy) if m.mark == "waiting"]
    assert waiting.what == "Invitation by SMS: not begun yet"
    assert "queue" in waiting.why
    paused = replace(request, status=Status.PAUSED)
    (waiting,) = [m for m in timeline(paused, {}, world.now, world.policy) if m.mark == "waiting"]
    assert waiting.why == "the request is paused"


def test_reminders_ahead_are_due_and_those_past_are_not_repeated():
    world = sent(seen("a"))
    assert [m.what for m in moments(world) if m.mark == "due"] == [f"Reminder of day {n} due" for n in (3, 7, 14)]
    world.advance(8 * DAY)
    assert [m.what for m in moments(world) if m.mark == "due"] == ["Reminder of day 14 due"]
    assert told(world, "cancelled") == []


def called_off(world: World) -> set[str]:
    return {why for _, why in told(world, "cancelled")}


def test_a_reminder_called_off_says_why():
    signed = sent(seen("a"), seen("b"))
    signed.says(seen("a", signed=True), seen("b"))
    signed.hear(SIGNED, "a")
    assert called_off(signed) == {"signed by then"}

    expired = sent(seen("a"))
    expired.says(seen("a"), status=Status.EXPIRED)
    expired.hear(EXPIRED)
    assert called_off(expired) == {"the request is expired"}

    left = sent(seen("a"), seen("b"))
    left.says(seen("b"))
    left.advance(timedelta(hours=2), reconcile=True)
    assert called_off(left) == {"no longer on the request"}

    stopped = sent(seen("a"))
    operate = OperatorActions(stopped.ledger, stopped.publisher, stopped.policy, stopped.clock)
    operate.stop("r1", Why("ops@example.com", "the signer asked for it"))
    assert called_off(stopped) == {"an operator has stopped the reminders"}
    notes = [(m.what, m.why) for m in moments(stopped) if m.what.startswith("Operator")]
    assert notes == [("Operator: reminders stopped", "ops@example.com: the signer asked for it")]


def test_an_adopted_request_says_that_nobody_is_invited():
    world = World()
    world.says(seen("a"), created_at=world.now - 5 * DAY)
    world.resolve.recheck("r1")
    (answer,) = answers(world.request().signers, moments(world), world.now)
    assert called_off(world) == {"it was past when it could have been planned"}
    assert answer.next is not None
    assert answer.next.what == "Reminder of day 7 due"


def test_each_signer_gets_an_answer_with_the_last_message_of_each_channel_and_what_is_next():
    world = World()
    world.says(seen("a", email="a@example.com"), seen("b"))
    world.sms.outcomes = [PermanentFailure("landline")]
    world.hear(SENT)
    first, second = answers(world.request().signers, moments(world), world.now)
    assert {m.record.channel: m.record.state for m in first.last if m.record} == {
        ChannelName.SMS: NoticeState.FAILED,
        ChannelName.EMAIL: NoticeState.ACCEPTED,
    }
    assert second.next is not None
    assert second.next.what == "Reminder of day 3 due"


def test_what_is_doubted_or_missing_is_told():
    world = sent(seen("a"))
    key = world.signer("a")
    gone = replace(world.request().signers[key], missing_since=world.now, signed_at=world.now)
    request = replace(
        world.request(), signers={key: gone}, unconfirmed_since=world.now, not_found_since=world.now, purge_at=world.now
    )
    told = {m.what for m in timeline(request, {}, world.now, world.policy)}
    assert told >= {
        "Missing in the API's answer",
        "The API calls a signature undone",
        "The API answers 404",
        "Personal data is deleted",
    }
