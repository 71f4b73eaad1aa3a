"""Prints the results of checks: OK, or what to do."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from infra.ops.shell import Stop, dry, say


class Finding(msgspec.Struct, frozen=True):
    """The result of one check. advice: what to do, "" if nothing. note: a detail that is shown beside OK."""

    what: str
    advice: str = ""
    note: str = ""


Check = Callable[[], Iterable[Finding]]


def report(checks: Iterable[tuple[str, Check]]) -> int:
    """Print each finding at once; nothing under DRY_RUN. Returns the exit status: 1 if there is something to do."""
    bad = 0
    for what, check in checks:
        for finding in _found(what, check):
            bad += bool(finding.advice)
            if not dry():
                say(_line(finding))
    return 1 if bad and not dry() else 0


def _line(finding: Finding) -> str:
    return f"{finding.what:30} {'TO DO' if finding.advice else 'OK':6} {finding.advice or finding.note}".rstrip()


def _found(what: str, check: Check) -> Iterator[Finding]:
    try:
        yield from check()
    except Stop as stop:
        yield Finding(what, str(stop))
