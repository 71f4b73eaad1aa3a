"""(stored state, fresh answer, event, now) -> state. Who is believed when the webhook and the API differ.

A webhook carries no proof but a static token, so the API is the truth. Where the API does not say, `trust` decides;
where the API denies, it is given time first, since an answer may lag behind the event.
"""

from datetime import datetime

import msgspec
from msgspec.structs import replace

from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import AccountAnswers, ApiRequest, Event, Request, Status
from shared.domain.policy import Policy
from shared.domain.reading import Reading, is_sent, wait_for
from shared.domain.recheck import SECOND_READING, record_reading
from shared.domain.request_status import with_proof, with_status
from shared.domain.rounds import with_round
from shared.domain.signatures import with_signatures
from shared.domain.signers import check_count
from shared.domain.signing_order import advance_signing

MAX_BYTES = 900_000  # of a request until somebody is invited, as JSON: Firestore takes 1,048,576; a life adds a tenth
GONE_LAG = 600.0  # seconds a 404 is taken for a lagging answer
UNKNOWN_SLOWER = 4.0  # the pauses for an id never seen alive: six calls within GONE_LAG
KEPT_UNLESS_TOLD = ("sender", "sender_email", "site", "language", "created_at", "expires_at", "download_url")
NOTHING_KNOWN = AccountAnswers()


class MergeResult(msgspec.Struct, frozen=True):
    """The new state, and what an operator should hear of."""

    request: Request
    alerts: tuple[str, ...] = ()
    answer: ApiRequest | None = None


def merge(
    stored: Request | None,
    answer: ApiRequest,
    event: Event | None,
    now: datetime,
    policy: Policy,
    usual: AccountAnswers = NOTHING_KNOWN,
) -> MergeResult:
    """usual: what this account's API usually says.

    Raises RetryLater while the answer may still be lagging behind the event, PermanentFailure past 1,000 signers,
    and for a request that would outgrow its document in the database.
    """
    if not answer.signers:
        raise RetryLater("the API's answer names no signer")
    check_count(len(answer.signers))
    before = stored or Request(id=answer.id, adopted=True, met_at=now)
    reading = Reading(before, answer, event, now, policy, usual)
    request = _merged(reading)
    begun = any(s.invited_at for s in before.signers.values())
    if not begun and (size := len(msgspec.json.encode(request))) > MAX_BYTES:
        raise PermanentFailure(
            f"the request would take {size:,} bytes in the database; at most {MAX_BYTES:,} may begin"
        )
    return MergeResult(request, tuple(reading.alerts), answer)


def _merged(r: Reading) -> Request:
    """The steps in their order, each reading what the one before it left."""
    request = _facts(r)
    for step in (with_status, with_signatures, with_proof, with_round):
        request = step(r, request)
    if request.complete_heard_at is None:  # nobody is invited to what may be complete
        r.signers = advance_signing(r.signers, request, r.now, r.policy)
    return record_reading(replace(request, signers=r.signers), r.before, r.event, r.now, r.policy)


def _facts(r: Reading) -> Request:
    a, b = r.answer, r.before
    hint = r.event.title_hint if r.event else ""
    return replace(
        b,
        **{name: getattr(a, name) or getattr(b, name) for name in KEPT_UNLESS_TOLD},
        title=a.title or b.title or hint,
        metadata=b.metadata | a.metadata,
        ordered=b.ordered if a.ordered is None else a.ordered,
        adopted=b.adopted and not r.invites,
        not_found_since=None,
        resent_at=_resent_at(r),
    )


def _resent_at(r: Reading) -> datetime | None:
    """When the newest `request_sent` was received that was not the first: the request may have been revised."""
    known, last = r.before.signers and not r.before.adopted, r.before.resent_at
    if r.event is None or not is_sent(r.event) or not known:
        return last
    return max(r.event.received_at, last or r.event.received_at)


def gone(stored: Request | None, event: Event | None, key: str, now: datetime, policy: Policy) -> Request:
    """The state after a 404. Raises RetryLater while the event is so young that the API may not know it yet.

    Without an event it takes two readings: one stray 404 must not silence a living request.
    """
    never_alive = stored is None or not stored.signers
    slower = UNKNOWN_SLOWER if never_alive else 1.0
    wait_for(event, GONE_LAG, now, policy, "the API does not know the request yet", slower)
    request = stored or Request(id=key, adopted=True, met_at=now)
    request = replace(request, adopted=request.adopted and not is_sent(event))
    since = request.not_found_since or now
    lost = event is not None or now - since >= policy.span(SECOND_READING, floor=1)
    status = Status.GONE if lost else request.status
    return record_reading(replace(request, status=status, not_found_since=since), stored, event, now, policy)
