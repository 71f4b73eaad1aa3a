"""Signatures of receipts, provider by provider: a genuine one, then one attack in each test."""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from requests.structures import CaseInsensitiveDict

from shared.adapters.providers.email import mailgun, postmark, sendgrid, ses
from shared.adapters.providers.sms import aws, twilio, vonage
from shared.domain.inbound import Keyword
from shared.domain.model import NoticeState
from shared.domain.receipts import InvalidSignature, Receipt, ReceiptRequest
from shared.ports import ReceiptVerifier
from shared.setting_types import SettingError, Values
from tests import signed_receipts as signed
from tests.contract import test_channels as providers
from tests.contract.channel_kit import NOTICE, NOW, ReceiptKit

KITS: dict[str, ReceiptKit] = {
    "twilio": providers.TestTwilioReceipts(),
    "vonage jwt": providers.TestVonageReceipts(),
    "vonage sig": providers.TestVonageReceiptsWithSig(),
    "vonage messages": providers.TestVonageMessagesReceipts(),
    "sendgrid": providers.TestSendGridReceipts(),
    "mailgun": providers.TestMailgunReceipts(),
    "postmark": providers.TestPostmarkReceipts(),
    "ses": providers.TestSesReceipts(),
    "aws": providers.TestAwsReceipts(),
}
SIGNED_BODY = {name: kit for name, kit in KITS.items() if name not in ("mailgun", "postmark", "ses", "aws")}


def replaced(request: ReceiptRequest, **parts: Any) -> ReceiptRequest:
    return msgspec.structs.replace(request, **parts)


def with_header(request: ReceiptRequest, name: str, value: str) -> ReceiptRequest:
    headers = CaseInsensitiveDict(request.headers)
    headers[name] = value
    return replaced(request, headers=headers)


def off_by_one(text: str, place: int) -> str:
    return text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]


@pytest.mark.parametrize("kit", KITS.values(), ids=KITS.keys())
def test_a_genuine_receipt_is_believed(kit: ReceiptKit) -> None:
    assert kit.read("delivered")[0].state is NoticeState.DELIVERED


@pytest.mark.parametrize("kit", SIGNED_BODY.values(), ids=SIGNED_BODY.keys())
def test_no_byte_of_a_signed_body_can_be_changed(kit: ReceiptKit) -> None:
    genuine = kit.request("delivered")
    for place in range(len(genuine.body)):
        body = bytearray(genuine.body)
        body[place] ^= 1
        with pytest.raises(InvalidSignature):
            kit.reader().receipts(replaced(genuine, body=bytes(body)), NOW)


@pytest.mark.parametrize(
    ("name", "header", "place"),
    [
        ("twilio", "X-Twilio-Signature", 5),
        ("vonage jwt", "Authorization", -10),
        ("sendgrid", "X-Twilio-Email-Event-Webhook-Signature", 20),
        ("sendgrid", "X-Twilio-Email-Event-Webhook-Timestamp", 9),
        ("postmark", "Authorization", 16),
        ("ses", "x-amz-sns-topic-arn", 12),
    ],
)
@pytest.mark.parametrize("spoilt", [off_by_one, lambda text, place: "", lambda text, place: text + "é"])
def test_a_spoilt_signature_is_forged(name: str, header: str, place: int, spoilt: Callable[[str, int], str]) -> None:
    genuine = KITS[name].request("delivered")
    value = genuine.headers[header]
    with pytest.raises(InvalidSignature):
        KITS[name].reader().receipts(with_header(genuine, header, spoilt(value, place % len(value))), NOW)


@pytest.mark.parametrize("part", ["timestamp", "token", "signature"])
@pytest.mark.parametrize("value", ["", "0", 1, None, [], "é"])
def test_a_spoilt_signature_of_mailguns_is_forged(part: str, value: object) -> None:
    genuine = KITS["mailgun"].request("delivered")
    body = json.loads(genuine.body)
    body["signature"][part] = value
    with pytest.raises(InvalidSignature):
        KITS["mailgun"].reader().receipts(replaced(genuine, body=json.dumps(body).encode()), NOW)


def proven_by(module: Any, **given: str) -> ReceiptVerifier:
    verifier: ReceiptVerifier = module.ReceiptVerifier(Values(given))
    return verifier


