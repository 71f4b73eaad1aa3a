"""What a committed state implies: the notices and the reminder tasks. Healing is this, less what the ledger holds."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from shared.domain.model import (
    ChannelName,
    Kind,
    Notice,
    NoticeRecord,
    NoticeState,
    Reminder,
    Request,
    Resend,
    Role,
    Signer,
    SignerState,
    Status,
    digest,
)
from shared.domain.policy import Policy, other_channel
from shared.domain.signers import address_of

SECOND_TRY = {Kind.INVITATION, Kind.COMPLETION}  # worth the risk of a double once an answer was lost
SECOND_TRY_AFTER = 900.0  # seconds in which a receipt may still settle an unknown
TASK_REACH_DAYS = 29  # Cloud Tasks takes at most 30


class Due(msgspec.Struct, frozen=True):
    """A reminder that a Cloud Task is to fire."""

    signer: str
    step: int
    reminder: Reminder


def useful_for(kind: Kind, policy: Policy, step: int = 0) -> timedelta:
    """How long a notice of this kind is worth sending: a late one is worse than none."""
    if kind is Kind.PROGRESS:
        return policy.days(1)
    if kind is Kind.REMINDER:
        later = [d for d in policy.reminder_days if d > step]
        return policy.days(min(later) - step if later else 7)
    return policy.days(7)


def notices(request: Request, now: datetime, policy: Policy) -> dict[str, Notice]:
    """Every notice the state implies at `now`, by id, sent already or not."""
    plans = (_invitations, _reminders, _progress, _completions, _resends)
    return {n.notice: n for plan in plans for n in plan(request, now, policy)}


def tasks(request: Request, now: datetime, policy: Policy) -> dict[str, Due]:
    """Every reminder task that the state implies and Cloud Tasks can hold, by name."""
    if request.status not in (Status.OPEN, Status.PAUSED):
        return {}
    reach = now + policy.days(TASK_REACH_DAYS)
    return {
        r.task: Due(key, int(step), r)
        for key, signer in request.signers.items()
        for step, r in signer.reminders.items()
        if not r.done and now < r.due_at <= reach
    }


def unsent(implied: dict[str, Notice], records: dict[str, NoticeRecord], now: datetime, policy: Policy) -> list[Notice]:
    """Those that nobody is at work on: never begun, or begun and left lying."""
    return [n for key, n in implied.items() if key not in records or idle(records[key], now, policy)]


def idle(record: NoticeRecord, now: datetime, policy: Policy) -> bool:
    if record.state in (NoticeState.PLANNED, NoticeState.SENDING):
        return record.lease_until is not None and record.lease_until <= now
    return second_try(record, now, policy)


def second_try(record: NoticeRecord, now: datetime, policy: Policy) -> bool:
    """An unknown invitation or completion gets one more try, unless a receipt settles it in time."""
    wait = second_try_in(record, policy)
    return wait is not None and now - record.history[-1].at >= wait


def second_try_in(record: NoticeRecord, policy: Policy) -> timedelta | None:
    """How long after it became unknown; None when once was enough."""
    unknowns = [s for s in record.history if s.state is NoticeState.UNKNOWN]
    worth_it = record.state is NoticeState.UNKNOWN and record.kind in SECOND_TRY and len(unknowns) == 1
    return policy.span(SECOND_TRY_AFTER, floor=2) if worth_it else None


def notice_for(request: Request, key: str, kind: Kind, step: int, channel: ChannelName) -> Notice:
    """The id names the effect: the same effect has the same id, however often and in whatever order it is planned.

    An operator's resends are counted in it, so that each is an effect of its own.
    """
    address = digest(address_of(request.signers[key], channel))
    effect = (request.id, key, kind, step, channel, request.round, address)
    again = len(_resends_of(request, key, kind, step, channel))
    return Notice(
        notice=digest(*effect, again) if again else digest(*effect),
        request=request.id,
        signer=key,
        kind=kind,
        step=step,
        channel=channel,
        round=request.round,
    )


def resent(request: Request, notice: Notice, now: datetime) -> Request:
    """The state in which this notice is to be sent once more, under an id of its own."""
    counted = replace(request, resends=(*request.resends, Resend(at=now, notice=notice)))
    fresh = notice_for(counted, notice.signer, notice.kind, notice.step, notice.channel)
    again = Resend(at=now, notice=replace(fresh, instead_of=notice.instead_of))
    return replace(request, resends=(*request.resends, again))


def resent_at(request: Request, notice: Notice) -> datetime | None:
    """When an operator last sent this once more; None if never."""
    times = _resends_of(request, notice.signer, notice.kind, notice.step, notice.channel)
    return times[-1] if times else None


def _resends_of(request: Request, key: str, kind: Kind, step: int, channel: ChannelName) -> list[datetime]:
    wanted = (key, kind, step, channel, request.round)
    same = ((r.at, r.notice) for r in request.resends)
    return [at for at, n in same if (n.signer, n.kind, n.step, n.channel, n.round) == wanted]


def fallback_of(request: Request, notice: Notice, policy: Policy) -> Notice | None:
    """The same effect by the signer's other channel, should this not arrive; None where there is none, or was one."""
    other = None if notice.instead_of else other_channel(policy, notice.channel)
    if other is None or not address_of(request.signers[notice.signer], other):
        return None
    same = notice_for(request, notice.signer, notice.kind, notice.step, other)
    return replace(same, instead_of=notice.notice)


