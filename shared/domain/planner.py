"""What a committed state implies: its notices and its reminder tasks.

What was lost is found by comparing this with what the ledger holds.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from shared.domain import daily
from shared.domain.kinds import mail_to_sender, useful_for
from shared.domain.model import (
    RUNNING,
    ChannelName,
    Kind,
    Notice,
    NoticeRecord,
    Reminder,
    Request,
    Resend,
    Role,
    Signer,
    SignerState,
    Status,
    digest,
)
from shared.domain.notice_record import is_idle, may_return
from shared.domain.policy import Policy, other_channel
from shared.domain.signers import address_of, counted, with_marks
from shared.domain.status_event import changed_last

TASK_REACH_DAYS = 29  # Cloud Tasks takes at most 30


class Due(msgspec.Struct, frozen=True):
    """A reminder that a Cloud Task is to fire."""

    signer: str
    reminder_day: int
    reminder: Reminder


def notices(request: Request, now: datetime, policy: Policy) -> dict[str, Notice]:
    """Every notice the state implies at `now`, by id, sent already or not."""
    plans = (*PLANS.values(), copies, _resends)
    return {n.notice: n for plan in plans for n in plan(request, now, policy)}


def tasks(request: Request, now: datetime, policy: Policy) -> dict[str, Due]:
    """Every reminder task that the state implies and Cloud Tasks can hold, by name."""
    reach = now + policy.days(TASK_REACH_DAYS)
    return {
        r.task: Due(key, int(day), r)
        for key, signer in request.signers.items()
        for day, r in signer.reminders.items()
        if now < r.due_at <= reach
    }


def aside(before: Request, read: Request, policy: Policy) -> Request | None:
    """What is stored of a reading that was made for a notice only; None for nothing.

    One without news counts as a recheck, unless a recheck would have to repeat what the last commit published. News are
    for `reconcile`, at once, since nobody else would publish what follows from them; but what an earlier answer lacked
    and this one shows is not lacking since then.
    """
    now, last = read.checked_at, before.checked_at
    if now is None or last is None:
        return None
    if before != replace(read, checked_at=last, next_at=before.next_at, unread_since=before.unread_since):
        noted = _noted(before, read, now)
        return noted if noted != before else None
    new_tasks = tasks(read, now, policy).keys() - tasks(before, last, policy).keys()
    return None if new_tasks or changed_last(before) else read


def _noted(before: Request, read: Request, now: datetime) -> Request:
    signers = {key: with_marks(signer, read.signers[key]) for key, signer in before.signers.items()}
    unconfirmed = read.unconfirmed_since if read.round == before.round else before.unconfirmed_since
    marks = {"unconfirmed_since": unconfirmed, "not_found_since": read.not_found_since}
    return replace(before, signers=signers, next_at=before.next_at and min(before.next_at, now), **marks)


def unsent(
    implied: Mapping[str, Notice], records: Mapping[str, NoticeRecord], now: datetime, policy: Policy
) -> list[Notice]:
    """Those that nobody is working on: never begun, begun and left, or dropped while their signer was gone."""
    return [n for key, n in implied.items() if key not in records or _is_left(records[key], now, policy)]


def _is_left(record: NoticeRecord, now: datetime, policy: Policy) -> bool:
    return is_idle(record, now, policy) or may_return(record)


# -- one notice


def notice_for(
    request: Request, key: str, kind: Kind, channel: ChannelName, *, reminder_day: int = 0, about: int = 0
) -> Notice:
    """The id names the effect: the same effect has the same id, however often and in whatever order it is planned.

    An operator's resends are counted in it, so that each is an effect of its own.
    """
    bare = Notice(
        notice="",
        request=request.id,
        signer=key,
        kind=kind,
        reminder_day=reminder_day,
        about=about,
        channel=channel,
        round=request.round,
    )
    return replace(bare, notice=_id_of(request, bare))


def as_planned(request: Request, notice: Notice | NoticeRecord) -> Notice:
    """The same notice as the state implies it now: another id where the address or the round has changed since."""
    days = {"reminder_day": notice.reminder_day, "about": notice.about}
    planned = notice_for(request, notice.signer, notice.kind, notice.channel, **days)
    return replace(planned, instead_of=notice.instead_of or msgspec.UNSET)


def _id_of(request: Request, notice: Notice) -> str:
    address = digest(address_of(request.signers[notice.signer], notice.channel))
    again = len(_resends_of(request, notice))
    subject = notice.reminder_day or notice.about
    effect = (request.id, notice.signer, notice.kind, subject, notice.channel, request.round, address)
    return digest(*effect, again) if again else digest(*effect)


def resent(request: Request, notice: Notice, now: datetime) -> Request:
    """The state in which this notice is to be sent once more, under an id of its own."""
    noted = replace(request, resends=(*request.resends, Resend(at=now, notice=notice)))
    again = Resend(at=now, notice=as_planned(noted, notice))
    return replace(request, resends=(*request.resends, again))


def resent_at(request: Request, notice: Notice | NoticeRecord) -> datetime | None:
    """When an operator last sent this once more; None if never."""
    times = _resends_of(request, notice)
    return times[-1] if times else None


def _resends_of(request: Request, notice: Notice | NoticeRecord) -> list[datetime]:
    wanted = (*_effect(notice), request.round)
    return [r.at for r in request.resends if (*_effect(r.notice), r.notice.round) == wanted]


def _effect(n: Notice | NoticeRecord) -> tuple[object, ...]:
    return n.signer, n.kind, n.reminder_day, n.about, n.channel


def fallback_of(request: Request, notice: Notice, policy: Policy) -> Notice | None:
    """The same effect by the signer's other channel, should this not arrive; None where there is none, or was one."""
    other = None if notice.instead_of else other_channel(policy, notice.channel)
    if other is None or not address_of(request.signers[notice.signer], other):
        return None
    same = as_planned(request, replace(notice, channel=other))
    return replace(same, instead_of=notice.notice)


