"""A request's events in any order, any number of times, while the API is ahead of them or in step with them."""

from collections import Counter
from datetime import timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.model import EventType, Kind, NoticeRecord, Request, SignerState, Status
from shared.domain.signers import pending
from shared.ports import Outgoing
from tests.fakes import World, seen

SENT, SIGNED, COMPLETE, _ = EventType
EVENTS = [(SENT, None), (SIGNED, "a"), (SIGNED, "b"), (COMPLETE, None)]
RIGHT = {
    ("invitation", "a", 0),
    ("invitation", "b", 0),
    ("progress", "b", 1),
    ("completion", "a", 0),
    ("completion", "b", 0),
}
QUICK = settings(max_examples=50, deadline=None, derandomize=True)


class Watched(World):
    """Checks of every message, at the moment it leaves, that it is true and due."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[str] = []
        self.faults_seen: list[AssertionError] = []
        send = self.sms.send

        def watched(message: Outgoing):
            try:
                self.check(message)
            except AssertionError as e:  # raised here, `deliver` would only take it for an adapter's fault
                self.faults_seen.append(e)
            return send(message)

        self.sms.send = watched

    def check(self, message: Outgoing) -> None:
        record, request = self.ledger.get(NoticeRecord, message.notice).item, self.ledger.get(Request, "r1").item
        signer = request.signers[record.signer]
        self.left.append(message.notice)
        assert message.to == signer.mobile
        assert record.round == request.round
        if record.kind is Kind.COMPLETION:
            assert request.status is Status.COMPLETE
            return
        missing = sum(pending(s) for s in request.signers.values())
        assert request.status is Status.OPEN
        assert missing
        assert f" {missing} needed" in message.text
        if record.kind is not Kind.PROGRESS:
            assert signer.state is SignerState.INVITED

    def truth(self, signed: str) -> None:
        status = Status.COMPLETE if len(signed) == 2 else Status.OPEN
        self.says(*[seen(n, signed=n in signed) for n in "ab"], status=status)


@st.composite
def disorder(draw) -> list[tuple[EventType, str | None]]:
    """Each event at least once, some again, in any order."""
    again = draw(st.lists(st.sampled_from(EVENTS), max_size=4))
    return draw(st.permutations(EVENTS + again))


def settle(world: Watched) -> list[tuple[str, str, int]]:
    world.advance(timedelta(days=8), reconcile=True)
    assert world.faults_seen == []
    assert len(set(world.left)) == len(world.left)
    assert world.scheduler.tasks == {}
    assert not world.dead
    told = world.told()
    assert max(Counter(told).values()) == 1
    return told


def completions(told) -> set:
    return {t for t in told if t[0] == "completion"}


@given(disorder(), st.lists(st.booleans(), min_size=8, max_size=8))
@QUICK
def test_when_the_api_is_at_the_end_already_only_completions_leave(events, fresh_ids):
    world = Watched()
    world.truth("ab")
    for n, (kind, who) in enumerate(events):
        world.hear(kind, who, f"{n}" if fresh_ids[n] else "")
    assert set(settle(world)) == completions(RIGHT)


@given(disorder(), st.lists(st.integers(0, 2), min_size=8, max_size=8), st.lists(st.integers(0, 900), min_size=8))
@QUICK
def test_when_the_api_advances_meanwhile_no_message_is_doubled_false_or_missing(events, steps, pauses):
    world, progress = Watched(), 0
    for n, (kind, who) in enumerate(events):
        progress = max(progress, steps[n])
        world.truth("ab"[:progress])
        world.hear(kind, who, f"{n}")
        world.advance(timedelta(seconds=pauses[n]), reconcile=True)
    world.truth("ab")
    told = set(settle(world))
    assert completions(told) == completions(RIGHT)
    assert {t for t in told if t[0] != "completion"} <= RIGHT | {("progress", "a", 2)}


@given(st.permutations(EVENTS), st.lists(st.integers(0, 60), min_size=4, max_size=4))
@QUICK
def test_when_the_api_keeps_silent_the_events_alone_make_the_same_completions(events, pauses):
    world = Watched()
    world.says(seen("a", signed=None), seen("b", signed=None), status=None)
    for (kind, who), pause in zip(events, pauses, strict=True):
        world.hear(kind, who)
        world.advance(timedelta(seconds=pause))
    told = set(settle(world))
    assert completions(told) == completions(RIGHT)
    assert told <= RIGHT | {("progress", "a", 2)}


def test_the_right_order_tells_exactly_the_right_messages():
    world = Watched()
    for (kind, who), truth in zip(EVENTS, ("", "a", "ab", "ab"), strict=True):
        world.truth(truth)
        world.hear(kind, who)
    assert set(settle(world)) == RIGHT


@given(st.integers(0, 3), st.binary(max_size=3))
@QUICK
def test_events_survive_their_way_over_the_wire(which, noise):
    kind, who = EVENTS[which]
    event = World().event(kind, who, noise.hex())
    assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event
