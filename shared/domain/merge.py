"""(stored state, fresh answer, event, now) -> state. Who is believed when the webhook and the API differ.

A webhook carries no proof but a static token, so the API is the truth. Where the API does not say, the webhook is
believed; where the API denies, it is given time first, since an answer may lag behind the event.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.domain.model import (
    Answer,
    ChannelName,
    Event,
    EventType,
    Reminder,
    Request,
    Role,
    Seen,
    Signer,
    SignerState,
    Status,
    digest,
)
from shared.domain.outcomes import GiveUp, Retry
from shared.domain.policy import Policy, choose_channels, into_window, normal_email, normal_mobile
from shared.domain.search import words_of

MAX_SIGNERS = 1_000
SIGNED_LAG, COMPLETE_LAG, GONE_LAG = 120.0, 600.0, 600.0  # seconds a denial is taken for a lagging answer
ROUND_AGE, SECOND_READING = 600.0, 300.0  # seconds: a signature's least age to be doubted; between two readings
EVENTS_KEPT, EVENTS_DAYS = 500, 31


class Merged(msgspec.Struct, frozen=True):
    """The new state, and what an operator should hear of."""

    request: Request
    alerts: tuple[str, ...] = ()


def merge(stored: Request | None, answer: Answer, event: Event | None, now: datetime, policy: Policy) -> Merged:
    """Raises Retry while the answer may still be lagging behind the event, GiveUp past 1,000 signers."""
    if not answer.signers:
        raise Retry("the API's answer names no signer")
    if len(answer.signers) > MAX_SIGNERS:
        raise GiveUp(f"the request has {len(answer.signers)} signers; at most {MAX_SIGNERS} are supported")
    before = stored or Request(id=answer.id, adopted=not is_sent(event))
    ticket = _Merge(before, answer, event, now, policy)
    request = ticket.run()
    return Merged(request, tuple(ticket.alerts))


def gone(stored: Request | None, event: Event | None, key: str, now: datetime, policy: Policy) -> Request:
    """The state after a 404. Raises Retry while the event is so young that the API may not know it yet.

    Without an event it takes two readings: one stray 404 must not silence a living request.
    """
    _wait_for(event, GONE_LAG, now, policy, "the API does not know the request yet")
    request = stored or Request(id=key, adopted=True)
    since = request.absent_at or now
    lost = event is not None or now - since >= policy.span(SECOND_READING, floor=1)
    status = Status.GONE if lost else request.status
    return _stamp(replace(request, status=status, absent_at=since), stored, event, now, policy)


def is_sent(event: Event | None) -> bool:
    return event is not None and event.type is EventType.SENT


def _wait_for(event: Event | None, lag: float, now: datetime, policy: Policy, why: str) -> None:
    if event is not None:
        age = now - event.received_at
        if age < policy.span(lag, floor=2):
            raise Retry(why, after=max(1.0, min(age.total_seconds(), 60.0)))


class _Merge:
    """One merge under way: the steps in their order, each reading what the one before it left."""

    def __init__(self, before: Request, answer: Answer, event: Event | None, now: datetime, policy: Policy) -> None:
        self.before, self.answer, self.event, self.now, self.policy = before, answer, event, now, policy
        self.alerts: list[str] = []
        self.signers: dict[str, Signer] = dict(before.signers)
        self.seen: dict[str, Seen] = {}
        self.first_sight = not before.signers

    def run(self) -> Request:
        self._match()
        request = self._facts()
        request = self._status(request)
        request = self._signatures(request)
        request = self._rounds(request)
        request = self._turns(request)
        request = replace(request, signers=self.signers)
        return _stamp(request, self.before, self.event, self.now, self.policy)

    # -- who is who

    def _match(self) -> None:
        for place, row in enumerate(self.answer.signers, 1):
            seen = _known_by(row, place)
            key = self._key_of(seen)
            self.seen[key] = seen
            self.signers[key] = self._refresh(self.signers.get(key), seen)
        for key in self.signers.keys() - self.seen.keys():
            self.signers[key] = self._absent(self.signers[key])

    def _key_of(self, seen: Seen) -> str:
        for alias in seen.ids:
            for key, signer in self.signers.items():
                if alias in signer.aliases and key not in self.seen:
                    return key
        key = digest(seen.ids[0])[:16]
        while key in self.signers:  # two signers with one id: both are kept
            key = digest(key)[:16]
        return key

    def _refresh(self, old: Signer | None, seen: Seen) -> Signer:
        email, mobile = normal_email(seen.email), normal_mobile(seen.mobile, self.policy.region) if seen.mobile else ""
        old = old or Signer(number=len(self.signers) + 1)
        back = old.state is SignerState.LEFT
        return replace(
            old,
            aliases=tuple(dict.fromkeys((*old.aliases, *seen.ids))),
            name=seen.name or old.name,
            email=email,
            mobile=mobile,
            channels=choose_channels(self.policy, seen, email, mobile),
            role=seen.role,
            order=seen.order,
            request_url=seen.request_url or old.request_url,
            state=SignerState.WAITING if back else old.state,
            missing_at=None,
        )

    def _absent(self, signer: Signer) -> Signer:
        """Left once two readings some minutes apart miss him: one truncated answer removes nobody."""
        if signer.missing_at is None:
            return replace(signer, missing_at=self.now)
        if self.now - signer.missing_at >= self.policy.span(SECOND_READING, floor=1):
            return replace(signer, state=SignerState.LEFT, reminders={})
        return signer

    # -- the request

    def _facts(self) -> Request:
        a, b = self.answer, self.before
        hint = self.event.title_hint if self.event else ""
        return replace(
            b,
            title=a.title or b.title or hint,
            sender=a.sender or b.sender,
            ordered=b.ordered if a.ordered is None else a.ordered,
            created_at=a.created_at or b.created_at,
            expires_at=a.expires_at or b.expires_at,
            download_url=a.download_url or b.download_url,
            adopted=b.adopted and not is_sent(self.event),
            absent_at=None,
        )

    def _said(self) -> Status | None:
        """What the answer says of the whole request, directly or by all its signatures; None when silent."""
        if self.answer.status is not None:
            return self.answer.status
        flags = [s.signed for s in self.answer.signers if s.role is Role.SIGNER]
        if flags and all(flags):
            return Status.COMPLETE
        if self.answer.expires_at and self.answer.expires_at <= self.now:
            return Status.EXPIRED
        return Status.OPEN if any(f is False for f in flags) and self._is(EventType.COMPLETE) else None

    def _is(self, kind: EventType) -> bool:
        return self.event is not None and self.event.type is kind

    def _status(self, request: Request) -> Request:
        said, old = self._said(), request.status
        if self._is(EventType.COMPLETE) and said is not Status.COMPLETE:
            status = self._claimed_complete(said)
        elif self._is(EventType.EXPIRED) and said is None and old is not Status.COMPLETE:
            status = Status.EXPIRED
        else:
            status = self._settled(said, old)
        heard = not request.adopted or self.event is not None or old is Status.DISPUTED
        first = request.completed_at is None and (self._is(EventType.COMPLETE) or (heard and old is not status))
        news = status is Status.COMPLETE and first  # of an adopted request a look may have known it before the event
        return replace(request, status=status, completed_at=self.now if news else request.completed_at)

    def _claimed_complete(self, said: Status | None) -> Status:
        if said is None or self.before.status is Status.COMPLETE:
            return Status.COMPLETE
        _wait_for(self.event, COMPLETE_LAG, self.now, self.policy, f"a webhook says complete, the API says {said}")
        self.alerts.append("disputed: a webhook says complete, the API denies it")
        return Status.DISPUTED

    def _settled(self, said: Status | None, old: Status) -> Status:
        if said is None:
            return Status.OPEN if old in (Status.GONE, Status.DORMANT) else old
        if said in (Status.OPEN, Status.PAUSED, Status.EXPIRED) and old is Status.COMPLETE:
            return old  # only a new round undoes a completion; its date of expiry may pass
        if old is Status.DISPUTED and said in (Status.OPEN, Status.PAUSED) and self._may_lag():
            return old
        return said

    def _may_lag(self) -> bool:
        """For a day the API's denial of a completion is doubted; then the webhook is: its token may have leaked."""
        heard_at = self.before.changed_at or self.now
        return self.event is None and self.now - heard_at < self.policy.days(1)

    # -- signatures

    def _signatures(self, request: Request) -> Request:
        whose = self._signer_of_event()
        for key, seen in self.seen.items():
            if seen.signed is True:
                self._sign(key, request, by_event=key == whose, confirmed=True)
        if whose is not None and self.seen[whose].signed is not True:
            self._believe(whose, request)
        if request.status is Status.COMPLETE:
            for key, signer in self.signers.items():
                if signer.role is Role.SIGNER and signer.state is not SignerState.LEFT:
                    self._sign(key, request, by_event=False, confirmed=False)
        unmatched = request.unmatched
        if self._is(EventType.SIGNED) and whose is None and self.event and self.event.signer:
            self.alerts.append("unmatched: a webhook names a signer that the API's answer does not hold")
            unmatched = (*unmatched, digest(self.event.signer)[:16])
        known = all(s.signed is not None for s in self.answer.signers if s.role is Role.SIGNER)
        return replace(request, unmatched=() if known else tuple(dict.fromkeys(unmatched)))

    def _signer_of_event(self) -> str | None:
        if self.event is None or self.event.type is not EventType.SIGNED:
            return None
        named = [k for k in self.seen if self.event.signer in self.signers[k].aliases]
        return named[0] if named else self._only_one_left()

    def _only_one_left(self) -> str | None:
        """Whom an unknown signer id means. Beside others, one whom the API denies is not he: they may have signed."""
        counted = [k for k in self.seen if self.signers[k].role is Role.SIGNER]
        left = [k for k in counted if not self._signed(k)]
        if len(left) != 1:
            return None
        if len(counted) > 1 and self.seen[left[0]].signed is False:
            _wait_for(self.event, SIGNED_LAG, self.now, self.policy, "a webhook says signed, the API does not yet")
            return None
        return left[0]

    def _signed(self, key: str) -> bool:
        return self.signers[key].state is SignerState.SIGNED

    def _sign(self, key: str, request: Request, *, by_event: bool, confirmed: bool) -> None:
        signer = self.signers[key]
        if signer.role is not Role.SIGNER:
            return
        signed_at = signer.signed_at
        watched = not (self._signed(key) or request.adopted or self.first_sight)
        if signed_at is None and (by_event or watched):
            signed_at = self.now
        self.signers[key] = replace(
            signer,
            state=SignerState.SIGNED,
            signed_at=signed_at,
            confirmed=signer.confirmed or confirmed,
            reminders={},
        )

    def _believe(self, key: str, request: Request) -> None:
        if self.seen[key].signed is False and not self._signed(key):
            _wait_for(self.event, SIGNED_LAG, self.now, self.policy, "a webhook says signed, the API does not yet")
            self.alerts.append("believed: a webhook says signed, the API denies it")
        self._sign(key, request, by_event=True, confirmed=False)

    # -- rounds

    def _rounds(self, request: Request) -> Request:
        """A new round needs a signature that the API itself had confirmed, denied twice some minutes apart."""
        undone = [k for k, seen in self.seen.items() if seen.signed is False and self._doubtful(self.signers[k])]
        if not undone or self._said() is Status.COMPLETE:
            return replace(request, doubt_at=None)
        if request.doubt_at is None:
            return replace(request, doubt_at=self.now)
        settled = self.now - request.doubt_at >= self.policy.span(SECOND_READING, floor=1)
        if not (settled or is_sent(self.event)):
            return request
        self._reopen(undone)
        status = self._said() or Status.OPEN
        return replace(request, round=request.round + 1, doubt_at=None, completed_at=None, status=status)

    def _doubtful(self, signer: Signer) -> bool:
        old_enough = signer.signed_at is None or self.now - signer.signed_at >= self.policy.span(ROUND_AGE, floor=2)
        return signer.state is SignerState.SIGNED and signer.confirmed and old_enough

    def _reopen(self, undone: list[str]) -> None:
        for key, signer in self.signers.items():
            if key in undone or signer.state is SignerState.INVITED:
                self.signers[key] = replace(
                    signer,
                    state=SignerState.WAITING,
                    adopted=False,
                    confirmed=False,
                    invited_at=None,
                    signed_at=None,
                    reminders={},
                )

    # -- whose turn it is

    def _turns(self, request: Request) -> Request:
        for key, signer in self.signers.items():
            if request.status is Status.OPEN and self._is_turn(signer, request):
                self.signers[key] = self._invite(key, signer, request)
            elif request.status is not Status.OPEN and request.status is not Status.PAUSED:
                self.signers[key] = replace(signer, reminders={})
            elif signer.state is SignerState.INVITED and not signer.reminders:
                self.signers[key] = self._remind_again(key, signer, request)
        return request

    def _is_turn(self, signer: Signer, request: Request) -> bool:
        fresh = signer.state is SignerState.WAITING
        heard = signer.state is SignerState.INVITED and signer.adopted and is_sent(self.event)
        return (fresh or heard) and is_due(signer, self.signers, ordered=request.ordered)

    def _invite(self, key: str, signer: Signer, request: Request) -> Signer:
        at = min(request.created_at or self.now, self.now) if request.adopted else self.now  # clocks differ
        signer = replace(signer, state=SignerState.INVITED, adopted=request.adopted, invited_at=at)
        return replace(signer, reminders=self._reminders(key, signer, request, hop=0))

    def _remind_again(self, key: str, signer: Signer, request: Request) -> Signer:
        """After an expiry that did not last, the steps still ahead come back under new task names."""
        return replace(signer, reminders=self._reminders(key, signer, request, hop=int(self.now.timestamp())))

    def _reminders(self, key: str, signer: Signer, request: Request, *, hop: int) -> dict[str, Reminder]:
        return {} if request.reminders_stopped else ahead(key, signer, request, self.now, self.policy, hop)


