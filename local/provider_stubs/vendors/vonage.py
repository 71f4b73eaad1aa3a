"""A stand-in for Vonage."""

import uuid

import flask

from local.provider_stubs.common import E164, Account, first_wrong, json_object, keep, presents, refuse, setting
from shared.domain.model import ChannelName
from shared.text.segments import segments

blueprint = flask.Blueprint("vonage", __name__)
ACCOUNTS = (
    Account(
        ChannelName.SMS,
        "VONAGE_API_URL",
        credentials={
            "VONAGE_API_KEY": "demo-key",
            "VONAGE_API_SECRET": "demo-secret",
            "VONAGE_FROM": "Relay",
            "VONAGE_MESSAGES_API_URL": "http://{host}",
        },
    ),
)
LONGEST_REFERENCE = 100
LONGEST_TEXT = 1000
TYPES = ("text", "binary", "wappush", "unicode", "vcal", "vcard")


@blueprint.post("/sms/json")
def vonage() -> flask.typing.ResponseReturnValue:
    """Always 200, the outcome in the body: https://developer.vonage.com/en/api/sms"""
    form = flask.request.form
    to, text, kind = form.get("to", ""), form.get("text", ""), form.get("type", "text")
    wrong = first_wrong(
        [
            (("4", "Bad Credentials"), presents(setting("VONAGE_API_KEY"), setting("VONAGE_API_SECRET"))),
            *((("2", f"Missing {name} param"), bool(form.get(name))) for name in ("from", "to", "text")),
            (("3", "Invalid value for param: to"), bool(E164.fullmatch(f"+{to}"))),
            (("3", "Invalid value for param: type"), kind in TYPES),
            (("3", "Invalid value for param: client-ref"), len(form.get("client-ref", "")) <= LONGEST_REFERENCE),
        ]
    )
    if wrong:
        refuse(200, {"message-count": "1", "messages": [{"status": wrong[0], "error-text": wrong[1]}]})
    count, key = segments(text).count, keep("sms", f"+{to}", text, notice=form.get("client-ref", ""))
    parts = [{"to": to, "message-id": f"{key[:12]}{n:04X}", "status": "0"} for n in range(count)]
    return {"message-count": str(count), "messages": parts}


@blueprint.post("/v1/messages")
def messages() -> flask.typing.ResponseReturnValue:
    """https://developer.vonage.com/en/api/messages"""
    if not presents(setting("VONAGE_API_KEY"), setting("VONAGE_API_SECRET")):
        refuse(401, {"type": "https://developer.vonage.com/api-errors#unauthorized", "title": "Unauthorized"})
    body = json_object() or {}
    to, text, notice = (str(body.get(name, "")) for name in ("to", "text", "client_ref"))
    wrong = first_wrong(
        [
            ("channel", body.get("channel") == "sms"),
            ("message_type", body.get("message_type") == "text"),
            ("from", bool(body.get("from"))),
            ("to", bool(E164.fullmatch(f"+{to}"))),
            ("text", 0 < len(text) <= LONGEST_TEXT),
            ("client_ref", len(notice) <= LONGEST_REFERENCE),
        ]
    )
    if wrong:
        fault = {"type": "https://developer.vonage.com/api-errors/messages#1020", "title": "Invalid params"}
        refuse(422, {**fault, "invalid_parameters": [{"name": wrong, "reason": "..."}]})
    return {"message_uuid": str(uuid.UUID(keep("sms", f"+{to}", text, notice=notice)))}, 202
