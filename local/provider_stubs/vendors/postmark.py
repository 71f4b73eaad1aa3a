"""A stand-in for Postmark."""

import uuid
from typing import Any

import flask

from local.provider_stubs.common import (
    JSON,
    Account,
    desk,
    first_wrong,
    is_address,
    json_object,
    keep,
    key_of,
    refuse,
    setting,
)
from shared.domain.model import ChannelName

blueprint = flask.Blueprint("postmark", __name__)
ACCOUNTS = (Account(ChannelName.EMAIL, "POSTMARK_API_URL", credentials={"POSTMARK_SERVER_TOKEN": "demo-token"}),)


@blueprint.post("/email")
def postmark() -> flask.typing.ResponseReturnValue:
    """https://postmarkapp.com/developer/api/email-api, .../api/overview#error-codes"""
    _sign_in()
    if flask.request.mimetype != JSON or flask.request.headers.get("Accept") != JSON:
        refuse(415, {"ErrorCode": 409, "Message": "Accept and Content-Type must be application/json."})
    body: Any = json_object()
    if body is None:
        refuse(422, {"ErrorCode": 402, "Message": "The JSON cannot be read."})
    sender, to, text, html = (body.get(name, "") for name in ("From", "To", "TextBody", "HtmlBody"))
    wrong = first_wrong(
        [
            (f"Invalid 'From' address: '{sender}'.", is_address(sender)),
            (f"Error parsing 'To': Illegal email address '{to}'.", is_address(to)),
            ("Provide either email TextBody or HtmlBody or both.", bool(text or html)),
        ]
    )
    if wrong:
        refuse(422, {"ErrorCode": 300, "Message": wrong})
    key = keep("email", to, text, body.get("Subject", ""), html, notice=body.get("Metadata", {}).get("notice", ""))
    return {"ErrorCode": 0, "Message": "OK", "MessageID": str(uuid.UUID(key)), "To": to}


@blueprint.get("/messages/outbound")
def outbound() -> flask.typing.ResponseReturnValue:
    """https://postmarkapp.com/developer/api/messages-api#outbound-message-search"""
    _sign_in()
    args = flask.request.args
    if not {"count", "offset"} <= args.keys():
        refuse(422, {"ErrorCode": 600, "Message": "count and offset are required."})
    found = [m for m in desk().outbox.messages() if m.is_mail and m.notice == args.get("metadata_notice", m.notice)]
    rows = [{"MessageID": str(uuid.UUID(key_of(m.id))), "To": m.to, "Metadata": {"notice": m.notice}} for m in found]
    return {"TotalCount": len(rows), "Messages": rows[: int(args["count"])]}


def _sign_in() -> None:
    if flask.request.headers.get("X-Postmark-Server-Token") != setting("POSTMARK_SERVER_TOKEN"):
        refuse(401, {"ErrorCode": 10, "Message": "The server token is missing or not valid."})