STRANGERS: dict[str, Callable[[], ReceiptVerifier]] = {
    "twilio": lambda: proven_by(twilio, TWILIO_AUTH_TOKEN="0ther"),
    "vonage jwt": lambda: proven_by(vonage, VONAGE_SIGNATURE_SECRET="0ther"),
    "vonage sig": lambda: proven_by(vonage, VONAGE_SIGNATURE_SECRET="0ther"),
    "sendgrid": lambda: proven_by(sendgrid, SENDGRID_WEBHOOK_PUBLIC_KEY=OTHER_KEY),
    "mailgun": lambda: proven_by(mailgun, MAILGUN_SIGNING_KEY="0ther"),
    "postmark": lambda: proven_by(postmark, POSTMARK_WEBHOOK_TOKEN="0ther" * 7),
    "ses": lambda: proven_by(ses, SES_TOPIC_ARN=signed.TOPIC.replace("relay", "other")),
    "aws": lambda: proven_by(aws, AWS_SMS_TOPIC_ARN=signed.TOPIC.replace("us-east-1", "us-east-2")),
}
# A P-256 key that is nobody's: the generator of the curve, in DER.
OTHER_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sx"
    "Xs7LtkBoN79R9Q=="
)


@pytest.mark.parametrize("name", STRANGERS)
def test_a_receipt_signed_with_another_key_is_forged(name: str) -> None:
    with pytest.raises(InvalidSignature):
        STRANGERS[name]().receipts(KITS[name].request("delivered"), NOW)


def test_a_provider_without_a_key_believes_nothing_not_even_a_signature_made_with_an_empty_one() -> None:
    fields = {"status": "delivered", "client-ref": NOTICE, "messageId": "0A"}
    url = "https://relay.example/receipts/vonage"
    attacks: list[tuple[Any, ReceiptRequest]] = [
        (proven_by(vonage), signed.vonage_jwt(url, fields, "", NOW)),
        (proven_by(vonage), signed.request(url, urlencode(signed.vonage_fields(fields, "", NOW)).encode())),
        (proven_by(mailgun), signed.mailgun(url, {"event": "delivered"}, "", NOW)),
        (proven_by(sendgrid), signed.sendgrid(url, [], NOW)),
        (proven_by(postmark), signed.postmark(url, {"RecordType": "Delivery"}, "")),
        (proven_by(postmark), signed.request(url, b'{"RecordType": "Delivery"}')),
        (proven_by(ses), signed.sns(url, {"eventType": "Delivery"}, NOW)),
        (proven_by(aws), signed.sns(url, {"eventType": "TEXT_DELIVERED"}, NOW, TopicArn="")),
    ]
    for reader, attack in attacks:
        with pytest.raises(InvalidSignature):
            reader.receipts(attack, NOW)
    with pytest.raises(SettingError, match="TWILIO_AUTH_TOKEN"):
        proven_by(twilio)


@pytest.mark.parametrize(
    ("name", "longest"),
    [
        ("vonage jwt", timedelta(hours=25)),
        ("vonage sig", timedelta(hours=25)),
        ("sendgrid", timedelta(hours=25)),
        ("mailgun", timedelta(minutes=15)),
        ("ses", timedelta(hours=25)),
        ("aws", timedelta(hours=25)),
    ],
)
def test_an_old_signature_is_forged_and_so_is_one_from_the_future(name: str, longest: timedelta) -> None:
    kit = KITS[name]
    genuine = kit.request("delivered")
    assert kit.reader().receipts(genuine, NOW + longest)
    for now in (NOW + longest + timedelta(seconds=1), NOW - timedelta(minutes=6)):
        with pytest.raises(InvalidSignature, match="too old"):
            kit.reader().receipts(genuine, now)


@pytest.mark.parametrize(
    "url",
    [
        "https://relay.example/receipts/twilio",
        "https://relay.example/receipts/twilio?n=other",
        f"http://relay.example/receipts/twilio?n={NOTICE}",
        f"https://evil.example/receipts/twilio?n={NOTICE}",
        f"https://relay.example/receipts/twilio?n={NOTICE}&n=other",
    ],
)
def test_twilio_signs_the_public_url_with_its_query(url: str) -> None:
    genuine = KITS["twilio"].request("delivered")
    with pytest.raises(InvalidSignature):
        KITS["twilio"].reader().receipts(replaced(genuine, url=url), NOW)


