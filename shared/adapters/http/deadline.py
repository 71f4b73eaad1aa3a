"""A deadline for a whole exchange: a socket's own time-out starts again with every byte that a slow peer sends."""

import heapq
import itertools
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

_ONE = threading.Lock()  # the socket of the exchange that follows must not be shut down


class Deadline:
    """Shuts the socket that `current` returns down once `seconds` have passed within the `with`."""

    def __init__(self, seconds: float, current: Callable[[], socket.socket | None]) -> None:
        self._current: Callable[[], socket.socket | None] | None = current
        self.until = time.monotonic() + seconds

    def __enter__(self) -> Self:
        _WATCH.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with _ONE:
            self._current = None

    def check(self) -> None:
        """Raises TimeoutError once the time is up. To be called before sending bytes that have an effect."""
        if time.monotonic() >= self.until:
            raise TimeoutError("deadline")

    def cut(self) -> None:
        """Called once the time is up. Does nothing after the `with`."""
        with _ONE:
            if self._current and (sock := self._current()):
                with suppress(OSError):  # the peer has closed it already
                    # SSLSocket.shutdown would remove the TLS layer while another thread still reads.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Watch:
    """One thread for all deadlines: to start one for each call cost more than the call."""

    def __init__(self) -> None:
        self._changed, self._numbers = threading.Condition(), itertools.count()
        self._waiting: list[tuple[float, int, Deadline]] = []
        self._thread = threading.Thread()

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            heapq.heappush(self._waiting, (deadline.until, next(self._numbers), deadline))
            if not self._thread.is_alive():  # the first, or the first after a fork
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            if self._waiting[0][2] is deadline:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            self._next().cut()

    def _next(self) -> Deadline:
        """Waits until the first deadline has come."""
        with self._changed:
            while (wait := self._wait()) > 0:
                self._changed.wait(min(wait, threading.TIMEOUT_MAX))
            return heapq.heappop(self._waiting)[2]

    def _wait(self) -> float:
        return self._waiting[0][0] - time.monotonic() if self._waiting else threading.TIMEOUT_MAX


_WATCH = _Watch()
