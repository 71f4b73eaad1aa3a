"""May this notice be sent now? (state, notice, now) -> send, suppress, fail or defer, asked just before the claim."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from shared.domain.kinds import KINDS, signed_by, useful_for
from shared.domain.model import Kind, Notice, NoticeRecord, Request, Role, Signer, SignerState, Status
from shared.domain.notice_record import NOT_SENT_STATES, SENT_STATES
from shared.domain.planner import as_planned, latest_due, resent_at
from shared.domain.policy import Policy, into_window, other_channel
from shared.domain.signers import address_of, pending
from shared.domain.signing_order import is_due

CAUSE_MAY_PASS = 900.0  # seconds until a deferred notice is evaluated again
INVITATION_PENDING = 300.0  # seconds until a reminder asks again whether its invitation has left


class Send(msgspec.Struct, frozen=True):
    """It may leave."""


class Suppress(msgspec.Struct, frozen=True):
    """No longer due; recorded with its reason."""

    reason: str


class Fail(msgspec.Struct, frozen=True):
    """Cannot be done any more; recorded with its reason."""

    reason: str


class Defer(msgspec.Struct, frozen=True):
    """Not yet; `after` in seconds."""

    reason: str
    after: float


Decision = Send | Suppress | Fail | Defer


def evaluate(request: Request, notice: Notice, now: datetime, policy: Policy, *, invited: bool = True) -> Decision:
    """invited: whether this signer's invitation has left (only a reminder asks)."""
    signer = request.signers.get(notice.signer)
    if signer is None or signer.state is SignerState.REMOVED:
        return Suppress("the signer is no longer on the request")
    if notice.round != request.round:
        return Suppress("a new signing round has begun")
    decision = _by_state(request, notice, signer, now, policy)
    if isinstance(decision, Send | Defer) and _is_late(request, notice, signer, now, policy):
        return Fail("too late")
    if isinstance(decision, Send) and notice.kind is Kind.REMINDER and not invited:
        return _defer("the invitation has not left yet", policy, INVITATION_PENDING)
    return decision


def _by_state(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    if KINDS[notice.kind].waits and not address_of(signer, notice.channel):
        return _defer("the API's answer lacks the signer's address", policy)
    if not _same_address(request, notice, signer, policy):
        return Suppress("the address has changed or is no longer to be used")
    return CHECKS[notice.kind](request, notice, signer, now, policy)


def _defer(reason: str, policy: Policy, after: float = CAUSE_MAY_PASS) -> Defer:
    return Defer(reason, policy.span(after, floor=1).total_seconds())


def _is_late(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> bool:
    """Past its last useful moment. A reminder ends when its next one is due: a day may have 23 hours."""
    overtaken = notice.kind is Kind.REMINDER and (latest_due(signer, now) or 0) > notice.reminder_day
    age = now - since(request, notice, signer, now)
    too_old = age >= useful_for(notice.kind, policy, notice.reminder_day)
    return too_old or (overtaken and not resent_at(request, notice))


def since(request: Request, notice: Notice, signer: Signer, now: datetime) -> datetime:
    """When the notice became due, or was sent once more by an operator; `now` where nothing says."""
    return resent_at(request, notice) or KINDS[notice.kind].due_since(request, notice, signer) or now


def needed(request: Request) -> int:
    """Signatures still missing."""
    return sum(pending(s) for s in request.signers.values())


def invitation_left(signer: Signer, records: list[NoticeRecord], round_: int, now: datetime, policy: Policy) -> bool:
    """Whether a reminder need not wait for the invitation any more. records: this signer's notices."""
    mine = [r for r in records if (r.kind, r.round) == (Kind.INVITATION, round_)]
    if not mine:  # purged or never begun: it will not come any more once it would be too late
        return now - (signer.invited_at or now) >= useful_for(Kind.INVITATION, policy)
    return any(r.state in SENT_STATES for r in mine) or all(r.state in NOT_SENT_STATES for r in mine)


def _same_address(request: Request, notice: Notice, signer: Signer, policy: Policy) -> bool:
    stands_in = bool(notice.instead_of) and any(other_channel(policy, c) is notice.channel for c in signer.channels)
    same = as_planned(request, notice).notice == notice.notice
    return same and (stands_in or notice.channel in signer.channels)


# -- what stops which kind


def _check_invitation(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    if signer.state is SignerState.SIGNED:
        return Suppress("already signed")
    reason = _not_now(request, signer)
    if not reason:
        return _open(request, policy)
    comes_again = KINDS[notice.kind].waits and signer.role is Role.SIGNER
    return _defer(reason, policy) if comes_again else Suppress(reason)


def _not_now(request: Request, signer: Signer) -> str:
    if not is_due(signer, request.signers, ordered=request.ordered):
        return "not this signer's turn"
    return f"the request is {request.status}" if request.status in (Status.EXPIRED, Status.GONE) else ""


def _open(request: Request, policy: Policy) -> Decision:
    if request.status is Status.OPEN:
        return Send()
    if request.status in (Status.PAUSED, Status.DISPUTED):
        return _defer(f"the request is {request.status}", policy)
    return Suppress(f"the request is {request.status}")


def _check_reminder(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    decision = _check_invitation(request, notice, signer, now, policy)
    if not isinstance(decision, Send):
        return decision
    if request.reminders_stopped:
        return Suppress("an operator has stopped the reminders")
    if request.unmatched:
        return _defer("a signature could not be matched to a signer", policy)
    opens = into_window(now, signer.mobile, policy)
    return Defer("outside the send window", (opens - now).total_seconds()) if opens > now else decision


def _check_progress(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    if request.status is not Status.OPEN:
        return Suppress(f"the request is {request.status}")
    if signed_by(request, notice) is None:
        return Suppress("the signature no longer stands")
    return Send() if needed(request) else Suppress("no signature is missing any more")


def _check_completion(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    return Send() if request.status is Status.COMPLETE else Suppress(f"the request is {request.status}")


Check = Callable[[Request, Notice, Signer, datetime, Policy], Decision]
CHECKS: dict[Kind, Check] = {
    Kind.INVITATION: _check_invitation,
    Kind.REMINDER: _check_reminder,
    Kind.PROGRESS: _check_progress,
    Kind.COMPLETION: _check_completion,
}
