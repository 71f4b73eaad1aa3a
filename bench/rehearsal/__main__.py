"""`make rehearse SIZE=100000`: a bulk send within an hour and the fortnight after it, in virtual time.

SIGNERS, LOST (share of the webhooks), OPENED (share of the signatures before which the link was opened), LINKS=others
(the schedule where the links are not our own), API (calls a minute), SHARED=1 (one budget for a function's instances),
PROVIDER (messages a second), QUEUES (share of the rates of Cloud Tasks), OVER (minutes that the sending takes), AFTER
(hours from 10:00 until it begins), SPREAD (minutes, of the reminders), DAYS and SEED change the run; PICTURE names a
file for its first hours as an SVG.
"""

import gc
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from math import inf
from pathlib import Path

import phonenumbers
from msgspec.structs import replace

from bench.cost import BILLED_BYTES, BILLED_SECONDS, CALL, PUBSUB, READ, SECOND, TASK, WRITE
from bench.rehearsal.arithmetic import LEAST, Compared, Predicted, predicted
from bench.rehearsal.picture import picture
from bench.rehearsal.relay import Limits, Relay
from bench.rehearsal.script import DAY, HOUR, MINUTE, Script
from bench.rehearsal.simulation import Simulation, seconds_of
from shared.domain import policy, search, signers
from shared.domain.model import NoticeRecord, NoticeState, Request
from shared.domain.policy import Policy
from shared.handlers.reconcile import MAX_PASS

OWN_LINKS = Policy(opens_seen=True)
PURE = ((phonenumbers, "parse"), (search, "folded"), (signers, "normal_mobile"), (policy, "zone_of"))
SHOWN = 6 * 60  # minutes of the picture
EACH = {
    "reads": READ,
    "writes": WRITE,
    "publishes": 2 * BILLED_BYTES * PUBSUB,  # published and pushed
    "tasks": TASK,
    "calls": CALL + BILLED_SECONDS * SECOND,
}


