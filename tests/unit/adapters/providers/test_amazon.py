"""Amazon's signatures: ours on requests, and those of its SNS messages."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.adapters.http.client import HttpResponse
from shared.adapters.providers.common import sns
from shared.adapters.providers.common.aws import Signer, domain, error_of
from shared.adapters.providers.sms import aws
from shared.domain.errors import RetryLater
from shared.domain.receipts import InvalidSignature, ReceiptRequest
from shared.setting_types import SettingError, Values
from tests import signed_receipts as signed
from tests.contract.channel_kit import NOW
from tests.stand_in import Reply, StandIn
from tests.unit.adapters.providers.test_receipt_signatures import replaced

GOLDEN = Path(__file__).parents[3] / "golden" / "sns"
BASE = "https://example.amazonaws.com/"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# Names and signatures of Amazon's test suite for Signature Version 4, and the example of its IAM reference.
VECTORS: dict[str, tuple[str, str, dict[str, str], bytes, str]] = {
    "get-vanilla": ("GET", BASE, {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-vanilla-query-order-key-case": (
        "GET",
        f"{BASE}?Param2=value2&Param1=value1",
        {},
        b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-header-value-trim": (
        "GET",
        BASE,
        {"My-Header1": " value1", "My-Header2": ' "a   b   c"'},
        b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-vanilla": ("POST", BASE, {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-header-key-case": (
        "POST",
        BASE,
        {"My-Header1": "value1"},
        b"",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-x-www-form-urlencoded": (
        "POST",
        BASE,
        FORM,
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "iam": (
        "GET",
        "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        b"",
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_requests_are_signed_as_amazons_own_vectors_are(name: str) -> None:
    """botocore judges whole requests of ours: tests/local/test_provider_stubs.py."""
    method, url, headers, body, signature = VECTORS[name]
    service = "iam" if name == "iam" else "service"
    signer = Signer("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", service)
    at = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    sent = signer.signed(method, url, headers, body, at.astimezone(UTC))
    assert sent["Authorization"].endswith(f"Signature={signature}")
    assert f"Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, " in sent["Authorization"]
    assert sent.items() >= {**headers, "X-Amz-Date": "20150830T123600Z"}.items()


@pytest.mark.parametrize(
    ("headers", "body", "name"),
    [
        ({"x-amzn-errortype": "MessageRejected:http://internal.amazon.com/coral/"}, {}, "MessageRejected"),
        ({}, {"__type": "com.amazonaws.x#ThrottlingException"}, "ThrottlingException"),
        ({}, {"__type": "ConflictException", "Reason": "RESOURCE_NOT_ACTIVE"}, "ConflictException/RESOURCE_NOT_ACTIVE"),
        ({}, {"__type": 1, "Reason": []}, "1"),
        ({}, [], ""),
        ({}, {"__type": "Refused for ann@example.com"}, ""),
        ({"x-amzn-errortype": "Refused"}, {"Reason": "+1 317 555 1234"}, ""),
    ],
)
def test_an_error_has_its_name_in_a_header_or_in_the_body(headers: dict[str, str], body: Any, name: str) -> None:
    assert error_of(HttpResponse(400, headers, json.dumps(body).encode())) == name


@pytest.mark.parametrize("region", ["", "us-east", "us-east-1.evil.example", "us-east-1/", "US-EAST-1", "x@y-z-1"])
def test_what_is_no_region_cannot_become_a_host(region: str) -> None:
    given = {"AWS_SMS_REGION": region, "AWS_SMS_ACCESS_KEY_ID": "k", "AWS_SMS_SECRET_ACCESS_KEY": "s"}
    with pytest.raises(SettingError, match="AWS_SMS_REGION"):
        aws.Sender(Values({**given, "AWS_SMS_FROM": "Relay"}), lambda: NOW)


def test_each_region_is_in_its_own_domain() -> None:
    found = [domain(region) for region in ("eu-west-1", "us-gov-west-1", "cn-north-1")]
    assert found == ["eu-west-1.amazonaws.com", "us-gov-west-1.amazonaws.com", "cn-north-1.amazonaws.com.cn"]


# -- SNS

PROVIDER = "https://relay.example/receipts/ses"
EVENT = {"eventType": "Delivery"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that are fetched; Amazon answers."""
    urls: list[str] = []
    monkeypatch.setattr(sns, "fetched", lambda url, now: urls.append(url) or b"<ConfirmSubscriptionResponse/>")
    return urls


