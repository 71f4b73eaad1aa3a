"""What other systems know of each signer's last message, whatever is repeated, late or cut off."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shared.domain.errors import OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.model import Kind, Notice, NoticeRecord, NoticeState, Status
from shared.domain.policy import Policy
from shared.handlers.remind import Firing
from tests.fakes import Crash, World, seen
from tests.lifecycles import COMPLETE, DAY, HOUR, MINUTE, SENT, SIGNED
from tests.receipt_world import MAIL, ReceiptWorld

FAILED = "sms", "failed", "address unusable", "a landline"
NO_WAY = {"mobile": "", "email": ""}
LANDLINE, LOST = PermanentFailure("a landline", suppress=True), OutcomeUnknown("time-out")
ACCEPTED, DELIVERED, UNDELIVERED, UNKNOWN = (
    NoticeState(s) for s in ("accepted", "delivered", "undelivered", "unknown")
)


def known(world: World) -> dict[str, dict[str, Any]]:
    """By notice: the event with the highest sequence."""
    found: dict[str, dict[str, Any]] = {}
    for event in world.events("notice"):
        told = event["data"]
        if told["sequence"] >= found.get(told["notice"], told)["sequence"]:
            found[told["notice"]] = told
    return found


def recorded(world: World) -> dict[str, str]:
    """By notice to a signer: what the ledger says in the end."""
    return {key: r.state.value for key, r in world.ledger.all(NoticeRecord).items() if r.kind is not Kind.UNREACHED}


def sent(*signers, policy: Policy | None = None, outcomes=()) -> World:
    world = World(policy)
    world.sms.outcomes = list(outcomes)
    world.says(*signers)
    world.hear(SENT)
    return world


@pytest.mark.parametrize(
    ("channels", "signer", "outcomes", "expected"),
    [
        ("sms", {}, [], [("sms", "accepted", None, None)]),
        ("sms", {}, [LANDLINE], [FAILED]),
        ("sms", NO_WAY, [], [("none", "failed", "no address", "no channel: no usable e")]),
        ("sms", {}, [RetryLater("busy")], [("sms", "accepted", None, None)]),
        ("sms", {}, [LOST] * 2, [("sms", "unknown", "answer lost", "time-out")]),
        ("sms-first", {"email": "a@x.org"}, [LANDLINE], [("email", "accepted", None, None), FAILED]),
    ],
)
def test_what_became_of_an_invitation_is_told_with_its_reason(channels, signer, outcomes, expected):
    world = sent(seen("a", **signer), policy=Policy(channels=channels), outcomes=outcomes)
    world.advance(HOUR, reconcile=True)
    told = known(world).values()
    assert {t["signer"] for t in told} == {world.signer("a")}
    found = sorted((t["channel"], t["state"], t.get("cause"), t.get("reason")) for t in told)
    assert [(*f[:3], f[3] and f[3][:23]) for f in found] == expected


def test_nothing_is_told_while_more_is_tried_or_of_what_was_not_due_any_more():
    world = sent(seen("a"), outcomes=[LOST])
    assert world.events("notice") == []
    world.says(seen("a", signed=True))
    world.hear(SIGNED, "a")
    world.advance(HOUR, reconcile=True)
    assert [t["state"] for t in known(world).values()] == ["unknown"]
    late = sent(seen("a"), outcomes=[RetryLater("busy")])
    late.says(seen("a", signed=True))
    late.hear(SIGNED, "a")
    late.advance(HOUR, reconcile=True)
    assert late.states("invitation") == [NoticeState.SUPPRESSED]
    assert late.events("notice") == []


def test_a_signer_whose_address_is_blocked_is_told_of_as_such():
    world = sent(seen("a"), outcomes=[LANDLINE])
    world.says(seen("a", signed=True), seen("b"))
    world.advance(3.1 * DAY, reconcile=True)
    world = sent(seen("a"), outcomes=[LANDLINE])
    world.advance(3.1 * DAY, reconcile=True)
    states = sorted((t["kind"], t["state"], t["cause"]) for t in known(world).values())
    assert states == [("invitation", "failed", "address unusable"), ("reminder", "suppressed", "address unusable")]


def test_the_mail_to_the_sender_is_no_message_to_a_signer():
    world = sent(seen("a"), policy=Policy(tell_sender=True, sender_fallback="boss@x.org"), outcomes=[LANDLINE])
    world.advance(MINUTE)
    assert len(world.email.sent) == 1
    assert [t["kind"] for t in known(world).values()] == ["invitation"]


def test_a_receipt_is_told_and_its_repetition_repeats_the_same_event():
    relay = ReceiptWorld(Policy(channels="sms"))
    relay.hear(SENT)
    relay.bus.down = True
    with pytest.raises(RetryLater):
        relay.told_of(UNDELIVERED, "filtered")
    relay.bus.down = False
    for _ in range(2):
        relay.told_of(UNDELIVERED, "filtered")
    events = [e for e in relay.events("notice") if e["type"] == "clickwrap.notice.undelivered"]
    assert [events[0]] * 2 == events
    assert [(e["data"]["cause"], e["data"]["sequence"]) for e in events[:1]] == [("filtered", 3)]


def bounced_in_an_outage(policy: Policy, *, ended: bool = False) -> ReceiptWorld:
    """The only receipt comes while Pub/Sub is down for hours, and its provider does not repeat it."""
    relay = ReceiptWorld(replace(policy, tell_sender=True, sender_fallback="boss@x.org"))
    relay.hear(SENT)
    if ended:
        relay.says(seen("a", signed=True), seen("b", signed=True), status=Status.EXPIRED)
        relay.advance(8 * DAY, reconcile=True)
    relay.bus.down = True
    with pytest.raises(RetryLater):
        relay.told_of(UNDELIVERED, "filtered")
    relay.advance(7 * HOUR, reconcile=True)
    relay.bus.down = False
    return relay


@pytest.mark.parametrize("ended", [False, True])
def test_a_receipt_that_its_provider_gave_up_is_told_once_after_half_the_outage_at_most(ended):
    relay = bounced_in_an_outage(Policy(channels="sms"), ended=ended)
    relay.advance(4 * HOUR, reconcile=True)
    heard = [e["data"]["cause"] for e in relay.events("notice") if e["type"] == "clickwrap.notice.undelivered"]
    assert heard == ["filtered"]
    assert [m.to for m in relay.email.sent] == ([] if ended else ["boss@x.org"])
    assert not any(record.untold for record in relay.records())
    relay.advance(2 * DAY, reconcile=True)
    assert len([e for e in relay.events("notice") if e["type"] == "clickwrap.notice.undelivered"]) == 1


def test_such_a_receipt_sends_the_message_by_the_other_channel():
    relay = bounced_in_an_outage(Policy(channels="sms-first"))
    relay.advance(4 * HOUR, reconcile=True)
    assert [m.to for m in relay.email.sent] == [MAIL]
    assert relay.states("unreached") == []


def test_what_changed_while_a_recheck_told_of_it_is_told_by_the_next():
    relay = bounced_in_an_outage(Policy(channels="sms"))
    key, update = relay.sms.sent[0].notice, relay.ledger.update

    def changed_meanwhile(kind, name, change):
        if name == key:
            relay.ledger.update = update
            update(kind, key, lambda r: replace(r, changes=r.changes + 1))
        return update(kind, name, change)

    relay.ledger.update = changed_meanwhile
    relay.resolve.recheck("r1")
    assert relay.ledger.all(NoticeRecord)[key].untold
    relay.resolve.recheck("r1")
    assert not relay.ledger.all(NoticeRecord)[key].untold
    assert known(relay)[key]["sequence"] == relay.ledger.all(NoticeRecord)[key].changes


def dies(*_: object) -> None:
    raise Crash


def hung_and_died(*, ended: bool) -> World:
    """A reminder whose send hangs: given up as `unknown` and told so, accepted after all. Then its instance dies."""
    world = sent(seen("a"))
    task = min(world.scheduler.tasks.values(), key=lambda t: t.at)
    world.now = task.at
    world.remind.fire(msgspec.json.decode(task.body, type=Firing))
    [(topic, data)] = world.bus.pending
    world.bus.pending.clear()
    send, publish = world.sms.send, world.bus.publish

    def hanging(message):
        world.sms.send, accepted = send, send(message)
        world.now += 2 * MINUTE
        world.bus.pending.append((topic, data))
        world.pump()
        if ended:
            world.says(seen("a", signed=True), status=Status.COMPLETE)
            world.hear(COMPLETE)
            world.advance(DAY, reconcile=True)
        world.bus.publish = dies
        return accepted

    world.sms.send = hanging
    with pytest.raises(Crash):
        world.deliver.notice(msgspec.json.decode(data, type=Notice))
    world.bus.publish = publish
    return world


@pytest.mark.parametrize("ended", [False, True])
def test_an_acceptance_after_an_unknown_that_was_told_is_told_by_a_recheck_though_its_instance_died(ended):
    world = hung_and_died(ended=ended)
    [key] = [key for key, record in world.ledger.all(NoticeRecord).items() if record.kind is Kind.REMINDER]
    assert (known(world)[key]["state"], recorded(world)[key]) == ("unknown", "accepted")
    world.advance(11 * MINUTE, reconcile=True)
    assert known(world)[key]["state"] == "accepted"
    assert not any(record.untold for record in world.records())


def life(at: int | None, outcomes: list[Exception], signer: dict[str, str]) -> tuple[World, bool]:
    """An invitation and a completion, dying at this point; what was under way comes again."""
    world, died = World(Policy(channels="sms")), False
    world.sms.outcomes = list(outcomes)
    ann = seen("a", **signer)
    world.says(ann)
    world.faults.at = at
    try:
        world.hear(SENT)
        world.says(replace(ann, signed=True), status=Status.COMPLETE)
        world.hear(COMPLETE)
    except Crash:
        died = True
    world.points, world.faults.at = world.faults.count, None
    world.says(replace(ann, signed=True), status=Status.COMPLETE)
    world.pump()
    world.hear(COMPLETE)
    world.advance(2 * HOUR, reconcile=True)
    return world, died


@pytest.mark.parametrize(("outcomes", "signer"), [([], {}), ([LANDLINE], {}), ([LOST] * 2, {}), ([], NO_WAY)], ids=repr)
def test_wherever_the_process_dies_what_the_ledger_holds_is_known(outcomes, signer):
    for at in range(life(None, outcomes, signer)[0].points):
        world, died = life(at, outcomes, signer)
        assert died, f"point {at} was not reached"
        told = {key: t["state"] for key, t in known(world).items()}
        due = {key: state for key, state in recorded(world).items() if state != "suppressed" or key in told}
        assert told == due, f"point {at}"
