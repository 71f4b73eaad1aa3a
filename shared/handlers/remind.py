"""A Cloud Task says that a reminder is due. Only the task that the state names is obeyed."""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from shared.domain import planner
from shared.domain.errors import RetryLater
from shared.domain.model import Reminder, Request, SignerState, Status
from shared.domain.policy import Policy
from shared.ports import Ledger, Stored
from shared.services.publisher import Publisher

MAX_COMMIT_RETRIES = 5
EARLY = timedelta(seconds=2)  # clocks differ


class Firing(msgspec.Struct, frozen=True):
    """The body of a reminder task."""

    request: str
    signer: str
    step: int
    task: str


class Remind:
    def __init__(self, ledger: Ledger, publisher: Publisher, policy: Policy, clock: Callable[[], datetime]) -> None:
        self._ledger, self._publisher, self._policy, self._clock = ledger, publisher, policy, clock

    def fire(self, firing: Firing) -> str:
        """Publishes the reminder, then marks it done, so that a crash in between only repeats it. Raises RetryLater."""
        for _ in range(MAX_COMMIT_RETRIES):
            stored = self._ledger.get(Request, firing.request)
            reminder = self._obeyed(stored, firing)
            if stored is None or reminder is None:
                return "not due"
            wait = (reminder.due_at - self._clock()).total_seconds()
            if wait > EARLY.total_seconds():
                raise RetryLater("the task came before its time", after=wait)
            self._publish(stored.item, firing)
            if self._ledger.put(firing.request, _marked(stored.item, firing), stored.version):
                return "published"
        raise RetryLater("others keep changing this request", after=1)

    def _obeyed(self, stored: Stored[Request] | None, firing: Firing) -> Reminder | None:
        signer = stored.item.signers.get(firing.signer) if stored else None
        if stored is None or signer is None or stored.item.status is not Status.OPEN:
            return None
        reminder = signer.reminders.get(str(firing.step))
        fits = reminder is not None and reminder.task == firing.task and not reminder.done
        return reminder if fits and signer.state is SignerState.INVITED else None

    def _publish(self, request: Request, firing: Firing) -> None:
        now = max(self._clock(), request.signers[firing.signer].reminders[str(firing.step)].due_at)
        implied = planner.notices(request, now, self._policy).values()
        self._publisher.publish(
            n for n in implied if n.signer == firing.signer and n.step == firing.step and n.kind == "reminder"
        )


def _marked(request: Request, firing: Firing) -> Request:
    signer = request.signers[firing.signer]
    step = str(firing.step)
    reminders = {**signer.reminders, step: replace(signer.reminders[step], done=True)}
    return replace(request, signers={**request.signers, firing.signer: replace(signer, reminders=reminders)})
