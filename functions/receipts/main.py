"""HTTP, public: `/<provider>` takes a provider's delivery receipts, and the texts that signers send back."""

import flask
import functions_framework

from shared import bootstrap, entrypoint, request_body
from shared.domain.errors import RetryLater
from shared.domain.receipts import InvalidSignature
from shared.handlers.receipts import NotInUse, Taken

entrypoint.start(bootstrap.receipts)


@functions_framework.http
def receipts(request: flask.Request) -> flask.Response:
    """Nothing of a body is read before its provider's signature header is there."""
    entrypoint.follow(request)
    provider, handler = entrypoint.tail(request), bootstrap.receipts()
    try:
        body = request_body.read(request, handler.limit(provider, entrypoint.headers(request)))
        sent = entrypoint.as_sent(request, bootstrap.receipts_base_url(), body)
        return answer(handler.take(provider, sent))
    except NotInUse as e:
        return entrypoint.refuse(404, e.reason)
    except InvalidSignature:
        return entrypoint.refuse(401, "not proven to come from the provider")
    except request_body.BodyRefused as e:
        return entrypoint.refuse(e.status, e.reason)
    except RetryLater as e:
        return entrypoint.refuse(503, e.reason)


def answer(taken: Taken) -> flask.Response:
    if taken.answer:
        return flask.Response(taken.answer, mimetype="text/xml")
    return entrypoint.reply(200, {"settled": taken.settled})
