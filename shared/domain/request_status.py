"""How a request stands by an answer and an event: open, complete, expired, or disputed between the two."""

from msgspec.structs import replace

from shared.domain import trust
from shared.domain.model import RUNNING, EventType, Request, Status
from shared.domain.reading import Reading
from shared.domain.signatures import sign_all

DISPUTED = "disputed: a webhook says complete, the API denies it"
COMPLETE_LAG, EXPIRED_LAG = 600.0, 120.0  # seconds a denial is taken for a lagging answer


def with_status(r: Reading, request: Request) -> Request:
    """As the event claims, or the answer says."""
    said, old = r.said(), request.status
    if r.is_of(EventType.COMPLETE) and said is not Status.COMPLETE:
        status = _claimed_complete(r, said)
    elif r.is_of(EventType.EXPIRED) and old is not Status.COMPLETE:
        status = _claimed_expired(r, said, old)
    else:
        status = _settled(r, said, old)
    if status is Status.COMPLETE and request.completed_at is None:
        request = _completed(r, request)
    return replace(request, status=status)


def _completed(r: Reading, request: Request) -> Request:
    """Of a request that is complete when met, one webhook is no news: it may be forged. Another one is."""
    if r.first_sight and r.event and not r.before.events:
        r.alerts.append(trust.ALERT_UNHEARD)
        return replace(request, met_complete_by=r.event.type)
    return replace(request, completed_at=r.now if _completion_is_news(r, request) else None)


def _completion_is_news(r: Reading, request: Request) -> bool:
    """A completion that only a recheck has found is told to nobody, where no webhook told of the request before."""
    if trust.ended_long_ago(r.before, r.now, r.policy) or (r.catches_up and r.event is None):
        return False
    if request.met_complete_by:
        return _is_another(r, request.met_complete_by)
    if r.is_of(EventType.COMPLETE):
        return True
    followed = trust.was_followed(request, r.before.signers)
    heard = followed or r.event is not None or request.status is Status.DISPUTED
    return heard and request.status is not Status.COMPLETE


def _is_another(r: Reading, first: str) -> bool:
    """Whether the event is no mere copy of the first that was heard. Beside a Complete of which the API says nothing,
    only a Signed is: the others may follow a forged one.
    """
    claimed = first == EventType.COMPLETE and r.said() is None
    return r.is_of(EventType.SIGNED) if claimed else r.event is not None and r.event.type != first


def _claimed_complete(r: Reading, said: Status | None) -> Status:
    if r.before.status is Status.COMPLETE:
        return Status.COMPLETE
    if said is None and not trust.says_complete(r.usual):
        return _kept(r.before.status)  # `with_proof` decides
    r.wait(COMPLETE_LAG, f"a webhook says complete, the API says {said}")
    r.alerts.append(trust.ALERT_HELD if said is None else DISPUTED)
    return Status.DISPUTED


def _claimed_expired(r: Reading, said: Status | None, old: Status) -> Status:
    if said in RUNNING:
        r.wait(EXPIRED_LAG, f"a webhook says expired, the API says {said}")
        r.alerts.append(trust.ALERT_EXPIRED_DENIED)
    if said is not None:
        return _settled(r, said, old)
    if not trust.says_status(r.usual):
        if old is not Status.EXPIRED:
            r.alerts.append(trust.ALERT_EXPIRED)
        return Status.EXPIRED
    r.alerts.append(trust.ALERT_HELD)
    return _kept(old)


def _settled(r: Reading, said: Status | None, old: Status) -> Status:
    if said is None:
        return _kept(old)
    if said is not Status.COMPLETE and old is Status.COMPLETE:
        return old  # only a new round undoes a completion; its date of expiry may pass
    if old is Status.DISPUTED and said in RUNNING and _may_lag(r):
        return old
    return said


def _kept(old: Status) -> Status:
    """Where nothing says how the request stands now: it is alive."""
    return Status.OPEN if old in (Status.GONE, Status.DORMANT) else old


def _may_lag(r: Reading) -> bool:
    """For a day the API's denial of a completion is doubted; then the webhook is: its token may have leaked."""
    types, young = r.before.event_types, r.now - r.policy.days(1)
    heard = any(types.get(k) is EventType.COMPLETE and at > young for k, at in r.before.events.items())
    return r.event is None and heard


def with_proof(r: Reading, request: Request) -> Request:
    """A Complete where the API is silent is believed with a Signed of every signer, or after ten minutes."""
    heard_at = request.complete_heard_at or (r.now if r.is_of(EventType.COMPLETE) else None)
    if heard_at is None or request.status is Status.COMPLETE:
        return trust.heard_complete(request, None)
    waited = trust.has_waited(heard_at, r.now, r.policy)
    if r.said() is not None:
        return _denied(r, request, waited=waited)
    proven = trust.every_signed_heard(request, r.signers)
    if trust.says_complete(r.usual) or not (proven or waited):
        return trust.heard_complete(request, heard_at)
    return _believed_complete(r, request, proven=proven)


def _denied(r: Reading, request: Request, *, waited: bool) -> Request:
    """The API has spoken meanwhile."""
    if waited and request.complete_heard_at:
        r.alerts.append(DISPUTED)
    return trust.heard_complete(request, None)


def _believed_complete(r: Reading, request: Request, *, proven: bool) -> Request:
    told = trust.was_followed(request, r.signers)
    if not (proven and told):
        r.alerts.append(trust.ALERT_UNPROVEN if told else trust.ALERT_UNHEARD)
    sign_all(r, replace(request, adopted=True))  # nobody is told of signatures that no webhook named
    news = {"completed_at": r.now} if told else {"met_complete_by": EventType.COMPLETE}  # a Signed will be news
    done = replace(request, status=Status.COMPLETE, unmatched=(), **news)
    return trust.heard_complete(done, None)
