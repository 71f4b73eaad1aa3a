"""The pages that only show data."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import flask

from shared.console import searches
from shared.console.chart import WORDS, chart
from shared.console.configuration import configuration, providers, warnings
from shared.console.context import case_of, console, cursor, dead_notices, done, mark, narrowed, person
from shared.console.masking import Shown
from shared.console.words import MEANINGS
from shared.domain.causes import OF_MESSAGES, Cause
from shared.domain.errors import RetryLater
from shared.domain.model import NoticeRecord, NoticeState, Status
from shared.domain.notice_record import attempts
from shared.domain.signers import counted
from shared.domain.timeline import spoken
from shared.domain.trust import in_words
from shared.domain.verdict import Reach
from shared.services.operator_actions import cannot_resume, cannot_stop
from shared.services.operator_lists import NOT_ARRIVED, Page, together
from shared.services.operator_queries import COUNTED, MOST, Case, Choice

E = TypeVar("E", bound=StrEnum)
pages = flask.Blueprint("pages", __name__)
HERE = Path(__file__).parent
LISTED = (*NOT_ARRIVED, NoticeState.PLANNED, NoticeState.ACCEPTED, NoticeState.DELIVERED)
# Where sending once more may help: the states of the messages that are then to be chosen from.
AGAIN = {
    Cause.REFUSED: (NoticeState.FAILED, NoticeState.UNDELIVERED),
    Cause.NOT_DELIVERED: (NoticeState.UNDELIVERED,),
    Cause.FILTERED: (NoticeState.UNDELIVERED,),
    Cause.TOO_LATE: (NoticeState.FAILED,),
    Cause.ANSWER_LOST: (NoticeState.UNKNOWN,),
}
MOMENTS = 200  # of the time line on one page; the newest

log = logging.getLogger(__name__)


@pages.get("/style.css")
def style() -> flask.Response:
    """The style sheet."""
    return flask.Response((HERE / "style.css").read_bytes(), mimetype="text/css")


@pages.get("/live.js")
def script() -> flask.Response:
    """The one script: pages renew themselves, and times in the reader's own zone. All works without it."""
    return flask.Response((HERE / "live.js").read_bytes(), mimetype="text/javascript")


@pages.get("/")
def home() -> str:
    """What needs attention: signers who were not reached, by cause, and whatever else is wrong."""
    c, dead = console(), dead_notices()
    reads: dict[str, Callable[[], object]] = {
        "attention": lambda: c.inspect.attention(dead),
        "events": c.inspect.events_waiting,
        "messages": c.inspect.messages_waiting,
    }
    return flask.render_template(
        "home.html",
        **dict(together(lambda name: reads[name](), list(reads))),
        dead=_dead_letters() if c.local else None,
        now=c.clock(),
        Shown=Shown,
        AGAIN=AGAIN,
        done=done(),
    )


def _dead_letters() -> int | None:
    """How many there are; None where Pub/Sub cannot be asked: the rest of the page is worth showing."""
    try:
        return len(console().dead_letters.held())
    except RetryLater:
        return None


@pages.get("/requests")
def requests() -> str:
    """The requests, the last changed first; `?status=` and days narrow them."""
    chosen, narrow = _chosen(Status, "status"), narrowed()
    page = console().inspect.requests(chosen, cursor(flask.request.args.get("after", "")), narrow)
    return _requests(page, chosen=chosen, narrow=narrow)


@pages.post("/search")
def find() -> flask.typing.ResponseReturnValue:
    """Keeps the text in this browser's cookie and leads to a page whose address does not hold it."""
    text = flask.request.form.get("q", "")[:200].strip()
    if console().inspect.knows(text):
        return flask.redirect(flask.url_for("pages.request", key=text), 303)
    key, kept = searches.add(text, flask.request.cookies.get(searches.COOKIE, ""))
    answer = flask.redirect(flask.url_for("pages.search", n=key), 303)
    answer.set_cookie(
        searches.COOKIE,
        kept,
        httponly=True,
        samesite="Strict",
        path=flask.request.script_root or "/",
        max_age=searches.KEPT,
    )
    return answer


@pages.get("/search")
def search() -> str:
    """The requests that fit a text of this browser's; `?n=` says which."""
    args = flask.request.args
    text = searches.text_of(args.get("n", ""), flask.request.cookies.get(searches.COOKIE, ""))
    page = console().inspect.search(text, cursor(args.get("after", "")))
    return _requests(page, text=text, searched=args.get("n", ""))


