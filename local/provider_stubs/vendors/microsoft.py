"""A stand-in for Microsoft 365: its tokens, and of Graph the mail of a mailbox."""

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr
from typing import NoReturn

import flask

from local.provider_stubs.common import ADDRESS, Account, desk, first_wrong, is_address, keep, refuse, setting
from local.provider_stubs.vendors.smtp import body
from shared.domain.model import ChannelName

blueprint = flask.Blueprint("microsoft", __name__)
ACCOUNTS = (
    Account(
        ChannelName.EMAIL,
        "MICROSOFT_API_URL",
        credentials={
            "MICROSOFT_LOGIN_URL": "http://{host}",
            "MICROSOFT_TENANT_ID": "demo-tenant",
            "MICROSOFT_CLIENT_ID": "demo-application",
            "MICROSOFT_CLIENT_SECRET": "demo-secret",
        },
    ),
)
TOKEN = "demo-access-token"
SINCE = re.compile(r"createdDateTime ge (\S+)")


@blueprint.post("/<tenant>/oauth2/v2.0/token")
def token(tenant: str) -> flask.typing.ResponseReturnValue:
    """https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow"""
    form = flask.request.form
    checks = (
        (("unsupported_grant_type", 70003), form.get("grant_type") == "client_credentials"),
        (("invalid_request", 90002), tenant == setting("MICROSOFT_TENANT_ID")),
        (("unauthorized_client", 700016), form.get("client_id") == setting("MICROSOFT_CLIENT_ID")),
        (("invalid_client", 7000215), form.get("client_secret") == setting("MICROSOFT_CLIENT_SECRET")),
        (("invalid_scope", 70011), form.get("scope") == f"{setting('MICROSOFT_API_URL')}/.default"),
    )
    if wrong := first_wrong(checks):
        refuse(401 if wrong[0] == "invalid_client" else 400, {"error": wrong[0], "error_codes": [wrong[1]]})
    return {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}


@blueprint.post("/v1.0/users/<mailbox>/sendMail")
def send_mail(mailbox: str) -> flask.typing.ResponseReturnValue:
    """https://learn.microsoft.com/en-us/graph/api/user-sendmail"""
    _sign_in()
    if flask.request.mimetype != "text/plain":
        _refuse(400, "BadRequest")
    mail = _mail()
    if wrong := first_wrong(_checks(mail, mailbox)):
        _refuse(*wrong)
    notice = (mail["X-Clickwrap-Notice"] or "").strip()
    keep("email", mail["To"], body(mail, "plain"), mail["Subject"] or "", body(mail, "html"), notice=notice)
    return "", 202


@blueprint.get("/v1.0/users/<mailbox>/messages")
def messages(mailbox: str) -> flask.typing.ResponseReturnValue:
    """https://learn.microsoft.com/en-us/graph/api/user-list-messages"""
    _sign_in()
    since = SINCE.fullmatch(flask.request.args.get("$filter", ""))
    if not since:
        _refuse(400, "ErrorInvalidUrlQueryFilter")
    found = [m for m in desk().outbox.messages() if m.is_mail and m.at >= datetime.fromisoformat(since[1])]
    rows = [{"internetMessageId": f"<{m.notice}@{mailbox.partition('@')[2]}>", **_recipient(m.to)} for m in found]
    return {"value": rows[: int(flask.request.args.get("$top", "10"))]}


def _recipient(address: str) -> dict[str, object]:
    return {"toRecipients": [{"emailAddress": {"name": address, "address": address}}]}


def _mail() -> EmailMessage:
    try:
        octets = base64.b64decode(flask.request.get_data(), validate=True)
    except binascii.Error:
        _refuse(400, "ErrorMimeContentInvalidBase64String")
    mail = message_from_bytes(octets, policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


def _checks(mail: EmailMessage, mailbox: str) -> Iterator[tuple[tuple[int, str], bool]]:
    """The mailbox has no right to send as another."""
    yield (404, "ErrorInvalidUser"), bool(ADDRESS.fullmatch(mailbox))
    yield (403, "ErrorSendAsDenied"), parseaddr(mail["From"] or "")[1] == mailbox
    yield (400, "ErrorInvalidRecipients"), is_address(mail["To"] or "")
    yield (400, "ErrorMimeContentInvalid"), bool(body(mail, "plain"))


def _sign_in() -> None:
    if flask.request.headers.get("Authorization") != f"Bearer {TOKEN}":
        _refuse(401, "InvalidAuthenticationToken")


def _refuse(status: int, code: str) -> NoReturn:
    refuse(status, {"error": {"code": code, "message": "..."}})
