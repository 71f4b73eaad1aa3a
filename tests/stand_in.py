"""An HTTP server on loopback in the place of a provider: gives set answers and keeps the requests."""

import json
import socket
import ssl
import struct
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

import msgspec


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]  # by lower-case name
    body: bytes

    def form(self) -> dict[str, str]:
        pairs = parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True)
        assert len(dict(pairs)) == len(pairs), "a field was sent twice"
        return dict(pairs)

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """fault: "hang" (no answer till the end), "reset", "truncate" (half the body), "drip" (headers for ever)."""

    status: int = 200
    body: object = b""
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""

    def octets(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)


class StandIn:
    """Answers with `replies` one after the other, then with the last one for ever. certificate: speaks TLS with it."""

    def __init__(self, *replies: Reply, certificate: Path | None = None) -> None:
        self.replies = deque(replies or [Reply()])
        self.asked: list[Asked] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._server = _Server(self)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, *replies: Reply) -> None:
        self.replies = deque(replies)

    def next(self) -> Reply:
        return self.replies.popleft() if len(self.replies) > 1 else self.replies[0]


def closed_port() -> int:
    """A port of loopback where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # with the default of 5, calls that come at once are refused now and then
    block_on_close = False

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is part of the play."""


class Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.stand_in.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.stand_in.asked.append(Asked(self.command, self.path, headers, body))
        reply = self.server.stand_in.next()
        getattr(self, f"_{reply.fault or 'plain'}")(reply)

    do_GET = do_POST

    def _plain(self, reply: Reply, keep: int | None = None) -> None:
        octets = reply.octets()
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(octets)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(octets[:keep])

    def _truncate(self, reply: Reply) -> None:
        self._plain(reply, keep=len(reply.octets()) // 2)
        self.close_connection = True

    def _reset(self, reply: Reply) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _hang(self, reply: Reply) -> None:
        self.server.stand_in.stopping.wait()
        self.close_connection = True

    def _drip(self, reply: Reply) -> None:
        """A header a moment: no single read ever takes long."""
        self.wfile.write(b"HTTP/1.1 201 Created\r\n")
        while not self.server.stand_in.stopping.wait(0.1):
            self.wfile.write(b"X-More: 1\r\n")

    def log_message(self, *args: object) -> None:
        pass
