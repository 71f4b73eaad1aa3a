"""Whoever has the static token can post events. What the truth table lets them do, and what it does not."""

import logging
from datetime import timedelta

import pytest

from shared.domain.model import EventType, SignerState, Status
from shared.ports import NotFound
from tests.fakes import World, seen

SENT, SIGNED, COMPLETE, EXPIRED = EventType
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@pytest.fixture
def world() -> World:
    """Two signers are invited, none has signed, and the API says so."""
    world = World()
    world.says(seen("a"), seen("b"))
    world.hear(SENT)
    assert world.told() == [("invitation", "a", 0), ("invitation", "b", 0)]
    return world


def test_a_forged_expiry_silences_no_reminder(world: World) -> None:
    world.hear(EXPIRED)
    assert world.request().status is Status.OPEN
    world.advance(4 * DAY)
    assert ("reminder", "a", 3) in world.told()
    assert ("reminder", "b", 3) in world.told()


def test_a_forged_completion_tells_nobody_and_raises_an_alert(world: World, caplog: pytest.LogCaptureFixture) -> None:
    before = world.told()
    with caplog.at_level(logging.WARNING):
        world.hear(COMPLETE)
        world.advance(1 * DAY)
    assert world.told() == before
    assert world.request().status is Status.DISPUTED
    assert "disputed" in caplog.text


def test_a_forged_completion_silences_reminders_for_a_day_at_most(world: World) -> None:
    world.hear(COMPLETE)
    world.advance(2 * DAY, reconcile=True)
    assert world.request().status is Status.OPEN
    world.advance(2 * DAY, reconcile=True)
    assert ("reminder", "a", 3) in world.told()


def test_a_forged_signature_is_not_believed_at_once_and_then_raises_an_alert(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.hear(SIGNED, "a")
    assert world.request().signers[world.signer("a")].state is SignerState.INVITED
    with caplog.at_level(logging.WARNING):
        world.advance(10 * MINUTE)
    assert "believed" in caplog.text


def test_a_forged_signature_of_one_neither_completes_nor_silences_another(world: World) -> None:
    world.hear(SIGNED, "a")
    world.advance(4 * DAY)
    assert "completion" not in {kind for kind, _, _ in world.told()}
    assert ("reminder", "b", 3) in world.told()


def test_a_forged_signature_of_nobody_we_know_signs_for_nobody(world: World) -> None:
    world.hear(SIGNED, "mallory")
    world.advance(10 * MINUTE)
    assert {s.state for s in world.request().signers.values()} == {SignerState.INVITED}


def test_a_forged_sending_invites_nobody_twice(world: World) -> None:
    before = world.told()
    for n in range(5):
        world.hear(SENT, key=f"forged-{n}")
    assert world.told() == before


def test_a_replayed_event_has_no_second_effect(world: World) -> None:
    world.says(seen("a", signed=True), seen("b"))
    for _ in range(3):
        world.hear(SIGNED, "a", key="the-same")
    assert [t for t in world.told() if t[0] == "progress"] == [("progress", "b", 1)]


@pytest.mark.parametrize("kind", EventType)
def test_an_event_of_a_request_that_the_api_does_not_know_sends_nothing(kind: EventType) -> None:
    world = World()
    world.api.truth["r1"] = NotFound()
    world.hear(kind, "a" if kind is SIGNED else None)
    world.advance(1 * DAY)
    assert world.sent() == []
    assert world.dead == []


def test_contacts_come_from_the_api_alone(world: World) -> None:
    """An event has no place for an address: `receive` drops whatever it holds besides ids."""
    from tests.security.receive_server import hook

    world.receive.accept(
        hook("forged", email="evil@x.org", mobile_number="+19005550000", data={"request_url": "https://evil.test"})
    )
    published = world.bus.topics[world.names.events_topic][-1].data
    assert b"evil" not in published
    assert b"+1900" not in published
