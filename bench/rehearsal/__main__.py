"""`make rehearse SIZE=100000`: a bulk send within an hour and the fortnight after it, in virtual time.

SIGNERS, LOST (share of the webhooks), OPENED (share of the signatures before which the link was opened), LINKS=others
(the schedule where the links are not our own), API (calls a minute), PROVIDER (messages a second), DAYS and SEED change
the run.
"""

import gc
import logging
import os
import time
from collections.abc import Sequence

from bench.rehearsal.relay import Limits, Relay
from bench.rehearsal.script import DAY, HOUR, MINUTE, Script
from bench.rehearsal.simulation import Simulation, seconds_of
from shared.domain.model import Request
from shared.domain.policy import Policy

OWN_LINKS = Policy(opens_seen=True)


class Rehearsal:
    """One run, and what it showed."""

    def __init__(
        self,
        size: int,
        signers: int = 1,
        lost: float = 0.01,
        limits: Limits | None = None,
        seed: int = 1,
        opened: float = 0.95,
        policy: Policy = OWN_LINKS,
    ):
        self._simulation = Simulation()
        self.relay = Relay(self._simulation, limits or Limits(), policy, lambda message: self.script.sent(message))
        self.script = Script(self.relay, size, signers, lost, seed, opened)
        self.size, self.deepest = size, dict.fromkeys(("resolve", "deliver", "due for a recheck"), 0)

    def run(self, days: float = 15.0) -> None:
        """Plays it all."""
        self.script.begin()
        minute = 0
        while minute * MINUTE < days * DAY:
            minute += 1
            self._simulation.run(minute * MINUTE)
            self.relay.reconcile()
            self._sample(minute)

    def _sample(self, minute: int) -> None:
        depths = {url.split("/")[2].split(".")[0]: s.waiting for url, s in self.relay.subscriptions.items()}
        if minute % 10 == 0:
            depths["deferred"] = self.relay.tasks.deferred()
            depths["due for a recheck"] = self.relay.ledger.waiting(self._simulation.clock())
        for name, depth in depths.items():
            self.deepest[name] = max(self.deepest.get(name, 0), depth)

    def noticed(self) -> list[float]:
        """Seconds from each signature whose webhook was lost until it was known."""
        found = []
        for key, n in self.script.unheard:
            stored = self.relay.ledger.get(Request, key)
            signer = next((s for s in stored.item.signers.values() if s.number == n), None) if stored else None
            if signer and signer.signed_at:
                found.append(seconds_of(signer.signed_at) - self.script.caused[key, n])
        return found

    def calls_a_request(self) -> float:
        """Of the API."""
        return sum(self.relay.calls.values()) / self.size

    def rows(self) -> list[tuple[str, str]]:
        """What to print: a label and its figures."""
        calls = self.relay.calls
        rows = [
            (f"{kind.value}: messages, lateness p50 / p99", spread(late)) for kind, late in self.script.lateness.items()
        ]
        rows.append(("lost webhooks: noticed, after p50 / p99", spread(self.noticed())))
        rows += [(f"deepest: {name}", f"{depth:,}") for name, depth in self.deepest.items()]
        rows.append(("API calls a minute, most", f"{max(calls.values(), default=0):,}"))
        rows.append(("API calls a request", f"{self.calls_a_request():.1f}"))
        rows += [(f"dead letters: {reason}", f"{count:,}") for reason, count in self.relay.dead.items()]
        return rows


def spread(seconds: Sequence[float]) -> str:
    """How many, their median and their 99th percentile."""
    ordered = sorted(seconds)
    if not ordered:
        return "none"
    middle, high = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"{len(ordered):,}, {_span(middle)} / {_span(high)}"


def _span(seconds: float) -> str:
    for unit, name in ((HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.1f} s"


def main() -> None:
    logging.disable(logging.CRITICAL)
    gc.freeze()
    of = os.environ.get
    limits = Limits(api=float(of("API") or 1600), provider=float(of("PROVIDER") or 100))
    size, began = int(of("SIZE") or 10_000), time.monotonic()
    opened, policy = float(of("OPENED") or 0.95), Policy() if of("LINKS") == "others" else OWN_LINKS
    signers, lost, seed = int(of("SIGNERS") or 1), float(of("LOST") or 0.01), int(of("SEED") or 1)
    rehearsal = Rehearsal(size, signers, lost, limits, seed, opened, policy)
    rehearsal.run(float(of("DAYS") or 15))
    print(f"{size:,} requests in {time.monotonic() - began:.0f} s")
    for label, figures in rehearsal.rows():
        print(f"  {label:<45} {figures}")


if __name__ == "__main__":
    main()
