"""A Cloud Run function: instances that start cold, each with so many threads; what finds no thread waits."""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from bench.rehearsal.simulation import Simulation

H = TypeVar("H")
COLD_START = 2.0  # seconds
UTILISATION = 0.6  # share of the threads in use above which Cloud Run starts another instance
IDLE = 900.0  # seconds after which an instance without work is ended


class Instance(Generic[H]):
    """One instance with its own handler."""

    def __init__(self, handler: H, warm_at: float) -> None:
        self.handler, self.warm_at, self.busy, self.last = handler, warm_at, 0, warm_at


class Function(Generic[H]):
    """make: a handler for a new instance. Work is a call that gets the handler of its instance."""

    def __init__(self, simulation: Simulation, make: Callable[[], H], instances: int, threads: int) -> None:
        self._simulation, self._make, self._most, self._threads = simulation, make, instances, threads
        self._instances: list[Instance[H]] = []
        self._waiting: deque[Callable[[H], None]] = deque()

    def call(self, work: Callable[[H], None]) -> None:
        """Runs it now, or once a thread is free."""
        self._waiting.append(work)
        self._start()

    def _start(self) -> None:
        while self._waiting and (instance := self._free()):
            self._run(instance, self._waiting.popleft())

    def _free(self) -> Instance[H] | None:
        now = self._simulation.now
        self._instances = [i for i in self._instances if i.busy or now - i.last < IDLE]
        warm = [i for i in self._instances if i.warm_at <= now]
        if sum(i.busy for i in warm) >= UTILISATION * self._threads * len(warm) and len(warm) == len(self._instances):
            self._scale_out(now)
        best = min(warm or self._instances, key=lambda i: i.busy)
        return best if best.busy < self._threads else None

    def _scale_out(self, now: float) -> None:
        if len(self._instances) < self._most:
            self._instances.append(Instance(self._make(), now + COLD_START))

    def _run(self, instance: Instance[H], work: Callable[[H], None]) -> None:
        instance.busy += 1
        if instance.warm_at <= self._simulation.now:
            self._handle(instance, work)
        else:
            self._simulation.at(instance.warm_at, lambda: self._handle(instance, work))

    def _handle(self, instance: Instance[H], work: Callable[[H], None]) -> None:
        self._simulation.begin()
        self._simulation.counts["calls"] += 1
        work(instance.handler)
        self._simulation.at(self._simulation.seconds(), lambda: self._done(instance))

    def _done(self, instance: Instance[H]) -> None:
        instance.busy -= 1
        instance.last = self._simulation.now
        self._start()
