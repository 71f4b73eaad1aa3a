"""Runs due jobs in threads, a limited number at a time; the local Pub/Sub and Cloud Tasks use it."""

import logging
import queue
import threading
from collections.abc import Callable, Sequence

Job = Callable[[], None]

POLL_INTERVAL = 0.05  # seconds between two queries, which also find what another process has written
STOP_TIMEOUT = 5.0  # seconds that `stop` waits for running jobs

log = logging.getLogger(__name__)


class Worker:
    """take(n): claims up to n due jobs. At most `width` run at a time, in threads that stay for the next ones.

    A failed job is logged. `take` must return it again later.
    """

    def __init__(self, name: str, take: Callable[[int], Sequence[Job]], width: int) -> None:
        self._take, self._width = take, width
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._running, self._finished = 0, threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._jobs = queue.SimpleQueue[Job]()
        self._threads = 0

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Query at once, because a job may be due."""
        self._wake.set()

    def stop(self) -> None:
        """Start no further job, and wait up to STOP_TIMEOUT for the running ones."""
        self._stopping.set()
        self._wake.set()
        with self._finished:
            self._finished.notify_all()
        if self._thread.ident:
            self._thread.join(STOP_TIMEOUT)
        with self._finished:
            self._finished.wait_for(lambda: not self._running, STOP_TIMEOUT)

    def _run(self) -> None:
        while room := self._room():
            jobs = self._claimed(room)
            for job in jobs:
                self._begin(job)
            if len(jobs) < room:
                self._wake.wait(POLL_INTERVAL)
                self._wake.clear()

    def _room(self) -> int:
        """Wait until a job may start. Returns how many may; 0 after `stop`."""
        with self._finished:
            self._finished.wait_for(lambda: self._running < self._width or self._stopping.is_set())
            return 0 if self._stopping.is_set() else self._width - self._running

    def _claimed(self, room: int) -> Sequence[Job]:
        try:
            return self._take(room)
        except Exception:
            log.exception("the due jobs could not be read; trying again")
            return ()

    def _begin(self, job: Job) -> None:
        with self._finished:
            self._running += 1
            fresh = self._running > self._threads
            self._threads += fresh
        self._jobs.put(job)
        if fresh:
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            self._do(self._jobs.get())

    def _do(self, job: Job) -> None:
        try:
            job()
        except Exception:
            log.exception("a delivery failed; it will be repeated")
        finally:
            with self._finished:
                self._running -= 1
                self._finished.notify_all()
