"""What is done to the relay while it works."""

import itertools
import threading
from random import Random

from tests.faults.stack import Emulated, Relay

ABSENCE = 45.0  # seconds of the run's clock that a killed relay stays away: longer than a lease


class Chaos:
    """Kills the relay every few seconds; with emulators, cuts them off and stops them for moments too."""

    def __init__(self, seed: int, running: Relay, emulated: Emulated | None, alive: tuple[float, float]) -> None:
        self._random, self._running, self._emulated, self._alive = Random(f"{seed}/chaos"), running, emulated, alive
        self._over, self.cuts, self.pauses = threading.Event(), 0, 0
        self._kinds = itertools.cycle(("kill", "cut", "pause") if emulated else ("kill",))
        self._failed: list[Exception] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._over.wait(self._random.uniform(*self._alive)):
                self._blow()
        except Exception as e:
            self._failed.append(e)

    def _blow(self) -> None:
        kind = next(self._kinds)
        if self._emulated and kind == "cut":
            self.cuts += 1
            self._emulated.cut(1.0)
        elif self._emulated and kind == "pause":
            self.pauses += 1
            self._emulated.pause(2.0)
        else:
            self._running.die(ABSENCE)

    def check(self) -> None:
        """Raises what has ended it early."""
        for error in self._failed:
            raise error

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self.check()
