"""A bulk send that exceeds the rate limit of API calls: the estimate of docs/scale.md compared with a measured run.

More `request_sent` events arrive at once than the limit allows; rejected ones are delivered again.
"""

import time
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from bench.harness import Harness, settings
from bench.latency import ask
from bench.receive import make_topics
from bench.report import Row
from bench.states import event, push_envelope
from bench.subscribers import THREADS
from shared.domain.model import EventType

EVENTS, PER_MINUTE = 200, 600
REDELIVERY_PAUSE = 0.1  # seconds until a rejected message is delivered again; Pub/Sub waits 10 or more


def run(harness: Harness) -> list[Row]:
    google = harness.google()
    make_topics(google)
    with harness.stand_in(0.05) as stand_in:
        environ = settings(google, stand_in) | {"API_RATE_PER_MINUTE": str(PER_MINUTE), "LOG_LEVEL": "ERROR"}
        with harness.function("resolve", environ, THREADS) as port:
            harness.progress.step(f"{EVENTS} events")
            took, rejections = send(port)
    return [row(took, rejections)]


def row(took: float, rejections: int) -> Row:
    burst = PER_MINUTE / 60  # the token bucket starts full, with the calls of one second
    predicted = (EVENTS - burst) / (PER_MINUTE / 60)
    return Row(
        what=f"{EVENTS} requests at once, {PER_MINUTE} API calls a minute allowed",
        ours=f"{took:.1f} s, {rejections} rejections",
        against="the estimate",
        theirs=f"{predicted:.1f} s",
        ratio=took / predicted,
    )


def send(port: int) -> tuple[float, int]:
    """Post the events until all are handled. Returns the seconds it took, and the number of rejections."""
    now = datetime.now(UTC)
    bodies = [
        push_envelope(event(f"n1x0-{uuid.uuid4().hex}", EventType.SENT, now), now).decode() for _ in range(EVENTS)
    ]
    began, waiting = time.perf_counter(), deque(bodies)
    with ThreadPoolExecutor(THREADS) as pool:
        rejections = sum(pool.map(lambda _: work(port, waiting), range(THREADS)))
    return time.perf_counter() - began, rejections


def work(port: int, waiting: deque[str]) -> int:
    rejections = 0
    while waiting:
        try:
            body = waiting.popleft()
        except IndexError:
            break
        status, _ = ask(port, "POST", "/", body, {"Content-Type": "application/json"})
        if status != 200:
            rejections += 1
            waiting.append(body)
            time.sleep(REDELIVERY_PAUSE)
    return rejections
