"""Whose turn it is to sign, and when each signer is reminded of it."""

from datetime import datetime

from msgspec.structs import replace

from shared.domain.model import Reminder, Request, Role, Signer, SignerState, Status, digest, share_of
from shared.domain.policy import Policy, spread_in_window
from shared.domain.signers import Signers, pending


def advance_signing(signers: Signers, request: Request, now: datetime, policy: Policy) -> Signers:
    """Invites whoever is newly due. Reminders outlast an expiry, which may be undone."""
    signers = dict(signers)
    for key, signer in signers.items():
        if request.status is Status.OPEN and _is_turn(signer, signers, request):
            signers[key] = _invited(key, signer, request, now, policy)
        elif signer.state is SignerState.INVITED and not signer.reminders:
            # invited anew at another address: under new task names
            hop = int(now.timestamp())
            signers[key] = replace(signer, reminders=_reminders(key, signer, request, now, policy, hop))
    return signers


def _is_turn(signer: Signer, signers: Signers, request: Request) -> bool:
    fresh = signer.state is SignerState.WAITING
    heard = signer.state is SignerState.INVITED and signer.adopted and not request.adopted  # its `request_sent` came
    return (fresh or heard) and is_due(signer, signers, ordered=request.ordered)


def _invited(key: str, signer: Signer, request: Request, now: datetime, policy: Policy) -> Signer:
    at = min(request.created_at or now, now) if request.adopted else now  # clocks differ
    signer = replace(signer, state=SignerState.INVITED, adopted=request.adopted, invited_at=at)
    return replace(signer, reminders=_reminders(key, signer, request, now, policy, hop=0))


def _reminders(
    key: str, signer: Signer, request: Request, now: datetime, policy: Policy, hop: int
) -> dict[str, Reminder]:
    return {} if request.reminders_stopped else ahead(key, signer, request, now, policy, hop)


def steps(request: str, signer: Signer, policy: Policy) -> dict[int, datetime]:
    """When each reminder falls due, by its day, while nothing stops it.

    All signers of a request have the same share of the spread, so that one answer of the API serves their reminders.
    """
    if signer.invited_at is None:
        return {}
    times = [signer.invited_at + policy.days(day) for day in policy.reminder_days]
    spread = spread_in_window(times, share_of(request), signer.mobile, policy)
    return dict(zip(policy.reminder_days, spread, strict=True))


def ahead(key: str, signer: Signer, request: Request, now: datetime, policy: Policy, hop: int) -> dict[str, Reminder]:
    """The reminders still to come."""
    return {
        str(day): reminder(request.id, key, request.round, day, due, hop)
        for day, due in steps(request.id, signer, policy).items()
        if due > now
    }


def reminder(request: str, signer: str, round_: int, step: int, due_at: datetime, hop: int) -> Reminder:
    """A reminder with the name of the Cloud Task that may fire it."""
    return Reminder(due_at=due_at, task=digest(request, signer, round_, step, due_at, hop), hop=hop)


def is_due(signer: Signer, signers: dict[str, Signer], *, ordered: bool) -> bool:
    """Whether they may sign now: they have a URL and, in a signing order, everyone before them has signed."""
    if signer.role is not Role.SIGNER or not signer.request_url or signer.state is SignerState.REMOVED:
        return False
    if not ordered or signer.order is None:
        return True
    before = [s for s in signers.values() if s.order is not None and s.order < signer.order and pending(s)]
    return not before
