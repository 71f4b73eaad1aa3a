"""The small scope, every case of it: each order of the webhooks, one duplicate, and one fault at each call of a port.

Two places of two runs are one place, and tried once, when the ledger's content, what is under way, the rest of the
script and the task's own calls so far are the same there.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import permutations
from typing import Any

import msgspec

from tests.simulation.cases import Breach, Case, run_case, told
from tests.simulation.chance import Given
from tests.simulation.kernel import Decision, Decisions, Kernel, Task
from tests.simulation.run import play
from tests.simulation.script import DAY, HOUR, Act, Person, Script

PEOPLE = (
    Person("ann", ("ann",), "+13175550100", "", order=0),
    Person("bob", ("bob",), "", "bob@x.org", order=1),
)
FIRST, APART = 10.0, 1.0  # seconds: arrival of the first webhook, and between two
PARTS = 24
STORED: tuple[Decision, ...] = (("crash before",), ("crash after",), ("lost",), ("refused",), ("slow", 0.0))
FAULTS: dict[str, tuple[Decision, ...]] = {
    "api.fetch": (("crash before",), ("refused", None), ("slow", 0.0)),
    "sms.send": (("crash before",), ("crash after",), ("lost",), ("slow", 0.0)),
    "email.send": (("crash before",), ("crash after",), ("lost",), ("slow", 0.0)),
    "refusal": (("later", None, False), ("not taken",)),
    "answer": (("stale", 5.0), ("without a signer", 0), ("404",)),
}


def bases(signers: int) -> Iterator[Case]:
    """Every order of the webhooks of a request that is signed by all, and each of them once, or one of them twice."""
    hooks = ["sent", *(p.name for p in PEOPLE[:signers]), "complete"]
    for order in permutations(hooks):
        for doubled in ("", *hooks):
            yield Case(_signed(signers, order, doubled), {}, f"{' '.join(order)}, twice {doubled or 'nothing'}")


def _signed(signers: int, order: tuple[str, ...], doubled: str) -> Script:
    """All sign within two seconds; their webhooks arrive later, in this order."""

    def hooks(name: str, at: float) -> tuple[tuple[float, str], ...]:
        arrives = FIRST + APART * order.index(name) - at
        return ((arrives, name),) * (2 if name == doubled else 1)

    acts = [Act(0.0, "sent", hooks=hooks("sent", 0.0))]
    for n, person in enumerate(PEOPLE[:signers], 1):
        last = n == signers
        ended = hooks("complete", float(n)) if last else ()
        acts.append(Act(float(n), "sign", person.name, hooks(person.name, float(n)), ended))
    return Script(PEOPLE[:signers], tuple(acts), calm=60.0, ends=4 * HOUR, policy=(("window", None),))


def unsigned(days: float = 16) -> Case:
    """Nobody signs: an invitation and three reminders."""
    acts = (Act(0.0, "sent", hooks=((FIRST, "sent"),)),)
    return Case(Script(PEOPLE[:1], acts, calm=60.0, ends=days * DAY, policy=(("window", None),)), {}, "nobody signs")


class _Places(Given):
    """Notes every place of a run, with a fingerprint of what there is at it."""

    def __init__(self, decisions: Decisions) -> None:
        super().__init__(decisions)
        self.found: list[tuple[str, str, bytes]] = []  # task, place, fingerprint
        self._documents: dict[int, bytes] = {}
        self._kept: list[Any] = []  # so that no other document takes an id

    def start(self, kernel: Kernel, calm: Any) -> None:
        self._kernel = kernel

    def watch(self, relay: Any, script: Any) -> None:
        self._relay = relay
        self._hooks = sorted((a.at + d, k) for a in script.acts for d, k in (*a.hooks, *a.ended))
        self._acts = script.acts
        self._start = relay.kernel.now
        self._so_far: dict[Task, list[str]] = {}

    def __call__(self, task: Task, name: str) -> Decision | None:
        if task.instance is not None:
            calls = self._so_far.setdefault(task, [])
            calls.append(name)
            self.found.append((task.label, f"{task.calls} {name}", self._fingerprint(task, calls)))
        return super().__call__(task, name)

    def _fingerprint(self, task: Task, calls: list[str]) -> bytes:
        seconds = (self._kernel.now - self._start).total_seconds()
        ledger, whole = self._relay.ports.ledger, hashlib.blake2b(digest_size=16)
        for place in sorted(f"{kind.__name__} {key}" for kind, key in ledger.documents):
            whole.update(place.encode())
        for item, _ in ledger.documents.values():
            whole.update(self._document(item))
        rest = [h for h in self._hooks if h[0] > seconds]
        names = sorted(self._relay.ports.scheduler.tasks)
        under_way = sorted(self._relay.under_way.items())
        whole.update(repr((seconds, rest, names, under_way, task.label.partition("/")[0], calls)).encode())
        return whole.digest()

    def _document(self, item: Any) -> bytes:
        """Once for each document: it never changes."""
        known = self._documents.get(id(item))
        if known is None:
            known = self._documents[id(item)] = msgspec.json.encode(item)
            self._kept.append(item)
        return known


def cases(base: Case, seen: set[bytes]) -> Iterator[Case]:
    """One fault at each place of a run that is not among those seen."""
    places = _Places(base.decisions)
    play(base.script, places)
    for task, place, fingerprint in places.found:
        name = place.partition(" ")[2]
        if fingerprint in seen or name in ("instance", "receipt"):
            continue
        seen.add(fingerprint)
        for fault in FAULTS.get(name, STORED):
            yield replace(base, decisions={**base.decisions, task: {place: fault}})


def failures(
    wanted: Iterator[Case] | list[Case], seen: set[bytes] | None = None
) -> tuple[int, list[tuple[Case, Breach]]]:
    """How many runs there were, and those that broke a rule. wanted: base cases."""
    seen, runs, failed = set() if seen is None else seen, 0, list[tuple[Case, Breach]]()
    for base in wanted:
        for case in (base, *cases(base, seen)):
            runs += 1
            failed += [(case, breach) for breach in run_case(case).breaches[:1]]
    return runs, failed


def part(n: int) -> tuple[int, list[tuple[Case, Breach]]]:
    """One order of the webhooks of two signers; part -1 is one signer, part -2 a request that nobody signs."""
    if n < 0:
        return failures([unsigned()] if n == -2 else bases(1))
    two = list(bases(2))
    size = len(two) // PARTS
    return failures(two[n * size : (n + 1) * size])


def main() -> int:
    began, runs, failed = time.monotonic(), 0, list[tuple[Case, Breach]]()
    parts = [int(os.environ["PART"])] if os.environ.get("PART") else list(range(-2, PARTS))
    with ProcessPoolExecutor(int(os.environ.get("WORKERS") or os.cpu_count() or 1)) as pool:
        for n, (more, bad) in zip(parts, pool.map(part, parts), strict=True):
            runs, failed = runs + more, failed + bad
            print(f"part {n}: {more} runs, {len(bad)} failing; {runs / (time.monotonic() - began):.0f} runs a second")
            sys.stdout.flush()
    for case, (rule, what) in failed[:5]:
        print(f"\n{case.name}: {rule}: {what}\n{told(case)}")
    print(f"{runs} runs, {len(failed)} failing")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
