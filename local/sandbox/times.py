"""The buttons that set the local clock forward, on every page of the sandbox and the outbox."""

import flask
import msgspec

from local.sandbox import web
from local.sandbox.answers import iso
from local.stack.clock import Busy, Travel
from shared.domain.decodable import decodable

times = flask.Blueprint("times", __name__)


@decodable
class Move(msgspec.Struct, forbid_unknown_fields=True):
    """days: how many to go forward; None goes to the next reminder. back: the page to return to."""

    days: int | None = None
    back: str = "/"


def add_time_buttons(app: flask.Flask, travel: Travel) -> None:
    """Add the buttons to an app, before its first request."""
    app.extensions["travel"] = app.jinja_env.globals["travel"] = travel
    app.register_blueprint(times)


def _travel() -> Travel:
    found = flask.current_app.extensions["travel"]
    assert isinstance(found, Travel)
    return found


@times.get("/time")
def show() -> flask.Response:
    """The local time as JSON, for programs."""
    travel = _travel()
    return flask.jsonify(now=iso(travel.clock()), days_ahead=travel.days_ahead(), next=iso(travel.next_reminder()))


@times.post("/time")
def forward() -> flask.typing.ResponseReturnValue:
    typed = web.json_body() if flask.request.is_json else flask.request.form.to_dict()
    try:
        move = msgspec.convert(typed, Move, strict=False)
        _go(move)
    except msgspec.ValidationError as error:
        return web.failure(400, str(error))
    except Busy as error:
        return web.failure(503, str(error))
    return show() if web.wants_json() else flask.redirect(_local(move.back), 303)


def _go(move: Move) -> None:
    if move.days is None:
        _travel().to_next_reminder()
    elif 0 < move.days <= 100:
        _travel().days(move.days)
    else:
        raise msgspec.ValidationError("days: must be a whole number from 1 to 100; the clock only moves forward")


def _local(path: str) -> str:
    """A path on this site; "/" for a URL of another site."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
