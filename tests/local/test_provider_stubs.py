"""The provider stubs accept what our adapters send and refuse what the vendors would refuse."""

import json
import smtplib
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import flask
import pytest
from msgspec.structs import replace

from local.provider_stubs.common import Desk
from local.provider_stubs.start import accounts, create_app, stand_ins
from local.sandbox.outbox import Outbox
from shared.adapters.providers import registry
from shared.adapters.providers.common.aws import Signer
from shared.domain.errors import OutcomeUnknown, PermanentFailure, RetryLater
from shared.domain.lost_answers import fingerprint
from shared.domain.model import ChannelName, Kind
from shared.ports import Channel, MessageFinder, Outgoing, Sought
from shared.settings import Settings
from tests.contract.channel_kit import EMAIL, NOTICE, SMS
from tests.texts import LANGUAGES, written

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RECEIPTS = {"RECEIPTS_BASE_URL": "https://relay.example/receipts", "EMAIL_FROM": "Acme Legal <legal@example.com>"}
EVERY = pytest.mark.parametrize(("channel", "provider"), list(accounts()))


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.db")


@pytest.fixture
def environ(channel: str, provider: str, outbox: Outbox) -> Iterator[dict[str, str]]:
    settings = {**RECEIPTS, f"{channel}_PROVIDER": provider}
    with stand_ins(settings, outbox) as names:
        assert names == [provider]
        yield settings


def made(environ: dict[str, str], channel: str, provider: str) -> Channel:
    """The stand-ins' clock is the real one."""
    return registry.sender(ChannelName(channel.lower()), provider, Settings(environ), lambda: datetime.now(UTC))


@EVERY
def test_a_message_of_our_adapter_is_accepted_and_kept(
    environ: dict[str, str], outbox: Outbox, channel: str, provider: str
) -> None:
    message = SMS if channel == "SMS" else EMAIL
    accepted = made(environ, channel, provider).send(message)
    [caught] = outbox.messages()
    assert accepted.provider_id
    assert (caught.channel, caught.to, caught.subject) == (channel.lower(), message.to, message.subject)
    assert caught.notice == NOTICE
    assert caught.html.strip() == message.html
    assert caught.text.replace("\r\n", "\n").strip() == message.text.strip()


@EVERY
def test_every_built_in_text_arrives_as_it_was_written(
    environ: dict[str, str], outbox: Outbox, channel: str, provider: str
) -> None:
    adapter, to = made(environ, channel, provider), (SMS if channel == "SMS" else EMAIL).to
    texts = [
        written(kind, ChannelName(channel.lower()), language, first=True) for kind in Kind for language in LANGUAGES
    ]
    for n, text in enumerate(texts):
        adapter.send(Outgoing(notice=f"{n:064x}", to=to, text=text.text, subject=text.subject, html=text.html))
    caught = [(lines(m.text), m.subject, lines(m.html)) for m in outbox.messages()]
    assert caught == [(lines(t.text), t.subject, lines(t.html)) for t in texts]


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


@EVERY
def test_what_was_accepted_is_found_by_our_adapter_and_nothing_else(
    environ: dict[str, str], channel: str, provider: str
) -> None:
    message, adapter = SMS if channel == "SMS" else EMAIL, made(environ, channel, provider)
    if not isinstance(adapter, MessageFinder):
        pytest.skip("it cannot be asked")
    until = datetime.max.replace(tzinfo=UTC)
    sought = Sought(notice=NOTICE, to=message.to, fingerprint=fingerprint(message.text), since=NOW, until=until)
    assert adapter.find(sought) is None
    accepted = adapter.send(message)
    other = replace(sought, notice="other", fingerprint=fingerprint("another text"))
    assert (adapter.find(sought), adapter.find(other)) == (accepted, None)


