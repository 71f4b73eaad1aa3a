"""What the local stack runs on: SQLite and threads, or emulators. The same ports, the same entry points."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.outbox import Outbox, OutboxChannel
from local.topology import Queue, Subscription
from shared import wiring
from shared.domain.model import ChannelName
from shared.ports import Bus, Channel, Ledger, Scheduler
from shared.settings import SettingError

DEAD = "-dead"  # a dead-letter topic's name is its topic's and this


class LocalBackend:
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


def pushes(base: str) -> list[Subscription]:
    names = wiring.settings().names()
    least, most = backoff()

    def push(name: str, topic: str, function: str, channel: str = "") -> Subscription:
        return Subscription(
            name=name,
            topic=topic,
            endpoint=f"{base}/{function}",
            dead_letter_topic=f"{topic}{DEAD}",
            attribute=("channel", channel) if channel else None,
            min_backoff=least,
            max_backoff=most,
        )

    one_a_channel = [push(f"deliver-{c}", names.notices_topic, f"deliver/{c}", c) for c in ("sms", "email")]
    return [push("resolve", names.events_topic, "resolve"), *one_a_channel]


def backoff() -> tuple[float, float]:
    """Shortest and longest pause before a redelivery, in seconds: 10 and 600 in a real day."""
    policy = wiring.settings().policy()
    return policy.span(10, floor=0.2).total_seconds(), policy.span(600, floor=2).total_seconds()


@contextmanager
def start_backend(directory: Path, base: str) -> Iterator[LocalBackend]:
    starts = {"embedded": _embedded, "emulators": _emulators}
    start = starts.get(os.environ["BACKEND"])
    if start is None:
        raise SettingError("BACKEND must be embedded or emulators here")
    with start(directory, base) as backend:
        yield backend


@contextmanager
def _embedded(directory: Path, base: str) -> Iterator[LocalBackend]:
    from local.embedded import Embedded
    from local.posting import Pace

    embedded = Embedded(directory / "relay.db", wiring.clock, Pace(*backoff()))
    for subscription in pushes(base):
        embedded.bus.subscribe(subscription)
    embedded.start()
    try:
        caught = Outbox(directory / "outbox.db")
        yield LocalBackend(embedded.bus, embedded.ledger, embedded.scheduler, caught)
    finally:
        embedded.stop()


@contextmanager
def _emulators(directory: Path, base: str) -> Iterator[LocalBackend]:
    """Google's emulators of Pub/Sub and Firestore, ours of Cloud Tasks, and the adapters that run in the cloud."""
    from local.google import Missing, emulators
    from local.provision import provision
    from local.tasks_emulator import TasksEmulator

    settings, names, (least, most) = wiring.settings(), wiring.settings().names(), backoff()
    queues = [
        Queue(name=name, min_backoff=least, max_backoff=most) for name in (names.reminders_queue, names.retries_queue)
    ]
    try:
        with emulators(directory / "emulators") as hosts, TasksEmulator() as tasks:
            os.environ.update(hosts, CLOUD_TASKS_EMULATOR_HOST=tasks.host)
            topics, location = [names.status_topic], settings.location
            provision(settings.project, location, topics=topics, subscriptions=pushes(base), queues=queues)
            google, caught = wiring.GoogleBackend(), Outbox(directory / "outbox.db")
            yield LocalBackend(google.bus(), google.ledger(), google.scheduler(), caught)
    except (Missing, TimeoutError) as e:
        raise SettingError(f"BACKEND=emulators: {e}") from None
