"""One verdict per signer: were they reached, why or why not, what to do, and whether a reminder can still arrive.

Plain facts and words, without markup or masking: for the console and `make why`. Mails to the sender and status events
are about one message each; the words for its cause are the same there (`causes`).
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

import msgspec
from msgspec.structs import replace

from shared.domain import planner
from shared.domain.causes import ADVICE, NOT_TO_BE_USED, Cause, by_words, cause_of, unreachable, was_not_due
from shared.domain.eligibility import STOPPED, Decision, Defer, Fail, Send, Suppress, evaluate, since
from shared.domain.kinds import described
from shared.domain.model import (
    RUNNING,
    ChannelName,
    Kind,
    Notice,
    NoticeRecord,
    NoticeState,
    Outage,
    Request,
    Role,
    SignerState,
    Status,
    Suppression,
)
from shared.domain.notice_record import ARRIVED_STATES, notice_of, second_try_wait
from shared.domain.policy import Policy, other_channel
from shared.domain.signers import address_of, pending

SPOKEN = {ChannelName.SMS: "by SMS", ChannelName.EMAIL: "by e-mail", ChannelName.NONE: "on no channel"}
ADOPTED = "the request was met without its Sent webhook, so nobody is invited for it"
QUEUED = "in the queue; if it is lost, the next recheck publishes it again"
BLOCKED = "the address is blocked"
MAX_QUEUED = 900.0  # seconds in the queue from which on something is wrong
ENDED = {
    Status.EXPIRED: "the request has expired",
    Status.GONE: "Clickwrap no longer knows the request",
    Status.DORMANT: "nothing was heard of the request for a month",
    Status.COMPLETE: "the request is complete",
}


def why_ended(status: Status) -> str:
    """Why nothing more is collected for a request in this state."""
    return ENDED.get(status, f"the request is {status}")


class Reach(StrEnum):
    """How far a signer was reached; the value begins the sentence."""

    REACHED = "reached"
    SENT = "sent, not confirmed"
    UNCERTAIN = "perhaps reached"
    SCHEDULED = "will be tried"
    WAITING = "waiting"
    NOT_REACHED = "not reached"
    ENDED = "ended"
    DONE = "nothing to do"


SOON = 90  # minutes: so near a recheck need not be asked for
TROUBLED = (Reach.NOT_REACHED, Reach.UNCERTAIN)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """because: completes the sentence. at: when it is tried (again), None unless scheduled.

    reminder: when the next reminder can reach them; None where none can, and `no_reminder` says why ("" for no need).
    blocked: whether that is because their address must not be used.
    """

    reach: Reach
    cause: Cause
    because: str
    advice: str = ""
    at: datetime | None = None
    channel: ChannelName = ChannelName.NONE
    reminder: datetime | None = None
    no_reminder: str = ""
    blocked: bool = False

    def sentence(self, at: str = "") -> str:
        """The first thing that an operator reads. at: `self.at` as the reader writes times; UTC without it."""
        when = f" at {at or f'{self.at:%Y-%m-%d %H:%M} UTC'}" if self.at else ""
        return f"{self.reach.capitalize()}{when}: {self.because}."


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a verdict rests on beside the request. blocked: by address key. outages: by channel and provider.

    dead: ids of the notices among the dead letters.
    """

    records: Mapping[str, NoticeRecord]
    now: datetime
    policy: Policy
    blocked: Mapping[str, Suppression] = {}
    outages: Mapping[str, Outage] = {}
    dead: Collection[str] = ()


def verdicts(request: Request, known: Known) -> dict[str, Verdict]:
    """By signer, in their order. The notices that the state implies are worked out once."""
    implied = planner.notices(request, known.now, known.policy)
    keys = sorted(request.signers, key=lambda k: request.signers[k].number)
    mine: dict[str, dict[str, NoticeRecord]] = {}
    for notice, record in known.records.items():
        mine.setdefault(record.signer, {})[notice] = record
    unbegun: dict[str, list[Notice]] = {}
    for notice, planned in implied.items():
        if notice not in known.records:
            unbegun.setdefault(planned.signer, []).append(planned)
    same = _sharers(request)
    return {
        k: _Signer(request, k, replace(known, records=mine.get(k, {})), unbegun.get(k, []), same.get(k, "")).verdict()
        for k in keys
    }