@EVERY
def test_a_message_that_says_nothing_is_refused_and_not_kept(
    environ: dict[str, str], outbox: Outbox, channel: str, provider: str
) -> None:
    empty = replace(SMS if channel == "SMS" else EMAIL, text="", html="")
    with pytest.raises((PermanentFailure, OutcomeUnknown)):
        made(environ, channel, provider).send(empty)
    assert outbox.messages() == []


@EVERY
def test_other_credentials_than_the_accounts_are_refused(
    environ: dict[str, str], outbox: Outbox, channel: str, provider: str
) -> None:
    account = accounts()[channel, provider]
    wrong = {name: "wrong" for name in account.credentials if name.endswith(("TOKEN", "SECRET", "KEY"))}
    address = {account.address: environ[account.address].replace("demo-password", "wrong")}
    with pytest.raises((RetryLater, OutcomeUnknown)):
        made({**environ, **wrong, **address}, channel, provider).send(SMS if channel == "SMS" else EMAIL)
    assert outbox.messages() == []


def test_a_provider_with_an_address_of_its_own_gets_no_stand_in(outbox: Outbox) -> None:
    environ = {"SMS_PROVIDER": "twilio", "TWILIO_API_URL": "https://twilio.example", "EMAIL_PROVIDER": "outbox"}
    before = dict(environ)
    with stand_ins(environ, outbox) as names:
        assert (names, environ) == ([], before)


def test_vonages_other_api_is_stood_in_for_too(outbox: Outbox) -> None:
    environ = {**RECEIPTS, "SMS_PROVIDER": "vonage", "VONAGE_API": "messages"}
    with stand_ins(environ, outbox):
        assert made(environ, "SMS", "vonage").send(SMS).provider_id
    assert [m.text for m in outbox.messages()] == [SMS.text]


def test_credentials_that_are_set_are_used(outbox: Outbox) -> None:
    environ = {"SMS_PROVIDER": "vonage", "VONAGE_API_KEY": "mine", "VONAGE_API_URL": ""}
    with stand_ins(environ, outbox):
        assert environ["VONAGE_API_KEY"] == "mine"
        assert environ["VONAGE_API_URL"].startswith("http://127.0.0.1:")
        made(environ, "SMS", "vonage").send(SMS)


# -- what only a wrong adapter would send


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


MAIL = {"From": "us@example.com", "To": "ann@example.com", "Subject": "s", "TextBody": "t"}
LETTER: dict[str, Any] = {
    "personalizations": [{"to": [{"email": "ann@example.com"}]}],
    "from": {"email": "us@example.com"},
    "subject": "s",
    "content": [{"type": "text/plain", "value": "t"}],
}
TEXT = {"From": "+15005550006", "To": "+13175551234", "Body": "t"}
NEXMO = {"from": "Relay", "to": "13175551234", "text": "t"}
GUN = {"from": "us@example.com", "to": "ann@example.com", "subject": "s", "text": "t"}
TWILIO = "/2010-04-01/Accounts/AC1/Messages.json", basic("AC1", "t")
VONAGE = "/sms/json", basic("k", "s")
MESSAGES = "/v1/messages", basic("k", "s")
RICH = {"channel": "sms", "message_type": "text", "from": "Relay", "to": "13175551234", "text": "t"}
SENDGRID = "/v3/mail/send", {"Authorization": "Bearer k"}
MAILGUN = "/v3/mg.example.com/messages", basic("api", "k")
POSTMARK = "/email", {"X-Postmark-Server-Token": "t", "Accept": "application/json"}
MICROSOFT = "/v1.0/users/us@example.com/sendMail", {"Authorization": "Bearer demo-access-token"}
TOKEN = "/demo-tenant/oauth2/v2.0/token", dict[str, str]()
GRANT = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "s", "scope": "https://g/.default"}
ACCOUNT = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t", "TWILIO_FROM": "+15005550006"}
ACCOUNT |= {"VONAGE_API_KEY": "k", "VONAGE_API_SECRET": "s", "SENDGRID_API_KEY": "k"}
ACCOUNT |= {"MAILGUN_API_KEY": "k", "MAILGUN_DOMAIN": "mg.example.com", "POSTMARK_SERVER_TOKEN": "t"}
ACCOUNT |= {"MICROSOFT_TENANT_ID": "demo-tenant", "MICROSOFT_CLIENT_ID": "a", "MICROSOFT_CLIENT_SECRET": "s"}
ACCOUNT |= {"MICROSOFT_API_URL": "https://g"}


