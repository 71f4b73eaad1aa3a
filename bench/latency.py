"""Time from a webhook to the call of the provider, through the whole local stack, one request at a time."""

import http.client
import json
import statistics
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from bench.harness import TOKEN, Harness, process, settings
from bench.report import Row, ms
from local.emulation.google_emulators import free_port

T = TypeVar("T")

REQUESTS = 40
BACKENDS = ("embedded", "emulators")
ARRIVAL_TIMEOUT = 30.0  # seconds


class Trip(msgspec.Struct):
    """Seconds since the webhook was posted."""

    answered: float
    fetched: float
    sent: float


def run(harness: Harness) -> list[Row]:
    return [row for backend in BACKENDS for row in rows(backend, trips(harness, backend))]


def trips(harness: Harness, backend: str) -> list[Trip]:
    with harness.stand_in(0) as stand_in, stack(harness, backend, stand_in) as port:
        made = []
        for n in range(REQUESTS + 5):
            harness.progress.step(f"{backend}, {n} of {REQUESTS}")
            made.append(trip(port, stand_in, f"n1x0-latency{n:03d}"))
        return made[5:]  # the first five warm up


@contextmanager
def stack(harness: Harness, backend: str, stand_in: str) -> Iterator[int]:
    port = free_port()
    google = {"GOOGLE_CLOUD_PROJECT": "bench", "LOCATION": "here"}
    environ = settings(google, stand_in) | {
        "BACKEND": backend,
        "PORT": str(port),
        "LOCAL_DIR": str(harness.directory / backend),
        "LOG_LEVEL": "WARNING",
        **{f"{f.upper()}_URL": f"http://127.0.0.1:{port}/{f}" for f in ("remind", "resolve", "deliver")},
    }
    with process([sys.executable, "-m", "local.stack"], port, environ, harness.directory / "stack.log"):
        until(lambda: ask(port, "GET", "/healthz")[0] == 200)
        yield port


def trip(port: int, stand_in: str, key: str) -> Trip:
    body = json.dumps({"event_type": "request_sent", "id": key, "request": key})
    began, headers = time.time(), {"Content-Type": "application/json", "Pactsafe-Webhook-Token": TOKEN}
    status, _ = ask(port, "POST", "/receive", body, headers)
    answered = time.time() - began
    if status != 200:
        raise RuntimeError(f"the webhook was answered {status}")
    fetched, sent = until(lambda: came(stand_in, key))
    return Trip(answered, fetched - began, sent - began)


def came(stand_in: str, key: str) -> tuple[float, float] | None:
    """Times of the API call for the request and of the provider's call; None until both have happened."""
    log = json.loads(ask(int(stand_in.rpartition(":")[2]), "GET", "/log")[1])
    fetched = [at for at, line, _ in log if f"/{key} " in line]
    sent = [at for at, _, body in log if key in urllib.parse.unquote_plus(body)]
    return (fetched[0], sent[0]) if fetched and sent else None


def ask(
    port: int, method: str, path: str, body: str | None = None, headers: Mapping[str, str] = {}
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def until(check: Callable[[], T | None], seconds: float = ARRIVAL_TIMEOUT) -> T:
    """Call `check` until its result is true, and return it. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not (found := check()):
        if time.monotonic() > end:
            raise TimeoutError(f"nothing arrived within {seconds:.0f} s")
        time.sleep(0.02)
    return found


def rows(backend: str, trips: list[Trip]) -> list[Row]:
    sent = [t.sent for t in trips]
    parts_by_name = {
        "webhook answered": [t.answered for t in trips],
        "webhook answered to API called": [t.fetched - t.answered for t in trips],
        "API called to provider called": [t.sent - t.fetched for t in trips],
    }
    parts = ", ".join(f"{name} {ms(statistics.median(values))}" for name, values in parts_by_name.items())
    total = f"p50 {ms(statistics.median(sent))}, p99 {ms(statistics.quantiles(sent, n=100, method='inclusive')[98])}"
    return [Row(what=f"webhook to provider, {backend}", ours=total, against="its parts, p50", theirs=parts)]
