"""When a request is read again without an event, which events are handled, and when its personal data goes."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.model import Event, Reminder, Request, SignerState, Status, digest
from shared.domain.policy import Policy
from shared.domain.search import words_of
from shared.domain.signers import pending
from shared.domain.status_event import changed_last, counted_status
from shared.domain.trust import PROOF_WAIT

STATUS_TOLD = 1_200.0  # seconds until a recheck tells a changed status once more
SECOND_READING = 300.0  # seconds between two readings of what one answer alone is not believed
EVENTS_KEPT, EVENTS_DAYS = 500, 31
UNREAD_AGAIN, UNREAD_MOST = 300.0, 86_400.0  # seconds, least and most, between two rechecks that get no answer
LIVE = (Status.OPEN, Status.PAUSED, Status.DISPUTED)
RECHECK: dict[Status, Callable[[float], float | None]] = {
    # seconds until the next recheck, by the seconds since the last change: less often as a request ages
    Status.OPEN: lambda age: min(max(900.0, age / 2), 86_400.0),
    Status.PAUSED: lambda age: min(max(900.0, age / 2), 86_400.0),
    Status.EXPIRED: lambda age: min(max(900.0, age / 2), 86_400.0) if age < 7 * 86_400 else None,  # may be extended
    Status.GONE: lambda age: min(max(900.0, age / 2), 86_400.0) if age < 7 * 86_400 else None,
    Status.DISPUTED: lambda age: 3_600.0,
    Status.COMPLETE: lambda age: 1_200.0 if age < 1_200 else None,  # once, for a completion that ended as `unknown`
}
OPENED_AGAIN = 1_200.0  # seconds: a signer may sign so soon after they opened their link; counted once in that time
RARELY = 144_000.0  # seconds: the longest wait where a signature is announced by an opened link
SHORTLY_BEFORE = 32_400.0  # seconds before a reminder, whose own question to the API will do as a recheck
REMIND_GRACE = 120.0  # seconds a Cloud Task has for its reminder before reconcile steps in


def record_reading(
    request: Request, before: Request | None, event: Event | None, now: datetime, policy: Policy
) -> Request:
    """The state with what this reading means for it: the event is handled, the next recheck and the purge are set."""
    request = _heard(request, event, now, policy)
    if event is None and _silent(request, now, policy):
        request = replace(request, status=Status.DORMANT)
    counted = counted_status(before, request, now)
    # a change that a recheck found resets the backoff, unless it is the silence itself
    news = event is not None or (counted is not request and counted.status is not Status.DORMANT)
    request = replace(
        counted,
        changed_at=now if news or request.changed_at is None else request.changed_at,
        purge_at=_purge_at(counted, now, policy),
        checked_at=now,
        unread_since=None,
        search=words_of(request),
    )
    return replace(request, next_at=next_check_at(request, event, now, policy))


def unread(request: Request, now: datetime, policy: Policy, after: float) -> Request:
    """The state after a recheck that got no answer. after: seconds to wait at least.

    It is tried more and more rarely, and a live request falls silent like one without news.
    """
    if _silent(request, now, policy):
        return record_reading(request, request, None, now, policy)
    since = request.unread_since or now
    wait = min(max(UNREAD_AGAIN, (now - since).total_seconds() * 86_400 / policy.day / 2), UNREAD_MOST)
    at = max(now + policy.span(wait, floor=1), now + timedelta(seconds=after))
    told = replace(request, checked_at=now)  # its status was told before the call that failed
    planned = None if request.status in LIVE else next_check_at(told, None, now, policy)
    return replace(request, unread_since=since, next_at=max(at, planned or at))


def _purge_at(request: Request, now: datetime, policy: Policy) -> datetime | None:
    ended = request.status in (Status.COMPLETE, Status.EXPIRED, Status.GONE, Status.DORMANT)
    return request.purge_at or now + policy.days(policy.retention_days) if ended else None


def _heard(request: Request, event: Event | None, now: datetime, policy: Policy) -> Request:
    """With this event among those handled, and without those too old to come again."""
    fresh = {event_key(event.event): event.type} if event else {}
    events = _trimmed(request.events | dict.fromkeys(fresh, now), now, policy)
    types = {k: kind for k, kind in (request.event_types | fresh).items() if k in events}
    return replace(request, events=events, event_types=types)


def forget_at(request: Request, policy: Policy) -> datetime | None:
    """When an ended request loses its personal data: before the database would drop it whole."""
    return request.purge_at - policy.days(1) if request.purge_at else None


def stub(request: Request) -> Request:
    """What stays: that there was such a request, and how it ended."""
    return Request(
        id=request.id,
        status=request.status,
        round=request.round,
        completed_at=request.completed_at,
        changed_at=request.changed_at,
        forgotten=True,
    )


def _silent(request: Request, now: datetime, policy: Policy) -> bool:
    """No news for 30 days past the last reminder step."""
    last_step = policy.days(max(policy.reminder_days, default=0) + 30)
    return request.status in LIVE and now - (request.changed_at or now) > last_step


def event_key(event: str) -> str:
    """Event ids are any text; as a field name only a hash of one is safe."""
    return digest(event)[:24]


def _trimmed(events: dict[str, datetime], now: datetime, policy: Policy) -> dict[str, datetime]:
    young = {k: at for k, at in events.items() if now - at <= policy.days(EVENTS_DAYS)}
    newest = sorted(young.items(), key=lambda item: item[1])[-EVENTS_KEPT:]
    return dict(newest)


def opened(request: Request, now: datetime, policy: Policy) -> Request | None:
    """The state once a signer has opened their link: a signature may follow. None where that changes nothing."""
    again = policy.span(OPENED_AGAIN, floor=2)
    counted = request.opened_at is not None and now - request.opened_at < again
    if counted or not policy.opens_seen or request.status is not Status.OPEN or request.next_at is None:
        return None
    return replace(request, opened_at=now, next_at=min(request.next_at, now + again))


def _recheck(request: Request, age: float, policy: Policy) -> float | None:
    if request.status is Status.OPEN and policy.opens_seen and not _lacks_address(request):
        return min(max(OPENED_AGAIN, 2 * age), RARELY)
    if request.status is Status.GONE and not request.signers:
        return None  # never seen alive: it may be made up
    rule = RECHECK.get(request.status)
    return rule(age) if rule else None


def next_check_at(request: Request, event: Event | None, now: datetime, policy: Policy) -> datetime | None:
    """The earliest of the next rechecks, and of the time at which personal data goes; at least a minute ahead."""
    reminders = _reminder_checks(request, now, policy)
    times = [*_unless_shortly_before(reminders, _rechecks(request, event, now, policy), now, policy), *reminders]
    if event is None and changed_last(request):  # an event is repeated after a crash, a recheck is not
        times.append(now + policy.span(STATUS_TOLD, floor=2))
    if forget := forget_at(request, policy):
        times.append(forget)
    return max(min(times), now + policy.span(60, floor=1)) if times else None


def _rechecks(request: Request, event: Event | None, now: datetime, policy: Policy) -> list[datetime]:
    since = now if event is not None else request.changed_at or now
    age, hinted = _age(since, now, policy), _age(max(since, request.opened_at or since), now, policy)
    return [now + policy.span(wait, floor=floor) for wait, floor in _waits(request, age, hinted, policy)]


def _unless_shortly_before(
    reminders: list[datetime], rechecks: list[datetime], now: datetime, policy: Policy
) -> list[datetime]:
    """A quiet request's recheck is left to the question that a reminder asks soon after."""
    quiet = policy.opens_seen and rechecks == [now + policy.span(RARELY)]
    near = reminders and min(reminders) - rechecks[0] <= policy.span(SHORTLY_BEFORE) if quiet else False
    return [] if near else rechecks


