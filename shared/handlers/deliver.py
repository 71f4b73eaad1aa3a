"""One notice, at its turn: gates, link, text, claim, provider, ledger.

The claim is the last write before the provider's first byte. From there on, whatever is not a clear answer is
`unknown`: nobody may send it again as if nothing had happened.
"""

import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from shared.domain import eligibility, planner
from shared.domain.errors import OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.merge import merge
from shared.domain.model import (
    ChannelName,
    Kind,
    Notice,
    NoticeRecord,
    NoticeState,
    Request,
    Signer,
    Status,
    Transition,
    address_key,
)
from shared.domain.policy import Policy
from shared.domain.signers import address_of
from shared.handlers.links import completion_url
from shared.ports import Channel, ClickwrapApi, Ledger, NotFound, Outgoing, Render, Shortener, Stored, Target, Wording
from shared.services.circuit_breaker import CircuitBreaker
from shared.services.fallback import Fallback
from shared.services.publisher import first_record

LEASE = 90.0  # seconds; longer than the function's time-out (60 s), which is longer than a provider's deadline (20 s)
FRESH = 60.0  # seconds in which an invitation may rely on the last answer of the API
NOT_AGAIN = "not sent a second time"
HISTORY = 60  # steps kept of a notice
SENT_STATES = {NoticeState.ACCEPTED, NoticeState.DELIVERED, NoticeState.UNDELIVERED, NoticeState.UNKNOWN}

log = logging.getLogger(__name__)