def steps(signer: Signer, policy: Policy) -> dict[int, datetime]:
    """When each reminder falls due, by its day, while nothing stops it."""
    if signer.invited_at is None:
        return {}
    return {
        day: into_window(signer.invited_at + policy.days(day), signer.mobile, policy) for day in policy.reminder_days
    }


def ahead(key: str, signer: Signer, request: Request, now: datetime, policy: Policy, hop: int) -> dict[str, Reminder]:
    """The reminders still to come."""
    return {
        str(day): reminder(request.id, key, request.round, day, due, hop)
        for day, due in steps(signer, policy).items()
        if due > now
    }


def _known_by(seen: Seen, place: int) -> Seen:
    """One without any id is known again by his number, or else by his place: never as somebody new."""
    return seen if seen.ids else replace(seen, ids=(seen.mobile or f"#{place}",))


def reminder(request: str, signer: str, round_: int, step: int, due_at: datetime, hop: int) -> Reminder:
    return Reminder(due_at=due_at, task=digest(request, signer, round_, step, due_at, hop), hop=hop)


def is_due(signer: Signer, signers: dict[str, Signer], *, ordered: bool) -> bool:
    """Whether he may sign now: he has a URL and, in a signing order, everyone before him has signed."""
    if signer.role is not Role.SIGNER or not signer.request_url or signer.state is SignerState.LEFT:
        return False
    if not ordered or signer.order is None:
        return True
    before = [s for s in signers.values() if s.order is not None and s.order < signer.order and pending(s)]
    return not before


