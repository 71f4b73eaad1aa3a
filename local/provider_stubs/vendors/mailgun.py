"""A stand-in for Mailgun."""

from email.utils import parsedate_to_datetime
from typing import Any

import flask
import msgspec

from local.provider_stubs.common import (
    Account,
    first_wrong,
    is_address,
    json_object,
    keep,
    kept,
    key_of,
    presents,
    refuse,
    setting,
)
from local.sandbox.outbox import StoredMessage
from shared.domain.model import ChannelName

blueprint = flask.Blueprint("mailgun", __name__)
ACCOUNTS = (
    Account(
        ChannelName.EMAIL,
        "MAILGUN_API_URL",
        credentials={"MAILGUN_API_KEY": "demo-key", "MAILGUN_DOMAIN": "mg.example.com"},
    ),
)


@blueprint.post("/v3/<domain>/messages")
def mailgun(domain: str) -> flask.typing.ResponseReturnValue:
    """https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages"""
    if not presents("api", setting("MAILGUN_API_KEY")):
        refuse(401, "Forbidden")
    if domain != setting("MAILGUN_DOMAIN"):
        refuse(404, {"message": f"Domain not found: {domain}"})
    form = flask.request.form
    sender, to, text, html = (form.get(name, "") for name in ("from", "to", "text", "html"))
    wrong = first_wrong(
        [
            ("from parameter is missing", bool(sender)),
            ("from parameter is not a valid address. please check documentation", is_address(sender)),
            ("to parameter is missing", bool(to)),
            ("to parameter is not a valid address. please check documentation", is_address(to)),
            ("Need at least one of 'text' or 'html' parameters specified", bool(text or html)),
        ]
    )
    if wrong:
        refuse(400, {"message": wrong})
    key = keep("email", to, text, form.get("subject", ""), html, notice=form.get("v:notice", ""))
    return {"id": f"<{key}@{domain}>", "message": "Queued. Thank you."}


@blueprint.post("/v1/analytics/logs")
def logs() -> flask.typing.ResponseReturnValue:
    """https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/logs/post-v1-analytics-logs"""
    if not presents("api", setting("MAILGUN_API_KEY")):
        refuse(401, "Forbidden")
    body: Any = json_object()
    if body is None:
        refuse(400, {"message": "the body is not JSON"})
    start, end = (parsedate_to_datetime(body[name]) for name in ("start", "end"))
    [wanted] = [f["values"][0]["value"] for f in body["filter"]["AND"] if f["attribute"] == "recipient"]
    found = [_row(message) for message in kept(wanted) if start <= message.at <= end]
    return {"start": body["start"], "end": body["end"], "items": found[: body["pagination"]["limit"]], "pagination": {}}


def _row(message: StoredMessage) -> dict[str, object]:
    headers = {"to": message.to, "message-id": f"{key_of(message.id)}@{setting('MAILGUN_DOMAIN')}"}
    variables = msgspec.json.encode({"notice": message.notice}).decode()
    return {
        "event": "accepted",
        "@timestamp": message.at.isoformat(),
        "recipient": message.to,
        "user-variables": variables,
        "message": {"headers": headers},
    }
