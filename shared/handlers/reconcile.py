"""Rechecks every request whose `next_at` has come: repairs what a lost webhook, task or message left behind."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from math import ceil

from msgspec.structs import replace

from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import RelayStatus, Request
from shared.domain.policy import Policy
from shared.domain.recheck import soon, unread
from shared.ports import ClickwrapApi, Ledger
from shared.services.relay_status import update_status

MAX_PASS = 55.0  # seconds a pass may take: the scheduler calls every minute
RECHECK, MOST_AT_ONCE = 2.0, 16  # seconds that each recheck may take while a pass makes all its calls; threads
UNDECODABLE_AGAIN = 3_600.0  # seconds until a document that cannot be decoded is tried again
MAX_FAILURES_IN_A_ROW = 100  # failures of a site in a row after which the pass asks for no more of its requests
HEAVY = 34  # a failure that names a wait (quota, credentials), or is slow, counts for so many: three in a row suffice
SLOW = 5.0  # seconds
LIST_EVERY = 3_600.0  # seconds between two lists of a site's requests
LIST_LIMIT = 1_000  # newest requests of a site that are listed

log = logging.getLogger(__name__)


Each = Callable[[Callable[[str], None], Iterable[str]], None]


def at_once(calls: float) -> int:
    """Rechecks side by side, where so many calls of the API are allowed a minute. None waits long for its turn."""
    return max(1, min(MOST_AT_ONCE, ceil(calls * RECHECK / 60)))


class _Pass:
    """The counts of one pass, to which several threads add, the sites that do not answer, and when it ends."""

    def __init__(self, end: datetime) -> None:
        self.rechecked = self.postponed = 0
        self._in_a_row: Counter[str] = Counter()  # failures, by site
        self._end, self._lock = end, threading.Lock()

    def is_over(self, now: datetime) -> bool:
        return now > self._end

    @property
    def is_failing(self) -> bool:
        """Whether it matters of which site a request is."""
        return bool(self._in_a_row)

    def is_silent(self, site: str) -> bool:
        return self._in_a_row[site] >= MAX_FAILURES_IN_A_ROW

    def count(self, site: str, failure: int) -> None:
        with self._lock:
            self.rechecked, self.postponed = self.rechecked + (not failure), self.postponed + bool(failure)
            if failure:
                self._in_a_row[site] += failure
            else:
                self._in_a_row.pop(site, None)


class Reconcile:
    """sites: whose requests are listed too, so that a request whose every webhook was lost is found.

    calls: of the API that it may make in a minute, one a request; the next pass continues, since `next_at` orders them.
    each: calls a function with every request of a pass, side by side where that is wanted.
    """

    def __init__(
        self,
        ledger: Ledger,
        recheck: Callable[[str], None],
        api: ClickwrapApi,
        sites: Sequence[str],
        policy: Policy,
        clock: Callable[[], datetime],
        calls: float,
        each: Each,
    ) -> None:
        self._ledger, self._recheck_request, self._api = ledger, recheck, api
        self._sites, self._policy, self._clock, self._each = sites, policy, clock, each
        self._most = max(1, int(calls * MAX_PASS / 60))

    def run(self) -> dict[str, int]:
        """Counts of requests rechecked and of those postponed to a later pass. Raises RetryLater."""
        counts = self._pass(self._ledger.due(self._clock(), self._most))
        now = self._clock()
        control = update_status(
            self._ledger, lambda c: replace(c, started_at=c.started_at or now, reconciled_at=now, **counts)
        )
        if self._sites and self._listing_due(control):
            self._adopt()
        return counts

    def _pass(self, due: Iterable[str]) -> dict[str, int]:
        run = _Pass(self._clock() + timedelta(seconds=MAX_PASS))

        def one(request: str) -> None:
            if not run.is_over(self._clock()):
                site = self._site(request) if run.is_failing else ""
                run.count(*(self._put_off(request) if run.is_silent(site) else self._recheck(request, site)))

        self._each(one, due)
        return {"rechecked": run.rechecked, "postponed": run.postponed}

    def _recheck(self, request: str, site: str) -> tuple[str, int]:
        """Its site, and 0 when it was rechecked, else how heavily the failure counts.

        One request must not delay the others, nor one site.
        """
        began = self._clock()
        try:
            self._recheck_request(request)
        except (RetryLater, PermanentFailure) as e:
            log.warning("reconcile: not now", extra={"json": {"request": request, "reason": e.reason}})
            after = e.after if isinstance(e, RetryLater) else None
            slow = self._clock() - began > timedelta(seconds=SLOW)
            return self._unread(request, after or 0.0), HEAVY if after or slow else 1
        except Exception as e:  # nor may a fault of ours
            fault = {"alert": "reconcile_fault", "request": request, "fault": type(e).__name__}
            log.error("reconcile: unexpected", extra={"json": fault})
            return self._unread(request, 0.0), 1
        return site, 0

    def _unread(self, request: str, after: float) -> str:
        now = self._clock()
        return self._postpone(request, lambda old: unread(old, now, self._policy, after))

    def _put_off(self, request: str) -> tuple[str, int]:
        """Without a call, so that those behind it have their turn."""
        at = soon(self._clock(), self._policy)
        return self._postpone(request, lambda old: replace(old, next_at=at)), 1

    def _postpone(self, request: str, change: Callable[[Request], Request]) -> str:
        """Returns its site."""
        try:
            old, _ = self._ledger.update(Request, request, lambda old: change(old) if old else None)
        except PermanentFailure:  # not even its document can be read
            self._ledger.postpone(request, self._clock() + self._policy.span(UNDECODABLE_AGAIN, floor=1))
            return ""
        return old.site if old else ""

    def _site(self, request: str) -> str:
        try:
            stored = self._ledger.get(Request, request)
        except (PermanentFailure, RetryLater):
            return ""
        return stored.item.site if stored else ""

    # -- requests never heard of

    def _listing_due(self, control: RelayStatus) -> bool:
        return not control.listed_at or self._clock() - control.listed_at >= self._policy.span(LIST_EVERY, floor=2)

    def _adopt(self) -> None:
        """Adopted: nobody is invited, reminders still ahead are sent."""
        try:
            for site in self._sites:
                self._pass([r for r in self._listed(site) if not self._is_held(r)])
        except RetryLater as e:
            log.warning("reconcile: no list now", extra={"json": {"reason": e.reason}})
        now = self._clock()
        update_status(self._ledger, lambda c: replace(c, listed_at=now))

    def _listed(self, site: str) -> Sequence[str]:
        try:
            return self._api.listed(site, LIST_LIMIT)
        except PermanentFailure as e:
            told = {"alert": "reconcile_list", "site": site}
            log.error("RECONCILE_LIST is off for a site: %s", e.reason, extra={"json": told})
            return ()

    def _is_held(self, request: str) -> bool:
        """Also where its document cannot be decoded: it is rechecked as others are."""
        try:
            return self._ledger.get(Request, request) is not None
        except PermanentFailure:
            return True
