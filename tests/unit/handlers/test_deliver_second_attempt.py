"""An invitation or completion whose answer was lost is sent a second time, and not before its time."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from shared.domain import planner
from shared.domain.errors import Accepted, OutcomeUnknown, RetryLater
from shared.domain.model import ChannelName, EventType, Notice, NoticeRecord, NoticeState, Request
from shared.domain.notice_record import first_record, stand_in
from shared.domain.policy import Policy, address_key
from shared.domain.receipts import Receipt
from shared.handlers.receipts import Receipts
from shared.ports import Outgoing
from tests.fakes import PHONES, START, World, seen
from tests.receipt_world import MAIL, NOTHING, ReceiptWorld

MINUTE = timedelta(minutes=1)
BOUNCE = Receipt(notice="", provider_id="", state=NoticeState.UNDELIVERED, reason="full", at=START)


def lost(policy: Policy | None = None) -> World:
    world = World(policy)
    world.sms.outcomes = [OutcomeUnknown("time-out")]
    world.says(seen("a"))
    world.hear(EventType.SENT)
    assert world.states("invitation") == [NoticeState.UNKNOWN]
    return world


def bring(world: World) -> None:
    (request,) = world.ledger.all(Request).values()
    (notice,) = planner.notices(request, world.now, world.policy).values()
    world.deliver.notice(notice)


def test_one_that_could_not_be_parked_comes_again_at_its_time() -> None:
    """Pub/Sub brings it within seconds: taken for done, it would be left to reconcile, which may look too early."""
    world = lost()
    world.now += MINUTE
    with pytest.raises(RetryLater) as told:
        bring(world)
    assert told.value.after is not None
    assert 13 * 60 < told.value.after <= 14 * 60
    assert world.states("invitation") == [NoticeState.UNKNOWN]


def test_after_the_second_try_nobody_waits_for_a_third() -> None:
    world = lost()
    world.now += 15 * MINUTE
    bring(world)
    assert world.states("invitation") == [NoticeState.ACCEPTED]
    bring(world)
    assert len(world.told()) == 1


@pytest.mark.parametrize(
    ("told", "state"),
    [("first", NoticeState.ACCEPTED), ("sms-1", NoticeState.UNDELIVERED), ("", NoticeState.UNDELIVERED)],
)
def test_a_bounce_of_the_first_try_that_comes_during_the_second_does_not_fail_it(told: str, state: NoticeState) -> None:
    """The second try's own bounce may be faster than its answer, and then stands; so does one that names no try."""
    world = lost()
    send, (key,) = world.sms.send, world.ledger.all(NoticeRecord)
    receipt = Receipt(notice=key, provider_id=told, state=NoticeState.UNDELIVERED, reason="bounced", at=world.now)
    verifiers = {"sms": SimpleNamespace(name="sms", receipts=lambda *_: [receipt])}
    ports = world.fallback, world.outcomes, world.clock, world.policy
    receipts = Receipts(world.ledger, verifiers, *ports)  # type: ignore[arg-type]

    def bounced_meanwhile(message: Outgoing) -> Accepted:
        accepted = send(message)
        receipts.take("sms", None)  # type: ignore[arg-type]
        return accepted

    world.sms.send = bounced_meanwhile  # type: ignore[method-assign]
    world.now += 15 * MINUTE
    bring(world)
    assert world.states("invitation") == [state]
    assert world.records()[0].provider_id == ("sms-1" if told else "")


