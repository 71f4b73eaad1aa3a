"""(stored state, fresh answer, event, now) -> state. Who is believed when the webhook and the API differ.

A webhook carries no proof but a static token, so the API is the truth. Where the API does not say, `trust` decides;
where the API denies, it is given time first, since an answer may lag behind the event.
"""

from datetime import datetime

import msgspec
from msgspec.structs import replace

from shared.domain import trust
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.identity import named
from shared.domain.model import (
    AccountAnswers,
    ApiRequest,
    Event,
    EventType,
    Request,
    Role,
    Signer,
    SignerState,
    Status,
    digest,
)
from shared.domain.policy import Policy
from shared.domain.recheck import SECOND_READING, record_reading
from shared.domain.signers import matched, pending, reopened
from shared.domain.signing_order import advance_signing

MAX_SIGNERS = 1_000
MAX_BYTES = 900_000  # of a request when first met, as JSON: Firestore takes 1,048,576, and a life adds a tenth
DISPUTED = "disputed: a webhook says complete, the API denies it"
SIGNED_LAG, COMPLETE_LAG, GONE_LAG = 120.0, 600.0, 600.0  # seconds a denial is taken for a lagging answer
UNKNOWN_SLOWER = 4.0  # the pauses for an id never seen alive: six calls within GONE_LAG
KEPT_UNLESS_TOLD = ("sender", "sender_email", "site", "language", "created_at", "expires_at", "download_url")
ROUND_AGE = 600.0  # seconds: a signature's least age to be doubted


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
    if len(answer.signers) > MAX_SIGNERS:
        raise PermanentFailure(too_many_signers(len(answer.signers)))
    before = stored or Request(id=answer.id, adopted=not is_sent(event), met_at=now)
    ticket = _Merge(before, answer, event, now, policy, usual)
    request = ticket.run()
    if ticket.first_sight and (size := len(msgspec.json.encode(request))) > MAX_BYTES:
        raise PermanentFailure(
            f"the request would take {size:,} bytes in the database; at most {MAX_BYTES:,} may begin"
        )
    return MergeResult(request, tuple(ticket.alerts), answer)


def too_many_signers(count: int) -> str:
    """The reason, for a request of more than MAX_SIGNERS."""
    return f"the request has {count} signers; at most {MAX_SIGNERS} are supported"


def gone(stored: Request | None, event: Event | None, key: str, now: datetime, policy: Policy) -> Request:
    """The state after a 404. Raises RetryLater while the event is so young that the API may not know it yet.

    Without an event it takes two readings: one stray 404 must not silence a living request.
    """
    never_alive = stored is None or not stored.signers
    slower = UNKNOWN_SLOWER if never_alive else 1.0
    _wait_for(event, GONE_LAG, now, policy, "the API does not know the request yet", slower)
    request = stored or Request(id=key, adopted=True, met_at=now)
    request = replace(request, adopted=request.adopted and not is_sent(event))
    since = request.not_found_since or now
    lost = event is not None or now - since >= policy.span(SECOND_READING, floor=1)
    status = Status.GONE if lost else request.status
    return record_reading(replace(request, status=status, not_found_since=since), stored, event, now, policy)


def is_sent(event: Event | None) -> bool:
    """Whether the event is a `request_sent`."""
    return event is not None and event.type is EventType.SENT


def _wait_for(event: Event | None, lag: float, now: datetime, policy: Policy, why: str, slower: float = 1.0) -> None:
    """slower: how many times longer each pause is, for what costs a call that nobody may have asked for."""
    if event is not None:
        age, most = now - event.received_at, policy.span(lag, floor=2)
        if age < most:
            pause = max(1.0, min(age.total_seconds(), 60.0)) if slower == 1 else max(2.0, age.total_seconds() * slower)
            raise RetryLater(why, after=min(pause, max(1.0, (most - age).total_seconds())))


