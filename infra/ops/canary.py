"""`make deploy CANARY=10`: let new revisions answer 10 of 100 calls first, and all of them only if nothing fails.

The checks of `make smoke` must pass, and for a while the new revisions must log no error and answer no 5xx. Once they
answer everything, `make smoke` must pass with their answers; only then they are a release. Otherwise the earlier ones
answer everything again.
"""

import os
import time
from datetime import UTC, datetime

from infra.ops import config, revisions, shell, smoke
from infra.ops.function_table import Function
from infra.ops.revisions import Release
from infra.ops.shell import Stop, ask

SMOKE_FAILED = "`make smoke` failed, see above"
STOPPED = (
    "stopped while new revisions may answer a part of the calls: `make rollback` lets the earlier revisions answer "
    "everything, `make deploy CANARY=...` tries again"
)
WATCHED = 300.0  # seconds after the first checks; logs can be read after up to a minute


def percent() -> int:
    """The part of the calls in CANARY, 0 for none. Raises Stop."""
    given = os.environ.get("CANARY", "")
    if given and not (given.isdigit() and 0 < int(given) < 100):
        raise Stop(
            "CANARY must be a whole number from 1 to 99: the part of the calls that new revisions answer at first"
        )
    return int(given or 0)


def hold(functions: list[Function]) -> Release:
    """Before a deployment: the revisions that answer now go on to do so. Returns them."""
    now = revisions.serving(functions)
    for name, revision in now.items():
        revisions.shift(name, {revision: 100})
    return now


def release(before: Release) -> int:
    """After a deployment: try the new revisions, then keep them or go back. Returns the exit status."""
    try:
        wrong = _wrong(before)
    except Stop as stop:
        wrong = str(stop)
    except KeyboardInterrupt:
        shell.say(STOPPED)
        raise
    if not wrong:
        shell.say("The new revisions answer everything.")
        return 0
    if left := revisions.shift_each(before):
        shell.say(f"{wrong}\n{left}There the new revisions still answer: run `make rollback`")
    else:
        shell.say(f"The earlier revisions answer everything again: {wrong}")
    return 1


def _wrong(before: Release) -> str:
    """What speaks against the new revisions; "" if nothing, and then they answer everything."""
    since, new = datetime.now(UTC), {name: revisions.newest(name) for name in before}
    changed = {name: revision for name, revision in new.items() if revision != before[name]}
    for name, revision in changed.items():
        revisions.shift(name, {revision: percent(), before[name]: 100 - percent()}, tried=revision)
    if smoke.check(urls={name: revisions.tried_at(name) for name in changed}):
        return SMOKE_FAILED
    if failed := _failed(changed, since):
        return f"{failed} logged an error, see `make logs`"
    for name in before:
        revisions.shift_to_newest(name)
    return SMOKE_FAILED if smoke.smoke(changed) else ""


def _failed(changed: Release, since: datetime) -> str:
    """A revision that logs an error while it is watched."""
    if not changed:
        return ""
    time.sleep(WATCHED)
    named = " OR ".join(f'"{revision}"' for revision in changed.values())
    failed = (
        f'resource.type="cloud_run_revision" AND resource.labels.revision_name=({named}) AND '
        f'(severity>=ERROR OR httpRequest.status>=500) AND timestamp>="{since:%Y-%m-%dT%H:%M:%SZ}"'
    )
    limits = ("--limit=1", "--format=value(resource.labels.revision_name)")
    return ask("gcloud", "logging", "read", failed, f"--project={config.project()}", *limits)
