"""What the signers would have received: every SMS and e-mail, kept and shown, and sent to nobody."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import flask
import msgspec

from local.sandbox import web
from local.sandbox.answers import iso
from local.sandbox.database import Database
from shared.domain.outcomes import Accepted, Retry
from shared.ports import Outgoing

SCHEMA = """create table if not exists messages (
    id integer primary key autoincrement, channel text not null, notice text not null, recipient text not null,
    subject text not null, text text not null, html text not null, at real not null)"""


class Caught(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a provider would have got it."""

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
    """Durable. A message that is sent twice is here twice: hiding it would hide the fault."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA)

    def add(
        self, channel: str, notice: str, to: str, text: str, subject: str = "", html: str = "", *, at: datetime
    ) -> int:
        """Returns the message's number. Raises sqlite3.Error, and then nothing is kept."""
        row = (channel, notice, to, subject, text, html, at.timestamp())
        columns = "(channel, notice, recipient, subject, text, html, at)"
        with self._database.transaction() as db:
            cursor = db.execute(f"insert into messages {columns} values (?, ?, ?, ?, ?, ?, ?)", row)
            return int(cursor.lastrowid or 0)

    def messages(self) -> list[Caught]:
        """All of them, newest last."""
        with self._database.transaction() as db:
            return [_caught(row) for row in db.execute("select * from messages order by id")]

    def clear(self) -> None:
        with self._database.transaction() as db:
            db.execute("delete from messages")

    def close(self) -> None:
        self._database.close()


def _caught(row: tuple[int, str, str, str, str, str, str, float]) -> Caught:
    key, channel, notice, to, subject, text, html, at = row
    return Caught(
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
    """The provider `outbox` of one channel."""

    def __init__(self, name: str, outbox: Outbox, clock: Callable[[], datetime]) -> None:
        self.name, self._outbox, self._clock = name, outbox, clock

    def send(self, message: Outgoing) -> Accepted:
        """Raises Retry when it cannot be kept."""
        m = message
        try:
            key = self._outbox.add(str(self.name), m.notice, m.to, m.text, m.subject, m.html, at=self._clock())
        except sqlite3.Error as error:
            raise Retry(f"the outbox cannot be written: {error}") from error
        return Accepted(f"outbox-{key}")


# -- the page

pages = flask.Blueprint("pages", __name__)

# An e-mail is shown in a frame without scripts that inherits this policy; e-mails style themselves inline.
POLICY = f"{web.POLICY}; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
LIVE_SECONDS = 3


def create_outbox_app(outbox: Outbox) -> flask.Flask:
    """Meant to be mounted (under /outbox)."""
    app = flask.Flask(__name__, template_folder="sandbox/templates", static_folder="sandbox/static")
    app.extensions["outbox"] = outbox
    web.dress(app, POLICY)
    app.register_blueprint(pages)
    return app


def _outbox() -> Outbox:
    found = flask.current_app.extensions["outbox"]
    assert isinstance(found, Outbox)
    return found


@pages.get("/")
def index() -> str:
    newest_first = _outbox().messages()[::-1]
    return flask.render_template(
        "outbox.html",
        texts=[m for m in newest_first if not m.is_mail],
        mails=[m for m in newest_first if m.is_mail],
        times=Counter((m.notice, m.to) for m in newest_first),
        refresh=LIVE_SECONDS if "live" in flask.request.args else None,
    )


@pages.get("/messages")
def messages() -> flask.Response:
    return flask.jsonify([msgspec.structs.asdict(m) | {"at": iso(m.at)} for m in _outbox().messages()])


@pages.post("/clear")
def clear() -> flask.typing.ResponseReturnValue:
    _outbox().clear()
    return ("", 204) if web.wants_json() else flask.redirect(flask.url_for("pages.index"), 303)
