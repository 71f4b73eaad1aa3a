"""What the HTTP stand-ins share: the account they serve, how they refuse, and where accepted messages go."""

import base64
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from email.utils import parseaddr
from typing import NoReturn, TypeVar

import flask
import msgspec

from local.sandbox.outbox import Outbox, StoredMessage
from shared.domain.model import ChannelName

T = TypeVar("T")

E164 = re.compile(r"\+[1-9]\d{6,14}")
ADDRESS = re.compile(r"[^@\s<>,]+@[^@\s<>,]+")
JSON = "application/json"
USER, PASSWORD = "demo", "demo-password"  # where the login is a part of the address


class Desk(msgspec.Struct, frozen=True):
    """settings: where the account's credentials are looked up, by the names the relay knows them under."""

    settings: Mapping[str, str]
    outbox: Outbox
    clock: Callable[[], datetime]


class Account(msgspec.Struct, frozen=True):
    """channel: whose provider it is. address: the variable that says where the provider is.

    value: what that must be; {host} is host:port. credentials: further variables, where they are not set; likewise.
    """

    channel: ChannelName
    address: str
    value: str = "http://{host}"
    credentials: Mapping[str, str] = {}


def desk() -> Desk:
    found = flask.current_app.extensions["desk"]
    assert isinstance(found, Desk)
    return found


def setting(name: str) -> str:
    return desk().settings.get(name, "")


def presents(user: str, password: str) -> bool:
    """Whether the request bears this Basic login."""
    expected = base64.b64encode(f"{user}:{password}".encode()).decode()
    return flask.request.headers.get("Authorization") == f"Basic {expected}"


def json_object() -> dict[str, object] | None:
    """The body's object; None when it is none, or does not say that it is JSON."""
    body = flask.request.get_json(silent=True) if flask.request.mimetype == JSON else None
    return body if isinstance(body, dict) else None


def first_wrong(checks: Iterable[tuple[T, bool]]) -> T | None:
    """The name of the first check that is not met."""
    return next((name for name, met in checks if not met), None)


def refuse(status: int, body: object, headers: Mapping[str, str] = {}) -> NoReturn:
    """Answers so. The demo's reader sees why a message is missing."""
    print(f"  refused by the stand-in, {flask.request.path}: {body}", file=sys.stderr, flush=True)
    response = flask.make_response(body) if isinstance(body, str) else flask.jsonify(body)
    response.status_code = status
    response.headers.update(headers)
    flask.abort(response)


def keep(channel: str, to: str, text: str, subject: str = "", html: str = "", *, notice: str) -> str:
    """Returns a new id for the message."""
    return key_of(desk().outbox.add(channel, notice, to, text, subject, html, at=desk().clock()))


def key_of(number: int) -> str:
    """The id of the outbox's n-th message."""
    return f"{number:032x}"


def kept(to: str) -> list[StoredMessage]:
    """What was accepted for this address, the newest first."""
    return [message for message in reversed(desk().outbox.messages()) if message.to == to]


def is_address(value: str) -> bool:
    """With or without a name before it."""
    return bool(ADDRESS.fullmatch(parseaddr(value)[1]))