def mime(text: str = "t", sender: str = "us@example.com", to: str = "ann@example.com") -> dict[str, Any]:
    mail = f"From: {sender}\r\nTo: {to}\r\nSubject: s\r\n\r\n{text}"
    return {"data": b64encode(mail.encode()), "content_type": "text/plain"}


WRONG: list[tuple[tuple[str, dict[str, str]], dict[str, Any], int, str]] = [
    (TWILIO, {"json": TEXT}, 400, "21604"),
    (TWILIO, {"data": {**TEXT, "To": "13175551234"}}, 400, "21211"),
    (TWILIO, {"data": {**TEXT, "From": ""}}, 400, "21603"),
    (TWILIO, {"data": {**TEXT, "From": "+15005550007"}}, 400, "21606"),
    (TWILIO, {"data": {**TEXT, "Body": "x" * 1601}}, 400, "21617"),
    (TWILIO, {"data": {**TEXT, "StatusCallback": "nowhere"}}, 400, "21609"),
    (("/2010-04-01/Accounts/AC2/Messages.json", TWILIO[1]), {"data": TEXT}, 401, "20003"),
    (VONAGE, {"json": NEXMO}, 200, '"2"'),
    (VONAGE, {"data": {**NEXMO, "to": "+13175551234"}}, 200, '"3"'),
    (VONAGE, {"data": {**NEXMO, "client-ref": "x" * 101}}, 200, '"3"'),
    (VONAGE, {"data": {**NEXMO, "type": "utf8"}}, 200, '"3"'),
    ((VONAGE[0], {}), {"data": NEXMO}, 200, '"4"'),
    ((MESSAGES[0], {}), {"json": RICH}, 401, "Unauthorized"),
    (MESSAGES, {"data": RICH}, 422, "channel"),
    (MESSAGES, {"json": {**RICH, "to": "+13175551234"}}, 422, '"to"'),
    (MESSAGES, {"json": {**RICH, "from": ""}}, 422, '"from"'),
    (MESSAGES, {"json": {**RICH, "text": "x" * 1001}}, 422, '"text"'),
    (SENDGRID, {"data": "{}"}, 415, "errors"),
    (SENDGRID, {"json": {**LETTER, "personalizations": [{"to": [{"email": "nobody"}]}]}}, 400, "personalizations.0.to"),
    (SENDGRID, {"json": {**LETTER, "from": {}}}, 400, "from.email"),
    (SENDGRID, {"json": {**LETTER, "content": [{"type": "text/html", "value": "t"}]}}, 400, "content"),
    (SENDGRID, {"json": {**LETTER, "custom_args": {"n": 1}}}, 400, "custom_args"),
    (MAILGUN, {"json": GUN}, 400, "from parameter is missing"),
    (MAILGUN, {"data": {**GUN, "to": "nobody"}}, 400, "to parameter is not a valid address"),
    (MAILGUN, {"data": {**GUN, "text": ""}}, 400, "Need at least one"),
    (("/v3/other.example/messages", MAILGUN[1]), {"data": GUN}, 404, "other.example"),
    (POSTMARK, {"data": MAIL}, 415, "409"),
    ((POSTMARK[0], {"X-Postmark-Server-Token": "t"}), {"json": MAIL}, 415, "409"),
    (POSTMARK, {"data": "{", "content_type": "application/json"}, 422, "402"),
    (POSTMARK, {"json": {**MAIL, "To": "nobody"}}, 422, "'To'"),
    (POSTMARK, {"json": {**MAIL, "TextBody": ""}}, 422, "300"),
    (TOKEN, {"data": {**GRANT, "grant_type": "password"}}, 400, "unsupported_grant_type"),
    (TOKEN, {"data": {**GRANT, "client_id": "b"}}, 400, "700016"),
    (TOKEN, {"data": {**GRANT, "client_secret": "b"}}, 401, "7000215"),
    (TOKEN, {"data": {**GRANT, "scope": "Mail.Send"}}, 400, "invalid_scope"),
    (("/common/oauth2/v2.0/token", {}), {"data": GRANT}, 400, "90002"),
    (MICROSOFT, {"json": {"message": {}}}, 400, "BadRequest"),
    (MICROSOFT, {"data": "From: us", "content_type": "text/plain"}, 400, "ErrorMimeContentInvalidBase64String"),
    (MICROSOFT, mime(text=""), 400, "ErrorMimeContentInvalid"),
    (MICROSOFT, mime(sender="other@example.com"), 403, "ErrorSendAsDenied"),
    (MICROSOFT, mime(to="nobody"), 400, "ErrorInvalidRecipients"),
    ((MICROSOFT[0], {}), mime(), 401, "InvalidAuthenticationToken"),
]


