"""The pages that only show."""

import logging
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import flask

from shared.console import security
from shared.console.chart import WORDS, chart
from shared.console.configuration import configuration, warnings
from shared.console.masking import Shown
from shared.domain.model import NoticeState, Status
from shared.ports import Mark
from shared.services.operator_queries import MOST, RECENT_FAILURES, Case

if TYPE_CHECKING:
    from shared.console.app import Console

E = TypeVar("E", bound=StrEnum)
pages = flask.Blueprint("pages", __name__)
STYLE = Path(__file__).with_name("style.css")
DONE = {
    "resend": "The message is on its way once more.",
    "stop": "The reminders are stopped.",
    "resume": "The reminders are sent again.",
    "clear": "The address may be used again.",
    "replay": "Replayed: what is still here cannot be read, or has failed again.",
    "drop": "Forgotten.",
}
LISTED = (*RECENT_FAILURES, NoticeState.SUPPRESSED, NoticeState.PLANNED, NoticeState.ACCEPTED, NoticeState.DELIVERED)

log = logging.getLogger(__name__)


def console() -> "Console":
    """What this app's pages are made of."""
    found: Console = flask.current_app.extensions["console"]
    return found


@pages.get("/style.css")
def style() -> flask.Response:
    """The style sheet."""
    return flask.Response(STYLE.read_bytes(), mimetype="text/css")


@pages.get("/")
def requests() -> str:
    """The list of requests, by status."""
    chosen = _chosen(Status, "status")
    page = console().inspect.requests(chosen, cursor(flask.request.args.get("after", "")))
    return _requests(page=page, chosen=chosen)


@pages.post("/search")
def search() -> flask.typing.ResponseReturnValue:
    """By POST: what is looked for is mostly somebody's name, and addresses of pages end up in logs."""
    text, after = flask.request.form.get("q", "")[:200], cursor(flask.request.form.get("after", ""))
    if console().inspect.knows(text.strip()):
        return flask.redirect(flask.url_for("pages.request", key=text.strip()), 303)
    return _requests(page=console().inspect.search(text, after), text=text)


def _requests(**found: object) -> str:
    counts = console().inspect.request_counts()
    return flask.render_template("requests.html", counts=counts, most=MOST, mark=mark, Shown=Shown, **found)


@pages.get("/requests/<key>")
def request(key: str) -> str:
    """One request: its signers, its time line, its chart."""
    return _case(case_of(key), personal=False)


@pages.post("/requests/<key>/unmask")
def unmask(key: str) -> str:
    """Personal data as it is, on this one answer. Who asked for it stands in the log."""
    case = case_of(key)
    log.info("console: personal data shown", extra={"json": {"request": key, "who": person()}})
    return _case(case, personal=True)


def _case(case: Case, *, personal: bool) -> str:
    shown = Shown(case.request, personal=personal)
    drawn = chart(case.request, case.moments, case.now, console().day, shown.label)
    blocker = console().operate.blocker
    return flask.render_template(
        "request.html", case=case, shown=shown, chart=drawn, legend=WORDS, done=done(), blocker=blocker
    )


@pages.get("/messages")
def messages() -> str:
    """The list of notices, by state."""
    state = _chosen(NoticeState, "state") or NoticeState.FAILED
    page = console().inspect.messages(state, cursor(flask.request.args.get("after", "")))
    return flask.render_template("messages.html", page=page, chosen=state, states=LISTED, mark=mark)


@pages.get("/suppressions")
def suppressions() -> str:
    """The addresses that must not be used."""
    page = console().inspect.suppressions(cursor(flask.request.args.get("after", "")))
    return flask.render_template("suppressions.html", page=page, mark=mark, done=done())


@pages.get("/health")
def health() -> str:
    """Counts, recent failures, outages, settings."""
    c = console()
    return flask.render_template(
        "health.html",
        requests=c.inspect.request_counts(),
        messages=c.inspect.message_counts(),
        ailments=c.inspect.ailments(),
        gauges=c.gauges(),
        settings=configuration(c.environ),
        warnings=[*c.warnings, *warnings(c.environ)],
        control=c.inspect.control(),
        project=c.environ.get("GOOGLE_CLOUD_PROJECT", ""),
        live="live" in flask.request.args,
        now=c.clock(),
        most=MOST,
    )


# -- what the pages have in common


def case_of(key: str) -> Case:
    """The request of a page; 404 when there is none."""
    return console().inspect.case(key) or flask.abort(404, f"There is no request {key!r}.")


def person() -> str:
    """Who is at it. Aborts where the cloud has let somebody in without an e-mail address."""
    name = "local" if console().local else security.who(flask.request.headers)
    return name or flask.abort(403, "your identity token holds no e-mail address: open the console by `make console`")


def done() -> str:
    """What the action that led here has done."""
    return DONE.get(flask.request.args.get("done", ""), "")


def mark(at: Mark | None) -> str:
    """A place in a list, as it stands in a page's address."""
    return f"{at[0].isoformat()}~{at[1]}" if at else ""


def cursor(text: str) -> Mark | None:
    """The place in a list that a page's address names; 400 for a wrong one."""
    at, _, key = text.partition("~")
    try:
        place = datetime.fromisoformat(at) if text else None
    except ValueError:
        flask.abort(400, "no such page")
    if place and not place.tzinfo:
        flask.abort(400, "no such page")
    return (place, key) if place else None


def _chosen(kind: type[E], name: str) -> E | None:
    value = flask.request.args.get(name)
    try:
        return kind(value) if value else None
    except ValueError:
        flask.abort(400, f"no such {name}")
