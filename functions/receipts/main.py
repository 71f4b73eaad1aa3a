"""HTTP, public: `/<provider>` takes a provider's delivery receipts."""

import flask
import functions_framework

from shared import bootstrap, entrypoint
from shared.domain.errors import RetryLater
from shared.domain.receipts import InvalidSignature
from shared.handlers.receipts import MAX_BODY

entrypoint.start(bootstrap.receipts)


@functions_framework.http
def receipts(request: flask.Request) -> flask.Response:
    body = entrypoint.body_of(request, MAX_BODY)
    if body is None:
        return entrypoint.reply(413, {"error": f"the body is larger than {MAX_BODY} bytes"})
    sent = entrypoint.as_sent(request, bootstrap.receipts_base_url(), body)
    try:
        return entrypoint.reply(200, {"settled": bootstrap.receipts().take(entrypoint.tail(request), sent)})
    except KeyError:
        return entrypoint.reply(404, {"error": "no such provider in use: see SMS_PROVIDER, EMAIL_PROVIDER"})
    except InvalidSignature:
        return entrypoint.reply(401, {"error": "not proven to come from the provider"})
    except RetryLater as e:
        return entrypoint.reply(503, {"error": e.reason})
