"""A subscriber driven over HTTP, beside a bare function that makes the same round trips one after the other."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from bench.harness import Ground, settings
from bench.load import Run, clean, drive
from bench.receive import make_topics, mid, per_second
from bench.report import Row, median_ratio, ms, there_and_back

ROUNDS = 5
ALONE, TOGETHER = 20, 120  # requests a round at one connection, and at as many as there are threads
THREADS = 8
DELAYS = (0.0, 0.05)  # seconds in which the stand-ins answer

ClickwrapApi = Callable[[int], Iterator[bytes]]


def run(ground: Ground, function: str, bare: str, what: str, ours: ClickwrapApi, theirs: ClickwrapApi) -> list[Row]:
    google = ground.google()
    make_topics(google)
    rows = []
    for delay in DELAYS:
        with ExitStack() as stack:
            environ = settings(google, stack.enter_context(ground.stand_in(delay)))
            ports = start(ground, stack, environ, function, bare)
            rows += pair(ground, ports, (ours, theirs), what, delay)
    return rows


def start(ground: Ground, stack: ExitStack, environ: Mapping[str, str], ours: str, bare: str) -> tuple[int, int]:
    function = ground.function(ours, environ, THREADS)
    return stack.enter_context(function), stack.enter_context(ground.bare(bare, environ, THREADS))


def pair(
    ground: Ground, ports: tuple[int, int], requests: tuple[ClickwrapApi, ClickwrapApi], what: str, delay: float
) -> list[Row]:
    alone: tuple[list[Run], list[Run]] = ([], [])
    together: tuple[list[Run], list[Run]] = ([], [])
    turns = [(turn, side) for turn in range(ROUNDS + 1) for side in there_and_back((0, 1), turn)]
    for turn, side in turns:  # the first round warms up
        ground.progress.step(f"stand-ins at {delay * 1000:.0f} ms, round {turn} of {ROUNDS}")
        one = clean(drive(ports[side], requests[side](ALONE), 1))
        many = clean(drive(ports[side], requests[side](TOGETHER), THREADS))
        if turn:
            alone[side].append(one)
            together[side].append(many)
    return [latency(what, delay, *alone), *throughput(delay, *together)]


def latency(what: str, delay: float, ours: list[Run], theirs: list[Run]) -> Row:
    a, b = [r.p50 for r in ours], [r.p50 for r in theirs]
    label = f"p50 alone, stand-ins at {delay * 1000:.0f} ms"
    ratio = median_ratio(a, b)
    return Row(what=label, ours=ms(mid(a)), against=what, theirs=ms(mid(b)), ratio=ratio, goal="≤ 1.25")


def throughput(delay: float, ours: list[Run], theirs: list[Run]) -> list[Row]:
    """With a delay there is a bound of the stand-ins' own: so many threads, each waiting for one answer."""
    bounds = [("the same trips", [r.rate for r in theirs])]
    if delay:
        bounds.append((f"{THREADS} threads ÷ {delay * 1000:.0f} ms", [THREADS / delay] * len(ours)))
    label, rates = f"{THREADS} at once, stand-ins at {delay * 1000:.0f} ms", [r.rate for r in ours]
    return [
        Row(
            what=label,
            ours=per_second(mid(rates)),
            against=name,
            theirs=per_second(mid(b)),
            ratio=median_ratio(rates, b),
        )
        for name, b in bounds
    ]
