"""The ports on one SQLite file with threads: the default backend of the local stack.

The file is in WAL mode with synchronous=NORMAL: committed data survives a kill -9. A power failure may lose the last
transactions, but does not damage the file.
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
from local.emulation.http_push import Pace, Post, post

SCHEMA = embedded_ledger.SCHEMA + embedded_bus.SCHEMA + embedded_tasks.SCHEMA


class Embedded:
    """The ports share one connection and one lock, because SQLite's own wait for a lock is slower.

    task_pace: pauses between the attempts of a task. task_audience: of its identity; "" means its URL.
    post: calls the functions.
    """

    def __init__(
        self, path: Path, clock: Callable[[], datetime], task_pace: Pace, task_audience: str = "", post: Post = post
    ) -> None:
        self._database, self._clock = Database(path, SCHEMA), clock
        self.ledger = EmbeddedLedger(self._database)
        self.bus = EmbeddedBus(self._database, clock, post)
        self.scheduler = EmbeddedScheduler(self._database, clock, task_pace, task_audience, post)
        self.dead_letters = EmbeddedDeadLetters(self._database)

    def start(self) -> None:
        """Start the deliveries. Call `bus.subscribe` before."""
        self.ledger.purge(self._clock())
        self.bus.start()
        self.scheduler.start()

    def stop(self) -> None:
        self.bus.stop()
        self.scheduler.stop()
        self._database.close()
