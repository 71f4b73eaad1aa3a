"""A burst of webhooks through the local stack, until the provider has every message; beside the synchronous way."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench.harness import TOKEN, Harness, settings
from bench.latency import BACKENDS, ask, stack, until
from bench.report import Row, alternating, median_ratio

WEBHOOKS, SIGNERS, CONNECTIONS, DELAY = 500, 2, 32, 0.05
ROUNDS, TIMEOUT = 3, 120.0  # seconds; the emulators take over half a minute
HEADERS = {"Content-Type": "application/json", "Pactsafe-Webhook-Token": TOKEN}


def run(harness: Harness) -> list[Row]:
    return [row for backend in BACKENDS for row in rows(backend, rates(harness, backend))]


def rates(harness: Harness, backend: str) -> dict[str, list[float]]:
    """Webhooks a second of each round, the first of which only warms up."""
    with harness.stand_in(DELAY) as stand_in, stack(harness, backend, stand_in) as port:
        environ = settings({"GOOGLE_CLOUD_PROJECT": "bench", "LOCATION": "here"}, stand_in) | {"SIGNERS": str(SIGNERS)}
        with harness.bare("synchronous", environ, CONNECTIONS) as bare:
            ways: dict[str, Callable[[str], float]] = {
                "relay": lambda key: burst(port, "/receive", stand_in, key),
                "synchronous": lambda key: burst(bare, "/", stand_in, key),
            }
            found: dict[str, list[float]] = {way: [] for way in ways}
            for n in range(ROUNDS + 1):
                for way, measure in alternating(ways.items(), n):
                    harness.progress.step(f"{backend}, round {n} of {ROUNDS}, {way}")
                    found[way].append(measure(f"{way}{n}"))
            return {way: measured[1:] for way, measured in found.items()}


def burst(port: int, path: str, stand_in: str, key: str) -> float:
    """Webhooks a second, from the first of them to the provider's last message."""

    def post(n: int) -> None:
        request = f"n{SIGNERS}x0-{key}-{n:03d}"
        body = json.dumps({"event_type": "request_sent", "id": request, "request": request})
        status, _ = ask(port, "POST", path, body, HEADERS)
        if status != 200:
            raise RuntimeError(f"a webhook was answered {status}")

    before, began = len(sent(stand_in)), time.time()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(post, range(WEBHOOKS)))
    wanted = before + WEBHOOKS * SIGNERS
    times = until(lambda: at if len(at := sent(stand_in)) >= wanted else None, TIMEOUT)
    return WEBHOOKS / (max(times) - began)


def sent(stand_in: str) -> list[float]:
    """When the provider was called."""
    log = json.loads(ask(int(stand_in.rpartition(":")[2]), "GET", "/log")[1])
    time.sleep(0.1)
    return [at for at, line, _ in log if "Messages.json" in line]


def rows(backend: str, rates: dict[str, list[float]]) -> list[Row]:
    ours, theirs = rates["relay"], rates["synchronous"]
    return [
        Row(
            what=f"{WEBHOOKS} webhooks of {SIGNERS} signers, {CONNECTIONS} connections, {backend}",
            ours=f"{sorted(ours)[len(ours) // 2]:.0f}/s",
            against="synchronous: GET, then shorten and send for each, at 50 ms, 32 threads",
            theirs=f"{sorted(theirs)[len(theirs) // 2]:.0f}/s",
            ratio=median_ratio(ours, theirs),
        )
    ]
