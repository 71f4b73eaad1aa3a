"""Whatever is due by `next_at` is looked at again: makes up for lost webhooks, tasks, messages and crashes."""

import logging
from collections.abc import Callable
from datetime import datetime

from shared.domain.outcomes import GiveUp, Retry
from shared.handlers.resolve import Resolve
from shared.ports import Ledger

BATCH = 200  # requests a pass; the next pass goes on where this one stopped, since `next_at` orders them

log = logging.getLogger(__name__)


class Reconcile:
    def __init__(self, ledger: Ledger, resolve: Resolve, clock: Callable[[], datetime]) -> None:
        self._ledger, self._resolve, self._clock = ledger, resolve, clock

    def run(self) -> dict[str, int]:
        """Counts of requests looked at and of those that must wait for a later pass."""
        counts = {"looked": 0, "later": 0}
        for request in self._ledger.due(self._clock(), BATCH):
            counts["looked" if self._look(request) else "later"] += 1
        return counts

    def _look(self, request: str) -> bool:
        try:
            self._resolve.look(request)
        except (Retry, GiveUp) as e:  # it stays due; one request must not hold up the others
            log.warning("reconcile: not now", extra={"json": {"request": request, "reason": e.reason}})
            return False
        return True