def pending(signer: Signer) -> bool:
    """A signature of his is still needed."""
    return signer.role is Role.SIGNER and signer.state in (SignerState.WAITING, SignerState.INVITED)


def _stamp(request: Request, before: Request | None, event: Event | None, now: datetime, policy: Policy) -> Request:
    """The book-keeping fields: which events are handled, when to look again, when to forget."""
    events = dict(request.events)
    if event is not None:
        events[event_key(event.event)] = now
    news = event is not None or request.changed_at is None
    if not news and _silent(request, now, policy):
        request = replace(request, status=Status.DORMANT)
    elif changed(before, request):  # what a look finds begins the quick looks anew: its echo may be lost in a crash
        news = True
    request = replace(request, changed_at=now if news else request.changed_at)
    ended = request.status in (Status.COMPLETE, Status.EXPIRED, Status.GONE, Status.DORMANT)
    purge_at = request.purge_at or now + policy.days(policy.retention_days) if ended else None
    request = replace(request, purge_at=purge_at)
    return replace(
        request,
        events=_trimmed(events, now, policy),
        checked_at=now,
        search=words_of(request),
        next_at=next_look(request, event, now, policy),
    )


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
    live = request.status in (Status.OPEN, Status.PAUSED, Status.DISPUTED)
    last_step = policy.days(max(policy.reminder_days, default=0) + 30)
    return live and now - (request.changed_at or now) > last_step


