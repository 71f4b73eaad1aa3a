"""A provider says what became of a message: it is recorded, and what did not arrive goes by the other channel."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from shared import trace
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.inbound import InboundText, Keyword
from shared.domain.model import ChannelName, NoticeRecord, NoticeState
from shared.domain.notice_record import settled
from shared.domain.policy import Policy, address_key
from shared.domain.receipts import InvalidSignature, Receipt, ReceiptRequest
from shared.ports import Ledger, ReceiptVerifier
from shared.services.claims import log_outcome
from shared.services.fallback import Fallback
from shared.services.outcomes import Outcomes

log = logging.getLogger(__name__)


class Taken(msgspec.Struct, frozen=True):
    """settled: how many notices. answer: what the provider wants to hear about a text, in XML; "" for nothing."""

    settled: int
    answer: str = ""


class Receipts:
    """It never reads a request: a notice's record holds all that is needed, and no contacts."""

    def __init__(
        self,
        ledger: Ledger,
        verifiers: Mapping[str, ReceiptVerifier],
        fallback: Fallback,
        outcomes: Outcomes,
        clock: Callable[[], datetime],
        policy: Policy,
    ) -> None:
        self._ledger, self._verifiers = ledger, verifiers
        self._fallback, self._outcomes = fallback, outcomes
        self._clock, self._policy = clock, policy

    def limit(self, provider: str, headers: Mapping[str, str]) -> int:
        """Bytes that may be read of its body. Raises KeyError for a provider not in use, InvalidSignature unsigned."""
        limits = self._verifiers[provider].limits
        if limits.headers and not any(headers.get(name) for name in limits.headers):
            log.warning("receipt refused", extra={"json": {"provider": provider, "reason": "it is not signed"}})
            raise InvalidSignature("it is not signed")
        return limits.max_body

    def take(self, provider: str, request: ReceiptRequest) -> Taken:
        """Raises KeyError for a provider not in use, InvalidSignature, RetryLater."""
        verifier = self._verifiers[provider]
        try:
            told = verifier.receipts(request, self._clock())
        except InvalidSignature as e:
            log.warning("receipt refused", extra={"json": {"provider": provider, "reason": e.reason}})
            raise
        texts = [one for one in told if isinstance(one, InboundText)]
        for text in texts:
            self._obey(text)
        receipts = [one for one in told if isinstance(one, Receipt)]
        return Taken(self._settle_all(verifier.name, receipts), "".join(text.answer for text in texts))

    def _obey(self, text: InboundText) -> None:
        """Before the provider is answered: a text that was not obeyed comes again."""
        address = address_key(ChannelName.SMS, text.number, self._policy)
        why = f"the signer texted {text.keyword}"
        if text.keyword is Keyword.STOP:
            self._fallback.opt_out(ChannelName.SMS, address, why, text.at)
        elif text.keyword is Keyword.START:
            self._fallback.lift(address, "the signer", why, text.at)
        log.info("a signer's text", extra={"json": {"keyword": text.keyword or "none"}})

    def _settle_all(self, provider: str, receipts: Sequence[Receipt]) -> int:
        """A record that cannot be read costs no other receipt of the request, which the provider then repeats."""
        settled, unreadable = 0, None
        for receipt in receipts:
            try:
                settled += self._settle(provider, receipt)
            except PermanentFailure as e:
                log.error("a receipt's notice cannot be read", extra={"json": {"reason": e.reason}})
                unreadable = e
        if unreadable:
            raise RetryLater(unreadable.reason)
        return settled

    def _settle(self, provider: str, receipt: Receipt) -> bool:
        key = receipt.notice
        if key is None:
            return False
        before, after = self._ledger.update(NoticeRecord, key, lambda old: self._next(key, old, provider, receipt))
        if after is not None:
            log_outcome(key, after)
        if record := after or before:  # also where it says nothing new: it may come again after a crash
            self._outcomes.tell(key, record)
        return after is not None

    def _next(self, key: str, record: NoticeRecord | None, provider: str, receipt: Receipt) -> NoticeRecord | None:
        """The record with this receipt. What follows comes before the write: after a crash it is only repeated."""
        if record is None or record.provider != provider:
            return None  # another sender's on the same account, or purged
        trace.resume(record.trace)
        self._mark_address(record, receipt)
        after = settled(record, receipt, self._clock())
        if after and after.state is NoticeState.UNDELIVERED:
            self._fallback.publish(key, record)
        return after

    def _mark_address(self, record: NoticeRecord, receipt: Receipt) -> None:
        if not record.address:
            return
        if receipt.asks is Keyword.STOP:
            self._fallback.opt_out(record.channel, record.address, receipt.reason, receipt.at)
        elif receipt.asks is Keyword.START:
            self._fallback.lift(record.address, "the signer", receipt.reason, receipt.at)
        elif receipt.suppress:
            self._fallback.suppress(record, receipt.reason, receipt.at)
