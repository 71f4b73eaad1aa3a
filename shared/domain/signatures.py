"""Who has signed, by the answer's rows and by the signer whom an event names."""

from msgspec.structs import replace

from shared.domain import trust
from shared.domain.identity import named
from shared.domain.model import EventType, Request, Role, Signer, SignerState, Status, digest
from shared.domain.reading import Reading
from shared.domain.signers import pending

MAX_UNMATCHED = 1_000  # names that fit nobody: whoever has the webhook's token can make up any number of them
SIGNED_LAG = 120.0  # seconds a denial is taken for a lagging answer


def with_signatures(r: Reading, request: Request) -> Request:
    """Marks who has signed, by the answer, by the event, or since all have; and keeps a name that fits nobody."""
    whose = _signer_of_event(r)
    for key, seen in r.seen.items():
        if seen.signed is True:
            _sign(r, key, request, by_event=r.signers[key].doubted_since is not None, confirmed=True)
    if whose is not None:
        _believe(r, whose, request)
    if request.status is Status.COMPLETE:
        sign_all(r, request)
    for key in _refuted(r):
        r.alerts.append("refuted: a webhook said signed, the API has denied it for a day")
        r.signers[key] = replace(r.signers[key], state=SignerState.WAITING, signed_at=None, doubted_since=None)
    return _with_unmatched(r, request, whose)


def sign_all(r: Reading, request: Request) -> None:
    """Of a complete request everybody has signed."""
    for key, signer in r.signers.items():
        if signer.state is not SignerState.REMOVED:
            _sign(r, key, request, by_event=False, confirmed=False)


def _with_unmatched(r: Reading, request: Request, whose: str | None) -> Request:
    """Hashes of signer ids that events named and that fit nobody, until the API itself says who has signed.

    They hold back reminders for a day from the first: whoever knows the webhook's token could name anybody.
    """
    unmatched = request.unmatched
    if r.event and r.is_of(EventType.SIGNED) and whose is None and r.event.signer:
        r.alerts.append("unmatched: a webhook names a signer that the API's answer does not hold")
        unmatched = (*unmatched, digest(r.event.signer)[:16])
    if None not in r.flags:
        return replace(request, unmatched=(), unmatched_since=None)
    since = request.unmatched_since or (r.now if unmatched else None)
    held = unmatched if since and r.now - since < r.policy.days(1) else ()
    return replace(request, unmatched=tuple(dict.fromkeys(held))[-MAX_UNMATCHED:], unmatched_since=since)


def _signer_of_event(r: Reading) -> str | None:
    if r.event is None or r.event.type is not EventType.SIGNED:
        return None
    found = named(r.signers, r.event.signer)
    if not found:
        return _only_one_left(r)
    return _one_of(r, [k for k in found if r.signers[k].state is not SignerState.REMOVED])


def _one_of(r: Reading, keys: list[str]) -> str | None:
    """Of several at one address, whoever the API shows to have signed: the event may be a copy of another's."""
    unsigned = [k for k in keys if not r.has_signed(k)]
    shown = [k for k in unsigned if r.flag(k)]
    if len(keys) > 1 and unsigned and not shown:
        _await_the_api(r, unsigned)
        return None
    return next(iter(shown or keys), None)


def _await_the_api(r: Reading, unsigned: list[str]) -> None:
    """Where it denies them all, it may lag."""
    if {r.flag(k) for k in unsigned} == {False}:
        r.wait(SIGNED_LAG, "a webhook says signed, the API does not yet")


def _only_one_left(r: Reading) -> str | None:
    """Whom an unknown signer id means."""
    counted = [k for k in r.seen if r.signers[k].role is Role.SIGNER]
    left = [k for k in counted if not r.has_signed(k)]
    return left[0] if len(left) == 1 and _is_meant(r, left[0], beside=len(counted) - 1) else None


def _is_meant(r: Reading, key: str, *, beside: int) -> bool:
    """Beside others, or in a first answer that may lack others, a signer whom the API denies cannot be assumed: the
    others may have signed.
    """
    if r.first_sight and r.flag(key) is None:  # one answer alone may lack whoever has signed
        r.wait(SIGNED_LAG, "a webhook names a signer the API does not show")
    denied = r.flag(key) is False and (beside > 0 or r.first_sight)
    if denied:
        r.wait(SIGNED_LAG, "a webhook says signed, the API does not yet")
    return not denied


def _sign(r: Reading, key: str, request: Request, *, by_event: bool, confirmed: bool) -> None:
    signer = r.signers[key]
    if signer.role is not Role.SIGNER:
        return
    signed_at = signer.signed_at
    watched = not (r.has_signed(key) or request.adopted or r.first_sight or r.catches_up)
    if signed_at is None and (by_event or watched):
        signed_at = r.now
    r.signers[key] = replace(
        signer,
        state=SignerState.SIGNED,
        signed_at=signed_at,
        confirmed=signer.confirmed or confirmed,
        doubted_since=None,
        reminders={},
    )


def _believe(r: Reading, key: str, request: Request) -> None:
    if r.flag(key) is None and trust.says_signed(r.usual) and not r.has_signed(key):
        r.wait(SIGNED_LAG, "a webhook says signed, the API does not say now")
        r.alerts.append(trust.ALERT_HELD)
        return
    lacking = key not in r.seen and bool(r.flags) and None not in r.flags  # the answer shows all the others
    if (r.flag(key) is False or lacking) and pending(r.signers[key]):
        if r.precedes(request.resent_at):
            r.alerts.append("outdated: a webhook says signed, the API denies it, and the request was sent anew since")
            return
        r.wait(SIGNED_LAG, "a webhook says signed, the API does not yet")
        r.alerts.append("believed: a webhook says signed, the API denies it")
        r.signers[key] = trust.doubted(r.signers[key], r.now)
        return
    _sign(r, key, request, by_event=True, confirmed=False)


def _refuted(r: Reading) -> list[str]:
    """Whose signature only a webhook told, while for a day the API, which does show signatures, has denied it."""
    shows = trust.shows_signatures(r.usual) or _has_shown(r)
    denied = [k for k, seen in r.seen.items() if seen.signed is False and shows]
    return [k for k in denied if _told_a_day_ago(r, r.signers[k])]


def _told_a_day_ago(r: Reading, signer: Signer) -> bool:
    at = signer.signed_at or signer.doubted_since
    told = signer.state is SignerState.SIGNED and not signer.confirmed
    return told and at is not None and r.now - at >= r.policy.days(1)


def _has_shown(r: Reading) -> bool:
    """Whether the API shows a signature of this request, or has done so."""
    return True in r.flags or r.before.round > 1 or any(s.confirmed for s in r.signers.values())
