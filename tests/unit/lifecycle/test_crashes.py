"""The process dies before or after any call of a port, and what was under way comes again.

What has left in the end is what leaves without the crash. The one exception is a crash between a claim and its record:
nobody can know whether the message left, so it ends as `unknown`, and only an invitation or completion is risked twice.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from shared.domain.model import EventType, NoticeState, Status
from tests.fakes import Crash, World, seen

SENT, SIGNED, COMPLETE, _ = EventType
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
Act = Callable[[World], None]


def hears(kind: EventType, signer: str | None = None) -> Act:
    def act(world: World) -> None:
        event = world.event(kind, signer)
        world.bus.pending.append((world.names.events_topic, msgspec.json.encode(event)))
        world.pump()

    return act


def new() -> World:
    world = World()
    world.says(seen("a"), seen("b"))
    return world


def invited() -> World:
    world = new()
    world.hear(SENT)
    return world


def half_signed() -> World:
    world = invited()
    world.says(seen("a", signed=True), seen("b"))
    return world


def all_signed() -> World:
    world = half_signed()
    world.hear(SIGNED, "a")
    world.says(seen("a", signed=True), seen("b", signed=True), status=Status.COMPLETE)
    return world


def reminded(world: World) -> None:
    world.now = max(t.at for t in world.scheduler.tasks.values() if t.at < world.now + 4 * DAY)
    world._wake()


LIVES = {
    "invitation": (new, hears(SENT)),
    "progress": (half_signed, hears(SIGNED, "a")),
    "completion": (all_signed, hears(COMPLETE)),
    "reminder": (invited, reminded),
}


def run(life: str, at: int | None) -> tuple[World, bool]:
    """The life, dying at this point, and what follows within 40 minutes: messages come again, reconcile runs."""
    start, act = LIVES[life]
    world = start()
    world.faults.count, world.faults.at = 0, at
    try:
        act(world)
    except Crash:
        died = True
    else:
        died, world.faults.at = False, None
    world.points = world.faults.count
    world.pump()
    world.advance(40 * MINUTE, reconcile=True)
    return world, died


def points(life: str) -> int:
    return run(life, None)[0].points


def unknowns(world: World) -> int:
    return sum(step.state is NoticeState.UNKNOWN for r in world.records() for step in r.history)


@pytest.mark.parametrize("life", LIVES)
def test_wherever_the_process_dies_the_same_messages_leave_in_the_end(life):
    expected = set(run(life, None)[0].told())
    for at in range(points(life)):
        world, died = run(life, at)
        told = Counter(world.told())
        assert died, f"point {at} was not reached"
        lost, doubled = expected - set(told), [t for t, n in told.items() if n > 1]
        assert set(told) <= expected
        assert len(lost) + len(doubled) <= unknowns(world) <= 1, f"point {at}: {lost} lost, {doubled} doubled"
        assert {kind for kind, _, _ in doubled} <= {"invitation", "completion"}
        assert {kind for kind, _, _ in lost} <= {"progress", "reminder"}
        assert all(r.state is not NoticeState.SENDING for r in world.records())


@pytest.mark.parametrize("life", ["progress", "reminder"])
def test_what_may_have_left_is_not_sent_again_and_is_on_record(life):
    ends = [run(life, at)[0] for at in range(points(life))]
    doubtful = [w for w in ends if unknowns(w)]
    assert doubtful
    assert all(max(Counter(w.told()).values()) == 1 for w in ends)
    assert all(w.states(life).count(NoticeState.UNKNOWN) == 1 for w in doubtful)


@pytest.mark.parametrize("life", ["invitation", "completion"])
def test_an_invitation_or_completion_in_doubt_is_tried_once_more(life):
    doubtful = [w for w in (run(life, at)[0] for at in range(points(life))) if unknowns(w)]
    assert doubtful
    for world in doubtful:
        again = next(r for r in world.records() if r.attempts == 2)
        states = [step.state.value for step in again.history]
        assert states == ["sending", "unknown", "sending", "accepted"]
        assert again.history[2].at - again.history[1].at >= 15 * MINUTE


def test_the_tasks_of_a_crashed_commit_are_made_by_its_repetition():
    for at in range(points("invitation")):
        assert len(run("invitation", at)[0].scheduler.names) == 6


def test_tasks_left_over_by_a_crash_are_not_obeyed():
    for at in range(points("completion")):
        world, _ = run("completion", at)
        told = world.told()
        world.advance(20 * DAY)
        assert world.told() == told
