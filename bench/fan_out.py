"""`resolve` for one request with 1 to 1,000 signers, on the emulators: time, memory and messages.

`python -m bench.fan_out SIGNERS` measures one size in a separate process, so that sizes do not share a memory peak.
"""

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime

from bench.harness import ROOT, Harness, settings
from bench.receive import make_topics
from bench.report import Row, ms

SIZES = (1, 10, 100, 1_000)
TIMES = 5

Size = dict[str, float]


def run(harness: Harness) -> list[Row]:
    google = harness.google()
    make_topics(google)
    with harness.stand_in(0) as stand_in:
        environ = settings(google, stand_in) | {"LOG_LEVEL": "ERROR"}
        found = [size(harness, n, environ) for n in SIZES]
    return [*map(row, SIZES, found), slope(found)]


def size(harness: Harness, signers: int, environ: dict[str, str]) -> Size:
    harness.progress.step(f"{signers} signers")
    asked = [sys.executable, "-W", "ignore", "-m", "bench.fan_out", str(signers)]
    done = subprocess.run(asked, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, check=True)
    found: Size = json.loads(done.stdout)
    return found


def row(signers: int, found: Size) -> Row:
    messages = f"{signers} notices, {3 * signers} tasks, 1 status"
    ours = f"{ms(found['seconds'])}, peak +{found['mb']:.0f} MB, document {found['kb']:.0f} KB"
    return Row(what=f"{signers} signers: {messages}", ours=ours)


def slope(found: list[Size]) -> Row:
    """Slope of time over signers on logarithmic scales, from 10 to 1,000 signers: 1 is linear."""
    value = math.log(found[3]["seconds"] / found[1]["seconds"]) / math.log(SIZES[3] / SIZES[1])
    each = found[3]["seconds"] / SIZES[3]
    shown = f"{ms(each)} a signer at 1,000"
    return Row(what="slope from 10 to 1,000", ours=shown, against="linear", theirs="1", ratio=value, goal="≤ 1.10")


# -- in a separate process


def main(signers: int) -> Size:
    from bench.states import event, invited
    from shared import bootstrap
    from shared.domain.model import EventType

    now = datetime.now(UTC)
    key = f"n{signers}x0-{uuid.uuid4().hex}"
    bootstrap.resolve().event(event(f"n1x0-{uuid.uuid4().hex}", EventType.SENT, now))  # creates the clients
    before, took = peak(), []
    for n in range(TIMES if signers < 1_000 else 3):
        began = time.perf_counter()
        bootstrap.resolve().event(event(f"{key}{n}", EventType.SENT, datetime.now(UTC)))
        took.append(time.perf_counter() - began)
    document = len(json.dumps(invited(key, signers, now), default=_plain))
    return {"seconds": statistics.median(took), "mb": peak() - before, "kb": document / 1024}


def _plain(item: object) -> object:
    import msgspec

    return msgspec.to_builtins(item)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))), flush=True)
    os._exit(0)
