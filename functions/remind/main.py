"""HTTP, Cloud Tasks: publishes one due reminder of one signer."""

import flask
import functions_framework
import msgspec

from shared import entry, wiring
from shared.domain.outcomes import Retry
from shared.handlers.remind import Firing

entry.start(wiring.remind)


@functions_framework.http
def remind(request: flask.Request) -> flask.Response:
    try:
        firing = msgspec.json.decode(request.get_data(), type=Firing)
        return entry.reply(200, {"status": wiring.remind().fire(firing)})
    except msgspec.DecodeError as e:
        return entry.reply(400, {"error": f"not a reminder: {e}"})
    except Retry as e:
        return entry.reply(503, {"error": e.reason})