def event_key(event: str) -> str:
    """Event ids are any text; as a field name only a hash of one is safe."""
    return digest(event)[:24]


def _trimmed(events: dict[str, datetime], now: datetime, policy: Policy) -> dict[str, datetime]:
    young = {k: at for k, at in events.items() if now - at <= policy.days(EVENTS_DAYS)}
    newest = sorted(young.items(), key=lambda item: item[1])[-EVENTS_KEPT:]
    return dict(newest)


RECHECK: dict[Status, Callable[[float], float | None]] = {
    # seconds until the next look, by the seconds since the last news: ever less often as a request ages
    Status.OPEN: lambda age: min(max(900.0, age / 2), 86_400.0),
    Status.PAUSED: lambda age: min(max(900.0, age / 2), 86_400.0),
    Status.EXPIRED: lambda age: 86_400.0 if age < 7 * 86_400 else None,
    Status.GONE: lambda age: 86_400.0 if age < 7 * 86_400 else None,
    Status.DISPUTED: lambda age: 3_600.0,
    Status.COMPLETE: lambda age: 1_200.0 if age < 1_200 else None,  # one look back for an unknown completion
}
REMIND_GRACE = 120.0  # seconds a Cloud Task has for its reminder before reconcile steps in


def _recheck(status: Status, age: float) -> float | None:
    rule = RECHECK.get(status)
    return rule(age) if rule else None


