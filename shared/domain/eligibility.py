"""May this notice be sent now? (state, notice, now) -> send, suppress, fail or defer, asked just before the claim."""

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from shared.domain.kinds import KINDS, signed_by, useful_for
from shared.domain.model import Kind, Notice, NoticeRecord, NoticeState, Request, Role, Signer, SignerState, Status
from shared.domain.notice_record import (
    ADDRESS_GONE,
    ARRIVED_STATES,
    NO_SIGNER,
    NOT_SENT_STATES,
    SENT_STATES,
    SIGNER_GONE,
    second_try_left,
)
from shared.domain.planner import as_planned, latest_due, resent_at
from shared.domain.policy import Policy, into_window, other_channel
from shared.domain.signers import address_of, needed
from shared.domain.signing_order import is_due

CAUSE_MAY_PASS = 900.0  # seconds after it became due that a deferred notice is evaluated again; then twice that, ...
LEAST_WAIT = 61.0  # seconds: a shorter one is no deferral
LEFT = (NoticeState.ACCEPTED, NoticeState.UNKNOWN)  # what else tells that it left is a receipt, which may come late
BEFORE_RESTORE = "due before the database was restored, and surely sent then"
STOPPED = "an operator has stopped the reminders"
DAYS_AFTER_INVITATION = 0.5  # least time between an invitation and a reminder


class Send(msgspec.Struct, frozen=True):
    """It may leave."""


class Suppress(msgspec.Struct, frozen=True):
    """No longer due; recorded with its reason. for_good: otherwise one that has not begun leaves no record, as it may
    become due again, or nothing is to be kept of it."""

    reason: str
    for_good: bool = True


class Fail(msgspec.Struct, frozen=True):
    """Cannot be done any more; recorded with its reason."""

    reason: str


class Defer(msgspec.Struct, frozen=True):
    """Not yet; `after` in seconds. None: when its cause may have passed."""

    reason: str
    after: float | None = None


Decision = Send | Suppress | Fail | Defer


def evaluate(request: Request, notice: Notice, now: datetime, policy: Policy) -> Decision:
    """A reminder that may leave waits for its invitation besides: `after_invitation`."""
    if request.forgotten:
        return Suppress("the request's data has been deleted", for_good=False)
    signer = request.signers.get(notice.signer)
    if signer is None or signer.state is SignerState.REMOVED:
        return Suppress(SIGNER_GONE, for_good=False)
    if notice.round != request.round:
        return Suppress("a new signing round has begun")
    decision = _by_state(request, notice, signer, now, policy)
    if isinstance(decision, Send | Defer) and _is_late(request, notice, signer, now, policy):
        return Fail("too late")
    return decision


def after_invitation(
    request: Request, notice: Notice, records: Iterable[NoticeRecord], now: datetime, policy: Policy
) -> Send | Defer:
    """Whether a reminder, which may leave otherwise, follows its invitation at a distance. records: this signer's."""
    signer = request.signers[notice.signer]
    mine = [r for r in records if (r.kind, r.round) == (Kind.INVITATION, request.round)]
    left = [at for at in map(_left_at, mine) if at]
    if left:
        wait = (max(left) + policy.days(DAYS_AFTER_INVITATION) - now).total_seconds()
        return Defer("the invitation has only just left", wait) if wait > 0 else Send()
    if signer.adopted or _never_leaves(signer, mine, now, policy):
        return Send()
    return Defer("the invitation has not left yet", wait_for_cause(request, notice, now, policy))


def instead(first: NoticeRecord, now: datetime) -> Decision:
    """Whether a notice is needed that stands in for another, of which `first` is the record.

    A bounce that began it may be of a first try whose answer was lost, while a second one was accepted.
    """
    if first.state in ARRIVED_STATES:
        return Suppress("what it stands in for was accepted after all", for_good=False)
    left = second_try_left(first, now)
    return Defer("what it stands in for may be accepted yet", left) if left > 0 else Send()


def _left_at(record: NoticeRecord) -> datetime | None:
    """When it last left, or may have left; None where it did not. A receipt may be all that tells of it."""
    tried, told = ([t.at for t in record.history if t.state in states] for states in (LEFT, SENT_STATES))
    return max(tried or told[:1], default=None)


def _never_leaves(signer: Signer, invitations: list[NoticeRecord], now: datetime, policy: Policy) -> bool:
    """All were refused; or, purged or never begun, they would come too late."""
    if invitations:
        return all(r.state in NOT_SENT_STATES for r in invitations)
    return now - (signer.invited_at or now) >= useful_for(Kind.INVITATION, policy)


