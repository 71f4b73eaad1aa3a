"""(state, notice, now) -> send, suppress, fail or wait: asked just before the claim, so that what leaves is true."""

from datetime import datetime

import msgspec

from shared.domain.model import Kind, Notice, Request, Role, Signer, SignerState, Status
from shared.domain.planner import latest_due, notice_for, resent_at, useful_for
from shared.domain.policy import Policy, into_window, other_channel
from shared.domain.signers import address_of, pending
from shared.domain.signing_order import is_due


class Send(msgspec.Struct, frozen=True):
    pass


class Suppress(msgspec.Struct, frozen=True):
    """No longer due; recorded with its reason."""

    reason: str


class Fail(msgspec.Struct, frozen=True):
    """Can't be done any more; recorded with its reason."""

    reason: str


class Defer(msgspec.Struct, frozen=True):
    """Not yet; `after` in seconds."""

    reason: str
    after: float


Decision = Send | Suppress | Fail | Defer
LASTING = {
    Kind.INVITATION,
    Kind.COMPLETION,
}  # what is suppressed never comes back: these wait for what may still change


def evaluate(request: Request, notice: Notice, now: datetime, policy: Policy, *, invited: bool = True) -> Decision:
    """invited: whether this signer's invitation has left (only a reminder asks)."""
    signer = request.signers.get(notice.signer)
    if signer is None or signer.state is SignerState.REMOVED:
        return Suppress("the signer is no longer on the request")
    if notice.round != request.round:
        return Suppress("a new signing round has begun")
    verdict = _judged(request, notice, signer, now, policy)
    if isinstance(verdict, Send | Defer) and _late(request, notice, signer, now, policy):
        return Fail("too late")
    if isinstance(verdict, Send) and notice.kind is Kind.REMINDER and not invited:
        return Defer("the invitation has not left yet", policy.span(300, floor=1).total_seconds())
    return verdict


def _judged(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    if notice.kind in LASTING and not address_of(signer, notice.channel):
        return _later("the API's answer lacks the signer's address", policy)
    if not _same_address(request, notice, signer, policy):
        return Suppress("the address has changed or is no longer to be used")
    by_kind = {
        Kind.INVITATION: _invitation,
        Kind.REMINDER: _reminder,
        Kind.PROGRESS: _progress,
        Kind.COMPLETION: _completion,
    }
    return by_kind[notice.kind](request, notice, signer, now, policy)


def _later(reason: str, policy: Policy) -> Defer:
    return Defer(reason, policy.span(900, floor=1).total_seconds())


def _late(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> bool:
    """Past its last useful moment, which for a reminder is no later than its next step: a day may have 23 hours."""
    overtaken = notice.kind is Kind.REMINDER and (latest_due(signer, now) or 0) > notice.step
    age = now - since(request, notice, signer, now)
    return age >= useful_for(notice.kind, policy, notice.step) or (overtaken and not resent_at(request, notice))


def since(request: Request, notice: Notice, signer: Signer, now: datetime) -> datetime:
    """When the notice became due, or was sent once more by an operator."""
    return resent_at(request, notice) or _due_since(request, notice, signer, now)


def _due_since(request: Request, notice: Notice, signer: Signer, now: datetime) -> datetime:
    if notice.kind is Kind.INVITATION:
        return signer.invited_at or now
    if notice.kind is Kind.REMINDER:
        reminder = signer.reminders.get(str(notice.step))
        return reminder.due_at if reminder else now
    if notice.kind is Kind.COMPLETION:
        return request.completed_at or now
    who = signed_by(request, notice)
    return (who.signed_at if who else None) or now


def signed_by(request: Request, notice: Notice) -> Signer | None:
    """The signer whom a progress notice is about."""
    found = [s for s in request.signers.values() if s.number == notice.step and s.state is SignerState.SIGNED]
    return found[0] if found else None


def needed(request: Request) -> int:
    """Signatures still missing."""
    return sum(pending(s) for s in request.signers.values())


def _same_address(request: Request, notice: Notice, signer: Signer, policy: Policy) -> bool:
    planned = notice_for(request, notice.signer, notice.kind, notice.step, notice.channel)
    stands_in = bool(notice.instead_of) and any(other_channel(policy, c) is notice.channel for c in signer.channels)
    return planned.notice == notice.notice and (stands_in or notice.channel in signer.channels)


def _open(request: Request, policy: Policy) -> Decision:
    if request.status is Status.OPEN:
        return Send()
    if request.status in (Status.PAUSED, Status.DISPUTED):
        return _later(f"the request is {request.status}", policy)
    return Suppress(f"the request is {request.status}")


def _invitation(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    if signer.state is SignerState.SIGNED:
        return Suppress("already signed")
    passing = ""
    if not is_due(signer, request.signers, ordered=request.ordered):
        passing = "not this signer's turn"
    elif request.status in (Status.EXPIRED, Status.GONE):
        passing = f"the request is {request.status}"
    if not passing:
        return _open(request, policy)
    comes_again = notice.kind is Kind.INVITATION and signer.role is Role.SIGNER
    return _later(passing, policy) if comes_again else Suppress(passing)


def _reminder(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    verdict = _invitation(request, notice, signer, now, policy)
    if not isinstance(verdict, Send):
        return verdict
    if request.reminders_stopped:
        return Suppress("an operator has stopped the reminders")
    if request.unmatched:
        return Defer("a signature could not be matched to a signer", policy.span(900, floor=1).total_seconds())
    opens = into_window(now, signer.mobile, policy)
    return Defer("outside the send window", (opens - now).total_seconds()) if opens > now else verdict


def _progress(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    if request.status is not Status.OPEN:
        return Suppress(f"the request is {request.status}")
    if signed_by(request, notice) is None:
        return Suppress("the signature no longer stands")
    return Send() if needed(request) else Suppress("no signature is missing any more")


def _completion(request: Request, notice: Notice, signer: Signer, now: datetime, policy: Policy) -> Decision:
    if request.status is Status.COMPLETE:
        return Send()
    return Suppress(f"the request is {request.status}")