def topic(arn: str = signed.TOPIC) -> sns.Topic:
    return sns.Topic(sns.topic_arn("SES"), Values({"SES_TOPIC_ARN": arn}))


def subscription(**fields: str) -> ReceiptRequest:
    fields = {"Type": "SubscriptionConfirmation", "Token": "2336412f37", "SubscribeURL": "https://x.example", **fields}
    return signed.sns(PROVIDER, "You have chosen to subscribe ...", NOW, **fields)


def altered(request: ReceiptRequest, **fields: Any) -> ReceiptRequest:
    return replaced(request, body=json.dumps({**json.loads(request.body), **fields}).encode())


def test_messages_that_amazon_itself_has_signed_verify_in_both_versions(asked: list[str]) -> None:
    """With Amazon's certificate of then; all are in the tests of its library for Ruby."""
    for message in json.loads((GOLDEN / "amazon.json").read_text()):
        sns.certificates.keep(message["SigningCertURL"], (GOLDEN / "amazon.pem").read_bytes())
        arn, at = message["TopicArn"], datetime.fromisoformat(message["Timestamp"])
        request = signed.request(PROVIDER, json.dumps(message).encode(), x_amz_sns_topic_arn=arn)
        event = topic(arn).event(request, at)
        assert event is not None
        assert (event.body, event.at) == ({}, at)
        with pytest.raises(InvalidSignature, match="does not fit"):
            topic(arn).event(altered(request, Message="Hello World"), at)
    assert asked == []


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("name", ["Message", "MessageId", "Subject", "Timestamp", "Token", "SubscribeURL", "Type"])
def test_no_signed_field_can_be_changed_or_taken_away(asked: list[str], version: str, name: str) -> None:
    of_subscription = name in ("Token", "SubscribeURL")
    genuine = subscription() if of_subscription else signed.sns(PROVIDER, EVENT, NOW, version, Subject="s")
    assert bool(topic().event(genuine, NOW)) is not of_subscription
    asked.clear()
    other = {"Timestamp": "2026-03-01T12:00:01.000Z", "Type": "UnsubscribeConfirmation"}.get(name, "changed")
    for value in (other, "", None):
        with pytest.raises(InvalidSignature):
            topic().event(altered(genuine, **{name: value}), NOW)
    assert asked == []


def test_a_message_may_have_a_subject_or_none(asked: list[str]) -> None:
    with_one, without = signed.sns(PROVIDER, EVENT, NOW, Subject="Amazon SES"), signed.sns(PROVIDER, EVENT, NOW)
    assert topic().event(with_one, NOW) == topic().event(without, NOW) == sns.Event(EVENT, NOW)
    assert topic().event(altered(without, Subject=None), NOW)


@pytest.mark.parametrize("value", ["", "0", "3", "é", None, 2.0, []])
@pytest.mark.parametrize("name", ["Signature", "SignatureVersion"])
def test_a_spoilt_signature_of_amazons_is_forged(asked: list[str], name: str, value: object) -> None:
    with pytest.raises(InvalidSignature):
        topic().event(altered(signed.sns(PROVIDER, EVENT, NOW), **{name: value}), NOW)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/SimpleNotificationService-0a.pem",
        "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.us-east-1.amazonaws.com.evil.example/SimpleNotificationService-0a.pem",
        "https://sns.us-east-1.amazonaws.com@evil.example/SimpleNotificationService-0a.pem",
        "https://sns.us-east-1.amazonaws.com:8443/SimpleNotificationService-0a.pem",
        "https://evil.example/https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a.pem",
        "https://sns.us-east-1.amazonaws.com/evil/SimpleNotificationService-0a.pem",
        "https://sns.us-east-1.amazonaws.com/?Action=Publish&/SimpleNotificationService-0a.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a.pem?x",
        "https://s3.us-east-1.amazonaws.com/bucket/SimpleNotificationService-0a.pem",
        "https://169.254.169.254/SimpleNotificationService-0a.pem",
    ],
)
def test_a_certificate_that_is_not_at_the_topics_own_host_is_not_fetched(asked: list[str], url: str) -> None:
    with pytest.raises(InvalidSignature, match="not Amazon's"):
        topic().event(altered(signed.sns(PROVIDER, EVENT, NOW), SigningCertURL=url), NOW)
    assert asked == []


OTHER = signed.TOPIC.replace("123456789012", "999999999999")