class Rehearsal:
    """One run, and what it showed. waiting: events that `resolve` has not handled, by minute."""

    def __init__(
        self,
        size: int,
        signers: int = 1,
        lost: float = 0.01,
        limits: Limits | None = None,
        seed: int = 1,
        opened: float = 0.95,
        policy: Policy = OWN_LINKS,
        over: float = HOUR,
        after: float = 0.0,
    ):
        self._simulation, self._over = Simulation(), over
        self.relay = Relay(self._simulation, limits or Limits(), policy, lambda message: self.script.sent(message))
        self.script = Script(self.relay, size, signers, lost, seed, opened, over, after)
        self.size, self.deepest, self.waiting = size, dict[str, int](), list[int]()

    def run(self, days: float = 15.0) -> None:
        """Plays it all."""
        self.script.begin()
        for minute in range(1, int(days * DAY / MINUTE) + 1):
            self._simulation.run(minute * MINUTE)
            self._sample()
            self.relay.reconcile()

    def _sample(self) -> None:
        depths = {url.split("/")[2].split(".")[0]: s.waiting for url, s in self.relay.subscriptions.items()}
        deferred, events = self.relay.tasks.deferred, self.relay.tasks.deferred[self.relay.names.retries("")]
        depths |= {"deferred events": events, "deferred messages": deferred.total() - events}
        depths |= {"due for a recheck": self.relay.ledger.waiting(self._simulation.clock())}
        self.waiting.append(depths["resolve"] + events)
        for name, depth in depths.items():
            self.deepest[name] = max(self.deepest.get(name, 0), depth)

    def noticed(self) -> list[float]:
        """Seconds from each signature whose webhook was lost until it was known."""
        found = []
        for key, n in self.script.unheard:
            stored: Request | None = self.relay.ledger.peek(Request, key)
            signer = next((s for s in stored.signers.values() if s.number == n), None) if stored else None
            if signer and signer.signed_at:
                found.append(seconds_of(signer.signed_at) - self.script.caused[key, n])
        return found

    def now(self) -> datetime:
        """The time that it has come to."""
        return self._simulation.clock()

    def rechecks_late(self, until: float = inf) -> list[float]:
        """Seconds by which each recheck was late that began before this time."""
        return [late for began, late in self.relay.rechecks if began < until]

    def calls_a_request(self) -> float:
        """Of the API."""
        return sum(self.relay.calls.values()) / self.size

    def failed(self) -> Counter[str]:
        """Messages that were given up, by reason."""
        records: Iterable[NoticeRecord] = self.relay.ledger.all(NoticeRecord)
        return Counter(r.reason for r in records if r.state is NoticeState.FAILED)

    def predicted(self) -> Predicted:
        """What the arithmetic says of this send."""
        others = self.relay.share("reconcile") * MAX_PASS / MINUTE
        others += self.relay.share("deliver") * self.relay.has_slow_sender
        return predicted(self.size, self.relay.share("resolve"), self._over, others)

    def compared(self) -> list[Compared]:
        """Every figure that the arithmetic gives too."""
        said, most = self.predicted(), max(self.relay.calls.values(), default=0)
        if said.empty - self._over / MINUTE < LEAST:
            return []
        return [
            Compared("events waiting, most", said.deepest, max(self.waiting)),
            Compared("minutes until no more wait", said.empty, self.empty()),
            Compared("API calls a minute, most", said.calls, most),
        ]

    def empty(self) -> int:
        """Minutes until only a hundredth of the most waits."""
        deepest = self.waiting.index(max(self.waiting))
        few = max(self.waiting) / 100
        return next((n + 1 for n in range(deepest, len(self.waiting)) if self.waiting[n] <= few), len(self.waiting))

    def cost(self) -> float:
        """US dollars."""
        return sum(EACH[what] * count for what, count in self._simulation.counts.items())

    def rows(self) -> list[tuple[str, str]]:
        """What to print: a label and its figures."""
        calls = self.relay.calls
        rows = [
            (f"{kind.value}: messages, lateness p50 / p99", spread(late)) for kind, late in self.script.lateness.items()
        ]
        rows.append(("recheck: late p50 / p99", spread(self.rechecks_late())))
        rows.append(("recheck on the first day: late p50 / p99", spread(self.rechecks_late(DAY))))
        rows.append(("lost webhooks: noticed, after p50 / p99", spread(self.noticed())))
        rows += [(f"{c.label}: arithmetic / shown", f"{c.said:,.0f} / {c.shown:,}") for c in self.compared()]
        rows += [(f"deepest: {name}", f"{depth:,}") for name, depth in self.deepest.items()]
        rows.append(("API calls a minute, most", f"{max(calls.values(), default=0):,}"))
        rows.append(("API calls a request", f"{self.calls_a_request():.1f}"))
        rows.append(("cost", f"${self.cost():.2f}"))
        rows += [(f"failed: {reason}", f"{count:,}") for reason, count in self.failed().items()]
        rows += [(f"dead letters: {reason}", f"{count:,}") for reason, count in self.relay.dead.items()]
        return rows

    def picture(self) -> str:
        """The first hours, as an SVG."""
        calls = [float(self.relay.calls.get(n, 0)) for n in range(min(SHOWN, len(self.waiting)))]
        return picture(
            [
                ("Events waiting (dashed: the arithmetic)", [0, *self.waiting[:SHOWN]], self.predicted().waiting),
                ("API calls a minute", calls, []),
            ]
        )


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


def hurry() -> None:
    """Takes no part in what is shown: all numbers are one number. Garbage, mostly refusals, is collected rarely."""
    logging.disable(logging.CRITICAL)
    gc.set_threshold(50_000, 20, 100)
    for place, name in PURE:
        setattr(place, name, cache(getattr(place, name)))


def main() -> None:
    hurry()
    of = os.environ.get
    rates = {"api": float(of("API") or 1600), "provider": float(of("PROVIDER") or 100)}
    limits = Limits(**rates, queues=float(of("QUEUES") or 1), shared=bool(of("SHARED")))
    size, began = int(of("SIZE") or 10_000), time.monotonic()
    opened, policy = float(of("OPENED") or 0.95), Policy() if of("LINKS") == "others" else OWN_LINKS
    policy = replace(policy, spread=timedelta(minutes=int(of("SPREAD") or 0)))
    signers, lost, seed = int(of("SIGNERS") or 1), float(of("LOST") or 0.01), int(of("SEED") or 1)
    after, over = HOUR * float(of("AFTER") or 0), MINUTE * float(of("OVER") or 60)
    rehearsal = Rehearsal(size, signers, lost, limits, seed, opened, policy, over, after)
    rehearsal.run(float(of("DAYS") or 15))
    print(f"{size:,} requests in {time.monotonic() - began:.0f} s, {time.process_time():.0f} s of a processor")
    for label, figures in rehearsal.rows():
        print(f"  {label:<45} {figures}")
    if of("PICTURE"):
        Path(os.environ["PICTURE"]).write_text(rehearsal.picture())


if __name__ == "__main__":
    main()
