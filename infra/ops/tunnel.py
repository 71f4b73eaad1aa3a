"""The tunnel of `make console`: loopback to the private function, with the operator's identity.

It answers only calls to its own name. A page elsewhere whose name is made to mean 127.0.0.1 (DNS rebinding) sends
another Host, and could otherwise read the console with the operator's identity.
"""

import http.client
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from infra.ops.shell import Stop

TOKEN_KEPT = 1_800.0  # seconds; Google's live for an hour
MAX_BODY = 1024 * 1024  # bytes
TIMEOUT = 65.0  # seconds; the function has 60
NOT_PASSED_ON = frozenset({"host", "origin", "authorization", "connection", "transfer-encoding", "content-length"})


class Tunnel(ThreadingHTTPServer):
    """url: of the function. identity: gives an identity token of the operator's."""

    daemon_threads = True

    def __init__(self, port: int, url: str, identity: Callable[[], str]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.target = urlsplit(url)
        self.names = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}
        self._identity, self._token, self._asked_at = identity, "", float("-inf")

    def token(self) -> str:
        """Asked for anew before it ends."""
        if time.monotonic() - self._asked_at > TOKEN_KEPT:
            self._token, self._asked_at = self._identity(), time.monotonic()
        return self._token


class Handler(BaseHTTPRequestHandler):
    server: Tunnel

    def _pass_on(self) -> None:
        size = self.headers.get("Content-Length", "0")
        if self.headers.get("Host") not in self.server.names:
            self.send_error(421, "this tunnel answers to 127.0.0.1 and localhost only")
        elif not self._from_here():
            self.send_error(403, "this form was sent by another site's page")
        elif not size.isdecimal() or int(size) > MAX_BODY:
            self.send_error(413)
        else:
            self._passed(self.rfile.read(int(size)))

    do_GET = do_HEAD = do_POST = _pass_on

    def _from_here(self) -> bool:
        origin = self.headers.get("Origin")
        return origin is None or urlsplit(origin).netloc == self.headers["Host"]

    def _passed(self, body: bytes) -> None:
        try:
            answer = self._asked(body)
        except Stop as stop:  # the login has expired
            self.send_error(502, explain=str(stop))
        except (OSError, http.client.HTTPException) as e:
            self.send_error(502, explain=f"the console cannot be reached: {e}")
        else:
            self._answer(answer)

    def _asked(self, body: bytes) -> http.client.HTTPResponse:
        target = self.server.target
        kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
        connection = kind(target.netloc, timeout=TIMEOUT)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in NOT_PASSED_ON}
        headers |= {"Authorization": f"Bearer {self.server.token()}"}
        headers |= {"Origin": f"{target.scheme}://{target.netloc}"} if "Origin" in self.headers else {}
        connection.request(self.command, target.path.rstrip("/") + self.path, body or None, headers)
        return connection.getresponse()

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in NOT_PASSED_ON:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: paths hold the ids of requests."""
