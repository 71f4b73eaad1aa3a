"""The three ports on one SQLite file and threads: what the local stack runs on when nothing else is asked for.

The file is in WAL mode with synchronous=NORMAL: what was committed survives a kill -9, which needs no fsync, since the
operating system has it. A power cut may take the last moments; the file stays whole.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from local.emulation import embedded_bus, embedded_ledger, embedded_tasks
from local.emulation.database import Database
from local.emulation.embedded_bus import EmbeddedBus
from local.emulation.embedded_dead_letters import EmbeddedDeadLetters
from local.emulation.embedded_ledger import EmbeddedLedger
from local.emulation.embedded_tasks import EmbeddedScheduler
from local.emulation.http_push import Pace

SCHEMA = embedded_ledger.SCHEMA + embedded_bus.SCHEMA + embedded_tasks.SCHEMA


class Embedded:
    """One connection and one lock for all three: threads that wait for a lock wait shorter than SQLite would sleep.

    task_pace: how tasks are repeated.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime], task_pace: Pace) -> None:
        self._database, self._clock = Database(path, SCHEMA), clock
        self.ledger = EmbeddedLedger(self._database)
        self.bus = EmbeddedBus(self._database, clock)
        self.scheduler = EmbeddedScheduler(self._database, clock, task_pace)
        self.dead_letters = EmbeddedDeadLetters(self._database)

    def start(self) -> None:
        """Delivers from now on. `bus.subscribe` comes before."""
        self.ledger.purge(self._clock())
        self.bus.start()
        self.scheduler.start()

    def stop(self) -> None:
        self.bus.stop()
        self.scheduler.stop()
        self._database.close()
