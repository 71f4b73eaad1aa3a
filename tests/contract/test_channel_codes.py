"""What each provider's codes mean for a message, and the corners of its request that the kit does not reach."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from shared.adapters.http.client import Http, HttpResponse
from shared.adapters.providers.email import mailgun as mailguns
from shared.adapters.providers.email import postmark as postmarks
from shared.adapters.providers.email import sendgrid as sendgrids
from shared.adapters.providers.email import ses as amazon_ses
from shared.adapters.providers.sms import aws as amazon_sms
from shared.adapters.providers.sms import twilio as twilios
from shared.domain.errors import Accepted, OutcomeUnknown, PermanentFailure, RetryLater
from shared.ports import Channel, Outgoing, Sought
from shared.setting_types import SettingError, Values
from tests.contract.channel_kit import EMAIL, NOTICE, NOW, SMS
from tests.contract.test_channels import (
    TestMailgun as OfMailgun,
)
from tests.contract.test_channels import (
    TestPostmark as OfPostmark,
)
from tests.contract.test_channels import (
    TestTwilio as OfTwilio,
)
from tests.contract.test_channels import (
    aws,
    aws_refusal,
    by_messages,
    mailgun,
    messages_refusal,
    microsoft,
    microsoft_refusal,
    microsofts_login,
    postmark,
    postmark_answer,
    sendgrid,
    sendgrid_refusal,
    ses,
    ses_refusal,
    twilio,
    twilio_refusal,
    vonage,
    vonage_answer,
)
from tests.stand_in import Reply, StandIn


def outcome(channel: Callable[[str], Channel], message: Outgoing, reply: Reply) -> object:
    """Short: seconds to wait, "again", "give up", "suppress" or "unknown"."""
    with StandIn(reply) as server, pytest.raises((RetryLater, PermanentFailure, OutcomeUnknown)) as raised:
        channel(server.url).send(message)
    error: Any = raised.value
    if isinstance(error, OutcomeUnknown):
        return "unknown"
    if isinstance(error, RetryLater):
        return "again" if error.after is None else error.after
    return "suppress" if error.suppress else "give up"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (14107, 60),
        (20404, 900),
        (21408, "give up"),
        (21602, "give up"),
        (21606, 900),
        (21611, 300),
        (21612, "give up"),
        (21614, "suppress"),
        (21635, "suppress"),
        (21660, 900),
        (21705, 900),
        (30001, "again"),
        (99999, "give up"),
        ("21610", "give up"),
        (None, "give up"),
    ],
)
def test_twilios_codes(code: Any, expected: object) -> None:
    assert outcome(twilio, SMS, twilio_refusal(code)) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("2", "give up"),
        ("6", "give up"),
        ("7", "suppress"),
        ("8", 900),
        ("9", 900),
        ("10", "again"),
        ("15", 900),
        ("29", "give up"),
        ("33", "suppress"),
        ("77", "give up"),
    ],
)
def test_vonages_statuses(status: str, expected: object) -> None:
    assert outcome(vonage, SMS, vonage_answer(status)) == expected
    assert outcome(vonage, SMS, vonage_answer(status, status)) == expected


@pytest.mark.parametrize(
    ("status", "code", "wrong", "expected"),
    [
        (402, "1070", "", 900),
        (402, "low-balance", "", 900),
        (403, "1140", "", 900),
        (422, "1120", "", 900),
        (422, "1020", "from", 900),
        (422, "1020", "client_ref", "give up"),
        (422, "1240", "", "suppress"),
        (429, "1000", "", "again"),
        (500, "1030", "", "again"),
    ],
)
def test_the_codes_of_vonages_messages_api(status: int, code: str, wrong: str, expected: object) -> None:
    assert outcome(by_messages, SMS, messages_refusal(status, code, invalid_parameters=[{"name": wrong}])) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (100, "again"),
        (300, "give up"),
        (400, 900),
        (401, 900),
        (405, 900),
        (409, "give up"),
        (412, 900),
        (999, "give up"),
    ],
)
def test_postmarks_codes_count_whatever_the_status(code: int, expected: object) -> None:
    for status in (200, 422):
        assert outcome(postmark, EMAIL, postmark_answer(status, code)) == expected


@pytest.mark.parametrize(
    ("status", "name", "said", "expected"),
    [
        (400, "AccountSuspendedException", "", 900),
        (400, "SendingPausedException", "", 900),
        (400, "MailFromDomainNotVerifiedException", "", 900),
        (404, "NotFoundException", "Configuration set <x> does not exist.", 900),
        (400, "LimitExceededException", "", 3600),
        (400, "LimitExceededException", "Daily message quota exceeded.", 3600),
        (429, "TooManyRequestsException", "Daily message quota exceeded.", 3600),
        (429, "TooManyRequestsException", "Maximum sending rate exceeded.", "again"),
        (400, "ThrottlingException", "Rate exceeded", "again"),
        (400, "MessageRejected", "Email address is not verified. The following identities failed ...", 900),
        (400, "MessageRejected", "Sending suspended for this account.", 900),
        (400, "MessageRejected", "Address blacklisted.", "suppress"),
        (400, "BadRequestException", "Local address contains control or whitespace", "suppress"),
        (400, "BadRequestException", "Domain contains illegal character", "suppress"),
        (400, "BadRequestException", "Invalid header", "give up"),
        (403, "AccessDeniedException", "User is not authorized to perform ses:SendEmail", 900),
        (400, "ExpiredTokenException", "", 900),
    ],
)
def test_what_ses_says_by_name_and_in_words(status: int, name: str, said: str, expected: object) -> None:
    assert outcome(ses, EMAIL, ses_refusal(status, name, said)) == expected


@pytest.mark.parametrize(
    ("name", "reason", "field", "expected"),
    [
        ("AccessDeniedException", "", "", 900),
        ("AccessDeniedException", "ACCOUNT_DISABLED", "", 900),
        ("ConflictException", "DESTINATION_PHONE_NUMBER_NOT_VERIFIED", "", "give up"),
        ("ConflictException", "NO_ORIGINATION_IDENTITIES_FOUND", "", "give up"),
        ("ConflictException", "RESOURCE_NOT_ACTIVE", "", 900),
        ("ConflictException", "NEW_ONE", "", "give up"),
        ("InvalidSignatureException", "", "", 900),
        ("ResourceNotFoundException", "", "", 900),
        ("ServiceQuotaExceededException", "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT", "", 900),
        ("ServiceQuotaExceededException", "NEW_ONE", "", 900),
        ("ThrottlingException", "", "", "again"),
        ("ValidationException", "DESTINATION_COUNTRY_BLOCKED", "", "give up"),
        ("ValidationException", "INVALID_PARAMETER", "DestinationPhoneNumber", "suppress"),
        ("ValidationException", "INVALID_PARAMETER", "OriginationIdentity", 900),
        ("ValidationException", "INVALID_PARAMETER", "ConfigurationSetName", 900),
        ("ValidationException", "MAXIMUM_SIZE_EXCEEDED", "MessageBody", "give up"),
        ("ValidationException", "", "", "give up"),
    ],
)
def test_what_aws_says_of_a_text_by_name_and_reason(name: str, reason: str, field: str, expected: object) -> None:
    for status in (400, 409):
        assert outcome(aws, SMS, aws_refusal(name, reason, field, status)) == expected
    if expected == "again":
        assert outcome(aws, SMS, aws_refusal(name, reason, field, 429)) == expected


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "ErrorInvalidRecipients", "suppress"),
        (400, "ErrorMimeContentInvalidBase64String", "give up"),
        (400, "ErrorMessageSizeExceeded", "give up"),
        (400, "ErrorQuotaExceeded", 900),
        (403, "ErrorSendAsDenied", 900),
        (403, "ErrorAccessDenied", 900),
        (403, "ErrorExceededMessageLimit", 900),
        (404, "MailboxNotEnabledForRESTAPI", 900),
        (404, "ErrorInvalidUser", 900),
        (404, "", 900),
        (429, "ErrorSubmissionQuotaExceeded", 3600),
        (429, "ApplicationThrottled", "again"),
        (500, "ErrorInternalServerTransientError", "unknown"),  # it does not say that nothing was sent
        (503, "ErrorServerBusy", "again"),
        (509, "", "again"),
        (507, "ErrorQuotaExceeded", 900),
        (413, "", "give up"),
    ],
)
def test_microsofts_codes(status: int, code: str, expected: object) -> None:
    with microsofts_login() as login:
        refusal = microsoft_refusal(status, code)
        assert outcome(lambda url: microsoft(url, login.url), EMAIL, refusal) == expected


@pytest.mark.parametrize(
    ("given", "mailbox"),
    [
        ({}, "legal%40example.com"),
        ({"MICROSOFT_MAILBOX": "relay@tenant.example"}, "relay%40tenant.example"),
    ],
)
def test_microsofts_mailbox_is_the_senders_or_another(given: dict[str, str], mailbox: str) -> None:
    with microsofts_login() as login, StandIn(Reply(202)) as server:
        microsoft(server.url, login.url, **given).send(EMAIL)
        assert server.asked[0].path == f"/v1.0/users/{mailbox}/sendMail"


@pytest.mark.parametrize(("status", "expected"), [(400, "give up"), (403, 900), (413, "give up"), (415, "give up")])
def test_statuses_without_a_code_are_judged_by_themselves(status: int, expected: object) -> None:
    for channel, message in (
        (twilio, SMS),
        (aws, SMS),
        *((mail, EMAIL) for mail in (sendgrid, mailgun, postmark, ses)),
    ):
        assert outcome(channel, message, Reply(status, b"<html>")) == expected


@pytest.mark.parametrize(
    ("channel", "message", "reply"),
    [
        (twilio, SMS, Reply(200, {"sid": "SM1"})),
        (postmark, EMAIL, Reply(200, {"MessageID": "1"})),
        (sendgrid, EMAIL, Reply(200, b"", {"X-Message-Id": "1"})),
    ],
)
def test_an_id_without_the_documented_verdict_is_unknown(
    channel: Callable[[str], Channel], message: Outgoing, reply: Reply
) -> None:
    with StandIn(reply) as server, pytest.raises(OutcomeUnknown):
        channel(server.url).send(message)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"TWILIO_MESSAGING_SERVICE_SID": "MG77"}, {"MessagingServiceSid": "MG77"}),
        (
            {"TWILIO_MESSAGING_SERVICE_SID": "MG77", "TWILIO_FROM": "+15005550006"},
            {"MessagingServiceSid": "MG77", "From": "+15005550006"},
        ),
    ],
)
def test_a_messaging_service_stands_alone_or_with_one_of_its_numbers_and_without_a_place_no_receipts_are_asked_for(
    given: dict[str, str], sent: dict[str, str]
) -> None:
    with StandIn(OfTwilio.parts["accept"]) as server:
        values = {"TWILIO_ACCOUNT_SID": "AC0123", "TWILIO_AUTH_TOKEN": "t", **given}
        twilios.Sender(Values({**values, "TWILIO_API_URL": server.url + "/"}), lambda: NOW).send(SMS)
        assert server.asked[0].form() == {"To": SMS.to, "Body": SMS.text, **sent}


@pytest.mark.parametrize(
    ("channel", "reply"),
    [
        (sendgrid, sendgrid_refusal(400, "The from email does not contain a valid address.", "from.email")),
        (sendgrid, sendgrid_refusal(400, "The from object must be provided.", "from")),
        (mailgun, Reply(400, {"message": "'from' parameter is not a valid address. please check documentation"})),
        (mailgun, Reply(400, {"message": "from parameter is missing"})),
        (postmark, postmark_answer(422, 300, "Invalid 'From' address: 'legal@example'.")),
        (ses, ses_refusal(400, "MailFromDomainNotVerifiedException")),
    ],
)
def test_a_refused_sender_keeps_the_message_for_the_operator(channel: Callable[[str], Channel], reply: Reply) -> None:
    with StandIn(reply) as server, pytest.raises(RetryLater, match="EMAIL_FROM") as raised:
        channel(server.url).send(EMAIL)
    assert raised.value.after == 900


SEND_GRID = {"SENDGRID_API_KEY": "k", "EMAIL_FROM": "legal@example.com"}
MAIL_GUN = {"MAILGUN_API_KEY": "k", "MAILGUN_DOMAIN": "d.example", "EMAIL_FROM": "legal@example.com"}


def test_sendgrid_gets_the_operators_categories() -> None:
    with StandIn(Reply(202, b"", {"X-Message-Id": "1"})) as server:
        values = {**SEND_GRID, "SENDGRID_API_URL": server.url, "SENDGRID_CATEGORIES": "signing, legal"}
        sendgrids.Sender(Values(values), lambda: NOW).send(EMAIL)
        sent = server.asked[0].json()
    assert sent["categories"] == ["signing", "legal"]
    assert "mail_settings" not in sent


def test_in_sendgrids_sandbox_a_200_is_its_yes_and_elsewhere_it_is_none() -> None:
    with StandIn(Reply(200, b"{}")) as server:
        values = {**SEND_GRID, "SENDGRID_API_URL": server.url}
        sandbox = sendgrids.Sender(Values({**values, "SENDGRID_SANDBOX": "on"}), lambda: NOW)
        assert sandbox.send(EMAIL) == Accepted("")
        assert server.asked[0].json()["mail_settings"] == {"sandbox_mode": {"enable": True}}
        with pytest.raises(OutcomeUnknown):
            sendgrids.Sender(Values(values), lambda: NOW).send(EMAIL)


def test_mailgun_gets_the_operators_tags() -> None:
    with StandIn(OfMailgun.parts["accept"]) as server:
        values = {**MAIL_GUN, "MAILGUN_API_URL": server.url, "MAILGUN_TAGS": "signing,legal"}
        mailguns.Sender(Values(values), lambda: NOW).send(EMAIL)
        assert parse_qs(server.asked[0].body.decode())["o:tag"] == ["signing", "legal"]


def test_more_labels_than_a_message_may_bear_are_refused_at_the_start() -> None:
    labels = ",".join("abcdefghijk")
    with pytest.raises(SettingError, match="SENDGRID_CATEGORIES"):
        sendgrids.Sender(Values({**SEND_GRID, "SENDGRID_CATEGORIES": labels}), lambda: NOW)
    with pytest.raises(SettingError, match="MAILGUN_TAGS"):
        mailguns.Sender(Values({**MAIL_GUN, "MAILGUN_TAGS": labels}), lambda: NOW)


def test_postmark_sends_and_searches_in_the_operators_stream() -> None:
    values = {"POSTMARK_SERVER_TOKEN": "t", "EMAIL_FROM": "legal@example.com", "POSTMARK_MESSAGE_STREAM": "signing"}
    with StandIn(OfPostmark.parts["accept"], Reply(200, {"Messages": []})) as server:
        sender = postmarks.Sender(Values({**values, "POSTMARK_API_URL": server.url}), lambda: NOW)
        sender.send(EMAIL)
        sender.find(Sought(notice=NOTICE, to=EMAIL.to, fingerprint="", since=NOW, until=NOW))
        sent, asked = server.asked
    assert sent.json()["MessageStream"] == "signing"
    assert "messagestream=signing" in asked.path


def test_a_sender_name_that_begins_like_a_messaging_service_is_a_sender_name() -> None:
    with StandIn(OfTwilio.parts["accept"]) as server:
        values = {"TWILIO_ACCOUNT_SID": "AC0123", "TWILIO_AUTH_TOKEN": "t", "TWILIO_FROM": "MGM Legal"}
        twilios.Sender(Values({**values, "TWILIO_API_URL": server.url}), lambda: NOW).send(SMS)
        assert server.asked[0].form()["From"] == "MGM Legal"


def test_twilio_without_any_sender_names_both_settings() -> None:
    with pytest.raises(SettingError, match=r"TWILIO_FROM is not set, nor TWILIO_MESSAGING_SERVICE_SID"):
        twilios.Sender(Values({"TWILIO_ACCOUNT_SID": "AC0123", "TWILIO_AUTH_TOKEN": "t"}), lambda: NOW)


def test_vonage_gets_plain_text_as_such_and_no_callback_longer_than_it_takes() -> None:
    with StandIn(vonage_answer("0")) as server:
        long = f"https://relay.example/{'x' * 80}"
        channel = vonage(server.url, long)
        channel.send(Outgoing(notice=NOTICE, to="+447700900000", text="plain"))
        sent = server.asked[0].form()
    assert sent["type"] == "text"
    assert "callback" not in sent


@pytest.mark.parametrize(
    "to", ["ann@example.com, bob@example.com", "ann@example.com\nBcc: b@example.com", "", "Ann <a@b.c>"]
)
def test_no_email_provider_is_asked_to_send_to_what_is_no_single_address(to: str) -> None:
    message = Outgoing(notice=NOTICE, to=to, text="x", subject="s")
    for channel in (sendgrid, mailgun, postmark, ses):
        with StandIn() as server:
            with pytest.raises(PermanentFailure):
                channel(server.url).send(message)
            assert server.asked == []


def test_an_email_without_html_or_reply_address_has_no_empty_fields() -> None:
    message = Outgoing(notice=NOTICE, to="ann@example.com", text="x", subject="s")
    with StandIn(Reply(202, b"", {"X-Message-Id": "1"})) as server:
        values = {"SENDGRID_API_KEY": "k", "EMAIL_FROM": "legal@example.com", "SENDGRID_API_URL": server.url}
        sendgrids.Sender(Values(values), lambda: NOW).send(message)
        sent = server.asked[0].json()
    assert sent["from"] == {"email": "legal@example.com"}
    assert [part["type"] for part in sent["content"]] == ["text/plain"]
    assert "reply_to" not in sent
    with StandIn(OfMailgun.parts["accept"]) as server:
        values = {"MAILGUN_API_KEY": "k", "MAILGUN_DOMAIN": "d.example", "EMAIL_FROM": "legal@example.com"}
        mailguns.Sender(Values({**values, "MAILGUN_API_URL": server.url}), lambda: NOW).send(message)
        assert not {"html", "h:Reply-To"} & server.asked[0].form().keys()


SES = {"SES_REGION": "us-east-1", "SES_ACCESS_KEY_ID": "k", "SES_SECRET_ACCESS_KEY": "s"}


def test_ses_gets_names_beyond_ascii_as_encoded_words_and_no_empty_fields() -> None:
    message = Outgoing(notice=NOTICE, to="ann@exämple.com", text="x", subject="s")
    with StandIn(Reply(200, {"MessageId": "1"})) as server:
        values = {**SES, "EMAIL_FROM": '"Zoë, Legal" <legal@example.com>', "SES_API_URL": server.url}
        amazon_ses.Sender(Values(values), lambda: NOW).send(message)
        sent = server.asked[0].json()
    assert sent["FromEmailAddress"] == "=?utf-8?b?Wm/DqywgTGVnYWw=?= <legal@example.com>"
    assert sent["Destination"] == {"ToAddresses": ["ann@xn--exmple-cua.com"]}
    assert not {"ReplyToAddresses", "ConfigurationSetName"} & sent.keys()
    assert sent["Content"]["Simple"]["Body"].keys() == {"Text"}


def test_a_text_without_a_configuration_set_names_none() -> None:
    given = {"AWS_SMS_REGION": "us-east-1", "AWS_SMS_ACCESS_KEY_ID": "k", "AWS_SMS_SECRET_ACCESS_KEY": "s"}
    with StandIn(Reply(200, {"MessageId": "1"})) as server:
        values = {**given, "AWS_SMS_FROM": "Acme", "AWS_SMS_API_URL": server.url}
        amazon_sms.Sender(Values(values), lambda: NOW).send(SMS)
        assert "ConfigurationSetName" not in server.asked[0].json()


@pytest.mark.parametrize(
    ("sender", "settings", "url"),
    [
        (amazon_ses.Sender, SES, "https://email.us-east-1.amazonaws.com/v2/email/outbound-emails"),
        (
            amazon_sms.Sender,
            {key.replace("SES", "AWS_SMS"): value for key, value in SES.items()},
            "https://sms-voice.us-east-1.amazonaws.com/",
        ),
    ],
)
def test_amazons_address_is_that_of_the_region(
    sender: Any, settings: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Http, "post_json", lambda self, url, *_: asked.append(url) or HttpResponse(500, {}, b""))
    values = Values({**settings, "EMAIL_FROM": "legal@example.com", "AWS_SMS_FROM": "Acme"})
    with pytest.raises(PermanentFailure):
        sender(values, lambda: NOW).send(EMAIL)
    assert asked == [url]
