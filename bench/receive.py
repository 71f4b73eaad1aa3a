"""Webhooks a second over 32 connections; each is answered after Pub/Sub has confirmed its event."""

import itertools
import json
import os
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack

from bench.harness import TOKEN, Harness, settings
from bench.load import Run, clean, drive, post
from bench.report import Row, alternating, median_ratio, ms
from local.emulation.provision import provision
from local.emulation.topology import Queue

ROUNDS, SECONDS, ALONE_SECONDS = 5, 2.5, 0.5  # length of a run over all connections, and over one
CONNECTIONS = 32
TOPICS = ("clickwrap-events", "signer-notices", "request-status")
BODY = json.dumps(
    {
        "event_type": "request_sent",
        "id": "5f0c6a2d9b1e4c0007a1b2c3",
        "request": "n2x0-bench",
        "signer": None,
        "site": "5f0c6a2d9b1e4c0007a1b2c4",
        "description": "Ann Sender sent Employment Agreement",
        "links": {"request": "https://app.pactsafe.com/requests/n2x0-bench"},
    }
).encode()
REQUEST = post("/", BODY, Pactsafe_Webhook_Token=TOKEN)


def run(harness: Harness) -> list[Row]:
    google = harness.google()
    make_topics(google)
    with ExitStack() as stack:
        environ = settings(google, stack.enter_context(harness.stand_in(0.05)))
        ports = {"receive": stack.enter_context(harness.function("receive", environ, CONNECTIONS))}
        for bare in ("publish", "nothing", "synchronous"):
            ports[bare] = stack.enter_context(harness.bare(bare, environ, CONNECTIONS))
        runs = rounds(harness, ports)
    return rows(runs)


def make_topics(google: dict[str, str]) -> None:
    """Create the topics and the queue on the emulators, and let this process use the emulators too."""
    os.environ.update(google)
    queues = [Queue(name="reminders", min_backoff=10, max_backoff=600)]
    provision(google["GOOGLE_CLOUD_PROJECT"], "here", topics=TOPICS, queues=queues)


def rounds(harness: Harness, ports: dict[str, int]) -> dict[str, list[Run]]:
    """Run each function in every round; the first round only warms up."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for round_no in range(ROUNDS + 1):
        for name, port in alternating(ports.items(), round_no):
            harness.progress.step(f"round {round_no} of {ROUNDS}, {name}")
            together = clean(drive(port, itertools.repeat(REQUEST), CONNECTIONS, SECONDS if round_no else 1.0))
            alone = clean(drive(port, itertools.repeat(REQUEST), 1, ALONE_SECONDS))
            if round_no:
                runs[name].append(together)
                runs[f"{name} alone"].append(alone)
    return runs


def rows(runs: dict[str, list[Run]]) -> list[Row]:
    def against(what: str, other: str, name: str, value: Callable[[Run], float], goal: str = "", n: str = "") -> Row:
        ours, theirs = [value(r) for r in runs[f"receive{n}"]], [value(r) for r in runs[f"{other}{n}"]]
        show = per_second if value is rate else ms
        ratio = median_ratio(ours, theirs)
        return Row(
            what=what, ours=show(median_of(ours)), against=name, theirs=show(median_of(theirs)), ratio=ratio, goal=goal
        )

    bare = "(a) publishes the raw body, awaits"
    return [
        against(f"req/s, {CONNECTIONS} connections", "publish", bare, rate, "≥ 0.90"),
        against("p50", "publish", "(a)", p50),
        against("p99", "publish", "(a)", p99, "≤ 1.15"),
        against("p50, 1 connection", "publish", "(a)", p50, n=" alone"),
        against("req/s", "nothing", "(b) does nothing", rate),
        against("req/s", "synchronous", "(c) GET, shorten, send at 50 ms each, then answer", rate),
        against("p50", "synchronous", "(c)", p50),
    ]


def rate(run: Run) -> float:
    return run.rate


def p50(run: Run) -> float:
    return run.p50


def p99(run: Run) -> float:
    return run.p99


def per_second(value: float) -> str:
    return f"{value:,.0f}/s"


def median_of(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
