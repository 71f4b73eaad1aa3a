"""A closed-loop HTTP load generator on one thread: each connection sends its next request after a response.

It needs no installed tool. It uses about 30 µs of CPU a request on the machine that it shares with the function.
"""

import selectors
import socket
import statistics
import time
from collections.abc import Iterator

import msgspec

RESPONSE_TIMEOUT = 30.0  # seconds without a response on any connection


class Run(msgspec.Struct):
    """latencies: seconds, of the responses with the expected status. errors: the other responses."""

    latencies: list[float] = []
    errors: int = 0
    took: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.took

    @property
    def p50(self) -> float:
        return statistics.median(self.latencies)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.latencies, n=100)[98]


def post(path: str, body: bytes, **headers: str) -> bytes:
    """The bytes of a POST request."""
    lines = [f"POST {path} HTTP/1.1", "Host: bench", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def get(path: str) -> bytes:
    """The bytes of a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


class _Connection:
    def __init__(self, port: int) -> None:
        self._port = port
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began, self._got = 0.0, b""

    def send(self, request: bytes) -> None:
        self.began, self._got = time.perf_counter(), b""
        self.sock.sendall(request)

    def status(self) -> int:
        """The status of the response once it is complete; 0 before, -1 if the connection was closed."""
        part = self.sock.recv(65_536)
        self._got += part
        if not part:
            return -1
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return 0
        return int(head[9:12])


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


class Load:
    """Calls one port until `requests` is exhausted or the time is over."""

    def __init__(self, port: int, requests: Iterator[bytes], connections: int, expected: int = 200) -> None:
        self._requests, self._expected, self._port = requests, expected, port
        self._idle = [_Connection(port) for _ in range(connections)]
        self._busy = selectors.DefaultSelector()
        self._run = Run()

    def drive(self, seconds: float = 3600.0) -> Run:
        """seconds: the longest duration of the run. Raises TimeoutError if no response comes for 30 s."""
        began = time.perf_counter()
        end = began + seconds
        for connection in self._idle:
            self._next(connection, end)
        while self._busy.get_map():
            ready = self._busy.select(RESPONSE_TIMEOUT)
            if not ready:
                raise TimeoutError(f"no response on port {self._port} for {RESPONSE_TIMEOUT:.0f} s")
            for key, _ in ready:
                self._read(key.data, end)
        self._run.took = time.perf_counter() - began
        return self._run

    def _next(self, connection: _Connection, end: float) -> None:
        request = next(self._requests, None) if time.perf_counter() < end else None
        if request is None:
            connection.sock.close()
            return
        connection.send(request)
        self._busy.register(connection.sock, selectors.EVENT_READ, connection)

    def _read(self, connection: _Connection, end: float) -> None:
        status = connection.status()
        if status == 0:
            return
        self._busy.unregister(connection.sock)
        if status == self._expected:
            self._run.latencies.append(time.perf_counter() - connection.began)
        else:
            self._run.errors += 1
        if status < 0:
            connection.sock.close()
            connection = _Connection(self._port)
        self._next(connection, end)


def drive(port: int, requests: Iterator[bytes], connections: int, seconds: float = 3600.0, expected: int = 200) -> Run:
    return Load(port, requests, connections, expected).drive(seconds)


def clean(run: Run) -> Run:
    """The run itself. Raises RuntimeError if a response had another status than the expected one."""
    if run.errors:
        raise RuntimeError(f"{run.errors} responses with another status than the expected one")
    return run
