"""`make why REQUEST=id`: show what happened to one request, what did not happen and why, and what comes next.

Reads the local stack's files in LOCAL_DIR, whether or not the stack is running; with BACKEND=gcp, Firestore.
"""

import os
import sys

from local.stack.offline import offline_ports
from shared import bootstrap
from shared.console.masking import Shown
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.timeline import Moment
from shared.services.operator_queries import Case, OperatorQueries
from shared.setting_types import SettingError


def main(request: str) -> int:
    try:
        with offline_ports():
            queries = OperatorQueries(bootstrap.backend().ledger(), bootstrap.settings().policy(), bootstrap.clock)
            case = queries.case(request) if request else None
    except (SettingError, RetryLater, PermanentFailure) as e:
        print(f"why: {e}", file=sys.stderr)
        return 1
    if case is None:
        hint = f"there is no request {request!r}" if request else "set REQUEST to a request's id"
        print(f"why: {hint}", file=sys.stderr)
        return 1
    print("\n".join(described(case)))
    return 0


def described(case: Case) -> list[str]:
    """The lines to print. Personal data is masked, as in the console."""
    r, shown = case.request, Shown(case.request, personal=False)
    lines = [f"{r.title or 'Request'} ({r.id}): {r.status}{', reminders stopped' if r.reminders_stopped else ''}", ""]
    for signer in case.answers:
        lines.append(f"  {shown.label(signer.signer)}  {signer.standing}")
        lines += [f"     last: {_line(m, shown)}" for m in signer.last]
        lines += [f"     next: {_line(signer.next, shown)}"] if signer.next else []
    past, ahead = ([m for m in case.moments if (m.at > case.now) is later] for later in (False, True))
    for title, moments in (("So far", past), ("Still to come", ahead)):
        lines += ["", title, *(f"  {_line(m, shown, shown.label(m.signer))}" for m in moments)]
    return lines


def _line(m: Moment, shown: Shown, label: str = "") -> str:
    why = f" ({shown.text(m.why)})" if m.why else ""
    return f"{m.at:%Y-%m-%d %H:%M:%S} UTC  {label + ': ' if label else ''}{m.what}{why}"


if __name__ == "__main__":
    sys.exit(main(os.environ.get("REQUEST", "")))
