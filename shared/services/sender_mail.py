"""The mails to a request's sender: claimed, sent and recorded as other notices are."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.domain import planner, recheck, unreached
from shared.domain.causes import NOT_TO_BE_USED
from shared.domain.errors import RetryLater
from shared.domain.lost_answers import fingerprint
from shared.domain.model import ChannelName, Kind, Notice, NoticeRecord, NoticeState, Request
from shared.domain.policy import Policy, address_key
from shared.domain.unreached import Unreached
from shared.ports import Channel, Ledger, Outgoing, Render
from shared.services.claims import Claims
from shared.services.fallback import Fallback
from shared.services.sending import Composed, Sending

OVER = "it is not so any more, or too late"
NOBODY = "everybody has been reached, or told of, by now"
NO_ADDRESS = "no address of the sender is known: the API shows none, and SENDER_FALLBACK is not set"
NO_PROVIDER = "no provider is set for email"
WORDS = ("text", "subject", "html", "sender", "reply_to")


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

    def as_due(self, request: Request, notice: Notice) -> Notice:
        """The mail in which what began this one is told."""
        records = self._ledger.records(request.id)
        return unreached.as_due(request, notice, records, self._clock(), self._policy)

    def send(self, request: Request, mail: Notice, read_at: datetime) -> NoticeRecord | None:
        """The record, where the provider took it. Raises RetryLater, also while more is collected for it."""
        people = self._people(request, mail) if mail.kind is Kind.UNREACHED else []
        to = unreached.sender_address(request, self._policy)
        fields = {
            "address": address_key(ChannelName.EMAIL, to, self._policy),
            "told": tuple(one.notice for one in people),
        }
        if reason := self._not_due(request, mail, people) or self._obstacle(to, str(fields["address"])):
            self._close(mail, reason, fields)
            return None
        sent = self._sending.send(mail, self._composed(request, mail, people, to, fields), read_at)
        if sent is not None and people:
            self._expect_correction(request.id)
        return sent

    def _expect_correction(self, request: str) -> None:
        """Whoever is told of a wrong address may correct it soon: the next recheck comes near."""
        now = self._clock()
        self._ledger.update(Request, request, lambda r: recheck.announced(r, now, self._policy) if r else None)

    def _people(self, request: Request, mail: Notice) -> list[Unreached]:
        now, records = self._clock(), self._ledger.records(request.id)
        people = unreached.untold(request, records, now, self._policy, but=mail.notice)
        if people and (wait := unreached.wait(people, now, self._policy)) > timedelta(0):
            raise RetryLater("what else does not arrive is told in the same mail", after=wait.total_seconds())
        return people

    def _not_due(self, request: Request, mail: Notice, people: list[Unreached]) -> str:
        """Why there is nothing to tell; "" where there is."""
        if mail.kind is Kind.UNREACHED:
            return "" if people else NOBODY
        due = {copy.notice for copy in planner.copies(request, self._clock(), self._policy)}
        return "" if mail.notice in due else OVER

    def _obstacle(self, to: str, address: str) -> str:
        """Why no mail can be sent; "" for no reason."""
        if not to:
            return NO_ADDRESS
        if not self._provider:
            return NO_PROVIDER
        suppressed = self._fallback.suppressed(address)
        return f"{NOT_TO_BE_USED}: {suppressed}" if suppressed else ""

    def _close(self, mail: Notice, reason: str, fields: dict[str, Any]) -> None:
        """A mail about nobody leaves no record: what began it may matter again."""
        if reason != NOBODY or self._claims.has_begun(mail):
            self._claims.close(mail, NoticeState.SUPPRESSED, reason, **fields)

    def _composed(
        self, request: Request, mail: Notice, people: list[Unreached], to: str, fields: dict[str, Any]
    ) -> Composed:
        words = self._render(request, mail, "", people)
        provider = self._provider.name if self._provider else ""
        told = {"provider": provider, "text": words.text, "fingerprint": fingerprint(words.text)}
        message = Outgoing(notice=mail.notice, to=to, **{name: getattr(words, name) for name in WORDS})
        return Composed(message, {**fields, **told})