class _Signer:
    """One signer of a request, and what is known of them."""

    def __init__(self, request: Request, key: str, known: Known, unbegun: list[Notice], same: str) -> None:
        self._request, self._key, self._known, self._same = request, key, known, same
        self._signer = request.signers[key]
        kinds = {Kind.COMPLETION} if request.status is Status.COMPLETE else {Kind.INVITATION, Kind.REMINDER}
        self._records = {k: r for k, r in known.records.items() if r.kind in kinds and r.round == request.round}
        self._unbegun = [n for n in unbegun if n.kind in kinds]

    def verdict(self) -> Verdict:
        found = self._settled() or self._of_messages() or self._without_messages()
        advice = ADVICE.get(found.cause, "").format(noticed=self._noticed())
        found = replace(found, advice=advice, because=found.because + self._same)
        return self._with_reminder(found)

    def _noticed(self) -> str:
        """When a correction in Clickwrap is read: the next recheck is known, and an operator can ask for one."""
        at = None if self._request.status is Status.COMPLETE else self._request.next_at
        minutes = ceil(max((at - self._known.now) / timedelta(minutes=1), 1)) if at else 0
        if 0 < minutes <= SOON:
            return f"within {minutes} minutes" if minutes > 1 else "within a minute"
        within = f"within {ceil(minutes / 60)} hours, or " if minutes else ""
        return f"{within}a minute after 'Read the API now'"

    # -- what needs no message

    def _settled(self) -> Verdict | None:
        request, signer = self._request, self._signer
        if signer.state is SignerState.REMOVED:
            return _verdict(Reach.DONE, Cause.REMOVED, "no longer on the request")
        if request.status is Status.COMPLETE:
            return None
        if signer.state is SignerState.SIGNED:
            return _verdict(Reach.DONE, Cause.SIGNED, "has signed" + self._though())
        if request.status in ENDED:
            return _verdict(Reach.ENDED, Cause.OVER, ENDED[request.status] + self._though())
        if signer.role is Role.RECIPIENT:
            return _verdict(Reach.WAITING, Cause.RECIPIENT, "signs nothing; gets the completion once all have signed")
        return self._not_invited()

    def _though(self) -> str:
        """That nothing of ours had arrived, and why."""
        mine = self._records.values()
        if any(r.state in ARRIVED_STATES for r in mine):
            return ""
        last = max(mine, key=_last, default=None)
        return ", though no message of ours had arrived" + (f": {last.reason}" if last and last.reason else "")

    def _not_invited(self) -> Verdict | None:
        request, signer = self._request, self._signer
        if request.status is Status.DISPUTED:
            why = "a webhook says that all have signed, and the API denies it"
            return _verdict(Reach.WAITING, Cause.DISPUTED, why)
        if signer.state is not SignerState.WAITING:
            return None
        if request.ordered and (before := self._before()):
            who = "one signer before them has" if before == 1 else f"{before} signers before them have"
            return _verdict(Reach.WAITING, Cause.NOT_THEIR_TURN, f"it is not their turn: {who} not signed")
        if not signer.request_url:
            return _verdict(Reach.WAITING, Cause.NO_LINK, "the API shows no signing link for this signer")
        if request.status is Status.PAUSED:
            return _verdict(Reach.WAITING, Cause.HELD, "the request is paused")
        return _verdict(Reach.WAITING, Cause.QUEUED, "the next recheck of the request invites them")

    def _before(self) -> int:
        """How many must sign before this signer."""
        signers, place = self._request.signers.values(), self._signer.order
        return 0 if place is None else sum(pending(s) and s.order is not None and s.order < place for s in signers)

    # -- what became of the messages

    def _of_messages(self) -> Verdict | None:
        """The best of the channels; of one channel a delivery, or else the last message that was due."""
        found = [*map(self._of_unbegun, self._unbegun), *self._by_channel()]
        usable = [v for v in found if v.channel is not ChannelName.NONE]
        return min(usable, key=lambda v: RANK[v.reach], default=None)

    def _by_channel(self) -> Iterator[Verdict]:
        for channel in dict.fromkeys(r.channel for r in self._records.values()):
            mine = self._to_present_address(channel)
            if not mine:
                continue
            yield self._of_record(*max(mine, key=lambda item: (self._weight(*item), _last(item[1]))))

    def _to_present_address(self, channel: ChannelName) -> list[tuple[str, NoticeRecord]]:
        """Who had the address before may be somebody else: what arrived there says nothing of this signer."""
        again = {(n.kind, n.reminder_day) for n in self._unbegun if n.channel is channel and not self._resent(n)}
        present = self._address(channel)
        mine = [item for item in self._records.items() if item[1].channel is channel]
        return [i for i in mine if i[1].address in ("", present) and (i[1].kind, i[1].reminder_day) not in again]

    def _resent(self, notice: Notice) -> bool:
        """Whether an operator asked for it; what is implied a second time otherwise is for another address."""
        return planner.resent_at(self._request, notice) is not None

    def _address(self, channel: ChannelName) -> str:
        """The key of the present address, or of the one that was written to last; "" where none was."""
        sent = {k: r for k, r in self._known.records.items() if r.channel is channel and r.address}
        if len(addresses := {r.address for r in sent.values()}) < 2:  # of most signers
            return "".join(addresses)
        present = [r for k, r in sent.items() if planner.as_planned(self._request, r).notice == k]
        return max(present or sent.values(), key=lambda r: r.history[0].at).address

    def _weight(self, key: str, record: NoticeRecord) -> int:
        """A delivery tells most, what was not due least."""
        return 2 if record.state is NoticeState.DELIVERED else 0 if self._was_not_due(key, record) else 1

    def _was_not_due(self, key: str, record: NoticeRecord) -> bool:
        """Or will turn out so, at its next try."""
        planned = record.state is NoticeState.PLANNED
        return isinstance(self._decision(notice_of(key, record)), Suppress) if planned else was_not_due(record)

    def _decision(self, notice: Notice) -> Decision:
        return evaluate(self._request, notice, self._known.now, self._known.policy)

    def _of_record(self, key: str, record: NoticeRecord) -> Verdict:
        what, who = _the(record), record.provider or "the provider"
        match record.state:
            case NoticeState.DELIVERED:
                return _of(record, Reach.REACHED, Cause.ARRIVED, f"{what} arrived")
            case NoticeState.ACCEPTED:
                return _of(record, Reach.SENT, Cause.TAKEN, f"{who} took {what} and has not said that it arrived")
            case NoticeState.SENDING:
                return _of(record, Reach.WAITING, Cause.QUEUED, f"{what} is being handed to {who}")
            case NoticeState.PLANNED:
                return self._tried_again(notice_of(key, record), record)
            case NoticeState.UNKNOWN:
                return self._answer_lost(record)
        return _of(record, Reach.NOT_REACHED, cause_of(record), record.reason or f"{what} did not arrive")

    def _tried_again(self, notice: Notice, record: NoticeRecord) -> Verdict:
        decision = self._decision(notice)
        if not isinstance(decision, Send):
            return self._not_sent(notice, decision)
        if why := self._blocked(record.channel):
            return _of(record, Reach.NOT_REACHED, by_words(why), f"{NOT_TO_BE_USED}: {why}")
        what, at, now = _the(record), record.lease_until, self._known.now
        if down := self._down(record.channel, what):
            return down
        if at and now - at > self._known.policy.span(MAX_QUEUED, floor=60):
            return _of(record, Reach.WAITING, Cause.OVERDUE, f"{what} is {QUEUED}")
        return _of(record, Reach.SCHEDULED, Cause.RETRY, record.reason or f"{what} is tried again", at)

    def _answer_lost(self, record: NoticeRecord) -> Verdict:
        why = f"{_the(record)} may have left: the answer of {record.provider or 'the provider'} was lost"
        wait = second_try_wait(record, self._known.now, self._known.policy)
        if wait is None:
            return _of(record, Reach.UNCERTAIN, Cause.ANSWER_LOST, why)
        again = f"{why}; without a receipt it is tried once more"
        return _of(record, Reach.SCHEDULED, Cause.RETRY, again, max(self._known.now, self._known.now + wait))

    def _of_unbegun(self, notice: Notice) -> Verdict:
        what = _the(notice)
        if notice.notice in self._known.dead:
            return _of(notice, Reach.NOT_REACHED, Cause.DEAD_LETTER, f"{what} was given up and is a dead letter")
        decision = self._decision(notice)
        if isinstance(decision, Send):
            return self._down(notice.channel, what) or self._queued(notice)
        return self._not_sent(notice, decision)

    def _not_sent(self, notice: Notice, decision: Defer | Suppress | Fail) -> Verdict:
        if isinstance(decision, Defer):
            return self._deferred(notice, decision)
        why = f"{_the(notice)} is not sent: {decision.reason}"
        return _of(notice, Reach.NOT_REACHED, by_words(decision.reason), why)

    def _queued(self, notice: Notice) -> Verdict:
        waited = self._known.now - since(self._request, notice, self._signer, self._known.now)
        late = waited > self._known.policy.span(MAX_QUEUED, floor=60)
        return _of(notice, Reach.WAITING, Cause.OVERDUE if late else Cause.QUEUED, f"{_the(notice)} is {QUEUED}")

    def _deferred(self, notice: Notice, decision: Defer) -> Verdict:
        if decision.reason != "outside the send window":
            return _of(notice, Reach.WAITING, Cause.HELD, f"{_the(notice)} is held back: {decision.reason}")
        opens = self._known.now + timedelta(seconds=decision.after or 0)
        return _of(notice, Reach.SCHEDULED, Cause.SEND_WINDOW, f"{_the(notice)} waits for the send window", opens)

    def _down(self, channel: ChannelName, what: str) -> Verdict | None:
        for name, outage in self._known.outages.items():
            if name.startswith(f"{channel} ") and outage.until > self._known.now:
                why = f"{name.partition(' ')[2]} has failed since {outage.since:%d %b %H:%M} UTC; {what} waits for it"
                told = _verdict(Reach.SCHEDULED, Cause.PROVIDER_DOWN, why)
                return replace(told, at=outage.until, channel=channel)
        return None

    def _without_messages(self) -> Verdict:
        signer = self._signer
        if self._request.status is Status.COMPLETE and (signer.channels or not self._request.completed_at):
            return _verdict(Reach.DONE, Cause.OVER, ENDED[Status.COMPLETE])
        if not signer.channels:
            return _verdict(Reach.NOT_REACHED, *unreachable(signer))
        if signer.adopted:
            return _verdict(Reach.NOT_REACHED, Cause.ADOPTED, ADOPTED)
        return _verdict(Reach.NOT_REACHED, Cause.TOO_LATE, "no message was sent in time")

    # -- whether a reminder can still arrive

    def _with_reminder(self, verdict: Verdict) -> Verdict:
        signer, request = self._signer, self._request
        if signer.state is not SignerState.INVITED or request.status not in RUNNING:
            return verdict
        ahead = [r.due_at for r in signer.reminders.values() if r.due_at > self._known.now]
        reason = STOPPED if request.reminders_stopped else "" if ahead else "the last one has been"
        if reason := reason or self._no_way():
            reason = BLOCKED if reason == f"{BLOCKED}: {verdict.because}" else reason  # the sentence says why
            return replace(verdict, no_reminder=reason, blocked=reason.startswith(BLOCKED))
        return replace(verdict, reminder=min(ahead))

    def _no_way(self) -> str:
        """Why no channel can carry a reminder; "" if one can."""
        policy, signer = self._known.policy, self._signer
        ways = dict.fromkeys([*signer.channels, *filter(None, (other_channel(policy, c) for c in signer.channels))])
        usable = [c for c in ways if address_of(signer, c)]
        if not usable:
            return "there is no address to send it to"
        reasons = [self._blocked(c) for c in usable]
        return "" if "" in reasons else f"{BLOCKED}: {reasons[0]}"

    def _blocked(self, channel: ChannelName) -> str:
        """Why the address that was last written to must not be used; "" if it may, or if nothing was sent yet."""
        found = self._known.blocked.get(self._address(channel))
        return found.reason if found and not found.cleared_at else ""


