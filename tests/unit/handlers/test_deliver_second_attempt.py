"""An invitation or completion whose answer was lost is sent a second time, and not before its time."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from shared.domain import planner
from shared.domain.errors import Accepted, OutcomeUnknown, RetryLater
from shared.domain.model import EventType, NoticeRecord, NoticeState, Request
from shared.domain.receipts import Receipt
from shared.handlers.receipts import Receipts
from shared.ports import Outgoing
from tests.fakes import World, seen

MINUTE = timedelta(minutes=1)


def lost() -> World:
    world = World()
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
