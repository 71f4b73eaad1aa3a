"""Stores and shows every SMS and e-mail instead of sending it."""

import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import flask
import msgspec

from local.emulation.database import Database
from local.sandbox import spam, web
from local.sandbox.answers import iso
from local.sandbox.failures import FAILURES, Failure, lost_answer
from local.sandbox.receipts import OutboxReceipts, send_later, written
from shared.adapters.providers.common.mail import Letterhead
from shared.domain.errors import Accepted, RetryLater
from shared.domain.model import ChannelName
from shared.ports import Outgoing
from shared.text.segments import segments

SCHEMA = """create table if not exists messages (
    id integer primary key autoincrement, channel text not null, notice text not null, recipient text not null,
    subject text not null, text text not null, html text not null, at real not null);
create table if not exists sources (message integer primary key, source blob not null);
create table if not exists failures (recipient text primary key, failure text not null, until real)"""
ALL = "*"  # as a recipient: everyone on a channel, `*sms`


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a provider would receive it."""

    id: int
    channel: str
    notice: str
    to: str
    subject: str
    text: str
    html: str
    at: datetime

    @property
    def is_mail(self) -> bool:
        return "@" in self.to


class Outbox:
    """Messages on disk. A message that is sent twice is stored twice, so that the error can be seen."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA)

    def add(
        self,
        channel: str,
        notice: str,
        to: str,
        text: str,
        subject: str = "",
        html: str = "",
        *,
        at: datetime,
        source: bytes = b"",
    ) -> int:
        """Store a message and return its number. source: of an e-mail, as it is sent. Raises sqlite3.Error."""
        row = (channel, notice, to, subject, text, html, at.timestamp())
        columns = "(channel, notice, recipient, subject, text, html, at)"
        with self._database.transaction() as db:
            cursor = db.execute(f"insert into messages {columns} values (?, ?, ?, ?, ?, ?, ?)", row)
            db.execute("insert into sources values (?, ?)", (cursor.lastrowid, source))
            return int(cursor.lastrowid or 0)

    def messages(self) -> list[StoredMessage]:
        """All messages, the newest last."""
        with self._database.transaction() as db:
            return [_stored(row) for row in db.execute("select * from messages order by id")]

    def source(self, key: int) -> bytes:
        """Of an e-mail; empty where it was not kept."""
        with self._database.transaction() as db:
            row = db.execute("select source from sources where message = ?", (key,)).fetchone()
        return bytes(row[0]) if row else b""

    def fail(self, recipient: str, failure: str, until: datetime | None = None) -> None:
        """From now on messages to this recipient fare as one of FAILURES. until: when that ends; None for never."""
        with self._database.transaction() as db:
            row = (recipient, failure, until.timestamp() if until else None)
            db.execute("insert or replace into failures values (?, ?, ?)", row)

    def failure(self, channel: str, recipient: str, now: datetime) -> Failure:
        """How a message to this recipient fares now. Raises sqlite3.Error."""
        query = "select failure from failures where recipient in (?, ?) and (until is null or until > ?)"
        with self._database.transaction() as db:
            row = db.execute(query, (recipient, f"{ALL}{channel}", now.timestamp())).fetchone()
        return FAILURES[row[0]] if row else Failure()

    def recover(self) -> None:
        """Every message is taken again."""
        with self._database.transaction() as db:
            db.execute("delete from failures")

    def clear(self) -> None:
        with self._database.transaction() as db:
            db.execute("delete from messages")
            db.execute("delete from sources")

    def close(self) -> None:
        self._database.close()


def _stored(row: tuple[int, str, str, str, str, str, str, float]) -> StoredMessage:
    key, channel, notice, to, subject, text, html, at = row
    return StoredMessage(
        id=key,
        channel=channel,
        notice=notice,
        to=to,
        subject=subject,
        text=text,
        html=html,
        at=datetime.fromtimestamp(at, UTC),
    )


class OutboxChannel:
    """The provider `outbox` for one channel.

    base: where its receipts are posted to; "" for nowhere. letterhead: what an e-mail's headers are made from.
    """

    name = OutboxReceipts.name

    def __init__(
        self,
        channel: ChannelName,
        outbox: Outbox,
        clock: Callable[[], datetime],
        base: str = "",
        letterhead: Letterhead | None = None,
    ) -> None:
        self._channel, self._outbox, self._clock = channel, outbox, clock
        self._base, self._letterhead = base, letterhead

    def send(self, message: Outgoing) -> Accepted:
        """Store the message. Raises RetryLater if it cannot be stored, and what a failure to be played raises."""
        try:
            failure = self._outbox.failure(self._channel, message.to, self._clock())
            if failure.error:
                raise failure.error()
            accepted = self._taken(message)
        except sqlite3.Error as error:
            raise RetryLater(f"the outbox cannot be written: {error}") from error
        if failure.lost:
            raise lost_answer()
        for told in failure.receipts.get(self._channel, ()) if self._base else ():
            send_later(written(self._base, self._channel, told, message, accepted.provider_id, self._clock()))
        return accepted

    def _taken(self, m: Outgoing) -> Accepted:
        now = self._clock()
        source = self._letterhead.compose(m, now).as_bytes() if self._letterhead else b""
        key = self._outbox.add(self._channel, m.notice, m.to, m.text, m.subject, m.html, at=now, source=source)
        return Accepted(f"outbox-{key}")


# -- the page

pages = flask.Blueprint("pages", __name__)

