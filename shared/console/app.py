"""The console as one WSGI app, rendered on the server without sessions; its one script is only a comfort."""

from datetime import datetime
from pathlib import Path

import flask
from jinja2 import ModuleLoader
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from shared.console import actions, bulk, dead_letters, exports, security, views
from shared.console.context import KEY, Console, may_act
from shared.console.masking import masked
from shared.console.words import SHORT
from shared.domain.errors import PermanentFailure, RetryLater

__all__ = ["Console", "create_console"]

COMPILED = Path(__file__).parent / "compiled"  # the templates as Python modules, in a bundle only


def with_templates() -> flask.Flask:
    """A WSGI app that has the templates and what they use, and no pages yet."""
    app = flask.Flask(__name__, static_folder=None)
    if COMPILED.is_dir():
        app.jinja_env.loader = ModuleLoader(COMPILED)  # not `jinja_loader`: Flask asks that for the source
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.add_template_filter(when)
    app.add_template_filter(plain)
    app.add_template_filter(masked)
    app.add_template_global(security.token, "token")
    app.add_template_global(may_act, "may_act")
    app.jinja_env.globals["SHORT"] = SHORT
    return app


def create_console(console: Console) -> flask.Flask:
    """The WSGI app that serves the pages of `console`."""
    app = with_templates()
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = 100_000
    app.extensions[KEY] = console
    app.jinja_env.globals |= {"local": console.local, "signs": console.evidence is not None}
    app.jinja_env.globals["project"] = "" if console.local else console.environ.get("GOOGLE_CLOUD_PROJECT", "")
    app.before_request(security.check)
    app.after_request(security.add_security_headers)
    app.register_blueprint(views.pages)
    app.register_blueprint(actions.actions)
    app.register_blueprint(dead_letters.letters)
    app.register_blueprint(bulk.bulk)
    app.register_blueprint(exports.exports)
    app.register_error_handler(HTTPException, lambda e: failure(e.code or 500, e.description or e.name))
    app.register_error_handler(PermanentFailure, lambda e: failure(500, f"{e.reason}."))
    app.register_error_handler(RetryLater, lambda e: failure(503, f"{e.reason}. Try again in a moment."))
    return app


def failure(status: int, reason: str) -> flask.typing.ResponseReturnValue:
    """The page that tells of an error."""
    return flask.render_template("error.html", status=status, reason=reason), status


def plain(at: datetime | None) -> str:
    """A time as text; "" for none. A template filter."""
    return f"{at.day} {at:%b %Y, %H:%M:%S} UTC" if at else ""


def when(at: datetime | None) -> str:
    """A time as HTML; "" for none. A template filter."""
    if at is None:
        return ""
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="seconds"), plain(at))
