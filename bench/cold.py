"""From the start of the process to the first answer, each function beside an empty one with the same Google clients."""

import base64
import compileall
import hmac
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec

from bench.harness import BARE, ROOT, TOKEN, Ground, served, settings, started
from bench.load import drive, get, post
from bench.receive import BODY, make_topics, mid
from bench.report import Row, median_ratio, ms, there_and_back
from bench.states import event, half_signed, progress_of, push_envelope
from local.emulation.google_emulators import free_port
from shared.adapters.gcp.firestore import FirestoreLedger
from shared.domain.model import EventType

ROUNDS = 5
FIRING = b'{"request": "none", "signer": "s1", "reminder_day": 3, "task": "t"}'


class Cold(msgspec.Struct, frozen=True):
    """Its first request does a call to each service that the function needs. clients: of Google's, by that call."""

    function: str
    clients: str
    requests: Iterator[bytes]
    wanted: int = 200


def run(ground: Ground) -> list[Row]:
    google = ground.google()
    make_topics(google)
    compileall.compile_dir(str(ROOT / "shared"), quiet=2)
    with ground.stand_in(0) as stand_in:
        environ = settings(google, stand_in)
        return [compared(ground, cold, environ) for cold in functions(google["GOOGLE_CLOUD_PROJECT"])]


def functions(project: str) -> list[Cold]:
    return [
        Cold("receive", "pubsub", iter(lambda: post("/", BODY, Pactsafe_Webhook_Token=TOKEN), b"")),
        Cold("resolve", "pubsub firestore tasks", sent_events()),
        Cold("deliver", "firestore", notices(FirestoreLedger(project))),
        Cold("remind", "firestore", iter(lambda: post("/", FIRING), b"")),
        Cold("links", "firestore", iter(lambda: get(f"/{'x' * 22}"), b""), wanted=404),
        Cold("receipts", "firestore", iter(receipt, b"")),
        Cold("console", "firestore", iter(lambda: get("/"), b"")),
        Cold("reconcile", "firestore", iter(lambda: post("/", b"{}"), b"")),
    ]


def receipt() -> bytes:
    """Signed as Twilio does it, of a message that is nobody's."""
    path = "/twilio?n=none"
    signed = f"http://bench{path}MessageSidSM0MessageStatusdelivered"
    signature = base64.b64encode(hmac.digest(b"bench", signed.encode(), "sha1")).decode()
    return post(path, b"MessageSid=SM0&MessageStatus=delivered", X_Twilio_Signature=signature)


def sent_events() -> Iterator[bytes]:
    for turn in range(100):
        now = datetime.now(UTC)
        yield post("/", push_envelope(event(f"n2x0-cold{turn}", EventType.SENT, now), now))


def notices(ledger: FirestoreLedger) -> Iterator[bytes]:
    for turn in range(100):
        now = datetime.now(UTC)
        request = half_signed(f"n2x1-cold{turn}", now, now - timedelta(hours=1))
        ledger.put(request.id, request, None)
        yield post("/sms", push_envelope(progress_of(request, now), now, channel="sms"))


def compared(ground: Ground, cold: Cold, environ: Mapping[str, str]) -> Row:
    def one(of: str) -> float:
        if of == "ours":
            return once(ground, cold.function, environ, next(cold.requests), cold.wanted)
        return once(ground, "clients", {**environ, "CLIENTS": cold.clients}, get("/"), 200)

    took: dict[str, list[float]] = {"ours": [], "theirs": []}
    for turn in range(ROUNDS + 1):  # the first warms the disk
        ground.progress.step(f"{cold.function}, round {turn} of {ROUNDS}")
        for of in there_and_back(took, turn):
            took[of].append(one(of))
    ours, theirs = took["ours"][1:], took["theirs"][1:]
    ratio, names = median_ratio(ours, theirs), cold.clients.replace(" ", ", ")
    shown = {"ours": ms(mid(ours)), "against": f"empty, with {names}", "theirs": ms(mid(theirs))}
    return Row(what=cold.function, ratio=ratio, goal="≤ 1.15", **shown)


def once(ground: Ground, target: str, environ: Mapping[str, str], request: bytes, wanted: int) -> float:
    """Seconds. Raises RuntimeError when the first answer is not the wanted one."""
    port, log = free_port(), ground.directory / "cold.log"
    source = BARE if target == "clients" else ROOT / "functions" / target / "main.py"
    began = time.perf_counter()
    with started(served(source, target, port), {**environ, "THREADS": "8"}, log) as running:
        while running.poll() is None:
            with suppress(ConnectionRefusedError):
                if drive(port, iter([request]), 1, wanted=wanted).latencies:
                    return time.perf_counter() - began
                break
            time.sleep(0.002)
    raise RuntimeError(f"{target} did not answer {wanted}: {log.read_text()[-2000:]}")
