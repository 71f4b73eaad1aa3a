"""A claim is the right to send, for as long as its lease holds; whoever loses the race for one comes again."""

from datetime import timedelta

import pytest

from shared.domain.errors import OutcomeUnknown, RetryLater
from shared.domain.model import EventType, NoticeRecord, NoticeState
from tests.fakes import World, seen

MINUTE = timedelta(minutes=1)
SENT = EventType.SENT


def world_of(*signers: str) -> World:
    world = World()
    world.says(*(seen(name) for name in signers))
    return world


def test_a_thread_that_was_frozen_beyond_its_lease_sends_nothing() -> None:
    world = world_of("a")
    claim = world.ledger.put

    def frozen(key, item, version):
        written = claim(key, item, version)
        if isinstance(item, NoticeRecord) and item.state is NoticeState.SENDING:
            world.ledger.put = claim
            world.now += 2 * MINUTE
        return written

    world.ledger.put = frozen
    world.hear(SENT)
    assert world.sent() == []
    assert world.states("invitation") == [NoticeState.PLANNED]
    world.advance(10 * MINUTE, reconcile=True)
    assert world.told() == [("invitation", "a", 0)]


def test_an_accepted_message_is_not_lost_to_the_unknown_of_a_lease_that_ran_out_meanwhile() -> None:
    world = world_of("a")
    send = world.sms.send

    def slow(message):
        accepted = send(message)
        world.now += 2 * MINUTE
        with pytest.raises(RetryLater):
            world.deliver.notice(world.notice(message.notice))
        return accepted

    world.sms.send = slow
    world.hear(SENT)
    assert world.states("invitation") == [NoticeState.ACCEPTED]
    world.sms.send = send
    world.advance(60 * MINUTE, reconcile=True)
    assert world.told() == [("invitation", "a", 0)]


def test_the_loser_of_a_second_claim_comes_again_instead_of_acknowledging() -> None:
    world = world_of("a")
    world.sms.outcomes = [RetryLater("busy")]
    world.hear(SENT)
    (notice,) = [world.notice(key) for key in world.ledger.all(NoticeRecord)]
    put = world.ledger.put
    world.ledger.put = lambda key, item, version: None  # another delivery is always faster
    with pytest.raises(RetryLater, match="another delivery"):
        world.deliver.notice(notice)
    world.ledger.put = put
    world.deliver.notice(notice)
    assert world.told() == [("invitation", "a", 0)]


def test_answers_that_are_lost_open_the_circuit_too() -> None:
    world = world_of("a")
    world.hear(SENT)
    for n in range(5):
        world.sms.outcomes = [OutcomeUnknown("504")]
        world.says(seen("a"), seen(f"b{n}", mobile=f"+1317555020{n}"))
        world.hear(SENT, key=f"again-{n}")
        world.now += MINUTE
    world.says(seen("a"), seen("late", mobile="+13175550299"))
    world.hear(SENT, key="last")
    begun = {r.signer for r in world.records()}
    assert world.signer("late") not in begun
