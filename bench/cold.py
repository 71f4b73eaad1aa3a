"""Cold start: seconds from the start of the process to the first response.

Each function is compared with an empty function that creates the same Google clients.
"""

import base64
import compileall
import hmac
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec

from bench.harness import BARE, ROOT, TOKEN, Harness, served, settings, started
from bench.load import drive, get, post
from bench.receive import BODY, make_topics, median_of
from bench.report import Row, alternating, median_ratio, ms
from bench.states import event, half_signed, progress_of, push_envelope
from local.emulation.google_emulators import free_port
from shared.adapters.gcp.firestore import FirestoreLedger
from shared.domain.model import EventType

ROUNDS = 5
FIRING = b'{"request": "none", "signer": "s1", "reminder_day": 3, "task": "t"}'


class Cold(msgspec.Struct, frozen=True):
    """One function. requests: each makes the function call every service it needs. clients: its Google clients."""

    function: str
    clients: str
    requests: Iterator[bytes]
    expected: int = 200


def run(harness: Harness) -> list[Row]:
    google = harness.google()
    make_topics(google)
    compileall.compile_dir(str(ROOT / "shared"), quiet=2)
    with harness.stand_in(0) as stand_in:
        environ = settings(google, stand_in)
        return [compared(harness, cold, environ) for cold in functions(google["GOOGLE_CLOUD_PROJECT"])]


def functions(project: str) -> list[Cold]:
    return [
        Cold("receive", "pubsub", iter(lambda: post("/", BODY, Pactsafe_Webhook_Token=TOKEN), b"")),
        Cold("resolve", "pubsub firestore tasks", sent_events()),
        Cold("deliver", "firestore", notices(FirestoreLedger(project))),
        Cold("remind", "firestore", iter(lambda: post("/", FIRING), b"")),
        Cold("links", "firestore", iter(lambda: get(f"/{'x' * 22}"), b""), expected=404),
        Cold("receipts", "firestore", iter(receipt, b"")),
        Cold("console", "firestore", iter(lambda: get("/"), b"")),
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
        ledger.put(request.id, request, None)
        yield post("/sms", push_envelope(progress_of(request, now), now, channel="sms"))


def compared(harness: Harness, cold: Cold, environ: Mapping[str, str]) -> Row:
    def one(of: str) -> float:
        if of == "ours":
            return once(harness, cold.function, environ, next(cold.requests), cold.expected)
        return once(harness, "clients", {**environ, "CLIENTS": cold.clients}, get("/"), 200)

    took: dict[str, list[float]] = {"ours": [], "theirs": []}
    for round_no in range(ROUNDS + 1):  # the first round warms the disk cache
        harness.progress.step(f"{cold.function}, round {round_no} of {ROUNDS}")
        for of in alternating(took, round_no):
            took[of].append(one(of))
    ours, theirs = took["ours"][1:], took["theirs"][1:]
    ratio, names = median_ratio(ours, theirs), cold.clients.replace(" ", ", ")
    shown = {"ours": ms(median_of(ours)), "against": f"empty, with {names}", "theirs": ms(median_of(theirs))}
    return Row(what=cold.function, ratio=ratio, goal="≤ 1.15", **shown)


def once(harness: Harness, target: str, environ: Mapping[str, str], request: bytes, expected: int) -> float:
    """Seconds to the first response. Raises RuntimeError if its status is not the expected one."""
    port, log = free_port(), harness.directory / "cold.log"
    source = BARE if target == "clients" else ROOT / "functions" / target / "main.py"
    began = time.perf_counter()
    with started(served(source, target, port), {**environ, "THREADS": "8"}, log) as running:
        while running.poll() is None:
            with suppress(ConnectionRefusedError):
                if drive(port, iter([request]), 1, expected=expected).latencies:
                    return time.perf_counter() - began
                break
            time.sleep(0.002)
    raise RuntimeError(f"{target} did not answer {expected}: {log.read_text()[-2000:]}")