class _Merge:
    """One merge under way: the steps in their order, each reading what the one before it left."""

    def __init__(
        self,
        before: Request,
        answer: ApiRequest,
        event: Event | None,
        now: datetime,
        policy: Policy,
        usual: AccountAnswers,
    ) -> None:
        self.before, self.answer, self.event, self.now, self.policy = before, answer, event, now, policy
        self.usual, self.invites = usual, is_sent(event) and trust.sent_in_time(before, now, policy)
        self.alerts: list[str] = [trust.ALERT_LATE_SENT] if is_sent(event) and not self.invites else []
        self.signers, self.seen = matched(before.signers, answer.signers, now, policy, SECOND_READING)
        self.first_sight = not before.signers
        self.flags = [s.signed for s in answer.signers if s.role is Role.SIGNER]

    def run(self) -> Request:
        request = self._facts()
        request = self._status(request)
        request = self._signatures(request)
        request = self._proof(request)
        request = self._rounds(request)
        signers = self.signers
        if request.complete_heard_at is None:  # nobody is invited to what may be complete
            signers = advance_signing(signers, request, self.now, self.policy)
        return record_reading(replace(request, signers=signers), self.before, self.event, self.now, self.policy)

    # -- the request

    def _facts(self) -> Request:
        a, b = self.answer, self.before
        hint = self.event.title_hint if self.event else ""
        return replace(
            b,
            **{name: getattr(a, name) or getattr(b, name) for name in KEPT_UNLESS_TOLD},
            title=a.title or b.title or hint,
            metadata=b.metadata | a.metadata,
            ordered=b.ordered if a.ordered is None else a.ordered,
            adopted=b.adopted and not self.invites,
            not_found_since=None,
            resent_at=self._resent_at(),
        )

    def _resent_at(self) -> datetime | None:
        """When the newest `request_sent` was received that was not the first: the request may have been revised."""
        known, last = self.before.signers and not self.before.adopted, self.before.resent_at
        if self.event is None or not is_sent(self.event) or not known:
            return last
        return max(self.event.received_at, last or self.event.received_at)

    def _said(self) -> Status | None:
        """What the answer says of the whole request, directly or by all its signatures; None when silent."""
        if self.answer.status is not None:
            return self.answer.status
        if self._all_signed():
            return Status.COMPLETE
        if self._is(EventType.COMPLETE) or self.before.complete_heard_at:
            # a date that has passed is no denial: the completion may have come before
            return Status.OPEN if False in self.flags else None
        return Status.EXPIRED if self.answer.expires_at and self.answer.expires_at <= self.now else None

    def _all_signed(self) -> bool:
        missed = any(pending(s) for k, s in self.signers.items() if k not in self.seen)
        return bool(self.flags) and all(self.flags) and not missed

    def _is(self, kind: EventType) -> bool:
        return self.event is not None and self.event.type is kind

    def _status(self, request: Request) -> Request:
        said, old = self._said(), request.status
        if self._is(EventType.COMPLETE) and said is not Status.COMPLETE:
            status = self._claimed_complete(said)
        elif self._is(EventType.EXPIRED) and said is None and old is not Status.COMPLETE:
            status = self._claimed_expired(old)
        else:
            status = self._settled(said, old)
        if status is Status.COMPLETE and request.completed_at is None:
            request = self._completed(request)
        return replace(request, status=status)

    def _completed(self, request: Request) -> Request:
        """Of a request that is complete when met, one webhook is no news: it may be forged. Another one is."""
        if self.first_sight and self.event and not self.before.events:
            self.alerts.append(trust.ALERT_UNHEARD)
            return replace(request, met_complete_by=self.event.type)
        return replace(request, completed_at=self.now if self._completion_is_news(request) else None)

    def _completion_is_news(self, request: Request) -> bool:
        """A completion that only a recheck of an adopted request has found is told to nobody."""
        if trust.ended_long_ago(self.before, self.now, self.policy):
            return False
        if request.met_complete_by:
            return self.event is not None and self.event.type != request.met_complete_by
        if self._is(EventType.COMPLETE):
            return True
        heard = not request.adopted or self.event is not None or request.status is Status.DISPUTED
        return heard and request.status is not Status.COMPLETE

    def _claimed_complete(self, said: Status | None) -> Status:
        if self.before.status is Status.COMPLETE:
            return Status.COMPLETE
        if said is None and not trust.says_complete(self.usual):
            return self._settled(said, self.before.status)  # `_proof` decides
        _wait_for(self.event, COMPLETE_LAG, self.now, self.policy, f"a webhook says complete, the API says {said}")
        self.alerts.append(trust.ALERT_HELD if said is None else DISPUTED)
        return Status.DISPUTED

    def _claimed_expired(self, old: Status) -> Status:
        if not trust.says_status(self.usual):
            return Status.EXPIRED
        self.alerts.append(trust.ALERT_HELD)
        return self._settled(None, old)

    def _settled(self, said: Status | None, old: Status) -> Status:
        if said is None:
            return Status.OPEN if old in (Status.GONE, Status.DORMANT) else old
        if said is not Status.COMPLETE and old is Status.COMPLETE:
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
                heard = key == whose or self.signers[key].doubted_since is not None
                self._sign(key, request, by_event=heard, confirmed=True)
        if whose is not None and self._flag(whose) is not True:
            self._believe(whose, request)
        if request.status is Status.COMPLETE:
            self._sign_all(request)
        for key in self._refuted():
            self.alerts.append("refuted: a webhook said signed, the API has denied it for a day")
            self.signers[key] = replace(
                self.signers[key], state=SignerState.WAITING, signed_at=None, doubted_since=None
            )
        return self._with_unmatched(request, whose)

    def _sign_all(self, request: Request) -> None:
        for key, signer in self.signers.items():
            if signer.state is not SignerState.REMOVED:
                self._sign(key, request, by_event=False, confirmed=False)

    def _with_unmatched(self, request: Request, whose: str | None) -> Request:
        """Hashes of signer ids that events named and that fit nobody, until the API itself says who has signed.

        They hold back reminders for a day from the first: whoever knows the webhook's token could name anybody.
        """
        unmatched = request.unmatched
        if self.event and self._is(EventType.SIGNED) and whose is None and self.event.signer:
            self.alerts.append("unmatched: a webhook names a signer that the API's answer does not hold")
            unmatched = (*unmatched, digest(self.event.signer)[:16])
        if None not in self.flags:
            return replace(request, unmatched=(), unmatched_since=None)
        since = request.unmatched_since or (self.now if unmatched else None)
        held = unmatched if since and self.now - since < self.policy.days(1) else ()
        return replace(request, unmatched=tuple(dict.fromkeys(held)), unmatched_since=since)

    def _signer_of_event(self) -> str | None:
        if self.event is None or self.event.type is not EventType.SIGNED:
            return None
        found = named(self.signers, self.event.signer)
        if not found:
            return self._only_one_left()
        return self._one_of([k for k in found if self.signers[k].state is not SignerState.REMOVED])

    def _one_of(self, keys: list[str]) -> str | None:
        """Of several at one address, whoever the API shows to have signed: the event may be a copy of another's."""
        unsigned = [k for k in keys if not self._signed(k)]
        shown = [k for k in unsigned if self._flag(k)]
        if len(keys) > 1 and unsigned and not shown:
            self._await_the_api(unsigned)
            return None
        return next(iter(shown or keys), None)

    def _await_the_api(self, unsigned: list[str]) -> None:
        """Where it denies them all, it may lag."""
        if {self._flag(k) for k in unsigned} == {False}:
            _wait_for(self.event, SIGNED_LAG, self.now, self.policy, "a webhook says signed, the API does not yet")

    def _flag(self, key: str) -> bool | None:
        return self.seen[key].signed if key in self.seen else None

    def _only_one_left(self) -> str | None:
        """Whom an unknown signer id means. Beside others, a signer whom the API denies
        cannot be assumed: the others may have signed.
        """
        counted = [k for k in self.seen if self.signers[k].role is Role.SIGNER]
        left = [k for k in counted if not self._signed(k)]
        if len(left) != 1:
            return None
        if self.first_sight and self.seen[left[0]].signed is None:  # one answer alone may lack whoever has signed
            _wait_for(self.event, SIGNED_LAG, self.now, self.policy, "a webhook names a signer the API does not show")
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
            doubted_since=None,
            reminders={},
        )

    def _believe(self, key: str, request: Request) -> None:
        if self._flag(key) is None and trust.says_signed(self.usual) and not self._signed(key):
            _wait_for(self.event, SIGNED_LAG, self.now, self.policy, "a webhook says signed, the API does not say now")
            self.alerts.append(trust.ALERT_HELD)
            return
        if self._flag(key) is False and pending(self.signers[key]):
            if self._precedes(request.resent_at):
                self.alerts.append(
                    "outdated: a webhook says signed, the API denies it, and the request was sent anew since"
                )
                return
            _wait_for(self.event, SIGNED_LAG, self.now, self.policy, "a webhook says signed, the API does not yet")
            self.alerts.append("believed: a webhook says signed, the API denies it")
            self.signers[key] = trust.doubted(self.signers[key], self.now)
            return
        self._sign(key, request, by_event=True, confirmed=False)

    def _proof(self, request: Request) -> Request:
        """A Complete where the API is silent is believed with a Signed of every signer, or after ten minutes."""
        heard_at = request.complete_heard_at or (self.now if self._is(EventType.COMPLETE) else None)
        if heard_at is None or request.status is Status.COMPLETE:
            return trust.heard_complete(request, None)
        waited = trust.has_waited(heard_at, self.now, self.policy)
        if self._said() is not None or False in self.flags:
            return self._denied(request, heard_at, waited=waited)
        proven = trust.every_signed_heard(request, self.signers)
        if trust.says_complete(self.usual) or not (proven or waited):
            return trust.heard_complete(request, heard_at)
        return self._believed_complete(request, proven=proven)

    def _denied(self, request: Request, heard_at: datetime, *, waited: bool) -> Request:
        """The API has spoken meanwhile."""
        if waited and request.complete_heard_at:
            self.alerts.append(DISPUTED)
        return trust.heard_complete(request, None if waited or self._said() else heard_at)

    def _believed_complete(self, request: Request, *, proven: bool) -> Request:
        told = trust.was_followed(request, self.signers)
        if not (proven and told):
            self.alerts.append(trust.ALERT_UNPROVEN if told else trust.ALERT_UNHEARD)
        self._sign_all(replace(request, adopted=True))  # nobody is told of signatures that no webhook named
        done = replace(request, status=Status.COMPLETE, completed_at=self.now if told else None, unmatched=())
        return trust.heard_complete(done, None)

    def _precedes(self, at: datetime | None) -> bool:
        return self.event is not None and at is not None and self.event.received_at < at

    def _refuted(self) -> list[str]:
        """Whose signature only a webhook told, while for a day the API, which does show signatures, has denied it."""
        shows = trust.shows_signatures(self.usual) or self._has_shown()
        denied = [k for k, seen in self.seen.items() if seen.signed is False and shows]
        return [k for k in denied if self._told_a_day_ago(self.signers[k])]

    def _told_a_day_ago(self, signer: Signer) -> bool:
        at = signer.signed_at or signer.doubted_since
        told = signer.state is SignerState.SIGNED and not signer.confirmed
        return told and at is not None and self.now - at >= self.policy.days(1)

    def _has_shown(self) -> bool:
        """Whether the API shows a signature of this request, or has done so."""
        return True in self.flags or self.before.round > 1 or any(s.confirmed for s in self.signers.values())

    # -- rounds

    def _rounds(self, request: Request) -> Request:
        """A new round needs a signature that the API itself had confirmed, denied twice some minutes apart."""
        undone = [k for k, seen in self.seen.items() if seen.signed is False and self._doubtful(self.signers[k])]
        if not undone or self._said() is Status.COMPLETE:
            return replace(request, unconfirmed_since=None)
        if request.unconfirmed_since is None:
            return replace(request, unconfirmed_since=self.now)
        if not self._settles(request.unconfirmed_since, undone):
            return request
        self.signers = reopened(self.signers, self._denied_since(request.unconfirmed_since))
        status, fresh = self._said() or Status.OPEN, {"unconfirmed_since": None, "completed_at": None, "adopted": False}
        return replace(request, round=request.round + 1, status=status, **fresh)

    def _settles(self, first: datetime, undone: list[str]) -> bool:
        """Whether this answer may confirm the first denial: one that lacks a signature's owner waits for another."""
        lacking = any(self._signed(k) for k in self.signers.keys() - self.seen.keys())
        again = self.now - first >= self.policy.span(SECOND_READING, floor=1)
        return not lacking and (again or self._sent_after(undone))

    def _denied_since(self, first: datetime) -> list[str]:
        """Whose confirmed signature no longer stands: also a young one, if it was known when the first was denied."""
        denied = [(k, self.signers[k]) for k, seen in self.seen.items() if seen.signed is False]
        return [k for k, s in denied if self._doubtful(s) or (s.confirmed and s.signed_at and s.signed_at <= first)]

    def _sent_after(self, undone: list[str]) -> bool:
        """Whether it is a `request_sent` received after these signatures: an earlier one tells of no revision."""
        return is_sent(self.event) and not any(self._precedes(self.signers[k].signed_at) for k in undone)

    def _doubtful(self, signer: Signer) -> bool:
        old_enough = signer.signed_at is None or self.now - signer.signed_at >= self.policy.span(ROUND_AGE, floor=2)
        return signer.state is SignerState.SIGNED and signer.confirmed and old_enough
