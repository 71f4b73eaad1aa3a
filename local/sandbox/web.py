"""What the pages of the sandbox and the outbox share: headers, times, CSRF protection, and JSON or HTML."""

from datetime import datetime

import flask
import msgspec
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from local.sandbox import answers

POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"


def add_security_headers(app: flask.Flask) -> None:
    """Add the common headers, filters, CSRF protection and error pages to an app."""
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = 1_000_000
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.add_template_filter(when)
    app.add_template_filter(minute)
    app.before_request(reject_cross_site_posts)
    app.after_request(_with_headers)
    app.register_error_handler(HTTPException, failed)


def _with_headers(response: flask.Response) -> flask.Response:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"  # a signing link is enough to sign
    if flask.request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response


def reject_cross_site_posts() -> None:
    """CSRF protection: browsers name the origin of a POST in Sec-Fetch-Site."""
    site = flask.request.headers.get("Sec-Fetch-Site", "none")
    if flask.request.method == "POST" and site not in ("same-origin", "none"):
        flask.abort(403, "this POST comes from another site's page")


def wants_json() -> bool:
    request = flask.request
    kinds = ["text/html", "application/json"]
    return request.is_json or request.accept_mimetypes.best_match(kinds) == "application/json"


def json_body() -> object:
    try:
        return msgspec.json.decode(flask.request.get_data())
    except msgspec.DecodeError as error:
        flask.abort(400, f"the body is not JSON: {error}")


def failed(error: HTTPException) -> flask.typing.ResponseReturnValue:
    return failure(error.code or 500, error.description or error.name)


def failure(status: int, reason: str) -> flask.typing.ResponseReturnValue:
    if wants_json() or flask.request.path.startswith("/api/"):
        return answers.error(status, reason), status
    return flask.render_template("error.html", status=status, reason=reason), status


def when(at: datetime | None) -> str:
    if at is None:
        return ""
    return _time(at, f"{at.day} {at:%b %Y, %H:%M:%S} UTC")


def minute(at: datetime) -> str:
    return _time(at.replace(second=0, microsecond=0), f"{at.day} {at:%b %Y, %H:%M} UTC")


def _time(at: datetime, shown: str) -> str:
    return Markup('<time datetime="{}">{}</time>').format(answers.iso(at), shown)
