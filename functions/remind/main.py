"""HTTP, Cloud Tasks: publishes one due reminder of one signer."""

import logging

import flask
import functions_framework
import msgspec

from shared import bootstrap, entrypoint
from shared.domain.errors import PermanentFailure, RetryLater
from shared.handlers.remind import Firing

log = logging.getLogger("shared.remind")
entrypoint.start(bootstrap.remind)


@functions_framework.http
@entrypoint.private("remind")
def remind(request: flask.Request) -> flask.Response:
    try:
        firing = msgspec.json.decode(request.get_data(), type=Firing)
        return entrypoint.reply(200, {"status": bootstrap.remind().fire(firing)})
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        log.error("a task cannot be read", extra={"json": {"reason": str(e)}})
        return entrypoint.reply(400, {"error": f"not a reminder: {e}"})
    except PermanentFailure as e:  # Cloud Tasks brings it again; `reconcile` sends the reminder if it can
        log.error("a reminder cannot be published", extra={"json": {"reason": e.reason}})
        return entrypoint.reply(500, {"error": e.reason})
    except RetryLater as e:
        return entrypoint.reply(503, {"error": e.reason})
