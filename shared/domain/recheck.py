"""When a request is read again without an event, which events are handled, and when its personal data goes."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import ceil, inf
from typing import NamedTuple

from msgspec.structs import replace

from shared.domain.model import RUNNING, Event, Reminder, Request, SignerState, Status, digest
from shared.domain.policy import Policy
from shared.domain.search import words_of
from shared.domain.signers import pending
from shared.domain.status_event import changed_last, counted_status
from shared.domain.trust import PROOF_WAIT

STATUS_TOLD = 1_200.0  # seconds until a recheck tells a changed status once more
SECOND_READING = 300.0  # seconds between two readings of what one answer alone is not believed
EVENTS_KEPT, EVENTS_DAYS = 500, 31
UNREAD_AGAIN, UNREAD_MOST = 300.0, 86_400.0  # seconds, least and most, between two rechecks that get no answer
LIVE = (*RUNNING, Status.DISPUTED)
OPENED_AGAIN = 1_200.0  # seconds: a signer may sign so soon after they opened their link; counted once in that time
REMIND_GRACE = 120.0  # seconds a Cloud Task has for its reminder before reconcile steps in
DAY, WEEK = 86_400.0, 604_800.0  # seconds


class Wait(NamedTuple):
    """Until the next recheck: `growth` times the age, at least and at most so many seconds; for ages below `until`."""

    least: float
    growth: float
    most: float
    until: float = inf


# The first wait whose `until` is above the age, in seconds since the last change or announcement.
BY_AGE = (Wait(900.0, 0.5, DAY),)
ANNOUNCED = (Wait(OPENED_AGAIN, 3.5, 79_200.0, until=3 * DAY), Wait(OPENED_AGAIN, 3.5, 1.8 * DAY))
WAITS: dict[Status, tuple[Wait, ...]] = {
    Status.OPEN: BY_AGE,
    Status.PAUSED: BY_AGE,
    Status.EXPIRED: (Wait(900.0, 0.5, DAY, until=WEEK),),  # may be extended
    Status.GONE: (Wait(900.0, 0.5, DAY, until=WEEK),),
    Status.DISPUTED: (Wait(3_600.0, 0.0, 3_600.0),),
    Status.COMPLETE: (Wait(1_200.0, 0.0, 1_200.0, until=1_200.0),),  # once, for a completion that ended as `unknown`
}


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
    # For a day what failed may have been to publish what follows from it.
    untold = now - since < policy.days(1)
    told = replace(request, checked_at=now)
    planned = None if request.status in LIVE or untold else next_check_at(told, None, now, policy)
    return replace(request, unread_since=since, next_at=max(at, planned or at))


def soon(now: datetime, policy: Policy) -> datetime:
    """When a request is read again for what could not be done or told now."""
    return now + policy.span(UNREAD_AGAIN, floor=1)


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


def sender_told(request: Request, now: datetime, policy: Policy) -> Request | None:
    """The state once the sender was told of somebody not reached: an address may be corrected soon."""
    told = replace(request, unreached_at=now)
    return None if request.forgotten else announced(told, now, policy) or told


def announced(request: Request, now: datetime, policy: Policy) -> Request | None:
    """The state once a change may follow: a signer opened their link, or the sender was told of somebody not reached.

    None where that changes nothing.
    """
    again = policy.span(OPENED_AGAIN, floor=2)
    counted = request.opened_at is not None and now - request.opened_at < again
    if counted or request.status is not Status.OPEN or request.next_at is None:
        return None
    return replace(request, opened_at=now, next_at=min(request.next_at, now + again))


def next_check_at(request: Request, event: Event | None, now: datetime, policy: Policy) -> datetime | None:
    """The earliest of the next rechecks, and of the time at which personal data goes; at least a minute ahead."""
    reminders = _reminder_checks(request, now, policy)
    since = now if event is not None else request.changed_at or now
    times = [*_rechecks(request, _age(since, now, policy), now, policy), *reminders]
    times += _by_age(request, max(since, request.opened_at or since), min(reminders, default=None), now, policy)
    if event is None and changed_last(request):  # an event is repeated after a crash, a recheck is not
        times.append(now + policy.span(STATUS_TOLD, floor=2))
    if forget := forget_at(request, policy):
        times.append(forget)
    return max(min(times), now + policy.span(60, floor=1)) if times else None


def _by_age(
    request: Request, since: datetime, reminder: datetime | None, now: datetime, policy: Policy
) -> list[datetime]:
    """The recheck that comes more rarely as time goes by. Where changes are announced, the longest of these waits are
    spread evenly until the next reminder, whose own question to the API will do as a recheck."""
    age, waits = _age(since, now, policy), _waits(request, policy)
    if (row := next((w for w in waits if age < w.until), None)) is None:
        return []
    wait = policy.span(min(max(row.least, row.growth * age), row.most), floor=2)
    if waits is not ANNOUNCED or reminder is None or wait < policy.span(row.most, floor=2):
        return [now + wait]
    return [now + (reminder - now) / ceil((reminder - now) / wait)]


def _waits(request: Request, policy: Policy) -> tuple[Wait, ...]:
    if request.status is Status.OPEN and policy.opens_seen and not _lacks_address(request):
        return ANNOUNCED
    if request.status is Status.GONE and not request.signers:
        return ()  # never seen alive: it may be made up
    return WAITS.get(request.status, ())


def _age(since: datetime, now: datetime, policy: Policy) -> float:
    """In seconds, as of a day of full length."""
    return (now - since).total_seconds() * 86_400 / policy.day


def _rechecks(request: Request, age: float, now: datetime, policy: Policy) -> Iterator[datetime]:
    """Those that the state asks for. age: seconds since the last change."""
    if _second_reading_due(request, now):
        yield now + policy.span(SECOND_READING, floor=1)
    if request.complete_heard_at and request.status is not Status.DISPUTED:
        yield now + policy.span(max(PROOF_WAIT - age, 0.0), floor=2)
    if _lacks_url(request):
        yield now + policy.span(60 + min(age, 840), floor=1)


def _lacks_address(request: Request) -> bool:
    """Whether somebody cannot be written to: the correction of their address may never be announced."""
    return any(pending(s) and not s.channels for s in request.signers.values())


def _lacks_url(request: Request) -> bool:
    wanted = request.status is Status.OPEN
    return wanted and any(pending(s) and not s.request_url for s in request.signers.values())


def _second_reading_due(request: Request, now: datetime) -> bool:
    """Whether one answer alone said something that a second one must confirm."""
    absent = request.not_found_since
    first = absent == now and not request.signers  # never seen alive: its one recheck
    not_found = first or (absent is not None and request.status is not Status.GONE)
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
