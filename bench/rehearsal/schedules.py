"""`make schedules SIZE=1000`: both schedules of rechecks over the same drawn signatures and losses, in one table."""

import logging
import os
from concurrent.futures import ProcessPoolExecutor

from bench.rehearsal.__main__ import OWN_LINKS, Rehearsal, spread
from shared.domain.policy import Policy

LOST = 0.5  # share of the signatures whose webhook is lost: many, so that the 99th percentile rests on hundreds
SIGNERS, OPENED = (1, 2, 5), (1.0, 0.95)
SCHEDULES = {"by age alone": Policy(), "by opened links": OWN_LINKS}


def measured(size: int, signers: int, opened: float, schedule: str) -> tuple[float, str]:
    """API calls a request where no webhook is lost; how late the lost ones are noticed where some are."""
    logging.disable(logging.CRITICAL)
    policy, size = SCHEDULES[schedule], size // signers
    told = Rehearsal(size // 5, signers, 0.0, opened=opened, policy=policy, seed=3)
    lossy = Rehearsal(size, signers, LOST, opened=opened, policy=policy, seed=3)
    told.run()
    lossy.run()
    return told.calls_a_request(), spread(lossy.noticed())


def main() -> None:
    size = int(os.environ.get("SIZE") or 1_000)
    cases = [(size, n, opened, name) for n in SIGNERS for opened in OPENED for name in SCHEDULES]
    print(
        "| signers | link opened before signing | rechecks | API calls a request | lost webhooks: noticed, p50 / p99 |"
    )
    print("|---|---|---|---|---|")
    with ProcessPoolExecutor(2) as pool:
        for (_, n, opened, name), (calls, late) in zip(
            cases, pool.map(measured, *zip(*cases, strict=True)), strict=True
        ):
            print(f"| {n} | {opened:.0%} | {name} | {calls:.1f} | {late} |", flush=True)


if __name__ == "__main__":
    main()
