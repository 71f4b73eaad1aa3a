"""What an operator does to a request: checked first, committed with who and why, and only then published."""

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice

import msgspec
from msgspec.structs import replace

from shared.domain import eligibility, planner
from shared.domain.errors import Reasoned
from shared.domain.model import (
    RUNNING,
    ChannelName,
    Note,
    NoticeRecord,
    Request,
    Signer,
    SignerState,
    Suppression,
)
from shared.domain.notice_record import IN_PROGRESS
from shared.domain.policy import Policy, address_key
from shared.domain.signers import address_of
from shared.domain.signing_order import ahead
from shared.domain.verdict import ENDED, why_ended
from shared.ports import Ledger
from shared.services.publisher import Publisher

REPUBLISHED_WITHIN = 60.0  # seconds, if a crash comes between the commit and the publishing
TOGETHER = 100  # requests that are read in one go
DELETED = "its personal data was deleted"

log = logging.getLogger(__name__)


class ActionRefused(Reasoned):
    """Not done; one line says why."""


class Why(msgspec.Struct, frozen=True):
    """Who does it and for what reason, both recorded. Raises ValueError without a reason."""

    who: str
    why: str

    def __post_init__(self) -> None:
        if not self.why.strip():
            raise ValueError("a reason is needed")


class Sorted(msgspec.Struct):
    """Messages that are sent once more, by key, and why others are not, with how often."""

    sent: dict[str, NoticeRecord] = {}
    refused: dict[str, int] = {}

    def add(self, key: str, record: NoticeRecord, reason: str) -> None:
        """One more message. reason: why it is not sent; "" if it is."""
        if reason:
            self.refused[reason] = self.refused.get(reason, 0) + 1
        else:
            self.sent[key] = record