class Deliver:
    def __init__(
        self,
        ledger: Ledger,
        api: ClickwrapApi,
        channels: Mapping[ChannelName, Channel],
        shortener: Shortener,
        render: Render,
        fallback: Fallback,
        policy: Policy,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger, self._api, self._channels = ledger, api, channels
        self._shortener, self._render, self._fallback = shortener, render, fallback
        self._policy, self._clock = policy, clock
        self._circuits = {c: CircuitBreaker(f"{c} {p.name}", ledger, policy, clock) for c, p in channels.items()}

    def notice(self, notice: Notice) -> None:
        """Raises RetryLater when it is to come again, PermanentFailure when the ledger knows nothing of its request."""
        stored = self._ledger.get(Request, notice.request)
        if stored is None:
            raise PermanentFailure("the ledger holds no such request")
        if circuit := self._circuits.get(notice.channel):
            circuit.check()
        request = self._current(stored.item, notice)
        verdict = eligibility.evaluate(
            request, notice, self._clock(), self._policy, invited=self._invited(request, notice)
        )
        if isinstance(verdict, eligibility.Send):
            self._deliver(request, notice)
        elif isinstance(verdict, eligibility.Defer):
            self._wait(notice, verdict)
        else:
            state = NoticeState.FAILED if isinstance(verdict, eligibility.Fail) else NoticeState.SUPPRESSED
            self._close(notice, state, verdict.reason)

    # -- the gates' material

    def _current(self, request: Request, notice: Notice) -> Request:
        """The state as the API shows it now, for what must not rest on an old answer. Not stored: only looked at."""
        if notice.kind is Kind.INVITATION:
            age = self._clock() - (request.checked_at or self._clock())
            live = age > self._policy.span(FRESH, floor=5)
        else:
            live = notice.kind is Kind.REMINDER
        if not live:
            return request
        try:
            answer = self._api.fetch(request.id)
        except NotFound as e:
            if request.forgotten or request.status is Status.GONE:
                return request  # the gates know what to say
            raise RetryLater("the API does not know the request at the moment", after=300) from e
        return merge(request, answer, None, self._clock(), self._policy).request

    def _invited(self, request: Request, notice: Notice) -> bool:
        signer = request.signers.get(notice.signer)
        if notice.kind is not Kind.REMINDER or signer is None or signer.adopted:
            return True
        records = self._ledger.records(request.id, signer=notice.signer).values()
        mine = [r for r in records if (r.kind, r.round) == (Kind.INVITATION, request.round)]
        if not mine:  # purged, or never begun: it will not come any more once it would be too late
            return self._clock() - (signer.invited_at or self._clock()) >= planner.useful_for(
                Kind.INVITATION, self._policy
            )
        return any(r.state in SENT_STATES for r in mine) or all(planned_out(r) for r in mine)

    # -- what is not sent

    def _wait(self, notice: Notice, verdict: eligibility.Defer) -> None:
        record = self._ledger.get(NoticeRecord, notice.notice)
        if record is None or record.item.state is NoticeState.PLANNED:
            raise RetryLater(verdict.reason, after=verdict.after)

    def _close(self, notice: Notice, state: NoticeState, reason: str, **fields: Any) -> None:
        now = self._clock()
        fresh = replace(first_record(notice, state, now, self._policy, reason), **fields)
        if self._ledger.put(notice.notice, fresh, None):
            return
        stored = self._ledger.get(NoticeRecord, notice.notice)
        if stored and self._claimable(notice, stored) and stored.item.state is NoticeState.PLANNED:
            self._write(notice, stored, ended(stored.item, state, now, reason, **fields))

    def _pass_over(self, notice: Notice, reason: str, fields: dict[str, Any]) -> None:
        """The address is known not to work: the other channel has its turn at once."""
        stored = self._ledger.get(NoticeRecord, notice.notice)
        if stored and not self._claimable(notice, stored):
            return
        now, reason = self._clock(), f"the address is not to be used: {reason}"
        record = first_record(notice, NoticeState.SUPPRESSED, now, self._policy, reason)
        self._fallback.publish(notice.notice, replace(record, **fields))
        self._close(notice, NoticeState.SUPPRESSED, reason, **fields)

    # -- what is sent

    def _deliver(self, request: Request, notice: Notice) -> None:
        channel = self._channels.get(notice.channel)
        if channel is None:
            return self._close(notice, NoticeState.FAILED, f"no provider is set for {notice.channel}")
        address = address_of(request.signers[notice.signer], notice.channel)
        instead = planner.fallback_of(request, notice, self._policy)
        fields = {"address": address_key(notice.channel, address), "fallback": instead.notice if instead else ""}
        if reason := self._fallback.suppressed(fields["address"]):
            return self._pass_over(notice, reason, fields)
        link = self._link(request, notice)
        wording = self._render(request, notice, link)
        fields |= {"provider": channel.name, "text": masked(wording.text, link)}
        claimed = self._claim(notice, segments=wording.segments, **fields)
        if claimed is not None:
            self._send(notice, claimed, channel, outgoing(notice, address, wording))
        return None

    def _link(self, request: Request, notice: Notice) -> str:
        signer: Signer = request.signers[notice.signer]
        if notice.kind is Kind.PROGRESS:
            return ""
        url = signer.request_url
        if notice.kind is Kind.COMPLETION:
            url = completion_url(request, signer, self._policy.completion_link)
        target = Target(request=request.id, signer=notice.signer, round=request.round, url=url)
        try:
            return self._shortener.shorten(target) if url else ""
        except (RetryLater, PermanentFailure) as e:  # a longer text is better than none
            log.warning("shortener failed, the long link goes", extra={"json": {"reason": e.reason}})
            return url

    def _claim(self, notice: Notice, **fields: Any) -> Stored[NoticeRecord] | None:
        """The right to send; None when it was sent or is lost. Raises RetryLater while another delivery holds it."""
        now = self._clock()
        fields["lease_until"] = now + self._lease()
        fresh = replace(first_record(notice, NoticeState.SENDING, now, self._policy), attempts=1, **fields)
        version = self._ledger.put(notice.notice, fresh, None)
        if version is not None:
            return Stored(fresh, version)
        stored = self._ledger.get(NoticeRecord, notice.notice)
        if stored is None or not self._claimable(notice, stored):
            self._await_second_try(stored)
            return None
        again = moved(stored.item, NoticeState.SENDING, now, attempts=stored.item.attempts + 1, **fields)
        version = self._ledger.put(notice.notice, again, stored.version)
        return None if version is None else Stored(again, version)

    def _await_second_try(self, stored: Stored[NoticeRecord] | None) -> None:
        """Brought before its time, it comes again: of a request that is over, no look may come in time."""
        wait = planner.second_try_in(stored.item, self._policy) if stored else None
        if stored and wait:
            left = wait - (self._clock() - stored.item.history[-1].at)
            raise RetryLater("its second try waits for a receipt", after=left.total_seconds())

    def _claimable(self, notice: Notice, stored: Stored[NoticeRecord]) -> bool:
        record, now = stored.item, self._clock()
        if record.state is NoticeState.SENDING:
            left = ((record.lease_until or now) - now).total_seconds()
            if left > 0:
                raise RetryLater("another delivery is at work on this notice", after=min(left, 60))
            self._unknown(notice, stored, "whoever claimed it never said what became of it")
        return record.state is NoticeState.PLANNED or planner.second_try(record, now, self._policy)

    def _send(self, notice: Notice, claimed: Stored[NoticeRecord], channel: Channel, message: Outgoing) -> None:
        try:
            accepted = channel.send(message)
        except RetryLater as e:
            self._try_later(notice, claimed, e)
        except PermanentFailure as e:
            self._give_up(notice, claimed, e)
        except OutcomeUnknown as e:
            self._unknown(notice, claimed, e.reason)
        except Exception as e:  # a fault of ours after the claim: it may have left, so nobody may assume it did not
            where = traceback.extract_tb(e.__traceback__)[-1]  # not its text, which may hold the address
            fault = {"fault": type(e).__name__, "at": f"{where.filename}:{where.lineno}"}
            log.error("unexpected failure of a provider's adapter", extra={"json": fault})
            self._unknown(notice, claimed, f"unexpected {type(e).__name__} in the {channel.name} adapter")
        else:
            done = moved(claimed.item, NoticeState.ACCEPTED, self._clock(), provider_id=accepted.provider_id)
            self._write(notice, claimed, done)
            self._circuits[notice.channel].worked()

    def _try_later(self, notice: Notice, claimed: Stored[NoticeRecord], retry: RetryLater) -> None:
        """A provider that is down uses up no attempts: its outage may outlast any number of them."""
        down = not retry.of_message and self._circuits[notice.channel].failed()
        now, attempts = self._clock(), claimed.item.attempts - down
        if attempts >= self._policy.max_attempts:
            return self._give_up(
                notice, claimed, PermanentFailure(f"given up after {attempts} attempts: {retry.reason}")
            )
        pause = self._policy.span(min(10.0 * 2 ** (attempts - 1), 3_600.0), floor=0.5).total_seconds()
        after = pause if retry.after is None else retry.after
        healed_from = now + self._policy.span(after, floor=after) + self._lease()
        fields = {"lease_until": healed_from, "attempts": attempts}
        self._write(notice, claimed, moved(claimed.item, NoticeState.PLANNED, now, retry.reason, **fields))
        raise RetryLater(retry.reason, after=after)

    def _give_up(self, notice: Notice, claimed: Stored[NoticeRecord], e: PermanentFailure) -> None:
        """What follows comes first. If it cannot be done now, all of it comes again: nothing was sent."""
        try:
            if e.suppress:
                self._fallback.suppress(claimed.item, e.reason, self._clock())
            self._fallback.publish(notice.notice, claimed.item)
        except RetryLater:
            self._write(notice, claimed, moved(claimed.item, NoticeState.PLANNED, self._clock(), e.reason))
            raise
        self._write(notice, claimed, ended(claimed.item, NoticeState.FAILED, self._clock(), e.reason))

    def _unknown(self, notice: Notice, stored: Stored[NoticeRecord], reason: str) -> None:
        """Raises RetryLater where a second try is worth it, unless a receipt settles it by then."""
        record = moved(stored.item, NoticeState.UNKNOWN, self._clock(), reason)
        self._write(notice, stored, record)
        if wait := planner.second_try_in(record, self._policy):
            raise RetryLater(reason, after=wait.total_seconds())

    def _write(self, notice: Notice, stored: Stored[NoticeRecord], record: NoticeRecord) -> None:
        """A receipt may have been faster, and knows better: then nothing is left to write."""
        self._ledger.put(notice.notice, record, stored.version)
        told = {"state": record.state, "reason": record.reason, "provider": record.provider}
        why = {"notice": notice.notice[:12], **told}
        log.info("notice %s", record.state.value, extra={"json": why})

    def _lease(self) -> timedelta:
        return self._policy.span(LEASE, floor=30)


def planned_out(record: NoticeRecord) -> bool:
    """No invitation will come of it any more, so a reminder need not wait for it."""
    return record.state in (NoticeState.FAILED, NoticeState.SUPPRESSED)


def moved(record: NoticeRecord, state: NoticeState, now: datetime, why: str = "", **fields: Any) -> NoticeRecord:
    step = Transition(at=now, state=state, why=why)
    history = shortened((*record.history, step))
    return replace(record, state=state, reason=why, history=history, changed_at=now, **fields)


def ended(record: NoticeRecord, state: NoticeState, now: datetime, why: str, **fields: Any) -> NoticeRecord:
    """Not sent now. Whether an earlier try arrived whose answer was lost stays unknown: a second `unknown` is final."""
    if any(s.state is NoticeState.UNKNOWN for s in record.history):
        return moved(record, NoticeState.UNKNOWN, now, f"{NOT_AGAIN}: {why}", **fields)
    return moved(record, state, now, why, **fields)


def shortened(history: tuple[Transition, ...]) -> tuple[Transition, ...]:
    """After days of retries: the beginning, the end, and every `unknown`, which a second try depends on."""
    if len(history) <= HISTORY:
        return history
    first, last = history[:10], history[10 - HISTORY :]
    return (*first, *(s for s in history[10 : 10 - HISTORY] if s.state is NoticeState.UNKNOWN), *last)


def outgoing(notice: Notice, address: str, wording: Wording) -> Outgoing:
    return Outgoing(notice=notice.notice, to=address, text=wording.text, subject=wording.subject, html=wording.html)


def masked(text: str, link: str) -> str:
    """The text as sent, without what would let its reader sign."""
    return text.replace(link, "/".join(link.split("/")[:3]) + "/***") if link else text