@pytest.mark.parametrize("make", [lambda **f: signed.sns(PROVIDER, EVENT, NOW, **f), subscription])
def test_of_another_topic_nothing_is_believed_confirmed_or_fetched(asked: list[str], make: Any) -> None:
    theirs = make(TopicArn=OTHER)  # signed by Amazon as well: everybody may have a topic
    claimed = replaced(theirs, headers={sns.TOPIC: signed.TOPIC})
    unread = altered(make(), SigningCertURL=signed.CERTIFICATE.replace("0123", "4567"), TopicArn=OTHER)
    for request in (theirs, claimed, unread, replaced(make(), headers={})):
        with pytest.raises(InvalidSignature):
            topic().event(request, NOW)
    with pytest.raises(InvalidSignature, match="SES_TOPIC_ARN is not set"):
        topic("").event(make(), NOW)
    assert asked == []


def test_a_subscription_is_confirmed_at_amazon_whatever_address_it_names(asked: list[str]) -> None:
    for named in ("https://169.254.169.254/", "file:///etc/passwd", "https://sns.us-east-1.amazonaws.com/?Action=x"):
        assert topic().event(subscription(SubscribeURL=named), NOW) is None
    confirm = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A"
    assert asked == [f"{confirm}123456789012%3Arelay&Token=2336412f37"] * 3


def test_the_end_of_a_subscription_is_no_event_and_confirms_nothing(asked: list[str]) -> None:
    assert topic().event(subscription(Type="UnsubscribeConfirmation"), NOW) is None
    assert asked == []


@pytest.mark.parametrize(
    "text", ["Successfully validated SNS topic for Amazon SES event publishing.", "[1]", "{" * 9999]
)
def test_what_is_published_and_is_no_event_says_nothing(asked: list[str], text: str) -> None:
    request = signed.sns(PROVIDER, text, NOW)
    assert topic().event(request, NOW) == sns.Event({}, NOW)


def test_a_certificate_is_fetched_once_and_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, urls = sns.Certificates(), []
    pem = signed.certificate(signed.sns_key())
    monkeypatch.setattr(sns, "fetched", lambda url, now: urls.append(url) or pem)
    expected = signed.sns_key().public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    for url in ("a", "a", *"bcdefghi", "a"):
        assert kept.key(url, NOW).public_bytes(Encoding.PEM, PublicFormat.PKCS1) == expected
    assert "".join(urls) == "abcdefghia"


def test_what_is_no_certificate_with_an_rsa_key_believes_nothing() -> None:
    for pem in (b"", b"<html>", signed.certificate(ec.generate_private_key(ec.SECP256R1()))):
        with pytest.raises(InvalidSignature, match="signing certificate"):
            sns.Certificates().keep("url", pem)


def test_another_certificate_than_the_signers_believes_nothing(asked: list[str]) -> None:
    url = signed.CERTIFICATE.replace("0123", "ffff")
    sns.certificates.keep(url, signed.certificate(rsa.generate_private_key(public_exponent=65537, key_size=2048)))
    with pytest.raises(InvalidSignature, match="does not fit"):
        topic().event(altered(signed.sns(PROVIDER, EVENT, NOW), SigningCertURL=url), NOW)


def test_amazons_answer_is_taken_as_it_is_and_no_redirect_is_followed() -> None:
    with StandIn(Reply(200, b"pem"), Reply(302, headers={"Location": "/other"}), Reply(403), Reply(503)) as amazon:
        assert sns.fetched(f"{amazon.url}/x.pem", NOW) == b"pem"
        for _ in range(2):
            with pytest.raises(InvalidSignature, match="Amazon SNS answered"):
                sns.fetched(amazon.url, NOW)
        with pytest.raises(RetryLater):
            sns.fetched(amazon.url, NOW)
        assert [one.path for one in amazon.asked] == ["/x.pem", "/", "/", "/"]


@pytest.mark.parametrize("arn", ["relay", "arn:aws:sqs:us-east-1:123456789012:relay", "arn:aws:sns:evil.example/:1:r"])
def test_what_is_no_topic_stops_the_start(arn: str) -> None:
    with pytest.raises(SettingError, match="SES_TOPIC_ARN"):
        topic(arn)


def test_messages_are_believed_as_long_as_amazon_may_repeat_them(asked: list[str]) -> None:
    request = signed.sns(PROVIDER, EVENT, NOW)
    assert topic().event(request, NOW + timedelta(hours=24))
    for wrong in ("", "yesterday", "2026-03-01T12:00:00"):
        with pytest.raises(InvalidSignature, match="too old"):
            topic().event(altered(request, Timestamp=wrong), NOW)