@pytest.mark.parametrize(
    ("signed_url", "public_url"),
    [
        ("https://relay.example:443/r/twilio?n=1", "https://relay.example/r/twilio?n=1"),
        ("https://relay.example/r/twilio?n=1", "https://relay.example:443/r/twilio?n=1"),
        ("https://relay.example/r/twilio?n=1", "https://relay.example:8443/r/twilio?n=1"),
        ("https://relay.example:8443/r/twilio?n=1", "https://relay.example:8443/r/twilio?n=1"),
        ("http://[::1]:80/r/twilio?n=1", "http://[::1]/r/twilio?n=1"),
    ],
)
def test_twilio_may_sign_the_url_with_or_without_its_port(signed_url: str, public_url: str) -> None:
    genuine = signed.twilio(signed_url, {"MessageStatus": "delivered", "MessageSid": "SM1"}, "t0ken")
    assert KITS["twilio"].reader().receipts(replaced(genuine, url=public_url), NOW)


def test_another_port_is_another_url() -> None:
    genuine = signed.twilio("https://relay.example:8443/r", {"MessageStatus": "delivered"}, "t0ken")
    with pytest.raises(InvalidSignature):
        KITS["twilio"].reader().receipts(replaced(genuine, url="https://relay.example:9443/r"), NOW)


def with_event(request: ReceiptRequest, **changes: str) -> ReceiptRequest:
    """The same signature, over another event."""
    body = json.loads(request.body)
    body["event-data"] |= changes
    return replaced(request, body=json.dumps(body).encode())


def test_a_mailgun_signature_proves_one_event_only_though_that_may_come_again() -> None:
    reader, genuine = KITS["mailgun"].reader(), KITS["mailgun"].request("delivered")
    for _ in range(2):
        assert reader.receipts(genuine, NOW)
    forged = with_event(genuine, event="failed", severity="permanent")
    for wait in (timedelta(0), timedelta(minutes=15)):
        with pytest.raises(InvalidSignature, match="used for another event"):
            reader.receipts(forged, NOW + wait)


def test_a_mailgun_signature_is_the_same_wherever_its_time_ends_and_its_token_begins() -> None:
    reader, event = KITS["mailgun"].reader(), {"event": "delivered", "user-variables": {"notice": NOTICE}}
    genuine = signed.mailgun("https://r.example", event, "s1gning", NOW, token="e0" + "a" * 48)
    assert reader.receipts(genuine, NOW)
    body = json.loads(genuine.body)
    body["signature"] |= {"timestamp": body["signature"]["timestamp"] + "e0", "token": "a" * 48}
    body["event-data"] |= {"event": "failed", "severity": "permanent"}
    with pytest.raises(InvalidSignature, match="used for another event"):
        reader.receipts(replaced(genuine, body=json.dumps(body).encode()), NOW)


def test_a_mailgun_token_is_forgotten_once_its_signature_is_too_old_to_be_used() -> None:
    reader, event = KITS["mailgun"].reader(), {"event": "delivered", "user-variables": {"notice": NOTICE}}
    for at in (NOW, NOW + timedelta(minutes=21)):
        event = {**event, "id": at.isoformat()}
        assert reader.receipts(signed.mailgun("https://r.example", event, "s1gning", at, token="t"), at)


def test_twilios_own_example_verifies() -> None:
    """Url, fields, token and signature as Twilio's documentation prints them."""
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+12349013030",
        "Digits": "1234",
        "From": "+12349013030",
        "To": "+18005551212",
    }
    example = signed.request(
        "https://mycompany.com/myapp.php?foo=1&bar=2",
        urlencode(fields).encode(),
        X_Twilio_Signature="0/KCTR6DLpKmkAf8muzZqo1nDgQ=",
    )
    assert proven_by(twilio, TWILIO_AUTH_TOKEN="12345").receipts(example, NOW) == []


def test_a_field_twilio_adds_one_day_still_verifies() -> None:
    fields = {"MessageStatus": "delivered", "MessageSid": "SM1", "Brand New": "a=b&c ü", "Empty": ""}
    request = signed.twilio(f"https://relay.example/receipts/twilio?n={NOTICE}", fields, "t0ken")
    assert KITS["twilio"].reader().receipts(request, NOW)[0].notice == NOTICE


