"""One notice, when it arrives: load, evaluate, compose, claim, send, record."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from shared.domain import eligibility, planner
from shared.domain.causes import NOT_TO_BE_USED
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.inbound import needs_opt_out
from shared.domain.kinds import KINDS
from shared.domain.lost_answers import fingerprint
from shared.domain.merge import merge
from shared.domain.model import ChannelName, Kind, Notice, NoticeRecord, NoticeState, Request, Status
from shared.domain.notice_record import ARRIVED_STATES
from shared.domain.policy import Policy, address_key
from shared.domain.signers import address_of
from shared.ports import Channel, ClickwrapApi, Ledger, MessageFinder, NotFound, Render, Stored
from shared.services.claims import Claims
from shared.services.fallback import Fallback
from shared.services.links import LinkService, masked
from shared.services.lost_answers import LostAnswers
from shared.services.outcomes import Outcomes
from shared.services.sender_mail import SenderMail
from shared.services.sending import Composed, Sending, no_provider, outgoing

LONG_AGO = datetime.min.replace(tzinfo=UTC)
NOT_FOUND_WAIT = 300.0  # seconds until a request that the API does not find is asked for again


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
        outcomes: Outcomes,
        policy: Policy,
        clock: Callable[[], datetime],
        status: Callable[[], int] = lambda: 0,
    ) -> None:
        """status: the HTTP status of the last answer in this thread, 0 for none; asking forgets it."""
        self._ledger, self._api, self._channels = ledger, api, channels
        self._links, self._render, self._fallback, self._outcomes = links, render, fallback, outcomes
        self._policy, self._clock = policy, clock
        finders = {c.name: c for c in channels.values() if isinstance(c, MessageFinder)}
        self._claims = Claims(ledger, policy, clock, {name: finder.lag for name, finder in finders.items()})
        self._lost_answers = LostAnswers(ledger, finders, policy, clock)
        self._sending = Sending(ledger, self._claims, channels, fallback, policy, clock, status)
        shared = (channels, fallback, render, policy, clock)
        self._sender_mail = SenderMail(ledger, self._claims, self._sending, *shared)

    def notice(self, notice: Notice) -> None:
        """Raises RetryLater when it is to come again, PermanentFailure when its request is not in the ledger."""
        read_at = self._clock()
        request = self._load(notice)
        if notice.kind is Kind.UNREACHED:
            notice = self._sender_mail.as_due(request, notice)
        if record := self._accepted(request, notice, read_at) or self._lost_answers.settle(request, notice):
            self._outcomes.tell({notice.notice: record})

    def _accepted(self, request: Request, notice: Notice, read_at: datetime) -> NoticeRecord | None:
        """The record, where the provider took it now."""
        if KINDS[notice.kind].to_sender:
            return self._sender_mail.send(request, notice, read_at)
        decision, channel = self._evaluate(request, notice), self._channels.get(notice.channel)
        if isinstance(decision, eligibility.Defer):
            self._defer(notice, decision)
        elif isinstance(decision, eligibility.Fail):
            self._claims.close(notice, NoticeState.FAILED, decision.reason)
        elif isinstance(decision, eligibility.Suppress):
            if decision.for_good or self._claims.has_begun(notice):
                self._claims.close(notice, NoticeState.SUPPRESSED, decision.reason)
        elif channel is None:
            self._claims.close(notice, NoticeState.FAILED, no_provider(notice.channel))
        elif composed := self._compose(request, notice, channel):
            return self._sending.send(notice, composed, read_at)
        return None

    # -- load

    def _load(self, notice: Notice) -> Request:
        """The stored state, or where it may be too old for this kind, the state as the API shows it now."""
        stored = self._ledger.get(Request, notice.request)
        if stored is None:
            raise PermanentFailure("the ledger holds no such request")
        self._sending.check(notice.channel)
        oldest = self._oldest(notice.kind)
        if self._is_known(stored.item, oldest) or self._claims.is_over(notice):
            return stored.item
        return self._as_of_now(stored, oldest)

    def _oldest(self, kind: Kind) -> datetime:
        """When the API must have been asked last for a notice of this kind."""
        age = KINDS[kind].answer_age
        return self._clock() - self._policy.span(age, floor=5) if age is not None else LONG_AGO

    def _is_known(self, request: Request, oldest: datetime) -> bool:
        """Whether the stored state will do: young enough, and the last reading told something."""
        told = request.not_found_since is None or oldest == LONG_AGO
        return told and (request.checked_at or oldest) >= oldest

    def _as_of_now(self, stored: Stored[Request], oldest: datetime) -> Request:
        request = stored.item
        try:
            answer = self._api.fetch(request.id, max(oldest, request.checked_at or oldest))
        except NotFound as e:
            if request.forgotten or request.status is Status.GONE:
                return request  # its state says why nothing is sent
            raise RetryLater("the API does not know the request at the moment", after=NOT_FOUND_WAIT) from e
        read = merge(request, answer, None, self._clock(), self._policy).request
        if changed := planner.aside(request, read, self._policy):
            self._ledger.put(request.id, changed, stored.version)  # whoever else has written it knows more
        return read

    # -- evaluate

    def _evaluate(self, request: Request, notice: Notice) -> eligibility.Decision:
        decision = eligibility.evaluate(request, notice, self._clock(), self._policy)
        if notice.instead_of and isinstance(decision, eligibility.Send) and not planner.resent_at(request, notice):
            decision = self._instead(notice.instead_of)
        if notice.kind is not Kind.REMINDER or not isinstance(decision, eligibility.Send):
            return decision
        records = self._ledger.records(request.id, signer=notice.signer).values()
        return eligibility.after_invitation(request, notice, records, self._clock(), self._policy)

    def _instead(self, first: str) -> eligibility.Decision:
        stored = self._ledger.get(NoticeRecord, first)
        return eligibility.instead(stored.item, self._clock()) if stored else eligibility.Send()

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
            self._suppress(notice, instead, f"{NOT_TO_BE_USED}: {reason}", fields)
            return None
        link = self._links.link_for(request, notice)
        opt_out = self._says_how_to_opt_out(request, notice, fields["address"])
        words = self._render(request, notice, link, opt_out=opt_out)
        told = {
            "provider": channel.name,
            "text": masked(words.text, link),
            "fingerprint": fingerprint(words.text),
            "segments": words.segments,
        }
        return Composed(outgoing(notice, address, words), {**fields, **told})

    def _says_how_to_opt_out(self, request: Request, notice: Notice, address: str) -> bool:
        """The first text of this request to this number does, where its carriers require it.

        Most follow their invitation, whose id is known: a read is cheaper than a query.
        """
        if notice.channel is not ChannelName.SMS or not needs_opt_out(request.signers[notice.signer].mobile):
            return False
        if notice.kind is Kind.INVITATION:
            return True
        if self._has_arrived(planner.notice_for(request, notice.signer, Kind.INVITATION, notice.channel)):
            return False
        records = self._ledger.records(notice.request, signer=notice.signer).values()
        return not any(r.address == address and r.state in ARRIVED_STATES for r in records)

    def _has_arrived(self, notice: Notice) -> bool:
        stored = self._ledger.get(NoticeRecord, notice.notice)
        return stored is not None and stored.item.state in ARRIVED_STATES

    def _suppress(self, notice: Notice, instead: Notice | None, reason: str, fields: dict[str, str]) -> None:
        """The fallback comes first: after a crash in between it is only repeated."""
        if self._claims.claimable(notice):
            if instead:
                self._fallback.publish_notice(instead)
            self._claims.close(notice, NoticeState.SUPPRESSED, reason, second_try=True, **fields)
