"""A stand-in for SendGrid."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import flask

from local.provider_stubs.common import (
    ADDRESS,
    JSON,
    Account,
    desk,
    first_wrong,
    json_object,
    keep,
    kept,
    key_of,
    refuse,
    setting,
)
from shared.domain.model import ChannelName

blueprint = flask.Blueprint("sendgrid", __name__)
QUERY = re.compile(r'to_email = "(?P<to>[^"]+)" AND sg_message_id_created_at >= TIMESTAMP "(?P<since>[^"]+)"')
ACCOUNTS = (Account(ChannelName.EMAIL, "SENDGRID_API_URL", credentials={"SENDGRID_API_KEY": "SG.demo-key"}),)


@blueprint.post("/v3/mail/send")
def sendgrid() -> flask.typing.ResponseReturnValue:
    """https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send"""
    _sign_in()
    body: Any = json_object()
    if body is None:
        refuse(415 if flask.request.mimetype != JSON else 400, _sendgrid_error("Bad Request"))
    if wrong := first_wrong(_sendgrid_checks(body)):
        refuse(400, _sendgrid_error("This field is missing or not valid", wrong))
    bodies = {part["type"]: part["value"] for part in body["content"]}
    person = body["personalizations"][0]
    to, notice = person["to"][0]["email"], person.get("custom_args", {}).get("notice", "")
    key = keep("email", to, bodies["text/plain"], body["subject"], bodies.get("text/html", ""), notice=notice)
    return "", 202, {"X-Message-Id": key}


@blueprint.post("/v3/logs")
def logs() -> flask.typing.ResponseReturnValue:
    """https://www.twilio.com/docs/sendgrid/api-reference/email-logs/filter-all-messages"""
    _sign_in()
    body: Any = json_object()
    wanted = QUERY.fullmatch(body["query"]) if body else None
    if wanted is None:
        refuse(400, _sendgrid_error("The query cannot be read", "query"))
    since = datetime.fromisoformat(wanted["since"])
    rows = [{"sg_message_id": f"{key_of(m.id)}.recvd-1", "to_email": m.to} for m in kept(wanted["to"]) if m.at >= since]
    return {"messages": rows[: body["limit"]]}


@blueprint.get("/v3/logs/<key>")
def log(key: str) -> flask.typing.ResponseReturnValue:
    """https://www.twilio.com/docs/sendgrid/api-reference/email-logs/filter-messages-by-id"""
    _sign_in()
    [message] = [m for m in desk().outbox.messages() if key.startswith(key_of(m.id))]
    return {"sg_message_id": key, "to_email": message.to, "custom_args": {"notice": message.notice}, "events": []}


def _sign_in() -> None:
    if flask.request.headers.get("Authorization") != f"Bearer {setting('SENDGRID_API_KEY')}":
        refuse(401, _sendgrid_error("The authorization grant is not valid"))


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
    yield "custom_args", not isinstance(body.get("custom_args", ""), dict)  # the description has text here, if anything
    yield (
        "personalizations.0.custom_args",
        all(isinstance(value, str) for value in people[0].get("custom_args", {}).values()),
    )
