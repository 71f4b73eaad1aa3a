"""A stand-in for Amazon SES."""

from collections.abc import Iterator
from typing import Any, NoReturn

import flask

from local.provider_stubs.amazon import body_of, credentials, signature_fault
from local.provider_stubs.common import Account, first_wrong, is_address, keep, refuse, setting
from shared.domain.model import ChannelName

blueprint = flask.Blueprint("ses", __name__)
ACCOUNTS = (Account(ChannelName.EMAIL, "SES_API_URL", credentials=credentials("SES")),)


@blueprint.post("/v2/email/outbound-emails")
def ses() -> flask.typing.ResponseReturnValue:
    """https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html"""
    if fault := signature_fault("SES", "ses"):
        _error(403, fault, "The request signature does not match.")
    body, wrong = body_of("sesv2", "SendEmail")
    if fault := wrong or first_wrong(_checks(body)) or "":
        _error(400, "BadRequestException", fault)
    if body.get("ConfigurationSetName", "") != setting("SES_CONFIGURATION_SET"):
        _error(404, "NotFoundException", "Configuration set does not exist.")
    mail, tags = body["Content"]["Simple"], {tag["Name"]: tag["Value"] for tag in body.get("EmailTags", [])}
    parts = {kind: part["Data"] for kind, part in mail["Body"].items()}
    to, subject = body["Destination"]["ToAddresses"][0], mail["Subject"]["Data"]
    key = keep("email", to, parts["Text"], subject, parts.get("Html", ""), notice=tags.get("notice", ""))
    return {"MessageId": key}


def _checks(body: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    mail = body["Content"].get("Simple", {})
    to = body.get("Destination", {}).get("ToAddresses", [])
    sender = body.get("FromEmailAddress", "")
    yield "Missing final '@domain'", all(map(is_address, to)) and is_address(sender)
    yield "Illegal address", sender.isascii() and all(map(str.isascii, to))
    yield "There must be one recipient", len(to) == 1
    yield "The message has no body", bool(mail.get("Body", {}).get("Text", {}).get("Data"))


def _error(status: int, name: str, message: str) -> NoReturn:
    refuse(status, {"message": message}, {"x-amzn-ErrorType": f"{name}:http://internal.amazon.com/coral/"})
