"""When all must sign again: a revision has no webhook, and shows only by signatures that stand no longer."""

from datetime import datetime

from msgspec.structs import replace

from shared.domain.model import Request, Signer, SignerState, Status
from shared.domain.reading import Reading, is_sent
from shared.domain.recheck import SECOND_READING
from shared.domain.signers import reopened

ROUND_AGE = 600.0  # seconds: a signature's least age to be doubted


def with_round(r: Reading, request: Request) -> Request:
    """A new round needs a signature that the API itself had confirmed, denied twice some minutes apart."""
    undone = [k for k, seen in r.seen.items() if seen.signed is False and _doubtful(r, r.signers[k])]
    if not undone or r.said() is Status.COMPLETE:
        return replace(request, unconfirmed_since=None)
    if request.unconfirmed_since is None:
        return replace(request, unconfirmed_since=r.now)
    if not _settles(r, request.unconfirmed_since, undone):
        return request
    r.signers = reopened(r.signers, _denied_since(r, request.unconfirmed_since))
    status, fresh = r.said() or Status.OPEN, {"unconfirmed_since": None, "completed_at": None, "adopted": False}
    return replace(request, round=request.round + 1, status=status, **fresh)


def _settles(r: Reading, first: datetime, undone: list[str]) -> bool:
    """Whether this answer may confirm the first denial: one that lacks a signature's owner waits for another."""
    lacking = any(r.has_signed(k) for k in r.signers.keys() - r.seen.keys())
    again = r.now - first >= r.policy.span(SECOND_READING, floor=1)
    return not lacking and (again or _sent_after(r, undone))


def _denied_since(r: Reading, first: datetime) -> list[str]:
    """Whose confirmed signature no longer stands: also a young one, if it was known when the first was denied."""
    denied = [(k, r.signers[k]) for k, seen in r.seen.items() if seen.signed is False]
    return [k for k, s in denied if _doubtful(r, s) or (s.confirmed and s.signed_at and s.signed_at <= first)]


def _sent_after(r: Reading, undone: list[str]) -> bool:
    """Whether it is a `request_sent` received after these signatures, and not the first, which may be late itself."""
    known_since = [r.signers[k].signed_at or r.before.met_at for k in undone]
    return is_sent(r.event) and not r.before.adopted and not any(map(r.precedes, known_since))


def _doubtful(r: Reading, signer: Signer) -> bool:
    old_enough = signer.signed_at is None or r.now - signer.signed_at >= r.policy.span(ROUND_AGE, floor=2)
    return signer.state is SignerState.SIGNED and signer.confirmed and old_enough
