"""CSRF protection, the operator's identity, and the headers of every page."""

import hmac
import re
import secrets
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

import flask
from werkzeug.datastructures import Headers

from shared.callers import claims

COOKIE = "console"
TOKEN = re.compile(r"[\w-]{43}")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}


def who(headers: Headers) -> str:
    """The e-mail claim of the token that Cloud Run has let in; "" without one."""
    return claims(cast("Mapping[str, str]", headers)).email


def token() -> str:
    """The CSRF token: a form sends it beside the cookie, and another site's page can read neither."""
    if "token" not in flask.g:
        known = flask.request.cookies.get(COOKIE, "")
        flask.g.token = known if TOKEN.fullmatch(known) else secrets.token_urlsafe(32)
    value: str = flask.g.token
    return value


def check() -> None:
    """Before each request: aborts with 403 for a POST that does not come from a form of the console."""
    if flask.request.method != "POST":
        return
    if not _from_here():
        flask.abort(403, "this form was sent by another site's page")
    cookie, field = flask.request.cookies.get(COOKIE, ""), flask.request.form.get("token", "")
    if not (TOKEN.fullmatch(cookie) and hmac.compare_digest(cookie.encode(), field.encode())):
        flask.abort(403, "this form is from another session: go back, reload the page and send it again")


def _from_here() -> bool:
    """Reads the browser's own headers; each that is there must agree. The tunnel of `make console` sets Origin anew.

    Origin comes first: a browser calls a page the same origin whose name was made to mean this machine.
    """
    site, origin = flask.request.headers.get("Sec-Fetch-Site"), flask.request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != flask.request.host:
        return False
    return site in (None, "same-origin", "none")


def add_security_headers(response: flask.Response) -> flask.Response:
    """After each request: HEADERS, and the cookie where a form was drawn."""
    response.headers.update(HEADERS)
    if flask.g.get("token") and flask.g.token != flask.request.cookies.get(COOKIE):
        # Not Secure: the tunnel of `make console` is plain http, and the cookie alone opens nothing.
        path = flask.request.script_root or "/"
        response.set_cookie(COOKIE, flask.g.token, httponly=True, samesite="Strict", path=path)
    return response
