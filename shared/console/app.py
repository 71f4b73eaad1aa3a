"""The console as one WSGI app: rendered on the server, no script, no session."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import flask
import msgspec
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from shared.console import actions, dead_letters, security, views
from shared.console.masking import masked
from shared.domain.errors import RetryLater
from shared.services.dead_letters import DeadLetterService
from shared.services.operator_actions import ActionRefused, OperatorActions
from shared.services.operator_queries import OperatorQueries


class Console(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages are made of.

    environ: the settings, shown with secrets hidden; warnings: what is amiss with them.
    local: on the local stack, where nobody has to sign in. day: how long a day lasts.
    gauges: what else the backend knows of itself, by name.
    """

    inspect: OperatorQueries
    operate: OperatorActions
    dead_letters: DeadLetterService
    environ: Mapping[str, str]
    warnings: Sequence[str] = ()
    clock: Callable[[], datetime]
    day: timedelta
    gauges: Callable[[], Mapping[str, object]] = dict
    local: bool = False


def create_console(console: Console) -> flask.Flask:
    app = flask.Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = 100_000
    app.extensions["console"] = console
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.add_template_filter(when)
    app.add_template_filter(masked)
    app.add_template_global(security.token, "token")
    app.jinja_env.globals["local"] = console.local
    app.before_request(security.check)
    app.after_request(security.add_security_headers)
    app.register_blueprint(views.pages)
    app.register_blueprint(actions.actions)
    app.register_blueprint(dead_letters.letters)
    app.register_error_handler(HTTPException, lambda e: failure(e.code or 500, e.description or e.name))
    app.register_error_handler(ActionRefused, lambda e: failure(409, f"Not done: {e.reason}."))
    app.register_error_handler(RetryLater, lambda e: failure(503, f"{e.reason}. Try again in a moment."))
    return app


def failure(status: int, reason: str) -> flask.typing.ResponseReturnValue:
    """A page that says what went wrong."""
    return flask.render_template("error.html", status=status, reason=reason), status


def when(at: datetime | None) -> str:
    """A time as shown on a page; "" for none."""
    if at is None:
        return ""
    return Markup('<time datetime="{}">{}</time>').format(
        at.isoformat(timespec="seconds"), f"{at.day} {at:%b %Y, %H:%M:%S} UTC"
    )
