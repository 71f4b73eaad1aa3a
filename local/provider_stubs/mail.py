"""Stand-ins for the providers of e-mail with an HTTP API."""

import uuid
from collections.abc import Iterator
from email.utils import parseaddr
from typing import Any

import flask

from local.provider_stubs.common import ADDRESS, JSON, first_wrong, json_object, keep, presents, refuse, setting

mail = flask.Blueprint("mail", __name__)


@mail.post("/v3/mail/send")
def sendgrid() -> flask.typing.ResponseReturnValue:
    """https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send"""
    if flask.request.headers.get("Authorization") != f"Bearer {setting('SENDGRID_API_KEY')}":
        refuse(401, _sendgrid_error("The authorization grant is not valid"))
    body: Any = json_object()
    if body is None:
        refuse(415 if flask.request.mimetype != JSON else 400, _sendgrid_error("Bad Request"))
    if wrong := first_wrong(_sendgrid_checks(body)):
        refuse(400, _sendgrid_error("This field is missing or not valid", wrong))
    bodies = {part["type"]: part["value"] for part in body["content"]}
    to, notice = body["personalizations"][0]["to"][0]["email"], body.get("custom_args", {}).get("notice", "")
    key = keep("email", to, bodies["text/plain"], body["subject"], bodies.get("text/html", ""), notice=notice)
    return "", 202, {"X-Message-Id": key}


def _sendgrid_error(message: str, field: str | None = None) -> dict[str, object]:
    return {"errors": [{"message": message, "field": field, "help": None}]}


def _sendgrid_checks(body: Any) -> Iterator[tuple[str, bool]]:
    """The first content must be the plain text, and custom arguments are texts."""
    people = body.get("personalizations") or [{}]
    to = [person.get("email", "") for person in people[0].get("to") or [{}]]
    content = body.get("content") or [{}]
    yield "personalizations.0.to.0.email", all(ADDRESS.fullmatch(address) for address in to)
    yield "from.email", bool(ADDRESS.fullmatch(body.get("from", {}).get("email", "")))
    yield "subject", bool(body.get("subject"))
    yield "content", content[0].get("type") == "text/plain" and all(part.get("value") for part in content)
    yield "custom_args", all(isinstance(value, str) for value in body.get("custom_args", {}).values())


@mail.post("/v3/<domain>/messages")
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
            ("from parameter is not a valid address. please check documentation", _is_address(sender)),
            ("to parameter is missing", bool(to)),
            ("to parameter is not a valid address. please check documentation", _is_address(to)),
            ("Need at least one of 'text' or 'html' parameters specified", bool(text or html)),
        ]
    )
    if wrong:
        refuse(400, {"message": wrong})
    key = keep("email", to, text, form.get("subject", ""), html, notice=form.get("v:notice", ""))
    return {"id": f"<{key}@{domain}>", "message": "Queued. Thank you."}


@mail.post("/email")
def postmark() -> flask.typing.ResponseReturnValue:
    """https://postmarkapp.com/developer/api/email-api, .../api/overview#error-codes"""
    if flask.request.headers.get("X-Postmark-Server-Token") != setting("POSTMARK_SERVER_TOKEN"):
        refuse(401, {"ErrorCode": 10, "Message": "The server token is missing or not valid."})
    if flask.request.mimetype != JSON or flask.request.headers.get("Accept") != JSON:
        refuse(415, {"ErrorCode": 409, "Message": "Accept and Content-Type must be application/json."})
    body: Any = json_object()
    if body is None:
        refuse(422, {"ErrorCode": 402, "Message": "The JSON cannot be read."})
    sender, to, text, html = (body.get(name, "") for name in ("From", "To", "TextBody", "HtmlBody"))
    wrong = first_wrong(
        [
            (f"Invalid 'From' address: '{sender}'.", _is_address(sender)),
            (f"Error parsing 'To': Illegal email address '{to}'.", _is_address(to)),
            ("Provide either email TextBody or HtmlBody or both.", bool(text or html)),
        ]
    )
    if wrong:
        refuse(422, {"ErrorCode": 300, "Message": wrong})
    keep("email", to, text, body.get("Subject", ""), html, notice=body.get("Metadata", {}).get("notice", ""))
    return {"ErrorCode": 0, "Message": "OK", "MessageID": str(uuid.uuid4()), "To": to}


def _is_address(value: str) -> bool:
    return bool(ADDRESS.fullmatch(parseaddr(value)[1]))