def _requests(page: Page, **found: object) -> str:
    counts, reached = console().inspect.request_counts(), console().inspect.reached(page.rows, dead_notices())
    return flask.render_template(
        "requests.html",
        page=page,
        counts=counts,
        counted=counted,
        reached=reached,
        most=MOST,
        mark=mark,
        Shown=Shown,
        **found,
    )


@pages.get("/requests/<key>")
def request(key: str) -> str:
    """One request, with names and addresses masked."""
    return _case(case_of(key, _choice()), personal=False)


@pages.post("/requests/<key>/unmask")
def unmask(key: str) -> str:
    """Shows personal data on this one answer, and logs who asked for it."""
    case = case_of(key, _choice())
    log.info("console: personal data shown", extra={"json": {"request": key, "who": person()}})
    return _case(case, personal=True)


def _choice() -> Choice:
    number = flask.request.args.get("page", "1")
    if not number.isascii() or not number.isdecimal() or not 0 < int(number[:6]) <= 1_000:
        flask.abort(400, "no such page")
    return Choice(reach=_chosen(Reach, "reach") or "", page=int(number))


def _case(case: Case, *, personal: bool) -> str:
    shown = Shown(case.request, personal=personal)
    keys = [a.signer for a in case.answers]
    past = [m for m in case.moments if m.at <= case.now]
    return flask.render_template(
        "request.html",
        case=case,
        shown=shown,
        chart=chart(keys, case.moments, case.now, console().day, shown.label),
        legend=WORDS,
        done=done(),
        past=past[-MOMENTS:],
        earlier=max(0, len(past) - MOMENTS),
        ahead=[m for m in case.moments if m.at > case.now],
        choice=_choice(),
        reaches=Counter(v.reach for v in case.verdicts.values()),
        attempts=attempts,
        blocker=lambda notice, record: _blocker(case, notice, record),
        stoppable=not cannot_stop(case.request),
        resumable=not cannot_resume(case.request),
    )


def _blocker(case: Case, notice: str, record: NoticeRecord) -> str:
    """Why a message cannot be sent once more; "" if it can."""
    if reason := console().operate.blocker(case.request, notice, record):
        return reason
    found = case.blocked.get(record.address)
    return f"the address is blocked: {found.reason}" if found else ""


@pages.get("/messages")
def messages() -> str:
    """The messages in one state; `?state=` chooses it, and failed ones are the default."""
    state, narrow = _chosen(NoticeState, "state") or NoticeState.FAILED, narrowed()
    page = console().inspect.messages(state, cursor(flask.request.args.get("after", "")), narrow)
    records = [r for _, r in page.rows if isinstance(r, NoticeRecord)]
    of = console().inspect.requests_of(r.request_id for r in records)
    return flask.render_template(
        "messages.html",
        page=page,
        chosen=state,
        narrow=narrow,
        states=LISTED,
        providers=sorted(
            {*providers(console().environ), narrow.provider.lower(), *(r.provider for r in records)} - {""}
        ),
        causes=sorted(OF_MESSAGES),
        again=state in NOT_ARRIVED,
        requests={key: Shown(r, personal=False) for key, r in of.items()},
        mark=mark,
        spoken=spoken,
        done=done(),
    )


@pages.get("/days")
def days() -> str:
    """What was sent, arrived and failed on each day, by channel, and how late."""
    return flask.render_template("days.html", **_figures())


def _figures() -> Mapping[str, object]:
    figures = console().inspect.by_day()
    top = max((max(f.sent, f.delivered, f.failed) for f in figures), default=0)
    return {"figures": figures, "top": max(top, 1), "counted": COUNTED}


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
    """Counts, settings, warnings and gauges."""
    c = console()
    control = c.inspect.control()
    return flask.render_template(
        "health.html",
        api_says=in_words(control.answers),
        requests=c.inspect.request_counts(),
        messages=c.inspect.message_counts(),
        failures=c.inspect.recent_failures(),
        gauges=c.gauges(),
        settings=configuration(c.environ),
        warnings=[*c.warnings, *warnings(c.environ)],
        control=control,
        now=c.clock(),
        most=MOST,
    )


@pages.get("/words")
def words() -> str:
    """What each state means."""
    return flask.render_template("words.html", meanings=MEANINGS)


def _chosen(kind: type[E], name: str) -> E | None:
    value = flask.request.args.get(name)
    try:
        return kind(value) if value else None
    except ValueError:
        flask.abort(400, f"no such {name}")
