"""HTTP, Cloud Scheduler: whatever is due is looked at again."""

import flask
import functions_framework

from shared import entry, wiring
from shared.domain.outcomes import Retry

entry.start(wiring.reconcile)


@functions_framework.http
def reconcile(request: flask.Request) -> flask.Response:
    try:
        return entry.reply(200, wiring.reconcile().run())
    except Retry as e:
        return entry.reply(503, {"error": e.reason})
