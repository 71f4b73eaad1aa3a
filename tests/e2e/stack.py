"""`make run` as a process of its own, driven over HTTP as an operator and signers would."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.emulation.google_emulators import free_port

ROOT = Path(__file__).parents[2]


def until(ready: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """The first truthy answer of `ready`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := ready():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class Running:
    def __init__(self, directory: Path, backend: str, **settings: str) -> None:
        self.directory, self.backend, self.settings = directory, backend, settings
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        env = {**os.environ, "BACKEND": self.backend, "PORT": str(self.port), "LOCAL_DIR": str(self.directory)}
        log = open(self.directory / "stack.log", "ab")  # noqa: SIM115 - the child's for its whole life
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local.stack"], cwd=ROOT, env={**env, **self.settings}, stdout=log, stderr=log
        )
        until(self._up, "the stack is up")

    def _up(self) -> bool:
        assert self.process.poll() is None, (self.directory / "stack.log").read_text()
        try:
            return self.call("GET", "/healthz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        data = None if body is None else json.dumps(body).encode()
        url = path if path.startswith("http") else self.base + path
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        request = urllib.request.Request(url, data, {"Content-Type": "application/json", **named}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as e:
            with e:
                return e.code, e.read()

    # -- as the sender and the signers

    def send(self, *signers: dict[str, Any], title: str = "Employment Agreement", **fields: Any) -> str:
        status, body = self.call("POST", "/sandbox/requests", {"title": title, "signers": list(signers), **fields})
        assert status == 201, body
        return str(json.loads(body)["id"])

    def act(self, request: str, action: str) -> None:
        status, body = self.call("POST", f"/sandbox/requests/{request}/{action}", {})
        assert status < 300, body

    def messages(self, to: str = "") -> list[dict[str, Any]]:
        found = json.loads(self.call("GET", "/outbox/messages")[1])
        return [m for m in found if not to or m["to"] == to]

    def texts(self, to: str) -> list[str]:
        return [m["text"].strip() for m in self.messages(to)]

    def link(self, to: str) -> str:
        found = [re.findall(r"https?://\S+/l/[\w-]+", text) for text in self.texts(to)]
        return [links[0] for links in found if links][-1]

    def sign(self, to: str) -> None:
        with urllib.request.urlopen(self.link(to), timeout=20) as page:
            url = page.url
        urllib.request.urlopen(urllib.request.Request(url, b"", method="POST"), timeout=20).close()


ERIC = {"name": "Eric Smith", "mobile_number": "317-123-1234", "send_to": {"email": False, "mobile_number": True}}
JANE = {"name": "Jane Doe", "email": "Jane@Example.com", "send_to": {"email": True, "mobile_number": False}}
ERICS, JANES = "+13171231234", "jane@example.com"
