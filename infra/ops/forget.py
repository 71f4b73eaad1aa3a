"""`make forget REQUEST=id`: delete what is known of one request, so that only its stub is left.

Without CONFIRM=1 it only tells what it would delete.
"""

import getpass
import os
import sys

from infra.ops import guard, shell
from infra.ops.relay import relay_ports
from infra.ops.shell import Stop
from shared import bootstrap
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.model import Request
from shared.services.dead_letters import EVERY
from shared.setting_types import SettingError

MORE = (
    f"forget: a topic holds {EVERY:,} dead letters or more, and not all were looked at. "
    "Replay or drop some, then repeat it."
)


def run(request: str, *, confirmed: bool) -> int:
    """Returns the exit status: 1 without a request's id."""
    if not request:
        print("forget: set REQUEST to a request's id", file=sys.stderr)
        return 1
    if not confirmed:
        found = bootstrap.backend().ledger().get(Request, request)
        print(f"{request} is {found.item.status if found else 'not known: only dead letters may hold its data'}.")
        print("Its messages' records, links, blocked addresses and dead letters would be deleted, and nothing is sent")
        print("for it any more. The same command with CONFIRM=1 does it. It cannot be undone.")
        return 0
    erased = bootstrap.erasure().forget(request, getpass.getuser())
    print(
        f"{request}: {'a stub is left' if erased.known else 'no such request was known'}; deleted {erased.notices} "
        f"records of messages, {erased.links} links, {erased.suppressions} blocked addresses, "
        f"{erased.dead_letters} dead letters"
    )
    print("Dead letters that somebody was replaying meanwhile were not seen: then repeat it after a minute.")
    if not erased.whole:
        print(MORE, file=sys.stderr)
    return 0 if erased.whole else 1


def main() -> int:
    try:
        if os.environ.get("BACKEND") == "gcp":
            guard.check()
        with relay_ports():
            return run(os.environ.get("REQUEST", ""), confirmed=shell.given("CONFIRM") and not shell.dry())
    except (SettingError, RetryLater, PermanentFailure, Stop) as e:
        print(f"forget: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
