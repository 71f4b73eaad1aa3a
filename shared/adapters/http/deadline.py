"""A deadline for a whole exchange: a socket's own time-out starts again with every byte that a slow peer sends."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class Deadline:
    """Shuts the socket that `current` returns down once `seconds` have passed within the `with`."""

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
        """Raises TimeoutError once the time is up. To be called before sending bytes that have an effect."""
        if time.monotonic() >= self._until:
            raise TimeoutError("deadline")

    def _cut(self) -> None:
        if sock := self._current():
            with suppress(OSError):  # the peer has closed it already
                # SSLSocket.shutdown would remove the TLS layer while another thread still reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
