"""A Cloud Task says that a reminder is due. Only the task that the state names is obeyed."""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

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
        """Publishes the reminder, then marks it done, so that a crash in between only repeats it. Raises RetryLater."""
        _, after = self._ledger.update(Request, firing.request, lambda stored: self._published(stored, firing))
        return "not due" if after is None else "published"

    def _published(self, request: Request | None, firing: Firing) -> Request | None:
        """The state with this reminder marked done; None where the task is not to be obeyed."""
        reminder = _obeyed(request, firing)
        if request is None or reminder is None:
            return None
        if (early := reminder.due_at - self._clock()) > MAX_CLOCK_SKEW:
            raise RetryLater("the task came before its time", after=early.total_seconds())
        self._publisher.publish(self._due_notices(request, firing, reminder))
        return _marked_done(request, firing)

    def _due_notices(self, request: Request, firing: Firing, reminder: Reminder) -> list[Notice]:
        wanted = (firing.signer, Kind.REMINDER, firing.reminder_day)
        implied = planner.notices(request, max(self._clock(), reminder.due_at), self._policy)
        return [n for n in implied.values() if (n.signer, n.kind, n.reminder_day) == wanted]


def _obeyed(request: Request | None, firing: Firing) -> Reminder | None:
    signer = request.signers.get(firing.signer) if request else None
    if request is None or signer is None or request.status is not Status.OPEN:
        return None
    reminder = signer.reminders.get(str(firing.reminder_day))
    fits = reminder is not None and reminder.task == firing.task and not reminder.done
    return reminder if fits and signer.state is SignerState.INVITED else None


def _marked_done(request: Request, firing: Firing) -> Request:
    signer, day = request.signers[firing.signer], str(firing.reminder_day)
    reminders = {**signer.reminders, day: replace(signer.reminders[day], done=True)}
    return replace(request, signers={**request.signers, firing.signer: replace(signer, reminders=reminders)})
