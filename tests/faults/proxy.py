"""A TCP proxy in front of a server, which can be closed: connections are reset, new ones refused."""

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK = 65_536


class Proxy:
    """target: host:port."""

    def __init__(self, target: str) -> None:
        name, _, port = target.partition(":")
        self._target = (name, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._shut, self._open, self._lock = threading.Event(), set[socket.socket](), threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        self._shut.set()
        with self._lock:
            for one in self._open:
                _reset(one)
            self._open.clear()

    def mend(self) -> None:
        self._shut.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                if self._shut.is_set() or not self._joined(here):
                    _reset(here)

    def _joined(self, here: socket.socket) -> bool:
        try:
            there = socket.create_connection(self._target, timeout=10)
        except OSError:
            return False
        there.settimeout(None)
        with self._lock:
            self._open |= {here, there}
        for source, sink in ((here, there), (there, here)):
            threading.Thread(target=_pump, args=(source, sink), daemon=True).start()
        return True


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while octets := source.recv(CHUNK):
            sink.sendall(octets)
    for one in (source, sink):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _reset(one: socket.socket) -> None:
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RDWR)
        one.close()
