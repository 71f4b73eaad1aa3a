"""What else the sender is told, where SENDER_COPIES asks for it: signed, complete, expired; each once."""

import pytest
from msgspec.structs import replace

from shared.domain.errors import OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.kinds import COPIES
from shared.domain.model import ChannelName, NoticeState, Status
from shared.domain.policy import Policy
from shared.settings.messages import SENDER_COPIES
from tests.fakes import Crash, World, seen
from tests.lifecycles import COMPLETE, DAY, HOUR, MINUTE, SENT, SIGNED

SENDER = "ann@acme.test"
EXPIRED = "request_expired"


def copying(copies: str, **fields) -> World:
    return World(Policy(sender_copies=SENDER_COPIES.parse(copies), **fields))


def says(world: World, *signed: str, status: Status = Status.OPEN, **fields) -> None:
    world.says(*(seen(name, signed=name in signed) for name in "ab"), status=status, sender_email=SENDER, **fields)


def mails(world: World) -> list[str]:
    return [m.text for m in world.email.sent if m.to == SENDER]


def completed(world: World) -> World:
    says(world)
    world.hear(SENT)
    says(world, "a")
    world.hear(SIGNED, "a")
    says(world, "a", "b", status=Status.COMPLETE)
    world.hear(SIGNED, "b")
    world.hear(COMPLETE)
    world.advance(2 * HOUR, reconcile=True)
    return world


@pytest.mark.parametrize(
    ("copies", "expected"),
    [
        ("", []),
        ("signed", ["copy_signed 1"]),
        ("complete", ["copy_complete 0"]),
        ("expired", []),
        ("signed, complete, expired", ["copy_signed 1", "copy_complete 0"]),
    ],
)
def test_the_sender_of_a_request_that_is_completed_is_told_what_they_asked_for(copies, expected):
    assert mails(completed(copying(copies))) == expected


@pytest.mark.parametrize("value", ["sent", "signed;complete", "SIGNED"])
def test_another_word_is_refused(value):
    with pytest.raises(KeyError):
        SENDER_COPIES.parse(value)


def test_a_request_that_expires_is_told_once_and_one_that_was_met_so_never():
    world = copying("expired")
    says(world)
    world.hear(SENT)
    for status in (Status.EXPIRED, Status.OPEN, Status.EXPIRED):
        says(world, status=status)
        world.advance(2 * DAY, reconcile=True)
    assert mails(world) == ["copy_expired 0"]
    met = copying("expired,complete")
    says(met, status=Status.EXPIRED)
    met.hear(EXPIRED)
    met.advance(DAY, reconcile=True)
    assert mails(met) == []


def test_a_copy_that_is_not_so_any_more_or_too_late_is_not_sent():
    world = copying("expired")
    says(world)
    world.hear(SENT)
    world.email.always = RetryLater("503", after=3_600.0)
    says(world, status=Status.EXPIRED)
    world.hear(EXPIRED)
    says(world)
    world.advance(2 * HOUR, reconcile=True)
    world.email.always = None
    world.advance(DAY, reconcile=True)
    assert (mails(world), world.states("copy_expired")) == ([], [NoticeState.SUPPRESSED])


@pytest.mark.parametrize(
    ("fields", "api", "states"),
    [
        ({"sender_fallback": "team@x.org"}, SENDER, ["accepted"]),
        ({}, "", ["suppressed"]),
        ({"available": frozenset({ChannelName.SMS})}, SENDER, []),
    ],
)
def test_it_takes_an_address_and_a_provider_of_mail(fields, api, states):
    world = copying("complete", **fields)
    completed(world) if api else None
    if not api:
        world.says(seen("a"))
        world.hear(SENT)
        world.says(seen("a", signed=True), status=Status.COMPLETE)
        world.hear(COMPLETE)
    assert world.states("copy_complete") == states


def test_a_copy_that_its_sender_cannot_get_begins_no_mail_about_it():
    world = copying("complete", tell_sender=True)
    world.email.always = PermanentFailure("no such mailbox", suppress=True)
    completed(world)
    assert (world.states("copy_complete"), world.states("unreached")) == (["failed"], [])


def test_no_other_system_hears_of_a_copy():
    world = completed(copying("signed,complete"))
    assert "" not in {e["data"]["signer"] for e in world.events("notice")}


def test_a_lost_answer_is_not_tried_again():
    world = copying("complete")
    world.email.always = OutcomeUnknown("time-out")
    completed(world)
    world.email.always = None
    world.advance(DAY, reconcile=True)
    assert (mails(world), world.states("copy_complete")) == ([], ["unknown"])


def life(at: int | None) -> tuple[World, bool]:
    world, died = copying("complete"), False
    world.says(seen("a"), sender_email=SENDER)
    world.hear(SENT)
    world.says(seen("a", signed=True), status=Status.COMPLETE, sender_email=SENDER)
    world.faults.count, world.faults.at = 0, at
    try:
        world.hear(COMPLETE)
    except Crash:
        died = True
        world.pump()
    world.points, world.faults.at = world.faults.count, None
    world.advance(20 * MINUTE, reconcile=True)
    return world, died


def test_wherever_the_process_dies_the_sender_is_told_once():
    for at in range(life(None)[0].points):
        world, died = life(at)
        assert died, f"point {at} was not reached"
        doubtful = world.states("copy_complete") == [NoticeState.UNKNOWN]
        assert doubtful or mails(world) == ["copy_complete 0"], f"point {at}"


def test_each_copy_is_a_kind_of_its_own():
    assert sorted(COPIES) == ["complete", "daily", "expired", "signed"]
    assert replace(Policy(), sender_copies=frozenset(COPIES.values())).sender_copies == SENDER_COPIES.parse(
        "signed,complete,expired,daily"
    )
