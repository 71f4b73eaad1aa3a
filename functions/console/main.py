"""HTTP, private: the operator's pages."""

import flask
import functions_framework
from werkzeug import Response

from shared import bootstrap, entrypoint

entrypoint.start(bootstrap.console)


@functions_framework.http
def console(request: flask.Request) -> Response:
    return Response.from_app(bootstrap.console(), request.environ)
