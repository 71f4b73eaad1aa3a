"""A Cloud Task says that a reminder is due. Only the task that the state names is obeyed."""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from shared.domain import planner
from shared.domain.errors import RetryLater
from shared.domain.model import Kind, Notice, Reminder, Request, SignerState, Status
from shared.domain.policy import Policy
from shared.ports import Ledger
from shared.services.publisher import Publisher

MAX_CLOCK_SKEW = timedelta(seconds=2)


class Firing(msgspec.Struct, frozen=True):
    """The body of a reminder task."""

    request: str
    signer: str
    reminder_day: int
    task: str


class Remind:
    """The handler of `remind`."""

    def __init__(self, ledger: Ledger, publisher: Publisher, policy: Policy, clock: Callable[[], datetime]) -> None:
        self._ledger, self._publisher, self._policy, self._clock = ledger, publisher, policy, clock

    def fire(self, firing: Firing) -> str:
        """Publishes the reminder. Fired twice, it is published twice and sent once. Raises RetryLater."""
        stored = self._ledger.get(Request, firing.request)
        reminder = _obeyed(stored.item, firing) if stored else None
        if stored is None or reminder is None:
            return "not due"
        if (early := reminder.due_at - self._clock()) > MAX_CLOCK_SKEW:
            raise RetryLater("the task came before its time", after=early.total_seconds())
        self._publisher.publish(self._due_notices(stored.item, firing, reminder))
        return "published"

    def _due_notices(self, request: Request, firing: Firing, reminder: Reminder) -> list[Notice]:
        wanted = (firing.signer, Kind.REMINDER, firing.reminder_day)
        implied = planner.notices(request, max(self._clock(), reminder.due_at), self._policy)
        return [n for n in implied.values() if (n.signer, n.kind, n.reminder_day) == wanted]


def _obeyed(request: Request, firing: Firing) -> Reminder | None:
    signer = request.signers.get(firing.signer)
    if signer is None or request.status is not Status.OPEN:
        return None
    reminder = signer.reminders.get(str(firing.reminder_day))
    fits = reminder is not None and reminder.task == firing.task
    return reminder if fits and signer.state is SignerState.INVITED else None