def test_sendgrids_own_example_verifies() -> None:
    """Key, signature, timestamp and body of the test in SendGrid's public libraries."""
    verifier = proven_by(
        sendgrid,
        SENDGRID_WEBHOOK_PUBLIC_KEY="MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceE"
        "u/1FwCM/QmGUhA==",
    )
    request = signed.request(
        "https://relay.example/receipts/sendgrid",
        b'{"category":"example_payload","event":"test_event","message_id":"message_id"}',
        X_Twilio_Email_Event_Webhook_Signature=(
            "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0="
        ),
        X_Twilio_Email_Event_Webhook_Timestamp="1588788367",
    )
    then = NOW.fromtimestamp(1588788400, NOW.tzinfo)
    with pytest.raises(InvalidSignature, match="not a list"):  # the signature holds, the example is no list of events
        verifier.receipts(request, then)
    with pytest.raises(InvalidSignature, match="too old"):
        verifier.receipts(request, NOW)


def test_sendgrids_key_may_be_pasted_as_pem() -> None:
    pem = f"-----BEGIN PUBLIC KEY-----\n{signed.sendgrid_public_key()}\n-----END PUBLIC KEY-----\n"
    verifier = proven_by(sendgrid, SENDGRID_WEBHOOK_PUBLIC_KEY=pem)
    assert verifier.receipts(KITS["sendgrid"].request("delivered"), NOW)


@pytest.mark.parametrize("key", ["no key", "AAAA", "é", "-----"])
def test_a_sendgrid_key_that_is_none_believes_nothing_and_names_the_setting(key: str) -> None:
    verifier = proven_by(sendgrid, SENDGRID_WEBHOOK_PUBLIC_KEY=key)
    with pytest.raises(InvalidSignature, match="SENDGRID_WEBHOOK_PUBLIC_KEY"):
        verifier.receipts(KITS["sendgrid"].request("delivered"), NOW)


def test_a_sendgrid_key_of_another_kind_believes_nothing() -> None:
    der = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    verifier = proven_by(sendgrid, SENDGRID_WEBHOOK_PUBLIC_KEY=base64.b64encode(der).decode())
    with pytest.raises(InvalidSignature, match="SENDGRID_WEBHOOK_PUBLIC_KEY"):
        verifier.receipts(KITS["sendgrid"].request("delivered"), NOW)


def test_a_batch_of_sendgrids_gives_a_receipt_an_event_and_skips_what_is_not_ours() -> None:
    events = [
        {"event": "processed", "notice": "n1", "sg_message_id": "m1.x", "timestamp": 1772366400},
        {"event": "spamreport", "notice": "n1", "sg_message_id": "m1.x", "timestamp": 1772366401},
        {"event": "bounce", "type": "bounce", "notice": "n2", "sg_message_id": "m2.x", "timestamp": 1772366402},
        {"event": "dropped", "reason": "Spam Content", "notice": "n3", "sg_message_id": "m3"},
        {"event": "delivered", "sg_message_id": "m4"},
        {"event": "account_status_change"},
        "nonsense",
    ]
    receipts = KITS["sendgrid"].reader().receipts(signed.sendgrid("https://r.example", events, NOW), NOW)
    assert [(r.notice, r.provider_id, r.state, r.suppress) for r in receipts] == [
        ("n1", "m1", NoticeState.ACCEPTED, False),
        ("n1", "m1", NoticeState.DELIVERED, True),
        ("n2", "m2", NoticeState.UNDELIVERED, True),
        ("n3", "m3", NoticeState.UNDELIVERED, False),
        (None, "m4", NoticeState.DELIVERED, False),
    ]
    assert [r.at - NOW for r in receipts[:2]] == [timedelta(0), timedelta(seconds=1)]
    assert receipts[3].at == NOW


@pytest.mark.parametrize("method", ["md5hash", "md5", "sha1", "sha256", "sha512"])
def test_vonage_may_sign_by_any_of_its_methods(method: str) -> None:
    fields = {"status": "delivered", "client-ref": NOTICE, "messageId": "0A", "to": "a=b&c"}
    told = signed.vonage_fields(fields, "s1gning", NOW, method)
    url, query = "https://relay.example/receipts/vonage", urlencode(told)
    requests = [
        signed.request(url, query.encode()),
        signed.request(url, json.dumps(told).encode()),
        signed.request(f"{url}?{query}", b""),
    ]
    for request in requests:
        assert KITS["vonage sig"].reader().receipts(request, NOW)[0].notice == NOTICE


