"""A claim is the right to send, for as long as its lease holds; whoever loses the race for one comes again."""

from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from shared.domain.errors import OutcomeUnknown, RetryLater
from shared.domain.model import EventType, Notice, NoticeRecord, NoticeState, Status
from tests.fakes import World, seen

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SENT = EventType.SENT


def world_of(*signers: str) -> World:
    world = World()
    world.says(*(seen(name) for name in signers))
    return world


class Frozen:
    """A port call after which, or before which, its thread stands still for some time."""

    def __init__(self, world: World, port: object, name: str, span: timedelta, wanted=lambda *given: True) -> None:
        self._world, self._port, self._name, self._span, self._wanted = world, port, name, span, wanted
        self._call = getattr(port, name)
        setattr(port, name, self)

    def __call__(self, *given):
        done = self._call(*given)
        if self._wanted(*given):
            setattr(self._port, self._name, self._call)
            self._world.now += self._span
        return done


def claims(key, item, version) -> bool:
    return isinstance(item, NoticeRecord) and item.state is NoticeState.SENDING


@pytest.mark.parametrize("span", [41 * SECOND, 2 * MINUTE, 60 * MINUTE])
@pytest.mark.parametrize(
    ("port", "call", "wanted"),
    [("ledger", "put", claims), ("fallback", "suppressed", lambda *_: True), ("ledger", "get", lambda *_: True)],
)
def test_a_delivery_that_stood_still_before_its_send_sends_nothing_and_comes_again(port, call, wanted, span) -> None:
    """Whether before its claim or in it: what it has read may be long outdated."""
    world = world_of("a")
    world.resolve.event(world.event(SENT))
    [notice] = [msgspec.json.decode(data, type=Notice) for topic, data in world.bus.pending if "notices" in topic]
    world.bus.pending.clear()
    Frozen(world, getattr(world, port), call, span, wanted)
    with pytest.raises(RetryLater, match="held up"):
        world.deliver.notice(notice)
    assert world.sent() == []
    assert world.states("invitation") in ([], [NoticeState.PLANNED])
    world.deliver.notice(notice)
    assert world.told() == [("invitation", "a", 0)]


def test_a_second_try_that_stood_still_in_its_claim_leaves_the_outcome_of_the_first_unknown() -> None:
    world = world_of("a")
    world.sms.outcomes = [OutcomeUnknown("504")]
    world.hear(SENT)
    (notice,) = [world.notice(key) for key in world.ledger.all(NoticeRecord)]
    before = world.records()
    world.now += 20 * MINUTE
    Frozen(world, world.ledger, "put", 25 * MINUTE, claims)
    with pytest.raises(RetryLater):
        world.deliver.notice(notice)
    assert world.records() == before
    world.deliver.notice(notice)
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


@pytest.mark.parametrize("kind", [NoticeState.SENDING, NoticeState.PLANNED])
def test_a_claim_whose_answer_was_lost_ends_as_unknown_though_the_request_is_paused(kind) -> None:
    world = world_of("a")
    world.resolve.event(world.event(SENT))
    [notice] = [msgspec.json.decode(data, type=Notice) for topic, data in world.bus.pending if "notices" in topic]
    put = world.ledger.put

    def lost(key, item, version):
        put(key, replace(item, state=kind) if isinstance(item, NoticeRecord) else item, version)
        raise RetryLater("the answer was lost")

    world.ledger.put = lost
    with pytest.raises(RetryLater, match="lost"):
        world.deliver.notice(notice)
    world.ledger.put = put
    world.says(seen("a"), status=Status.PAUSED)
    world.resolve.recheck("r1")
    with pytest.raises(RetryLater):
        world.deliver.notice(notice)
    assert world.states("invitation") == [kind]
    world.now += 2 * MINUTE
    with pytest.raises(RetryLater):
        world.deliver.notice(notice)
    assert world.states("invitation") == [NoticeState.UNKNOWN if kind is NoticeState.SENDING else kind]


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
