"""Cold start: seconds from the start of the process to the first response, of each function or those in FUNCTIONS.

Each is compared with an empty function that creates the same Google clients, and some with themselves as they would be
without SOURCE_DATE_EPOCH. What runs is the bundle, treated as Google's buildpack treats it:
https://github.com/GoogleCloudPlatform/buildpacks/blob/main/cmd/python/functions_framework/lib/lib.go
"""

import base64
import hmac
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from bench.harness import BARE, TOKEN, Harness, served, settings, started
from bench.load import drive, get, post
from bench.receive import BODY, make_topics, median_of
from bench.report import Row, alternating, median_ratio, ms
from bench.states import event, half_signed, progress_of, push_envelope, store
from infra.ops.bundle import contents
from infra.ops.deploy import KEEP_BYTECODE
from infra.ops.function_table import chosen
from infra.ops.function_table import functions as table
from infra.ops.shell import Stop
from local.emulation.google_emulators import free_port
from shared.adapters.gcp.firestore import FirestoreLedger
from shared.domain.model import EventType

ROUNDS = 5
IMAGE_TIME = 315532801  # 1980-01-01 00:00:01: every file in an image has this time
STALE = ("receive", "deliver")
FIRING = b'{"request": "none", "signer": "s1", "reminder_day": 3, "task": "t"}'


class Cold(msgspec.Struct, frozen=True):
    """One function. requests: each makes the function call every service it needs. clients: its Google clients.

    backend: with "emulators" no caller needs a token, and the console shows dead letters, as it does not deployed.
    """

    function: str
    clients: str
    requests: Iterator[bytes]
    expected: int = 200
    backend: str = "emulators"


def run(harness: Harness) -> list[Row]:
    google = harness.google()
    make_topics(google)
    with harness.stand_in(0) as stand_in:
        environ, cases = settings(google, stand_in), selected(functions(google["GOOGLE_CLOUD_PROJECT"]))
        rows = [compared(harness, cold, environ, empty(harness, cold, environ)) for cold in cases]
        return rows + [
            compared(harness, cold, environ, stale(harness, cold, environ)) for cold in cases if cold.function in STALE
        ]


def selected(cases: list[Cold]) -> list[Cold]:
    """Those that FUNCTIONS names; by default all. Raises SystemExit for an unknown name."""
    try:
        names = {function.name for function in chosen([table()[c.function] for c in cases])}
    except Stop as stop:
        raise SystemExit(str(stop)) from None
    return [c for c in cases if c.function in names]


def built(directory: Path, function: str, *, keep: bool) -> Path:
    """The bundle as it is in the image. keep: with SOURCE_DATE_EPOCH; without it, its compiled code is out of date."""
    folder = directory / f"{function}-{'kept' if keep else 'stale'}"
    if folder.exists():
        return folder
    for name, data in contents(table()[function]).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    environ = os.environ | ({KEEP_BYTECODE.partition("=")[0]: KEEP_BYTECODE.partition("=")[2]} if keep else {})
    subprocess.run([sys.executable, "-m", "compileall", "-f", "-q", "."], cwd=folder, env=environ, check=True)
    for path in folder.rglob("*"):
        os.utime(path, (IMAGE_TIME, IMAGE_TIME))
    return folder


def functions(project: str) -> list[Cold]:
    return [
        Cold("receive", "pubsub", iter(lambda: post("/", BODY, Pactsafe_Webhook_Token=TOKEN), b"")),
        Cold("resolve", "pubsub firestore tasks", sent_events()),
        Cold("deliver", "pubsub firestore", notices(FirestoreLedger(project))),
        Cold("remind", "firestore", iter(lambda: post("/", FIRING), b"")),
        Cold("links", "firestore", iter(lambda: get(f"/{'x' * 22}"), b""), expected=404),
        Cold("receipts", "firestore", iter(receipt, b"")),
        Cold("console", "firestore", iter(lambda: get("/"), b""), backend="gcp"),
        Cold("reconcile", "firestore", iter(lambda: post("/", b"{}"), b"")),
    ]


