"""A provider that is down as a whole: after some failures nobody calls it for a while.

An outage does not use up a message's attempts.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.errors import RetryLater
from shared.domain.model import Outage
from shared.domain.policy import Policy
from shared.ports import Ledger
from shared.services.relay_status import update_status

OPENS_AFTER = 60.0  # seconds of failures before the circuit opens: until then every message is tried
OUTAGE_AFTER = 600.0  # seconds of failures from which on they no longer count against a message
CIRCUIT_MAX_PAUSE = 900.0  # seconds between two tries: how late a message may be once the provider is back
MIN_FAILURES = 5  # minimum failures before the circuit opens: two in a quiet hour are no outage
RUN_ENDS_AFTER = 4_500.0  # seconds without a failure that end a short run of failures
ANY_RUN_ENDS_AFTER = 86_400.0  # seconds without a failure that end any run


class CircuitBreaker:
    """One provider's. All instances know it by `control/relay`, which is read and written only after a failure."""

    def __init__(self, provider: str, ledger: Ledger, policy: Policy, clock: Callable[[], datetime]) -> None:
        self._provider, self._ledger, self._policy, self._clock = provider, ledger, policy, clock
        self._outage: Outage | None = None
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raises RetryLater while nobody should try."""
        outage, now = self._outage, self._clock()
        if outage and now < outage.until:
            wait = (outage.until - now).total_seconds()
            raise RetryLater(f"{self._provider} has failed since {outage.since:%d %b %H:%M} UTC", after=wait)

    def failed(self) -> bool:
        """Whether the provider is down, so that this failure does not count against its message."""
        with self._lock, suppress(RetryLater):
            self._outage = self._recorded()
        outage = self._outage
        long_enough = outage is not None and outage.last - outage.since >= self._span(OUTAGE_AFTER, 5)
        return outage is not None and long_enough and outage.failures >= MIN_FAILURES

    def worked(self) -> None:
        """The provider answered: its run of failures is over."""
        with self._lock:
            outage, self._outage = self._outage, None
        if outage is not None:
            with suppress(RetryLater):
                self._change(lambda outages: {k: v for k, v in outages.items() if k != self._provider})

    def _recorded(self) -> Outage:
        """Of many failures at once, one is written down."""
        now, known = self._clock(), self._outage
        if known and now - known.last < self._span(OPENS_AFTER / 6, 0.5):
            return known
        name = self._provider
        return self._change(lambda outages: {**outages, name: self._prolonged(outages.get(name), now)})[name]

    def _prolonged(self, old: Outage | None, now: datetime) -> Outage:
        if old is None or ended(old, now, self._policy):
            return Outage(since=now, last=now, until=now)
        age, failures = now - old.since, old.failures + 1
        opens = age >= self._span(OPENS_AFTER, 2) and failures >= MIN_FAILURES
        pause = min(age / 2, self._span(CIRCUIT_MAX_PAUSE, 1)) if opens else timedelta(0)
        return Outage(since=old.since, last=now, until=now + pause, failures=failures)

    def _change(self, change: Callable[[dict[str, Outage]], dict[str, Outage]]) -> dict[str, Outage]:
        return update_status(self._ledger, lambda s: replace(s, circuits=change(s.circuits))).circuits

    def _span(self, seconds: float, floor: float) -> timedelta:
        return self._policy.span(seconds, floor=floor)


def ended(outage: Outage, now: datetime, policy: Policy) -> bool:
    """A pause this long does not belong to it: somebody's success in between may have gone unrecorded."""
    usual = max(policy.span(RUN_ENDS_AFTER, floor=60), 2 * (outage.last - outage.since))
    return now - outage.last > min(policy.span(ANY_RUN_ENDS_AFTER, floor=3_600), usual)


def is_down(outage: Outage, now: datetime, policy: Policy) -> bool:
    """Whether it is worth telling: neither a few failures only, nor long past."""
    return outage.failures >= MIN_FAILURES and not ended(outage, now, policy)