class OperatorActions:
    """Every method raises ActionRefused, and RetryLater when the database or Pub/Sub cannot be reached."""

    def __init__(self, ledger: Ledger, publisher: Publisher, policy: Policy, clock: Callable[[], datetime]) -> None:
        self._ledger, self._publisher, self._policy, self._clock = ledger, publisher, policy, clock

    def resend(self, request: str, notice: str, why: Why) -> None:
        """Sends a notice once more, under a new id. Asked twice for the same one, it refuses the second time."""

        def change(state: Request) -> Request:
            record = self._record(notice, state)
            if reason := self.refusal(state, notice, record):
                raise ActionRefused(reason)
            return planner.resent(state, planner.as_planned(state, record), self._clock())

        self._change(request, f"sent once more: notice {notice[:12]}", why, change)

    def refusal(self, request: Request, key: str, record: NoticeRecord) -> str:
        """Why this notice cannot be sent once more; "" if it can."""
        if reason := self.blocker(request, key, record):
            return reason
        reason = self._blocked(request.signers[record.signer], record)
        return f"nothing may go to this address: {reason}" if reason else ""

    def blocker(self, request: Request, key: str, record: NoticeRecord) -> str:
        """As `refusal`, as far as it can be told without asking the ledger for the address."""
        if not record.signer:
            return "the sender's mails are not sent once more"
        if record.signer not in request.signers:
            return "the signer is no longer on the request"
        if record.channel is ChannelName.NONE:
            return "there was no address to send it to"
        if record.state in IN_PROGRESS:
            return "it is still being tried"
        again = planner.resent_at(request, record) if record.round == request.round else None
        if again and record.history[0].at < again:
            return "it was sent once more already"
        decision = self.decision(request, record)
        return decision.reason if isinstance(decision, eligibility.Suppress | eligibility.Fail) else ""

    def decision(self, request: Request, record: NoticeRecord) -> eligibility.Decision:
        """Whether it could be sent now."""
        now = self._clock()
        if record.round != request.round:
            return eligibility.Suppress("a new signing round has begun")
        state = planner.resent(request, planner.as_planned(request, record), now)
        return eligibility.evaluate(state, state.resends[-1].notice, now, self._policy)

    def sort_out(self, records: Iterator[tuple[str, NoticeRecord]], most: int) -> Sorted:
        """Which of several messages can be sent once more, and why the others cannot. Changes nothing.

        It ends at `most` that can be.
        """
        found = Sorted()
        for key, record, request in self._with_requests(records):
            if len(found.sent) == most:
                break
            found.add(key, record, self.refusal(request, key, record) if request else "there is no such request")
        return found

    def _with_requests(
        self, records: Iterator[tuple[str, NoticeRecord]]
    ) -> Iterator[tuple[str, NoticeRecord, Request | None]]:
        """Each with its request; the requests are read TOGETHER at a time."""
        while some := list(islice(records, TOGETHER)):
            found = self._ledger.several(Request, (record.request_id for _, record in some))
            yield from ((key, record, found.get(record.request_id)) for key, record in some)

    def resend_all(self, chosen: Iterable[tuple[str, NoticeRecord]], why: Why) -> Sorted:
        """Sends each once more, recorded with its request. What cannot be sent by now is left out, with its reason."""
        done = Sorted()
        for key, record in chosen:
            try:
                self.resend(record.request_id, key, why)
                done.add(key, record, "")
            except ActionRefused as e:
                done.add(key, record, e.reason)
        return done

    def read_again(self, request: str, why: Why) -> None:
        """The API is asked for the request within a minute, by `reconcile`: the console has no token of the API."""
        self._change(request, "the API is read again", why, lambda state: state, wait=timedelta(0))

    def stop(self, request: str, why: Why) -> None:
        """No reminder of this request is sent any more."""

        def change(state: Request) -> Request:
            if reason := cannot_stop(state):
                raise ActionRefused(reason)
            signers = {k: replace(s, reminders={}) for k, s in state.signers.items()}
            return replace(state, reminders_stopped=True, signers=signers)

        self._change(request, "reminders stopped", why, change)

    def resume(self, request: str, why: Why) -> None:
        """The reminders still ahead are sent again; those missed meanwhile are not made up for."""

        def change(state: Request) -> Request:
            if reason := cannot_resume(state):
                raise ActionRefused(reason)
            state = replace(state, reminders_stopped=False)
            return replace(state, signers={k: self._reminded(k, s, state) for k, s in state.signers.items()})

        self._change(request, "reminders resumed", why, change)

    def clear(self, address: str, why: Why, request: str = "") -> None:
        """An address (its key) may be used again. What was held back before is not sent by itself.

        request: on whose page it was cleared, where it is noted; "" for none.
        """
        stored = self._ledger.get(Suppression, address)
        if stored is None or stored.item.cleared_at:
            raise ActionRefused("this address is not blocked")
        cleared = replace(stored.item, cleared_at=self._clock(), cleared_by=why.who, cleared_why=why.why)
        if not self._ledger.put(address, cleared, stored.version):
            raise ActionRefused("it has just changed: reload the page")
        log.info("operator: address cleared", extra={"json": {"address": address[:12], "who": why.who, "why": why.why}})
        if request:
            self._note(request, f"a blocked address cleared ({address[:12]})", why)

    def address_key(self, channel: ChannelName, address: str) -> str:
        """The key of an address's Suppression, should there be one."""
        return address_key(channel, address, self._policy)

    # -- how

    def _change(
        self, key: str, what: str, why: Why, change: Callable[[Request], Request], wait: timedelta | None = None
    ) -> None:
        """wait: until the request is read again; None: soon enough for what a crash may leave unpublished."""
        soon = self._policy.span(REPUBLISHED_WITHIN, floor=1) if wait is None else wait

        def noted(state: Request | None) -> Request:
            if state is None or state.forgotten:
                raise ActionRefused("there is no such request, or its data has been deleted")
            at = self._clock() + soon
            changed = self._noted(change(state), what, why)
            return replace(changed, next_at=min(changed.next_at or at, at))

        before, after = self._ledger.update(Request, key, noted)
        log.info("operator: %s", what, extra={"json": {"request": key, "who": why.who}})
        if after:
            self._publisher.publish_changes(before, after)

    def _note(self, key: str, what: str, why: Why) -> None:
        """Of what changes nothing else of the request; of one whose data was deleted, nothing is written."""
        self._ledger.update(
            Request, key, lambda old: None if old is None or old.forgotten else self._noted(old, what, why)
        )

    def _noted(self, request: Request, what: str, why: Why) -> Request:
        note = Note(at=self._clock(), who=why.who, what=what, why=why.why.strip())
        return replace(request, notes=(*request.notes, note))

    def _record(self, key: str, request: Request) -> NoticeRecord:
        stored = self._ledger.get(NoticeRecord, key)
        if stored is None or stored.item.request_id != request.id:
            raise ActionRefused("there is no such message")
        return stored.item

    def _blocked(self, signer: Signer, record: NoticeRecord) -> str:
        stored = self._ledger.get(Suppression, self.address_key(record.channel, address_of(signer, record.channel)))
        return stored.item.reason if stored and not stored.item.cleared_at else ""

    def _reminded(self, key: str, signer: Signer, request: Request) -> Signer:
        """Under new task names: one that was called off cannot be used again."""
        if signer.state is not SignerState.INVITED:
            return signer
        now = self._clock()
        return replace(signer, reminders=ahead(key, signer, request, now, self._policy, hop=int(now.timestamp())))


def cannot_stop(request: Request) -> str:
    """Why its reminders cannot be stopped; "" if they can."""
    if request.forgotten:
        return DELETED
    if request.reminders_stopped:
        return "the reminders are stopped already"
    return "" if request.status in RUNNING else why_ended(request.status)


def cannot_resume(request: Request) -> str:
    """Why its reminders cannot be resumed; "" if they can."""
    if request.forgotten:
        return DELETED
    return ENDED.get(request.status, "") if request.reminders_stopped else "the reminders are not stopped"
