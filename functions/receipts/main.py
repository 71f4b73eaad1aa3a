"""HTTP, public: `/<provider>` takes a provider's delivery receipts."""

import flask
import functions_framework

from shared import entry, wiring
from shared.domain.outcomes import Retry
from shared.domain.receipts import Forged
from shared.handlers.receipts import MAX_BODY

entry.start(wiring.receipts)


@functions_framework.http
def receipts(request: flask.Request) -> flask.Response:
    body = entry.body_of(request, MAX_BODY)
    if body is None:
        return entry.reply(413, {"error": f"the body is larger than {MAX_BODY} bytes"})
    sent = entry.as_sent(request, wiring.settings().url("RECEIPTS_BASE_URL", ""), body)
    try:
        return entry.reply(200, {"settled": wiring.receipts().take(entry.tail(request), sent)})
    except KeyError:
        return entry.reply(404, {"error": "no such provider in use: see SMS_PROVIDER, EMAIL_PROVIDER"})
    except Forged:
        return entry.reply(401, {"error": "not proven to come from the provider"})
    except Retry as e:
        return entry.reply(503, {"error": e.reason})
