"""A World that simulates months in seconds: its clock moves from one due time to the next.

Its queue may be late or have a clock of its own, reconcile may be down, and it notes when each message left.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.errors import Accepted, RetryLater
from shared.domain.model import EventType, Kind, NoticeRecord, Request
from shared.domain.policy import Policy
from shared.ports import Outgoing, Task
from shared.services.operator_actions import OperatorActions, Why
from tests.fakes import START, World, seen

DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
BACKOFF = timedelta(seconds=10)  # of a task that was refused
PARKED = 600.0  # seconds until a message comes again whose Retry names no time: as Pub/Sub's backoff and parking end
WHY = Why("op@example.com", "a test")


class Left(NamedTuple):
    """A message, as it left."""

    at: datetime
    kind: str
    signer: str
    step: int
    round: int


class Days(World):
    def __init__(self, policy: Policy | None = None, start: datetime = START) -> None:
        super().__init__(policy)
        self.now = start
        self.reconciling = True
        self.queue_late = timedelta()  # below zero: the queue's clock is ahead of ours
        self.left: list[Left] = []
        self.operate = OperatorActions(self.ledger, self.publisher, self.policy, self.clock)
        self._refused: dict[str, datetime] = {}
        for channel in (self.sms, self.email):
            self._watch(channel)

    def _watch(self, channel) -> None:
        send = channel.send

        def watched(message: Outgoing) -> Accepted:
            accepted: Accepted = send(message)
            self.note(message)
            return accepted

        channel.send = watched

    def note(self, message: Outgoing) -> None:
        record = self.ledger.all(NoticeRecord)[message.notice]
        name = self.ledger.all(Request)["r1"].signers[record.signer].aliases[0]
        self.left.append(Left(self.now, record.kind.value, name, record.reminder_day or record.about, record.round))

    # -- time

    def live(self, span: timedelta) -> None:
        """Lets time pass. Reconcile runs on the minute, and only when something is due: any other pass does nothing."""
        end = self.now + span
        while (following := min([*self._moments()], default=end)) < end:
            self.now = max(self.now, following)
            self._turn()
        self.now = end

    def live_until(self, at: datetime) -> None:
        self.live(at - self.now)

    def _moments(self) -> list[datetime]:
        looks = [r.next_at for r in self.ledger.all(Request).values() if r.next_at and self.reconciling]
        return [on_the_minute(at) for at in looks] + self._times()

    def _times(self) -> list[datetime]:
        return [at for at, _, _ in self.later] + [self.fires_at(t) for t in self.scheduler.tasks.values()]

    def _turn(self) -> None:
        now = self.now
        due = [t for t in self.scheduler.tasks.values() if self.fires_at(t) <= now]
        if self.reconciling and any(r.next_at and r.next_at <= now for r in self.ledger.all(Request).values()):
            self.reconcile.run()
        awake = [m for m in self.later if m[0] <= now]
        self.later = [m for m in self.later if m[0] > now]
        self.bus.pending += [(topic, data) for _, topic, data in awake]
        self.pump()
        for task in due:
            self.fire(task)

    def _handle(self, topic: str, data: bytes) -> None:
        super()._handle(topic, data)
        soonest = self.now + 10 * SECOND  # what World makes of a Retry that names no time
        self.later = [(self.now + timedelta(seconds=PARKED) if m[0] == soonest else m[0], *m[1:]) for m in self.later]

    def fires_at(self, task: Task) -> datetime:
        return self._refused.get(task.name, task.at + self.queue_late)

    def fire(self, task: Task) -> None:
        """A refused task comes again, as Cloud Tasks brings it."""
        try:
            super().fire(task)
        except RetryLater:
            self._refused[task.name] = self.now + BACKOFF

    # -- what can be seen

    def reminders(self, signer: str = "a") -> list[Left]:
        return [m for m in self.left if (m.kind, m.signer) == (Kind.REMINDER, signer)]

    def steps(self, signer: str = "a") -> list[int]:
        """Of the reminders that left, in their order."""
        return [m.step for m in self.reminders(signer)]

    def task(self, step: int, signer: str = "a") -> Task:
        """The task that the state names."""
        return self.scheduler.tasks[self.request().signers[self.signer(signer)].reminders[str(step)].task]


def on_the_minute(at: datetime) -> datetime:
    """The next whole minute: when Cloud Scheduler calls."""
    whole = at.replace(second=0, microsecond=0)
    return whole if whole == at else whole + MINUTE


def invited(policy: Policy | None = None) -> Days:
    days = Days(policy)
    days.says(seen("a"), seen("b"))
    days.hear(EventType.SENT)
    return days


def on_time(days: Days, signer: str = "a") -> bool:
    """Each within two seconds of its step: START is inside the window."""
    return all(abs(m.at - START - m.step * DAY) <= 2 * SECOND for m in days.reminders(signer))
