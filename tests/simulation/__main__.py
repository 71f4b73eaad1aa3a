"""`make simulate`: random runs, their speed and what they covered; failing seeds are shrunk to a short script.

SEEDS=200000 runs the seeds 0 to 199999, SEEDS=1000-2000 those, SEED=7 shows one of them call by call. MINUTES ends it.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.cases import Breach, case_of, run_case, run_seed, shrunk, told

CHUNK = 250
SHOWN = 5  # failing seeds that are shrunk


def main() -> int:
    if seed := os.environ.get("SEED"):
        return show(int(seed))
    first, last = _range(os.environ.get("SEEDS") or "20000")
    workers = int(os.environ.get("WORKERS") or os.cpu_count() or 1)
    began, done, most = time.monotonic(), 0, 60 * float(os.environ.get("MINUTES") or "inf")
    pairs: set[tuple[str, ...]] = set()
    failed: dict[int, list[Breach]] = {}
    chunks = [range(n, min(n + CHUNK, last)) for n in range(first, last, CHUNK)]
    with ProcessPoolExecutor(workers) as pool:
        for chunk, (bad, covered) in zip(chunks, pool.map(run_chunk, chunks), strict=True):
            done += len(chunk)
            new = len(covered - pairs)
            pairs |= covered
            failed |= bad
            if (done // CHUNK) % 40 == 0 or bad:
                rate = done / (time.monotonic() - began)
                told = f"{len(pairs)} pairs ({new} new)  {len(failed)} failing"
                print(f"{done:>9} runs  {rate:>5.0f} a second  {told}", *bad)
                sys.stdout.flush()
            if time.monotonic() - began > most:
                pool.shutdown(cancel_futures=True)
                break
    rate = done / (time.monotonic() - began)
    print(f"{done} runs, {rate:.0f} a second on {workers} processes; {len(failed)} failing")
    for line in coverage(pairs):
        print(line)
    for line in report(failed):
        print(line)
    return bool(failed)


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.rpartition("-")
    return (int(first), int(last)) if first else (0, int(last))


def run_chunk(seeds: range) -> tuple[dict[int, list[Breach]], set[tuple[str, ...]]]:
    bad, pairs = dict[int, list[Breach]](), set[tuple[str, ...]]()
    for seed in seeds:
        outcome = run_seed(seed)
        pairs |= outcome.pairs
        if outcome.breaches:
            bad[seed] = outcome.breaches
    return bad, pairs


def coverage(pairs: set[tuple[str, ...]]) -> Iterator[str]:
    """The (state, fault) pairs gone through: a state is a handler, one of its calls, and how the request stood."""
    states = {p[:3] for p in pairs}
    yield f"{len(pairs)} pairs of {len(states)} states and {len({p[3] for p in pairs})} faults; states by handler:"
    for handler, count in Counter(s[0] for s in states).most_common():
        yield f"  {handler:<10} {count}"


def report(failed: dict[int, list[Breach]]) -> Iterator[str]:
    for rule, count in Counter(r for bad in failed.values() for r in {r for r, _ in bad}).most_common():
        yield f"{rule}: {count} seeds, such as {[s for s, bad in failed.items() if rule in {r for r, _ in bad}][:8]}"
    shown = set[str]()
    for seed, bad in failed.items():
        rule = bad[0][0]
        if rule not in shown and len(shown) < SHOWN:
            shown.add(rule)
            small = shrunk(case_of(seed), rule)
            what = [w for r, w in run_case(small).breaches if r == rule][:3]
            yield f"\nseed {seed}, shrunk: {rule}: {what}\n{told(small)}"


def show(seed: int) -> int:
    trace: list[str] = []
    outcome = run_seed(seed, trace)
    print(told(case_of(seed)), *trace, sep="\n")
    for rule, what in outcome.breaches:
        print(f"{rule}: {what}")
    return bool(outcome.breaches)


if __name__ == "__main__":
    sys.exit(main())