AMAZON = {"REGION": "us-east-1", "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s"}
ACCOUNT |= {f"{prefix}_{name}": value for prefix in ("SES", "AWS_SMS") for name, value in AMAZON.items()}
ACCOUNT |= {"AWS_SMS_FROM": "Acme"}
SMS_HEADERS = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "PinpointSMSVoiceV2.SendTextMessage"}
AMAZON_TEXT = {"DestinationPhoneNumber": "+13175551234", "OriginationIdentity": "Acme", "MessageBody": "t"}
SES_MAIL: dict[str, Any] = {
    "FromEmailAddress": "us@example.com",
    "Destination": {"ToAddresses": ["ann@example.com"]},
    "Content": {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}},
}
SES_PATH = "/v2/email/outbound-emails"


def by_amazon(path: str, body: Any, *, key: str = "s", user: str = "k", **headers: str) -> tuple[Any, dict[str, Any]]:
    """Signed, for the app's own address. headers: with "_" for "-"; they replace what is signed."""
    given, service = (SMS_HEADERS, "sms-voice") if path == "/" else ({"Content-Type": "application/json"}, "ses")
    data, at = json.dumps(body).encode(), datetime.fromisoformat(headers.pop("at", NOW.isoformat()))
    sent = Signer(user, key, "us-east-1", service).signed("POST", f"http://localhost{path}", given, data, at)
    return (path, sent | {name.replace("_", "-"): value for name, value in headers.items()}), {"data": data}


WRONG += [
    (*by_amazon(SES_PATH, SES_MAIL, Authorization=""), 403, "signature"),
    (*by_amazon(SES_PATH, SES_MAIL, key="other"), 403, "signature"),
    (*by_amazon(SES_PATH, SES_MAIL, user="other"), 403, "signature"),
    (*by_amazon(SES_PATH, SES_MAIL, at="2026-03-01T11:54:00+00:00"), 403, "signature"),
    (by_amazon(SES_PATH, SES_MAIL)[0], {"data": b"{}"}, 403, "signature"),
    (*by_amazon(SES_PATH, []), 400, "no JSON object"),
    (*by_amazon(SES_PATH, {**SES_MAIL, "Tags": []}), 400, "Unknown parameter"),
    (*by_amazon(SES_PATH, {**SES_MAIL, "EmailTags": [{"Name": "n"}]}), 400, "Missing required parameter"),
    (*by_amazon(SES_PATH, {**SES_MAIL, "Destination": {"ToAddresses": ["nobody"]}}), 400, "@domain"),
    (*by_amazon(SES_PATH, {**SES_MAIL, "Destination": {"ToAddresses": ["é@example.com"]}}), 400, "Illegal address"),
    (*by_amazon(SES_PATH, {**SES_MAIL, "ConfigurationSetName": "none"}), 404, "does not exist"),
    (*by_amazon("/", AMAZON_TEXT, key="other"), 400, "InvalidSignatureException"),
    (*by_amazon("/", AMAZON_TEXT, user="other"), 400, "UnrecognizedClientException"),
    (*by_amazon("/", AMAZON_TEXT, X_Amz_Target="SNS.Publish"), 400, "InvalidSignatureException"),
    (*by_amazon("/", {**AMAZON_TEXT, "MessageBody": " "}), 400, "ValidationException"),
    (*by_amazon("/", {**AMAZON_TEXT, "Context": "n"}), 400, "Invalid type"),
    (*by_amazon("/", {**AMAZON_TEXT, "DestinationPhoneNumber": "nobody"}), 400, "DestinationPhoneNumber"),
    (*by_amazon("/", {**AMAZON_TEXT, "OriginationIdentity": "other"}), 400, "ResourceNotFoundException"),
]


