"""The pages that only show data."""

import logging
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import flask

from shared.console.chart import WORDS, chart
from shared.console.configuration import configuration, warnings
from shared.console.context import case_of, console, cursor, done, mark, person
from shared.console.masking import Shown
from shared.domain.model import NoticeState, Status
from shared.services.operator_queries import MOST, RECENT_FAILURES, Case

E = TypeVar("E", bound=StrEnum)
pages = flask.Blueprint("pages", __name__)
STYLE = Path(__file__).with_name("style.css")
LISTED = (*RECENT_FAILURES, NoticeState.SUPPRESSED, NoticeState.PLANNED, NoticeState.ACCEPTED, NoticeState.DELIVERED)

log = logging.getLogger(__name__)


@pages.get("/style.css")
def style() -> flask.Response:
    """The style sheet."""
    return flask.Response(STYLE.read_bytes(), mimetype="text/css")


@pages.get("/")
def requests() -> str:
    """The requests, the last changed first; `?status=` narrows them."""
    chosen = _chosen(Status, "status")
    page = console().inspect.requests(chosen, cursor(flask.request.args.get("after", "")))
    return _requests(page=page, chosen=chosen)


@pages.post("/search")
def search() -> flask.typing.ResponseReturnValue:
    """Requests that match a text. By POST, since the text is mostly a name and page addresses end up in logs."""
    text, after = flask.request.form.get("q", "")[:200], cursor(flask.request.form.get("after", ""))
    if console().inspect.knows(text.strip()):
        return flask.redirect(flask.url_for("pages.request", key=text.strip()), 303)
    return _requests(page=console().inspect.search(text, after), text=text)


def _requests(**found: object) -> str:
    counts = console().inspect.request_counts()
    return flask.render_template("requests.html", counts=counts, most=MOST, mark=mark, Shown=Shown, **found)


@pages.get("/requests/<key>")
def request(key: str) -> str:
    """One request, with names and addresses masked."""
    return _case(case_of(key), personal=False)


@pages.post("/requests/<key>/unmask")
def unmask(key: str) -> str:
    """Shows personal data on this one answer, and logs who asked for it."""
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
    """The messages in one state; `?state=` chooses it, and failed ones are the default."""
    state = _chosen(NoticeState, "state") or NoticeState.FAILED
    page = console().inspect.messages(state, cursor(flask.request.args.get("after", "")))
    return flask.render_template("messages.html", page=page, chosen=state, states=LISTED, mark=mark)


@pages.get("/suppressions")
def suppressions() -> str:
    """The addresses that are blocked."""
    return _suppressions("")


@pages.post("/suppressions")
def older_suppressions() -> str:
    """A further page of them. By POST: the place in the list is an address's key, and page addresses end up in logs."""
    return _suppressions(flask.request.form.get("after", ""))


def _suppressions(after: str) -> str:
    page = console().inspect.suppressions(cursor(after))
    return flask.render_template("suppressions.html", page=page, mark=mark, done=done())


@pages.get("/health")
def health() -> str:
    """Counts, settings, warnings and gauges; `?live` makes the page reload itself."""
    c = console()
    return flask.render_template(
        "health.html",
        requests=c.inspect.request_counts(),
        messages=c.inspect.message_counts(),
        failures=c.inspect.recent_failures(),
        gauges=c.gauges(),
        settings=configuration(c.environ),
        warnings=[*c.warnings, *warnings(c.environ)],
        control=c.inspect.control(),
        project=c.environ.get("GOOGLE_CLOUD_PROJECT", ""),
        live="live" in flask.request.args,
        now=c.clock(),
        most=MOST,
    )


def _chosen(kind: type[E], name: str) -> E | None:
    value = flask.request.args.get(name)
    try:
        return kind(value) if value else None
    except ValueError:
        flask.abort(400, f"no such {name}")