def test_a_vonage_token_that_names_no_algorithm_or_another_is_forged() -> None:
    genuine = signed.vonage_jwt("https://r.example", {"status": "delivered"}, "s1gning", NOW)
    _, claims, _ = genuine.headers["Authorization"].split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for token in (f"{head}.{claims}.", f"{head}.{claims}", ".", "a.b", "", "é.é.é"):
        with pytest.raises(InvalidSignature):
            KITS["vonage jwt"].reader().receipts(with_header(genuine, "Authorization", f"Bearer {token}"), NOW)


@pytest.mark.parametrize("signed_part", ["e30.!!", "e30.bm8", "e30", "e30.W10"])
def test_a_vonage_token_whose_claims_cannot_be_read_is_forged(signed_part: str) -> None:
    mac = base64.urlsafe_b64encode(hmac.digest(b"s1gning", signed_part.encode(), "sha256")).decode()
    request = signed.request("https://r.example", b"{}", Authorization=f"Bearer {signed_part}.{mac}")
    with pytest.raises(InvalidSignature):
        KITS["vonage jwt"].reader().receipts(request, NOW)


def test_a_vonage_token_for_another_body_is_forged() -> None:
    one = signed.vonage_jwt("https://r.example", {"status": "delivered", "client-ref": "n1"}, "s1gning", NOW)
    other = signed.vonage_jwt("https://r.example", {"status": "failed", "client-ref": "n2"}, "s1gning", NOW)
    with pytest.raises(InvalidSignature, match="not for this body"):
        KITS["vonage jwt"].reader().receipts(replaced(one, body=other.body), NOW)


def test_postmarks_token_may_come_in_a_header_of_its_own() -> None:
    genuine = KITS["postmark"].request("delivered")
    request = signed.request(genuine.url, genuine.body, X_Webhook_Token=signed.HOOK)
    assert KITS["postmark"].reader().receipts(request, NOW)
    with pytest.raises(InvalidSignature):
        KITS["postmark"].reader().receipts(signed.request(genuine.url, genuine.body, X_Webhook_Token="h00"), NOW)


def test_a_complaint_means_it_arrived_and_that_nothing_more_may_be_sent() -> None:
    event = {"RecordType": "SpamComplaint", "MessageID": "m", "Metadata": {"notice": NOTICE}, "BouncedAt": "never"}
    [receipt] = KITS["postmark"].reader().receipts(signed.postmark("https://r.example", event, signed.HOOK), NOW)
    assert receipt == Receipt(
        notice=NOTICE,
        provider_id="m",
        state=NoticeState.DELIVERED,
        reason="Postmark: reported as spam",
        at=NOW,
        suppress=True,
        asks=Keyword.STOP,
    )


@pytest.mark.parametrize(
    ("why", "origin", "state", "asks"),
    [
        ("ManualSuppression", "Recipient", NoticeState.DELIVERED, Keyword.STOP),
        ("ManualSuppression", "Customer", NoticeState.DELIVERED, None),
        ("SpamComplaint", "Recipient", NoticeState.DELIVERED, Keyword.STOP),
        ("HardBounce", "Recipient", NoticeState.UNDELIVERED, None),
    ],
)
def test_an_address_that_postmark_stops_is_suppressed_here_and_a_reactivated_one_is_left_alone(
    why: str, origin: str, state: NoticeState, asks: Keyword | None
) -> None:
    """As https://postmarkapp.com/developer/webhooks/subscription-change-webhook shows it."""
    event = {
        "RecordType": "SubscriptionChange",
        "MessageID": "m",
        "ServerID": 123456,
        "MessageStream": "outbound",
        "ChangedAt": "2026-03-01T10:53:34Z",
        "Recipient": "ann@example.com",
        "Origin": origin,
        "SuppressSending": True,
        "SuppressionReason": why,
        "Metadata": {"notice": NOTICE},
    }
    [receipt] = KITS["postmark"].reader().receipts(signed.postmark("https://r.example", event, signed.HOOK), NOW)
    assert (receipt.notice, receipt.state, receipt.suppress, receipt.asks) == (NOTICE, state, True, asks)
    assert receipt.at == NOW.replace(hour=10, minute=53, second=34)
    again = {**event, "SuppressSending": False, "SuppressionReason": None}
    assert KITS["postmark"].reader().receipts(signed.postmark("https://r.example", again, signed.HOOK), NOW) == []


def test_no_reason_repeats_the_recipients_address() -> None:
    for kit in KITS.values():
        for kind in ReceiptKit.states:
            assert "ann@" not in kit.read(kind)[0].reason
            assert "3175551234" not in kit.read(kind)[0].reason


