"""The backends of the local stack: SQLite with threads, or emulators. Both have the same ports as the cloud."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from local.emulation.topology import Queue, Subscription
from local.sandbox.outbox import Outbox, OutboxChannel
from local.sandbox.receipts import OutboxReceipts
from local.stack.clock import VirtualClock
from shared import bootstrap
from shared.adapters.providers.common.mail import Letterhead
from shared.domain.dead_letters import dead_topic
from shared.domain.model import ChannelName, NoticeRecord
from shared.ports import Bus, Channel, DeadLetters, Flows, Ledger, ReceiptVerifier, Scheduler
from shared.setting_types import SettingError
from shared.settings.channels import MAX_DELIVERY_ATTEMPTS
from shared.settings.local import PARALLEL_PUSHES
from shared.settings.own_systems import STATUS_WEBHOOK_URL
from shared.settings.place import OIDC_AUDIENCE

if TYPE_CHECKING:
    from local.emulation.embedded import Embedded
    from local.emulation.http_push import Post

NextDue = Callable[[str], datetime | None]


class LocalBackend:
    """The ports, and the outbox that the local provider writes to.

    next_due: when the next task of a queue is due. queued: lengths of the queues for the console, if known.
    base: the gateway, where the outbox posts its receipts; "" for a command, which sends nothing.
    start: starts the deliveries; called when the functions can be reached.
    """

    def __init__(
        self,
        bus: Bus,
        ledger: Ledger,
        scheduler: Scheduler,
        letters: DeadLetters,
        stored_messages: Outbox,
        next_due: NextDue,
        queued: Callable[[], Mapping[str, object]] = dict,
        start: Callable[[], None] = lambda: None,
        base: str = "",
        flows: Flows | None = None,
    ) -> None:
        self._bus, self._ledger, self._scheduler = bus, ledger, scheduler
        self._letters, self.stored_messages, self._flows = letters, stored_messages, flows
        self._next_due, self._queued, self.start, self._base = next_due, queued, start, base

    def bus(self) -> Bus:
        return self._bus

    def ledger(self) -> Ledger:
        return self._ledger

    def scheduler(self) -> Scheduler:
        return self._scheduler

    def dead_letters(self) -> DeadLetters:
        return self._letters

    def flows(self) -> Flows | None:
        return self._flows

    def gauges(self) -> Mapping[str, object]:
        return {**self._queued(), "Next reminder task": self.next_reminder()}

    def next_reminder(self) -> datetime | None:
        return self._next_due(bootstrap.settings().names().reminders_queue)

    def outbox(self, channel: ChannelName) -> Channel:
        letterhead = Letterhead(bootstrap.settings()) if channel is ChannelName.EMAIL else None
        return OutboxChannel(channel, self.stored_messages, bootstrap.clock, self._receipts_url(), letterhead)

    def receipts(self, channel: ChannelName) -> ReceiptVerifier:
        return OutboxReceipts()

    def _receipts_url(self) -> str:
        return bootstrap.receipts_base_url() or (f"{self._base}/receipts" if self._base else "")

    def request_of(self, notice: str) -> str:
        """The id of a notice's request; "" if it is not known."""
        stored = self._ledger.get(NoticeRecord, notice)
        return stored.item.request_id if stored else ""


def pushes(base: str) -> list[Subscription]:
    names = bootstrap.settings().names()
    least, most = backoff()

    def push(name: str, topic: str, function: str, channel: str = "") -> Subscription:
        return Subscription(
            name=name,
            topic=topic,
            endpoint=f"{base}/{function}",
            audience=bootstrap.callers(function.partition("/")[0]).audience,
            dead_letter_topic=dead_topic(topic),
            attribute=("channel", channel) if channel else None,
            min_backoff=least,
            max_backoff=most,
            max_attempts=bootstrap.settings()[MAX_DELIVERY_ATTEMPTS],
            parallel=bootstrap.settings()[PARALLEL_PUSHES],
        )

    per_channel = [push(f"deliver-{c}", names.notices_topic, f"deliver/{c}", c) for c in ("sms", "email")]
    status = [push("forward", names.status_topic, "forward")] if bootstrap.settings()[STATUS_WEBHOOK_URL] else []
    return [push("resolve", names.events_topic, "resolve"), *per_channel, *status]


