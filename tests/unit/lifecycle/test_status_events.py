"""What a system that follows `request-status` by its documentation knows, whatever is repeated, late or lost."""

from typing import Any

import pytest

from shared.domain.model import Status
from shared.domain.status_event import request_status
from tests.fakes import Crash, World, seen
from tests.lifecycles import COMPLETE, DAY, HOUR, MINUTE, SENT, SIGNED, begun


def known(world: World) -> dict[str, Any]:
    """The status that a consumer shows which drops what it has, and what has a lower sequence."""
    return max((e["data"] for e in world.events()), key=lambda data: data["sequence"])


def test_a_return_to_an_earlier_status_is_told():
    world = begun("a")
    for status in (Status.PAUSED, Status.OPEN):
        world.says(seen("a"), status=status)
        world.advance(2 * HOUR, reconcile=True)
        assert known(world)["status"] == status
    assert {e["id"]: e["data"] for e in world.events()}.keys() == {f"r1.{n}" for n in (1, 2, 3)}


def test_an_older_status_told_later_has_a_lower_sequence_and_an_earlier_time():
    """A duplicate is republished from what was read before another instance committed the completion."""
    world = begun("a")
    older = world.request()
    world.says(seen("a", signed=True), status=Status.COMPLETE)
    world.hear(COMPLETE)
    world.publisher.republish_missing(None, older)
    assert known(world)["status"] == Status.COMPLETE
    assert max(world.events(), key=lambda e: e["time"])["data"]["status"] == Status.COMPLETE


@pytest.mark.parametrize("point", range(40))
def test_what_a_recheck_found_is_told_though_it_crashed_anywhere(point):
    world = begun("a", "b")
    world.says(seen("a", signed=True), seen("b"))
    world.now = world.request().next_at
    world.faults.count, world.faults.at = 0, point
    try:
        world.resolve.recheck("r1")
    except Crash:
        world.advance(DAY, reconcile=True)
    assert known(world)["signatures"] == 1


@pytest.mark.parametrize("point", range(12))
def test_also_when_the_recheck_after_it_crashes_too(point):
    world = begun("a")
    world.says(seen("a"), status=Status.PAUSED)
    world.now = world.request().next_at
    world.bus.down = True  # committed, not told
    world.reconcile.run()
    world.bus.down = False
    world.now += HOUR
    world.faults.count, world.faults.at = 0, point
    with pytest.raises(Crash):
        world.resolve.recheck("r1")
    world.advance(DAY, reconcile=True)
    assert known(world)["status"] == Status.PAUSED


def test_a_lost_change_is_told_by_the_next_event_and_silence_soon_after():
    world = begun("a", "b")
    world.says(seen("a", signed=True), seen("b"))
    world.now += HOUR
    world.bus.down = True
    world.reconcile.run()
    world.bus.down = False
    world.hear(SIGNED, "a")
    assert known(world)["signatures"] == 1


def test_the_silence_of_a_request_is_told_soon_after_a_crash():
    world = begun("a")
    world.advance(HOUR, reconcile=True)
    world.now += 50 * DAY
    world.bus.down = True
    world.reconcile.run()
    world.bus.down = False
    assert world.request().status is Status.DORMANT
    world.advance(30 * MINUTE, reconcile=True)
    assert known(world)["status"] == Status.DORMANT


def test_the_sequence_counts_changes_and_nothing_else():
    world = begun("a")
    world.hear(SENT)
    world.says(seen("a", email="a@example.com"), expires_at=world.now + 50 * DAY)
    world.advance(DAY, reconcile=True)
    assert {e["id"] for e in world.events()} == {"r1.1"}


def test_an_invitation_to_a_corrected_address_is_a_change():
    world = begun("a")
    before = known(world)
    world.says(seen("a", mobile="+13175550199"))
    world.advance(DAY, reconcile=True)
    assert known(world)["sequence"] == 2
    (old,), (new,) = before["signers"].values(), known(world)["signers"].values()
    assert new["invited_at"] > old["invited_at"]


def test_the_customers_own_ids_of_signers_are_told_only_where_they_are_wanted():
    world = begun("a")
    assert "id" not in next(iter(known(world)["signers"].values()))
    told = request_status(world.request(), signer_ids=True)
    assert [s.id for s in told.signers.values()] == ["a"]


def test_the_completion_that_a_recheck_found_and_did_not_publish_is_sent_with_the_next_event():
    world = begun("a")
    world.advance(HOUR, reconcile=True)
    world.says(seen("a", signed=True), status=Status.COMPLETE)
    world.now = world.request().next_at
    world.bus.down = True
    world.reconcile.run()
    world.bus.down = False
    assert world.request().status is Status.COMPLETE
    world.hear(SIGNED, "a")
    assert [kind for kind, _, _ in world.told()].count("completion") == 1
