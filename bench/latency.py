"""From the webhook's arrival to the provider's being called, through the whole local stack, one request at a time."""

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

from bench.harness import TOKEN, Ground, process, settings
from bench.report import Row, ms
from local.emulation.google_emulators import free_port

T = TypeVar("T")

REQUESTS = 40
BACKENDS = ("embedded", "emulators")
LOST_AFTER = 30.0  # seconds


class Trip(msgspec.Struct):
    """Seconds since the webhook was posted."""

    answered: float
    fetched: float
    sent: float


def run(ground: Ground) -> list[Row]:
    return [row for backend in BACKENDS for row in rows(backend, trips(ground, backend))]


def trips(ground: Ground, backend: str) -> list[Trip]:
    with ground.stand_in(0) as stand_in, stack(ground, backend, stand_in) as port:
        made = []
        for n in range(REQUESTS + 5):
            ground.progress.step(f"{backend}, {n} of {REQUESTS}")
            made.append(trip(port, stand_in, f"n1x0-life{n:03d}"))
        return made[5:]  # the first ones warm up


@contextmanager
def stack(ground: Ground, backend: str, stand_in: str) -> Iterator[int]:
    port = free_port()
    google = {"GOOGLE_CLOUD_PROJECT": "bench", "LOCATION": "here"}
    environ = settings(google, stand_in) | {
        "BACKEND": backend,
        "PORT": str(port),
        "LOCAL_DIR": str(ground.directory / backend),
        "LOG_LEVEL": "WARNING",
        **{f"{f.upper()}_URL": f"http://127.0.0.1:{port}/{f}" for f in ("remind", "resolve", "deliver")},
    }
    with process([sys.executable, "-m", "local.stack"], port, environ, ground.directory / "stack.log"):
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
    """When the API was asked for the request and the provider got its text; None before both have happened."""
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


def until(look: Callable[[], T | None]) -> T:
    """What `look` finds at last. Raises TimeoutError."""
    end = time.monotonic() + LOST_AFTER
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"nothing came within {LOST_AFTER:.0f} s")
        time.sleep(0.02)
    return found


def rows(backend: str, trips: list[Trip]) -> list[Row]:
    sent = [t.sent for t in trips]
    hops = {
        "webhook answered": [t.answered for t in trips],
        "answered to API asked": [t.fetched - t.answered for t in trips],
        "API asked to provider called": [t.sent - t.fetched for t in trips],
    }
    parts = ", ".join(f"{name} {ms(statistics.median(values))}" for name, values in hops.items())
    total = f"p50 {ms(statistics.median(sent))}, p99 {ms(statistics.quantiles(sent, n=100, method='inclusive')[98])}"
    return [Row(what=f"webhook to provider, {backend}", ours=total, against="its hops, p50", theirs=parts)]
