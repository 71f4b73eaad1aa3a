"""The signers of a request: matched with each answer, updated from it, removed, or invited again in a new round."""

from collections.abc import Collection
from datetime import datetime

from msgspec.structs import replace

from shared.domain.identity import keys_of
from shared.domain.model import ApiSigner, ChannelName, Request, Role, Signer, SignerState, digest
from shared.domain.policy import Policy, choose_channels, normal_email, normal_mobile

Signers = dict[str, Signer]  # by key
MAX_UNUSABLE = 64  # characters kept of what is no address


def matched(
    known: Signers, rows: tuple[ApiSigner, ...], now: datetime, policy: Policy, reading: float
) -> tuple[Signers, dict[str, ApiSigner]]:
    """The signers as an answer shows them, and its rows by their keys. reading: seconds between two readings."""
    signers, seen = dict(known), dict[str, ApiSigner]()
    named = [_known_by(row, place) for place, row in enumerate(rows, 1)]
    keys = keys_of(named, known)
    for place, row in enumerate(named):
        key = keys.get(place) or _new_key(row, signers)
        seen[key] = row
        signers[key] = _refreshed(signers.get(key) or Signer(number=len(signers) + 1), row, policy)
    for key in signers.keys() - seen.keys():
        signers[key] = _absent(signers[key], now, policy, reading)
    return signers, seen


def _known_by(seen: ApiSigner, place: int) -> ApiSigner:
    """A row without any id is matched by its number, or else by its place: it is never a new signer."""
    return seen if seen.ids else replace(seen, ids=(seen.mobile or f"#{place}",))


def _new_key(seen: ApiSigner, signers: Signers) -> str:
    key = digest(seen.ids[0])[:16]
    while key in signers:  # two signers with one id: both are kept
        key = digest(key)[:16]
    return key


def _refreshed(old: Signer, seen: ApiSigner, policy: Policy) -> Signer:
    email, mobile = normal_email(seen.email), normal_mobile(seen.mobile, policy.region) if seen.mobile else ""
    back = old.state is SignerState.REMOVED
    return replace(
        old,
        aliases=tuple(dict.fromkeys((*old.aliases, *seen.ids))),
        name=seen.name or old.name,
        email=email,
        mobile=mobile,
        unusable=_unusable({ChannelName.SMS: (seen.mobile, mobile), ChannelName.EMAIL: (seen.email, email)}),
        send_to=seen.send_to or old.send_to,
        channels=choose_channels(policy, seen.send_to or old.send_to, email, mobile),
        role=seen.role,
        order=seen.order,
        request_url=seen.request_url or old.request_url,
        state=SignerState.WAITING if back else old.state,
        missing_since=None,
    )


def _unusable(addresses: dict[ChannelName, tuple[str, str]]) -> dict[ChannelName, str]:
    """Of (as given, normal), those that are given and have no normal form."""
    return {c: given.strip()[:MAX_UNUSABLE] for c, (given, normal) in addresses.items() if given.strip() and not normal}


def _absent(signer: Signer, now: datetime, policy: Policy, reading: float) -> Signer:
    """Removed once two readings some minutes apart lack this signer: one truncated answer removes nobody."""
    if signer.missing_since is None:
        return replace(signer, missing_since=now)
    if now - signer.missing_since >= policy.span(reading, floor=1):
        return replace(signer, state=SignerState.REMOVED, reminders={})
    return signer


def reopened(signers: Signers, undone: Collection[str]) -> Signers:
    """For a new round, those whose signature no longer stands and those still due are invited anew."""
    back = {
        "state": SignerState.WAITING,
        "adopted": False,
        "confirmed": False,
        "invited_at": None,
        "signed_at": None,
        "reminders": {},
    }
    again = {k for k, s in signers.items() if k in undone or s.state is SignerState.INVITED}
    return {k: replace(s, **back) if k in again else s for k, s in signers.items()}


def pending(signer: Signer) -> bool:
    """Whether their signature is still needed."""
    return signer.role is Role.SIGNER and signer.state in (SignerState.WAITING, SignerState.INVITED)


def counted_signers(request: Request) -> list[Signer]:
    """Those whose signature the request needs, or has."""
    return [s for s in request.signers.values() if s.role is Role.SIGNER and s.state is not SignerState.REMOVED]


def address_of(signer: Signer, channel: ChannelName) -> str:
    """Their address on a channel; "" when they have none."""
    return {ChannelName.SMS: signer.mobile, ChannelName.EMAIL: signer.email}.get(channel, "")
