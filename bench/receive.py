"""Webhooks a second at 32 connections, each answered once Pub/Sub has confirmed it."""

import itertools
import json
import os
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack

from bench.harness import TOKEN, Ground, settings
from bench.load import Run, clean, drive, post
from bench.report import Row, median_ratio, ms, there_and_back
from local.emulation.provision import provision
from local.emulation.topology import Queue

ROUNDS, SECONDS, ALONE = 5, 2.5, 0.5
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


def run(ground: Ground) -> list[Row]:
    google = ground.google()
    make_topics(google)
    with ExitStack() as stack:
        environ = settings(google, stack.enter_context(ground.stand_in(0.05)))
        ports = {"receive": stack.enter_context(ground.function("receive", environ, CONNECTIONS))}
        for bare in ("publish", "nothing", "synchronous"):
            ports[bare] = stack.enter_context(ground.bare(bare, environ, CONNECTIONS))
        runs = rounds(ground, ports)
    return rows(runs)


def make_topics(google: dict[str, str]) -> None:
    """And the queues, on the emulators, which this process then uses too."""
    os.environ.update(google)
    queues = [Queue(name="reminders", min_backoff=10, max_backoff=600)]
    provision(google["GOOGLE_CLOUD_PROJECT"], "here", topics=TOPICS, queues=queues)


def rounds(ground: Ground, ports: dict[str, int]) -> dict[str, list[Run]]:
    """In turn, the first round for warming up only."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for turn in range(ROUNDS + 1):
        for name, port in there_and_back(ports.items(), turn):
            ground.progress.step(f"round {turn} of {ROUNDS}, {name}")
            together = clean(drive(port, itertools.repeat(REQUEST), CONNECTIONS, SECONDS if turn else 1.0))
            alone = clean(drive(port, itertools.repeat(REQUEST), 1, ALONE))
            if turn:
                runs[name].append(together)
                runs[f"{name} alone"].append(alone)
    return runs


def rows(runs: dict[str, list[Run]]) -> list[Row]:
    def against(what: str, other: str, name: str, value: Callable[[Run], float], goal: str = "", n: str = "") -> Row:
        ours, theirs = [value(r) for r in runs[f"receive{n}"]], [value(r) for r in runs[f"{other}{n}"]]
        show = per_second if value is rate else ms
        ratio = median_ratio(ours, theirs)
        return Row(what=what, ours=show(mid(ours)), against=name, theirs=show(mid(theirs)), ratio=ratio, goal=goal)

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


def mid(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
