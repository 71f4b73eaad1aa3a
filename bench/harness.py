"""Runs what the benchmarks need: emulators, stand-ins and functions, each as a process; and shows the progress."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local.emulation.google_emulators import emulators, free_port

ROOT = Path(__file__).parent.parent
BARE = ROOT / "bench" / "bare" / "main.py"
START_TIMEOUT, STOP_TIMEOUT = 30.0, 5.0  # seconds until a process accepts connections, and until it ends
TOKEN = "bench-token-of-more-than-32-characters"


class Progress:
    """One line on stderr, updated in place: the benchmark, its step and the time so far."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._began = total, 0, time.monotonic()
        self.name = ""

    def step(self, what: str) -> None:
        self._show(what)

    def finish(self) -> None:
        self._done += 1
        self._show("done", "\n" if self._done == self._total or not sys.stderr.isatty() else "")

    def _show(self, what: str, end: str = "") -> None:
        width = 24
        full = width * self._done // self._total
        bar = "#" * full + "." * (width - full)
        line = f"\r[{bar}] {time.monotonic() - self._began:4.0f} s  {self.name}: {what}"
        if sys.stderr.isatty() or end:
            print(f"{line:<100.100}", end=end, file=sys.stderr, flush=True)


class Harness:
    """Starts the emulators once, at their first use; each benchmark gets a project of its own."""

    def __init__(self, stack: ExitStack, directory: Path, progress: Progress) -> None:
        self.directory, self.progress = directory, progress
        self._stack = stack
        self._google: dict[str, str] = {}

    def google(self) -> dict[str, str]:
        """The variables that point Google's clients at the emulators, and an empty project."""
        if not self._google:
            self.progress.step("starting the emulators")
            hosts = self._stack.enter_context(emulators(self.directory / "emulators"))
            port = free_port()
            argv = [sys.executable, "-m", "local.emulation.tasks_emulator", "--port", str(port)]
            self._stack.enter_context(process(argv, port, {}, self.directory / "tasks.log"))
            self._google = {**hosts, "CLOUD_TASKS_EMULATOR_HOST": f"127.0.0.1:{port}"}
        return {**self._google, "GOOGLE_CLOUD_PROJECT": f"bench-{uuid.uuid4().hex[:10]}", "LOCATION": "here"}

    @contextmanager
    def stand_in(self, delay: float) -> Iterator[str]:
        """Run a stand-in that answers after `delay` seconds. Yields its base URL."""
        port = free_port()
        argv = [sys.executable, "-m", "bench.stand_in", str(port), str(delay)]
        with process(argv, port, {}, self.directory / "stand-in.log"):
            yield f"http://127.0.0.1:{port}"

    @contextmanager
    def function(self, name: str, environ: Mapping[str, str], threads: int) -> Iterator[int]:
        """Run one of our functions with functions-framework, as in the cloud. Yields its port."""
        with self._served(ROOT / "functions" / name / "main.py", name, environ, threads) as port:
            yield port

    @contextmanager
    def bare(self, target: str, environ: Mapping[str, str], threads: int) -> Iterator[int]:
        """Run a function of bench/bare/main.py. Yields its port."""
        with self._served(BARE, target, environ, threads) as port:
            yield port

    @contextmanager
    def _served(self, source: Path, target: str, environ: Mapping[str, str], threads: int) -> Iterator[int]:
        port = free_port()
        environ = {**environ, "THREADS": str(threads)}
        with process(served(source, target, port), port, environ, self.directory / f"{target}.log"):
            yield port


def served(source: Path, target: str, port: int) -> list[str]:
    """The command of functions-framework, which runs gunicorn with one worker."""
    argv = [str(Path(sys.executable).parent / "functions-framework"), "--source", str(source), "--target", target]
    return [*argv, "--signature-type", signature(target), "--host", "127.0.0.1", "--port", str(port)]


def signature(target: str) -> str:
    return "cloudevent" if target in ("resolve", "deliver") else "http"


def settings(google: Mapping[str, str], stand_in: str) -> dict[str, str]:
    """The settings of a deployment with SMS by Twilio and our own short links."""
    return {
        **google,
        "BACKEND": "emulators",  # Google's clients, as in the cloud, but no token of a caller is needed
        "CLICKWRAP_WEBHOOK_TOKENS": TOKEN,
        "CLICKWRAP_API_URL": f"{stand_in}/v1.1",
        "CLICKWRAP_API_TOKEN": "bench",
        "API_RATE_PER_MINUTE": "1000000",
        "SMS_PROVIDER": "twilio",
        "TWILIO_ACCOUNT_SID": "AC0",
        "TWILIO_AUTH_TOKEN": "bench",
        "TWILIO_FROM": "+13175550000",
        "TWILIO_API_URL": stand_in,
        "LINKS_BASE_URL": "https://l.example",
        "ADDRESS_SECRET": "bench-secret-of-more-than-32-characters",
        "LINKS_SECRET": "bench-secret-of-more-than-32-characters",
        "REMIND_URL": "http://127.0.0.1:9/remind",
        "RESOLVE_URL": "http://127.0.0.1:9/resolve",
        "DELIVER_URL": "http://127.0.0.1:9/deliver",
        "TASKS_SERVICE_ACCOUNT": "relay-tasks@bench.iam.gserviceaccount.com",
        "PYTHONPATH": str(ROOT),
        "STAND_IN": stand_in,
    }


@contextmanager
def process(argv: list[str], port: int, environ: Mapping[str, str], log: Path) -> Iterator[int]:
    """Run a process and end its whole process group afterwards. Yields its pid once its port accepts connections.

    Raises:
        TimeoutError: it does not accept connections in time.
    """
    with started(argv, environ, log) as running:
        wait_for(port, running, log)
        yield running.pid


@contextmanager
def started(argv: list[str], environ: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as out:
        running = subprocess.Popen(
            argv, cwd=ROOT, env={**os.environ, **environ}, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield running
    finally:
        end(running)


def end(running: "subprocess.Popen[bytes]") -> None:
    """SIGTERM first, so that the local stack can end its emulators; then SIGKILL, because gunicorn waits for idle
    connections."""
    running.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(STOP_TIMEOUT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def wait_for(port: int, running: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end and running.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.002)
    raise TimeoutError(f"{running.args!r} did not start: {log.read_text()[-2000:]}")
