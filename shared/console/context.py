"""What every page of the console uses: its services, the request at hand, the person, and a place in a list."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, timedelta

import flask
import msgspec

from shared.console import security
from shared.domain.errors import RetryLater
from shared.ports import Mark
from shared.services.dead_letters import DeadLetterService
from shared.services.erasure import Erasure
from shared.services.operator_actions import OperatorActions
from shared.services.operator_lists import Narrow
from shared.services.operator_queries import Case, Choice, OperatorQueries

KEY = "console"  # of the app's `extensions`
# What the page says after an action, by the name that the redirect carries.
DONE = {
    "resend": "The message is on its way once more.",
    "stop": "The reminders are stopped.",
    "resume": "The reminders are sent again.",
    "clear": "The address may be used again.",
    "replay": "Replayed. What cannot be read stays here, and what fails again comes back.",
    "drop": "Dropped.",
    "read": "The API is read within a minute.",
    "forget": "Its personal data is deleted: only this stub is left.",
    "forget-part": "Its personal data is deleted, but there are too many dead letters to look at all: "
    "replay or drop some, then run make forget for it.",
}


class Console(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages are made of.

    Args:
        inspect: what the pages show.
        operate: what the buttons do.
        dead_letters: those kept, and their replay.
        erasure: deletes what is known of a request.
        environ: the settings, shown with secrets hidden.
        warnings: what in the settings needs attention.
        clock: the time now.
        day: how long a day lasts.
        gauges: further figures of the backend, by name.
        operators: addresses of those who may act; empty lets everyone who may open the console.
        evidence: makes a request's evidence, None when there is no such request; None without EVIDENCE_KEY.
        local: whether this is the local stack, where nobody signs in.
    """

    inspect: OperatorQueries
    operate: OperatorActions
    dead_letters: DeadLetterService
    erasure: Erasure
    environ: Mapping[str, str]
    warnings: Sequence[str] = ()
    clock: Callable[[], datetime]
    day: timedelta
    gauges: Callable[[], Mapping[str, object]] = dict
    operators: frozenset[str] = frozenset()
    evidence: Callable[[str], bytes | None] | None = None
    local: bool = False


def console() -> Console:
    """The console of the app that serves this request."""
    found: Console = flask.current_app.extensions[KEY]
    return found


def case_of(key: str, choice: Choice | None = None) -> Case:
    """The request with this id. Aborts with 404 without one."""
    return console().inspect.case(key, console().dead_letters.notices, choice) or flask.abort(
        404, f"There is no request {key!r}."
    )


def dead_notices() -> Collection[str]:
    """Ids of the notices among the dead letters, for a list; none in Google Cloud, where reading them takes seconds."""
    try:
        return console().dead_letters.notices() if console().local else ()
    except RetryLater:  # the rest of the page is worth showing
        return ()


def person() -> str:
    """E-mail address of the operator; "local" on the local stack. Aborts with 403 when the token names none."""
    name = "local" if console().local else security.who(flask.request.headers)
    return name or flask.abort(403, "your identity token holds no e-mail address: open the console by `make console`")


def may_act() -> bool:
    """Whether this person is an operator; a reader sees everything and changes nothing."""
    c = console()
    return c.local or not c.operators or security.who(flask.request.headers).lower() in c.operators


def narrowed() -> Narrow:
    """What the page's address narrows a list to. Aborts with 400 for what is no day."""
    args = flask.request.args
    try:
        since, until = (date.fromisoformat(args[n]) if args.get(n) else None for n in ("since", "until"))
    except ValueError:
        flask.abort(400, "a day is written as 2026-03-02")
    words = {n: args.get(n, "").strip()[:100] for n in ("channel", "provider", "cause", "site")}
    return msgspec.structs.replace(Narrow(since=since, until=until), **words)


def done() -> str:
    """What the action before this page has done; "" without one."""
    return DONE.get(flask.request.args.get("done", ""), "")


def mark(at: Mark | None) -> str:
    """A place in a list, in the form that a page's address carries."""
    return f"{at[0].isoformat()}~{at[1]}" if at else ""


def cursor(text: str) -> Mark | None:
    """Reads what `mark` has written. Aborts with 400 for anything else."""
    at, _, key = text.partition("~")
    try:
        place = datetime.fromisoformat(at) if text else None
    except ValueError:
        flask.abort(400, "no such page")
    if place and not place.tzinfo:
        flask.abort(400, "no such page")
    return (place, key) if place else None
