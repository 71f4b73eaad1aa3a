"""A provider says what became of a message: it is recorded, and what did not arrive goes by the other channel."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from shared import trace
from shared.domain.errors import PermanentFailure, Reasoned, RetryLater
from shared.domain.inbound import InboundText, Keyword
from shared.domain.model import ChannelName, NoticeRecord
from shared.domain.notice_record import settled
from shared.domain.policy import Policy, address_key
from shared.domain.receipts import InvalidSignature, Receipt, ReceiptRequest
from shared.domain.recheck import soon
from shared.ports import Ledger, ReceiptVerifier
from shared.services.claims import log_outcome
from shared.services.fallback import Fallback
from shared.services.outcomes import Outcomes

log = logging.getLogger(__name__)


class Taken(msgspec.Struct, frozen=True):
    """settled: how many notices. answer: what the provider wants to hear about a text, in XML; "" for nothing."""

    settled: int
    answer: str = ""


class NotInUse(Reasoned):
    """It is of a provider whose receipts are not taken."""


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
        """Bytes that may be read of its body. Raises NotInUse, and InvalidSignature for one that is not signed."""
        limits = self._verifier(provider).limits
        if limits.headers and not any(headers.get(name) for name in limits.headers):
            log.warning("receipt refused", extra={"json": {"provider": provider, "reason": "it is not signed"}})
            raise InvalidSignature("it is not signed")
        return limits.max_body

    def take(self, provider: str, request: ReceiptRequest) -> Taken:
        """Raises NotInUse, InvalidSignature, RetryLater."""
        verifier = self._verifier(provider)
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

    def _verifier(self, provider: str) -> ReceiptVerifier:
        if found := self._verifiers.get(provider):
            return found
        raise NotInUse("no such provider in use: see SMS_PROVIDER, EMAIL_PROVIDER, FORMER_PROVIDERS")

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
        records: dict[str, NoticeRecord] = {}
        count, failure = 0, None
        for receipt in receipts:
            try:
                count += self._settle(provider, receipt, records)
            except PermanentFailure as e:
                log.error("a receipt's notice cannot be read", extra={"json": {"reason": e.reason}})
                failure = RetryLater(e.reason)
            except RetryLater as e:
                failure = e
                break
        self._tell(records)
        if failure:
            raise failure
        return count

    def _settle(self, provider: str, receipt: Receipt, records: dict[str, NoticeRecord]) -> bool:
        """Whether it says anything new. records: to which the notice's is added."""
        key = receipt.notice
        if key is None:
            return False
        before, after = self._ledger.update(NoticeRecord, key, lambda old: self._next(old, provider, receipt))
        if after is not None:
            log_outcome(key, after)
        if record := after or before:  # also where it says nothing new: it may come again after a crash
            records[key] = record
        return after is not None

    def _next(self, record: NoticeRecord | None, provider: str, receipt: Receipt) -> NoticeRecord | None:
        if record is None or record.provider != provider:
            return None  # another sender's on the same account, or purged
        trace.resume(record.trace)
        self._mark_address(record, receipt)
        return settled(record, receipt, self._clock())

    def _tell(self, records: Mapping[str, NoticeRecord]) -> None:
        """What cannot be told now, a recheck tells: few providers repeat a receipt for as long as an outage lasts."""
        try:
            self._outcomes.tell(records)
        except RetryLater:
            for key, record in records.items():
                if record.signer:  # of a mail to the sender nothing is told
                    self._leave_to_recheck(key, record.request_id)
            raise

    def _leave_to_recheck(self, key: str, request: str) -> None:
        self._ledger.update(NoticeRecord, key, lambda r: replace(r, untold=True) if r and not r.untold else None)
        self._ledger.postpone(request, soon(self._clock(), self._policy))

    def _mark_address(self, record: NoticeRecord, receipt: Receipt) -> None:
        if not record.address:
            return
        if receipt.asks is Keyword.STOP:
            self._fallback.opt_out(record.channel, record.address, receipt.reason, receipt.at)
        elif receipt.asks is Keyword.START:
            self._fallback.lift(record.address, "the signer", receipt.reason, receipt.at)
        elif receipt.suppress:
            self._fallback.suppress(record, receipt.reason, receipt.at)
