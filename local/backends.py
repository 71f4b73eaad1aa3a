"""What the local stack runs on: SQLite and threads, or Google's own emulators. The same ports, the same entry points."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from local.outbox import Outbox, OutboxChannel
from shared import wiring
from shared.domain.model import ChannelName
from shared.ports import Bus, Channel, Ledger, Scheduler
from shared.settings import SettingError

ACK_DEADLINE = 60.0  # seconds, as in the cloud
DEAD = "-dead"  # a dead-letter topic's name is its topic's and this


class LocalBackend(Protocol):
    caught: Outbox

    def bus(self) -> Bus: ...

    def ledger(self) -> Ledger: ...

    def scheduler(self) -> Scheduler: ...

    def outbox(self, channel: ChannelName) -> Channel: ...


class Push:
    """One push subscription: the messages of a topic with this attribute go to that function."""

    def __init__(self, name: str, topic: str, endpoint: str, attribute: tuple[str, str] | None = None) -> None:
        self.name, self.topic, self.endpoint, self.attribute = name, topic, endpoint, attribute


def pushes(base: str) -> list[Push]:
    names = wiring.settings().names()
    one_a_channel = [
        Push(f"deliver-{c}", names.notices_topic, f"{base}/deliver", ("channel", c.value))
        for c in (ChannelName.SMS, ChannelName.EMAIL)
    ]
    return [Push("resolve", names.events_topic, f"{base}/resolve"), *one_a_channel]


def backoff() -> tuple[float, float]:
    """Shortest and longest pause before a redelivery, in seconds: 10 and 600 in a real day."""
    policy = wiring.settings().policy()
    return policy.span(10, floor=0.2).total_seconds(), policy.span(600, floor=2).total_seconds()


@contextmanager
def start_backend(directory: Path, base: str) -> Iterator[LocalBackend]:
    start = {"embedded": _embedded, "emulators": _emulators}.get(os.environ["BACKEND"])
    if start is None:
        raise SettingError("BACKEND must be embedded or emulators here")
    with start(directory, base) as backend:
        yield backend


class _Backend:
    """Ready-made ports, and the outbox that local providers fill."""

    def __init__(self, bus: Bus, ledger: Ledger, scheduler: Scheduler, caught: Outbox) -> None:
        self._bus, self._ledger, self._scheduler, self.caught = bus, ledger, scheduler, caught

    def bus(self) -> Bus:
        return self._bus

    def ledger(self) -> Ledger:
        return self._ledger

    def scheduler(self) -> Scheduler:
        return self._scheduler

    def outbox(self, channel: ChannelName) -> Channel:
        return OutboxChannel(channel.value, self.caught, wiring.clock)


@contextmanager
def _embedded(directory: Path, base: str) -> Iterator[LocalBackend]:
    from local.pushing import Pushing
    from local.sqlite import Database, EmbeddedBus, EmbeddedLedger, EmbeddedScheduler, Subscription

    least, most = backoff()
    db = Database(directory / "relay.db")
    subscriptions = [
        Subscription(
            name=p.name,
            topic=p.topic,
            endpoint=p.endpoint,
            attribute=p.attribute,
            ack_deadline=ACK_DEADLINE,
            min_backoff=least,
            max_backoff=most,
            dead_letter_topic=p.topic + DEAD,
        )
        for p in pushes(base)
    ]
    bus, scheduler = EmbeddedBus(db, wiring.clock, subscriptions), EmbeddedScheduler(db)
    pushing = Pushing(db, bus, scheduler, wiring.clock)
    pushing.start()
    try:
        yield _Backend(bus, EmbeddedLedger(db), scheduler, Outbox(directory / "outbox.db"))
    finally:
        pushing.stop()
        db.close()


def _emulators(directory: Path, base: str) -> Iterator[LocalBackend]:
    raise SettingError("not yet")
