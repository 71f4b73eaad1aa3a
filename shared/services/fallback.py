"""When a message does not arrive: the address is remembered if it is at fault, and the other channel takes over.

Both come before the notice's own record is written: after a crash in between they are only repeated, never lost.
"""

from collections.abc import Callable
from datetime import datetime

from shared.domain.errors import RetryLater
from shared.domain.model import Notice, NoticeRecord, Suppression
from shared.domain.policy import beside
from shared.ports import Bus, Ledger
from shared.services.publisher import notice_message


class Fallback:
    def __init__(self, ledger: Ledger, bus: Bus, topic: str, clock: Callable[[], datetime]) -> None:
        self._ledger, self._bus, self._topic, self._clock = ledger, bus, topic, clock

    def suppressed(self, address: str) -> str:
        """Why nothing may go to this address (its key); "" when it may be used. Raises RetryLater."""
        stored = self._ledger.get(Suppression, address)
        return stored.item.reason if stored and not stored.item.cleared_at else ""

    def suppress(self, record: NoticeRecord, reason: str, at: datetime) -> None:
        """Nothing more goes to the record's address until an operator clears it. Raises RetryLater.

        at: when it was found at fault; what he has cleared since then stays cleared.
        """
        if not record.address:
            return
        fresh = Suppression(channel=record.channel, reason=reason, since=at)
        if self._ledger.put(record.address, fresh, None):
            return
        stored = self._ledger.get(Suppression, record.address)
        again = stored is None or (stored.item.cleared_at is not None and stored.item.cleared_at < at)
        if again and not self._ledger.put(record.address, fresh, stored.version if stored else None):
            raise RetryLater("others keep changing this suppression", after=1)

    def publish(self, key: str, record: NoticeRecord) -> None:
        """The notice on the signer's other channel, where the record names one. `deliver` asks whether it is still due.

        key: id of the notice that did not arrive. Raises RetryLater.
        """
        if record.fallback:
            self._bus.publish(self._topic, [notice_message(_instead(key, record))])


def _instead(key: str, record: NoticeRecord) -> Notice:
    return Notice(
        notice=record.fallback,
        request=record.request_id,
        signer=record.signer,
        kind=record.kind,
        step=record.step,
        channel=beside(record.channel),
        round=record.round,
        instead_of=key,
    )