def receipt() -> bytes:
    """A delivery receipt with Twilio's signature, for a message that does not exist."""
    path = "/twilio?n=none"
    signed = f"http://bench{path}MessageSidSM0MessageStatusdelivered"
    signature = base64.b64encode(hmac.digest(b"bench", signed.encode(), "sha1")).decode()
    return post(path, b"MessageSid=SM0&MessageStatus=delivered", X_Twilio_Signature=signature)


def sent_events() -> Iterator[bytes]:
    for n in range(100):
        now = datetime.now(UTC)
        yield post("/", push_envelope(event(f"n2x0-cold{n}", EventType.SENT, now), now))


def notices(ledger: FirestoreLedger) -> Iterator[bytes]:
    for n in range(100):
        now = datetime.now(UTC)
        request = half_signed(f"n2x1-cold{n}", now, now - timedelta(hours=1))
        store(ledger, request, now)
        yield post("/sms", push_envelope(progress_of(request, now), now, channel="sms"))


class Other(msgspec.Struct, frozen=True):
    """What a function is compared with. start: seconds to its first response."""

    what: str
    against: str
    goal: str
    start: Callable[[], float]


def empty(harness: Harness, cold: Cold, environ: Mapping[str, str]) -> Other:
    def start() -> float:
        return once(harness, BARE, "clients", {**environ, "CLIENTS": cold.clients}, get("/"), 200)

    return Other(cold.function, f"empty, with {cold.clients.replace(' ', ', ')}", "≤ 1.15", start)


def stale(harness: Harness, cold: Cold, environ: Mapping[str, str]) -> Other:
    """Without SOURCE_DATE_EPOCH; each instance begins with the image, so nothing that it compiles is kept."""
    source = built(harness.directory, cold.function, keep=False) / "main.py"
    here = {**environ, "PYTHONPATH": str(source.parent), "PYTHONDONTWRITEBYTECODE": "1"}

    def start() -> float:
        return once(harness, source, cold.function, here, next(cold.requests), cold.expected)

    return Other(f"{cold.function}, its code compiled", "compiled anew by each instance", "< 1", start)


def compared(harness: Harness, cold: Cold, environ: Mapping[str, str], other: Other) -> Row:
    source = built(harness.directory, cold.function, keep=True) / "main.py"
    here = {**environ, "PYTHONPATH": str(source.parent), "BACKEND": cold.backend}

    def one(of: str) -> float:
        if of == "theirs":
            return other.start()
        return once(harness, source, cold.function, here, next(cold.requests), cold.expected)

    took: dict[str, list[float]] = {"ours": [], "theirs": []}
    for round_no in range(ROUNDS + 1):  # the first round warms the disk cache
        harness.progress.step(f"{other.what}, round {round_no} of {ROUNDS}")
        for of in alternating(took, round_no):
            took[of].append(one(of))
    ours, theirs = took["ours"][1:], took["theirs"][1:]
    shown = {"ours": ms(median_of(ours)), "against": other.against, "theirs": ms(median_of(theirs))}
    return Row(what=other.what, ratio=median_ratio(ours, theirs), goal=other.goal, **shown)


def once(
    harness: Harness, source: Path, target: str, environ: Mapping[str, str], request: bytes, expected: int
) -> float:
    """Seconds to the first response. Raises RuntimeError if its status is not the expected one."""
    port, log = free_port(), harness.directory / "cold.log"
    began = time.perf_counter()
    with started(served(source, target, port), {**environ, "THREADS": "8"}, log) as running:
        while running.poll() is None:
            with suppress(ConnectionRefusedError):
                if drive(port, iter([request]), 1, expected=expected).latencies:
                    return time.perf_counter() - began
                break
            time.sleep(0.002)
    raise RuntimeError(f"{target} did not answer {expected}: {log.read_text()[-2000:]}")
