"""What happened to a request, what did not and why, and what comes next. Names nobody: moments hold a signer's key."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

import msgspec

from shared.domain import planner
from shared.domain.eligibility import STOPPED, Send, evaluate, since
from shared.domain.kinds import described
from shared.domain.model import (
    Kind,
    Notice,
    NoticeRecord,
    NoticeState,
    Request,
    Signer,
    SignerState,
    Status,
    Transition,
)
from shared.domain.policy import Policy
from shared.domain.recheck import LIVE, forget_at
from shared.domain.signing_order import steps
from shared.domain.verdict import ADOPTED, QUEUED, SPOKEN, why_ended

TOLD = {
    NoticeState.PLANNED: "to be tried again",
    NoticeState.SENDING: "handed to {}",
    NoticeState.ACCEPTED: "taken by {}",
    NoticeState.DELIVERED: "arrived",
    NoticeState.UNDELIVERED: "did not arrive",
    NoticeState.FAILED: "failed",
    NoticeState.UNKNOWN: "may have left: the answer was lost",
    NoticeState.SUPPRESSED: "not sent",
}
MARKS = {
    NoticeState.PLANNED: "waiting",
    NoticeState.SENDING: "waiting",
    NoticeState.ACCEPTED: "sent",
    NoticeState.DELIVERED: "sent",
    NoticeState.UNDELIVERED: "failed",
    NoticeState.FAILED: "failed",
    NoticeState.UNKNOWN: "failed",
    NoticeState.SUPPRESSED: "suppressed",
}


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """signer: their key, "" for all. mark: one of `chart.WORDS`, or "" for none. answer: the provider's, if known.

    notice, record: of a message's last step only. After `now`, `at` is when it is due.
    """

    at: datetime
    what: str
    why: str = ""
    signer: str = ""
    mark: str = ""
    answer: str = ""
    notice: str = ""
    record: NoticeRecord | None = None

    @property
    def because(self) -> str:
        """All that is known of the reason."""
        return "; ".join(filter(None, (self.why, self.answer)))


class SignerSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One signer: what became of the last message on each channel, and what is next. Where they stand: `verdict`."""

    signer: str
    last: tuple[Moment, ...] = ()
    next: Moment | None = None


def timeline(
    request: Request,
    records: dict[str, NoticeRecord],
    now: datetime,
    policy: Policy,
    only: Collection[str] | None = None,
) -> list[Moment]:
    """The oldest first; those after `now` are still to come. only: keys of the signers it is about; None for all."""
    moments = [*_of_request(request), *_rechecked(request, now, policy), *_of_notes(request)]
    chosen = request.signers if only is None else only
    for key, signer in [(k, s) for k, s in request.signers.items() if k in chosen]:
        moments += _of_signer(key, signer)
        moments += _called_off(key, signer, request, records, now, policy)
    for notice, record in records.items():
        moments += _of_record(notice, record)
    implied = planner.notices(request, now, policy)
    missing = [n for k, n in implied.items() if k not in records and n.signer in chosen]
    moments += _unbegun(request, missing, now, policy)
    return sorted(moments, key=lambda m: m.at)


def answers(signers: Iterable[str], moments: list[Moment]) -> list[SignerSummary]:
    """One a signer, in the order given."""
    found, of = [], dict[str, list[Moment]]()
    for moment in moments:
        of.setdefault(moment.signer, []).append(moment)
    for key in signers:
        mine = of.get(key, [])
        last = {m.record.channel: m for m in mine if m.record is not None}
        ahead = [m for m in mine if m.mark == "due"]
        found.append(SignerSummary(signer=key, last=tuple(last.values()), next=ahead[0] if ahead else None))
    return found


# -- what happened


def _of_request(request: Request) -> Iterator[Moment]:
    if request.created_at:
        yield Moment(at=request.created_at, what="Created at Clickwrap")
    yield from _webhooks(request)
    if request.completed_at:
        yield Moment(at=request.completed_at, what="Complete", why="everyone has signed")
    if request.unconfirmed_since:
        yield Moment(
            at=request.unconfirmed_since, what="The API calls a signature undone", why="a second reading will decide"
        )
    if request.not_found_since:
        yield Moment(at=request.not_found_since, what="The API answers 404", why="it knows no such request")


