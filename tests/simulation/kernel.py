"""Virtual time, and tasks that hand over to each other only where they call a port.

Each task is a greenlet. What becomes of a call is decided at its place: the task's label and the number of the call.
Decisions are drawn from a seed or given as a table, so a run is a function of its script and its decisions alone.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Any

from greenlet import getcurrent, greenlet

Decision = tuple[Any, ...]  # what happens at a place, and its figures
Decisions = dict[str, dict[str, Decision]]  # by task, by number of the call


class Crash(BaseException):
    """The instance dies here."""


class Task:
    """One call of a handler on one instance."""

    __slots__ = (
        "booked", "calls", "cut", "disturbed", "ended", "ended_at", "greenlet", "instance", "label", "notice",
        "started", "stored", "told",
    )  # fmt: skip

    def __init__(self, label: str, instance: Any, started: datetime) -> None:
        self.label, self.instance, self.started = label, instance, started
        self.calls = 0
        self.greenlet: greenlet | None = None
        self.ended = False
        self.told: list[Any] = []  # what the API told this task
        self.stored = 0  # how many of these answers it had when it last wrote a request
        self.booked: list[Any] = []  # what the provider took from it
        self.disturbed = False  # by a fault of its own or of what it called
        self.cut = False  # what it did may not be recorded: it died, was frozen, or a call of its failed
        self.ended_at: datetime | None = None
        self.notice = ""  # id of the notice it delivers


class Kernel:
    """Runs what is due in the order of time, and at one time in the order in which it was scheduled."""

    def __init__(self, now: datetime, decide: "Callable[[Task, str], Decision | None]") -> None:
        self.now, self.decide = now, decide
        self.current: Task | None = None
        self.trace: list[str] | None = None
        self.steps = 0
        self._queue: list[tuple[datetime, int, Callable[[], None]]] = []
        self._count = 0
        self._hub = getcurrent()
        self.waiting: set[Task] = set()

    def at(self, when: datetime, what: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._queue, (when, self._count, what))

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        self.at(self.now + timedelta(seconds=seconds), what)

    def run(self, until: datetime, max_steps: int) -> None:
        """Raises RuntimeError where a run does not come to an end."""
        self._hub = getcurrent()
        while self._queue and self._queue[0][0] <= until:
            when, _, what = heappop(self._queue)
            self.now = max(self.now, when)
            self.steps += 1
            if self.steps > max_steps:
                raise RuntimeError("too many steps")
            what()
        self.now = until

    def spawn(self, task: Task, work: Callable[[], Any], done: Callable[[str, Any], None]) -> None:
        """Runs until the task ends or is suspended. done: how it ended ("ok", "error", "crash") and with what."""

        def body() -> None:
            try:
                how = "ok", work()
            except Crash:
                how = "crash", None
            except (TypeError, AttributeError, NameError):
                raise  # of the code or of a port here: it is no fault that the relay may meet
            except Exception as e:
                how = "error", e
            task.ended, task.ended_at = True, self.now
            done(*how)

        task.greenlet = greenlet(body)
        self._enter(task)

    def suspend(self, seconds: float | None) -> None:
        """Lets others run, as long as this task is frozen or its call is slow; None: until it is woken."""
        task = self.current
        assert task is not None
        self.waiting.add(task)
        if seconds is not None:
            self.after(seconds, lambda: self.wake(task))
        self._hub.switch()

    def kill(self, instance: Any) -> None:
        """The other tasks of an instance end where they are suspended."""
        for task in sorted((t for t in self.waiting if t.instance is instance), key=lambda t: t.label):
            self.waiting.discard(task)
            assert task.greenlet is not None
            task.disturbed = task.cut = True
            self._enter(task, Crash)

    def note(self, *what: object) -> None:
        """A line of the trace, where one is kept."""
        if self.trace is not None:
            task = self.current.label if self.current else "-"
            self.trace.append(f"{self.now:%d %H:%M:%S.%f} {task} " + " ".join(map(str, what)))

    def close(self) -> None:
        """Ends what is still suspended at the end of a run."""
        for task in list(self.waiting):
            self.waiting.discard(task)
            if task.greenlet is not None:
                self._enter(task, Crash)

    def wake(self, task: Task) -> None:
        """Goes on with a suspended task; only from outside of all tasks."""
        if task in self.waiting:
            self.waiting.discard(task)
            self._enter(task)

    def _enter(self, task: Task, *error: Any) -> None:
        """Only from outside of all tasks: a greenlet that ends returns to where it was made."""
        assert task.greenlet is not None
        self.current = task
        try:
            task.greenlet.throw(*error) if error else task.greenlet.switch()
        finally:
            self.current = None


class Lock:
    """Stands in for threading.Lock: who must wait for it lets the others run."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._held = kernel, False
        self._queue: list[Task] = []

    def __enter__(self) -> None:
        while self._held:
            assert self._kernel.current is not None
            self._queue.append(self._kernel.current)
            self._kernel.suspend(None)
        self._held = True

    def __exit__(self, *_: object) -> None:
        self._held = False
        for task in self._queue:
            self._kernel.after(0, lambda task=task: self._kernel.wake(task))
        self._queue.clear()
