"""Builders of a World whose request has reached some point of its life: sent, signed by some, complete."""

from datetime import timedelta

from shared.domain.model import EventType, Status
from shared.domain.policy import Policy
from tests.fakes import World, seen

SENT, SIGNED, COMPLETE, EXPIRED = EventType

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def begun(*names: str, policy: Policy | None = None) -> World:
    """A world in which a request has been sent to these signers."""
    world = World(policy)
    world.says(*[seen(n) for n in names])
    world.hear(SENT)
    return world


def sign(world: World, names: str, done: str) -> None:
    """`done` have signed, the last of them just now; with the last of all the request is complete."""
    status = Status.COMPLETE if len(done) == len(names) else Status.OPEN
    world.says(*[seen(n, signed=n in done) for n in names], status=status)
    world.hear(SIGNED, done[-1])


def live(names: str) -> World:
    world = begun(*names)
    for n in range(1, len(names) + 1):
        sign(world, names, names[:n])
    world.hear(COMPLETE)
    return world