@pytest.fixture
def app(outbox: Outbox) -> flask.Flask:
    return create_app(Desk(ACCOUNT, outbox, lambda: NOW))


@pytest.mark.parametrize(("where", "body", "status", "why"), WRONG)
def test_a_wrong_request_gets_the_answer_its_vendor_documents(
    app: flask.Flask, outbox: Outbox, where: tuple[str, dict[str, str]], body: dict[str, Any], status: int, why: str
) -> None:
    answer = app.test_client().post(where[0], headers=where[1], **body)
    assert answer.status_code == status
    assert why in answer.text
    assert outbox.messages() == []


@pytest.mark.parametrize(
    ("where", "body"),
    [
        (TWILIO, {"data": TEXT}),
        (VONAGE, {"data": NEXMO}),
        (MESSAGES, {"json": RICH}),
        (SENDGRID, {"json": LETTER}),
        (MAILGUN, {"data": GUN}),
        (POSTMARK, {"json": MAIL}),
        by_amazon(SES_PATH, SES_MAIL),
        by_amazon("/", AMAZON_TEXT),
        (MICROSOFT, mime()),
    ],
)
def test_the_same_request_without_its_fault_is_accepted_and_only_by_post(
    app: flask.Flask, outbox: Outbox, where: tuple[str, dict[str, str]], body: dict[str, Any]
) -> None:
    assert app.test_client().put(where[0], headers=where[1]).status_code == 405
    assert app.test_client().post(where[0], headers=where[1], **body).status_code in (200, 201, 202)
    assert len(outbox.messages()) == 1


@pytest.fixture
def client(outbox: Outbox) -> Iterator[smtplib.SMTP]:
    environ = {"EMAIL_PROVIDER": "smtp"}
    with stand_ins(environ, outbox), smtplib.SMTP("127.0.0.1", urlsplit(environ["SMTP_URL"]).port or 0) as client:
        yield client


HEADERS = {"From": "a@b.example", "To": "c@d.example", "Date": "Sun, 01 Mar 2026 12:00:00 +0000", "Message-ID": "<1@b>"}


@pytest.mark.parametrize("missing", HEADERS)
def test_a_mail_without_a_header_it_needs_is_refused(client: smtplib.SMTP, outbox: Outbox, missing: str) -> None:
    client.login("demo", "demo-password")
    lines = [f"{name}: {value}" for name, value in HEADERS.items() if name != missing]
    with pytest.raises(smtplib.SMTPDataError, match=missing):
        client.sendmail("a@b.example", ["c@d.example"], "\r\n".join([*lines, "", "t"]))
    assert outbox.messages() == []


def test_a_mail_without_a_login_or_to_no_address_is_refused(client: smtplib.SMTP) -> None:
    client.ehlo()
    assert client.mail("a@b.example")[0] == 530
    client.login("demo", "demo-password")
    assert client.mail("a@b.example")[0] == 250
    assert client.rcpt("nobody")[0] == 550
