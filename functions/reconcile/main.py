"""HTTP, Cloud Scheduler: whatever is due is looked at again; `/check` begins the check of the whole relay."""

import flask
import functions_framework

from shared import bootstrap, entrypoint
from shared.domain.errors import RetryLater

entrypoint.start(bootstrap.reconcile)


@functions_framework.http
@entrypoint.private("reconcile")
def reconcile(request: flask.Request) -> flask.Response:
    try:
        if entrypoint.tail(request) == "check":
            bootstrap.check_webhook().post()
            return entrypoint.reply(200, {"status": "under way"})
        return entrypoint.reply(200, bootstrap.reconcile().run())
    except RetryLater as e:
        return entrypoint.reply(503, {"error": e.reason})