def next_look(request: Request, event: Event | None, now: datetime, policy: Policy) -> datetime | None:
    """The earliest of the next reading and of a reminder that its task should have fired by then."""
    scale = policy.day / 86_400
    since = now if event is not None else request.changed_at or now
    wait = _recheck(request.status, (now - since).total_seconds() / scale)
    times = [] if wait is None else [now + policy.span(wait, floor=2)]
    absent = request.absent_at and request.status is not Status.GONE
    waiting = (
        request.doubt_at
        or absent
        or any(s.missing_at and s.state is not SignerState.LEFT for s in request.signers.values())
    )
    if waiting:
        times.append(now + policy.span(SECOND_READING, floor=1))
    if request.status in (Status.OPEN, Status.PAUSED):
        times += _reminder_checks(request, now, policy)
    if forget := forget_at(request, policy):
        times.append(forget)
    return max(min(times), now + policy.span(60, floor=1)) if times else None


def _reminder_checks(request: Request, now: datetime, policy: Policy) -> list[datetime]:
    """Only those ahead: what is past has been healed by this look, and must not be looked at every minute."""
    grace = policy.span(REMIND_GRACE, floor=2)
    due = [r.due_at + grace for s in request.signers.values() for r in s.reminders.values() if not r.done]
    return [at for at in due if at > now]


def address_of(signer: Signer, channel: ChannelName) -> str:
    return {ChannelName.SMS: signer.mobile, ChannelName.EMAIL: signer.email}.get(channel, "")


def changed(old: Request | None, new: Request) -> bool:
    """Whether anything a customer's own system would care for is different."""
    return old is None or public(old) != public(new)


def public(request: Request) -> dict[str, Any]:
    """The request without personal data: what may leave for other systems."""
    counted = [s for s in request.signers.values() if s.role is Role.SIGNER and s.state is not SignerState.LEFT]
    return {
        "request": request.id,
        "status": request.status.value,
        "round": request.round,
        "signatures": sum(s.state is SignerState.SIGNED for s in counted),
        "needed": sum(pending(s) for s in counted),
        "signers": {k: s.state.value for k, s in request.signers.items()},
    }
