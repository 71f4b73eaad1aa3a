"""A stand-in for a service that Apprise knows: whoever takes its JSON notifications."""

import re
from html import unescape
from typing import Any

import flask

from local.provider_stubs.common import (
    ADDRESS,
    E164,
    PASSWORD,
    USER,
    Account,
    first_wrong,
    json_object,
    keep,
    presents,
    refuse,
)
from shared.domain.model import ChannelName

blueprint = flask.Blueprint("apprise", __name__)
URL = f"json://{USER}:{PASSWORD}@{{host}}/apprise/{{to}}"
ACCOUNTS = (
    Account(ChannelName.SMS, "APPRISE_SMS_URL", URL),
    Account(ChannelName.EMAIL, "APPRISE_EMAIL_URL", URL),
)

MARKUP = re.compile(r"<head\b.*?</head>|<[^>]+>", re.DOTALL)
TYPES = ("info", "success", "warning", "failure")


@blueprint.post("/apprise/<to>")
def notify(to: str) -> flask.typing.ResponseReturnValue:
    """https://github.com/caronc/apprise/wiki/Notify_Custom_JSON"""
    if not presents(USER, PASSWORD):
        refuse(401, "Unauthorized")
    body: Any = json_object()
    if body is None:
        refuse(415, "JSON expected")
    wrong = first_wrong(
        [
            ("to", bool(E164.fullmatch(to) or ADDRESS.fullmatch(to))),
            ("message", isinstance(body.get("message"), str) and bool(body["message"])),
            ("type", body.get("type") in TYPES),
        ]
    )
    if wrong:
        refuse(400, f"{wrong} is missing or not valid")
    message, channel = body["message"], "email" if "@" in to else "sms"
    html = message if channel == "email" else ""  # an e-mail goes through Apprise as its page alone
    keep(channel, to, plain(message) if html else message, body.get("title", ""), html, notice="")
    return "", 200


def plain(page: str) -> str:
    return " ".join(unescape(MARKUP.sub(" ", page)).split())