def backoff() -> tuple[float, float]:
    """Minimum and maximum pause before a redelivery, in seconds: 10 and 600 with days of 24 hours."""
    policy = bootstrap.settings().policy()
    return policy.span(10, floor=0.2).total_seconds(), policy.span(600, floor=2).total_seconds()


@contextmanager
def start_backend(directory: Path, base: str, clock: VirtualClock, post: "Post") -> Iterator[LocalBackend]:
    """post: how the embedded backend calls the functions."""
    starts: dict[str, Callable[[], AbstractContextManager[LocalBackend]]] = {
        "embedded": lambda: _embedded(directory, base, clock, post),
        "emulators": lambda: _emulators(directory, base, clock),
    }
    start = starts.get(os.environ["BACKEND"])
    if start is None:
        raise SettingError("BACKEND must be embedded or emulators for the local stack")
    with start() as backend:
        yield backend


@contextmanager
def _embedded(directory: Path, base: str, clock: VirtualClock, post: "Post") -> Iterator[LocalBackend]:
    from local.emulation.embedded import Embedded
    from local.emulation.http_push import Pace

    embedded = Embedded(directory / "relay.db", clock, Pace(*backoff()), bootstrap.settings()[OIDC_AUDIENCE], post)
    for subscription in pushes(base):
        embedded.bus.subscribe(subscription)
    try:
        stored_messages = Outbox(directory / "outbox.db")
        next_due = embedded.scheduler.next_due
        queued = partial(_queued, embedded)
        ports = embedded.bus, embedded.ledger, embedded.scheduler, embedded.dead_letters
        yield LocalBackend(*ports, stored_messages, next_due, queued, embedded.start, base, embedded.bus)
    finally:
        embedded.stop()


def _queued(embedded: "Embedded") -> dict[str, object]:
    names, dead = bootstrap.settings().names(), 0
    for topic in (names.events_topic, names.notices_topic):
        with embedded.dead_letters.open(topic, limit=1_000) as letters:
            dead += len(letters)
    bus = embedded.bus
    return {"Messages to deliver": bus.pending(), "Oldest of them": bus.oldest(), "Dead letters": dead}


@contextmanager
def _emulators(directory: Path, base: str, clock: VirtualClock) -> Iterator[LocalBackend]:
    """Google's emulators of Pub/Sub and Firestore, our Cloud Tasks emulator, and the adapters for Google Cloud."""
    from local.emulation.google_emulators import Missing, emulators
    from local.emulation.provision import provision
    from local.emulation.tasks_emulator import TasksEmulator

    settings, names, (least, most) = bootstrap.settings(), bootstrap.settings().names(), backoff()
    queues = [Queue(name=name, min_backoff=least, max_backoff=most) for name in names.queues()]
    try:
        with emulators(directory / "emulators") as hosts, TasksEmulator(clock=clock) as tasks:
            os.environ.update(hosts, CLOUD_TASKS_EMULATOR_HOST=tasks.host)
            topics, location = [names.status_topic], settings.location
            provision(settings.project, location, topics=topics, subscriptions=pushes(base), queues=queues)
            google, stored_messages = bootstrap.GoogleBackend(), Outbox(directory / "outbox.db")
            ports = google.bus(), google.ledger(), google.scheduler(), google.dead_letters()
            yield LocalBackend(*ports, stored_messages, tasks.next_due, base=base)
    except (Missing, TimeoutError) as e:
        raise SettingError(f"BACKEND=emulators: {e}") from None