# For the frame that shows an e-mail: inline styles only, no scripts, nothing loaded from elsewhere.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
CHECKS = (
    (r"<script|\son\w+=", "It holds a script: mail programs remove it."),
    (r"<img(?![^>]*\salt=)", "An image has no text in its place."),
    (r"<(form|iframe|video|object)\b", "It holds a form, frame or video: many mail programs do not show it."),
    (r"<link|@import|url\(", "It loads a style from elsewhere: most mail programs do not."),
    (r'href="http://(?!127\.0\.0\.1|localhost)', "A link is not https."),
)
LIVE_SECONDS = 3  # between reloads with ?live, for browsers without JavaScript


Reply = Callable[[str, str], None]  # a number and its text


class Thread(msgspec.Struct, frozen=True):
    """All messages to one address, the newest last."""

    to: str
    messages: list[StoredMessage]


def threads(messages: Iterable[StoredMessage]) -> list[Thread]:
    """Messages grouped by address; the address with the newest message comes first."""
    found: dict[str, Thread] = {}
    for message in messages:
        thread = found.pop(message.to, Thread(message.to, []))
        thread.messages.append(message)
        found[message.to] = thread
    return list(found.values())[::-1]


def create_outbox_app(
    outbox: Outbox, request_of: Callable[[str], str] = lambda notice: "", reply: Reply = lambda number, text: None
) -> flask.Flask:
    """The app; it is mounted under /outbox.

    request_of: the id of a notice's request; "" if it is not known. reply: brings a signer's text to the relay.
    """
    app = flask.Flask(__name__, template_folder="templates", static_folder="static")
    app.extensions["outbox"], app.extensions["reply"] = outbox, reply
    app.jinja_env.globals |= {"request_of": request_of, "segments": segments, "checked": checked}
    web.add_security_headers(app)
    app.register_blueprint(pages)
    return app


def _outbox() -> Outbox:
    found = flask.current_app.extensions["outbox"]
    assert isinstance(found, Outbox)
    return found


@pages.get("/")
def index() -> str:
    """?q= searches; ?sms=number and ?mail=id select what is shown, by default the newest; ?spam asks SpamAssassin."""
    args = flask.request.args
    text = args.get("q", "").strip()[:200]
    stored = [m for m in _outbox().messages() if fits(m, text)]
    texts, mails = [m for m in stored if not m.is_mail], [m for m in stored if m.is_mail]
    numbers = threads(texts)
    mail = next((m for m in mails if str(m.id) == args.get("mail")), mails[-1] if mails else None)
    source = _outbox().source(mail.id) if mail else b""
    return flask.render_template(
        "outbox.html",
        texts=numbers,
        mails=threads(mails),
        count_texts=len(texts),
        count_mails=len(mails),
        thread=next((t for t in numbers if t.to == args.get("sms")), numbers[0] if numbers else None),
        mail=mail,
        headers=re.sub(r"\r\n(?=\s)", "", source.partition(b"\r\n\r\n")[0].decode()).replace("\r\n", "\n"),
        spam=spam_score(source) if "spam" in args else "",
        spam_installed=spam.installed(),
        q=text,
        chosen={name: args[name] for name in ("q", "sms", "mail") if name in args},
        times=Counter((m.notice, m.to) for m in stored),
        refresh=LIVE_SECONDS if "live" in args else None,
    )


def fits(message: StoredMessage, text: str) -> bool:
    """Whether a message holds the text anywhere, or belongs to the request or notice with this id."""
    m, request_of = message, flask.current_app.jinja_env.globals["request_of"]
    parts = (m.to, m.subject, m.text, m.notice, request_of(m.notice) if text else "")  # type: ignore[operator]
    return not text or any(text.casefold() in part.casefold() for part in parts)


def checked(html: str) -> list[str]:
    """What mail programs would not show, or a spam filter would hold against an e-mail."""
    return [said for pattern, said in CHECKS if re.search(pattern, html, re.IGNORECASE | re.DOTALL)]


def spam_score(source: bytes) -> str:
    """In words."""
    try:
        found = spam.score(source)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"SpamAssassin gave none ({type(error).__name__})."
    return f"{found.points:g} points; from {spam.LIMIT:g} on it is spam. {found.rules}"


@pages.get("/mails/<int:key>")
def html(key: int) -> flask.typing.ResponseReturnValue:
    """An e-mail's HTML for the frame; its links open in a new tab."""
    mail = next((m for m in _outbox().messages() if m.id == key), None)
    if mail is None:
        flask.abort(404, "no such e-mail")
    answer = flask.Response(f'{mail.html}<base target="_blank">')
    answer.headers["Content-Security-Policy"] = MAIL_POLICY
    return answer


@pages.get("/messages")
def messages() -> flask.Response:
    return flask.jsonify([msgspec.structs.asdict(m) | {"at": iso(m.at)} for m in _outbox().messages()])


@pages.post("/texts")
def text_back() -> flask.typing.ResponseReturnValue:
    """A signer texts back: STOP, START, HELP."""
    form = flask.request.form
    number, text = form.get("number", ""), form.get("text", "").strip()
    if not number or not text:
        flask.abort(400, "number and text are needed")
    flask.current_app.extensions["reply"](number, text[:160])
    return flask.redirect(flask.url_for("pages.index", sms=number), 303)


@pages.post("/clear")
def clear() -> flask.typing.ResponseReturnValue:
    _outbox().clear()
    return ("", 204) if web.wants_json() else flask.redirect(flask.url_for("pages.index"), 303)