def _rechecked(request: Request, now: datetime, policy: Policy) -> Iterator[Moment]:
    """The next recheck; the last one deletes, and asks the API nothing."""
    ahead, deleted = request.next_at if request.next_at and request.next_at > now else None, forget_at(request, policy)
    if ahead and request.forgotten:
        yield Moment(at=ahead, what="What was written meanwhile is deleted too", why="a message was perhaps on its way")
    elif ahead and (deleted is None or ahead < deleted):
        yield Moment(at=ahead, what="The API is asked again", why="makes up for what was lost")
    if deleted:
        yield Moment(at=deleted, what="Personal data is deleted", why="the request has ended")


def _webhooks(request: Request) -> Iterator[Moment]:
    handled = Counter((at, request.event_types.get(key)) for key, at in request.events.items())
    for (at, kind), times in handled.items():
        what = f"webhook {kind}" if kind else "webhook"
        yield Moment(at=at, what=f"{what.capitalize()} handled" if times == 1 else f"{times} × {what} handled")


def _of_notes(request: Request) -> Iterator[Moment]:
    for note in request.notes:
        yield Moment(at=note.at, what=f"Operator: {note.what}", why=f"{note.who}: {note.why}")


def _of_signer(key: str, signer: Signer) -> Iterator[Moment]:
    if signer.invited_at and signer.adopted:
        yield Moment(at=signer.invited_at, what="Counts as invited", why=ADOPTED, signer=key)
    elif signer.invited_at:
        yield Moment(at=signer.invited_at, what="Invitation planned", signer=key, mark="invited")
    if signer.signed_at:
        why = "the API says so" if signer.confirmed else "a webhook says so, the API does not yet"
        yield Moment(at=signer.signed_at, what="Signed", why=why, signer=key, mark="signed")
    if signer.missing_since:
        why = "a second reading will decide whether this signer has left"
        yield Moment(at=signer.missing_since, what="Missing in the API's answer", why=why, signer=key)


def _of_record(notice: str, record: NoticeRecord) -> Iterator[Moment]:
    name = spoken(record)
    name += ", as the other channel failed" if record.instead_of else ""
    for n, step in enumerate(record.history, 1):
        last = n == len(record.history)
        yield Moment(
            at=step.at,
            what=f"{name}: {TOLD[step.state].format(record.provider or 'the provider')}",
            why=step.why,
            answer=_answer(step),
            signer=record.signer,
            mark=MARKS[record.state] if last else "",
            notice=notice if last else "",
            record=record if last else None,
        )


def _answer(step: Transition) -> str:
    return f"HTTP {step.status} after {step.milliseconds} ms" if step.status else ""


def spoken(item: Notice | NoticeRecord) -> str:
    """A notice in words: its kind and its channel."""
    return f"{described(item)} {SPOKEN[item.channel]}"


# -- what did not happen, and what is to come


def _unbegun(request: Request, missing: list[Notice], now: datetime, policy: Policy) -> Iterator[Moment]:
    """Implied by the state, and nobody has taken it up."""
    for notice in missing:
        name, signer = spoken(notice), request.signers[notice.signer]
        decision = evaluate(request, notice, now, policy)
        why = QUEUED if isinstance(decision, Send) else decision.reason
        at = since(request, notice, signer, now)
        yield Moment(at=at, what=f"{name}: not begun yet", why=why, signer=notice.signer, mark="waiting")


def _called_off(
    key: str, signer: Signer, request: Request, records: dict[str, NoticeRecord], now: datetime, policy: Policy
) -> Iterator[Moment]:
    begun = {
        r.reminder_day for r in records.values() if (r.signer, r.kind, r.round) == (key, Kind.REMINDER, request.round)
    }
    for day, planned in steps(request.id, signer, policy).items():
        reminder = signer.reminders.get(str(day))
        if reminder and request.status in LIVE:
            if reminder.due_at > now:
                why = "" if request.status is Status.OPEN else f"it waits while the request is {request.status}"
                yield Moment(at=reminder.due_at, what=f"Reminder of day {day} due", why=why, signer=key, mark="due")
        elif day not in begun:
            why = _why_off(signer, request, planned, now)
            yield Moment(at=planned, what=f"Reminder of day {day} called off", why=why, signer=key, mark="cancelled")


def _why_off(signer: Signer, request: Request, planned: datetime, now: datetime) -> str:
    if signer.state is SignerState.REMOVED:
        return "no longer on the request"
    if signer.state is SignerState.SIGNED:
        return "signed by then"
    if request.status not in LIVE:
        return why_ended(request.status)
    if request.reminders_stopped:
        return STOPPED
    return "it was past when it could have been planned" if planned <= now else "no longer planned"
