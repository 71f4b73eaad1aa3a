"""The engine of every stand-in that delivers: takes what is due and works it off, a few at a time."""

import logging
import threading
from collections.abc import Callable, Sequence

Job = Callable[[], None]

POLL = 0.05  # seconds; what another process has written is found by looking
LINGER = 5.0  # seconds that a stop waits for work under way

log = logging.getLogger(__name__)


class Worker:
    """take(n): claims up to n jobs that are due. Each runs in a thread of its own, at most `width` at once.

    A job that fails is logged; whoever claimed it sees to it that it comes again.
    """

    def __init__(self, name: str, take: Callable[[int], Sequence[Job]], width: int) -> None:
        self._take, self._width = take, width
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._flying, self._landed = 0, threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something may be due now."""
        self._wake.set()

    def stop(self) -> None:
        """Nothing more begins. Work under way is waited for, within reason."""
        self._stopping.set()
        self._wake.set()
        with self._landed:
            self._landed.notify_all()
        if self._thread.ident:
            self._thread.join(LINGER)
        with self._landed:
            self._landed.wait_for(lambda: not self._flying, LINGER)

    def _run(self) -> None:
        while room := self._room():
            jobs = self._claimed(room)
            for job in jobs:
                self._begin(job)
            if not jobs:
                self._wake.wait(POLL)
                self._wake.clear()

    def _room(self) -> int:
        """How many more may begin, once any may; 0 at the end."""
        with self._landed:
            self._landed.wait_for(lambda: self._flying < self._width or self._stopping.is_set())
            return 0 if self._stopping.is_set() else self._width - self._flying

    def _claimed(self, room: int) -> Sequence[Job]:
        try:
            return self._take(room)
        except Exception:
            log.exception("could not look for work; trying again")
            return ()

    def _begin(self, job: Job) -> None:
        with self._landed:
            self._flying += 1
        threading.Thread(target=self._work, args=(job,), daemon=True).start()

    def _work(self, job: Job) -> None:
        try:
            job()
        except Exception:
            log.exception("a delivery failed; it comes again")
        finally:
            with self._landed:
                self._flying -= 1
                self._landed.notify_all()
