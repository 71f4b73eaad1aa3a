"""HTTP, Cloud Scheduler: whatever is due is looked at again."""

import flask
import functions_framework

from shared import bootstrap, entrypoint
from shared.domain.errors import RetryLater

entrypoint.start(bootstrap.reconcile)


@functions_framework.http
@entrypoint.private("reconcile")
def reconcile(request: flask.Request) -> flask.Response:
    try:
        return entrypoint.reply(200, bootstrap.reconcile().run())
    except RetryLater as e:
        return entrypoint.reply(503, {"error": e.reason})