def wait_for_cause(request: Request, notice: Notice, now: datetime, policy: Policy) -> float:
    """Seconds until a deferred notice is evaluated again: at 15 minutes since it became due, at 30, at 60, ...

    So a long pause costs few calls of the API, and copies of one notice meet and become one task. The last time is
    when it becomes too late.
    """
    due, wait = since(request, notice, request.signers[notice.signer], now), policy.span(CAUSE_MAY_PASS, floor=1)
    while due + wait < now + policy.span(LEAST_WAIT):
        wait *= 2
    wait = min(wait, useful_for(notice.kind, policy, notice.reminder_day))
    return max((due + wait - now).total_seconds(), 1.0)


def _by_state(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    if _is_lacking(notice, signer):
        decision: Decision = Defer("the API's answer lacks the signer or their address")
    elif not _same_address(request, notice, signer, policy):
        decision = Suppress(ADDRESS_GONE, for_good=False)
    else:
        decision = CHECKS[notice.kind](request, notice, signer, now, policy)
    if isinstance(decision, Defer) and decision.after is None:
        return Defer(decision.reason, wait_for_cause(request, notice, now, policy))
    return decision


def _is_lacking(notice: Notice, signer: Signer) -> bool:
    """Whoever the last answer lacks may have another address by now. Of an ended request no further one may come."""
    kind = KINDS[notice.kind]
    absent = kind.answer_age is not None and signer.missing_since is not None
    return kind.waits and (absent or not address_of(signer, notice.channel))


def _is_late(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> bool:
    """Past its last useful moment. A reminder ends when its next one is due: a day may have 23 hours."""
    overtaken = notice.kind is Kind.REMINDER and (latest_due(signer, now) or 0) > notice.reminder_day
    age = now - since(request, notice, signer, now)
    too_old = age >= useful_for(notice.kind, policy, notice.reminder_day)
    return too_old or (overtaken and not resent_at(request, notice))


def since(request: Request, notice: Notice, signer: Signer, now: datetime) -> datetime:
    """When the notice became due, or was sent once more by an operator; `now` where nothing says."""
    return resent_at(request, notice) or KINDS[notice.kind].due_since(request, notice, signer) or now


def _same_address(request: Request, notice: Notice, signer: Signer, policy: Policy) -> bool:
    stands_in = bool(notice.instead_of) and any(other_channel(policy, c) is notice.channel for c in signer.channels)
    same = as_planned(request, notice).notice == notice.notice
    return same and (stands_in or notice.channel in signer.channels)


# -- what stops which kind


def _check_invitation(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    if signer.state is SignerState.SIGNED:
        return Defer("the API denies the signature") if signer.doubted_since else Suppress("already signed")
    if signer.role is not Role.SIGNER:
        return Suppress(NO_SIGNER, for_good=False)
    reason = _not_now(request, signer)
    return Defer(reason) if reason else _open(request)


def _not_now(request: Request, signer: Signer) -> str:
    if not is_due(signer, request.signers, ordered=request.ordered):
        return "not this signer's turn"
    return f"the request is {request.status}" if request.status in (Status.EXPIRED, Status.GONE) else ""


def _open(request: Request) -> Decision:
    if request.status is Status.OPEN:
        return Send()
    if request.status in (Status.PAUSED, Status.DISPUTED):
        return Defer(f"the request is {request.status}")
    return Suppress(f"the request is {request.status}")


def _check_reminder(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    decision = _check_invitation(request, notice, signer, now, policy)
    if not isinstance(decision, Send):
        return decision
    if request.reminders_stopped:
        return Suppress(STOPPED)
    if policy.is_lost(since(request, notice, signer, now)):
        return Suppress(BEFORE_RESTORE)
    if request.unmatched:
        return Defer("a signature could not be matched to a signer")
    opens = into_window(now, signer.mobile, policy)
    return Defer("outside the send window", (opens - now).total_seconds()) if opens > now else decision


def _check_progress(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    if signed_by(request, notice) is None:
        return Suppress("the signature no longer stands")
    return _open(request) if needed(request) else Suppress("no signature is missing any more")


def _check_completion(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    return Send() if request.status is Status.COMPLETE else Suppress(f"the request is {request.status}")


Check = Callable[[Request, Notice, Signer, datetime, Policy], Decision]
CHECKS: dict[Kind, Check] = {
    Kind.INVITATION: _check_invitation,
    Kind.REMINDER: _check_reminder,
    Kind.PROGRESS: _check_progress,
    Kind.COMPLETION: _check_completion,
}
