"""A wall clock for sockets: their own time-outs begin anew with every byte a slow peer sends."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class Deadline:
    """Within the `with`, the socket that `current` names is shut down once `seconds` have passed."""

    def __init__(self, seconds: float, current: Callable[[], socket.socket | None]) -> None:
        self._current = current
        self._until = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._timer.cancel()

    def check(self) -> None:
        """Raises TimeoutError when the time is up: to be called before the bytes that have an effect."""
        if time.monotonic() >= self._until:
            raise TimeoutError("deadline")

    def _cut(self) -> None:
        if sock := self._current():
            with suppress(OSError):  # the other side was faster
                # Not SSLSocket's own shutdown, which takes the TLS layer away under the thread that reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
