"""`make run`: the whole system on one machine. The deployed entry points run behind one HTTP gateway."""

import logging
import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self
from urllib.parse import urlsplit

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from local.stack.backends import LocalBackend, start_backend
from local.stack.clock import Calls, Travel, VirtualClock
from local.stack.identity import PUSH, SCHEDULER, TASKS, bearer, guarded
from local.stack.in_process import in_process
from shared import bootstrap
from shared.setting_types import SettingError
from shared.settings.local import PORT
from shared.settings.own_systems import STATUS_WEBHOOK_URL

ROOT = Path(__file__).parents[2]
MOUNTS = {"receive": "/receive", "resolve": "/resolve", "deliver": "/deliver", "remind": "/remind"} | {
    "reconcile": "/reconcile",
    "links": "/l",
    "receipts": "/receipts",
    "console": "/console",
    "forward": "/forward",
}
MAX_CONNECTIONS = 256  # at a time: a call may wait for one that it causes, so there are more than there are callers
PUBLIC = ("receive", "links", "receipts")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
BANNER = """Clickwrap Relay ({backend}) on {base}
  sandbox  {base}/sandbox/   create a request, sign it
  outbox   {base}/outbox/    the messages to its signers
  console  {base}/console/   what happened to each message, and why
  Ctrl-C stops it."""


def defaults(base: str) -> dict[str, str]:
    """Default settings of a local run. The environment overrides them."""
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
        "ADDRESS_SECRET": "local-address-secret",
        "EVIDENCE_KEY": str(ROOT / ".local" / "evidence.pem"),
        "RESOLVE_URL": f"{base}/resolve",
        "RECEIVE_URL": f"{base}/receive",
        "DELIVER_URL": f"{base}/deliver",
        "REMIND_URL": f"{base}/remind",
        "FORWARD_URL": f"{base}/forward",
        "RECONCILE_URL": f"{base}/reconcile",
        "CALLERS": f"{PUSH},{TASKS},{SCHEDULER}",
        "TASKS_SERVICE_ACCOUNT": TASKS,
    }


def configure(environ: MutableMapping[str, str], port: int) -> None:
    for name, value in defaults(f"http://127.0.0.1:{port}").items():
        environ.setdefault(name, value)  # an empty value is kept, because the settings may reject it


class Stack(AbstractContextManager["Stack"]):
    """Starts everything on entering and stops it on leaving. Only one per process, because settings are global."""

    def __init__(self, directory: Path, port: int) -> None:
        configure(os.environ, port)
        self.port, self.base, self.directory = port, f"http://127.0.0.1:{port}", directory
        self._up = threading.Event()
        self._stopping, self._calls = threading.Event(), Calls()

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)  # its databases hold signing links
        with ExitStack() as stack:
            self._serve(stack)
            clock = VirtualClock(self.directory / "time")
            bootstrap.set_time(clock)
            post = in_process(self._routes, self.base)
            self.backend: LocalBackend = stack.enter_context(start_backend(self.directory, self.base, clock, post))
            bootstrap.use(self.backend)
            self.travel = Travel(clock, self._calls, bootstrap.settings().policy().day, self.backend.next_reminder)
            self._mount(stack)
            self.backend.start()
            stack.callback(self._stop_reconciling)
            threading.Thread(target=self._reconcile_forever, daemon=True).start()
            self._up.set()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()

    def _serve(self, stack: ExitStack) -> None:
        """Bind the port first, so that an occupied port is reported at once."""
        self._routes = DispatcherMiddleware(self._front)
        server = Server("127.0.0.1", self.port, self._routes, handler=Quiet)
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

        from local.sandbox.app import create_app as create_sandbox
        from local.sandbox.app import webhooks_of
        from local.sandbox.outbox import create_outbox_app
        from local.sandbox.scenarios import add_scenarios
        from local.sandbox.times import add_time_buttons

        mounts = self._routes.mounts = {}
        for name, path in MOUNTS.items():
            if name == "forward" and not bootstrap.settings()[STATUS_WEBHOOK_URL]:
                continue
            app = create_app(name, str(ROOT / "functions" / name / "main.py"))
            served = with_root_path(counted(authenticated(name, app), self._calls))
            mounts[path] = served if name in PUBLIC else for_this_machine(served)
        token = bootstrap.settings().webhook_tokens[0]
        speed = 86_400 / bootstrap.settings().policy().day
        sandbox = create_sandbox(
            self.directory / "sandbox.db", f"{self.base}/receive", token, f"{self.base}/sandbox", bootstrap.clock, speed
        )
        add_time_buttons(sandbox, self.travel)
        add_scenarios(sandbox, self.backend.stored_messages)
        mounts["/sandbox"] = for_this_machine(sandbox)
        webhooks_of(sandbox).start()
        stack.callback(webhooks_of(sandbox).stop)
        outbox = create_outbox_app(self.backend.stored_messages, self.backend.request_of, self._text_back)
        add_time_buttons(outbox, self.travel)
        mounts["/outbox"] = for_this_machine(outbox)

    def _text_back(self, number: str, text: str) -> None:
        from local.sandbox.receipts import text_back

        text_back(f"{self.base}/receipts", number, text, bootstrap.clock())

    def _stop_reconciling(self) -> None:
        self._stopping.set()
        self.travel.moved.set()

    def _reconcile_forever(self) -> None:
        """Call reconcile every minute, as Cloud Scheduler does."""
        pause = bootstrap.settings().policy().span(60, floor=0.5).total_seconds()
        while True:
            self.travel.moved.wait(pause)
            self.travel.moved.clear()
            if self._stopping.is_set():
                return
            with suppress(OSError):
                url, identity = f"{self.base}/reconcile", bearer(bootstrap.callers("reconcile").audience, SCHEDULER)
                urllib.request.urlopen(urllib.request.Request(url, b"{}", identity), timeout=60).close()


