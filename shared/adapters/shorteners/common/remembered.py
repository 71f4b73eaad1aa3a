"""Keeps the answers of a public shortener: a retry and a reminder send the same link without a second call."""

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.domain.model import Link, digest
from shared.ports import Ledger, Shortener, Target


class Remembered:
    """Implements the port Shortener on another one. retention: how long a link is kept."""

    def __init__(
        self, name: str, shortener: Shortener, ledger: Ledger, retention: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._name, self._shortener = name, shortener
        self._ledger, self._retention, self._clock = ledger, retention, clock

    def shorten(self, target: Target) -> str:
        """Raises RetryLater or PermanentFailure."""
        # longer than any code of our own, so that `links` does not take it for one
        key = f"{self._name}-{digest(target.request, target.signer, target.round, target.url)}"
        if stored := self._ledger.get(Link, key):
            return stored.item.short_url
        short = self._shortener.shorten(target)
        self._ledger.put(key, self._link(target, short), None)
        return short

    def _link(self, target: Target, short: str) -> Link:
        purge_at = self._clock() + self._retention
        return Link(
            request_id=target.request, signer=target.signer, round=target.round, short_url=short, purge_at=purge_at
        )
