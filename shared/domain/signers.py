"""The signers of a request: matched with each answer, updated from it, removed, or invited again in a new round."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from shared.domain.errors import PermanentFailure
from shared.domain.identity import keys_of
from shared.domain.model import ApiSigner, ChannelName, Request, Role, Signer, SignerState, digest
from shared.domain.policy import Policy, choose_channels, normal_email, normal_mobile

Signers = dict[str, Signer]  # by key
MAX_SIGNERS = 1_000
MAX_UNUSABLE = 64  # characters kept of what is no address
ADDRESS_KEPT = 3_600.0  # seconds for which answers must lack an address that is stored until it is gone


def check_count(signers: int) -> None:
    """Raises PermanentFailure past MAX_SIGNERS."""
    if signers > MAX_SIGNERS:
        raise PermanentFailure(f"the request has {signers} signers; at most {MAX_SIGNERS} are supported")


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
        old = signers.get(key) or Signer(number=len(signers) + 1)
        signers[key] = _refreshed(old, row, now, policy)
    for key in signers.keys() - seen.keys():
        signers[key] = _absent(signers[key], now, policy, reading)
    return signers, seen


def _known_by(seen: ApiSigner, place: int) -> ApiSigner:
    """A row without any id is matched by its number or address, or else by its place: it is never a new signer."""
    contacts = [text for text in (seen.mobile, seen.email.strip().lower()) if text]
    return seen if seen.ids else replace(seen, ids=(*contacts, f"#{place}"))


def _new_key(seen: ApiSigner, signers: Signers) -> str:
    key = digest(seen.ids[0])[:16]
    while key in signers:  # two signers with one id: both are kept
        key = digest(key)[:16]
    return key


def _refreshed(old: Signer, seen: ApiSigner, now: datetime, policy: Policy) -> Signer:
    reached = _with_addresses(old, seen, now, policy)
    fresh = replace(
        reached,
        aliases=tuple(dict.fromkeys((*old.aliases, *seen.ids))),
        name=seen.name or old.name,
        send_to=seen.send_to or old.send_to,
        channels=choose_channels(policy, seen.send_to or old.send_to, reached.email, reached.mobile),
        role=seen.role,
        order=seen.order,
        request_url=seen.request_url or old.request_url,
        language=seen.language or old.language,
        metadata=old.metadata | seen.metadata,
        state=_state_of(old, seen),
        missing_since=None,
    )
    return replace(fresh, invited_at=now, reminders={}) if _moved(old, fresh) else fresh


def _with_addresses(old: Signer, seen: ApiSigner, now: datetime, policy: Policy) -> Signer:
    """Their addresses as the answer has them; one that it lacks is kept for a while: it may be this answer's fault."""
    email, mobile = normal_email(seen.email), normal_mobile(seen.mobile, policy.region) if seen.mobile else ""
    unusable = _unusable({ChannelName.SMS: (seen.mobile, mobile), ChannelName.EMAIL: (seen.email, email)})
    fresh = replace(old, email=email, mobile=mobile, unusable=unusable, lacking_since=None)
    kept = replace(fresh, email=email or old.email, mobile=mobile or old.mobile)
    since = old.lacking_since or now
    gone = kept == fresh or now - since >= policy.span(ADDRESS_KEPT, floor=2)
    return fresh if gone else replace(kept, lacking_since=since)


def _state_of(old: Signer, seen: ApiSigner) -> SignerState:
    """Whoever comes back has still signed, where a webhook said so in this round and the answer does not deny it."""
    if old.state is not SignerState.REMOVED:
        return old.state
    return SignerState.SIGNED if old.signed_at and seen.signed is None else SignerState.WAITING


def _moved(old: Signer, fresh: Signer) -> bool:
    """Whether nobody at their present addresses has been invited: a number was corrected, or a delegate took over."""
    told, used = ({address_of(s, c) for c in s.channels} for s in (old, fresh))
    return fresh.state is SignerState.INVITED and not fresh.adopted and bool(used) and not used & told


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


def with_marks(old: Signer, read: Signer) -> Signer:
    """`old` with the marks of what answers lacked as a reading leaves them. An address that it takes away keeps its."""
    kept = (read.email, read.mobile) == (old.email, old.mobile)
    lacking = read.lacking_since if kept else old.lacking_since
    return replace(old, missing_since=read.missing_since, lacking_since=lacking)


def reopened(signers: Signers, undone: Collection[str]) -> Signers:
    """For a new round, those whose signature no longer stands and those still due are invited anew."""
    back: dict[str, Any] = {
        "adopted": False,
        "confirmed": False,
        "invited_at": None,
        "signed_at": None,
        "reminders": {},
    }
    return {
        key: replace(s, **back, state=_again(s.state)) if key in undone or s.state is not SignerState.SIGNED else s
        for key, s in signers.items()
    }


def _again(state: SignerState) -> SignerState:
    return state if state is SignerState.REMOVED else SignerState.WAITING


def pending(signer: Signer) -> bool:
    """Whether their signature is still needed."""
    unsigned = signer.state in (SignerState.WAITING, SignerState.INVITED) or signer.doubted_since is not None
    return signer.role is Role.SIGNER and unsigned and signer.state is not SignerState.REMOVED


def needed(request: Request) -> int:
    """Signatures still missing."""
    return sum(map(pending, request.signers.values()))


def counted(signers: Signers) -> list[Signer]:
    """Those whose signature the request needs, or has."""
    return [s for s in signers.values() if s.role is Role.SIGNER and s.state is not SignerState.REMOVED]


def sender_address(request: Request, policy: Policy) -> str:
    """Where the sender is told; "" where nothing says."""
    return normal_email(request.sender_email) or policy.sender_fallback


def address_of(signer: Signer, channel: ChannelName) -> str:
    """Their address on a channel; "" when they have none."""
    return {ChannelName.SMS: signer.mobile, ChannelName.EMAIL: signer.email}.get(channel, "")
