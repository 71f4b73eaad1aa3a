"""The life of one notice in the ledger: every change of its state, and what its state allows."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.domain.kinds import KINDS
from shared.domain.model import Notice, NoticeRecord, NoticeState, Transition
from shared.domain.policy import Policy, beside
from shared.domain.receipts import Receipt

MAX_HISTORY = 60  # transitions kept of a notice
SECOND_TRY_AFTER = 900.0  # seconds in which a receipt may still settle an unknown outcome
NOT_AGAIN = "not sent a second time"
NOT_THERE = "the provider has said twice that it never got it"
SIGNER_GONE = "the signer is no longer on the request"
NO_SIGNER = "they need not sign any more"  # another does in their place
ADDRESS_GONE = "the address has changed or is no longer to be used"
IN_PROGRESS = {NoticeState.PLANNED, NoticeState.SENDING}
SENT_STATES = {NoticeState.ACCEPTED, NoticeState.DELIVERED, NoticeState.UNDELIVERED, NoticeState.UNKNOWN}
ARRIVED_STATES = {NoticeState.ACCEPTED, NoticeState.DELIVERED}  # as far as is known
NOT_SENT_STATES = {NoticeState.FAILED, NoticeState.SUPPRESSED}
# Not known to have reached the provider: also a refusal that was to be repeated, and an answer that was lost.
UNSETTLED = {NoticeState.PLANNED, NoticeState.SENDING, NoticeState.UNKNOWN}


def first_record(
    notice: Notice, state: NoticeState, now: datetime, policy: Policy, reason: str = "", **fields: Any
) -> NoticeRecord:
    """A notice's first entry in the ledger."""
    record = NoticeRecord(
        request_id=notice.request,
        signer=notice.signer,
        kind=notice.kind,
        reminder_day=notice.reminder_day,
        about=notice.about,
        channel=notice.channel,
        round=notice.round,
        state=state,
        reason=reason,
        instead_of=notice.instead_of or "",
        history=(Transition(at=now, state=state, why=reason),),
        changes=1,
        changed_at=now,
        purge_at=now + policy.days(policy.retention_days),
    )
    return replace(record, **fields)


def changed_to(
    record: NoticeRecord, state: NoticeState, now: datetime, reason: str = "", **fields: Any
) -> NoticeRecord:
    """The record after one more transition."""
    history = shortened((*record.history, Transition(at=now, state=state, why=reason)))
    changes = record.changes + 1
    return replace(record, state=state, reason=reason, history=history, changes=changes, changed_at=now, **fields)


def answered(record: NoticeRecord, status: int, took: timedelta) -> NoticeRecord:
    """The record, whose last transition rests on an answer of the provider: its HTTP status, and how long it took."""
    last = replace(record.history[-1], status=status, milliseconds=round(took / timedelta(milliseconds=1)))
    return replace(record, history=(*record.history[:-1], last))


def closed(record: NoticeRecord, state: NoticeState, now: datetime, reason: str, **fields: Any) -> NoticeRecord:
    """Not sent now. If an earlier try may have arrived, the record stays `unknown`: a second `unknown` is final."""
    if _unsettled_tries(record):
        return changed_to(record, NoticeState.UNKNOWN, now, f"{NOT_AGAIN}: {reason}", **fields)
    return changed_to(record, state, now, reason, **fields)


def settled(record: NoticeRecord, receipt: Receipt, now: datetime) -> NoticeRecord | None:
    """The record after a receipt; None when it says nothing new."""
    state = state_after(record, receipt)
    if state is None:
        return None
    history = (*record.history, Transition(at=receipt.at, state=state, why=receipt.reason))
    provider_id = receipt.provider_id or record.provider_id
    told = {"reason": receipt.reason, "provider_id": provider_id, "changed_at": now}
    return replace(record, state=state, history=history, changes=record.changes + 1, **told)


def state_after(record: NoticeRecord, receipt: Receipt) -> NoticeState | None:
    """The state that a receipt moves a notice to; None when it says nothing new. Never backwards.

    A bounce may follow a delivery (the mailbox accepted it, its server returned it); nothing follows a bounce.
    """
    state = receipt.state
    if record.state in UNSETTLED:
        return state
    if record.state is NoticeState.ACCEPTED:
        return None if state is NoticeState.ACCEPTED or _of_first_try(record, receipt) else state
    bounced = record.state is NoticeState.DELIVERED and state is NoticeState.UNDELIVERED
    return state if bounced and receipt.at > record.history[-1].at else None


def _of_first_try(record: NoticeRecord, receipt: Receipt) -> bool:
    """Whether it says that a try did not arrive whose answer was lost, while a later one was accepted."""
    return receipt.state is NoticeState.UNDELIVERED and _of_another_try(record, record.provider_id, receipt.provider_id)


def is_of_earlier_try(record: NoticeRecord, accepted: str) -> bool:
    """Whether what was recorded during a try is not of it. accepted: the provider's id of that try."""
    bounced = record.state is NoticeState.UNDELIVERED and _of_another_try(record, accepted, record.provider_id)
    return record.state is NoticeState.UNKNOWN or bounced


def _of_another_try(record: NoticeRecord, ours: str, told: str) -> bool:
    """Whether a receipt's id is not that of the try which was accepted, after one whose answer was lost."""
    return told not in ("", ours) and any(map(_is_lost, record.history))


