"""Whom the sender is told of: signers whose message ended without having reached them, from the records alone.

Each such record begins a mail; when its time has come, the mail tells of everybody of the request who is not reached
then and of whom no mail has told yet. Its record keeps whom it told of.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from shared.domain import planner
from shared.domain.causes import Cause, cause_of, unreachable, was_not_due
from shared.domain.kinds import mail_to_sender, useful_for
from shared.domain.model import (
    RUNNING,
    ChannelName,
    Kind,
    Notice,
    NoticeRecord,
    NoticeState,
    Request,
    SignerState,
    Status,
    digest,
)
from shared.domain.notice_record import is_idle, notice_of, wait_after_lost_answer
from shared.domain.policy import Policy

COLLECT = 30.0  # seconds after the first cause: what fails meanwhile is told in the same mail, what arrives is not
NOT_AGAIN_DAYS = 1.0  # for so long one cause at one address is not told a second time
_OPEN = NoticeState.PLANNED
REFUSED_STATES = (NoticeState.FAILED, NoticeState.UNDELIVERED)

Records = Mapping[str, NoticeRecord]  # of one request, by id


class Unreached(msgspec.Struct, frozen=True, kw_only=True):
    """One message that did not reach its signer. notice: its id."""

    notice: str
    signer: str
    channel: ChannelName
    cause: Cause
    at: datetime


def begun_by(key: str, record: NoticeRecord, now: datetime, policy: Policy) -> Notice | None:
    """The mail that this notice begins by how it ended; None where there is nothing to tell, or not by it."""
    lost = bool(record.signer) and not record.fallback and ended(record, now, policy)
    return _mail(key, record.request_id, record.round) if policy.tell_sender and lost else None


def missing(request: Request, records: Records, now: datetime, policy: Policy) -> Iterator[Notice]:
    """Mails that nobody is working on: begun and left, or never begun."""
    if not policy.tell_sender:
        return
    yield from (notice_of(k, r) for k, r in records.items() if _left(r, now, policy))
    yield from (m for m in _free(untold(request, records, now, policy), request, records) if m.notice not in records)


def _left(mail: NoticeRecord, now: datetime, policy: Policy) -> bool:
    young = now - mail.history[0].at < useful_for(Kind.UNREACHED, policy)
    return mail.kind is Kind.UNREACHED and young and is_idle(mail, now, policy)


def as_due(request: Request, notice: Notice, records: Records, now: datetime, policy: Policy) -> Notice:
    """The mail that this message stands for: one that has begun is itself, the others are collected in the first.

    All that are delivered at the same time are thereby the same mail, and only one of them can claim it.
    """
    people = [] if notice.notice in records else untold(request, records, now, policy)
    return next(iter(_free(people, request, records)), notice)


def _free(people: list[Unreached], request: Request, records: Records) -> list[Notice]:
    """The first mail that can tell of them: a record that is closed cannot."""
    mails = (_mail(one.notice, request.id, request.round) for one in people)
    free = (m for m in mails if m.notice not in records or records[m.notice].state is NoticeState.PLANNED)
    return [*islice(free, 1)]


def wait(people: list[Unreached], now: datetime, policy: Policy) -> timedelta:
    """How long more is collected; zero or less when the mail is due."""
    return min(one.at for one in people) + policy.span(COLLECT) - now


def untold(request: Request, records: Records, now: datetime, policy: Policy, but: str = "") -> list[Unreached]:
    """Everybody not reached now and in no mail yet, the first first. but: the mail of which that does not matter."""
    told = _Told(records, but, policy)
    return [one for one in lost(request, records, now, policy) if not told.of(one.notice, records[one.notice])]


def lost(request: Request, records: Records, now: datetime, policy: Policy) -> list[Unreached]:
    """Everybody not reached now, told of or not, the first first."""
    current = {k: r for k, r in records.items() if r.signer in request.signers and _matters(request, k, r)}
    alike = _by_effect(current, planner.notices(request, now, policy))
    found = [
        _unreached(request, key, r) for key, r in current.items() if _lost(r, current, alike[_effect(r)], now, policy)
    ]
    return sorted(found, key=lambda one: (one.at, one.notice))


class _Told:
    """What the mails have told already: each notice, and for a while the same cause at the same address."""

    def __init__(self, records: Records, but: str, policy: Policy) -> None:
        self._while = policy.days(NOT_AGAIN_DAYS)
        mails = [r for k, r in records.items() if r.kind is Kind.UNREACHED and k != but]
        told = [(key, mail.history[0].at) for mail in mails if mail.state is not _OPEN for key in mail.told]
        self._keys = {key for key, _ in told}
        self._times: dict[object, list[datetime]] = {}
        for key, at in told:
            if key in records:
                self._times.setdefault(_topic(records[key]), []).append(at)

    def of(self, key: str, record: NoticeRecord) -> bool:
        """Whether the sender need not hear of this notice any more."""
        ended = record.history[-1].at
        return key in self._keys or any(ended - at < self._while for at in self._times.get(_topic(record), ()))


def _mail(key: str, request: str, round_: int) -> Notice:
    return mail_to_sender(digest(Kind.UNREACHED, key), Kind.UNREACHED, request, round_)


def ended(record: NoticeRecord, now: datetime, policy: Policy) -> bool:
    """Without having reached anybody, and nothing more is tried. What was not due any more is no such end."""
    if record.state is NoticeState.UNKNOWN:
        return wait_after_lost_answer(record, now, policy) is None
    unusable = record.state is NoticeState.SUPPRESSED and not was_not_due(record)
    return unusable or record.state in REFUSED_STATES


def _topic(record: NoticeRecord) -> tuple[object, ...]:
    return record.signer, record.channel, record.address, cause_of(record)


def _unreached(request: Request, key: str, record: NoticeRecord) -> Unreached:
    none = record.channel is ChannelName.NONE
    cause = unreachable(request.signers[record.signer])[0] if none else cause_of(record)
    return Unreached(notice=key, signer=record.signer, channel=record.channel, cause=cause, at=record.history[-1].at)


def _matters(request: Request, key: str, record: NoticeRecord) -> bool:
    signer = request.signers[record.signer]
    if signer.state is SignerState.REMOVED or planner.as_planned(request, record).notice != key:
        return False
    if record.channel is ChannelName.NONE and signer.channels:
        return False
    if record.kind is Kind.COMPLETION:
        return request.status is Status.COMPLETE
    needed = record.kind is Kind.PROGRESS or signer.state is SignerState.INVITED
    return needed and request.status in RUNNING


def _by_effect(current: Records, implied: Mapping[str, Notice]) -> dict[object, list[NoticeRecord | Notice]]:
    """The records by what they tell whom, and the notices of which there is no record yet."""
    found: dict[object, list[NoticeRecord | Notice]] = {}
    unbegun = [n for k, n in implied.items() if k not in current]
    items: list[NoticeRecord | Notice] = [*current.values(), *unbegun]
    for item in items:
        found.setdefault(_effect(item), []).append(item)
    return found


def _lost(
    record: NoticeRecord, current: Records, alike: list[NoticeRecord | Notice], now: datetime, policy: Policy
) -> bool:
    """Whether it has not arrived, and no other message that says the same has arrived, or still may."""
    awaited = bool(record.fallback) and record.fallback not in current
    over = all(isinstance(item, NoticeRecord) and _is_over(item, now, policy) for item in alike)
    return ended(record, now, policy) and over and not awaited


def _is_over(record: NoticeRecord, now: datetime, policy: Policy) -> bool:
    return record.state is NoticeState.SUPPRESSED or ended(record, now, policy)


def _effect(item: Notice | NoticeRecord) -> tuple[object, ...]:
    return item.signer, item.kind, item.reminder_day, item.about
