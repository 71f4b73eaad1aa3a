"""HTTP, public: `GET /<code>` leads a signer to his document."""

import flask
import functions_framework

from shared import entry, wiring
from shared.domain.outcomes import Retry
from shared.handlers.links import Followed
from shared.text.pages import link_page

entry.start(wiring.links)


@functions_framework.http
def links(request: flask.Request) -> flask.Response:
    if request.method not in ("GET", "HEAD"):
        return entry.reply(405, {"error": "only GET and HEAD"}, Allow="GET, HEAD")
    try:
        followed = wiring.links().follow(request.path.strip("/"))
    except Retry:
        followed = Followed(503, reason="Please try again in a minute.")
    return answer(followed)


def answer(followed: Followed) -> flask.Response:
    """Neither caches nor the next site may learn of a link that lets its bearer sign."""
    response = flask.Response(link_page(followed.reason), followed.status, mimetype="text/html")
    if followed.location:
        response = flask.Response(status=302, headers={"Location": followed.location})
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex"
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return response
