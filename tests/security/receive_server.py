"""A public function as it runs in the cloud: functions-framework, gunicorn, a few threads. Its backend is SQLite."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.emulation.embedded import Embedded
from local.emulation.google_emulators import free_port
from local.emulation.http_push import Pace
from shared.ports import Message

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).parent / "public_embedded.py"
TOKEN, TOPIC = "secret-of-the-server", "clickwrap-events"
UP_WITHIN = 30.0


def hook(key: str = "e1", **changed: Any) -> bytes:
    body = {
        "event_type": "request_signed",
        "id": key,
        "request": "r1",
        "signer": "s1",
        "description": "Jo signed Lease",
    }
    return json.dumps({**body, **changed}).encode()


def head(*lines: str, token: str | None = TOKEN, kind: str | None = "application/json") -> bytes:
    """Everything up to the body."""
    given = [f"Pactsafe-Webhook-Token: {token}"] if token is not None else []
    typed = [f"Content-Type: {kind}"] if kind else []
    return "\r\n".join(["POST / HTTP/1.1", "Host: relay.test", *given, *typed, *lines, "", ""]).encode("latin-1")


def whole(body: bytes, *lines: str, **given: Any) -> bytes:
    return head(f"Content-Length: {len(body)}", *lines, **given) + body


class ReceiveServer:
    """One process. `published` reads what it has stored.

    function: receive, links or receipts. given: more settings.
    """

    def __init__(self, directory: Path, threads: int = 4, function: str = "receive", **given: str) -> None:
        self.port, self._log, self._bus = free_port(), directory / "server.log", directory / "bus.db"
        self._env = {"BACKEND": "embedded", "CLICKWRAP_WEBHOOK_TOKENS": TOKEN, "BUS": str(self._bus)}
        self._env |= {"THREADS": str(threads), "PYTHONPATH": str(ROOT), "PORT": str(self.port), "LOG_LEVEL": "DEBUG"}
        self._env |= {"FUNCTION_TARGET": function, **given}

    def __enter__(self) -> Self:
        argv = [sys.executable, "-m", "functions_framework", "--source", str(SOURCE)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(argv, cwd=ROOT, env={**os.environ, **self._env}, stdout=log, stderr=log)
        end = time.monotonic() + UP_WITHIN
        while not self._up():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(20)

    def _up(self) -> bool:
        with suppress(OSError), self.connect():
            return True
        return False

    def connect(self, timeout: float = 20) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def says(self, request: bytes, timeout: float = 20) -> int:
        """The status of the answer."""
        with self.connect(timeout) as connection:
            with suppress(ConnectionError):  # it may have answered, and gone, before all was sent
                connection.sendall(request)
            return status(connection)

    def published(self) -> list[Message]:
        with self.backend() as embedded:
            return embedded.bus.messages(TOPIC)

    @contextmanager
    def backend(self) -> Iterator[Embedded]:
        """Its database, for a moment."""
        embedded = Embedded(self._bus, partial(datetime.now, UTC), Pace(1, 1))
        try:
            yield embedded
        finally:
            embedded.stop()

    def memory(self) -> int:
        """Bytes in use by the worker and its parent."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return sum(_resident(int(pid)) for pid in [self._process.pid, *children])

    def log(self) -> str:
        return self._log.read_text()


def status(connection: socket.socket) -> int:
    """0 when the connection ends without one."""
    got = b""
    while b"\r\n" not in got:
        piece = connection.recv(4096)
        if not piece:
            return 0
        got += piece
    return int(got.split()[1])


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
