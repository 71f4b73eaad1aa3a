"""The mails to a request's sender: claimed, sent and recorded as other notices are."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from shared.domain import daily, planner, recheck, unreached
from shared.domain.causes import NOT_TO_BE_USED
from shared.domain.daily import Period, Summary
from shared.domain.errors import RetryLater
from shared.domain.lost_answers import fingerprint
from shared.domain.model import ChannelName, Kind, Notice, NoticeRecord, NoticeState, Request
from shared.domain.policy import Policy, address_key
from shared.domain.signers import sender_address
from shared.domain.unreached import Unreached
from shared.ports import Channel, Ledger, Render
from shared.services.claims import Claims
from shared.services.daily_summary import DailySummary
from shared.services.fallback import Fallback
from shared.services.sending import Composed, Sending, no_provider, outgoing

OVER = "it is not so any more, or too late"
NOBODY = "everybody has been reached, or told of, by now"
NOTHING = "nothing has become of the requests of that day, or it is too late"
NO_ADDRESS = "no address of the sender is known: the API shows none, and SENDER_FALLBACK is not set"


class _Told(msgspec.Struct, frozen=True):
    """What a mail is about: people of one request, or all requests of a day; neither for a copy."""

    people: list[Unreached] = []
    summary: Summary | None = None


class SenderMail:
    """Sends through the e-mail channel of one instance, where there is one."""

    def __init__(
        self,
        ledger: Ledger,
        claims: Claims,
        sending: Sending,
        channels: Mapping[ChannelName, Channel],
        fallback: Fallback,
        render: Render,
        policy: Policy,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger, self._claims, self._sending = ledger, claims, sending
        self._provider, self._fallback, self._render = channels.get(ChannelName.EMAIL), fallback, render
        self._policy, self._clock = policy, clock
        self._summaries = DailySummary(ledger, policy, clock)

    def as_due(self, request: Request, notice: Notice) -> Notice:
        """The mail in which what began this one is told."""
        records = self._ledger.records(request.id)
        return unreached.as_due(request, notice, records, self._clock(), self._policy)

    def send(self, request: Request, mail: Notice, read_at: datetime) -> NoticeRecord | None:
        """The record, where the provider took it. Raises RetryLater, also while more is collected for it."""
        day = daily.period(request, mail, self._policy)
        if mail.kind is Kind.COPY_DAILY and (day is None or self._claims.is_over(mail)):
            return None  # it is left to the sender's other requests, or one of them has sent it
        told = self._told(request, mail, day)
        sent = self._sent(request, mail, told, read_at)
        if sent is not None and told.people:
            now = self._clock()
            self._ledger.update(Request, request.id, lambda r: recheck.sender_told(r, now, self._policy) if r else None)
        return sent

    def _sent(self, request: Request, mail: Notice, told: _Told, read_at: datetime) -> NoticeRecord | None:
        to = sender_address(request, self._policy)
        fields = {
            "address": address_key(ChannelName.EMAIL, to, self._policy),
            "told": tuple(one.notice for one in told.people),
            **({"request_id": mail.notice} if mail.kind is Kind.COPY_DAILY else {}),
        }
        if reason := self._not_due(request, mail, told) or self._obstacle(to, str(fields["address"])):
            if not request.forgotten or self._claims.has_begun(mail):
                self._close(mail, reason, fields)
            return None
        return self._sending.send(mail, self._composed(request, mail, told, to, fields), read_at)

    def _told(self, request: Request, mail: Notice, day: Period | None) -> _Told:
        if day:
            return _Told(summary=self._summaries.of(request, day))
        return _Told(self._people(request, mail) if mail.kind is Kind.UNREACHED else [])

    def _people(self, request: Request, mail: Notice) -> list[Unreached]:
        now, records = self._clock(), self._ledger.records(request.id)
        people = unreached.untold(request, records, now, self._policy, but=mail.notice)
        if people and (wait := unreached.wait(people, now, self._policy)) > timedelta(0):
            raise RetryLater("what else does not arrive is told in the same mail", after=wait.total_seconds())
        return people

    def _not_due(self, request: Request, mail: Notice, told: _Told) -> str:
        """Why there is nothing to tell; "" where there is."""
        if mail.kind is Kind.UNREACHED:
            return "" if told.people else NOBODY
        if mail.kind is Kind.COPY_DAILY:
            return "" if told.summary else NOTHING
        due = {copy.notice for copy in planner.copies(request, self._clock(), self._policy)}
        return "" if mail.notice in due else OVER

    def _obstacle(self, to: str, address: str) -> str:
        """Why no mail can be sent; "" for no reason."""
        if not to:
            return NO_ADDRESS
        if not self._provider:
            return no_provider(ChannelName.EMAIL)
        suppressed = self._fallback.suppressed(address)
        return f"{NOT_TO_BE_USED}: {suppressed}" if suppressed else ""

    def _close(self, mail: Notice, reason: str, fields: dict[str, Any]) -> None:
        """A mail about nothing leaves no record: what began it may matter again."""
        if reason not in (NOBODY, NOTHING) or self._claims.has_begun(mail):
            self._claims.close(mail, NoticeState.SUPPRESSED, reason, **fields)

    def _composed(self, request: Request, mail: Notice, told: _Told, to: str, fields: dict[str, Any]) -> Composed:
        """The text of a mail about several requests is not kept: it would outlast what is kept of each."""
        words = self._render(request, mail, "", told.people, told.summary)
        kept = "" if told.summary else words.text
        provider = self._provider.name if self._provider else ""
        own = {"provider": provider, "text": kept, "fingerprint": fingerprint(words.text)}
        return Composed(outgoing(mail, to, words), {**fields, **own})
