"""The timeline says why each message was or was not sent."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.errors import OutcomeUnknown, PermanentFailure
from shared.domain.model import (
    ChannelName,
    EventType,
    Kind,
    Note,
    NoticeRecord,
    NoticeState,
    Request,
    Signer,
    SignerState,
    Status,
    Transition,
)
from shared.domain.policy import Policy
from shared.domain.signing_order import steps
from shared.domain.timeline import Moment, answers, timeline
from shared.domain.verdict import ADOPTED
from shared.services.operator_actions import OperatorActions, Why
from tests.fakes import START, World, seen

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
    world.now = world.request().signers[world.signer("a")].reminders["3"].due_at
    assert [m.what for m in moments(world) if m.mark == "due"] == [f"Reminder of day {n} due" for n in (7, 14)]
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
    assert called_off(expired) == {"the request has expired"}

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
    (answer,) = answers(world.request().signers, moments(world))
    assert called_off(world) == {"it was past when it could have been planned"}
    assert answer.next is not None
    assert answer.next.what == "Reminder of day 7 due"


def test_each_signer_gets_an_answer_with_the_last_message_of_each_channel_and_what_is_next():
    world = World()
    world.says(seen("a", email="a@example.com"), seen("b"))
    world.sms.outcomes = [PermanentFailure("landline")]
    world.hear(SENT)
    first, second = answers(world.request().signers, moments(world))
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


MINUTE = timedelta(minutes=1)
CHANGED = {
    "created_at": START - MINUTE,
    "events": {"e1": START, "e2": START, "e3": START + MINUTE, "e4": START + 2 * MINUTE},
    "event_types": {"e1": SIGNED, "e2": SIGNED, "e3": SENT},
    "completed_at": START + 3 * MINUTE,
    "unconfirmed_since": START + 4 * MINUTE,
    "not_found_since": START + 5 * MINUTE,
    "notes": (Note(at=START + 6 * MINUTE, who="ann@x.org", what="reminders stopped", why="asked"),),
    "next_at": START + 8 * MINUTE,
    "purge_at": START + timedelta(days=1) + 9 * MINUTE,
}


def test_what_happened_to_a_request_is_told_in_its_own_words():
    found = timeline(Request(id="r1", **CHANGED), {}, START + 7 * MINUTE, Policy())
    assert [(int((m.at - START) / MINUTE), m.what, m.why) for m in found] == [
        (-1, "Created at Clickwrap", ""),
        (0, "2 × webhook request_signed handled", ""),
        (1, "Webhook request_sent handled", ""),
        (2, "Webhook handled", ""),
        (3, "Complete", "everyone has signed"),
        (4, "The API calls a signature undone", "a second reading will decide"),
        (5, "The API answers 404", "it knows no such request"),
        (6, "Operator: reminders stopped", "ann@x.org: asked"),
        (8, "The API is asked again", "makes up for what was lost"),
        (9, "Personal data is deleted", "the request has ended"),
    ]
    assert {(m.signer, m.mark, m.answer, m.notice, m.record) for m in found} == {("", "", "", "", None)}
    past = timeline(Request(id="r1", next_at=START, adopted=True), {}, START, Policy())
    assert past == []


def test_of_an_ended_request_the_last_recheck_is_told_as_what_it_is_the_deletion():
    due = START + 89 * DAY
    ended = Request(id="r1", purge_at=due + DAY, next_at=due)
    assert [(m.at, m.what) for m in timeline(ended, {}, START, Policy())] == [(due, "Personal data is deleted")]


def test_a_request_whose_data_was_deleted_is_not_asked_about_again():
    left = Request(id="r1", forgotten=True, next_at=START + MINUTE)
    assert [m.what for m in timeline(left, {}, START, Policy())] == ["What was written meanwhile is deleted too"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, []),
        ({"invited_at": START}, [("Invitation planned", "", "invited")]),
        (
            {"invited_at": START, "adopted": True},
            [("Counts as invited", ADOPTED, "")],
        ),
        ({"signed_at": START, "confirmed": True}, [("Signed", "the API says so", "signed")]),
        ({"signed_at": START}, [("Signed", "a webhook says so, the API does not yet", "signed")]),
        (
            {"missing_since": START},
            [("Missing in the API's answer", "a second reading will decide whether this signer has left", "")],
        ),
    ],
)
def test_what_happened_to_a_signer_is_told_under_their_key(fields, told):
    request = Request(id="r1", signers={"k": Signer(number=1, state=SignerState.WAITING, **fields)})
    found = timeline(request, {}, START, Policy(reminder_days=()))
    assert [(m.at, m.what, m.why, m.mark, m.signer) for m in found] == [(START, *one, "k") for one in told]


def test_each_step_of_a_message_is_told_and_its_last_one_holds_the_record():
    history = (
        Transition(at=START, state=NoticeState.PLANNED, why="busy", status=503, milliseconds=40),
        Transition(at=START + MINUTE, state=NoticeState.SENDING),
        Transition(at=START + 2 * MINUTE, state=NoticeState.UNDELIVERED, why="barred"),
    )
    record = NoticeRecord(
        request_id="r1",
        signer="k",
        kind=Kind.INVITATION,
        channel=ChannelName.EMAIL,
        round=1,
        state=NoticeState.UNDELIVERED,
        instead_of="n0",
        history=history,
    )
    found = timeline(Request(id="r1"), {"n1": record}, START, Policy())
    name = "Invitation by e-mail, as the other channel failed"
    assert found == [
        Moment(at=START, what=f"{name}: to be tried again", why="busy", answer="HTTP 503 after 40 ms", signer="k"),
        Moment(at=START + MINUTE, what=f"{name}: handed to the provider", signer="k"),
        Moment(
            at=START + 2 * MINUTE,
            what=f"{name}: did not arrive",
            why="barred",
            signer="k",
            mark="failed",
            notice="n1",
            record=record,
        ),
    ]
    assert [m.because for m in found] == ["busy; HTTP 503 after 40 ms", "", "barred"]


def test_it_can_be_asked_for_some_of_the_signers_only():
    world = sent(seen("a"), seen("b"))
    a, b = world.signer("a"), world.signer("b")
    waiting = replace(world.request(), purge_at=world.now)
    found = timeline(waiting, {}, world.now, world.policy, only=[b])
    assert {m.signer for m in found} == {"", b}
    assert {m.signer for m in timeline(waiting, {}, world.now, world.policy)} == {"", a, b}
    (invitation,) = [m for m in found if m.mark == "waiting"]
    assert (invitation.what, invitation.signer) == ("Invitation by SMS: not begun yet", b)


@pytest.mark.parametrize("status", [Status.PAUSED, Status.DISPUTED])
def test_a_reminder_that_waits_for_a_pause_or_a_dispute_is_not_called_off(status):
    world = sent(seen("a"))
    waiting = replace(world.request(), status=status)
    found = [m for m in timeline(waiting, {}, world.now, world.policy) if m.what.startswith("Reminder")]
    assert [m.what for m in found] == [f"Reminder of day {day} due" for day in (3, 7, 14)]
    assert {m.why for m in found} == {f"it waits while the request is {status}"}


def test_the_next_thing_of_a_signer_is_their_first_reminder_ahead():
    world = sent(seen("a"), seen("b"))
    world.advance(4 * DAY)
    keys = [world.signer("b"), world.signer("a"), "nobody"]
    first, second, nobody = answers(keys, moments(world))
    assert [first.signer, second.signer, nobody.signer] == keys
    assert [one.next and one.next.what for one in (first, second)] == ["Reminder of day 7 due"] * 2
    assert [m.what for m in first.last] == ["Reminder of day 3 by SMS: taken by sms"]
    assert (nobody.last, nobody.next) == ((), None)


@pytest.mark.parametrize(
    ("signer", "request_", "why"),
    [
        ({"state": SignerState.REMOVED}, {}, "no longer on the request"),
        ({"state": SignerState.SIGNED}, {}, "signed by then"),
        ({}, {"status": Status.GONE}, "Clickwrap no longer knows the request"),
        ({}, {"reminders_stopped": True}, "an operator has stopped the reminders"),
        ({"invited_at": START - 3 * DAY}, {}, "it was past when it could have been planned"),
        ({"invited_at": START - 3 * DAY + MINUTE}, {}, "no longer planned"),
    ],
)
def test_each_reminder_that_is_not_planned_is_called_off_with_a_reason(signer, request_, why):
    one = Signer(**{"number": 1, "state": SignerState.INVITED, "invited_at": START - DAY, **signer})
    request = Request(id="r1", signers={"k": one}, **request_)
    found = timeline(request, {}, START, Policy(reminder_days=(3,), window=None))
    called = [m for m in found if m.mark == "cancelled"]
    assert [(m.at, m.what, m.why, m.signer) for m in called] == [
        (one.invited_at + 3 * DAY, "Reminder of day 3 called off", why, "k")
    ]


def test_a_reminder_is_called_off_at_the_time_at_which_it_was_planned():
    signer = Signer(number=1, state=SignerState.SIGNED, invited_at=START - timedelta(hours=5))  # at night
    policy = Policy(reminder_days=(3,), spread=timedelta(hours=2))
    (called,) = [
        m for m in timeline(Request(id="r1", signers={"k": signer}), {}, START, policy) if m.mark == "cancelled"
    ]
    assert called.at == steps("r1", signer, policy)[3]


@pytest.mark.parametrize(
    ("fields", "called"), [({}, 0), ({"signer": "j"}, 1), ({"kind": Kind.INVITATION}, 1), ({"round": 2}, 1)]
)
def test_a_reminder_that_has_begun_is_not_called_off(fields, called):
    signer = Signer(number=1, state=SignerState.SIGNED, invited_at=START)
    given = {"request_id": "r1", "signer": "k", "kind": Kind.REMINDER, "reminder_day": 3, "round": 1}
    record = NoticeRecord(**{**given, "channel": ChannelName.SMS, "state": NoticeState.ACCEPTED, **fields})
    found = timeline(Request(id="r1", signers={"k": signer}), {"n": record}, START, Policy(reminder_days=(3,)))
    assert len([m for m in found if m.mark == "cancelled"]) == called
