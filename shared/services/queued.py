"""What waits in Pub/Sub until `resolve` and `deliver` take it, for a page that must not fail for want of it."""

import logging
from collections.abc import Mapping
from threading import Lock

from shared.domain.errors import RetryLater
from shared.ports import Flow, Flows

EVENTS, NOTICES = ("resolve",), ("deliver-sms", "deliver-email")  # the subscriptions

log = logging.getLogger(__name__)


class Queued:
    """flows: None where nothing is measured. prefix: of the subscriptions' names."""

    def __init__(self, flows: Flows | None = None, prefix: str = "") -> None:
        self._flows, self._prefix, self._told, self._lock = flows, prefix, False, Lock()

    def of(self, names: tuple[str, ...]) -> Flow:
        """Of EVENTS or NOTICES; nothing where it cannot be learnt, of which the log is told once."""
        with self._lock:
            found = self._found()
        flows = [found.get(self._prefix + name, Flow()) for name in names]
        return Flow(sum(flow.waiting for flow in flows), sum(flow.left for flow in flows))

    def _found(self) -> Mapping[str, Flow]:
        try:
            return self._flows.flows([self._prefix + name for name in EVENTS + NOTICES]) if self._flows else {}
        except RetryLater as fault:
            log.log(logging.DEBUG if self._told else logging.WARNING, "what waits in Pub/Sub is not known: %s", fault)
            self._told = True
            return {}
