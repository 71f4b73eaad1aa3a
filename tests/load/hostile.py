"""Strangers who want a public function to stop: slow, large and malformed calls from many connections at once."""

import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec

from tests.security.receive_server import ReceiveServer, status

SLOW, LARGE, LARGEST, MALFORMED = 32, 5, 10, 3  # connections of each kind, again and again
PAUSE = 0.1  # seconds between the bytes of a slow one
CALLERS = 4  # honest ones


class Call(msgspec.Struct, frozen=True):
    """What one honest caller sends, and the status that it is owed."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int


class Told(msgspec.Struct, frozen=True):
    """Of the honest calls: how often each status came, and how long an answer took, in seconds, sorted."""

    statuses: Counter[int]
    took: list[float]

    def at(self, share: float) -> float:
        return self.took[int(share * (len(self.took) - 1))]


def honest(server: ReceiveServer, call: Call, seconds: float, callers: int = CALLERS) -> Told:
    """Each caller makes ten calls a second, each on a connection of its own."""
    end = time.monotonic() + seconds

    def caller(_: int) -> list[tuple[int, float]]:
        answers = []
        while time.monotonic() < end:
            answers.append(_timed(server, call))
            time.sleep(0.1)
        return answers

    with ThreadPoolExecutor(callers) as pool:
        answers = [answer for share in pool.map(caller, range(callers)) for answer in share]
    return Told(Counter(s for s, _ in answers), sorted(t for _, t in answers))


def _timed(server: ReceiveServer, call: Call) -> tuple[int, float]:
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(call.method, call.path, call.body, call.headers)
        return connection.getresponse().status, time.monotonic() - began
    except (OSError, http.client.HTTPException):
        return 0, time.monotonic() - began
    finally:
        connection.close()


class Attack:
    """Goes on while it is entered. answers: how often each status came."""

    def __init__(self, server: ReceiveServer, start: bytes, malformed: Sequence[bytes], largest: int) -> None:
        """start: request line and headers of a call of 64 KB. malformed: whole calls. largest: bytes that it takes."""
        self._server, self._start, self._malformed, self._largest = server, start, malformed, largest
        self._over, self._lock = threading.Event(), threading.Lock()
        self.answers: Counter[int] = Counter()
        kinds = (
            [self._slow] * SLOW + [self._large] * LARGE + [self._largest_taken] * LARGEST + [self._spoilt] * MALFORMED
        )
        self._threads = [threading.Thread(target=self._again, args=(kind,), daemon=True) for kind in kinds]

    def __enter__(self) -> "Attack":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _again(self, kind: Callable[[socket.socket], None]) -> None:
        while not self._over.is_set():
            with suppress(OSError), self._server.connect() as connection:
                kind(connection)
                with self._lock:
                    self.answers[status(connection)] += 1
            self._over.wait(PAUSE)  # a flood is another attack, which max_instances limits

    def _slow(self, connection: socket.socket) -> None:
        """A byte now and then, until it is answered."""
        connection.sendall(self._start + b"a")
        connection.settimeout(PAUSE)
        for _ in range(200):
            with suppress(TimeoutError):
                connection.recv(1, socket.MSG_PEEK)
                break
            if self._over.is_set():
                raise OSError
            connection.sendall(b"a")
        connection.settimeout(20)

    def _large(self, connection: socket.socket) -> None:
        """A form of a million fields, as fast as it goes."""
        self._whole(connection, b"a=&" * 1_333_333)

    def _largest_taken(self, connection: socket.socket) -> None:
        """As large as is read of it, which needs one of the places."""
        self._whole(connection, b"a" * self._largest)

    def _whole(self, connection: socket.socket, body: bytes) -> None:
        start = self._start.replace(b"Content-Length: 65000", b"Content-Length: %d" % len(body))
        with suppress(OSError):
            connection.sendall(start + body)

    def _spoilt(self, connection: socket.socket) -> None:
        for call in self._malformed:
            with suppress(OSError):
                connection.sendall(call)