def authenticated(name: str, app: Callable[..., Any]) -> Callable[..., Any]:
    """Require a token for a private function.

    Google's Pub/Sub emulator sends no token, so with it anonymous calls of what it pushes to get one. Those of `remind`
    and `reconcile` always do, for tests by hand: what they do does not depend on the caller.
    """
    if name not in bootstrap.URLS:
        return app
    pushed = name not in ("remind", "reconcile")
    if pushed and bootstrap.settings().backend != "emulators":
        return guarded(app)
    return guarded(app, partial(bearer, bootstrap.callers(name).audience, PUSH if pushed else TASKS))


def for_this_machine(app: Callable[..., Any]) -> Callable[..., Any]:
    """Answer only to this machine's own names, on any port.

    A page elsewhere whose name is made to mean 127.0.0.1, and a tunnel to this machine, come with another Host.
    """

    def wrapped(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if _host_name(environ.get("HTTP_HOST", "")) in LOOPBACK:
            return app(environ, start)
        return _plain(start, "421 Misdirected Request")

    return wrapped


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def counted(app: Callable[..., Any], calls: Calls) -> Callable[..., Any]:
    """Count the app's calls, so that the clock is not set forward during one."""

    def wrapped(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        with calls.one():
            return app(environ, start)

    return wrapped


def with_root_path(app: Callable[..., Any]) -> Callable[..., Any]:
    """Make `/receive` without a slash the function's root path; Flask would redirect it."""

    def wrapped(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        return app({**environ, "PATH_INFO": environ["PATH_INFO"] or "/"}, start)

    return wrapped


class Server(ThreadedWSGIServer):
    """Its threads stay for the next connections: to start one costs more than most calls."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self._pool = ThreadPoolExecutor(MAX_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._pool.submit(self.process_request_thread, request, client_address)


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing: the functions write their own logs."""


def _plain(start: Callable[..., Any], status: str, *headers: tuple[str, str]) -> list[bytes]:
    start(status, [("Content-Type", "text/plain"), *headers])
    return [status.encode() + b"\n"]


def main() -> int:
    stops = list[int]()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stops.append(number))
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    try:
        port = bootstrap.settings()[PORT]
        with Stack(Path(os.environ.get("LOCAL_DIR") or ROOT / ".local"), port) as stack:
            print(BANNER.format(backend=os.environ["BACKEND"], base=stack.base), flush=True)
            while not stops:  # short sleeps: a signal that another thread handles does not end a long wait
                time.sleep(0.2)
    except SettingError as e:
        print(f"cannot start: {e}", file=sys.stderr)
        return 1
    except SystemExit as e:  # from an entry point with a message, or from the server for a used port
        print(e if isinstance(e.code, str) else "Set PORT to a free one.", file=sys.stderr)
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """Exit at once: a running call to a stopped emulator would delay a normal exit until its deadline."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
