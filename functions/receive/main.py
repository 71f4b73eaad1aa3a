"""HTTP, public: Clickwrap's webhooks in, `clickwrap-events` out."""

import flask
import functions_framework

from shared import entry, wiring
from shared.handlers.receive import MAX_BODY, Refused

entry.start(wiring.receive)


@functions_framework.http
def receive(request: flask.Request) -> flask.Response:
    try:
        return entry.reply(200, {"status": wiring.receive().accept(admitted(request))})
    except Refused as e:
        return entry.reply(e.status, {"error": str(e)}, **({"Allow": "POST"} if e.status == 405 else {}))


def admitted(request: flask.Request) -> bytes:
    """The body of a request that may be read at all."""
    if request.method != "POST":
        raise Refused(405, "only POST is accepted: set the webhook's HTTP method to POST")
    wiring.receive().authenticate(request.headers.get("Pactsafe-Webhook-Token"))
    if request.mimetype != "application/json" or request.content_encoding not in (None, "identity"):
        raise Refused(415, "only plain application/json is accepted")
    body = entry.body_of(request, MAX_BODY)
    if body is None:
        raise Refused(413, f"the body is larger than {MAX_BODY} bytes")
    return body
