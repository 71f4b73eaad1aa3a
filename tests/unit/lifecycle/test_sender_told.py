"""Signers who were not reached are told to the sender: once, collected, and not about what has arrived by then."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.dead_letters import DeadLetter
from shared.domain.errors import OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.model import Kind, NoticeState
from shared.domain.policy import Policy
from shared.services.dead_letters import DeadLetterService
from shared.services.operator_actions import ActionRefused, OperatorActions, Why
from shared.services.sender_mail import NO_ADDRESS
from tests.fakes import PHONES, Crash, World, seen
from tests.lifecycles import DAY, HOUR, MINUTE, SENT, SIGNED
from tests.receipt_world import ReceiptWorld
from tests.unit.services.test_dead_letters import Letters

TELLING = Policy(tell_sender=True)
SENDER = "ann@acme.test"
SECOND = timedelta(seconds=1)
UNDELIVERED, DELIVERED, UNKNOWN = NoticeState.UNDELIVERED, NoticeState.DELIVERED, NoticeState.UNKNOWN
LANDLINE = PermanentFailure("landline", suppress=True)
NO_WAY = {"mobile": "", "email": ""}


def mails(world: World) -> list[str]:
    """The mails to the sender."""
    return ["; ".join(sorted(m.text.split("; "))) for m in world.email.sent if m.to == SENDER]


def sent(*signers, policy: Policy = TELLING, outcomes=(), **fields) -> World:
    world = World(policy)
    world.sms.outcomes = list(outcomes)
    world.says(*signers, **{"sender_email": SENDER, **fields})
    world.hear(SENT)
    return world


def test_a_refused_number_is_told_within_a_minute_and_once():
    world = sent(seen("a"), outcomes=[LANDLINE])
    world.advance(25 * SECOND)
    assert mails(world) == []
    world.advance(35 * SECOND)
    assert mails(world) == ["A sms: address unusable"]
    world.advance(20 * DAY, reconcile=True)
    assert len(mails(world)) == 1 + 3  # each reminder, days later, did not reach them either


def test_several_causes_are_one_mail_and_a_later_one_another():
    world = sent(seen("a"), seen("b"), seen("c", **NO_WAY), outcomes=[LANDLINE, PermanentFailure("spam filter")])
    world.advance(MINUTE)
    assert mails(world) == ["A sms: address unusable; B sms: filtered; C none: no address"]
    world.says(seen("a"), seen("b"), seen("c", **NO_WAY), seen("d", **NO_WAY), sender_email=SENDER)
    world.hear(SENT, key="again")
    world.advance(MINUTE)
    assert mails(world)[1:] == ["D none: no address"]


@pytest.mark.parametrize("opens_seen", [True, False])
def test_the_mail_brings_the_recheck_near_that_notices_the_correction(opens_seen):
    world = sent(seen("a"), policy=replace(TELLING, opens_seen=opens_seen))
    world.advance(2 * DAY, reconcile=True)
    world.sms.outcomes = [LANDLINE]
    world.advance(DAY + HOUR)
    told = len(world.sms.sent)
    assert mails(world) == ["A sms: address unusable"]
    world.says(seen("a", mobile="+13175550177"), sender_email=SENDER)
    world.advance(20 * MINUTE, reconcile=True)
    assert [m.to for m in world.sms.sent[told:]] == ["+13175550177"]


@pytest.mark.parametrize(
    ("policy", "outcomes", "expected"),
    [
        ("sms-first", [LANDLINE], []),
        ("all", [LANDLINE], []),
        ("sms", [LANDLINE], ["A sms: address unusable"]),
        ("send_to", [OutcomeUnknown("time-out")], []),  # the e-mail arrives
        ("sms", [OutcomeUnknown("time-out")], []),  # and so does its second try
        ("sms", [OutcomeUnknown("time-out")] * 2, ["A sms: answer lost"]),
        ("sms", [RetryLater("busy")] * 3, []),
    ],
)
def test_what_arrives_in_another_way_or_later_is_not_told(policy, outcomes, expected):
    world = sent(seen("a", email="a@x.org"), policy=replace(TELLING, channels=policy), outcomes=outcomes)
    world.advance(HOUR, reconcile=True)
    assert mails(world) == expected


def test_both_channels_are_told_when_the_other_one_fails_too():
    world = World(replace(TELLING, channels="sms-first"))
    world.sms.outcomes, world.email.outcomes = [LANDLINE], [PermanentFailure("no such mailbox")]
    world.says(seen("a", email="a@x.org"), sender_email=SENDER)
    world.hear(SENT)
    world.advance(MINUTE)
    assert mails(world) == ["A email: address unusable; A sms: address unusable"]


def test_a_signer_who_signs_meanwhile_is_not_told():
    world = sent(seen("a"), seen("b"), outcomes=[LANDLINE])
    world.says(seen("a", signed=True), seen("b"), sender_email=SENDER)
    world.hear(SIGNED, "a")
    world.advance(HOUR, reconcile=True)
    assert mails(world) == []


def test_a_number_that_was_corrected_is_told_of_only_if_it_fails_again():
    world = sent(seen("a"), outcomes=[LANDLINE, LANDLINE])
    world.says(seen("a", mobile=PHONES["b"]), sender_email=SENDER)
    world.hear(SENT, key="again")
    world.advance(MINUTE)
    assert mails(world) == ["A sms: address unusable"]
    assert [len(r.told) for r in world.records() if r.kind is Kind.UNREACHED] == [1]


def test_the_fallback_address_stands_in_and_without_any_it_is_on_record():
    world = sent(seen("a"), outcomes=[LANDLINE], sender_email="", policy=replace(TELLING, sender_fallback="team@x.org"))
    world.advance(MINUTE)
    assert [m.to for m in world.email.sent] == ["team@x.org"]
    world = sent(seen("a"), outcomes=[LANDLINE], sender_email="")
    world.advance(HOUR, reconcile=True)
    assert [(r.state, r.reason) for r in world.records() if r.kind is Kind.UNREACHED] == [("suppressed", NO_ADDRESS)]


def test_an_unreached_sender_is_told_nothing_of_it():
    world = World(TELLING)
    world.sms.outcomes, world.email.always = [LANDLINE], PermanentFailure("no such mailbox", suppress=True)
    world.says(seen("a"), sender_email=SENDER)
    world.hear(SENT)
    world.advance(HOUR, reconcile=True)
    assert [r.state for r in world.records() if r.kind is Kind.UNREACHED] == ["failed"]


def test_the_setting_off_says_nothing():
    world = sent(seen("a"), seen("b", **NO_WAY), outcomes=[LANDLINE], policy=Policy())
    world.advance(HOUR, reconcile=True)
    assert [r.kind for r in world.records() if r.kind is Kind.UNREACHED] == []


def test_a_lost_answer_about_the_mail_is_tried_once_more():
    world = World(TELLING)
    world.sms.outcomes, world.email.outcomes = [LANDLINE], [OutcomeUnknown("time-out")] * 2
    world.says(seen("a"), sender_email=SENDER)
    world.hear(SENT)
    world.advance(2 * DAY, reconcile=True)
    (record,) = (r for r in world.records() if r.kind is Kind.UNREACHED)
    assert (record.state, record.attempts) == (UNKNOWN, 2)


def test_an_operator_does_not_send_the_mail_once_more():
    world = sent(seen("a"), outcomes=[LANDLINE])
    world.advance(MINUTE)
    key = world.email.sent[0].notice
    operate = OperatorActions(world.ledger, world.publisher, world.policy, world.clock)
    with pytest.raises(ActionRefused, match="the sender's mails are not sent once more"):
        operate.resend("r1", key, Why("ops@example.com", "because"))


def test_a_mail_among_the_dead_letters_tells_when_it_is_replayed():
    world = World(TELLING)
    world.sms.outcomes = [LANDLINE]
    world.says(seen("a"), sender_email=SENDER)
    world.hear(SENT)
    ((_, topic, data),) = world.later
    letters, world.later = Letters(), []
    letters.letters = [DeadLetter(key="1", topic=topic, data=data, at=world.now, attempts=100, reason="it failed")]
    desk = DeadLetterService(world.ledger, letters, world.bus, world.names, world.policy, world.clock)
    assert desk.held()[0].would == "tells the sender, if there is anything to tell by then"
    world.advance(MINUTE)
    desk.replay()
    world.pump()
    assert mails(world) == ["A sms: address unusable"]


def test_a_mail_that_was_lost_is_published_by_the_next_recheck():
    world = sent(seen("a"), outcomes=[LANDLINE])
    world.later = []
    world.advance(HOUR, reconcile=True)
    assert mails(world) == ["A sms: address unusable"]


class TestReceipts:
    @pytest.fixture
    def relay(self) -> ReceiptWorld:
        relay = ReceiptWorld(replace(TELLING, channels="sms"))
        relay.api.truth["r1"] = replace(relay.api.truth["r1"], sender_email=SENDER)
        relay.hear(SENT)
        return relay

    def test_a_bounce_is_told(self, relay):
        relay.told_of(UNDELIVERED, "unknown number")
        relay.advance(MINUTE)
        assert mails(relay) == ["A sms: address unusable"]

    def test_a_bounce_days_later_and_a_completion_that_bounces_are_told(self, relay):
        relay.told_of(DELIVERED)
        relay.advance(2 * DAY)
        relay.told_of(UNDELIVERED, "filtered")
        relay.advance(MINUTE)
        assert mails(relay) == ["A sms: filtered"]

    def test_a_receipt_that_comes_again_after_a_crash_tells(self, relay):
        relay.bus.down = True
        with pytest.raises(RetryLater):
            relay.told_of(UNDELIVERED, "unknown number")
        relay.bus.down = False
        assert relay.told_of(UNDELIVERED, "unknown number") == 0
        relay.advance(MINUTE)
        assert mails(relay) == ["A sms: address unusable"]


def life(name: str, at: int | None) -> tuple[World, bool]:
    """A refusal, or a signer without a channel, dying at this point; what was under way comes again."""
    world, died, refused = World(TELLING), False, name == "refused"
    world.sms.always = PermanentFailure("landline") if refused else None
    world.says(seen("a", **({} if refused else NO_WAY)), sender_email=SENDER)
    world.faults.at = at
    try:
        world.hear(SENT)
        world.advance(2 * MINUTE)
    except Crash:
        died = True
    world.points = world.faults.count
    world.faults.at = None
    world.pump()
    world.advance(40 * MINUTE, reconcile=True)
    return world, died


@pytest.mark.parametrize("name", ["refused", "without a channel"])
def test_wherever_the_process_dies_the_sender_is_told(name):
    for at in range(life(name, None)[0].points):
        world, died = life(name, at)
        assert died, f"point {at} was not reached"
        doubtful = any(t.state is UNKNOWN for r in world.records() for t in r.history if r.kind is Kind.UNREACHED)
        assert 1 <= len(mails(world)) <= 1 + doubtful, f"point {at}: {mails(world)}"


def bounced(at: int | None) -> tuple[ReceiptWorld, bool]:
    """A receipt of a bounce during which the process dies at this point, and which its provider repeats."""
    relay = ReceiptWorld(replace(TELLING, channels="sms"))
    relay.api.truth["r1"] = replace(relay.api.truth["r1"], sender_email=SENDER)
    relay.hear(SENT)
    relay.faults.count, relay.faults.at, died = 0, at, False
    try:
        relay.told_of(UNDELIVERED, "unknown number")
    except Crash:
        died = True
        relay.told_of(UNDELIVERED, "unknown number")
    relay.points, relay.faults.at = relay.faults.count, None
    relay.advance(2 * MINUTE)
    return relay, died


def test_wherever_a_receipt_is_cut_off_the_sender_is_told_once():
    for at in range(bounced(None)[0].points):
        relay, died = bounced(at)
        assert died, f"point {at} was not reached"
        assert mails(relay) == ["A sms: address unusable"], f"point {at}"
