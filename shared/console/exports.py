"""Files: a list as CSV, like its page but without its paging; and the evidence of one request, which is not masked."""

import csv
import io
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import flask

from shared.console import searches
from shared.console.context import console, dead_notices, may_act, narrowed, person
from shared.console.masking import Shown, masked
from shared.domain.model import NoticeRecord, NoticeState, Request, SignerState, Status, Suppression
from shared.domain.signers import counted
from shared.domain.timeline import spoken
from shared.ports import Mark
from shared.services.operator_lists import SCANNED, Narrow, Page

exports = flask.Blueprint("exports", __name__)
MOST_ROWS = 5_000
BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for another encoding
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run

Row = Sequence[object]
log = logging.getLogger(__name__)


@exports.get("/<name>.csv")
def table(name: str) -> flask.Response:
    """One of TABLES. Aborts with 404 for another, and with 400 for a state that does not exist."""
    columns, rows = TABLES.get(name) or flask.abort(404, "There is no such list.")
    try:
        body = written(columns, rows(narrowed()))
    except ValueError:
        flask.abort(400, "no such state")
    answer = flask.Response(BYTE_ORDER_MARK + body, mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


@exports.post("/requests/<key>/evidence")
def evidence(key: str) -> flask.Response:
    """The request's evidence as a file, and a log line of who took it. Aborts with 403 for a reader."""
    if not may_act():
        flask.abort(403, "you may read the console and not act: CONSOLE_OPERATORS does not name you")
    made, who = console().evidence, person()
    file = made(key) if made else flask.abort(404, "EVIDENCE_KEY is not set.")
    if file is None:
        flask.abort(404, f"There is no request {key!r}.")
    log.info("console: evidence taken", extra={"json": {"request": key, "who": who}})
    return flask.send_file(io.BytesIO(file), "text/html", as_attachment=True, download_name=f"evidence-{key}.html")


def written(columns: Row, rows: Iterable[Row]) -> str:
    """The text of the file. A cell that a spreadsheet would run as a formula begins with an apostrophe."""
    out = io.StringIO()
    csv.writer(out).writerows([_plain(cell) for cell in row] for row in (columns, *rows))
    return out.getvalue()


def _plain(cell: object) -> str:
    text = cell.isoformat(timespec="seconds") if isinstance(cell, datetime) else "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(FORMULA) else text


def _requests(narrow: Narrow) -> Iterable[Row]:
    inspect, status = console().inspect, flask.request.args.get("status")
    state = Status(status) if status else None
    return _of_requests(lambda after: inspect.requests(state, after, narrow, SCANNED))


def _search(narrow: Narrow) -> Iterable[Row]:
    """The text is in this browser's cookie."""
    text = searches.text_of(flask.request.args.get("n", ""), flask.request.cookies.get(searches.COOKIE, ""))
    return _of_requests(lambda after: console().inspect.search(text, after))


def _of_requests(page: Callable[[Mark | None], Page]) -> Iterable[Row]:
    for key, r in console().inspect.every(page, MOST_ROWS):
        if isinstance(r, Request):
            those = counted(r.signers)
            signed = sum(s.state is SignerState.SIGNED for s in those)
            yield key, Shown(r, personal=False).title(), r.status, signed, len(those), r.changed_at


def _messages(narrow: Narrow) -> Iterable[Row]:
    inspect, state = console().inspect, NoticeState(flask.request.args.get("state") or NoticeState.FAILED)
    for key, m in inspect.every(lambda after: inspect.messages(state, after, narrow, SCANNED), MOST_ROWS):
        if isinstance(m, NoticeRecord):
            yield m.request_id, key, spoken(m), m.state, masked(m.reason), m.provider, m.provider_id, m.changed_at


def _suppressions(narrow: Narrow) -> Iterable[Row]:
    inspect = console().inspect
    for key, s in inspect.every(inspect.suppressions, MOST_ROWS):
        if isinstance(s, Suppression):
            yield key[:12], s.channel, masked(s.reason), s.since, s.cleared_at, s.cleared_by, s.cleared_why


def _attention(narrow: Narrow) -> Iterable[Row]:
    for cause, troubles in console().inspect.attention(dead_notices()).groups.items():
        for t in troubles:
            shown = Shown(t.request, personal=False)
            because = shown.text(t.verdict.sentence())
            yield cause, t.request.id, shown.title(), shown.label(t.signer), because, t.verdict.advice


def _days(narrow: Narrow) -> Iterable[Row]:
    for f in console().inspect.by_day():
        yield (
            f.day,
            f.channel,
            f.sent,
            f.delivered,
            f.failed,
            round(f.usual, 1),
            round(max(f.late, default=0), 1),
            "yes" if f.partial else "",
        )


def _dead_letters(narrow: Narrow) -> Iterable[Row]:
    for p in console().dead_letters.held():
        letter = p.letter
        yield letter.key, p.what, letter.at, letter.attempts, masked(letter.reason), p.outcome, masked(p.would)


REQUESTS: Row = ("request", "title", "status", "signed", "signers", "changed")
TABLES: dict[str, tuple[Row, Callable[[Narrow], Iterable[Row]]]] = {
    "requests": (REQUESTS, _requests),
    "search": (REQUESTS, _search),
    "messages": (
        ("request", "notice", "message", "state", "reason", "provider", "provider id", "changed"),
        _messages,
    ),
    "suppressions": (("address", "channel", "reason", "since", "cleared", "by", "why"), _suppressions),
    "attention": (("cause", "request", "title", "signer", "verdict", "what to do"), _attention),
    "days": (("day", "channel", "sent", "delivered", "failed", "usual seconds", "longest seconds", "partial"), _days),
    "dead-letters": (("id", "message", "given up", "attempts", "reason", "replay", "would"), _dead_letters),
}