def shortened(history: tuple[Transition, ...]) -> tuple[Transition, ...]:
    """At most MAX_HISTORY: the beginning, the end, and what a second try depends on."""
    if len(history) <= MAX_HISTORY:
        return history
    first, last = history[:10], history[10 - MAX_HISTORY :]
    return (*first, *(t for t in history[10 : 10 - MAX_HISTORY] if _is_lost(t) or t.why == NOT_THERE), *last)


def _is_lost(transition: Transition) -> bool:
    return transition.state is NoticeState.UNKNOWN


def _unsettled_tries(record: NoticeRecord) -> int:
    """How many tries may have arrived: those whose answer was lost since the provider last denied one."""
    count = 0
    for transition in record.history:
        count = 0 if transition.why == NOT_THERE else count + _is_lost(transition)
    return count


class Attempt(msgspec.Struct, frozen=True):
    """One call of the provider.

    after: how long until its answer, or else until its outcome was recorded; None while it is not. status: of HTTP.
    """

    at: datetime
    outcome: NoticeState
    why: str = ""
    after: timedelta | None = None
    status: int = 0


def attempts(record: NoticeRecord) -> list[Attempt]:
    """The calls of the provider that the history still holds, the first one first."""
    found = []
    for step, after in zip(record.history, (*record.history[1:], None), strict=True):
        if step.state is NoticeState.SENDING and after:
            took = timedelta(milliseconds=after.milliseconds) or after.at - step.at
            found.append(Attempt(step.at, after.state, after.why, took, after.status))
        elif step.state is NoticeState.SENDING:
            found.append(Attempt(step.at, step.state))
    return found


# -- what a state allows


def is_idle(record: NoticeRecord, now: datetime, policy: Policy) -> bool:
    """Begun, and nobody is working on it: its lease has run out, or its provider is to be asked, or tried again."""
    if record.state in IN_PROGRESS:
        return record.lease_until is not None and record.lease_until <= now
    wait = wait_after_lost_answer(record, now, policy)
    return wait is not None and wait <= timedelta(0)


def second_try_due(record: NoticeRecord, now: datetime, policy: Policy) -> bool:
    """Whether an unknown outcome gets its one more try now: no receipt has settled it in time."""
    wait = second_try_wait(record, now, policy)
    return wait is not None and wait <= timedelta(0)


def second_try_wait(record: NoticeRecord, now: datetime, policy: Policy) -> timedelta | None:
    """How long until the second try of an unknown outcome; None when there is none, or its provider can be asked."""
    worth_it = record.state is NoticeState.UNKNOWN and KINDS[record.kind].second_try and _unsettled_tries(record) == 1
    if not worth_it or record.ask_at:
        return None
    return record.history[-1].at + policy.span(SECOND_TRY_AFTER, floor=2) - now


def ask_wait(record: NoticeRecord, now: datetime) -> timedelta | None:
    """How long until the provider is asked what became of an unknown outcome; None when it is not to be asked."""
    return record.ask_at - now if record.ask_at and record.state is NoticeState.UNKNOWN else None


def wait_after_lost_answer(record: NoticeRecord, now: datetime, policy: Policy) -> timedelta | None:
    """How long until something is done about an unknown outcome; None when nothing will be."""
    asked = ask_wait(record, now)
    return second_try_wait(record, now, policy) if asked is None else asked


def lease_left(record: NoticeRecord, now: datetime) -> float:
    """Seconds for which the current claim holds; 0 or less when it has run out or there is none."""
    return _held_for(record, now) if record.state is NoticeState.SENDING else 0.0


def _held_for(record: NoticeRecord, now: datetime) -> float:
    return ((record.lease_until or now) - now).total_seconds()


def may_return(record: NoticeRecord) -> bool:
    """Whether it was dropped for a reason that may pass: signer, part or address were gone. It never left."""
    return record.state is NoticeState.SUPPRESSED and record.reason in (SIGNER_GONE, NO_SIGNER, ADDRESS_GONE)


def may_begin(record: NoticeRecord) -> bool:
    """Whether it is still to be sent as if it had never been tried."""
    return record.state is NoticeState.PLANNED or may_return(record)


def is_over(record: NoticeRecord) -> bool:
    """Whether its outcome is final, or its provider has it."""
    return record.state not in UNSETTLED and not may_return(record)


def second_try_left(record: NoticeRecord, now: datetime) -> float:
    """Seconds for which a second try may be under way although the record tells of a bounce: the first's."""
    bounced = record.state is NoticeState.UNDELIVERED and any(map(_is_lost, record.history))
    return _held_for(record, now) if bounced else 0.0


def notice_of(key: str, record: NoticeRecord) -> Notice:
    """The notice that a record is about."""
    return Notice(
        notice=key,
        request=record.request_id,
        signer=record.signer,
        kind=record.kind,
        reminder_day=record.reminder_day,
        about=record.about,
        channel=record.channel,
        round=record.round,
        instead_of=record.instead_of or msgspec.UNSET,
    )


def stand_in(key: str, record: NoticeRecord) -> Notice | None:
    """The same effect by the signer's other channel, where the record names one. key: of the record's own notice."""
    if not record.fallback:
        return None
    return replace(notice_of(record.fallback, record), channel=beside(record.channel), instead_of=key)
