"""What goes wrong in a run: drawn from its seed, or given as a table."""

from datetime import datetime
from random import Random
from typing import Any

from tests.simulation.kernel import Decision, Decisions, Kernel, Task

FREEZES = (0.1, 1.0, 5.0, 20.0, 70.0, 100.0, 400.0, 1_500.0, 10_800.0)  # seconds
STATES = ("open", "paused", "expired", "complete")
PER_CALL = (
    "instance",
    "arrives",
    "fires",
    "answer",
    "refusal",
    "receipt",
    "listing",
    "finding",
)  # decided beside a call's own fault


class Given:
    """Decisions from a table; everything else goes well."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self.made: Decisions = {}

    def start(self, kernel: Kernel, calm: datetime) -> None:
        pass

    def watch(self, relay: Any, script: Any) -> None:
        """Called before the run begins."""

    def __call__(self, task: Task, name: str) -> Decision | None:
        of_task = self._decisions.get(task.label)
        if of_task is None:
            return None
        place = f"{task.calls} {name}"
        decision = of_task.get(place)
        if decision is not None:
            self.made.setdefault(task.label, {})[place] = decision
        return decision


class Chance:
    """Decisions drawn from a seed until the time of calm. Those made are kept, so that they can be given again."""

    def __init__(self, seed: int) -> None:
        r = self._r = Random(f"{seed}/chance")
        self._random = r.random
        self._faults = r.choice((0.0, 0.004, 0.015, 0.05))
        self._switches = r.choice((0.0, 0.0, 0.1, 0.5))
        self._queue = r.choice((0.0, 0.1, 0.4))
        self._api = r.choice((0.0, 0.02, 0.1, 0.3))
        self._provider = r.choice((0.0, 0.03, 0.2))
        self._receipts = r.choice((0.0, 0.3, 0.9))
        self._crowd = r.random() < 0.7  # both instances are used
        self._addresses = Random(f"{seed}/addresses")
        self._mistaken = self._addresses.random() < 0.2  # where an address would be missing, another may be shown
        self.made: Decisions = {}

    def start(self, kernel: Kernel, calm: datetime) -> None:
        self._kernel, self._calm = kernel, calm

    def watch(self, relay: Any, script: Any) -> None:
        pass

    def __call__(self, task: Task, name: str) -> Decision | None:
        decision = self._draw(name)
        if decision is not None:
            self.made.setdefault(task.label, {})[f"{task.calls} {name}"] = decision
        return decision

    def _draw(self, name: str) -> Decision | None:
        if self._kernel.now >= self._calm:
            return None
        kind = name.partition(" ")[0]
        if kind in PER_CALL:
            return getattr(self, f"_{kind}")()
        if self._random() < self._faults:
            return self._fault(kind)
        if self._random() < self._switches:
            return "slow", self._r.choice((0.0, 0.01, 0.1, 2.0))
        return None

    def _fault(self, kind: str) -> Decision:
        r = self._r
        what = r.choices(("crash before", "crash after", "lost", "refused", "slow", "late"), (2, 2, 2, 2, 2, 2))[0]
        if what in ("slow", "late"):
            seconds = r.choice(FREEZES)
            if kind.endswith(".send") and what == "slow":  # the HTTP client's own deadline
                seconds = min(seconds, 15.0)
            return what, seconds
        if what == "refused" and kind == "api.fetch":
            return what, r.choice((None, None, 5.0, 900.0))
        if what == "lost" and kind == "api.fetch":
            return "refused", None
        return (what,)

    def _instance(self) -> Decision | None:
        return ("instance", 1) if self._crowd and self._random() < 0.5 else None

    def _arrives(self) -> Decision | None:
        if self._random() >= self._queue:
            return None
        r = self._r
        delay = r.choice((0.01, 0.01, 0.3, 3.0, 30.0, 400.0))
        copies = 2 if r.random() < 0.5 else 1
        return "arrives", delay, copies, r.choice((0.0, 0.0, 1.0, 65.0))

    def _fires(self) -> Decision | None:
        if self._random() >= self._queue:
            return None
        return "fires", self._r.choice((0.0, 0.0, 1.0, 60.0, 1_800.0)), self._r.choice((1, 1, 2))

    def _answer(self) -> Decision | None:
        if self._random() >= self._api:
            return None
        r = self._r
        what = r.choices(
            (
                "stale",
                "404",
                "status",
                "empty",
                "unsigned",
                "without a signer",
                "without a number",
                "without addresses",
            ),
            (7, 2, 1, 1, 2, 2, 2, 1),
        )[0]
        if what == "stale":
            return what, r.choice((1.0, 20.0, 230.0))
        if what == "status":
            return what, r.choice(("paused", "expired"))
        return (self._mistaken_for(what), r.randrange(3)) if what.startswith("without") else (what,)

    def _mistaken_for(self, what: str) -> str:
        if what == "without a signer" or not self._mistaken:
            return what
        return self._addresses.choice((what, "another number", "another number", "another e-mail"))

    def _refusal(self) -> Decision | None:
        if self._random() >= self._provider:
            return None
        r = self._r
        what = r.choices(("later", "permanent", "not taken"), (5, 2, 3))[0]
        if what == "later":
            return what, r.choice((None, 5.0, 120.0)), r.random() < 0.5
        return (what, r.random() < 0.5) if what == "permanent" else (what,)

    def _receipt(self) -> Decision | None:
        if self._random() >= self._receipts:
            return None
        r = self._r
        reports: list[Any] = [
            (r.choice((0.0, 1.0, 60.0, 2_000.0)), r.choices(("delivered", "undelivered", "accepted"), (7, 2, 1))[0])
        ]
        if r.random() < 0.3:
            reports.append((r.choice((0.0, 1.0, 300.0)), r.choice(("delivered", "undelivered"))))
        return "receipt", tuple(reports), r.random() < 0.1

    def _listing(self) -> Decision | None:
        return ("listing", self._r.choice((1.0, 20.0, 59.0))) if self._random() < 0.5 else None

    def _finding(self) -> Decision | None:
        if self._random() >= self._provider:
            return None
        r = self._r
        what = r.choices(("left out", "busy", "cannot say"), (5, 3, 1))[0]
        return ("busy", r.choice((None, 5.0, 120.0))) if what == "busy" else (what,)
