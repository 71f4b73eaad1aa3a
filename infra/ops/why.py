"""`make why REQUEST=id`: was each signer reached, why or why not, what to do, and what happened and comes next.

REQUEST is an id or how it begins, a message's id, or part of a name, a number or an address, as in the console.
Reads the local stack's files in LOCAL_DIR, whether or not the stack is running; with BACKEND=gcp, Firestore.
"""

import os
import sys
from collections.abc import Sequence

import msgspec

from infra.ops.relay import relay_ports
from infra.ops.shell import Stop
from shared import bootstrap
from shared.console.masking import Shown
from shared.domain.errors import PermanentFailure, RetryLater
from shared.domain.timeline import Moment
from shared.domain.verdict import Verdict
from shared.services.operator_queries import Case, OperatorQueries
from shared.setting_types import SettingError


def main(text: str) -> int:
    try:
        with relay_ports():
            queries = OperatorQueries(bootstrap.backend().ledger(), bootstrap.settings().policy(), bootstrap.clock)
            found = queries.search(text, None).rows if text.strip() else []
            case = queries.case(found[0][0], bootstrap.dead_letters().notices) if len(found) == 1 else None
    except (SettingError, RetryLater, PermanentFailure, Stop) as e:
        print(f"why: {e}", file=sys.stderr)
        return 1
    if case is None:
        print(f"why: {_hint(text, found)}", file=sys.stderr)
        return 1
    print("\n".join(described(case)))
    return 0


def _hint(text: str, found: Sequence[tuple[str, msgspec.Struct]]) -> str:
    if not text.strip():
        return "set REQUEST to a request's id, or to part of a name, a number or an address"
    if not found:
        return f"there is no request {text!r}"
    return f"{len(found)} requests fit, choose one: {', '.join(key for key, _ in found)}"


def described(case: Case) -> list[str]:
    """The lines to print: the verdicts first. Personal data is masked, as in the console."""
    r, shown = case.request, Shown(case.request, personal=False)
    lines = []
    for signer in case.answers:
        lines += _verdict(shown.label(signer.signer), case.verdicts[signer.signer], shown)
        lines += [f"     last: {_line(m, shown)}" for m in signer.last]
        lines += [f"     next: {_line(signer.next, shown)}"] if signer.next else []
    stopped = ", reminders stopped" if r.reminders_stopped else ""
    lines += ["", f"{shown.text(r.title or 'Request')} ({r.id}): {r.status}{stopped}"]
    past, ahead = ([m for m in case.moments if (m.at > case.now) is later] for later in (False, True))
    for title, moments in (("So far", past), ("Still to come", ahead)):
        lines += ["", title, *(f"  {_line(m, shown, shown.label(m.signer))}" for m in moments)]
    return lines


def _verdict(label: str, verdict: Verdict, shown: Shown) -> list[str]:
    told = [f"{label}: {shown.text(verdict.sentence())}"]
    told += [f"     do: {verdict.advice}"] if verdict.advice else []
    return told + ([f"     no reminder can arrive: {shown.text(verdict.no_reminder)}"] if verdict.no_reminder else [])


def _line(m: Moment, shown: Shown, label: str = "") -> str:
    why = f" ({shown.text(m.because)})" if m.because else ""
    return f"{m.at:%Y-%m-%d %H:%M:%S} UTC  {label + ': ' if label else ''}{m.what}{why}"


if __name__ == "__main__":
    sys.exit(main(os.environ.get("REQUEST", "")))
