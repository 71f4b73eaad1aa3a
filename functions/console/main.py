"""HTTP, private: the operator's pages."""

import flask
import functions_framework
from werkzeug import Response

from shared import entry, wiring

entry.start(wiring.console)


@functions_framework.http
def console(request: flask.Request) -> Response:
    return Response.from_app(wiring.console(), request.environ)
