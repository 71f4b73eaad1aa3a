"""One notice, when it arrives: load, evaluate, compose, claim, send, record."""

import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from shared.domain import eligibility, notice_record, planner
from shared.domain.errors import Accepted, OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.kinds import KINDS
from shared.domain.merge import merge
from shared.domain.model import ChannelName, Kind, Notice, NoticeState, Request, Status
from shared.domain.policy import Policy, address_key
from shared.domain.signers import address_of
from shared.ports import Channel, ClickwrapApi, Ledger, MessageFinder, NotFound, Outgoing, Render
from shared.services.circuit_breaker import CircuitBreaker
from shared.services.claims import Claim, Claims
from shared.services.fallback import Fallback
from shared.services.links import LinkService, masked
from shared.services.lost_answers import LostAnswers

NOT_FOUND_WAIT = 300.0  # seconds until a request that the API does not find is asked for again
FIRST_PAUSE, MAX_PAUSE = 10.0, 3_600.0  # seconds between two attempts of one notice, doubling

log = logging.getLogger(__name__)


class Composed(msgspec.Struct, frozen=True):
    """What is to be sent, and what its record says of it: fields of NoticeRecord."""

    message: Outgoing
    fields: dict[str, object]


class Deliver:
    """The handler of `deliver`."""

    def __init__(
        self,
        ledger: Ledger,
        api: ClickwrapApi,
        channels: Mapping[ChannelName, Channel],
        links: LinkService,
        render: Render,
        fallback: Fallback,
        policy: Policy,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger, self._api, self._channels = ledger, api, channels
        self._links, self._render, self._fallback = links, render, fallback
        self._policy, self._clock = policy, clock
        finders = {c.name: c for c in channels.values() if isinstance(c, MessageFinder)}
        self._claims = Claims(ledger, policy, clock, {name: finder.lag for name, finder in finders.items()})
        self._lost_answers = LostAnswers(ledger, finders, links, policy, clock)
        self._circuits = {c: CircuitBreaker(f"{c} {p.name}", ledger, policy, clock) for c, p in channels.items()}

    def notice(self, notice: Notice) -> None:
        """Raises RetryLater when it is to come again, PermanentFailure when its request is not in the ledger."""
        request = self._load(notice)
        if not self._tried(request, notice):
            self._lost_answers.settle(request, notice)

    def _tried(self, request: Request, notice: Notice) -> bool:
        """Whether the provider was called; if not, there may be an earlier try whose outcome is unknown."""
        decision, channel = self._evaluate(request, notice), self._channels.get(notice.channel)
        if isinstance(decision, eligibility.Defer):
            self._defer(notice, decision)
        elif not isinstance(decision, eligibility.Send):
            failed = isinstance(decision, eligibility.Fail)
            self._claims.close(notice, NoticeState.FAILED if failed else NoticeState.SUPPRESSED, decision.reason)
        elif channel is None:
            self._claims.close(notice, NoticeState.FAILED, f"no provider is set for {notice.channel}")
        elif composed := self._compose(request, notice, channel):
            return self._sent(notice, channel, composed)
        return False

    def _sent(self, notice: Notice, channel: Channel, composed: Composed) -> bool:
        claim = self._claims.claim(notice, **composed.fields)
        if claim:
            self._send(claim, channel, composed.message)
        return claim is not None

    # -- load

    def _load(self, notice: Notice) -> Request:
        """The stored state, or where it may be too old for this kind, the state as the API shows it now."""
        stored = self._ledger.get(Request, notice.request)
        if stored is None:
            raise PermanentFailure("the ledger holds no such request")
        if circuit := self._circuits.get(notice.channel):
            circuit.check()
        return self._as_of_now(stored.item) if self._must_ask(stored.item, notice.kind) else stored.item

    def _must_ask(self, request: Request, kind: Kind) -> bool:
        oldest, now = KINDS[kind].answer_age, self._clock()
        if oldest is None:
            return False
        age = now - (request.checked_at or now)
        return oldest == 0 or age > self._policy.span(oldest, floor=5)

    def _as_of_now(self, request: Request) -> Request:
        """Not stored: `resolve` and `reconcile` alone change a request by what the API says."""
        try:
            answer = self._api.fetch(request.id)
        except NotFound as e:
            if request.forgotten or request.status is Status.GONE:
                return request  # its state says why nothing is sent
            raise RetryLater("the API does not know the request at the moment", after=NOT_FOUND_WAIT) from e
        return merge(request, answer, None, self._clock(), self._policy).request

    # -- evaluate

    def _evaluate(self, request: Request, notice: Notice) -> eligibility.Decision:
        decision = eligibility.evaluate(request, notice, self._clock(), self._policy)
        if notice.kind is not Kind.REMINDER or not isinstance(decision, eligibility.Send):
            return decision
        records = self._ledger.records(request.id, signer=notice.signer).values()
        return eligibility.after_invitation(request, notice, records, self._clock(), self._policy)

    def _defer(self, notice: Notice, decision: eligibility.Defer) -> None:
        if self._claims.is_open(notice):
            raise RetryLater(decision.reason, after=decision.after)

    # -- compose

    def _compose(self, request: Request, notice: Notice, channel: Channel) -> Composed | None:
        """None when the address must not be used: then the notice is closed, and the other channel takes over."""
        address = address_of(request.signers[notice.signer], notice.channel)
        instead = planner.fallback_of(request, notice, self._policy)
        fields = {
            "address": address_key(notice.channel, address, self._policy),
            "fallback": instead.notice if instead else "",
        }
        if reason := self._fallback.suppressed(fields["address"]):
            self._suppress(notice, f"the address is not to be used: {reason}", fields)
            return None
        link = self._links.link_for(request, notice)
        words = self._render(request, notice, link)
        told = {"provider": channel.name, "text": masked(words.text, link), "segments": words.segments}
        written = {name: getattr(words, name) for name in ("text", "subject", "html", "sender", "reply_to")}
        message = Outgoing(notice=notice.notice, to=address, **written)
        return Composed(message, {**fields, **told})

    def _suppress(self, notice: Notice, reason: str, fields: dict[str, str]) -> None:
        """The fallback comes first: after a crash in between it is only repeated."""
        if self._claims.claimable(notice):
            state = NoticeState.SUPPRESSED
            record = notice_record.first_record(notice, state, self._clock(), self._policy, reason, **fields)
            self._fallback.publish(notice.notice, record)
            self._claims.close(notice, state, reason, **fields)

    # -- send and record

    def _send(self, claim: Claim, channel: Channel, message: Outgoing) -> None:
        if not self._claims.holds(claim):  # frozen since the claim: nothing has left, and the state may have changed
            self._back_to_planned(claim, "the claim ran out before the message was sent")
            raise RetryLater("the claim ran out before the message was sent", after=1)
        try:
            accepted = channel.send(message)
        except RetryLater as e:
            self._try_later(claim, e)
        except PermanentFailure as e:
            self._fail(claim, e)
        except OutcomeUnknown as e:
            self._circuits[claim.notice.channel].failed()  # so that what is not claimed yet waits
            self._claims.unknown(claim, e.reason)
        except Exception as e:  # a fault of ours after the claim: it may have left, so nobody may assume it did not
            where = traceback.extract_tb(e.__traceback__)[-1]  # not its text, which may hold the address
            fault = {"fault": type(e).__name__, "at": f"{where.filename}:{where.lineno}"}
            log.error("unexpected failure of a provider's adapter", extra={"json": fault})
            self._claims.unknown(claim, f"unexpected {type(e).__name__} in the {channel.name} adapter")
        else:  # outside the try: a record that cannot be written is no failed send
            self._accepted(claim, accepted)

    def _accepted(self, claim: Claim, accepted: Accepted) -> None:
        self._claims.accepted(claim, accepted.provider_id)
        self._circuits[claim.notice.channel].worked()

    def _try_later(self, claim: Claim, retry: RetryLater) -> None:
        """A provider that is down uses up no attempts: its outage may outlast any number of them."""
        down = not retry.of_message and self._circuits[claim.notice.channel].failed()
        attempts = claim.record.attempts - down
        if attempts >= self._policy.max_attempts:
            return self._fail(claim, PermanentFailure(f"given up after {attempts} attempts: {retry.reason}"))
        after = self._pause(attempts) if retry.after is None else retry.after
        free_at = self._clock() + self._policy.span(after, floor=after) + self._claims.lease()
        self._back_to_planned(claim, retry.reason, attempts=attempts, lease_until=free_at)
        raise RetryLater(retry.reason, after=after)

    def _pause(self, attempts: int) -> float:
        seconds = min(FIRST_PAUSE * 2 ** (attempts - 1), MAX_PAUSE)
        return self._policy.span(seconds, floor=0.5).total_seconds()

    def _back_to_planned(self, claim: Claim, reason: str, **fields: object) -> None:
        planned = NoticeState.PLANNED
        self._claims.record(claim, notice_record.changed_to(claim.record, planned, self._clock(), reason, **fields))

    def _fail(self, claim: Claim, e: PermanentFailure) -> None:
        """What follows comes first. If it cannot be done now, all of it comes again: nothing was sent."""
        try:
            if e.suppress:
                self._fallback.suppress(claim.record, e.reason, self._clock())
            self._fallback.publish(claim.notice.notice, claim.record)
        except RetryLater:
            self._back_to_planned(claim, e.reason)
            raise
        failed = NoticeState.FAILED
        self._claims.record(claim, notice_record.closed(claim.record, failed, self._clock(), e.reason))
