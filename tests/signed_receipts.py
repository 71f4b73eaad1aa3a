"""Receipts as the providers sign them, written from their descriptions and not from our code."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from requests.structures import CaseInsensitiveDict

from shared.adapters.providers.common import sns as amazon_sns
from shared.domain.receipts import ReceiptRequest

FORM = "application/x-www-form-urlencoded"
HOOK = "h00k" * 8  # our own token at Postmark
TOPIC = "arn:aws:sns:us-east-1:123456789012:relay"
CERTIFICATE = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"


def request(url: str, body: bytes, **headers: str) -> ReceiptRequest:
    return ReceiptRequest(url, CaseInsensitiveDict({k.replace("_", "-"): v for k, v in headers.items()}), body)


def twilio(url: str, fields: dict[str, str], token: str) -> ReceiptRequest:
    """https://www.twilio.com/docs/usage/webhooks/webhooks-security"""
    signed = url
    for name in sorted(fields):
        signed += name
        signed += fields[name]
    mac = base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    return request(url, urlencode(fields).encode(), X_Twilio_Signature=mac, Content_Type=FORM)


def vonage_jwt(url: str, fields: dict[str, Any], secret: str, at: datetime, alg: str = "HS256") -> ReceiptRequest:
    """https://developer.vonage.com/en/getting-started/concepts/webhooks"""
    body = json.dumps(fields).encode()
    claims = {
        "iat": int(at.timestamp()),
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": "abcd1234",
    }
    signed = ".".join(_segment(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": alg}, claims))
    token = f"{signed}.{_segment(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"
    return request(url, body, Authorization=f"Bearer {token}", Content_Type="application/json")


def _segment(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def vonage_fields(fields: dict[str, str], secret: str, at: datetime, method: str = "md5hash") -> dict[str, str]:
    """The fields with `timestamp` and `sig`: https://developer.vonage.com/en/getting-started/concepts/signing-messages"""
    fields = {**fields, "timestamp": str(int(at.timestamp())), "nonce": "ec11dd3e"}
    signed = ""
    for name in sorted(fields):
        signed += "&" + name + "=" + fields[name].replace("&", "_").replace("=", "_")
    if method == "md5hash":
        return {**fields, "sig": hashlib.md5((signed + secret).encode()).hexdigest()}
    return {**fields, "sig": hmac.new(secret.encode(), signed.encode(), method).hexdigest().upper()}


@cache
def sendgrid_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def sendgrid_public_key() -> str:
    """As SendGrid shows it: base64 of the DER form."""
    der = sendgrid_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def sendgrid(url: str, events: list[Any], at: datetime) -> ReceiptRequest:
    """https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features"""
    body, timestamp = json.dumps(events).encode() + b"\r\n", str(int(at.timestamp()))
    signature = sendgrid_key().sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return request(
        url,
        body,
        X_Twilio_Email_Event_Webhook_Signature=base64.b64encode(signature).decode(),
        X_Twilio_Email_Event_Webhook_Timestamp=timestamp,
    )


def mailgun(url: str, event: dict[str, Any], key: str, at: datetime, token: str = "") -> ReceiptRequest:
    """https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks; a token for each event"""
    timestamp, token = str(int(at.timestamp())), token or hashlib.sha256(json.dumps(event).encode()).hexdigest()[:50]
    signature = {
        "timestamp": timestamp,
        "token": token,
        "signature": hmac.new(key.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest(),
    }
    return request(url, json.dumps({"signature": signature, "event-data": event}).encode())


def postmark(url: str, event: dict[str, Any], token: str) -> ReceiptRequest:
    """https://postmarkapp.com/developer/webhooks/webhooks-overview: basic auth, given in the webhook's URL"""
    pair = base64.b64encode(f"relay:{token}".encode()).decode()
    return request(url, json.dumps(event).encode(), Authorization=f"Basic {pair}")


@cache
def sns_key() -> rsa.RSAPrivateKey:
    """With its certificate in the place of Amazon's, for this process."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    amazon_sns.certificates.keep(CERTIFICATE, certificate(key))
    return key


def sns_certificate() -> str:
    """For another process: it is the certificate of this one's key."""
    return certificate(sns_key()).decode()


def certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, begins, begins + timedelta(days=400))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def sns(url: str, event: Any, at: datetime, version: str = "2", **fields: str) -> ReceiptRequest:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html"""
    message = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": event if isinstance(event, str) else json.dumps(event),
        "Timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "UnsubscribeURL": f"https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={TOPIC}:c9135db0",
        **fields,
    }
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    signed = ""
    for name in names:
        if name in message:
            signed += name + "\n" + message[name] + "\n"
    digest = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = base64.b64encode(sns_key().sign(signed.encode(), padding.PKCS1v15(), digest)).decode()
    message |= {"SignatureVersion": version, "Signature": signature, "SigningCertURL": CERTIFICATE}
    kind = "text/plain; charset=UTF-8"
    return request(url, json.dumps(message).encode(), x_amz_sns_topic_arn=message["TopicArn"], Content_Type=kind)
