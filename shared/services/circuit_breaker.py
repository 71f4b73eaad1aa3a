"""A provider that is down as a whole: nobody keeps trying it, and no message pays for it with its attempts."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.errors import RetryLater
from shared.domain.model import Outage, RelayStatus
from shared.domain.policy import Policy
from shared.ports import Ledger

CONTROL = "relay"
PATIENCE = 60.0  # seconds of failures before the circuit opens: until then every message tries for itself
DOWN = 600.0  # seconds of failures from which on they no longer count against a message
LONGEST = 900.0  # seconds between two tries: how late a message may be once the provider is back
ENOUGH = 5  # failures that it takes besides: two blips of a quiet hour are no outage
FORGOTTEN, NIGHT = 4_500.0, 86_400.0  # seconds without a failure that end a short run, and any
MAX_COMMIT_RETRIES = 5


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
        long_enough = outage is not None and outage.last - outage.since >= self._span(DOWN, 5)
        return outage is not None and long_enough and outage.failures >= ENOUGH

    def worked(self) -> None:
        with self._lock:
            outage, self._outage = self._outage, None
        if outage is not None:
            with suppress(RetryLater):
                self._change(lambda outages: {k: v for k, v in outages.items() if k != self._provider})

    def _recorded(self) -> Outage:
        """Of many failures at once, one is written down."""
        now, known = self._clock(), self._outage
        if known and now - known.last < self._span(PATIENCE / 6, 0.5):
            return known
        name = self._provider
        return self._change(lambda outages: {**outages, name: self._prolonged(outages.get(name), now)})[name]

    def _prolonged(self, old: Outage | None, now: datetime) -> Outage:
        if old is None or self._broken(old, now):
            return Outage(since=now, last=now, until=now)
        age, failures = now - old.since, old.failures + 1
        opens = age >= self._span(PATIENCE, 2) and failures >= ENOUGH
        pause = min(age / 2, self._span(LONGEST, 1)) if opens else timedelta(0)
        return Outage(since=old.since, last=now, until=now + pause, failures=failures)

    def _broken(self, old: Outage, now: datetime) -> bool:
        """A pause this long does not belong to it: somebody's success in between may have gone unrecorded."""
        usual = max(self._span(FORGOTTEN, 60), 2 * (old.last - old.since))
        return now - old.last > min(self._span(NIGHT, 3_600), usual)

    def _change(self, change: Callable[[dict[str, Outage]], dict[str, Outage]]) -> dict[str, Outage]:
        return amend(self._ledger, lambda c: replace(c, circuits=change(c.circuits))).circuits

    def _span(self, seconds: float, floor: float) -> timedelta:
        return self._policy.span(seconds, floor=floor)


def amend(ledger: Ledger, change: Callable[[RelayStatus], RelayStatus]) -> RelayStatus:
    """Changes `control/relay`. What loses five races in a row is dropped: the next one tells the same."""
    for _ in range(MAX_COMMIT_RETRIES):
        stored = ledger.get(RelayStatus, CONTROL)
        fresh = change(stored.item if stored else RelayStatus())
        if ledger.put(CONTROL, fresh, stored.version if stored else None):
            break
    return fresh
