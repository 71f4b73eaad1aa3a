"""`make schedules SIZE=1000`: both schedules of rechecks over the same drawn signatures and losses, in one table.

SIZE: signers of each row."""

import logging
import os
from concurrent.futures import ProcessPoolExecutor

from bench.rehearsal.__main__ import OWN_LINKS, Rehearsal, spread
from shared.domain.policy import Policy

LOST = {1: 1.0, 2: 0.5, 5: 0.5}  # share of the signatures whose webhook is lost, by signers: many, for the percentiles
SIGNERS, OPENED = (1, 2, 5), (0.95, 0.9)
SCHEDULES = {"by age alone": Policy(), "by opened links": OWN_LINKS}


def measured(size: int, signers: int, opened: float, schedule: str) -> tuple[float, str]:
    """API calls a request where no webhook is lost; how late the lost ones are noticed where some are."""
    logging.disable(logging.CRITICAL)
    policy, size = SCHEDULES[schedule], size // signers
    told = Rehearsal(size // 5, signers, 0.0, opened=opened, policy=policy, seed=11)
    lossy = Rehearsal(size, signers, LOST[signers], opened=opened, policy=policy, seed=11)
    told.run()
    lossy.run()
    return told.calls_a_request(), spread(lossy.noticed())


def main() -> None:
    size = int(os.environ.get("SIZE") or 2_400)
    runs = [(1.0, "by age alone"), *((opened, "by opened links") for opened in OPENED)]
    cases = [(size, n, *run) for n in SIGNERS for run in runs]
    print(
        "| signers | link opened before signing | rechecks | API calls a request | lost webhooks: noticed, p50 / p99 |"
    )
    print("|---|---|---|---|---|")
    with ProcessPoolExecutor(2) as pool:
        for (_, n, opened, name), (calls, late) in zip(
            cases, pool.map(measured, *zip(*cases, strict=True)), strict=True
        ):
            share = f"{opened:.0%}" if SCHEDULES[name].opens_seen else "any"
            print(f"| {n} | {share} | {name} | {calls:.1f} | {late} |", flush=True)


if __name__ == "__main__":
    main()
