"""Amazon SNS, which brings the events of Amazon's services: their proof, and the confirmation of a subscription.

Headers and forms: https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
Signature: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
Confirming: https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html
"""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from shared.adapters.http.client import DEADLINE, Http, field_text
from shared.adapters.providers.common.aws import domain
from shared.adapters.providers.common.rules import RETRIES, decoded, fresh, iso, mapping
from shared.domain.receipts import InvalidSignature, ReceiptLimits, ReceiptRequest
from shared.setting_types import Setting, Values

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

TOPIC = "x-amz-sns-topic-arn"
LIMITS = ReceiptLimits(headers=(TOPIC,))  # an event repeats the headers of our own message, and no more of it
ARN = re.compile(r"arn:aws(-[a-z-]+)?:sns:(?P<region>[a-z0-9-]+):\d{12}:[A-Za-z0-9_-]{1,256}")
CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{1,64}\.pem")
MOST_CERTIFICATES = 8  # Amazon changes its own now and then
CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": CONFIRMATION,
    "UnsubscribeConfirmation": CONFIRMATION,
}


def topic_arn(prefix: str) -> Setting[str]:
    meaning = "the SNS topic that brings its events; proves receipts; empty: they are refused"
    return Setting(name=f"{prefix}_TOPIC_ARN", meaning=meaning, parse=_arn, wanted="the ARN of an SNS topic")


def _arn(value: str) -> str:
    if value and not ARN.fullmatch(value):
        raise ValueError
    return value


class Certificates:
    """Amazon's signing keys, each fetched once a process."""

    def __init__(self) -> None:
        self._keys: dict[str, RSAPublicKey] = {}

    def key(self, url: str, now: datetime) -> "RSAPublicKey":
        """Raises InvalidSignature, RetryLater."""
        return self._keys.get(url) or self.keep(url, fetched(url, now))

    def keep(self, url: str, pem: bytes) -> "RSAPublicKey":
        """Raises InvalidSignature for what is no certificate with an RSA key."""
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.x509 import load_pem_x509_certificate

        try:
            key = load_pem_x509_certificate(pem).public_key()
        except ValueError:
            raise InvalidSignature("the signing certificate cannot be read") from None
        if not isinstance(key, RSAPublicKey):
            raise InvalidSignature("the signing certificate has no RSA key")
        if len(self._keys) >= MOST_CERTIFICATES:
            self._keys.clear()
        return self._keys.setdefault(url, key)


certificates = Certificates()


def fetched(url: str, now: datetime) -> bytes:
    """What Amazon SNS answers. Raises RetryLater, and InvalidSignature when it refuses."""
    answer = Http("Amazon SNS", lambda: now, DEADLINE).get(url, {"Accept": "*/*"})
    if answer.status != 200:
        raise InvalidSignature(f"Amazon SNS answered {answer.status}")
    return answer.body


class Event(msgspec.Struct, frozen=True):
    """What was published to the topic, and when."""

    body: Mapping[str, Any]
    at: datetime


class Topic:
    """The one topic that `setting` names: of any other nothing is believed, and for it nothing is fetched."""

    def __init__(self, setting: Setting[str], values: Values) -> None:
        self._name, self._arn = setting.name, values[setting]
        found = ARN.fullmatch(self._arn)
        self._host = f"https://sns.{domain(found['region'])}" if found else ""

    def event(self, request: ReceiptRequest, now: datetime) -> Event | None:
        """None for a message that is no event. A subscription is confirmed. Raises InvalidSignature, RetryLater."""
        if not self._arn:
            raise InvalidSignature(f"{self._name} is not set")
        message = self._of_topic(request)
        at = iso(message["Timestamp"], datetime.min.replace(tzinfo=UTC))
        fresh(at.timestamp(), now, RETRIES)
        self._verify(message, now)
        if message["Type"] == "SubscriptionConfirmation":
            self._confirm(message["Token"], now)
        return Event(_published(message["Message"]), at) if message["Type"] == "Notification" else None

    def _of_topic(self, request: ReceiptRequest) -> dict[str, str]:
        """Its fields. Seen before the signature, which costs a call to Amazon at first."""
        if request.headers.get(TOPIC) != self._arn:
            raise InvalidSignature(f"it is of another topic; check {self._name}")
        body = mapping(decoded(request.body))
        given = {name: field_text(value) for name, value in body.items() if value is not None}
        names = SIGNED.get(given.get("Type", ""))
        if not names or given.get("TopicArn") != self._arn or not set(names) - {"Subject"} <= given.keys():
            raise InvalidSignature("it is no message of the topic")
        return given

    def _verify(self, message: Mapping[str, str], now: datetime) -> None:
        """RSA over name, line feed, value, line feed of each field; a subject is there or not."""
        from cryptography.exceptions import InvalidSignature as BadSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

        method, key = _method(message.get("SignatureVersion")), self._key(message.get("SigningCertURL", ""), now)
        signed = "".join(f"{name}\n{message[name]}\n" for name in SIGNED[message["Type"]] if name in message)
        try:
            signature = base64.b64decode(message.get("Signature", ""), validate=True)
            key.verify(signature, signed.encode(), PKCS1v15(), method)
        except (ValueError, BadSignature):
            raise InvalidSignature("the signature does not fit") from None

    def _key(self, url: str, now: datetime) -> "RSAPublicKey":
        """That the certificate is Amazon's, its address proves: https, and the host of the topic's region."""
        if not url.startswith(f"{self._host}/") or not CERTIFICATE.fullmatch(url.removeprefix(self._host)):
            raise InvalidSignature("the signing certificate is not Amazon's")
        return certificates.key(url, now)

    def _confirm(self, token: str, now: datetime) -> None:
        """By an address of our own making: what a message names as SubscribeURL is not called."""
        query = {"Action": "ConfirmSubscription", "TopicArn": self._arn, "Token": token}
        fetched(f"{self._host}/?{urlencode(query)}", now)


def _method(version: str | None) -> "HashAlgorithm":
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256

    if version not in ("1", "2"):
        raise InvalidSignature("the version of the signature is not known")
    return SHA1() if version == "1" else SHA256()  # noqa: S303 - Amazon's default, for the topic to change  # nosec


def _published(message: str) -> Mapping[str, Any]:
    """Empty for what is no JSON, like the message by which SES tries a topic."""
    try:
        return mapping(msgspec.json.decode(message))
    except (msgspec.DecodeError, RecursionError):
        return {}