BOUNCED = [{"emailAddress": "ann@example.com", "action": "failed", "status": "5.1.1"}]


@pytest.mark.parametrize(
    ("name", "told", "expected"),
    [
        ("Send", {}, NoticeState.ACCEPTED),
        ("Reject", {"reason": "Bad content"}, NoticeState.UNDELIVERED),
        ("Bounce", {"bounceType": "Permanent", "bounceSubType": "General"}, "suppress"),
        ("Bounce", {"bounceType": "Permanent", "bounceSubType": "NoEmail"}, "suppress"),
        ("Bounce", {"bounceType": "Permanent", "bounceSubType": "Suppressed"}, "suppress"),
        ("Bounce", {"bounceType": "Transient", "bounceSubType": "General"}, NoticeState.UNDELIVERED),
        ("Bounce", {"bounceType": "Transient", "bounceSubType": "New"}, NoticeState.UNDELIVERED),
        ("Bounce", {"bounceType": "Undetermined", "bounceSubType": "Undetermined"}, NoticeState.UNDELIVERED),
        ("Bounce", {"bounceType": "New"}, None),
        ("Complaint", {"complaintFeedbackType": "abuse", "complaintSubType": None}, NoticeState.DELIVERED),
        ("Complaint", {"complaintSubType": "OnAccountSuppressionList"}, "suppress"),
        ("Complaint", {"complaintFeedbackType": "not-spam"}, None),
        ("Subscription", {"source": "PreferenceCenter"}, None),
        ("Rendering Failure", {"errorMessage": "x"}, None),
        # Out of office: the mailbox has the message, and no mail system reports a failure.
        ("Bounce", {"bounceType": "Transient", "bounceSubType": "General", "bouncedRecipients": [{}]}, None),
        ("Bounce", {"bounceType": "Transient", "bouncedRecipients": None}, None),
    ],
)
def test_what_an_event_of_ses_means(name: str, told: dict[str, Any], expected: object) -> None:
    event = {"eventType": name, name.lower(): {"bouncedRecipients": BOUNCED, **told}}
    event["mail"] = {"messageId": "m", "tags": {"notice": [NOTICE]}}
    found = KITS["ses"].reader().receipts(signed.sns("https://r.example", event, NOW), NOW)
    if expected is None:
        assert found == []
        return
    assert [(one.notice, one.provider_id) for one in found] == [(NOTICE, "m")]
    suppressed = expected == "suppress"
    assert found[0].state is (NoticeState.UNDELIVERED if suppressed else expected)
    assert found[0].suppress is (suppressed or name == "Complaint")


@pytest.mark.parametrize("mail", [None, {}, {"tags": []}, {"tags": {"notice": []}}, {"tags": {"notice": "n"}}])
def test_an_event_of_ses_that_names_no_notice_is_of_another_sender(mail: Any) -> None:
    event = {"eventType": "Delivery", "mail": mail}
    [receipt] = KITS["ses"].reader().receipts(signed.sns("https://r.example", event, NOW), NOW)
    assert (receipt.notice, receipt.provider_id) == (None, "")


@pytest.mark.parametrize(
    ("name", "hours", "state", "suppress"),
    [
        ("QUEUED", 0, NoticeState.ACCEPTED, False),
        ("INVALID", 0, NoticeState.UNDELIVERED, True),
        ("CARRIER_BLOCKED", 0, NoticeState.UNDELIVERED, False),
        ("SPAM", 0, NoticeState.UNDELIVERED, False),
        ("TTL_EXPIRED", 72, NoticeState.UNDELIVERED, False),
        ("UNKNOWN", 1, NoticeState.UNDELIVERED, False),
        ("UNKNOWN", 72, None, False),  # the carrier has said nothing at all: it may have arrived
    ],
)
def test_what_an_event_of_a_text_means(name: str, hours: int, state: NoticeState | None, suppress: bool) -> None:
    times = {"messageRequestTimestamp": 1772366400000, "eventTimestamp": 1772366400000 + hours * 3600_000}
    event = {"eventType": f"TEXT_{name}", "messageId": "m", "context": {"notice": NOTICE}, **times}
    found = KITS["aws"].reader().receipts(signed.sns("https://r.example", event, NOW), NOW)
    assert [(one.state, one.suppress) for one in found] == ([(state, suppress)] if state else [])
