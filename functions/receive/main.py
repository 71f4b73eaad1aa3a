"""HTTP, public: Clickwrap's webhooks in, `clickwrap-events` out."""

import flask
import functions_framework

from shared import bootstrap, entrypoint
from shared.handlers.receive import MAX_BODY

entrypoint.start(bootstrap.receive)


@functions_framework.http
def receive(request: flask.Request) -> flask.Response:
    """Answers 200 once the event is stored; otherwise a 4xx or 503 with a one-line reason."""
    return entrypoint.webhook(request, MAX_BODY, bootstrap.receive())