RANK = {
    Reach.REACHED: 0,
    Reach.SENT: 1,
    Reach.SCHEDULED: 2,
    Reach.WAITING: 3,
    Reach.UNCERTAIN: 4,
    Reach.NOT_REACHED: 5,
}


def _verdict(reach: Reach, cause: Cause, because: str) -> Verdict:
    return Verdict(reach=reach, cause=cause, because=because)


def _of(item: Notice | NoticeRecord, reach: Reach, cause: Cause, because: str, at: datetime | None = None) -> Verdict:
    return Verdict(reach=reach, cause=cause, because=because, at=at, channel=item.channel)


def _the(item: Notice | NoticeRecord) -> str:
    """A notice within a sentence."""
    what = described(item)
    return f"the {what[0].lower()}{what[1:]} {SPOKEN[item.channel]}"


def _last(record: NoticeRecord) -> datetime:
    return record.history[-1].at


def _sharers(request: Request) -> dict[str, str]:
    """Of signers with one address: which others have it."""
    found: dict[str, list[str]] = {}
    present = {k: s for k, s in request.signers.items() if s.state is not SignerState.REMOVED}
    for key, signer in present.items():
        for address in filter(None, (signer.mobile, signer.email)):
            found.setdefault(address, []).append(key)
    told: dict[str, str] = {}
    for keys in found.values():
        for key in keys if len(keys) > 1 else ():
            others = [present[k].number for k in keys if k != key]
            told[key] = f"; signer {', '.join(map(str, others[:3]))} has the same address"
    return told
