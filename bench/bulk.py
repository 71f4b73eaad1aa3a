"""A bulk send against the API's budget: the arithmetic of docs/scale.md beside a small real run.

So many `request_sent` at once, more than the budget of calls lets through; what is turned away comes again.
"""

import time
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from bench.harness import Ground, settings
from bench.latency import ask
from bench.receive import make_topics
from bench.report import Row
from bench.states import event, push_envelope
from bench.subscribers import THREADS
from shared.domain.model import EventType

EVENTS, PER_MINUTE = 200, 600
PAUSE = 0.1  # seconds until a message that was turned away comes again; Pub/Sub takes 10 and more


def run(ground: Ground) -> list[Row]:
    google = ground.google()
    make_topics(google)
    with ground.stand_in(0.05) as stand_in:
        environ = settings(google, stand_in) | {"API_RATE_PER_MINUTE": str(PER_MINUTE), "LOG_LEVEL": "ERROR"}
        with ground.function("resolve", environ, THREADS) as port:
            ground.progress.step(f"{EVENTS} events")
            took, turned_away = send(port)
    return [row(took, turned_away)]


def row(took: float, turned_away: int) -> Row:
    burst = PER_MINUTE / 60  # the bucket starts full: a second's worth
    predicted = (EVENTS - burst) / (PER_MINUTE / 60)
    return Row(
        what=f"{EVENTS} requests at once, {PER_MINUTE} calls a minute allowed",
        ours=f"{took:.1f} s, {turned_away} times turned away",
        against="the arithmetic",
        theirs=f"{predicted:.1f} s",
        ratio=took / predicted,
    )


def send(port: int) -> tuple[float, int]:
    """Seconds until all are handled, and how often one was turned away."""
    now = datetime.now(UTC)
    bodies = [
        push_envelope(event(f"n1x0-{uuid.uuid4().hex}", EventType.SENT, now), now).decode() for _ in range(EVENTS)
    ]
    began, waiting = time.perf_counter(), deque(bodies)
    with ThreadPoolExecutor(THREADS) as pool:
        turned_away = sum(pool.map(lambda _: work(port, waiting), range(THREADS)))
    return time.perf_counter() - began, turned_away


def work(port: int, waiting: deque[str]) -> int:
    turned_away = 0
    while waiting:
        try:
            body = waiting.popleft()
        except IndexError:
            break
        status, _ = ask(port, "POST", "/", body, {"Content-Type": "application/json"})
        if status != 200:
            turned_away += 1
            waiting.append(body)
            time.sleep(PAUSE)
    return turned_away
