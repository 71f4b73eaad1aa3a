"""A push subscriber compared with a bare function that makes the same calls one after the other."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from bench.harness import Harness, settings
from bench.load import Run, clean, drive
from bench.receive import make_topics, median_of, per_second
from bench.report import Row, alternating, median_ratio, ms

ROUNDS = 5
ALONE, TOGETHER = 20, 120  # requests in a round over one connection, and over THREADS connections
THREADS = 8
DELAYS = (0.0, 0.05)  # seconds that the stand-ins wait before they answer

MakeRequests = Callable[[int], Iterator[bytes]]


def run(harness: Harness, function: str, bare: str, what: str, ours: MakeRequests, theirs: MakeRequests) -> list[Row]:
    google = harness.google()
    make_topics(google)
    rows = []
    for delay in DELAYS:
        with ExitStack() as stack:
            environ = settings(google, stack.enter_context(harness.stand_in(delay)))
            ports = start(harness, stack, environ, function, bare)
            rows += pair(harness, ports, (ours, theirs), what, delay)
    return rows


def start(harness: Harness, stack: ExitStack, environ: Mapping[str, str], ours: str, bare: str) -> tuple[int, int]:
    function = harness.function(ours, environ, THREADS)
    return stack.enter_context(function), stack.enter_context(harness.bare(bare, environ, THREADS))


def pair(
    harness: Harness, ports: tuple[int, int], requests: tuple[MakeRequests, MakeRequests], what: str, delay: float
) -> list[Row]:
    alone: tuple[list[Run], list[Run]] = ([], [])
    together: tuple[list[Run], list[Run]] = ([], [])
    turns = [(round_no, side) for round_no in range(ROUNDS + 1) for side in alternating((0, 1), round_no)]
    for round_no, side in turns:  # the first round warms up
        harness.progress.step(f"stand-ins at {delay * 1000:.0f} ms, round {round_no} of {ROUNDS}")
        one = clean(drive(ports[side], requests[side](ALONE), 1))
        many = clean(drive(ports[side], requests[side](TOGETHER), THREADS))
        if round_no:
            alone[side].append(one)
            together[side].append(many)
    return [latency(what, delay, *alone), *throughput(delay, *together)]


def latency(what: str, delay: float, ours: list[Run], theirs: list[Run]) -> Row:
    a, b = [r.p50 for r in ours], [r.p50 for r in theirs]
    label = f"p50 alone, stand-ins at {delay * 1000:.0f} ms"
    ratio = median_ratio(a, b)
    return Row(what=label, ours=ms(median_of(a)), against=what, theirs=ms(median_of(b)), ratio=ratio, goal="≤ 1.25")


def throughput(delay: float, ours: list[Run], theirs: list[Run]) -> list[Row]:
    """With a delay there is also an upper limit: every thread waits for one response of the stand-ins at a time."""
    bounds = [("the same calls", [r.rate for r in theirs])]
    if delay:
        bounds.append((f"{THREADS} threads ÷ {delay * 1000:.0f} ms", [THREADS / delay] * len(ours)))
    label, rates = f"{THREADS} at once, stand-ins at {delay * 1000:.0f} ms", [r.rate for r in ours]
    return [
        Row(
            what=label,
            ours=per_second(median_of(rates)),
            against=name,
            theirs=per_second(median_of(b)),
            ratio=median_ratio(rates, b),
        )
        for name, b in bounds
    ]
