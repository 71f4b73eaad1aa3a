"""Stores and shows every SMS and e-mail instead of sending it."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import flask
import msgspec

from local.emulation.database import Database
from local.sandbox import web
from local.sandbox.answers import iso
from shared.domain.errors import Accepted, RetryLater
from shared.ports import Outgoing

SCHEMA = """create table if not exists messages (
    id integer primary key autoincrement, channel text not null, notice text not null, recipient text not null,
    subject text not null, text text not null, html text not null, at real not null)"""


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
        self, channel: str, notice: str, to: str, text: str, subject: str = "", html: str = "", *, at: datetime
    ) -> int:
        """Store a message and return its number. Raises sqlite3.Error."""
        row = (channel, notice, to, subject, text, html, at.timestamp())
        columns = "(channel, notice, recipient, subject, text, html, at)"
        with self._database.transaction() as db:
            cursor = db.execute(f"insert into messages {columns} values (?, ?, ?, ?, ?, ?, ?)", row)
            return int(cursor.lastrowid or 0)

    def messages(self) -> list[StoredMessage]:
        """All messages, the newest last."""
        with self._database.transaction() as db:
            return [_stored(row) for row in db.execute("select * from messages order by id")]

    def clear(self) -> None:
        with self._database.transaction() as db:
            db.execute("delete from messages")

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
    """The provider `outbox` for one channel."""

    def __init__(self, name: str, outbox: Outbox, clock: Callable[[], datetime]) -> None:
        self.name, self._outbox, self._clock = name, outbox, clock

    def send(self, message: Outgoing) -> Accepted:
        """Store the message. Raises RetryLater if it cannot be stored."""
        m = message
        try:
            key = self._outbox.add(str(self.name), m.notice, m.to, m.text, m.subject, m.html, at=self._clock())
        except sqlite3.Error as error:
            raise RetryLater(f"the outbox cannot be written: {error}") from error
        return Accepted(f"outbox-{key}")


# -- the page

pages = flask.Blueprint("pages", __name__)

# For the frame that shows an e-mail: inline styles only, no scripts, nothing loaded from elsewhere.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
LIVE_SECONDS = 3  # between reloads with ?live, for browsers without JavaScript


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


def create_outbox_app(outbox: Outbox) -> flask.Flask:
    """The app; it is mounted under /outbox."""
    app = flask.Flask(__name__, template_folder="templates", static_folder="static")
    app.extensions["outbox"] = outbox
    web.add_security_headers(app)
    app.register_blueprint(pages)
    return app


def _outbox() -> Outbox:
    found = flask.current_app.extensions["outbox"]
    assert isinstance(found, Outbox)
    return found


@pages.get("/")
def index() -> str:
    """?sms=number and ?mail=id select what is shown; by default the newest."""
    args, stored = flask.request.args, _outbox().messages()
    texts, mails = [m for m in stored if not m.is_mail], [m for m in stored if m.is_mail]
    numbers = threads(texts)
    return flask.render_template(
        "outbox.html",
        texts=numbers,
        mails=threads(mails),
        count_texts=len(texts),
        count_mails=len(mails),
        thread=next((t for t in numbers if t.to == args.get("sms")), numbers[0] if numbers else None),
        mail=next((m for m in mails if str(m.id) == args.get("mail")), mails[-1] if mails else None),
        chosen={name: args[name] for name in ("sms", "mail") if name in args},
        times=Counter((m.notice, m.to) for m in stored),
        refresh=LIVE_SECONDS if "live" in args else None,
    )


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


@pages.post("/clear")
def clear() -> flask.typing.ResponseReturnValue:
    _outbox().clear()
    return ("", 204) if web.wants_json() else flask.redirect(flask.url_for("pages.index"), 303)
