"""Each provider against the kit: the answers are those its own documentation shows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from shared.adapters.providers.email import mailgun as mailguns
from shared.adapters.providers.email import microsoft as microsofts
from shared.adapters.providers.email import postmark as postmarks
from shared.adapters.providers.email import sendgrid as sendgrids
from shared.adapters.providers.email import ses as amazon_ses
from shared.adapters.providers.sms import aws as amazon_sms
from shared.adapters.providers.sms import twilio as twilios
from shared.adapters.providers.sms import vonage as vonages
from shared.domain.errors import OutcomeUnknown
from shared.domain.receipts import ReceiptRequest
from shared.ports import Channel, ReceiptVerifier
from shared.setting_types import Values
from tests import signed_receipts as signed
from tests.contract.channel_kit import (
    DEADLINE,
    EMAIL,
    GOLDEN,
    NOTICE,
    NOW,
    SMS,
    HttpChannelKit,
    HttpStage,
    ReceiptKit,
)
from tests.stand_in import Reply, StandIn

RECEIPTS = "https://relay.example/receipts"
FROM = "Acme Legal <legal@example.com>"
REPLY_TO = "reply@example.com"
LETTERHEAD = {"EMAIL_FROM": FROM, "EMAIL_REPLY_TO": REPLY_TO}


def twilio(url: str) -> Channel:
    given = {"TWILIO_ACCOUNT_SID": "AC0123", "TWILIO_AUTH_TOKEN": "t0ken", "TWILIO_FROM": "+15005550006"}
    values = Values({**given, "TWILIO_API_URL": url, "RECEIPTS_BASE_URL": RECEIPTS})
    return twilios.Sender(values, lambda: NOW, DEADLINE)


def twilio_refusal(code: int, status: int = 400) -> Reply:
    url = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": "+13175551234 ...", "more_info": url, "status": status}
    return Reply(status, body)


class TestTwilio(HttpChannelKit):
    message = SMS
    provider_id = "SM" + "0" * 32
    credentials = "TWILIO_AUTH_TOKEN"
    secrets = ("t0ken",)
    golden = "twilio"
    parts = {
        "accept": Reply(201, {"sid": provider_id, "status": "queued", "error_code": None, "num_segments": "1"}),
        "truncate": Reply(201, {"sid": provider_id}, fault="truncate"),
        "bad credentials": twilio_refusal(20003, 401),
        "bad recipient": twilio_refusal(21211),
        "opted out": twilio_refusal(21610),
        "bad message": twilio_refusal(21617),
        "busy": twilio_refusal(20429, 429),
    }

    def make(self, url: str) -> Channel:
        return twilio(url)


class TestTwilioReceipts(ReceiptKit):
    def reader(self) -> ReceiptVerifier:
        return twilios.ReceiptVerifier(Values({"TWILIO_AUTH_TOKEN": "t0ken"}))

    def request(self, kind: str) -> ReceiptRequest:
        told = {
            "accepted": {"MessageStatus": "sent"},
            "delivered": {"MessageStatus": "delivered", "RawDlrDoneDate": "2603011200"},
            "undelivered": {"MessageStatus": "undelivered", "ErrorCode": "30003"},
            "opted out": {"MessageStatus": "failed", "ErrorCode": "21610"},
            "other": {"MessageStatus": "receiving"},
        }
        fields = {"MessageSid": TestTwilio.provider_id, "AccountSid": "AC0123", "To": "+13175551234", "Body": ""}
        return signed.twilio(f"{RECEIPTS}/twilio?n={NOTICE}", fields | told[kind], "t0ken")


def vonage(url: str, receipts: str = RECEIPTS, **more: str) -> Channel:
    given = {"VONAGE_API_KEY": "abcd1234", "VONAGE_API_SECRET": "s3cret", "VONAGE_FROM": "Acme"}
    values = Values({**given, "VONAGE_API_URL": url, "RECEIPTS_BASE_URL": receipts, **more})
    return vonages.Sender(values, lambda: NOW, DEADLINE)


def vonage_answer(*statuses: str, text: str = "Missing to param") -> Reply:
    taken = {"to": "13175551234", "message-id": "0A0000000123ABCD1", "status": "0", "remaining-balance": "3.14"}
    refused = {"error-text": text}
    parts = [taken if status == "0" else {"status": status, **refused} for status in statuses]
    return Reply(200, {"message-count": str(len(parts)), "messages": parts})


class TestVonage(HttpChannelKit):
    says_500_did_nothing = True
    message = SMS
    provider_id = "0A0000000123ABCD1"
    credentials = "VONAGE_API_SECRET"
    secrets = ("s3cret",)
    golden = "vonage"
    parts = {
        "accept": vonage_answer("0", "0"),
        "truncate": Reply(200, vonage_answer("0").body, fault="truncate"),
        "bad credentials": vonage_answer("4"),
        "bad recipient": vonage_answer("3", text="Invalid value for param: to"),
        "opted out": vonage_answer("7"),
        "bad message": vonage_answer("12"),
        "busy": vonage_answer("1"),
        "broken": vonage_answer("5"),
        "garbage": vonage_answer("0", "6"),
    }

    def make(self, url: str) -> Channel:
        return vonage(url)


def by_messages(url: str) -> Channel:
    return vonage("http://127.0.0.1:1", VONAGE_API="messages", VONAGE_MESSAGES_API_URL=url)


def messages_refusal(status: int, code: str, **more: object) -> Reply:
    told = {"type": f"https://developer.vonage.com/api-errors/messages#{code}", "title": "...", "instance": "bf0ca0bf"}
    return Reply(status, told | more)


class TestVonageByMessages(HttpChannelKit):
    says_500_did_nothing = True
    message = SMS
    provider_id = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"
    credentials = "VONAGE_API_SECRET"
    secrets = ("s3cret",)
    golden = {
        "method": "POST",
        "path": "/v1/messages",
        "headers": {"authorization": "Basic YWJjZDEyMzQ6czNjcmV0", "content-type": "application/json"},
        "json": {
            "channel": "sms",
            "message_type": "text",
            "from": "Acme",
            "to": "13175551234",
            "text": SMS.text,
            "client_ref": NOTICE,
            "sms": {"encoding_type": "unicode"},
            "webhook_url": f"{RECEIPTS}/vonage",
            "webhook_version": "v1",
        },
    }
    parts = {
        "accept": Reply(202, {"message_uuid": provider_id}),
        "truncate": Reply(202, {"message_uuid": provider_id}, fault="truncate"),
        "bad credentials": Reply(401, {"title": "Unauthorized", "detail": "You did not provide correct credentials."}),
        "bad recipient": messages_refusal(422, "1020", invalid_parameters=[{"name": "to", "reason": "..."}]),
        "bad message": messages_refusal(422, "1020", invalid_parameters=[{"name": "text", "reason": "..."}]),
    }

    def make(self, url: str) -> Channel:
        return by_messages(url)


class TestVonageReceipts(ReceiptKit):
    def reader(self) -> ReceiptVerifier:
        return vonages.ReceiptVerifier(Values({"VONAGE_SIGNATURE_SECRET": "s1gning"}))

    def fields(self, kind: str) -> dict[str, str]:
        told = {
            "accepted": {"status": "buffered", "err-code": "0"},
            "delivered": {"status": "delivered", "err-code": "0"},
            "undelivered": {"status": "failed", "err-code": "2"},
            "opted out": {"status": "rejected", "err-code": "9"},
            "other": {"status": "unknown", "err-code": "1"},
        }
        fields = {"msisdn": "13175551234", "to": "A&B=C", "messageId": "0A01", "client-ref": NOTICE, "price": "0.033"}
        return {**fields, **told[kind], "message-timestamp": "2026-03-01 12:00:00"}

    def request(self, kind: str) -> ReceiptRequest:
        return signed.vonage_jwt(f"{RECEIPTS}/vonage", self.fields(kind), "s1gning", NOW)


class TestVonageReceiptsWithSig(TestVonageReceipts):
    def request(self, kind: str) -> ReceiptRequest:
        fields = signed.vonage_fields(self.fields(kind), "s1gning", NOW)
        return signed.request(f"{RECEIPTS}/vonage", urlencode(fields).encode(), Content_Type=signed.FORM)


class TestVonageMessagesReceipts(TestVonageReceipts):
    def request(self, kind: str) -> ReceiptRequest:
        why = {"undelivered": "1180", "opted out": "1240"}.get(kind)
        status = {"accepted": "submitted", "undelivered": "rejected", "opted out": "rejected", "other": "read"}
        told = {"message_uuid": TestVonageByMessages.provider_id, "to": "13175551234", "from": "13175550199"}
        told |= {"timestamp": "2026-03-01T12:00:00.000Z", "status": status.get(kind, kind), "channel": "sms"}
        error = {"type": f"https://developer.vonage.com/api-errors/messages#{why}", "title": why, "detail": "..."}
        body = {**told, "client_ref": NOTICE, "usage": {"price": "0.0333"}, **({"error": error} if why else {})}
        return signed.vonage_jwt(f"{RECEIPTS}/vonage", body, "s1gning", NOW)


def sendgrid(url: str, clock: Callable[[], datetime] = lambda: NOW) -> Channel:
    values = Values({**LETTERHEAD, "SENDGRID_API_KEY": "SG.k3y", "SENDGRID_API_URL": url})
    return sendgrids.Sender(values, clock, DEADLINE)


def sendgrid_refusal(status: int, message: str, field: str | None = None) -> Reply:
    return Reply(status, {"errors": [{"message": message, "field": field, "help": None}]})


class TestSendGrid(HttpChannelKit):
    message = EMAIL
    provider_id = "14c5d75ce93"
    credentials = "SENDGRID_API_KEY"
    secrets = ("SG.k3y",)
    golden = "sendgrid"
    parts = {
        "accept": Reply(202, b"", {"X-Message-Id": provider_id}),
        "bad credentials": sendgrid_refusal(401, "The provided authorization grant is invalid, expired, or revoked"),
        "bad recipient": sendgrid_refusal(400, "Does not contain a valid address.", "personalizations.0.to.0.email"),
        "bad message": sendgrid_refusal(400, "The subject is required.", "subject"),
    }

    def make(self, url: str) -> Channel:
        return sendgrid(url)


class TestSendGridReceipts(ReceiptKit):
    def reader(self) -> ReceiptVerifier:
        return sendgrids.ReceiptVerifier(Values({"SENDGRID_WEBHOOK_PUBLIC_KEY": signed.sendgrid_public_key()}))

    def request(self, kind: str) -> ReceiptRequest:
        told: dict[str, dict[str, Any]] = {
            "accepted": {"event": "deferred", "response": "400 try again later", "attempt": "5"},
            "delivered": {"event": "delivered", "response": "250 OK"},
            "undelivered": {"event": "bounce", "type": "blocked", "status": "4.7.1", "reason": "451 greylisted"},
            "opted out": {"event": "dropped", "reason": "Unsubscribed Address"},
            "other": {"event": "open", "useragent": "Mozilla/4.0"},
        }
        event = {"email": "ann@example.com", "timestamp": 1772366400, "sg_event_id": "e1", "notice": NOTICE}
        event |= {"sg_message_id": "14c5d75ce93.filter0001.16648.5515E0B88.0", "smtp-id": "<14c5d75ce93@ismtpd>"}
        return signed.sendgrid(f"{RECEIPTS}/sendgrid", [event | told[kind]], NOW)


def mailgun(url: str) -> Channel:
    given = {"MAILGUN_API_KEY": "k3y-0", "MAILGUN_DOMAIN": "mg.example.com", "MAILGUN_API_URL": url}
    return mailguns.Sender(Values({**LETTERHEAD, **given}), lambda: NOW, DEADLINE)


class TestMailgun(HttpChannelKit):
    message = EMAIL
    provider_id = "20260301120000.1.A2B3@mg.example.com"
    credentials = "MAILGUN_API_KEY"
    secrets = ("k3y-0",)
    golden = "mailgun"
    parts = {
        "accept": Reply(200, {"id": f"<{provider_id}>", "message": "Queued. Thank you."}),
        "truncate": Reply(200, {"id": f"<{provider_id}>"}, fault="truncate"),
        "bad credentials": Reply(401, b"Forbidden"),
        "bad recipient": Reply(400, {"message": "'to' parameter is not a valid address. please check documentation"}),
        "bad message": Reply(400, {"message": "Need at least one of 'text' or 'html' parameters specified"}),
        "busy": Reply(429, {"message": "Too many requests"}),
        "busy for 17 s": Reply(429, {"message": "Domain is over its limit, try again after 17 seconds"}),
    }

    def make(self, url: str) -> Channel:
        return mailgun(url)


class TestMailgunReceipts(ReceiptKit):
    def reader(self) -> ReceiptVerifier:
        return mailguns.ReceiptVerifier(Values({"MAILGUN_SIGNING_KEY": "s1gning"}))

    def request(self, kind: str) -> ReceiptRequest:
        told: dict[str, dict[str, Any]] = {
            "accepted": {"event": "failed", "severity": "temporary", "reason": "generic"},
            "delivered": {"event": "delivered", "delivery-status": {"code": 250, "message": "OK"}},
            "undelivered": {"event": "failed", "severity": "permanent", "reason": "espblock"},
            "opted out": {"event": "failed", "severity": "permanent", "reason": "suppress-unsubscribe"},
            "other": {"event": "opened", "ip": "192.0.2.1"},
        }
        headers = {"to": "ann@example.com", "message-id": TestMailgun.provider_id, "from": FROM}
        event = {"id": "G9Bn5sl1TC6nu79C8C0bwg", "timestamp": 1772366399.329, "message": {"headers": headers}}
        event |= {"user-variables": {"notice": NOTICE}, "recipient": "ann@example.com"}
        return signed.mailgun(f"{RECEIPTS}/mailgun", event | told[kind], "s1gning", NOW)


def postmark(url: str) -> Channel:
    values = Values({**LETTERHEAD, "POSTMARK_SERVER_TOKEN": "t0ken", "POSTMARK_API_URL": url})
    return postmarks.Sender(values, lambda: NOW, DEADLINE)


def postmark_answer(status: int, code: int, message: str = "OK", **more: str) -> Reply:
    return Reply(status, {"ErrorCode": code, "Message": message, **more})


class TestPostmark(HttpChannelKit):
    message = EMAIL
    provider_id = "0a129aee-e1cd-480d-b08d-4f48548ff48d"
    credentials = "POSTMARK_SERVER_TOKEN"
    secrets = ("t0ken",)
    golden = "postmark"
    parts = {
        "accept": postmark_answer(200, 0, MessageID=provider_id, To="ann@example.com"),
        "truncate": Reply(200, postmark_answer(200, 0, MessageID=provider_id).body, fault="truncate"),
        "bad credentials": postmark_answer(401, 10, "No Account or Server API tokens were supplied"),
        "bad recipient": postmark_answer(422, 300, "Error parsing 'To': Illegal email address 'ann@example.com'."),
        "opted out": postmark_answer(422, 406, "You tried to send to recipient(s) marked as inactive."),
        "bad message": postmark_answer(422, 300, "Provide either email TextBody or HtmlBody or both."),
        "garbage": postmark_answer(200, 0),
    }

    def make(self, url: str) -> Channel:
        return postmark(url)


class TestPostmarkReceipts(ReceiptKit):
    def reader(self) -> ReceiptVerifier:
        return postmarks.ReceiptVerifier(Values({"POSTMARK_WEBHOOK_TOKEN": signed.HOOK}))

    def request(self, kind: str) -> ReceiptRequest:
        bounced = {"RecordType": "Bounce", "BouncedAt": "2026-03-01T13:28:10.2735393-04:00", "Inactive": False}
        told: dict[str, dict[str, Any]] = {
            "accepted": {**bounced, "Type": "Transient", "TypeCode": 2},
            "delivered": {"RecordType": "Delivery", "DeliveredAt": "2026-03-01T12:00:00Z", "Details": "250 OK"},
            "undelivered": {**bounced, "Type": "SoftBounce", "TypeCode": 4096},
            "opted out": {**bounced, "Type": "HardBounce", "TypeCode": 1, "Inactive": True},
            "other": {"RecordType": "Open", "ReceivedAt": "2026-03-01T12:00:00Z"},
        }
        event = {"MessageID": TestPostmark.provider_id, "ServerID": 23, "Metadata": {"notice": NOTICE}}
        return signed.postmark(f"{RECEIPTS}/postmark", event | told[kind], signed.HOOK)


def ses(url: str) -> Channel:
    given = {"SES_REGION": "us-east-1", "SES_ACCESS_KEY_ID": "AKIDEXAMPLE", "SES_SECRET_ACCESS_KEY": "s3cret"}
    values = Values({**LETTERHEAD, **given, "SES_CONFIGURATION_SET": "relay", "SES_API_URL": url})
    return amazon_ses.Sender(values, lambda: NOW, DEADLINE)


def ses_refusal(status: int, name: str, message: str = "") -> Reply:
    return Reply(status, {"message": message}, {"x-amzn-ErrorType": f"{name}:http://internal.amazon.com/coral/x/"})


class TestSes(HttpChannelKit):
    says_500_did_nothing = True
    message = EMAIL
    provider_id = "0100018e7b6d0d0e-8f5c2b1a-000000"
    credentials = "SES_SECRET_ACCESS_KEY"
    secrets = ("s3cret", "AKIDEXAMPLE")
    golden = "ses"
    parts = {
        "accept": Reply(200, {"MessageId": provider_id}),
        "truncate": Reply(200, {"MessageId": provider_id}, fault="truncate"),
        "bad credentials": ses_refusal(403, "SignatureDoesNotMatch"),
        "bad recipient": ses_refusal(400, "BadRequestException", "Missing final '@domain'"),
        "bad message": ses_refusal(400, "MessageRejected", "The message contains invalid content"),
        "busy": ses_refusal(429, "TooManyRequestsException", "Maximum sending rate exceeded."),
    }

    def make(self, url: str) -> Channel:
        return ses(url)


class TestSesReceipts(ReceiptKit):
    def reader(self) -> ReceiptVerifier:
        return amazon_ses.ReceiptVerifier(Values({"SES_TOPIC_ARN": signed.TOPIC}))

    def request(self, kind: str) -> ReceiptRequest:
        report = {"emailAddress": "ann@example.com", "action": "failed", "status": "4.2.2"}
        bounce = {"bounceType": "Transient", "bounceSubType": "MailboxFull", "bouncedRecipients": [report]}
        told: dict[str, dict[str, Any]] = {
            "accepted": {"eventType": "DeliveryDelay", "deliveryDelay": {"delayType": "MailboxFull"}},
            "delivered": {"eventType": "Delivery", "delivery": {"smtpResponse": "250 OK", "recipients": []}},
            "undelivered": {"eventType": "Bounce", "bounce": bounce},
            "opted out": {
                "eventType": "Bounce",
                "bounce": {**bounce, "bounceType": "Permanent", "bounceSubType": "OnAccountSuppressionList"},
            },
            "other": {"eventType": "Open", "open": {"ipAddress": "192.0.2.1"}},
        }
        tags = {"ses:configuration-set": ["relay"], "notice": [NOTICE]}
        mail = {"messageId": TestSes.provider_id, "tags": tags, "destination": ["ann@example.com"]}
        return signed.sns(f"{RECEIPTS}/ses", {**told[kind], "mail": mail}, NOW)


def aws(url: str) -> Channel:
    given = {"AWS_SMS_REGION": "eu-west-1", "AWS_SMS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SMS_SECRET_ACCESS_KEY": "s3c"}
    given |= {"AWS_SMS_FROM": "pool-1", "AWS_SMS_CONFIGURATION_SET": "relay", "AWS_SMS_API_URL": url}
    return amazon_sms.Sender(Values(given), lambda: NOW, DEADLINE)


def aws_refusal(name: str, reason: str = "", field: str = "", status: int = 400) -> Reply:
    fields = {"Fields": [{"Name": field, "Message": "+13175551234 ..."}]} if field else {}
    body = {"__type": f"com.amazonaws.pinpointsmsvoicev2#{name}", "Message": "+13175551234 ...", **fields}
    return Reply(status, {**body, **({"Reason": reason} if reason else {})})


class TestAws(HttpChannelKit):
    says_500_did_nothing = True
    message = SMS
    provider_id = "862a8790-60c0-4430-9b2b-658bd0000000"
    credentials = "AWS_SMS_SECRET_ACCESS_KEY"
    secrets = ("s3c", "AKIDEXAMPLE")
    golden = "aws"
    parts = {
        "accept": Reply(200, {"MessageId": provider_id}),
        "truncate": Reply(200, {"MessageId": provider_id}, fault="truncate"),
        "bad credentials": aws_refusal("UnrecognizedClientException"),
        "bad recipient": aws_refusal("ValidationException", "FIELD_VALIDATION_FAILED", "DestinationPhoneNumber"),
        "opted out": aws_refusal("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT"),
        "bad message": aws_refusal("ValidationException", "INVALID_REQUEST", "MessageBody"),
        "busy": aws_refusal("ThrottlingException"),
    }

    def make(self, url: str) -> Channel:
        return aws(url)


class TestAwsReceipts(ReceiptKit):
    def reader(self) -> ReceiptVerifier:
        return amazon_sms.ReceiptVerifier(Values({"AWS_SMS_TOPIC_ARN": signed.TOPIC}))

    def request(self, kind: str) -> ReceiptRequest:
        names = {"accepted": "SUCCESSFUL", "delivered": "DELIVERED", "undelivered": "UNREACHABLE"}
        names |= {"opted out": "BLOCKED", "other": "NEW"}
        event = {"eventType": f"TEXT_{names[kind]}", "eventVersion": "1.0", "messageId": TestAws.provider_id}
        event |= {
            "destinationPhoneNumber": "+13175551234",
            "context": {"notice": NOTICE},
            "isFinal": kind != "accepted",
        }
        return signed.sns(f"{RECEIPTS}/aws", event, NOW, version="1")


TOKEN = Reply(200, {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "t0ken"})
APPLICATION = {"MICROSOFT_TENANT_ID": "9d1c/0", "MICROSOFT_CLIENT_ID": "app-1", "MICROSOFT_CLIENT_SECRET": "s3cr~t"}


def microsoft(url: str, login: str, **more: str) -> microsofts.Sender:
    places = {"MICROSOFT_API_URL": url, "MICROSOFT_LOGIN_URL": login}
    given = {**LETTERHEAD, "EMAIL_REPLY_TO": "Acme <reply@example.com>", **APPLICATION, **places, **more}
    return microsofts.Sender(Values(given), lambda: NOW, DEADLINE)


@contextmanager
def microsofts_login() -> Iterator[StandIn]:
    with StandIn(TOKEN) as server:
        yield server


def microsoft_refusal(status: int, code: str) -> Reply:
    inner = {"date": "2026-03-01T12:00:00", "request-id": "0", "client-request-id": "0"}
    return Reply(status, {"error": {"code": code, "message": "ann@example.com ...", "innerError": inner}})


class TestMicrosoft(HttpChannelKit):
    message = EMAIL
    provider_id = f"<{NOTICE}@example.com>"
    credentials = "MICROSOFT_CLIENT_SECRET"
    secrets = ("t0ken", "s3cr~t")
    golden = {
        "method": "POST",
        "path": "/v1.0/users/legal%40example.com/sendMail",
        "headers": {"authorization": "Bearer t0ken", "content-type": "text/plain"},
        "mime": (GOLDEN / "smtp.eml").read_text(),
    }
    parts = {
        "accept": Reply(202, b""),
        "bad credentials": microsoft_refusal(401, "InvalidAuthenticationToken"),
        "bad recipient": microsoft_refusal(400, "ErrorInvalidRecipients"),
        "bad message": microsoft_refusal(400, "ErrorMimeContentInvalid"),
    }

    @pytest.fixture(autouse=True)
    def login(self) -> Iterator[None]:
        with microsofts_login() as server:
            self.login_url = server.url
            yield

    def make(self, url: str) -> Channel:
        return microsoft(url, self.login_url)

    @pytest.mark.parametrize("status", [200, 201])
    def test_no_2xx_without_the_documented_proof_is_a_success(self, stage: HttpStage, status: int) -> None:
        """The proof is the status: 202 has no body."""
        stage.server.answer(Reply(status, {"id": "1"}))
        with pytest.raises(OutcomeUnknown):
            stage.channel().send(self.message)
