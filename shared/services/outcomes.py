"""Tells what became of a notice: other systems by an event, and where it did not arrive, the signer on their other
channel, or else the sender by a mail.

It is told after the record is written: where a crash comes in between, the delivery or the receipt comes again, and
tells what is recorded then. All may be told twice; an event's sequence and a notice's claim make that harmless.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from shared.domain import unreached
from shared.domain.model import Notice, NoticeRecord, NoticeState
from shared.domain.notice_event import notice_event
from shared.domain.notice_record import stand_in
from shared.domain.policy import Policy
from shared.ports import Bus
from shared.services.messages import event_message, notice_message
from shared.services.resource_names import ResourceNames


class Outcomes:
    """Publishes what follows from a notice's record."""

    def __init__(self, bus: Bus, names: ResourceNames, policy: Policy, clock: Callable[[], datetime]) -> None:
        self._bus, self._names, self._policy, self._clock = bus, names, policy, clock

    def tell(self, records: Mapping[str, NoticeRecord]) -> None:
        """All that follows. records: by notice. Raises RetryLater."""
        self.tell_systems(records)
        notices = (self._following(key, record) for key, record in records.items())
        if messages := [notice_message(notice) for notice in notices if notice]:
            self._bus.publish(self._names.notices_topic, messages)

    def _following(self, key: str, record: NoticeRecord) -> Notice | None:
        instead = stand_in(key, record) if record.state is NoticeState.UNDELIVERED else None
        return instead or unreached.begun_by(key, record, self._clock(), self._policy)

    def tell_systems(self, records: Mapping[str, NoticeRecord]) -> None:
        """The events alone. records: by notice. Raises RetryLater."""
        now = self._clock()
        events = (notice_event(key, record, now, self._policy) for key, record in records.items())
        if messages := [event_message(event) for event in events if event]:
            self._bus.publish(self._names.status_topic, messages)