def _each(request: Request, key: str, kind: Kind, step: int = 0) -> Iterator[Notice]:
    for channel in request.signers[key].channels or (ChannelName.NONE,):
        yield notice_for(request, key, kind, step, channel)


def _invitations(request: Request, now: datetime, policy: Policy) -> Iterator[Notice]:
    if request.status not in (Status.OPEN, Status.PAUSED):
        return
    for key, signer in request.signers.items():
        ours = signer.state is SignerState.INVITED and not signer.adopted and signer.invited_at
        if ours and now - ours < useful_for(Kind.INVITATION, policy):
            yield from _each(request, key, Kind.INVITATION)


def _reminders(request: Request, now: datetime, policy: Policy) -> Iterator[Notice]:
    """The latest step that is due: steps missed in an outage collapse into it."""
    if request.status is not Status.OPEN or request.unmatched:
        return
    for key, signer in request.signers.items():
        step = latest_due(signer, now)
        if step is None or signer.state is not SignerState.INVITED:
            continue
        if now - signer.reminders[str(step)].due_at < useful_for(Kind.REMINDER, policy, step):
            yield from _each(request, key, Kind.REMINDER, step)


def latest_due(signer: Signer, now: datetime) -> int | None:
    steps = [int(step) for step, r in signer.reminders.items() if r.due_at <= now]
    return max(steps, default=None)


def _progress(request: Request, now: datetime, policy: Policy) -> Iterator[Notice]:
    """Each witnessed signature, to those who were at it before: who is invited by it hears of it in the invitation."""
    counted = [s for s in request.signers.values() if s.role is Role.SIGNER and s.state is not SignerState.REMOVED]
    if request.status is not Status.OPEN or policy.progress_to == "none" or len(counted) > policy.progress_max_signers:
        return
    for who in counted:
        if who.signed_at is None or who.state is not SignerState.SIGNED:
            continue
        if now - who.signed_at >= useful_for(Kind.PROGRESS, policy):
            continue
        for key, reader in request.signers.items():
            if reads_progress(reader, who, policy):
                yield from _each(request, key, Kind.PROGRESS, who.number)


def reads_progress(reader: Signer, who: Signer, policy: Policy) -> bool:
    if reader.role is not Role.SIGNER or reader.state not in (SignerState.INVITED, SignerState.SIGNED):
        return False
    if reader.number == who.number:
        return policy.progress_to == "all"
    return reader.invited_at is not None and who.signed_at is not None and reader.invited_at < who.signed_at


def _completions(request: Request, now: datetime, policy: Policy) -> Iterator[Notice]:
    if request.status is not Status.COMPLETE or request.completed_at is None:
        return
    if now - request.completed_at < useful_for(Kind.COMPLETION, policy):
        for key, signer in request.signers.items():
            if signer.state is not SignerState.REMOVED:
                yield from _each(request, key, Kind.COMPLETION)


def _resends(request: Request, now: datetime, policy: Policy) -> Iterator[Notice]:
    """What an operator sent once more, in this round. Whether it is still due is for the gates to say."""
    for resend in request.resends:
        notice = resend.notice
        if notice.round == request.round and now - resend.at < useful_for(notice.kind, policy, notice.step):
            yield notice
