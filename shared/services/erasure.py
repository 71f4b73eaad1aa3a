"""Erasure on request: of a request only its stub is left, wherever the relay keeps something about it."""

import logging

import msgspec

from shared.domain.model import Link, NoticeRecord, Request, Suppression
from shared.domain.recheck import stub
from shared.ports import Ledger
from shared.services.dead_letters import DeadLetterService

log = logging.getLogger(__name__)


class Erased(msgspec.Struct, frozen=True):
    """How many documents and messages were deleted. known: whether there was such a request."""

    known: bool
    notices: int
    links: int
    suppressions: int
    dead_letters: int


class Erasure:
    """Deletes what is known of a request. Nothing is sent for it any more, and its events have no effect.

    Its reminder tasks stay until they are due: they hold ids only, and `remind` obeys the state.
    """

    def __init__(self, ledger: Ledger, dead_letters: DeadLetterService) -> None:
        self._ledger, self._dead_letters = ledger, dead_letters

    def forget(self, request: str, who: str, why: str = "") -> Erased:
        """May be repeated after a failure. who: the operator; why: their reason. Raises RetryLater, PermanentFailure.

        The addresses come first: only the notices' records lead to them. The stub comes before the records, since
        a delivery under way would write one anew.
        """
        addresses = self._addresses(request)
        self._ledger.delete(Suppression, addresses)
        before, _ = self._ledger.update(Request, request, lambda old: stub(old) if old else None)
        links, notices = self._delete(Link, request), self._delete(NoticeRecord, request)
        letters = self._dead_letters.forget(request)
        log.info("operator: request forgotten", extra={"json": {"request": request, "who": who, "why": why}})
        return Erased(before is not None, notices, links, len(addresses), letters)

    def _addresses(self, request: str) -> set[str]:
        """Keys of those that are suppressed, of all addresses that it was sent to.

        Not those whose owner has opted out: without that knowledge another request would write to them again.
        """
        keys = {record.address for record in self._ledger.records(request).values() if record.address}
        stored = {key: self._ledger.get(Suppression, key) for key in keys}
        return {key for key, found in stored.items() if found and (found.item.cleared_at or not found.item.opted_out)}

    def _delete(self, kind: type[msgspec.Struct], request: str) -> int:
        keys = self._ledger.keys(kind, request)
        self._ledger.delete(kind, keys)
        return len(keys)
