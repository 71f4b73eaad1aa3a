"""The mail of the day: one to each sender about their requests to which something happened, where it is wanted.

Every request plans it under the same id, so however many of them ask for it, one mail is claimed and sent.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from shared.domain.kinds import mail_to_sender, useful_for
from shared.domain.model import RUNNING, Kind, Notice, Request, SignerState, Status, digest, share_of
from shared.domain.policy import Policy, into_window
from shared.domain.signers import counted, sender_address

if TYPE_CHECKING:
    from shared.domain.unreached import Unreached

SPREAD = 300.0  # seconds over which a sender's requests ask for it: when most do, the first has sent it


class Period(NamedTuple):
    """A day: from its begin until before its end."""

    begin: datetime
    end: datetime

    def holds(self, at: datetime | None) -> bool:
        """Whether it was then."""
        return at is not None and self.begin <= at < self.end


class Summary(msgspec.Struct, kw_only=True):
    """What became of a sender's requests in a day: how many signatures; the titles of those complete, expired and open.

    unreached: with their requests.
    """

    day: datetime
    signatures: int = 0
    complete: list[str] = []
    expired: list[str] = []
    open: list[str] = []
    unreached: "list[tuple[Request, Unreached]]" = []

    def __bool__(self) -> bool:
        """Whether there is anything to tell: that some are open is none."""
        return bool(self.signatures or self.complete or self.expired)


def day_of(at: datetime, policy: Policy) -> Period:
    """In the operator's time zone; where a day is shorter, from its multiple."""
    if policy.days(1) != timedelta(days=1):
        begin = datetime.fromtimestamp(at.timestamp() // policy.day * policy.day, UTC)
        return Period(begin, begin + policy.days(1))
    date, zone = at.astimezone(ZoneInfo(policy.timezone)).date(), ZoneInfo(policy.timezone)
    return Period(*(datetime.combine(day, time(), zone) for day in (date, date + timedelta(days=1))))


def due_at(request: Request, period: Period, policy: Policy) -> datetime:
    """When this request asks for the mail of the day: once the send window opens on the next one."""
    return into_window(period.end, "", policy) + policy.span(SPREAD) * share_of(request.id)


def notices(request: Request, now: datetime, policy: Policy) -> Iterator[Notice]:
    """The mail of each day with news of this request, as long as it is worth sending."""
    useful = useful_for(Kind.COPY_DAILY, policy)
    days = {day_of(at, policy) for at in _news(request) if now - at < useful}
    return (_notice(request, day, policy) for day in days)


def period(request: Request, notice: Notice, policy: Policy) -> Period | None:
    """The day that this mail is about; None where the request has no news of it any more."""
    days = {day_of(at, policy) for at in _news(request)}
    return next((day for day in days if _notice(request, day, policy).notice == notice.notice), None)


def too_late(day: Period, now: datetime, policy: Policy) -> bool:
    """Whether the mail of this day is not worth sending any more."""
    return now - day.end >= useful_for(Kind.COPY_DAILY, policy)


def _notice(request: Request, day: Period, policy: Policy) -> Notice:
    to = sender_address(request, policy)
    key = digest(Kind.COPY_DAILY, to, request.site, day.begin.astimezone(UTC).isoformat())
    return mail_to_sender(key, Kind.COPY_DAILY, request.id, request.round)


def _news(request: Request) -> list[datetime]:
    return [at for at in (*_signed(request), completed_at(request), expired_at(request)) if at]


def _signed(request: Request) -> list[datetime]:
    return [s.signed_at for s in counted(request.signers) if s.state is SignerState.SIGNED and s.signed_at]


def completed_at(request: Request) -> datetime | None:
    """When it was completed; None also where that is no news, or not so any more."""
    return request.completed_at if request.status is Status.COMPLETE else None


def expired_at(request: Request) -> datetime | None:
    """When it expired; None also for a request that was expired when it was first met."""
    return request.status_at if request.status is Status.EXPIRED and request.status_sequence > 1 else None


def signatures(request: Request, day: Period) -> int:
    """How many were given that day."""
    return sum(map(day.holds, _signed(request)))


def outcome(request: Request, day: Period) -> str:
    """The field of Summary that it belongs to; "" for none. Open are those signed by some, or sent, that day."""
    if day.holds(completed_at(request)):
        return "complete"
    if day.holds(expired_at(request)):
        return "expired"
    sent = day.holds(request.met_at) and not request.adopted
    return "open" if request.status in RUNNING and (sent or signatures(request, day)) else ""
