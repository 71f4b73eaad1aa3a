"""HTTP servers on loopback whose answers go wrong by number: the n-th call of a run always meets the same fault."""

import itertools
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from types import TracebackType
from typing import Any, Self

import msgspec

HANGS = 30.0  # seconds; longer than anybody waits for a provider


@dataclass(frozen=True)
class Reply:
    """manner: "" as it is, "reset" and "hang" without an answer, "half" with half of one."""

    status: int
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    manner: str = ""

    def octets(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)


class Faults:
    """table: names of faults and their shares; the rest goes well."""

    def __init__(self, seed: int, who: str, table: Sequence[tuple[str, float]]) -> None:
        self._seed, self._who, self._table = seed, who, table
        self._numbers = itertools.count()
        self.calls, self.served = 0, Counter[str]()

    def next(self) -> tuple[str, Random]:
        """The fault of this call, "" for none, and a source of chance for its details."""
        number = next(self._numbers)
        self.calls = number + 1
        random = Random(f"{self._seed}/{self._who}/{number}")
        names, shares = zip(*self._table, strict=True)
        name: str = random.choices(("", *names), (1 - sum(shares), *shares))[0]
        if name:
            self.served[name] += 1
        return name, random


Answer = Callable[[str, dict[str, str], bytes], Reply]


class Serving:
    """answer(path, headers by lower-case name, body)."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.stopping = answer, threading.Event()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads, block_on_close, request_queue_size = True, False, 128

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever is killed hangs up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = self.server.serving.answer(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        if reply.manner == "hang":
            self.server.serving.stopping.wait(HANGS)
        if reply.manner in ("hang", "reset"):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        self._send(reply)

    do_GET = do_POST

    def _send(self, reply: Reply) -> None:
        octets = reply.octets()
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(octets)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection |= reply.manner == "half"
        self.wfile.write(octets[: len(octets) // 2] if reply.manner == "half" else octets)

    def log_message(self, *args: object) -> None:
        pass
