"""HTTP, public: `GET /<code>` leads a signer to their document."""

import logging

import flask
import functions_framework

from shared import bootstrap, entrypoint
from shared.domain.errors import RetryLater
from shared.handlers.links import Followed

log = logging.getLogger("shared.links")
entrypoint.start(bootstrap.links)
entrypoint.start(bootstrap.link_page)


@functions_framework.http
def links(request: flask.Request) -> flask.Response:
    entrypoint.follow(request)
    if request.method not in ("GET", "HEAD"):
        return entrypoint.reply(405, {"error": "only GET and HEAD"}, Allow="GET, HEAD")
    return answer(follow(entrypoint.tail(request)), request.host)


def follow(code: str) -> Followed:
    try:
        return bootstrap.links().follow(code)
    except RetryLater as e:
        log.warning("a link could not be followed", extra={"json": {"reason": e.reason}})
    except Exception:  # left to Flask, it would be logged with the path, whose reader may sign
        log.exception("a link could not be followed")
    return Followed(503, reason="busy")


def answer(followed: Followed, host: str) -> flask.Response:
    """Neither caches nor the next site may learn of a link that lets its bearer sign."""
    if followed.location:
        response = flask.Response(status=302, headers={"Location": followed.location})
    else:
        response = flask.Response(bootstrap.link_page()(followed, host), followed.status, mimetype="text/html")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex"
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return entrypoint.early(response)
