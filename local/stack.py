"""`make run`: the whole system on one machine, the very entry points that are deployed behind one gateway."""

import logging
import os
import signal
import sys
import threading
import urllib.request
from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server

from local.backends import LocalBackend, start_backend
from shared import wiring
from shared.settings import SettingError

ROOT = Path(__file__).parent.parent
MOUNTS = {"receive": "/receive", "resolve": "/resolve", "deliver": "/deliver", "remind": "/remind"} | {
    "reconcile": "/reconcile",
    "links": "/l",
}
BANNER = """Clickwrap Relay ({backend}) on {base}
  sandbox  {base}/sandbox/   create a request, sign it
  outbox   {base}/outbox/    what its signers get
  Ctrl-C stops it."""


def defaults(base: str) -> dict[str, str]:
    """What a local run need not be told. Anything set in the environment wins."""
    return {
        "BACKEND": "embedded",
        "GOOGLE_CLOUD_PROJECT": "clickwrap-local",
        "LOCATION": "local",
        "CLICKWRAP_WEBHOOK_TOKENS": "local-token",
        "CLICKWRAP_API_URL": f"{base}/sandbox/api/v1.1",
        "CLICKWRAP_API_TOKEN": "sandbox",
        "SMS_PROVIDER": "outbox",
        "EMAIL_PROVIDER": "outbox",
        "EMAIL_FROM": "relay@localhost.localdomain",
        "LINKS_BASE_URL": f"{base}/l",
        "LINKS_SECRET": "local-links-secret",
        "RESOLVE_URL": f"{base}/resolve",
        "DELIVER_URL": f"{base}/deliver",
        "REMIND_URL": f"{base}/remind",
    }


def configure(environ: MutableMapping[str, str], port: int) -> None:
    for name, value in defaults(f"http://127.0.0.1:{port}").items():
        environ.setdefault(name, value)  # one that is set to nothing stays so: it may have to stop the start


class Stack(AbstractContextManager["Stack"]):
    """Everything up on entering, everything down on leaving. One in a process: the settings are the process's own."""

    def __init__(self, directory: Path, port: int) -> None:
        configure(os.environ, port)
        self.port, self.base, self.directory = port, f"http://127.0.0.1:{port}", directory
        self._up = threading.Event()
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            self._serve(stack)
            self.backend: LocalBackend = stack.enter_context(start_backend(self.directory, self.base))
            wiring.use(self.backend)
            self._mount(stack)
            stack.callback(self._stopping.set)
            threading.Thread(target=self._reconcile_forever, daemon=True).start()
            self._up.set()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()

    def _serve(self, stack: ExitStack) -> None:
        """The port is taken first: whoever cannot have it should hear so at once."""
        self._routes = DispatcherMiddleware(self._front)
        server = make_server("127.0.0.1", self.port, self._routes, threaded=True, request_handler=Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.server_close)
        stack.callback(server.shutdown)

    def _front(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path == "/healthz":
            return _plain(start, "200 OK" if self._up.is_set() else "503 Service Unavailable")
        if path == "/":
            return _plain(start, "302 Found", ("Location", "/sandbox/"))
        return _plain(start, "404 Not Found" if self._up.is_set() else "503 Service Unavailable")

    def _mount(self, stack: ExitStack) -> None:
        from functions_framework import create_app

        from local.outbox import create_outbox_app
        from local.sandbox.app import create_app as create_sandbox
        from local.sandbox.app import webhooks_of

        mounts = self._routes.mounts = {}
        for name, path in MOUNTS.items():
            mounts[path] = rooted(create_app(name, str(ROOT / "functions" / name / "main.py")))
        token = wiring.settings().webhook_tokens[0]
        speed = 86_400 / wiring.settings().policy().day
        sandbox = create_sandbox(
            self.directory / "sandbox.db", f"{self.base}/receive", token, f"{self.base}/sandbox", wiring.clock, speed
        )
        mounts["/sandbox"] = sandbox
        webhooks_of(sandbox).start()
        stack.callback(webhooks_of(sandbox).stop)
        mounts["/outbox"] = create_outbox_app(self.backend.caught)

    def _reconcile_forever(self) -> None:
        """Cloud Scheduler's part."""
        pause = wiring.settings().policy().span(60, floor=0.5).total_seconds()
        while not self._stopping.wait(pause):
            with suppress(OSError):
                urllib.request.urlopen(urllib.request.Request(f"{self.base}/reconcile", b"{}"), timeout=60).close()


def rooted(app: Callable[..., Any]) -> Callable[..., Any]:
    """`/receive` itself, without a slash, is the function's root; Flask would redirect it."""

    def wrapped(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        return app({**environ, "PATH_INFO": environ["PATH_INFO"] or "/"}, start)

    return wrapped


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """The functions log what matters themselves."""


def _plain(start: Callable[..., Any], status: str, *headers: tuple[str, str]) -> list[bytes]:
    start(status, [("Content-Type", "text/plain"), *headers])
    return [status.encode() + b"\n"]


def main() -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    port = int(os.environ.get("PORT") or 8080)
    try:
        with Stack(Path(os.environ.get("LOCAL_DIR") or ROOT / ".local"), port) as stack:
            print(BANNER.format(backend=os.environ["BACKEND"], base=stack.base), flush=True)
            stop.wait()
    except SettingError as e:
        print(f"cannot start: {e}", file=sys.stderr)
        return 1
    except SystemExit as e:  # by an entry point, with a line; by the server for a port in use, which has said so itself
        print(e if isinstance(e.code, str) else "Set PORT to a free one.", file=sys.stderr)
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """At once: a call under way to an emulator that is gone would hold the process for its whole deadline."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main())
