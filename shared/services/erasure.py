"""Erasure on request: of a request only its stub is left, wherever the relay keeps something about it."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from shared.domain.errors import PermanentFailure
from shared.domain.model import Link, NoticeRecord, Request, Suppression
from shared.domain.recheck import stub
from shared.ports import Ledger
from shared.services.dead_letters import DeadLetterService

LATE_WRITES = 180.0  # seconds: a delivery that read the request before may write a record until then

log = logging.getLogger(__name__)


class Erased(msgspec.Struct, frozen=True):
    """How many documents and messages were deleted. known: whether there was such a request.

    whole: whether all dead letters were looked at.
    """

    known: bool
    notices: int
    links: int
    suppressions: int
    dead_letters: int
    whole: bool


class Erasure:
    """Deletes what is known of a request. Its events have no effect any more, and nothing is sent for it but what a
    delivery has composed already, which leaves within `claims.SEND_WITHIN`: to read the request again after the claim
    would cost every message a read.

    Its reminder tasks stay until they are due: they hold ids only, and `remind` obeys the state.
    """

    def __init__(self, ledger: Ledger, dead_letters: DeadLetterService, clock: Callable[[], datetime]) -> None:
        self._ledger, self._dead_letters, self._clock = ledger, dead_letters, clock

    def forget(self, request: str, who: str, why: str = "") -> Erased:
        """May be repeated after a failure. who: the operator; why: their reason. Raises RetryLater.

        The addresses come first: only the notices' records lead to them. The stub comes before the records, since
        a delivery would write one anew; what one under way writes all the same, `resolve` empties at the next recheck.
        """
        addresses = self._addresses(request)
        self._ledger.delete(Suppression, addresses)
        known = self._reduced(request)
        links, notices = self._delete(Link, request), self._delete(NoticeRecord, request)
        letters, whole = self._dead_letters.forget(request)
        log.info("operator: request forgotten", extra={"json": {"request": request, "who": who, "why": why}})
        return Erased(known, notices, links, len(addresses), letters, whole)

    def _reduced(self, request: str) -> bool:
        """Whether there was such a request. One that cannot be read leaves a stub too, which does not say its end."""
        later = self._clock() + timedelta(seconds=LATE_WRITES)
        try:
            change = self._ledger.update(
                Request, request, lambda old: replace(stub(old), next_at=later) if old else None
            )
        except PermanentFailure:
            self._ledger.delete(Request, [request])
            self._ledger.put(request, replace(stub(Request(id=request)), next_at=later), None)
            return True
        return change[0] is not None

    def _addresses(self, request: str) -> set[str]:
        """Keys of those that are suppressed, of all addresses that it was sent to.

        Not those whose owner has opted out: without that knowledge another request would write to them again.
        """
        records = self._ledger.several(NoticeRecord, self._ledger.keys(NoticeRecord, request)).values()
        stored = self._ledger.several(Suppression, {record.address for record in records if record.address})
        return {key for key, found in stored.items() if found.cleared_at or not found.opted_out}

    def _delete(self, kind: type[msgspec.Struct], request: str) -> int:
        keys = self._ledger.keys(kind, request)
        self._ledger.delete(kind, keys)
        return len(keys)
