"""An outage delays messages and loses none; an outage of one provider does not delay the other's."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.errors import OutcomeUnknown, RetryLater
from shared.domain.model import ChannelName, EventType, NoticeRecord, NoticeState, RelayStatus, Status
from shared.domain.policy import Policy
from shared.services.circuit_breaker import CircuitBreaker
from shared.services.relay_status import RELAY, update_status
from tests.fakes import PHONES, START, FakeLedger, World, seen

SENT = EventType.SENT
DOWN = RetryLater("the provider answered 503")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def sent_while_down(policy: Policy | None = None, error: RetryLater = DOWN) -> World:
    world = World(policy)
    world.sms.always = error
    world.says(seen("a"), seen("b", mobile="", email="b@example.com"))
    world.hear(SENT)
    return world


def tries(world: World) -> int:
    return sum(s.state is NoticeState.SENDING for r in world.records() for s in r.history)


@pytest.mark.parametrize("days", [1, 3])
def test_an_outage_of_days_costs_lateness_but_no_message(days):
    world = sent_while_down()
    world.advance(days * DAY, reconcile=True)
    world.sms.always = None
    world.advance(HOUR, reconcile=True)
    assert PHONES["a"] in [m.to for m in world.sms.sent]
    assert not world.dead
    assert NoticeState.FAILED not in [r.state for r in world.records()]


def test_each_instance_may_be_new_and_still_no_attempt_is_counted():
    world = sent_while_down()
    for _ in range(3 * 24):
        world.deliver._sending._circuits[ChannelName.SMS] = CircuitBreaker(
            "sms", world.ledger, world.policy, world.clock
        )
        world.advance(HOUR, reconcile=True)
    world.sms.always = None
    world.advance(HOUR, reconcile=True)
    assert [m.to for m in world.sms.sent][:1] == [PHONES["a"]]


def test_the_other_channel_keeps_its_pace():
    assert [m.to for m in sent_while_down().email.sent] == ["b@example.com"]


def test_a_provider_that_is_down_is_tried_ever_less_often():
    world = World()
    world.sms.always = DOWN
    world.says(*[seen(f"s{n}", mobile=f"+131755502{n:02}") for n in range(30)])
    world.hear(SENT)
    world.advance(2 * HOUR)
    before = tries(world)
    world.advance(2 * HOUR)
    assert tries(world) - before <= 30 * 2 * 4
    assert {r.state for r in world.records()} == {NoticeState.PLANNED}


def test_the_first_success_ends_it_for_all():
    world = sent_while_down()
    world.advance(HOUR)
    assert "sms sms" in world.ledger.get(RelayStatus, RELAY).item.circuits
    world.sms.always = None
    world.advance(HOUR)
    assert world.ledger.get(RelayStatus, RELAY).item.circuits == {}
    world.deliver._sending._circuits[ChannelName.SMS].check()


def test_what_only_one_recipient_is_the_cause_of_counts_and_holds_up_nobody():
    world = sent_while_down(error=RetryLater("greylisted", of_message=True))
    world.advance(2 * DAY)
    assert [r.state for r in world.records() if r.channel == "sms"] == [NoticeState.FAILED]
    assert world.ledger.get(RelayStatus, RELAY).item.circuits == {}


def test_an_old_failure_is_not_the_beginning_of_a_new_outage():
    clock = [START]
    circuit = CircuitBreaker("sms", FakeLedger(), Policy(), lambda: clock[0])
    assert not circuit.failed()
    clock[0] += 3 * HOUR
    assert not circuit.failed()
    circuit.check()


def test_a_ledger_out_of_reach_does_not_make_a_failure_worse():
    class Gone(FakeLedger):
        def get(self, kind, key):
            raise RetryLater("Firestore")

    circuit = CircuitBreaker("sms", Gone(), Policy(), lambda: START)
    assert not circuit.failed()
    circuit.worked()
    circuit.check()


def test_of_many_failures_at_once_one_is_written():
    ledger = FakeLedger()
    circuit = CircuitBreaker("sms", ledger, Policy(), lambda: START)
    for _ in range(50):
        circuit.failed()
    assert ledger._version == 1


def test_a_lost_race_for_the_control_document_is_run_again():
    ledger = FakeLedger()
    update_status(ledger, lambda c: replace(c, rechecked=1))
    ledger.races = 2
    update_status(ledger, lambda c: replace(c, rechecked=c.rechecked + 1))
    assert ledger.get(RelayStatus, RELAY).item.rechecked == 2


def test_an_unknown_invitation_comes_back_by_itself_after_15_minutes():
    world = World()
    world.sms.outcomes = [OutcomeUnknown("lost")]
    world.says(seen("a"))
    world.hear(SENT)
    world.advance(16 * MINUTE)
    assert [m.to for m in world.sms.sent] == [PHONES["a"]]


def test_a_late_unknown_completion_gets_its_second_try_too():
    world = World()
    world.says(seen("a"))
    world.hear(SENT)
    world.sms.always = DOWN
    world.says(seen("a", signed=True), status=Status.COMPLETE)
    world.hear(EventType.COMPLETE)
    world.advance(DAY)
    world.sms.always = None
    world.sms.outcomes = [OutcomeUnknown("lost")]
    world.advance(2 * HOUR)
    assert [r.state for r in world.ledger.all(NoticeRecord).values() if r.kind == "completion"] == [
        NoticeState.ACCEPTED
    ]


def test_a_control_document_that_cannot_be_decoded_costs_no_message():
    """After a rollback: what is learnt and noted there is a help, and nothing rests on it."""
    world = World()
    update_status(world.ledger, lambda s: s)
    world.ledger.undecodable = {RELAY}
    world.sms.outcomes = [OutcomeUnknown("time-out"), DOWN]
    world.says(seen("a"), seen("b"))
    world.hear(SENT)
    world.advance(HOUR)
    assert not world.dead
    assert {m.to for m in world.sms.sent} == {PHONES["a"], PHONES["b"]}
