"""After the commit: what the state implies is published, scheduled and called off. Safe to repeat at any time."""

import logging
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from datetime import datetime
from functools import partial

import msgspec
from msgspec.structs import replace

from shared.domain import planner, unreached
from shared.domain.model import ChannelName, Kind, Notice, NoticeRecord, NoticeState, Request
from shared.domain.notice_record import first_record
from shared.domain.policy import Policy
from shared.domain.status_event import changed_by_recheck, changed_last, status_event
from shared.ports import Bus, Ledger, Scheduler, Task
from shared.services.messages import event_message, notice_message
from shared.services.outcomes import Outcomes
from shared.services.resource_names import ResourceNames

log = logging.getLogger(__name__)


class Publisher:
    """Publishes what a committed state implies."""

    def __init__(
        self,
        ledger: Ledger,
        bus: Bus,
        scheduler: Scheduler,
        names: ResourceNames,
        policy: Policy,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger, self._bus, self._scheduler = ledger, bus, scheduler
        self._names, self._policy, self._clock = names, policy, clock
        self._outcomes = Outcomes(bus, names, policy, clock)

    def publish_changes(self, old: Request | None, new: Request) -> None:
        """What the commit added. What was implied before was published then, or will be by `republish_missing`."""
        if old and changed_by_recheck(old):  # it may have died before it published, and nobody repeats it
            self.republish_missing(None, new)
            return
        now = self._clock()
        before = planner.notices(old, now, self._policy) if old else {}
        after = planner.notices(new, now, self._policy)
        self.publish([n for key, n in after.items() if key not in before])
        have = planner.tasks(new, now, self._policy)
        self._schedule(new, have, self._made(old))
        self._tell_status(old, new)
        self._call_off(old, have, now)

    def republish_missing(self, old: Request | None, new: Request) -> None:
        """What the state implies and the ledger lacks: after a crash between commit and publishing, or a loss."""
        now = self._clock()
        self._tell_status(old, new)
        implied = planner.notices(new, now, self._policy)
        records = self._ledger.records(new.id)
        unsent = planner.unsent(implied, records, now, self._policy)
        _warn_of_overdue(new, unsent)
        mails = unreached.missing(new, records, now, self._policy) if implied else ()
        self.publish([*unsent, *mails])
        self._tell_untold({key: record for key, record in records.items() if record.untold})
        have = planner.tasks(new, now, self._policy)
        self._schedule(new, have, self._made(old) - unpublished_tasks(old))
        self._call_off(old, have, now)

    def _call_off(self, old: Request | None, have: dict[str, planner.Due], now: datetime) -> None:
        """Last: a task that is left over does nothing, since `remind` obeys the state."""
        had = planner.tasks(old, now, self._policy) if old else {}
        self._scheduler.delete(self._names.reminders_queue, had.keys() - have.keys())

    def _tell_untold(self, records: Mapping[str, NoticeRecord]) -> None:
        """What receipts said while nothing could be published."""
        self._outcomes.tell(records)
        for key, told in records.items():
            self._ledger.update(NoticeRecord, key, partial(_told, told.changes))

    def publish(self, notices: Collection[Notice]) -> None:
        """Raises RetryLater. A notice without a channel is recorded as failed instead, and told to the sender."""
        reachable = [n for n in notices if n.channel is not ChannelName.NONE]
        mails = self._record_unreachable([n for n in notices if n.channel is ChannelName.NONE])
        if reachable or mails:
            self._bus.publish(self._names.notices_topic, [notice_message(n) for n in (*reachable, *mails)])

    def _record_unreachable(self, notices: Collection[Notice]) -> list[Notice]:
        """The mails to the sender. The events come before the records: who has a record is not looked at again."""
        now, reason = self._clock(), "no channel: no usable e-mail address or mobile number on a channel in use"
        records = {n.notice: first_record(n, NoticeState.FAILED, now, self._policy, reason) for n in notices}
        self._outcomes.tell_systems(records)
        for key, record in records.items():
            self._ledger.put(key, record, None)
        mails = (unreached.begun_by(key, record, now, self._policy) for key, record in records.items())
        return [*filter(None, mails)]

    def _schedule(self, request: Request, due: dict[str, planner.Due], made: Container[str]) -> None:
        tasks = [self._task(request, name, d) for name, d in due.items() if name not in made]
        if tasks:
            self._scheduler.create(tasks)

    def _made(self, old: Request | None) -> set[str]:
        """Names of the tasks that the commits up to `old` made; Cloud Tasks reached no further ahead at the time."""
        return set(planner.tasks(old, old.checked_at or self._clock(), self._policy)) if old else set()

    def _task(self, request: Request, name: str, due: planner.Due) -> Task:
        body = {"request": request.id, "signer": due.signer, "reminder_day": due.reminder_day, "task": name}
        return Task(
            name=name,
            queue=self._names.reminders_queue,
            url=self._names.remind_url,
            body=msgspec.json.encode(body),
            at=due.reminder.due_at,
        )

    def tell_status_again(self, old: Request) -> None:
        """Before the commit that hides that `old` changed the status: a recheck is not repeated after a crash."""
        if changed_last(old):
            self._tell(old)

    def _tell_status(self, old: Request | None, new: Request) -> None:
        if old is None or old.status_sequence != new.status_sequence:
            self._tell(new)

    def _tell(self, request: Request) -> None:
        event = status_event(request, signer_ids=self._policy.status_signer_ids)
        self._bus.publish(self._names.status_topic, [event_message(event)])


def _warn_of_overdue(request: Request, unsent: Iterable[Notice]) -> None:
    if count := sum(n.kind is Kind.REMINDER for n in unsent):
        why = {"alert": "overdue_reminders", "request": request.id, "count": count}
        log.warning("reminders that no task fired", extra={"json": why})


def _told(changes: int, record: NoticeRecord | None) -> NoticeRecord | None:
    """The record once its change of this number is told; None where there is a later one."""
    return replace(record, untold=False) if record and record.changes == changes else None


def unpublished_tasks(old: Request | None) -> set[str]:
    """Tasks of the invitations that `old` itself committed: their publishing may have been lost in a crash."""
    fresh = [s for s in old.signers.values() if s.invited_at == old.checked_at] if old else []
    return {reminder.task for signer in fresh for reminder in signer.reminders.values()}
