"""A change of status, when it arrives: posted to the customer's own endpoint until that has taken it."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.status_event import RawEvent
from shared.ports import StatusEndpoint

RETRY_FOR = timedelta(hours=24)  # after the change; then it goes to the dead letters, from where it can be replayed

log = logging.getLogger(__name__)


class Forward:
    """The handler of `forward`."""

    def __init__(self, endpoint: StatusEndpoint, clock: Callable[[], datetime]) -> None:
        self._endpoint, self._clock = endpoint, clock

    def event(self, event: RawEvent) -> None:
        """Raises RetryLater while the endpoint does not take it, PermanentFailure once RETRY_FOR is over."""
        try:
            self._endpoint.post(event.id, msgspec.json.encode(event))
        except RetryLater as e:
            if self._clock() - event.time > RETRY_FOR:
                raise PermanentFailure(f"not taken for {RETRY_FOR.total_seconds() / 3600:.0f} h: {e.reason}") from e
            raise
        log.info("status forwarded", extra={"json": {"event": event.id}})
