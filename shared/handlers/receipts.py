"""A provider says what became of a message: the ledger learns what arrived, and what did not goes another way."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from shared.domain.errors import RetryLater
from shared.domain.model import NoticeRecord, NoticeState, Transition
from shared.domain.receipts import InvalidSignature, Receipt, ReceiptRequest, state_after
from shared.ports import Ledger, ReceiptVerifier, Stored
from shared.services.fallback import Fallback

MAX_BODY = 4 * 1024 * 1024  # bytes; the largest batch of a provider's events
MAX_COMMIT_RETRIES = 5

log = logging.getLogger(__name__)


class Receipts:
    """It never reads a request: a notice's record holds all that is needed, and no contacts."""

    def __init__(
        self,
        ledger: Ledger,
        receivers: Mapping[str, ReceiptVerifier],
        fallback: Fallback,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger, self._receivers, self._fallback, self._clock = ledger, receivers, fallback, clock

    def take(self, provider: str, request: ReceiptRequest) -> int:
        """How many notices it settled. Raises KeyError for a provider not in use, InvalidSignature, RetryLater."""
        receiver = self._receivers[provider]
        try:
            told = receiver.receipts(request, self._clock())
        except InvalidSignature as e:
            log.warning("receipt refused", extra={"json": {"provider": provider, "reason": e.reason}})
            raise
        return sum(self._settle(receiver, receipt) for receipt in told)

    def _settle(self, receiver: ReceiptVerifier, receipt: Receipt) -> bool:
        for _ in range(MAX_COMMIT_RETRIES):
            stored = self._ledger.get(NoticeRecord, receipt.notice) if receipt.notice else None
            if stored is None or receipt.notice is None or stored.item.provider != receiver.name:
                return False  # another sender's on the same account, or purged
            if receipt.suppress:
                self._fallback.suppress(stored.item, receipt.reason, receipt.at)
            state = state_after(stored.item, receipt)
            if state is None:
                return False
            if self._written(receipt.notice, stored, receipt, state):
                return True
        raise RetryLater("others keep changing this notice", after=1)

    def _written(self, key: str, stored: Stored[NoticeRecord], receipt: Receipt, state: NoticeState) -> bool:
        if state is NoticeState.UNDELIVERED:
            self._fallback.publish(key, stored.item)
        step = Transition(at=receipt.at, state=state, why=receipt.reason)
        history = (*stored.item.history, step)
        told: dict[str, Any] = {"changed_at": self._clock()}
        told |= {"provider_id": receipt.provider_id or stored.item.provider_id, "reason": receipt.reason}
        written = self._ledger.put(key, replace(stored.item, state=state, history=history, **told), stored.version)
        why = {"notice": key[:12], "state": state, "reason": receipt.reason, "provider": stored.item.provider}
        log.info("notice %s", state.value, extra={"json": why})
        return written is not None
