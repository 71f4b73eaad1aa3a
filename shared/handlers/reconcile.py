"""Rechecks every request whose `next_at` has come: repairs what a lost webhook, task or message left behind."""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import RelayStatus, Request
from shared.domain.policy import Policy
from shared.ports import ClickwrapApi, Ledger
from shared.services.relay_status import update_status

MAX_REQUESTS = 200  # requests a pass; the next pass continues, since `next_at` orders them
MAX_PASS = 50.0  # seconds a pass may take: the scheduler calls every minute
POSTPONED = 300.0  # seconds until a request that could not be read is due again: it must not delay the others
MAX_FAILURES_IN_A_ROW = 100  # failures in a row that end a pass
LIST_EVERY = 3_600.0  # seconds between two lists of a site's requests
LIST_LIMIT = 1_000  # newest requests of a site that are listed

log = logging.getLogger(__name__)


class Reconcile:
    """sites: whose requests are listed too, so that a request whose every webhook was lost is found."""

    def __init__(
        self,
        ledger: Ledger,
        recheck: Callable[[str], None],
        api: ClickwrapApi,
        sites: Sequence[str],
        policy: Policy,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger, self._recheck_request, self._api = ledger, recheck, api
        self._sites, self._policy, self._clock = sites, policy, clock

    def run(self) -> dict[str, int]:
        """Counts of requests rechecked and of those postponed to a later pass. Raises RetryLater."""
        counts = self._pass(self._ledger.due(self._clock(), MAX_REQUESTS))
        now = self._clock()
        control = update_status(
            self._ledger, lambda c: replace(c, started_at=c.started_at or now, reconciled_at=now, **counts)
        )
        if self._sites and self._listing_due(control):
            self._adopt()
        return counts

    def _pass(self, due: Iterable[str]) -> dict[str, int]:
        end, rechecked, later, in_a_row = self._clock() + timedelta(seconds=MAX_PASS), 0, 0, 0
        for request in due:
            if in_a_row == MAX_FAILURES_IN_A_ROW or self._clock() > end:
                break
            done = self._recheck(request)
            rechecked, later, in_a_row = rechecked + done, later + (not done), 0 if done else in_a_row + 1
        return {"rechecked": rechecked, "postponed": later}

    def _recheck(self, request: str) -> bool:
        try:
            self._recheck_request(request)
        except (RetryLater, PermanentFailure) as e:  # one request must not delay the others
            log.warning("reconcile: not now", extra={"json": {"request": request, "reason": e.reason}})
            self._postpone(request)
            return False
        except Exception as e:  # nor may a fault of ours
            fault = {"alert": "reconcile_fault", "request": request, "fault": type(e).__name__}
            log.error("reconcile: unexpected", extra={"json": fault})
            self._postpone(request)
            return False
        return True

    def _postpone(self, request: str) -> None:
        later = self._clock() + self._policy.span(POSTPONED, floor=1)
        self._ledger.update(Request, request, lambda old: replace(old, next_at=later) if old else None)

    # -- requests never heard of

    def _listing_due(self, control: RelayStatus) -> bool:
        return not control.listed_at or self._clock() - control.listed_at >= self._policy.span(LIST_EVERY, floor=2)

    def _adopt(self) -> None:
        """Adopted: nobody is invited, reminders still ahead are sent."""
        try:
            for site in self._sites:
                new = [r for r in self._api.listed(site, LIST_LIMIT) if self._ledger.get(Request, r) is None]
                self._pass(new)
        except PermanentFailure as e:
            log.error("RECONCILE_LIST is off: %s", e.reason, extra={"json": {"alert": "reconcile_list"}})
        except RetryLater as e:
            log.warning("reconcile: no list now", extra={"json": {"reason": e.reason}})
        now = self._clock()
        update_status(self._ledger, lambda c: replace(c, listed_at=now))