def _age(since: datetime, now: datetime, policy: Policy) -> float:
    """In seconds, as of a day of full length."""
    return (now - since).total_seconds() * 86_400 / policy.day


def _waits(request: Request, age: float, hinted: float, policy: Policy) -> Iterator[tuple[float, float]]:
    """Seconds until each recheck that the state asks for, and the least of them on a shortened day.

    age, hinted: seconds since the last change, and since the last change or opened link.
    """
    if (wait := _recheck(request, hinted, policy)) is not None:
        yield wait, 2
    if _second_reading_due(request):
        yield SECOND_READING, 1
    if request.complete_heard_at and request.status is not Status.DISPUTED:
        yield max(PROOF_WAIT - age, 0.0), 2
    if _lacks_url(request):
        yield 60 + min(age, 840), 1


def _lacks_address(request: Request) -> bool:
    """Whether somebody cannot be written to: no opened link announces the correction of their address."""
    return any(pending(s) and not s.channels for s in request.signers.values())


def _lacks_url(request: Request) -> bool:
    wanted = request.status is Status.OPEN
    return wanted and any(pending(s) and not s.request_url for s in request.signers.values())


def _second_reading_due(request: Request) -> bool:
    """Whether one answer alone said something that a second one must confirm."""
    not_found = request.not_found_since is not None and request.status is not Status.GONE
    missing = any(s.missing_since and s.state is not SignerState.REMOVED for s in request.signers.values())
    return bool(request.unconfirmed_since) or not_found or missing


def _reminder_checks(request: Request, now: datetime, policy: Policy) -> list[datetime]:
    """When each reminder that is not out should have been fired by its task. One in the past was just republished."""
    if request.status not in (*LIVE, Status.EXPIRED):  # which may be undone
        return []
    grace = policy.span(REMIND_GRACE, floor=2)
    due = [r.due_at + grace for s in request.signers.values() for r in s.reminders.values() if not is_out(request, r)]
    return [at for at in due if at > now]


def is_out(request: Request, reminder: Reminder) -> bool:
    """Whether a task has published this reminder."""
    return request.reminded_until is not None and reminder.due_at <= request.reminded_until