class TestTheStandInOfABounceThatWasTheFirstTrys:
    """The bounce comes while the second try is under way, and has the other channel take over."""

    @staticmethod
    def world(*, delivered_meanwhile: bool = False) -> ReceiptWorld:
        world = ReceiptWorld()
        world.sms.outcomes = [OutcomeUnknown("time-out")]
        world.hear(EventType.SENT)
        send, key = world.sms.send, next(iter(world.ledger.all(NoticeRecord)))

        def bounced_meanwhile(message: Outgoing) -> Accepted:
            world.sms.send = send  # type: ignore[method-assign]
            world.provider.told = [replace(BOUNCE, notice=key, provider_id="first", at=world.now)]
            world.receipts.take("sms", NOTHING)
            if delivered_meanwhile:
                world._handle(*world.bus.pending.pop())
            return send(message)

        world.sms.send = bounced_meanwhile  # type: ignore[method-assign]
        return world

    def test_is_not_sent_once_the_second_try_was_accepted(self) -> None:
        world = self.world()
        world.advance(timedelta(hours=1))
        assert (len(world.sms.sent), world.email.sent) == (2, [])
        assert world.first().state is NoticeState.ACCEPTED

    def test_waits_while_the_second_try_is_under_way(self) -> None:
        world = self.world(delivered_meanwhile=True)
        world.advance(timedelta(minutes=15, seconds=1))
        [(at, _, _)] = world.later
        assert timedelta(0) < at - world.now <= timedelta(seconds=90)
        world.advance(timedelta(hours=1))
        assert world.email.sent == []

    def test_is_sent_when_the_second_try_bounces_as_well(self) -> None:
        world = self.world()
        world.advance(timedelta(hours=1))
        key, record = next(iter(world.ledger.all(NoticeRecord).items()))
        world.provider.told = [replace(BOUNCE, notice=key, provider_id=record.provider_id, at=world.now)]
        world.receipts.take("sms", NOTHING)
        world.pump()
        world.advance(timedelta(hours=1))
        assert [m.to for m in world.email.sent] == [MAIL]

    def test_is_closed_where_it_had_begun(self) -> None:
        world = self.world()
        world.advance(timedelta(hours=1))
        notice = self.stand_in(world)
        begun = first_record(notice, NoticeState.PLANNED, world.now, world.policy)
        world.ledger.put(notice.notice, begun, None)
        world.deliver.notice(notice)
        assert world.ledger.all(NoticeRecord)[notice.notice].state is NoticeState.SUPPRESSED
        assert world.email.sent == []

    def test_is_sent_where_an_operator_sends_it_once_more(self) -> None:
        world = self.world()
        world.advance(timedelta(hours=1))
        request, version = world.ledger.documents[Request, "r1"]
        again = planner.resent(request, self.stand_in(world), world.now)
        world.ledger.documents[Request, "r1"] = (again, version)
        world.deliver.notice(again.resends[-1].notice)
        assert [m.to for m in world.email.sent] == [MAIL]

    @staticmethod
    def stand_in(world: ReceiptWorld) -> Notice:
        key, first = next(iter(world.ledger.all(NoticeRecord).items()))
        notice = stand_in(key, first)
        assert notice is not None
        return notice


def test_what_was_lost_once_and_may_not_be_tried_again_is_told_to_the_sender() -> None:
    """The signer had the text, and answered STOP before the second try."""
    world = lost(Policy(channels="sms", tell_sender=True, sender_fallback="boss@x.org"))
    address = address_key(ChannelName.SMS, PHONES["a"], world.policy)
    world.fallback.opt_out(ChannelName.SMS, address, "the signer texted STOP", world.now)
    world.advance(20 * MINUTE, reconcile=True)
    (record,) = [r for r in world.records() if r.signer]
    assert (record.state, record.reason[:27]) == (NoticeState.UNKNOWN, "not sent a second time: the")
    assert [m.to for m in world.email.sent] == ["boss@x.org"]
    assert len(world.events("notice")) == 1


def test_what_was_lost_once_and_is_no_longer_due_stays_unknown_since_it_may_have_arrived():
    world = World()
    world.sms.outcomes = [OutcomeUnknown("lost"), RetryLater("busy", after=600)]
    world.says(seen("a"), seen("b", mobile="", email="b@example.com"))
    world.hear(EventType.SENT)
    world.advance(timedelta(minutes=16))
    world.says(seen("a", signed=True), seen("b", mobile="", email="b@example.com"))
    world.hear(EventType.SIGNED, "a")
    world.advance(timedelta(hours=1))
    [record] = [r for r in world.records() if r.kind == "invitation" and r.channel == "sms"]
    assert (record.state, record.reason) == (NoticeState.UNKNOWN, "not sent a second time: already signed")
    world.advance(timedelta(days=1), reconcile=True)
    assert world.sms.sent == []
