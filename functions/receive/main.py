"""HTTP, public: Clickwrap's webhooks in, `clickwrap-events` out."""

import flask
import functions_framework

from shared import bootstrap, entrypoint
from shared.handlers.receive import MAX_BODY, WebhookRejected

entrypoint.start(bootstrap.receive)


@functions_framework.http
def receive(request: flask.Request) -> flask.Response:
    try:
        return entrypoint.reply(200, {"status": bootstrap.receive().accept(admitted(request))})
    except WebhookRejected as e:
        return entrypoint.reply(e.status, {"error": str(e)}, **({"Allow": "POST"} if e.status == 405 else {}))


def admitted(request: flask.Request) -> bytes:
    """The body of a request that may be read at all."""
    if request.method != "POST":
        raise WebhookRejected(405, "only POST is accepted: set the webhook's HTTP method to POST")
    bootstrap.receive().authenticate(request.headers.get("Pactsafe-Webhook-Token"))
    if request.mimetype != "application/json" or request.content_encoding not in (None, "identity"):
        raise WebhookRejected(415, "only plain application/json is accepted")
    body = entrypoint.body_of(request, MAX_BODY)
    if body is None:
        raise WebhookRejected(413, f"the body is larger than {MAX_BODY} bytes")
    return body