# -- who gets which kind


def _each(request: Request, key: str, kind: Kind, *, reminder_day: int = 0, about: int = 0) -> Iterator[Notice]:
    for channel in request.signers[key].channels or (ChannelName.NONE,):
        yield notice_for(request, key, kind, channel, reminder_day=reminder_day, about=about)


def _invitations(request: Request, now: datetime, policy: Policy) -> Iterator[Notice]:
    if request.status not in RUNNING:
        return
    for key, signer in request.signers.items():
        ours = signer.state is SignerState.INVITED and not signer.adopted and signer.invited_at
        if ours and now - ours < useful_for(Kind.INVITATION, policy):
            yield from _each(request, key, Kind.INVITATION)


def _reminders(request: Request, now: datetime, policy: Policy) -> Iterator[Notice]:
    """The latest day that is due: days missed in an outage collapse into it."""
    if request.status is not Status.OPEN or request.unmatched:
        return
    for key, signer in request.signers.items():
        day = latest_due(signer, now)
        if day is None or signer.state is not SignerState.INVITED:
            continue
        if now - signer.reminders[str(day)].due_at < useful_for(Kind.REMINDER, policy, day):
            yield from _each(request, key, Kind.REMINDER, reminder_day=day)


def latest_due(signer: Signer, now: datetime) -> int | None:
    """The last reminder day that has come for this signer."""
    return max((int(day) for day, r in signer.reminders.items() if r.due_at <= now), default=None)


def _progress(request: Request, now: datetime, policy: Policy) -> Iterator[Notice]:
    """Each witnessed signature, to those who were invited before it: the others read of it in their invitation."""
    those = counted(request.signers)
    if request.status is not Status.OPEN or policy.progress_to == "none" or len(those) > policy.progress_max_signers:
        return
    for who in those:
        signed = who.signed_at if who.state is SignerState.SIGNED else None
        if signed is None or now - signed >= useful_for(Kind.PROGRESS, policy):
            continue
        for key, reader in request.signers.items():
            if reads_progress(reader, who, policy):
                yield from _each(request, key, Kind.PROGRESS, about=who.number)


def reads_progress(reader: Signer, who: Signer, policy: Policy) -> bool:
    """Whether `reader` is told that `who` has signed."""
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


def copies(request: Request, now: datetime, policy: Policy) -> Iterator[Notice]:
    """To the sender, where they are wanted. Of a signature while more are needed: the last one is the completion.

    A request that was complete or expired when it was first met is no news.
    """
    if Kind.COPY_DAILY in policy.sender_copies and ChannelName.EMAIL in policy.available:
        yield from daily.notices(request, now, policy)
    useful = {kind: useful_for(kind, policy) for kind in policy.sender_copies if ChannelName.EMAIL in policy.available}
    for kind, about, at in _news(request):
        if kind in useful and at and now - at < useful[kind]:
            key = digest(kind, request.id, request.round, about)
            yield mail_to_sender(key, kind, request.id, request.round, about)


def _news(request: Request) -> Iterator[tuple[Kind, int, datetime | None]]:
    """What there may be to tell, the signer that it is about, and since when."""
    if request.status in RUNNING:
        for signer in counted(request.signers):
            if signer.state is SignerState.SIGNED:
                yield Kind.COPY_SIGNED, signer.number, signer.signed_at
    yield Kind.COPY_COMPLETE, 0, daily.completed_at(request)
    yield Kind.COPY_EXPIRED, 0, daily.expired_at(request)


def _resends(request: Request, now: datetime, policy: Policy) -> Iterator[Notice]:
    """What an operator sent once more, in this round. Whether it is still due, `eligibility` decides."""
    for resend in request.resends:
        notice = resend.notice
        if notice.round == request.round and now - resend.at < useful_for(notice.kind, policy, notice.reminder_day):
            yield notice


Plan = Callable[[Request, datetime, Policy], Iterator[Notice]]
PLANS: dict[Kind, Plan] = {
    Kind.INVITATION: _invitations,
    Kind.REMINDER: _reminders,
    Kind.PROGRESS: _progress,
    Kind.COMPLETION: _completions,
}
