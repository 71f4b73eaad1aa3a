"""A Cloud Task says that a reminder is due. Only the task that the state names is obeyed."""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from shared.domain import planner
from shared.domain.decodable import decodable
from shared.domain.errors import RetryLater
from shared.domain.model import Kind, Notice, Reminder, Request, SignerState, Status
from shared.domain.policy import Policy
from shared.domain.recheck import is_out
from shared.ports import Ledger
from shared.services.publisher import Publisher

MAX_CLOCK_SKEW = timedelta(seconds=2)


@decodable
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
        """Publishes the reminder, and with it those of the other signers that are due. Raises RetryLater.

        Noted afterwards, so that their tasks need not: fired twice, a reminder may be published twice and is sent once.
        """
        stored = self._ledger.get(Request, firing.request)
        reminder = _obeyed(stored.item, firing) if stored else None
        if stored is None or reminder is None:
            return "not due"
        if (early := reminder.due_at - self._clock()) > MAX_CLOCK_SKEW:
            raise RetryLater("the task came before its time", after=early.total_seconds())
        until = max(self._clock(), reminder.due_at)
        if due := self._due_notices(stored.item, until):
            self._publisher.publish(due)
            self._ledger.put(firing.request, replace(stored.item, reminded_until=until), stored.version)
        return "published"

    def _due_notices(self, request: Request, until: datetime) -> list[Notice]:
        implied = planner.notices(request, until, self._policy).values()
        return [n for n in implied if n.kind is Kind.REMINDER and _waits(request, n)]


def _waits(request: Request, notice: Notice) -> bool:
    reminder = request.signers[notice.signer].reminders.get(str(notice.reminder_day))
    return reminder is not None and not is_out(request, reminder)


def _obeyed(request: Request, firing: Firing) -> Reminder | None:
    signer = request.signers.get(firing.signer)
    if signer is None or request.status is not Status.OPEN:
        return None
    reminder = signer.reminders.get(str(firing.reminder_day))
    fits = reminder is not None and reminder.task == firing.task and not is_out(request, reminder)
    return reminder if fits and signer.state is SignerState.INVITED else None
