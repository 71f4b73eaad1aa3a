"""When a message does not arrive: the address is remembered if it is at fault, and the other channel takes over.

`deliver` does both before it writes the record of the notice: after a crash in between they are repeated, never lost.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.model import ChannelName, Notice, NoticeRecord, Suppression
from shared.domain.notice_record import stand_in
from shared.ports import Bus, Ledger
from shared.services.messages import notice_message


class Fallback:
    """Suppresses addresses and publishes the notice that takes over. suppression_days: how long an address is kept."""

    def __init__(
        self,
        ledger: Ledger,
        bus: Bus,
        topic: str,
        clock: Callable[[], datetime],
        suppression_days: int,
    ) -> None:
        self._ledger, self._bus, self._topic, self._clock = ledger, bus, topic, clock
        self._retention = timedelta(days=suppression_days)

    def suppressed(self, address: str) -> str:
        """Why nothing may go to this address (its key); "" when it may be used. Raises RetryLater."""
        stored = self._ledger.get(Suppression, address)
        return stored.item.reason if stored and not stored.item.cleared_at else ""

    def suppress(self, record: NoticeRecord, reason: str, at: datetime) -> None:
        """Nothing more goes to the record's address until an operator clears it, or it expires. Raises RetryLater.

        at: when it was found at fault; what an operator has cleared since then stays cleared.
        """
        if not record.address:
            return
        purge_at = self._clock() + self._retention
        fresh = Suppression(channel=record.channel, reason=reason, since=at, purge_at=purge_at)
        self._ledger.update(Suppression, record.address, lambda old: fresh if _outdated(old, at) else None)

    def opt_out(self, channel: ChannelName, address: str, reason: str, at: datetime) -> None:
        """Nothing more goes to an address (its key) that wants nothing. It does not expire. Raises RetryLater."""
        fresh = Suppression(channel=channel, reason=reason, since=at, opted_out=True)

        def kept(old: Suppression | None) -> Suppression | None:
            weaker = old is not None and old.cleared_at is None and not old.opted_out
            return fresh if weaker or _outdated(old, at) else None

        self._ledger.update(Suppression, address, kept)

    def lift(self, address: str, by: str, why: str, at: datetime) -> None:
        """The address may be used again, unless it was found at fault after `at`. Raises RetryLater."""

        def cleared(old: Suppression | None) -> Suppression | None:
            if old is None or old.cleared_at or old.since > at:
                return None
            purge_at = self._clock() + self._retention
            return replace(old, cleared_at=at, cleared_by=by, cleared_why=why, purge_at=purge_at)

        self._ledger.update(Suppression, address, cleared)

    def publish(self, key: str, record: NoticeRecord) -> None:
        """The notice on the signer's other channel, where the record names one. `deliver` asks whether it is still due.

        key: id of the notice that did not arrive. Raises RetryLater.
        """
        if instead := stand_in(key, record):
            self.publish_notice(instead)

    def publish_notice(self, instead: Notice) -> None:
        """Publishes a notice that stands in for another. Raises RetryLater."""
        self._bus.publish(self._topic, [notice_message(instead)])


def _outdated(old: Suppression | None, at: datetime) -> bool:
    """Whether a suppression found at `at` is news: none is stored, or it was cleared before."""
    return old is None or (old.cleared_at is not None and old.cleared_at < at)
